"""Conda packages that can be installed: real `.conda` files, the same bytes each time, in a channel."""

from __future__ import annotations

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

PLACEHOLDER = f"/placeholder/{'long/' * 40}end"  # as conda-build's, longer than any prefix that replaces it
DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A package: `files` are text or bytes by path, all executable; PLACEHOLDER in them is the prefix."""

    name: str
    version: str
    files: Mapping[str, str | bytes]
    depends: Sequence[str] = ()
    subdir: str = "linux-64"

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-0.conda"

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
            **({"noarch": "generic"} if self.subdir == "noarch" else {}),
        }

    def data(self) -> bytes:
        """Give the bytes of the file."""
        files = {path: _bytes(one) for path, one in self.files.items()}
        paths = {"paths": [_path(*one) for one in files.items()], "paths_version": 1}
        info = {
            "info/index.json": json.dumps(self.index).encode(),
            "info/paths.json": json.dumps(paths).encode(),
        }
        stem = self.file.removesuffix(".conda")
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
            for name, text in {
                "metadata.json": b'{"conda_pkg_format_version": 2}',
                f"pkg-{stem}.tar.zst": _tar(files),
                f"info-{stem}.tar.zst": _tar(info),
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
    return zstandard.compress(data.getvalue())


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
