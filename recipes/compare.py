"""The `diff` command's work: find two locks, ask what lies between their commits, say what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from recipes import diff, githistory, requirements
from recipes import lock as locks
from recipes.conda import lockfile
from recipes.conda.lockfile import CondaLock
from recipes.diff import Difference, Move
from recipes.errors import LockError, RecipesError, UsageError
from recipes.fetch import PARALLEL
from recipes.git import Git
from recipes.history import Span
from recipes.located import nearest
from recipes.lock import Lock
from recipes.project import Project
from recipes.report import Report
from recipes.requirements import Requirements

# as `Project.locks` names them
_LOCK, _WHEELS, _DEVELOPMENT = ".lock.yaml", ".requirements.txt", ".development.txt"
_CONDA = ".conda-lock.yml"


@dataclass(frozen=True)
class Side:
    """One of two that are compared: its sources, and what else is locked beside them; None for nothing."""

    name: str
    lock: Lock
    toolchain: Requirements | None
    development: Requirements | None = None
    conda: CondaLock | None = None

    @property
    def beside(self) -> list[str]:
        """Say what is locked beside the sources."""
        parts = {
            "toolchain": self.toolchain,
            "development packages": self.development,
            "conda environment": self.conda,
        }
        return [name for name, one in parts.items() if one is not None]


@dataclass(frozen=True)
class Sides:
    """Where locks are found; a relative path starts from `directory`, and git gets `env`."""

    project: Project
    directory: Path
    env: Mapping[str, str]

    def find(self, word: str, variant: str | None) -> Side:
        """Find the lock that a word of the command line names.

        That is a lock file; with `variant`, a revision in which to read its lock; without, a variant as it
        is now, or `REVISION:VARIANT` or `REVISION:PATH`. Raises UsageError, LockError.
        """
        if word.endswith(_LOCK) and (self.directory / word).is_file():
            return self._file(word, self.directory / word)
        if variant is not None:
            return self._revision(word.removesuffix(":"), self._path(variant))
        revision, colon, name = word.rpartition(":")
        if colon and revision:
            return self._revision(revision, name if name.endswith(_LOCK) else self._path(name))
        return self.variant(word)

    def variant(self, name: str) -> Side:
        """Give the lock of a variant as it is now. Raises UsageError, LockError."""
        place = self.project.root / self._path(name)
        known = sorted(path.name.removesuffix(_LOCK) for path in self.project.root.glob(f"locks/*{_LOCK}"))
        if name not in known:
            hint = f"there is {', '.join(known)}; `--variant {name}` compares revisions of one"
            raise UsageError(
                f"`{name}` is no lock file and no locked variant{nearest(name, known)}", hint=hint
            )
        return self._file(name, place)

    def _path(self, variant: str) -> str:
        return f"locks/{variant}{_LOCK}"

    def _file(self, name: str, place: Path) -> Side:
        def beside(ending: str) -> bytes | None:
            path = place.with_name(place.name.removesuffix(_LOCK) + ending)
            return path.read_bytes() if path.is_file() else None

        return _side(name, place.read_bytes(), beside)

    def _revision(self, revision: str, path: str) -> Side:
        def beside(ending: str) -> bytes | None:
            try:
                return self._show(revision, path.removesuffix(_LOCK) + ending)
            except UsageError:
                return None

        return _side(f"{revision}:{path}", self._show(revision, path), beside)

    def _show(self, revision: str, path: str) -> bytes:
        return githistory.show(self.project.root, revision, path, self.env)


def _side(name: str, text: bytes, beside: Callable[[str], bytes | None]) -> Side:
    conda = beside(_CONDA)
    return Side(
        name,
        locks.parse(text, name),
        _requirements(beside(_WHEELS), f"the wheels of {name}"),
        _requirements(beside(_DEVELOPMENT), f"the development packages of {name}"),
        None if conda is None else lockfile.parse(conda, f"the conda lock of {name}"),
    )


def _requirements(text: bytes | None, name: str) -> Requirements | None:
    try:
        return None if text is None else requirements.parse(text.decode(), name)
    except UnicodeDecodeError as wrong:
        raise LockError(f"{name}: not UTF-8: byte {wrong.start}") from wrong


def present(project: Project, variant: str) -> Side:
    """Give the locks of a variant as they are now; what is not there has nothing in it. Raises LockError."""
    sources, toolchain = project.lock_files(variant)
    development, conda = project.development_file(variant), project.conda_lock_file(variant)
    return Side(
        variant,
        project.lock(variant) if sources.is_file() else Lock(sources={}),
        project.toolchain(variant) if toolchain.is_file() else Requirements(),
        project.development(variant) if development.is_file() else Requirements(),
        project.conda_lock(variant) if conda.is_file() else CondaLock((), (), ()),
    )


def difference(old: Side, new: Side, git: Git, report: Report) -> Difference:
    """Compare two locks; what lies between their commits is asked of their repositories."""
    for one, other in ((old, new), (new, old)):
        lacking = [what for what in other.beside if what not in one.beside]
        if lacking:
            what = " and no ".join(lacking)
            report.line(f"`{one.name}` has no {what} beside it: packages are not compared")
    return Difference(
        sources(old.lock, new.lock, git, report),
        (
            *_wheels(old.toolchain, new.toolchain),
            *_wheels(old.development, new.development),
            *_conda(old.conda, new.conda),
        ),
    )


def _wheels(old: Requirements | None, new: Requirements | None) -> tuple[diff.WheelChanged, ...]:
    return () if old is None or new is None else diff.wheels(old, new)


def _conda(old: CondaLock | None, new: CondaLock | None) -> tuple[diff.WheelChanged, ...]:
    return () if old is None or new is None else diff.conda(old, new)


def sources(old: Lock, new: Lock, git: Git, report: Report) -> tuple[diff.SourceChanged, ...]:
    """Compare the sources of two locks; repositories that are not in reach are no error."""
    moves = diff.moves(old, new)
    with ThreadPoolExecutor(PARALLEL) as pool:
        spans = pool.map(lambda move: _span(git, report, move, moves[move]), moves)
        return diff.compare(old, new, dict(zip(moves, spans, strict=True)))


def _span(git: Git, report: Report, move: Move, ref: str | None) -> Span | str:
    url, old, new = move
    try:
        with report.task(f"reading the history of {url}", "objects") as task:
            return githistory.span(git, url, old, new, ref=ref, tick=task)
    except RecipesError as error:
        return ", ".join(" ".join(line.split()) for line in error.message.splitlines())
