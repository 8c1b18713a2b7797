"""How many processes a build has: one that starts ever more of them is ended before the machine suffers.

The kernel's own limits do not serve everyone: RLIMIT_NPROC exempts what root starts, in a user namespace
too (copy_process: `real_cred->user != INIT_USER`), and counts all of an ordinary user's processes; pids.max
needs a control group that may be written to. Looking costs nothing: as long as the whole machine has not
as many threads more as the limit, which is one line of /proc/loadavg, a build has not either.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recipes import process
from recipes.errors import SandboxError

LIMIT = 1000  # processes of a build, besides
EACH = 16  # for each compiler that runs at once
_PATIENCE = 30.0  # seconds that what was killed may take to end
_STEP = 0.005


class Crowded(process.Stop):
    """A build had more processes than its limit; they have been killed."""


class Cancelled(process.Stop):
    """Another build has failed: this one is ended."""


def threads() -> int:
    """Count the threads of the whole machine; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/loadavg").read_text("ascii").split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return 0


@dataclass
class Guard:
    """Watches a group of processes: it may have `limit` of them, until `stop` is set."""

    limit: int
    stop: threading.Event = field(default_factory=threading.Event)
    before: int = field(default_factory=threads)

    def __call__(self, leader: int) -> None:
        """Look. Raises Crowded, Cancelled."""
        if self.stop.is_set():
            raise Cancelled("another build failed")
        if threads() - self.before <= self.limit:
            return
        count = len(family(leader))
        if count > self.limit:
            raise Crowded(f"more than {self.limit} processes at once")


def family(leader: int) -> set[int]:
    """Find a process and its descendants; a daemon's parent is the first process of its namespace."""
    parents = {int(one.name): _parent(one) for one in Path("/proc").iterdir() if one.name.isdigit()}
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    found, queue = {leader}, [leader]
    while queue:
        new = [one for one in children.get(queue.pop(), []) if one not in found]
        found.update(new)
        queue += new
    return found


def _parent(place: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((place / "stat").read_bytes().rpartition(b") ")[2].split()[1])
    return 0


def settle(argv: Sequence[str]) -> None:
    """Wait until all of a sandbox that was started by this command has ended; it was killed or has ended.

    bubblewrap ends when its command does, a moment before the first process of the sandbox, which has no
    other command line and by its end ends what is left. Raises SandboxError where that takes too long.
    """
    command = b"".join(os.fsencode(word) + b"\0" for word in argv)
    deadline = time.monotonic() + _PATIENCE
    while any(_ends(one, command) for one in Path("/proc").iterdir() if one.name.isdigit()):
        if time.monotonic() > deadline:
            raise SandboxError("processes of a build do not end, though they were killed")
        time.sleep(_STEP)


def _ends(place: Path, command: bytes) -> bool:
    """Say whether a process is bubblewrap's for this command, or any that has given its memory up already."""
    with contextlib.suppress(OSError, IndexError):
        name, _, rest = (place / "stat").read_bytes().rpartition(b") ")
        if name.endswith(b"(bwrap") and rest[:1] not in b"ZX":
            return command.endswith((place / "cmdline").read_bytes())  # of no memory: no command line
    return False
