"""What was known of a variant on earlier days: one JSON line a day, in a file of the checkout's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from recipes import files
from recipes.health.model import GRADES, GradedSource, Point, Variant

PLACE = ".health"  # in the checkout; git ignores it


def read(path: Path) -> list[dict[str, Any]]:
    """Read the days that a file has, oldest first; a line that is none (torn, edited) does not count."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = (_day(line) for line in lines)
    return sorted((one for one in found if one is not None), key=lambda one: str(one["date"]))


def _day(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        date.fromisoformat(found["date"])
        return found if isinstance(found["sources"], dict) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def points(days: Sequence[Mapping[str, Any]], source: str, before: date) -> tuple[Point, ...]:
    """Give what the days before one say of a source."""
    found = []
    for day in days:
        when, one = date.fromisoformat(day["date"]), day["sources"].get(source)
        if when < before and isinstance(one, dict) and one.get("grade") in GRADES:
            behind = one.get("behind")
            found.append(Point(when, one["grade"], behind if isinstance(behind, int) else None))
    return tuple(found)


def keep(path: Path, days: Sequence[Mapping[str, Any]], variant: Variant, today: date) -> None:
    """Write a file with one more day; what it says of that day already is replaced."""
    row = {
        "date": today.isoformat(),
        "grade": variant.grade,
        "sources": {one.facts.name: _source(one) for one in variant.sources},
    }
    lines = [*(day for day in days if day["date"] != row["date"]), row]
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, "".join(f"{json.dumps(one)}\n" for one in lines).encode())


def _source(one: GradedSource) -> dict[str, Any]:
    answering = sum(at.answers is True for at in one.facts.origins)
    return {"grade": one.grade, "behind": one.facts.upstream.behind, "origins": answering}
