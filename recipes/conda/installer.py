"""The program that installs conda packages from files, on py-rattler: `python -m recipes.conda.installer`.

Standard input is JSON: `packages`, each with `file`, `url` and `sha256`; `target`, the directory to make;
`prefix`, the path that is written into files in its place, or null; `platform`; `cache`, a private directory.
It uses no network, and runs no script of a package. What fails is said in one line on standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import rattler
from rattler.package_streaming import extract

from recipes import files


def record(package: dict[str, str], place: Path) -> rattler.RepoDataRecord:
    """Make the record of a package out of what is in it; `place` is for the while."""
    file = Path(package["file"])
    actual = files.sha256(file)  # py-rattler looks at no hash of what a `file:` URL names
    if actual != package["sha256"]:
        raise ValueError(f"{file} does not have its hash: expected {package['sha256']}, actual {actual}")
    extract(file, place)
    inside = rattler.PackageRecord.from_index_json(place / "info/index.json", sha256=package["sha256"])
    name, channel = package["url"].rpartition("/")[2], package["url"].rsplit("/", 2)[0]
    return rattler.RepoDataRecord(inside, name, file.as_uri(), channel)


async def install(asked: dict[str, Any]) -> None:
    """Install all packages."""
    cache = Path(asked["cache"])
    (cache / "records").mkdir()
    records = [
        record(package, cache / "records" / str(count)) for count, package in enumerate(asked["packages"])
    ]
    await rattler.install(
        records,
        asked["target"],
        cache_dir=cache / "packages",
        platform=rattler.Subdir(asked["platform"]),
        execute_link_scripts=False,
        show_progress=False,
        alternative_target_prefix=asked["prefix"],
    )


def main() -> int:
    """Do what standard input asks for; give the exit code."""
    try:
        asyncio.run(install(json.load(sys.stdin)))
    except Exception as wrong:  # noqa: BLE001 - py-rattler raises what it likes, and all of it is told
        sys.stderr.write(f"{' '.join(str(wrong).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # a process that ends the ordinary way after py-rattler has been awaited crashes every second time
    # (PyO3/pyo3-async-runtimes#40)
    os._exit(code)
