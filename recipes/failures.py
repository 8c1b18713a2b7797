"""What is said of a phase that failed: the lines that say why, the known breakage, how to run it again."""

from __future__ import annotations

import errno
import os
import shlex
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import breakages, logs
from recipes.breakages import Match, Row
from recipes.errors import BuildError
from recipes.plan import Build

CHUNK = 1 << 20  # bytes of a log that are read at once
_KEPT = 20_000  # lines of a phase, at its end, in which those that say why it failed are looked for
_WIDEST = 1000  # bytes kept of each: a file that is no log may have no line at all
_LITTLE = 1 << 20  # bytes: what a program that met the end of the disk leaves is less


class PhaseError(BuildError):
    """A phase failed: also as values, for who compares failures.

    `said` are the lines that say why, `known` the ids of the breakages that the log shows.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        component: str,
        phase: str,
        said: Sequence[str],
        known: Sequence[str],
    ) -> None:
        super().__init__(message, hint=hint)
        self.component, self.phase = component, phase
        self.said, self.known = tuple(said), tuple(known)


@dataclass(frozen=True)
class Failure:
    """A phase that failed, the log of its build so far, and what the user is told to do, if anything."""

    build: Build
    phase: str
    log: Path
    table: Sequence[Row] = ()
    hint: str | None = None

    def exited(self, code: int) -> BuildError | OSError:
        """Give the error for an exit code (negative: a signal); of a full disk, which is not the build's."""
        matches, said = self._read()
        if _is_full(self.log.parent, said):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.log))
        how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        shown = [f"  {line}".rstrip() for line in logs.decisive(said)]
        lines = [f"failed in phase `{self.phase}`: {how}", *shown, f"  log  {self.log}"]
        return self._error(lines, matches, logs.decisive(said))

    def unsaid(self, expected: str) -> BuildError:
        """Give the error for a phase that ended well and did not print what it must."""
        matches, _ = self._read()
        first = f"did not say what its recipe expects in phase `{self.phase}`"
        return self._error([first, f"  expected  {expected}", f"  log       {self.log}"], matches)

    def _error(self, lines: Sequence[str], matches: Sequence[Match], said: Sequence[str] = ()) -> BuildError:
        known = [breakages.explain(one, logs.text(one.line)) for one in matches]
        message = f"`{self.build.component}` " + "\n".join(lines)
        return PhaseError(
            "\n\n".join([message, *known]),
            hint=self.hint or f"`less {self.log}`",
            component=self.build.component,
            phase=self.phase,
            said=said,
            known=[one.row.id for one in matches],
        )

    def _read(self) -> tuple[list[Match], list[str]]:
        """Look through the whole log once: what is known of it, and the end of what this phase said."""
        with self.log.open("rb") as file:
            seen = look(self.table, iter(lambda: file.read(CHUNK), b""), f"### {self.phase}".encode())
        return seen.matches, seen.end


@dataclass(frozen=True)
class Seen:
    """What was seen in a log: known breakages, how many lines it has, and its last lines."""

    matches: list[Match]
    count: int
    end: list[str]


def look(table: Sequence[Row], chunks: Iterable[bytes], begin: bytes | None = None) -> Seen:
    """Look through a log once; its last lines are those behind the last one that starts with `begin`."""
    end: deque[bytes] = deque(maxlen=_KEPT)
    count = 0

    def kept() -> Iterator[bytes]:
        nonlocal count
        for line in logs.lines(chunks):
            count += 1
            end.append(line[:_WIDEST])
            if begin is not None and line.startswith(begin):
                end.clear()
            yield line

    matches = breakages.match(table, kept())
    return Seen(matches, count, [logs.text(line) for line in end])


def _is_full(place: Path, said: Sequence[str]) -> bool:
    """Say whether a phase failed for want of room: the build is not at fault then."""
    room = os.statvfs(place)
    little = room.f_bavail * room.f_frsize < _LITTLE or room.f_files > 0 == room.f_favail
    return little or any(os.strerror(errno.ENOSPC) in line for line in said)


_REPLAY = """\
#!/bin/sh
# Runs phase `{phase}` of `{component}` again, as it was run when it failed.
# `sh replay.sh COMMAND...` runs another command in its place: `sh replay.sh /bin/sh` is a shell there.
# What changed in the directories beside this script stays changed.
cd -- {place} || exit
[ $# -gt 0 ] || set -- {argv}
exec {enter} "$@"
"""


def write_replay(place: Path, failure: Failure, enter: Sequence[str], argv: Sequence[str]) -> None:
    """Leave a script that runs a phase again: `argv`, behind the command `enter` that gives it its world."""
    words = {"place": shlex.quote(str(place)), "argv": shlex.join(argv), "enter": shlex.join(enter)}
    text = _REPLAY.format(phase=failure.phase, component=failure.build.component, **words)
    (place / "replay.sh").write_text(text, "utf-8", "surrogateescape")


def replay_hint(place: Path) -> str:
    """Say how a phase is run again whose directory was kept."""
    script = shlex.quote(str(place / "replay.sh"))
    return f"`sh {script}` runs the phase again, `sh {script} /bin/sh` is a shell in its place"


def keep_hint(again: str) -> str:
    """Say how to get what `replay_hint` tells of; `again` is the command that keeps the directory."""
    return f"`{again}` keeps the build's directory, and a script in it that runs the phase again"
