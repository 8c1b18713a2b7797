"""Tar archives as entries, in one pass: each byte is decompressed once and nothing is sought.

Headers are decoded by the standard library's `tarfile.TarInfo`. The walk from member to member is ours: that
of `tarfile` takes a damaged header for the end of the archive, and keeps every member in memory. Formats:
POSIX 1003.1-1988 (ustar) and 1003.1-2001 (pax), and GNU's long names (tar(5)).
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import itertools
import lzma
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from recipes import files, tree
from recipes.errors import IntegrityError, ToolchainError
from recipes.members import LONGEST_METADATA, Limits, Tally, clean, damage, is_top, refuse, too_short
from recipes.xz import XzFile

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst")

_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_USED = ("path", "linkpath", "size")  # the records that are used; others are let go, however many there are
_SPARSE = "GNU.sparse."
_NUMBER = re.compile(r"[0-9]{1,20}")
_LINKS = 100  # hard links that are read, each of them in a pass of its own

Records: TypeAlias = dict[str, str]  # of an extended header


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def entries(archive: Path, name: str, limits: Limits) -> Iterator[tree.Entry]:
    """Yield the files and links of a tar archive; `name` says how it is compressed.

    An entry's chunks are there until the next one is asked for. A hard link is the file it links to, which
    must come before it in the archive; as that has gone by, its bytes are read by a second pass, and only
    when they are wanted. Raises IntegrityError for damage, past a limit, and for members that are not
    allowed, ToolchainError where a compression is not supported.
    """
    return _Tar(archive, name, limits).entries()


@dataclass(frozen=True)
class _Seen:
    """A file that has gone by: its number among the members, its size and its executable bit."""

    number: int
    size: int
    executable: bool


class _Tar:
    def __init__(self, archive: Path, name: str, limits: Limits) -> None:
        self._archive = archive
        self._name = name
        self._limits = limits
        self._seen: dict[str, _Seen] = {}
        self._links = 0

    def entries(self) -> Iterator[tree.Entry]:
        for number, (stream, info) in enumerate(self._members()):
            if info.isdir() and is_top(info.name):
                continue
            path = clean(info.name, self._name)
            if info.type in _PLAIN and not _is_sparse(info):
                seen = self._seen[path] = _Seen(number, info.size, bool(info.mode & 0o100))
                yield _file(path, seen, stream.pieces(info.size))
            elif info.issym():
                tree.check_target(path, info.linkname, self._name)
                yield tree.Entry(path, "symlink", target=info.linkname)
            elif info.islnk():
                yield self._hard_link(path, clean(info.linkname, self._name))
            elif not info.isdir():
                refuse(self._name, path, _kind(info))

    def _members(self) -> Iterator[tuple[Stream, tarfile.TarInfo]]:
        with self._archive.open("rb") as raw:
            stream = Stream(raw, self._name, self._limits)
            for info in _headers(stream, self._name):
                stream.tally.add_members(1)
                yield stream, info

    def _hard_link(self, path: str, target: str) -> tree.Entry:
        seen = self._seen.get(target)
        if seen is None:
            raise IntegrityError(
                f"{self._name} has a hard link to what is no earlier file of it\n"
                f"  link    {path!r}\n  target  {target!r}"
            )
        self._seen[path] = seen
        return _file(path, seen, self._again(seen))

    def _again(self, seen: _Seen) -> Iterator[bytes]:
        self._links += 1
        if self._links > _LINKS:
            raise IntegrityError(f"{self._name} has more hard links than are read\n  limit  {_LINKS}")
        rest = itertools.islice(self._members(), seen.number, None)
        stream, info = next(rest)
        yield from stream.pieces(info.size)


def _file(path: str, seen: _Seen, chunks: Iterator[bytes]) -> tree.Entry:
    return tree.Entry(path, "file", size=seen.size, executable=seen.executable, chunks=chunks)


def _is_sparse(info: tarfile.TarInfo) -> bool:
    return info.type == tarfile.GNUTYPE_SPARSE or _SPARSE in info.pax_headers


def _kind(info: tarfile.TarInfo) -> str:
    if _is_sparse(info):
        return "sparse file"
    known = {tarfile.FIFOTYPE: "fifo", tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device"}
    return known.get(info.type, f"type {info.type!r}")


class Stream:
    """The decompressed bytes of a tar archive, forward only; `position` is how many were taken.

    Raises IntegrityError for damage, for an end that comes too soon, and past a limit.
    """

    def __init__(self, raw: BinaryIO, name: str, limits: Limits) -> None:
        self.position = 0
        self.tally = Tally(name, limits)
        self._name = name
        self._file, self._error = _decompressed(raw, name)
        self._buffer = b""
        self._used = 0

    def read(self, size: int) -> bytes:
        """Take exactly that many bytes."""
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        """Take exactly that many bytes, in pieces."""
        end = self.position + size
        while self.position < end:
            start, length = self._advance(end)
            yield self._buffer[start : start + length]

    def skip_to(self, position: int) -> None:
        """Pass over the bytes before a position."""
        while self.position < position:
            self._advance(position)

    def drain(self) -> None:
        """Read to the end, so that the compression's own checksum is looked at."""
        while self._more():
            pass

    def _advance(self, end: int) -> tuple[int, int]:
        """Take what the buffer has before `end`, at least one byte: its start and its length."""
        if self._used == len(self._buffer) and not self._more():
            raise too_short(self._name)
        start = self._used
        length = min(len(self._buffer) - start, end - self.position)
        self._used += length
        self.position += length
        return start, length

    def _more(self) -> bool:
        with damage(self._name, self._error):
            self._buffer = self._file.read(files.PIECE)
        self._used = 0
        self.tally.add_bytes(len(self._buffer))
        return bool(self._buffer)


