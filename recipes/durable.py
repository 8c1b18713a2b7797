"""What outlives a power cut: a rename is atomic, but until it is synced, the disk may not have it."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Write a directory itself to the disk: the names in it, not what they name."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(directory: Path) -> None:
    """Write all of the file system that a directory lies on to the disk, with syncfs(2).

    Where the system has none, all file systems: sync(2). Raises OSError where the disk refuses.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        error = _syncfs()(descriptor)
    finally:
        os.close(descriptor)
    if error == errno.ENOSYS:
        os.sync()
    elif error:
        raise OSError(error, os.strerror(error), os.fspath(directory))


@functools.cache
def _syncfs() -> Callable[[int], int]:
    """Give syncfs(2) as a function of a descriptor that returns errno, 0 where it went well."""
    import ctypes  # noqa: PLC0415 - only what adds to a store needs it

    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):  # macOS has none
        return lambda _descriptor: errno.ENOSYS
    return lambda descriptor: ctypes.get_errno() if function(descriptor) else 0
