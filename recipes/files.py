"""Trees on disk: the only writer and reader of them.

What is written is the same everywhere: modes are 0644 and 0755 whatever the umask is, and times are one
second after the epoch, as in Nix's store. Nothing is ever written through a symbolic link. Names on disk
are the bytes of `recipes.tree.to_bytes`, whatever the locale is.
"""

# Names are bytes here, which pathlib does not take.
# ruff: noqa: PTH101, PTH102, PTH104, PTH115, PTH208, PTH211

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from recipes import hashes, tree
from recipes.errors import IntegrityError, one_line

# Told how much is done and how much there is (None: not known), in bytes.
Tick: TypeAlias = Callable[[int, int | None], None]

# Shown each path of a tree and what lstat(2) says of it.
See: TypeAlias = Callable[[bytes, os.stat_result], None]

PIECE = 1 << 20  # bytes that are read at once
_PATH_MAX = 4096  # bytes of a path that the kernel takes, with the NUL at its end
_WIDEST = 300  # characters of a path that are shown
_REACH = 100  # directories that `remove` goes down before it lifts what is below to the top

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


def read_tree(root: Path, see: See = lambda _path, _info: None) -> hashes.Node:
    """Read a tree as NAR sees it: names, links, owners' executable bits; `root` may be a file or a link.

    Files are read when their chunks are, a piece at a time, and as often as one likes. `see` is shown each
    path and what lstat(2) says of it. Raises IntegrityError for a fifo, a socket or a device, for a tree
    deeper than `tree.DEEPEST`, and (when it is read) for a file that changes meanwhile; OSError where
    something cannot be read.
    """
    return _node(os.fsencode(root), 0, see)


def _node(path: bytes, depth: int, see: See) -> hashes.Node:
    info = _lstat(path, depth)
    see(path, info)
    if stat.S_ISREG(info.st_mode):
        return hashes.File(info.st_size, FileChunks(path, info.st_size), bool(info.st_mode & stat.S_IXUSR))
    if stat.S_ISLNK(info.st_mode):
        return hashes.Link(tree.to_text(os.readlink(path)))
    names = os.listdir(path)
    return hashes.Directory({tree.to_text(name): _node(path + b"/" + name, depth + 1, see) for name in names})


def tree_hash(root: Path, see: See = lambda _path, _info: None) -> tuple[str, int]:
    """Give a tree's NAR hash in SRI form and the length of its NAR in bytes; raises as `read_tree`."""
    return hashes.nar_hash_and_size(read_tree(root, see))


class FileChunks:
    """A file's bytes in pieces, read anew by each iteration.

    Raises IntegrityError when there are more or fewer than `size` of them.
    """

    def __init__(self, path: bytes, size: int) -> None:
        self._path = path
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while size <= self._size and (chunk := os.read(file, PIECE)):  # one that grows may never end
                size += len(chunk)
                yield chunk
        finally:
            os.close(file)
        if size != self._size:
            raise IntegrityError(
                f"`{_shown(self._path)}` changed while it was read\n"
                f"  expected  {self._size} bytes\n  actual    {_least(size, self._size)} bytes"
            )


def _least(size: int, expected: int) -> str:
    return f"more than {expected}" if size > expected else f"{size}"


def _shown(path: bytes) -> str:
    """Give a path as messages have it: one line, and the middle left out of a very long one."""
    text = one_line(tree.to_text(path))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST // 2]} … {text[-_WIDEST // 2 :]}"


def _lstat(path: bytes, depth: int) -> os.stat_result:
    if depth > tree.DEEPEST or len(path) >= _PATH_MAX:
        raise IntegrityError(f"`{_shown(path)}` is too deep: a tree has at most {tree.DEEPEST} levels")
    info = os.lstat(path)
    if stat.S_IFMT(info.st_mode) not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
        raise IntegrityError(f"`{_shown(path)}` is neither a file, a directory nor a symbolic link")
    return info


def _walk(root: Path, *, backwards: bool = False) -> Iterator[tuple[bytes, os.stat_result]]:
    """List a tree, parents before children; a directory is read after it was yielded. Follows no link.

    Names come in their order, or `backwards`.
    Raises IntegrityError as `read_tree` does, but for what changes.
    """
    todo = [(os.fsencode(root), 0)]
    while todo:
        path, depth = todo.pop()
        info = _lstat(path, depth)
        yield path, info
        if stat.S_ISDIR(info.st_mode):
            names = sorted(os.listdir(path), reverse=not backwards)  # the last is taken first
            todo += [(path + b"/" + name, depth + 1) for name in names]


def remove(root: Path) -> None:
    """Remove a tree, a file or a link, even when directories in it are read-only; none there is fine.

    It may be as deep as a build could make it: deeper than paths are long, or than Python recurses.
    Several may remove one tree at once: what another one has removed already is not missed.
    """
    while os.path.lexists(root):
        try:
            _remove(root)
        except FileNotFoundError:
            continue


def _remove(root: Path) -> None:
    if not stat.S_ISDIR(root.lstat().st_mode):
        root.unlink()
        return
    _open_up(os.fsencode(root))
    shutil.rmtree(root)


def _open_up(top: bytes) -> None:
    """Make a tree's directories writable, and move what lies too deep to the top."""
    todo = [(top, 0)]
    while todo:
        path, depth = todo.pop()
        info = os.lstat(path)
        if not stat.S_ISDIR(info.st_mode):
            continue
        if info.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(path, stat.S_IRWXU)
        if depth > _REACH or len(path) > len(top) + tree.LONGEST_PATH:
            lifted = b"%b/.lifted-%d" % (top, info.st_ino)  # the same for all that remove this tree
            os.rename(path, lifted)
            path, depth = lifted, 1
        todo += [(path + b"/" + name, depth + 1) for name in os.listdir(path)]


def make_read_only(root: Path) -> None:
    """Take the right to write away: files 0444 or 0555, directories 0555, children first; links stay."""
    for path, info in reversed(list(_walk(root))):
        if not stat.S_ISLNK(info.st_mode):
            executable = stat.S_ISDIR(info.st_mode) or info.st_mode & stat.S_IXUSR
            os.chmod(path, 0o555 if executable else 0o444)


def copy_tree(source: Path, dest: Path, *, backwards: bool = False) -> None:
    """Copy a tree, a file or a link, writable (0644, 0755) and with the times that `TreeWriter` sets.

    Names are made in their order, or `backwards`: some file systems list a directory as it was filled.
    Makes the directories above `dest`, and merges into those that are there. Raises IntegrityError where a
    file or a link would be overwritten or written through, and for a fifo, a socket, a device or a tree that
    is too deep, before anything is copied.
    """
    start, directories = len(os.fsencode(source)), []
    found = list(_walk(source, backwards=backwards))
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
            f"`{_shown(place)}` is there already and would be overwritten\n  source  {_shown(path)}"
        ) from None


def _copy_file(path: bytes, info: os.stat_result, place: bytes) -> None:
    reading = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    with reading as reader, os.fdopen(os.open(place, _NEW, 0o600), "wb") as writer:
        _copy_ranges(reader.fileno(), writer.fileno(), info.st_size)
        shutil.copyfileobj(reader, writer, PIECE)  # what is left, from where the ranges ended
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


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file aside and rename it into place: readers see the old bytes or the new, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
