"""The `lock` command's work: resolve, show the difference, write only what changed; and `--check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from recipes import lock as locks
from recipes import requirements, resolve
from recipes.errors import FetchError, LockError, RecipesError, UsageError
from recipes.fetch import Fetcher
from recipes.located import nearest
from recipes.lock import Lock, LockedSource
from recipes.project import Project
from recipes.report import Report
from recipes.requirements import Requirements
from recipes.spec import Specs

_T = TypeVar("_T")
TOOLCHAIN = "toolchain"  # what stands for the toolchain where sources are named


def lock(project: Project, variants: Sequence[str], names: Sequence[str], fetcher: Fetcher) -> None:
    """Lock variants: all of each, or only the sources that are named.

    Whatever can be resolved is written; then the first failure is raised, if there was one.
    """
    failures: list[RecipesError] = []
    all_specs = [project.specs(variant) for variant in variants]
    for specs in all_specs:
        _known(specs, names)
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


def _known(specs: Specs, names: Sequence[str]) -> None:
    known = [*specs.environment.sources, TOOLCHAIN]
    for name in names:
        if name not in known:
            raise UsageError(f"variant `{specs.variant}` has no source `{name}`{nearest(name, known)}")


def _sources(
    project: Project, specs: Specs, named: frozenset[str] | None, fetcher: Fetcher
) -> Sequence[RecipesError]:
    path, _ = project.lock_files(specs.variant)
    old = _before(path, lambda: project.lock(specs.variant), fetcher.report)
    resolver = resolve.Resolver(fetcher, old, named)
    new = resolver.lock(list(specs.sources()))
    _write(project, path, locks.render(new), list(changes(old, new)), fetcher.report)
    return resolver.failures


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
    _write(project, path, requirements.render(new), list(wheel_changes(old, new)), fetcher.report)
    return []


def _before(path: Path, read: Callable[[], _T], report: Report) -> _T | None:
    """Read the lock so far. One that cannot be read is made anew: that is what its own hint advises."""
    try:
        return read() if path.is_file() else None
    except LockError as error:
        report.warning(f"{error.message}\n  locked anew, as if it were not there")
        return None


def _write(project: Project, path: Path, text: str, difference: Sequence[str], report: Report) -> None:
    name = path.relative_to(project.root)
    if project.write(path, text):
        report.result("\n".join([f"{name}:", *(f"  {line}" for line in difference)]))
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


def changes(old: Lock | None, new: Lock) -> Iterator[str]:
    """Say, a line each, which sources differ between two locks."""
    before = old.sources if old else {}
    for name in sorted({*before, *new.sources}):
        had, has = before.get(name), new.sources.get(name)
        if had is None and has is not None:
            yield f"{name}: new, {_what(has)}"
        elif has is None:
            yield f"{name}: gone"
        elif had is not None and has != had:
            yield (
                f"{name}: {_what(had)} → {_what(has)}"
                if _what(had) != _what(has)
                else f"{name}: asked for anew"
            )


def _what(one: LockedSource) -> str:
    at = [one.ref or "", (one.commit or "")[:12], (one.date or "")[:10], one.hash[:19]]
    return " ".join(part for part in at if part)


def wheel_changes(old: Requirements | None, new: Requirements) -> Iterator[str]:
    """Say, a line each, which wheels differ between two toolchain locks."""
    before = {(one.project, one.platform): one for one in old.wheels} if old else {}
    after = {(one.project, one.platform): one for one in new.wheels}
    for key in sorted({*before, *after}):
        had, has = before.get(key), after.get(key)
        if had != has:
            was = had.version if had else "new"
            now = has.version if has else "gone"
            yield (
                f"{key[0]} for {key[1]}: {was} → {now}"
                if was != now
                else f"{key[0]} for {key[1]}: other file"
            )
