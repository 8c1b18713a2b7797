"""A file as named parts, where its format is known: ELF, ar, zip, tar, gzip. Pure: bytes to values.

What is damaged, encrypted or larger unpacked than `LARGEST` is not taken apart.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from recipes.verify import elf

LARGEST = 1 << 28  # bytes of one file, or of all that is packed in it, that are looked at

_AR, _AR_HEADER = b"!<arch>\n", 60
_GZIP, _GZIP_HEADER = b"\x1f\x8b\x08", 10
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257


@dataclass(frozen=True)
class Part:
    """A part of a file: its name, its bytes, and where in the file they begin (None: they are packed)."""

    name: str
    data: bytes
    start: int | None = None


def split(data: bytes) -> list[Part] | None:
    """Take a file apart; None where it has no known format, or is damaged."""
    for reader in (_elf, _ar, _zip, _gzip, _tar):
        try:
            found = reader(data)
        except (ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, RuntimeError):
            found = (
                None  # RuntimeError and its NotImplementedError: zipfile's, for what is encrypted or unknown
            )
        if found is not None:
            return found
    return None


def _elf(data: bytes) -> list[Part] | None:
    spans = elf.spans(data)
    return None if spans is None else [Part(one.name, data[one.start : one.end], one.start) for one in spans]


def _ar(data: bytes) -> list[Part] | None:
    if not data.startswith(_AR):
        return None
    found, long_names, place = [], b"", len(_AR)
    while place < len(data):
        header, start = data[place : place + _AR_HEADER], place + _AR_HEADER
        size = int(header[48:58])
        if size < 0 or start + size > len(data):
            raise ValueError(size)
        body, raw = data[start : start + size], header[:16].rstrip(b" ")
        if raw == b"//":
            long_names = body
        name = _ar_name(raw, long_names)
        found += [Part(f"header of {name}", header, place), Part(name, body, start)]
        place = start + size + size % 2
    return found


def _ar_name(raw: bytes, long_names: bytes) -> str:
    """Give a member's name; GNU ar keeps long ones in the member `//` and writes `/OFFSET`."""
    if raw in (b"/", b"//", b"/SYM64/"):
        return {b"/": "symbol table", b"//": "long names"}.get(raw, "symbol table")
    if raw.startswith(b"/") and raw[1:].isdigit():
        raw = long_names[int(raw[1:]) :].partition(b"\n")[0]
    return raw.rstrip(b"/").decode("utf-8", "backslashreplace")


def _zip(data: bytes) -> list[Part] | None:
    if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(one.file_size for one in members) > LARGEST:
            return None
        return [
            part for one in members for part in _member(_zip_header(one), one.filename, archive.read(one))
        ]


def _zip_header(one: zipfile.ZipInfo) -> str:
    year, month, day, hour, minute, second = one.date_time
    when = f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
    mode = f"mode {one.external_attr >> 16:o}"
    return (
        f"{when} {mode} system {one.create_system} compression {one.compress_type} extra {one.extra.hex()}\n"
    )


def _member(header: str, name: str, data: bytes) -> Iterator[Part]:
    yield Part(f"header of {name}", header.encode())
    yield Part(name, data)


def _gzip(data: bytes) -> list[Part] | None:
    if not data.startswith(_GZIP):
        return None
    unpacked = _inflated(data)
    return (
        None
        if unpacked is None
        else [Part("gzip header", data[:_GZIP_HEADER], 0), Part("unpacked", unpacked)]
    )


def _inflated(data: bytes) -> bytes | None:
    stream = zlib.decompressobj(wbits=31)  # 16 + 15: with gzip's header
    unpacked = stream.decompress(data, LARGEST)
    return unpacked if stream.eof and not stream.unused_data else None


def _tar(data: bytes) -> list[Part] | None:
    if data[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)] != _TAR_MAGIC:
        return None
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return [part for one in archive for part in _tar_member(one, archive.extractfile)]


def _tar_member(one: tarfile.TarInfo, read: Callable[[tarfile.TarInfo], IO[bytes] | None]) -> Iterator[Part]:
    header = (
        f"type {one.type.decode('ascii', 'backslashreplace')} mode {one.mode:o} time {one.mtime} "
        f"owner {one.uid} {one.uname} group {one.gid} {one.gname} link {one.linkname}\n"
    )
    name = one.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    data = b""
    if one.isreg() and not one.issparse() and (file := read(one)) is not None:
        data = file.read()
    yield from _member(header.encode("utf-8", "backslashreplace").decode(), name, data)
