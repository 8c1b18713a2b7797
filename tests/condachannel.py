"""A small conda channel: an index of made-up packages, in a directory. There are no packages behind it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recipes.conda.block import Conda
from recipes.conda.channels import Condarc
from recipes.conda.condalock import Locker
from recipes.conda.lockfile import CondaLock

CHANNEL = "https://channel.example/team"
DEPENDENCIES = ["python=3.11", "cmake>=3.26,<4", "tool"]
SPECIAL = {"linux-64": ["gxx_linux-64=13"], "osx-arm64": ["clang"]}
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
DAY = 86_400_000  # milliseconds
EPOCH = (
    1_700_000_000_000  # 2023-11-14T22:13:20Z, when the first packages came; those of version N.1 a day later
)

_TOOLS: Mapping[str, Sequence[tuple[str, Sequence[str]]]] = {
    "python": [("3.11.1", ["zlib"]), ("3.11.2", ["zlib"]), ("3.12.0", ["zlib"])],
    "cmake": [("3.30.0", ["zlib"]), ("3.31.0", ["zlib >=1.3"]), ("4.0.0", ["zlib >=1.3"])],
    "zlib": [("1.2", []), ("1.3", [])],
    "gxx_linux-64": [("13.1", ["__glibc >=2.17", "zlib"])],
    "clang": [("19.1", ["__osx >=11.0"])],
}
_WHERE = {"gxx_linux-64": ("linux-64",), "clang": ("osx-arm64",)}
SUBDIRS = ("linux-64", "linux-aarch64", "osx-arm64", "noarch")


def record(name: str, version: str, depends: Sequence[str], subdir: str, at: int) -> dict[str, Any]:
    """Make a package's entry in an index."""
    text = f"{name} {version} {subdir}".encode()
    return {
        "name": name,
        "version": version,
        "build": "h0_0",
        "build_number": 0,
        "depends": [*depends],
        "subdir": subdir,
        "md5": hashlib.md5(text, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(text).hexdigest(),
        "size": len(text),
        "timestamp": EPOCH + at * DAY,
    }


def index(subdir: str) -> dict[str, dict[str, Any]]:
    """Give one platform's packages, by file name; `tool` is the one of `noarch`."""
    if subdir == "noarch":
        return {"tool-1.0-h0_0.conda": record("tool", "1.0", ["python"], "noarch", 0)}
    return {
        f"{name}-{version}-h0_0.conda": record(name, version, depends, subdir, at)
        for name, versions in _TOOLS.items()
        if subdir in _WHERE.get(name, SUBDIRS)
        for at, (version, depends) in enumerate(versions)
    }


def make(place: Path, *, without: Sequence[str] = (), base_url: str | None = None) -> Path:
    """Write the index below a directory, without some of the files; `base_url` is CEP 15's."""
    for subdir in SUBDIRS:
        packages = {file: one for file, one in index(subdir).items() if file not in without}
        info = {"subdir": subdir, **({"base_url": f"{base_url}/{subdir}/"} if base_url else {})}
        write(
            place, subdir, {"info": info, "packages": {}, "packages.conda": packages, "repodata_version": 1}
        )
    return place


def write(place: Path, subdir: str, repodata: Mapping[str, Any]) -> None:
    """Write what a channel says of one platform."""
    (place / subdir).mkdir(parents=True, exist_ok=True)
    (place / subdir / "repodata.json").write_text(json.dumps(repodata))


def real() -> Path:
    """Give an index of conda-forge's own records, or skip the test: `RECIPES_TEST_CONDA_INDEX` names one."""
    named = os.environ.get("RECIPES_TEST_CONDA_INDEX")
    if not named or not (Path(named) / "linux-64/repodata.json").is_file():
        pytest.skip("RECIPES_TEST_CONDA_INDEX names no directory with conda-forge's index")
    return Path(named)


def block(**more: Any) -> Conda:
    """Ask the channel for something on each platform."""
    asked = {"channels": [CHANNEL], "dependencies": DEPENDENCIES, "platform_dependencies": SPECIAL}
    return Conda.model_validate({**asked, **more})


def locker(home: Path, *mirrors: str | Path, **more: Any) -> Locker:
    """Make what locks, for a user whose home is empty, with these places asked in the channel's place."""
    told = mirrored(*mirrors) if mirrors else Condarc()
    return replace(Locker(sys.executable, ENV | {"HOME": str(home)}, told, {}), **more)


def mirrored(*places: str | Path, name: str = CHANNEL) -> Condarc:
    """Say where a channel is asked."""
    return Condarc(mirrored={name: tuple(one if isinstance(one, str) else one.as_uri() for one in places)})


def versions(lock: CondaLock, platform: str = "linux-64") -> dict[str, str]:
    """Give the versions that are locked for a platform, by name."""
    return {one.name: one.version for one in lock.for_platform(platform)}
