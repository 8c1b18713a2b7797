"""Zip archives (wheels among them) as entries, in the order of their central directory.

Names, modes and sizes come from the central directory (APPNOTE 4.4); `zipfile` checks that the members'
own headers agree on the name, that no more than the declared size comes out, and the CRC.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from recipes import files, tree
from recipes.errors import IntegrityError
from recipes.members import LONGEST_METADATA, Limits, Tally, clean, damage, is_top, refuse

SUFFIXES = (".zip", ".whl")

# What zipfile unpacks a piece at a time; of bzip2 and LZMA it unpacks all that 4 KiB hold, which is gigabytes
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = 30  # bytes before a member's name and data, APPNOTE 4.3.7
_ENCRYPTED = 0x1  # general purpose bit 0, APPNOTE 4.4.4
_UNIX = (3, 19)  # "version made by" of Unix and macOS: only their attributes hold a mode, APPNOTE 4.4.2


def entries(archive: Path, name: str, limits: Limits) -> Iterator[tree.Entry]:
    """Yield the files and links of a zip archive; `name` names it in messages.

    Raises IntegrityError for damage, past a limit (by the declared sizes, before anything is unpacked),
    and for members that are not allowed; damage inside a file shows when its chunks are read.
    """
    with damage(name):
        opened = zipfile.ZipFile(archive)
    with opened:
        infos = opened.infolist()
        tally = Tally(name, limits)
        tally.add_members(len(infos))
        tally.add_bytes(sum(info.file_size for info in infos))
        with damage(name):
            _check_places(infos, opened.start_dir)
        for info in infos:
            entry = _entry(opened, info, name)
            if entry is not None:
                yield entry


def _check_places(infos: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse members that share bytes (Fifield, "A better zip bomb", 2019). Raises BadZipFile."""
    found = sorted((info.header_offset, info.compress_size) for info in infos)
    nexts = [start for start, _ in found[1:]]
    for (start, size), following in zip(found, [*nexts, end], strict=False):  # no member, no next
        if start + _HEADER + size > following:
            raise zipfile.BadZipFile("members overlap")


def _entry(opened: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> tree.Entry | None:
    mode = info.external_attr >> 16 if info.create_system in _UNIX else 0
    kind = stat.S_IFMT(mode)
    directory = info.filename.endswith("/") or kind == stat.S_IFDIR
    if directory and is_top(info.filename):
        return None
    path = clean(info.filename, name)
    if info.flag_bits & _ENCRYPTED:
        refuse(name, path, "encrypted")
    if directory:
        return None
    if info.compress_type not in _METHODS:
        refuse(name, path, f"compressed by method {info.compress_type}")
    if kind == stat.S_IFLNK:
        return _link(opened, info, path, name)
    if kind not in (0, stat.S_IFREG):
        refuse(name, path, f"mode {mode:o}")
    chunks = _chunks(opened, info, name)
    return tree.Entry(path, "file", size=info.file_size, executable=bool(mode & 0o100), chunks=chunks)


def _link(opened: zipfile.ZipFile, info: zipfile.ZipInfo, path: str, name: str) -> tree.Entry:
    if info.file_size > LONGEST_METADATA:
        raise IntegrityError(f"{name} has a symbolic link of {info.file_size} bytes\n  name  {path!r}")
    target = tree.to_text(b"".join(_chunks(opened, info, name)))
    tree.check_target(path, target, name)
    return tree.Entry(path, "symlink", target=target)


def _chunks(opened: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    with damage(name), opened.open(info) as member:
        while chunk := member.read(files.PIECE):
            yield chunk
