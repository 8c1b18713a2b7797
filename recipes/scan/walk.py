"""The files of a tree on disk, or of a commit of a repository, that a scan has a reader for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from recipes.errors import UsageError
from recipes.git import Git, Tick
from recipes.scan import reading
from recipes.scan.findings import Unread
from recipes.tree import Filter, to_text

_START = 80  # bytes: enough of a file to see its `#!`


class Walk:
    """Files with their bytes, one at a time, and, once they are all read, what was left out and why."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unread: list[Unread] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Give files in the order of their names. Links are not followed; pipes and devices not opened.

        Raises UsageError where there is no such directory.
        """
        if self.root.is_file():
            yield self.root.name, self.root.read_bytes()
            return
        if not self.root.is_dir():
            raise UsageError(f"no directory `{self.root}` to scan")
        for place, below, names in os.walk(os.fsencode(self.root), onerror=self._shut):
            below[:] = sorted(one for one in below if one != b".git")
            for name in sorted(names):
                yield from self._file(os.path.join(place, name))  # noqa: PTH118 - bytes

    def _file(self, path: bytes) -> Iterator[tuple[str, bytes]]:
        shown = to_text(os.path.relpath(path, os.fsencode(self.root)))
        if not _may_be_read(shown):
            return
        try:
            data = self._bytes(path, shown)
        except OSError as wrong:
            self.unread.append(Unread(shown, f"not read: {wrong.strerror}"))
            return
        if data is not None:
            yield shown, data

    def _bytes(self, path: bytes, shown: str) -> bytes | None:
        info = os.lstat(path)
        if not stat.S_ISREG(info.st_mode):
            return None
        named = reading.kind(shown) is not None
        if named and info.st_size > reading.LARGEST:
            why = f"not read: {info.st_size} bytes, and at most {reading.LARGEST} are"
            self.unread.append(Unread(shown, why))
            return None
        with open(path, "rb") as file:  # noqa: PTH123 - bytes
            start = file.read(_START)
            is_wanted = reading.kind(shown, start) is not None
            return start + file.read(reading.LARGEST) if is_wanted else None

    def _shut(self, wrong: OSError) -> None:
        where = os.path.relpath(os.fsencode(wrong.filename), os.fsencode(self.root))
        self.unread.append(Unread(to_text(where), f"not read: {wrong.strerror}"))


def _may_be_read(path: str) -> bool:
    return reading.kind(path) is not None or reading.may_be_script(path)


class _Readable(Filter):
    """Takes what is named like a file that a scan reads, or may be a script by its first line."""

    def place(self, path: str) -> str | None:
        return path if _may_be_read(path) else None


def commit(git: Git, url: str, ref: str | None, tick: Tick) -> tuple[str, list[tuple[str, bytes]]]:
    """Give a repository's commit and those of its files that a scan reads.

    `ref` is a tag, a branch or a whole commit id; the default branch without it. Raises FetchError and
    SpecError, as `Git.resolve` and `Git.entries` do.
    """
    found = git.resolve(url, ref) if ref else None
    oid = found.commit if found else git.head(url)
    git.fetch(url, oid, found.ref if found else None, tick)
    entries = git.entries(url, oid, _Readable(), tick)
    files = ((one.path, b"".join(one.chunks)) for one in entries if one.kind == "file")
    return oid, [(path, data) for path, data in files if reading.kind(path, data[:_START]) is not None]
