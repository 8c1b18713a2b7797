"""The `lock` command's work: resolve, show the difference, write only what changed; and `--check`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from recipes import compare, dates, diff, requirements, resolve
from recipes import lock as locks
from recipes.diff import Difference
from recipes.errors import FetchError, LockError, RecipesError, UsageError
from recipes.fetch import Fetcher
from recipes.located import nearest
from recipes.lock import Lock
from recipes.project import Project
from recipes.report import Report
from recipes.requirements import Requirements
from recipes.spec import Specs

_T = TypeVar("_T")
TOOLCHAIN = "toolchain"  # what stands for the toolchain where sources are named


def lock(project: Project, variants: Sequence[str], names: Sequence[str], fetcher: Fetcher) -> None:
    """Lock variants: all of each, or only the sources that are named, in the variants that have them.

    Whatever can be resolved is written; then the first failure is raised, if there was one.
    """
    failures: list[RecipesError] = []
    all_specs = _having(project, variants, names)
    with fetcher.store.using():
        for specs in all_specs:
            if not names or TOOLCHAIN in names:
                failures += _toolchain(project, specs, fetcher)
            if not names or set(names) - {TOOLCHAIN}:
                failures += _sources(project, specs, frozenset(names) or None, fetcher)
    if failures:
        told = list(dict.fromkeys(one.message for one in failures))
        raise FetchError(
            "\n".join(["not everything could be resolved; what could not keeps its lock", *told]),
            hint="try again with a network that reaches it, or name a mirror in RECIPES_MIRROR",
        )


def lock_at(
    project: Project, variants: Sequence[str], at: datetime, output: Path | None, fetcher: Fetcher
) -> None:
    """Lock variants as if each branch had `before: AT`, into files of their own, and print the difference.

    The file is `output`, else `locks/VARIANT@AT.lock.yaml`. It says `before` of each branch, so it does not
    answer the variant's specs, and the variant's own locks stay as they are: it is for `recipes diff`.
    Nothing is written unless everything could be resolved.
    """
    if output is not None and len(variants) != 1:
        raise UsageError(
            "`--output` is one file, and there are several variants", hint="name one: `--variant`"
        )
    with fetcher.store.using():
        for specs in [project.specs(variant) for variant in variants]:
            path, old = _old(project, specs.variant, fetcher.report)
            new = resolve.Resolver(fetcher, old, at=at).lock(list(specs.sources()))
            day = dates.written(at).replace(":", "")  # which some file systems do not have in names
            place = output or path.with_name(f"{specs.variant}@{day}.lock.yaml")
            difference = _changes(old, new, fetcher) or f"no difference from the lock of `{specs.variant}`"
            _write(project, place, locks.render(new), difference, fetcher.report)


def _having(project: Project, variants: Sequence[str], names: Sequence[str]) -> list[Specs]:
    """Read the specs of the variants that have what is named. Raises UsageError for what none has."""
    found = [project.specs(variant) for variant in variants]
    for name in names:
        known = sorted({TOOLCHAIN, *(source for specs in found for source in specs.environment.sources)})
        if name not in known:
            who = f"variant `{variants[0]}` has no" if len(variants) == 1 else "no variant has a"
            raise UsageError(f"{who} source `{name}`{nearest(name, known)}")
    wanted = {*names}
    return [specs for specs in found if not names or wanted & {TOOLCHAIN, *specs.environment.sources}]


def _sources(
    project: Project, specs: Specs, named: frozenset[str] | None, fetcher: Fetcher
) -> Sequence[RecipesError]:
    path, old = _old(project, specs.variant, fetcher.report)
    resolver = resolve.Resolver(fetcher, old, named if old else None)
    new = resolver.lock(list(specs.sources()))
    _write(project, path, locks.render(new), _changes(old, new, fetcher), fetcher.report)
    return resolver.failures


def _old(project: Project, variant: str, report: Report) -> tuple[Path, Lock | None]:
    path, _ = project.lock_files(variant)
    return path, _before(path, lambda: project.lock(variant), report)


def _changes(old: Lock | None, new: Lock, fetcher: Fetcher) -> str:
    return diff.text(Difference(compare.sources(old or Lock(sources={}), new, fetcher.git, fetcher.report)))


def _toolchain(project: Project, specs: Specs, fetcher: Fetcher) -> Sequence[RecipesError]:
    _, path = project.lock_files(specs.variant)
    old = _before(path, lambda: project.toolchain(specs.variant), fetcher.report)
    try:
        with fetcher.report.task(f"resolving the toolchain of {specs.variant}") as task:
            new = resolve.toolchain(
                specs.environment, lambda asked, on: fetcher.index.resolve(asked, on, task)
            )
    except FetchError as error:
        if old is None:
            raise
        return [error]
    difference = diff.text(Difference(wheels=diff.wheels(old or Requirements(), new)))
    _write(project, path, requirements.render(new), difference, fetcher.report)
    return []


def _before(path: Path, read: Callable[[], _T], report: Report) -> _T | None:
    """Read the lock so far. One that cannot be read is made anew: that is what its own hint advises."""
    try:
        return read() if path.is_file() else None
    except LockError as error:
        report.warning(f"{error.message}\n  locked anew, as if it were not there")
        return None


def _write(project: Project, path: Path, text: str, difference: str, report: Report) -> None:
    name = path.relative_to(project.root) if path.is_relative_to(project.root) else path
    if project.write(path, text):
        what = (
            f":\n{textwrap.indent(difference, '  ')}"
            if difference
            else " is written anew, to the same effect"
        )
        report.result(f"{name}{what}")
    else:
        report.line(f"{name} is up to date")


def check(project: Project, variants: Sequence[str], report: Report) -> None:
    """Look, without a network, that locks answer their specs. Raises LockError with all that is wrong."""
    sentences = []
    for variant in variants:
        specs = project.specs(variant)
        try:
            satisfied(specs, project.lock(variant), project.toolchain(variant))
        except LockError as error:
            sentences.append(error.message)
        else:
            report.line(f"the locks of `{variant}` answer its specs")
    if sentences:
        raise LockError("\n".join(sentences), hint="`recipes lock`, then read the difference")


def satisfied(specs: Specs, lock: Lock, toolchain: Requirements) -> None:
    """Raise LockError, in sentences, where a variant's locks do not answer its specs."""
    environment = specs.environment
    found = locks.unsatisfied(lock, list(specs.sources()))
    found += requirements.unsatisfied(toolchain, environment.pypi, environment.platforms)
    if found:
        raise LockError(
            "\n".join(
                [f"the locks of `{specs.variant}` do not answer its specs", *(f"  {one}" for one in found)]
            ),
            hint=f"`recipes lock --variant {specs.variant}`, then read the difference",
        )
