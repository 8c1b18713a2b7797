"""Conda packages that can be installed: real `.conda` and `.tar.bz2` files, the same bytes each time."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from recipes.conda.lockfile import CondaPackage

PLACEHOLDER = f"/placeholder/{'long/' * 40}end"  # as conda-build's, longer than any prefix that replaces it
DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A package: `files` are text or bytes by path, all executable; PLACEHOLDER in them is the prefix.

    One of `noarch` is `generic`, or `python` where `programs` are given: entry points, `NAME = MODULE:NAME`.
    """

    name: str
    version: str
    files: Mapping[str, str | bytes]
    depends: Sequence[str] = ()
    subdir: str = "linux-64"
    ending: str = ".conda"
    programs: Sequence[str] = ()

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-0"

    @property
    def file(self) -> str:
        return f"{self.stem}{self.ending}"

    @property
    def index(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "build": "0",
            "build_number": 0,
            "depends": [*self.depends],
            "subdir": self.subdir,
            "timestamp": 1_700_000_000_000,
            **({"noarch": "python" if self.programs else "generic"} if self.subdir == "noarch" else {}),
        }

    def data(self) -> bytes:
        """Give the bytes of the file."""
        files = {path: _bytes(one) for path, one in self.files.items()}
        paths = {"paths": [_path(*one) for one in files.items()], "paths_version": 1}
        info = {
            "info/index.json": json.dumps(self.index).encode(),
            "info/paths.json": json.dumps(paths).encode(),
        }
        if self.programs:
            noarch = {"type": "python", "entry_points": [*self.programs]}
            info["info/link.json"] = json.dumps({"noarch": noarch, "package_metadata_version": 1}).encode()
        if self.ending == ".tar.bz2":
            return bz2.compress(_tar({**info, **files}))
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
            for name, text in {
                "metadata.json": b'{"conda_pkg_format_version": 2}',
                f"pkg-{self.stem}.tar.zst": zstandard.compress(_tar(files)),
                f"info-{self.stem}.tar.zst": zstandard.compress(_tar(info)),
            }.items():
                archive.writestr(zipfile.ZipInfo(name, DATE), text)
        return data.getvalue()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _path(path: str, data: bytes) -> dict[str, Any]:
    row = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    if PLACEHOLDER.encode() in data:
        row |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "binary" if b"\0" in data else "text"}
    return row


def _tar(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text))
    return data.getvalue()


def locked(package: Package, channel: str, sha256: str | None = None) -> CondaPackage:
    """Give a package as a lock has it, by a channel's URL."""
    digest = sha256 or hashlib.sha256(package.data()).hexdigest()
    url = f"{channel}/{package.subdir}/{package.file}"
    where = package.subdir, url, digest
    return CondaPackage(package.name, package.version, "0", "linux-64", *where, "")


def channel(place: Path, packages: Sequence[Package]) -> None:
    """Write a channel: the packages, and an index of each platform."""
    for subdir in sorted({*(one.subdir for one in packages), "noarch"}):
        (place / subdir).mkdir(parents=True)
        rows = {}
        for one in packages:
            if one.subdir == subdir:
                data = one.data()
                (place / subdir / one.file).write_bytes(data)
                rows[one.file] = one.index | {
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
                    "size": len(data),
                }
        repodata = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": rows, "repodata_version": 1}
        (place / subdir / "repodata.json").write_text(json.dumps(repodata))
