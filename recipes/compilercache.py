"""What compilers keep between builds, in the store: an archive for each kind of build, named by its hash.

    cache/KEY/SHA256.tar   what /cache had in it after a build, KEY being `HASH-COMPONENT`

Builds have one KEY when they are of one component and agree in all that a compiler sees and does not hash
itself: the tools, the wrappers, the environment, the platforms, the kind of sandbox. An archive is used only
if its bytes have the SHA-256 that is its name, and only whole. It is written aside and renamed, so nothing is
locked: of two builds that end at once the later one's stays, and what another process removed is not missed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from recipes import caching, files, hashes, tarfiles, toolchain, tree, treewriter
from recipes.derivations import Build
from recipes.errors import RecipesError
from recipes.members import Limits
from recipes.report import Report
from recipes.tree import Filter

FORMAT = 1  # raised whenever what was kept before is not to be used
Use: TypeAlias = Literal["none", "read", "keep"]  # what a build does with what earlier ones left

# of a derivation, what a compiler hashes itself (or does not see)
_HASHED_BY_THE_COMPILER = {"sources", "inputs", "files", "phases", "options", "outputs", "check"}
_SHARE = 4  # one archive may have this part of the limit: it is unpacked for each build of its kind
_ENDING = ".tar"


def serves(build: Build) -> bool:
    """Say whether a build may have a cache: it compiles, and sees nothing but its inputs."""
    return bool(build.programs) and build.sandbox != "none"


def key(build: Build, ccache: str | None = None) -> str:
    """Name the builds that share a cache with this one: `HASH-COMPONENT`; `ccache` is a store path."""
    seen = {name: value for name, value in build.identity().items() if name not in _HASHED_BY_THE_COMPILER}
    seen |= {"cache": FORMAT, "programs": caching.wrappers(build.programs, ccache)}
    return f"{hashes.store_hash(json.dumps(seen, sort_keys=True))}-{build.component}"


_SAID = "### compiler cache: "


def says(used: str | None) -> str:
    """Give the line with which the log of a build with a cache begins."""
    return f"{_SAID}{f'sha256:{used}' if used else 'empty'}\n"


def used(log: Path) -> tuple[str, ...]:
    """Give the SHA-256 of the archives that a build began with, from its log, which may be missing."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            found = re.fullmatch(rf"{_SAID}sha256:([0-9a-f]{{64}})\n", file.readline(200))
    except FileNotFoundError:
        return ()
    return (found[1],) if found else ()


@dataclass(frozen=True)
class CompilerCache:
    """The archives below `root`: at most `limit` bytes together; what was not used longest goes first.

    With `read_only`, builds use what is there and add nothing. `ccache` is the store path of its wheel,
    which is there; without it, compilers keep only what they keep themselves.
    """

    root: Path
    limit: int
    report: Report
    read_only: bool = False
    ccache: str | None = None

    def shown(self, build: Build) -> Build:
        """Give a build as its sandbox is to show it: with compilers that use the cache."""
        tools = {**build.tools, toolchain.CCACHE: self.ccache} if self.ccache else build.tools
        return dataclasses.replace(build, tools=tools, programs=caching.wrappers(build.programs, self.ccache))

    def restore(self, build: Build, directory: Path) -> str | None:
        """Fill an empty directory with what an earlier build of this kind left; give the archive's SHA-256.

        None where there is no archive. One that is damaged is removed, and a line says so.
        """
        for archive in self._archives(key(build, self.ccache)):
            try:
                _unpack(archive, directory)
            except FileNotFoundError:  # another process has just put its own in its place
                continue
            except RecipesError as error:
                self._drop(archive, error.message)
                files.remove(directory)
                directory.mkdir()
            else:
                with contextlib.suppress(OSError):  # a store that can only be read
                    os.utime(archive)
                self.report.detail(f"{build.component}: compiler cache sha256:{archive.stem} is used")
                return archive.stem
        return None

    def keep(self, build: Build, directory: Path, aside: Path) -> str | None:
        """Keep what is in a directory after a build that went well; give the new archive's SHA-256.

        `aside` is where it is written first: a new file on the store's file system. None where it is not
        kept. A disk that is full, and the like, is told in a line: the build is good without.
        """
        if self.read_only:
            return None
        try:
            return self._keep(key(build, self.ccache), directory, aside)
        except OSError as error:
            self.report.line(f"{build.component}: the compiler cache is not kept: {error.strerror}")
            return None

    def _keep(self, name: str, directory: Path, aside: Path) -> str | None:
        found = list(_kept(directory))
        earlier = self._archives(name)
        if sum(info.st_size for _, info in found) > self.limit // _SHARE:
            digest = None  # the next build begins with nothing: what went unused for long is not told apart
        else:
            digest = _pack(directory, found, aside)
            _place(aside, self.root / name / f"{digest}{_ENDING}")
        for archive in earlier:
            if archive.stem != digest:
                evict(archive)
        self._trim()
        return digest

    def _drop(self, archive: Path, why: str) -> None:
        self.report.line(f"compiler cache: {archive} is not used, and removed: {why.splitlines()[0]}")
        with contextlib.suppress(OSError):
            evict(archive)

    def _archives(self, name: str) -> list[Path]:
        """List the archives of a key, the newest first."""
        return [path for path, _ in _newest_first((self.root / name).glob(f"*{_ENDING}"))]

    def _trim(self) -> None:
        total = 0
        for path, size in _newest_first(self.root.glob(f"*/*{_ENDING}")):
            total += size
            if total > self.limit:
                evict(path)


