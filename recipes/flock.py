"""Locks on files, between threads as between processes, that end with their process: flock(2).

The filelock package is not used: it has no shared flock, and it waits by polling.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


def shared(path: Path, waiting: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold a file's lock along with any number of others who hold it shared; makes the file.

    Calls `waiting` if it has to wait; an exception from it ends the attempt. Not reentrant.
    """
    return _hold(path, fcntl.LOCK_SH, waiting)


def exclusive(path: Path, waiting: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold a file's lock alone; else as `shared`."""
    return _hold(path, fcntl.LOCK_EX, waiting)


@contextmanager
def _hold(path: Path, kind: int, waiting: Callable[[], None]) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, kind)
        yield
    finally:
        # explicitly: a process that another thread starts now has a copy of the descriptor until its exec
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
