"""What channels have of locked packages, asked by `recipes.conda.lister` in a process of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from recipes import process
from recipes.conda.condalock import Locker
from recipes.conda.lockfile import CondaLock, CondaPackage
from recipes.health.model import Listing

LONGEST = 120.0  # seconds for all channels of a lock


@dataclass(frozen=True)
class Told:
    """What its channels have of a package: the day it was made (UTC), and newer versions, ascending."""

    listing: Listing | None = None
    made: date | None = None
    newer: tuple[str, ...] = ()
    unknown: str | None = None


def ask(locker: Locker, lock: CondaLock, patience: float) -> list[tuple[CondaPackage, Told]]:
    """Ask for all packages of a lock. What cannot be had is told in `Told.unknown`; nothing is raised for it.

    A server has `patience` seconds to take a connection, and `Locker.timeout` for a request.
    """
    asked = {
        **locker.channels(),
        "patience": patience,
        "channels": [*lock.channels],
        "platforms": {one: [_wanted(it) for it in lock.for_platform(one)] for one in lock.platforms},
    }
    try:
        found = _run(locker, asked)
        return [
            pair for one in lock.platforms for pair in _paired(lock.for_platform(one), found.get(one, {}))
        ]
    except (ValueError, TypeError, LookupError, AttributeError) as wrong:
        return [(one, Told(unknown=f"the channels cannot be read: {wrong}")) for one in lock.packages]


def _wanted(one: CondaPackage) -> dict[str, str]:
    return {
        "name": one.name,
        "version": one.version,
        "build": one.build,
        "file": one.file,
        "sha256": one.sha256,
    }


def _run(locker: Locker, asked: Mapping[str, Any]) -> Any:
    argv = [locker.python, "-P", "-m", "recipes.conda.lister"]
    with tempfile.TemporaryDirectory(prefix="recipes-conda-") as made:
        env = locker.environment(Path(made))
        try:
            ended = process.run(argv, env=env, stdin=json.dumps(asked).encode(), timeout=LONGEST)
        except process.Timeout as wrong:
            raise ValueError(f"they took longer than {wrong.seconds:g} seconds") from wrong
    if ended.code:
        said = ended.err.decode(errors="replace").strip().splitlines()
        raise ValueError(said[-1] if said else f"exit code {ended.code}")
    return json.loads(ended.out)


def _paired(packages: Sequence[CondaPackage], found: Mapping[str, Any]) -> list[tuple[CondaPackage, Told]]:
    if "packages" not in found:
        return [(one, Told(unknown=str(found.get("unknown")))) for one in packages]
    return [(one, _told(it)) for one, it in zip(packages, found["packages"], strict=True)]


def _told(found: Mapping[str, Any]) -> Told:
    at = found["timestamp"]
    made = None if at is None else datetime.fromtimestamp(at / 1000, UTC).date()
    return Told(found["listing"], made, tuple(found["newer"]))
