"""Trees on disk: read, hashed, made read-only, removed; files that are written whole or not at all.

No symbolic link is followed below a root. Names on disk are the bytes of `recipes.tree.to_bytes`,
whatever the locale is. `recipes.treewriter` is what writes trees.
"""

# Names are bytes here, which pathlib does not take.
# ruff: noqa: PTH101, PTH104, PTH115, PTH208

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
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


def sha256(path: Path) -> str:
    """Give the SHA-256 of a file's bytes in hexadecimal digits. Follows a link; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
                f"`{shown(self._path)}` changed while it was read\n"
                f"  expected  {self._size} bytes\n  actual    {_least(size, self._size)} bytes"
            )


def _least(size: int, expected: int) -> str:
    return f"more than {expected}" if size > expected else f"{size}"


def shown(path: bytes) -> str:
    """Give a path as messages have it: one line, and the middle left out of a very long one."""
    text = one_line(tree.to_text(path))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST // 2]} … {text[-_WIDEST // 2 :]}"


def _lstat(path: bytes, depth: int) -> os.stat_result:
    if depth > tree.DEEPEST or len(path) >= _PATH_MAX:
        raise IntegrityError(f"`{shown(path)}` is too deep: a tree has at most {tree.DEEPEST} levels")
    info = os.lstat(path)
    if stat.S_IFMT(info.st_mode) not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
        raise IntegrityError(f"`{shown(path)}` is neither a file, a directory nor a symbolic link")
    return info


def walk(root: Path, *, backwards: bool = False) -> Iterator[tuple[bytes, os.stat_result]]:
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
    for path, info in reversed(list(walk(root))):
        if not stat.S_ISLNK(info.st_mode):
            executable = stat.S_ISDIR(info.st_mode) or info.st_mode & stat.S_IXUSR
            os.chmod(path, 0o555 if executable else 0o444)


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
        Path(name).unlink(missing_ok=True)
        raise
