"""The `health` command's work: what is known of each input of each variant, graded, with its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from recipes.bisect.budget import Budget
from recipes.health import grade, history, packages, sources
from recipes.health.model import GradedPackage, GradedSource, Health, Package, Point, Source, Variant, worst
from recipes.run import Run


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; see docs/health.md. `kept` is where the history is, None for none."""

    variants: Sequence[str]
    today: date
    budget: Budget | None = None
    kept: Path | None = None


def health(run: Run, wanted: Wanted) -> Health:
    """Find out all about variants, and keep what is worth comparing later. Raises SpecError, LockError."""
    fetcher = run.fetcher()
    with fetcher.store.using():
        asked = sources.Finder(run, fetcher, wanted.budget), packages.Finder(run)
        found = [_variant(run, name, wanted, *asked) for name in wanted.variants]
    return Health(wanted.today, tuple(found))


def _variant(
    run: Run, name: str, wanted: Wanted, of_sources: sources.Finder, of_packages: packages.Finder
) -> Variant:
    specs = run.project().specs(name)
    path = None if wanted.kept is None else wanted.kept / f"{name}.jsonl"
    days = history.read(path) if path else []
    graded = [
        _source(one, wanted.today, history.points(days, one.name, wanted.today))
        for one in of_sources.find(specs)
    ]
    with run.report.task(f"asking for the packages of {name}"):
        boxed = [_package(one, wanted.today) for one in of_packages.find(specs, wanted.today)]
    mark = worst([*(one.grade for one in graded), *(one.grade for one in boxed)])
    found = Variant(name, mark, tuple(graded), tuple(boxed))
    if path is not None:
        history.keep(path, days, found, wanted.today)
    return found


def _source(one: Source, today: date, trend: tuple[Point, ...]) -> GradedSource:
    return GradedSource(one, *grade.source(one, today), trend=trend)


def _package(one: Package, today: date) -> GradedPackage:
    return GradedPackage(one, *grade.package(one, today))
