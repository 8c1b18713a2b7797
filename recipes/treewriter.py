"""Trees as they are written to disk, by their entries or as a copy of another one.

What is written is the same everywhere: modes are 0644 and 0755 whatever the umask is, and times are one
second after the epoch, as in Nix's store. Nothing is ever written through a symbolic link, or over what is
there. Names on disk are the bytes of `recipes.tree.to_bytes`, whatever the locale is.
"""

# Names are bytes here, which pathlib does not take.
# ruff: noqa: PTH101, PTH102, PTH115, PTH211

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from recipes import files, tree
from recipes.errors import IntegrityError

_TIMES = (1_000_000_000, 1_000_000_000)  # nanoseconds: access and modification, one second after the epoch
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What copy_file_range answers where a file system or a pair of them does not have it (copy_file_range(2)).
_NO_RANGES = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}


class TreeWriter:
    """Writes the entries that a filter takes below `root`, which is made where it is missing.

    `origin` names where the entries come from, in messages; `count` is how many were written. For one
    thread. What a failure leaves half-written below `root` is for the caller to `remove`.
    """

    def __init__(self, root: Path, filter: tree.Filter, origin: str) -> None:  # noqa: A002 - the glossary's word
        self.root = root
        self.count = 0
        self._filter = filter
        self._origin = origin
        self._top = os.fsencode(root)
        self._directories: set[str] = set()
        root.parent.mkdir(parents=True, exist_ok=True)
        self._make_directory("")

    def take(self, entry: tree.Entry) -> bool:
        """Write an entry if the filter takes it, and say whether it does; only then is it read.

        Raises IntegrityError as `place` and `write` do.
        """
        place = self.place(entry.path)
        if place is not None:
            self.write(place, entry)
        return place is not None

    def place(self, path: str) -> str | None:
        """Say where a path of the origin lands below the root, or None when it is not taken.

        Raises IntegrityError for a name that `tree.check_name` refuses, taken or not.
        """
        tree.check_name(path, self._origin)
        return None if tree.is_git_metadata(path) else self._filter.place(path)

    def write(self, place: str, entry: tree.Entry) -> None:
        """Write an entry to a place that `place` gave.

        Raises IntegrityError where something is there already, for a place below a file or a symbolic link,
        for a link to nothing, and for a file that does not have the size it is said to have.
        """
        self._make_parents(place)
        path = self.path(place)
        try:
            if entry.kind == "symlink":
                self._write_link(path, entry)
            else:
                self._write_file(path, entry)
        except FileExistsError:
            raise IntegrityError(
                f"{self._origin} has two members for one place\n  place  {place!r}"
            ) from None
        self.count += 1

    def close(self) -> None:
        """Set the times of the directories: each entry that was written into one changed them."""
        for directory in self._directories:
            os.utime(self.path(directory), ns=_TIMES)

    def _write_file(self, path: bytes, entry: tree.Entry) -> None:
        size = _write_new(path, entry.chunks, _mode(self._filter.mode(entry.executable)))
        if size != entry.size:
            raise IntegrityError(
                f"{self._origin} has a file that is not of its size\n  name      {entry.path!r}\n"
                f"  expected  {entry.size} bytes\n  actual    {size} bytes"
            )

    def _write_link(self, path: bytes, entry: tree.Entry) -> None:
        if not entry.target or "\0" in entry.target:  # git and tar can hold one, no file system can
            raise IntegrityError(
                f"{self._origin} has a symbolic link that cannot be\n  link    {entry.path!r}\n"
                f"  target  {entry.target!r}"
            )
        os.symlink(tree.to_bytes(entry.target), path)
        os.utime(path, ns=_TIMES, follow_symlinks=False)

    def _make_parents(self, place: str) -> None:
        parent = place.rpartition("/")[0]
        if parent not in self._directories:
            self._make_parents(parent)
            self._make_directory(parent)

    def _make_directory(self, place: str) -> None:
        try:
            _make_directory(self.path(place))
        except FileExistsError:
            raise IntegrityError(
                f"{self._origin} has a member below a file or a symbolic link\n  place  {place!r}"
            ) from None
        self._directories.add(place)

    def path(self, place: str) -> bytes:
        """Give the path on disk of a place."""
        return self._top + b"/" + tree.to_bytes(place)


def _make_directory(path: bytes) -> None:
    """Make a directory of mode 0755 unless it is there; FileExistsError where something else is."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
    else:
        os.chmod(path, 0o755)  # noqa: S103 - what Nix and git give a directory


def _mode(executable: bool) -> int:
    return 0o755 if executable else 0o644


def _write_new(path: bytes, chunks: Iterable[bytes], mode: int) -> int:
    size = 0
    with os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
            size += len(chunk)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.utime(file.fileno(), ns=_TIMES)
    return size


def copy_tree(source: Path, dest: Path, *, backwards: bool = False) -> None:
    """Copy a tree, a file or a link, writable (0644, 0755) and with the times that `TreeWriter` sets.

    Names are made in their order, or `backwards`: some file systems list a directory as it was filled.
    Makes the directories above `dest`, and merges into those that are there. Raises IntegrityError where a
    file or a link would be overwritten or written through, and for a fifo, a socket, a device or a tree that
    is too deep, before anything is copied.
    """
    start, directories = len(os.fsencode(source)), []
    found = list(files.walk(source, backwards=backwards))
    dest.parent.mkdir(parents=True, exist_ok=True)
    for path, info in found:
        place = os.fsencode(dest) + path[start:]
        _copy_one(path, info, place)
        if stat.S_ISDIR(info.st_mode):
            directories.append(place)
    for place in directories:
        os.utime(place, ns=_TIMES)


def _copy_one(path: bytes, info: os.stat_result, place: bytes) -> None:
    try:
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(path), place)
            os.utime(place, ns=_TIMES, follow_symlinks=False)
        elif stat.S_ISREG(info.st_mode):
            _copy_file(path, info, place)
        else:
            _make_directory(place)
    except FileExistsError:
        raise IntegrityError(
            f"`{files.shown(place)}` is there already and would be overwritten\n  source  {files.shown(path)}"
        ) from None


def _copy_file(path: bytes, info: os.stat_result, place: bytes) -> None:
    reading = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    with reading as reader, os.fdopen(os.open(place, _NEW, 0o600), "wb") as writer:
        _copy_ranges(reader.fileno(), writer.fileno(), info.st_size)
        shutil.copyfileobj(reader, writer, files.PIECE)  # what is left, from where the ranges ended
        writer.flush()
        os.fchmod(writer.fileno(), _mode(bool(info.st_mode & stat.S_IXUSR)))
        os.utime(writer.fileno(), ns=_TIMES)


def _copy_ranges(reader: int, writer: int, size: int) -> None:
    """Copy inside the kernel, sharing blocks where the file system can; it may stop anywhere."""
    try:
        while size > 0 and (copied := os.copy_file_range(reader, writer, size)):
            size -= copied
    except OSError as error:
        if error.errno not in _NO_RANGES:
            raise