def evict(archive: Path) -> None:
    """Remove an archive, and the directory of its key with the last one. None there is fine."""
    files.remove(archive)
    with contextlib.suppress(OSError):  # another one is in it
        archive.parent.rmdir()


def _place(aside: Path, archive: Path) -> None:
    """Put an archive into its key's directory, which another process may remove while it is empty."""
    while aside.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            aside.replace(archive)


def _newest_first(paths: Iterator[Path]) -> list[tuple[Path, int]]:
    """Order by when they were used last; give sizes in bytes."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            info = path.stat()
            found.append((info.st_mtime_ns, path, info.st_size))
    return [(path, size) for _, path, size in sorted(found, reverse=True)]


def _unpack(archive: Path, directory: Path) -> None:
    """Unpack an archive whose bytes are those of its name; FileNotFoundError, else RecipesError."""
    try:
        actual = files.sha256(archive)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecipesError(f"it cannot be read: {error.strerror}") from None
    if actual != archive.stem:
        raise RecipesError(f"its bytes have the SHA-256 {actual}")
    writer = treewriter.TreeWriter(directory, Filter(), archive.name)
    for entry in tarfiles.entries(archive, archive.name, Limits()):
        writer.take(entry)
    writer.close()


def _kept(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """List the files to keep, in one order; what is no regular file, or has no proper name, is left out."""
    for top, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(top, name), directory)  # noqa: PTH118 - keeps any bytes
            info = os.lstat(directory / path)
            if stat.S_ISREG(info.st_mode) and not path.startswith(caching.LEFT_OUT):
                with contextlib.suppress(RecipesError):
                    tree.check_name(path, "the cache")
                    yield path, info


def _pack(directory: Path, found: list[tuple[str, os.stat_result]], aside: Path) -> str:
    """Write a tar archive that is the same for the same files; give the SHA-256 of what was written."""
    with aside.open("xb") as file:
        hashed = _Hashed(file)
        with tarfile.open(
            fileobj=hashed, mode="w|", bufsize=files.PIECE, format=tarfile.PAX_FORMAT
        ) as archive:
            for path, info in found:
                data = (directory / path).read_bytes()
                if path.startswith(caching.MANIFESTS):
                    data = caching.distrustful(data)
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(data), 0o755 if info.st_mode & stat.S_IXUSR else 0o644
                archive.addfile(member, io.BytesIO(data))
    aside.chmod(0o444)
    return hashed.digest.hexdigest()


class _Hashed(io.RawIOBase):
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        return self._file.write(data)
