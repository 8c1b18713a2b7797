"""What package indexes and conda's channels say of the packages that a variant has locked.

Nothing that they do not say is an error: it is None, and `unknown` says why. A project is asked for once,
however many variants, platforms and versions of Python have it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from recipes.conda import listed
from recipes.conda.listed import Told
from recipes.conda.lockfile import CondaLock, CondaPackage
from recipes.errors import RecipesError, one_line
from recipes.health.model import Listing, Package, PackageKind
from recipes.health.releases import Release, fits, newer, releases
from recipes.pypi import PYTHON
from recipes.requirements import Requirements, Wheel

if TYPE_CHECKING:
    from recipes.listing import Listed
    from recipes.project import Project
    from recipes.pypi import Index
    from recipes.run import Run
    from recipes.spec import Specs

PARALLEL = 8  # projects that are asked for at once
_LONGEST = 300  # characters of what strangers wrote
_WORST: tuple[Listing, ...] = ("listed", "another hash", "withdrawn")


def find(run: Run, specs: Specs, today: date) -> tuple[Package, ...]:
    """Give what is known of the packages that one variant has locked: see `Finder.find`."""
    return Finder(run).find(specs, today)


@dataclass(frozen=True)
class _Answer:
    """What all indexes together have of a project."""

    files: Sequence[Listed] = ()
    silent: str | None = None


@dataclass
class Finder:
    """Finds what is known of packages; keeps it, as variants mostly share them."""

    run: Run
    _projects: dict[str, _Answer] = field(default_factory=dict)
    _conda: dict[CondaLock, tuple[Package, ...]] = field(default_factory=dict)

    def find(self, specs: Specs, today: date) -> tuple[Package, ...]:
        """Give every locked package of a variant once a version: toolchain, development, conda; by name.

        What was released after `today` is not counted. Raises LockError where a lock is missing or damaged.
        """
        project, variant = self.run.project(), specs.variant
        toolchain, development = project.toolchain(variant), _development(project, specs)
        self._ask({one.project for one in (*toolchain.wheels, *development.wheels)})
        asked = specs.environment.development
        pythons = asked.python if asked else ()
        found = [
            *self._wheels("toolchain", toolchain, (PYTHON,), today),
            *self._wheels("development", development, pythons or (PYTHON,), today),
        ]
        if specs.environment.conda is not None:
            found += self._conda_packages(project.conda_lock(variant))
        return tuple(found)

    def _ask(self, projects: Iterable[str]) -> None:
        """Ask for projects; for the first alone, as an index that is silent is so for all."""
        missing = sorted({*projects} - self._projects.keys())
        if not missing:
            return
        with self.run.fetcher().index as index, ThreadPoolExecutor(PARALLEL) as pool:
            ask = functools.partial(_asked, index)
            self._projects[missing[0]] = ask(missing[0])
            self._projects |= zip(missing[1:], pool.map(ask, missing[1:]), strict=True)

    def _wheels(
        self, kind: PackageKind, locked: Requirements, pythons: Sequence[str], today: date
    ) -> list[Package]:
        groups: dict[tuple[str, str], list[Wheel]] = {}
        for one in sorted(locked.wheels, key=lambda it: (it.project, it.version)):
            groups.setdefault((one.project, one.version), []).append(one)
        return [
            _package(Package(kind, *key), them, self._projects[key[0]], pythons, today)
            for key, them in groups.items()
        ]

    def _conda_packages(self, lock: CondaLock) -> tuple[Package, ...]:
        if lock not in self._conda:
            self._conda[lock] = tuple(_conda(self.run, lock))
        return self._conda[lock]


def _development(project: Project, specs: Specs) -> Requirements:
    return project.development(specs.variant) if specs.environment.development else Requirements()


def _asked(index: Index, project: str) -> _Answer:
    try:
        files, silent = index.listed(project)
    except RecipesError as wrong:
        return _Answer(silent=_short(wrong.message))
    return _Answer(files, _short("; ".join(silent)) if silent else None)


def _short(text: str) -> str:
    text = one_line(" ".join(text.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _package(
    bare: Package, wheels: Sequence[Wheel], answer: _Answer, pythons: Sequence[str], today: date
) -> Package:
    """Say what an index has of wheels of one version. Where it is silent on one of them, nothing is known."""
    by_name: dict[str, list[Listed]] = {}
    for one in answer.files:
        by_name.setdefault(one.file, []).append(one)
    states = [_listing(one, by_name.get(one.file, ())) for one in wheels]
    worst = max(states, key=_WORST.index)
    if answer.silent and worst != "listed":
        return replace(bare, unknown=answer.silent)
    found = releases(bare.name, answer.files, today)
    after = newer(bare.version, [_fitting(one, pythons) for one in wheels], found)
    newest = after[-1].text if after else bare.version
    released = next((one.released for one in found if one.is_version(bare.version)), None)
    yanked = _yanked(one for name in {one.file for one in wheels} for one in by_name.get(name, ()))
    return replace(bare, released=released, newest=newest, newer=len(after), yanked=yanked, listing=worst)


def _listing(wheel: Wheel, files: Sequence[Listed]) -> Listing:
    if any(one.sha256 in (None, wheel.sha256) for one in files):
        return "listed"
    return "another hash" if files else "withdrawn"


def _fitting(wheel: Wheel, pythons: Sequence[str]) -> Callable[[Release], bool]:
    """Give the question whether a release has a file for all that a locked wheel is for."""
    wanted = (wheel.python,) if wheel.python else pythons
    return lambda release: all(
        any(fits(one, wheel.platform, python) for one in release.files) for python in wanted
    )


def _yanked(files: Iterable[Listed]) -> str | bool:
    reasons = {_short(one.yanked) for one in files if one.yanked is not None}
    return next((one for one in sorted(reasons) if one), True) if reasons else False


def _conda(run: Run, lock: CondaLock) -> list[Package]:
    try:
        locker, patience = run.locker(), run.settings().timeout
    except RecipesError as wrong:
        answers = [(one, Told(unknown=_short(wrong.message))) for one in lock.packages]
    else:
        answers = listed.ask(locker, lock, patience)
    groups: dict[tuple[str, str], list[tuple[CondaPackage, Told]]] = {}
    for one, told in sorted(answers, key=lambda it: (it[0].name, it[0].version)):
        groups.setdefault((one.name, one.version), []).append((one, told))
    return [_conda_package(Package("conda", *key), [it for _, it in them]) for key, them in groups.items()]


def _conda_package(bare: Package, told: Sequence[Told]) -> Package:
    unknown = next((one.unknown for one in told if one.unknown is not None), None)
    states = [one.listing for one in told if one.listing is not None]
    if unknown is not None or not states:
        return replace(bare, unknown=_short(unknown or "the channels say nothing of it"))
    newer_ = [one for one in told[0].newer if all(one in it.newer for it in told)]
    return replace(
        bare,
        released=max((one.made for one in told if one.made), default=None),
        newest=newer_[-1] if newer_ else bare.version,
        newer=len(newer_),
        listing=max(states, key=_WORST.index),
    )