def _decompressed(raw: BinaryIO, name: str) -> tuple[_Readable, type[Exception]]:
    """Open the decompression that a file name's suffix names, and say what it raises for damage."""
    suffix = name.lower().rpartition(".")[2]
    if suffix in ("gz", "tgz"):
        return gzip.GzipFile(fileobj=raw), gzip.BadGzipFile
    if suffix in ("bz2", "tbz2"):
        return bz2.BZ2File(raw), EOFError
    if suffix in ("xz", "txz"):
        return io.BufferedReader(XzFile(raw), files.PIECE), lzma.LZMAError
    return _zstandard(raw, name) if suffix == "zst" else (raw, EOFError)


def _zstandard(raw: BinaryIO, name: str) -> tuple[_Readable, type[Exception]]:
    try:
        library = importlib.import_module("zstandard")
    except ImportError:
        raise ToolchainError(
            f"{name} is compressed with zstd, which this Python cannot read", hint="`pip install zstandard`"
        ) from None
    reader: _Readable = library.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return reader, library.ZstdError


def _headers(stream: Stream, name: str) -> Iterator[tarfile.TarInfo]:
    """Yield each member's header, with the extended ones before it applied and the stream at its data."""
    common: Records = {}
    own: Records = {}
    while (info := _header(stream, name)) is not None:
        if info.type in _LONG:
            own[_LONG[info.type]] = tree.to_text(_metadata(stream, info.size, name).partition(b"\0")[0])
        elif info.type in _PAX:
            records = _records(_metadata(stream, info.size, name), name)
            (common if info.type == tarfile.XGLTYPE else own).update(records)
        else:
            _apply(common | own, info, name)
            own = {}
            end = stream.position + (_padded(info.size) if info.type in _PLAIN else 0)
            yield info
            stream.skip_to(end)
    stream.drain()


def _header(stream: Stream, name: str) -> tarfile.TarInfo | None:
    """Read a header block; None for the block of zeros that ends an archive."""
    block = stream.read(tarfile.BLOCKSIZE)
    if not any(block):
        return None
    with damage(name):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        return _sized(info)


def _sized(info: tarfile.TarInfo) -> tarfile.TarInfo:
    if info.size < 0:  # GNU's base-256 numbers have a sign
        raise ValueError(f"a member of {info.size} bytes")
    return info


def _metadata(stream: Stream, size: int, name: str) -> bytes:
    if size > LONGEST_METADATA:
        raise IntegrityError(f"{name} has an extended header of {size} bytes\n  limit  {LONGEST_METADATA}")
    return stream.read(_padded(size))[:size]


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _records(data: bytes, name: str) -> Records:
    """Read pax records, each `LENGTH KEY=VALUE` and a newline, LENGTH counting all of it."""
    records: Records = {}
    start = 0
    with damage(name):
        while start < len(data):
            space = data.index(b" ", start, start + 20)
            end = start + _number(tree.to_text(data[start:space]))
            key, equals, value = data[space + 1 : end - 1].partition(b"=")
            if end <= space or not equals or data[end - 1 : end] != b"\n":
                raise ValueError("an extended header has a record that is not of its length")
            word = tree.to_text(key)
            if word in _USED or word.startswith(_SPARSE):
                records[_SPARSE if word.startswith(_SPARSE) else word] = tree.to_text(value)
            start = end
    return records


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("a number in an extended header is none")
    return int(text)


def _apply(records: Records, info: tarfile.TarInfo, name: str) -> None:
    info.pax_headers = records
    info.name = records.get("path", info.name)
    info.linkname = records.get("linkpath", info.linkname)
    if "size" in records:
        with damage(name):
            info.size = _number(records["size"])
