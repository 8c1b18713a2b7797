"""The `lock` command's work: resolve, show the difference, write only what changed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from recipes import compare, dates, diff, requirements, resolve, resolvewheels
from recipes import lock as locks
from recipes.conda import locking as conda
from recipes.conda.condalock import Locker
from recipes.diff import Difference
from recipes.errors import FetchError, RecipesError, UsageError
from recipes.fetch import Fetcher
from recipes.held import HeldPackage, HeldSource, told
from recipes.located import nearest
from recipes.lock import Lock
from recipes.lockfiles import before, write
from recipes.project import Project
from recipes.report import Report, Task
from recipes.requirements import Requirements, Wheel
from recipes.spec import Specs

TOOLCHAIN = "toolchain"  # what stands for the toolchain where sources are named
DEVELOPMENT = "development"  # what stands for the packages of development environments
CONDA = "conda"  # what stands for the conda environment


def lock(
    project: Project,
    variants: Sequence[str],
    names: Sequence[str],
    fetcher: Fetcher,
    locker: Locker | None = None,
) -> None:
    """Lock variants: all of each, or only the sources that are named, in the variants that have them.

    `locker` solves conda environments; without it they are left out.
    Whatever can be resolved is written; then all failures are raised as one error (see `_failure`).
    """
    failures: list[RecipesError] = []
    stopped: list[RecipesError] = []

    def attempt(part: Callable[..., Sequence[RecipesError]], *given: object) -> None:
        try:
            failures.extend(part(*given))
        except RecipesError as error:
            failures.append(error)
            stopped.append(error)

    all_specs = _having(project, variants, names)
    packages = functools.cache(  # most variants ask for the same
        lambda asked, platform, python: fetcher.index.resolve(asked, platform, _ignore, python)
    )
    environments = conda.Environments(project, locker, fetcher.report) if locker else None
    with fetcher.store.using():
        for specs in all_specs:
            if not names or TOOLCHAIN in names:
                attempt(_toolchain, project, specs, fetcher)
            if not names or DEVELOPMENT in names:
                attempt(_development, project, specs, fetcher, packages)
            if not names or set(names) - {TOOLCHAIN, DEVELOPMENT, CONDA}:
                attempt(_sources, project, specs, frozenset(names) or None, fetcher)
            if environments and (not names or CONDA in names):
                attempt(environments.lock, specs)
    if failures:
        raise _failure(failures, stopped=bool(stopped))


def _failure(failures: Sequence[RecipesError], *, stopped: bool) -> RecipesError:
    """Give one error for all failures; `stopped` says that one of them was raised, and says all itself.

    It is a FetchError, which may be tried again, only where all are; else of the class of the first that is
    none, as another try fails alike.
    """
    told = list(dict.fromkeys(one.message for one in failures))
    lasting = next((one for one in failures if not isinstance(one, FetchError)), None)
    if len(told) == 1 and (stopped or lasting):
        return failures[0]
    message = "\n".join(["not everything could be resolved; what could not keeps its lock", *told])
    if lasting:
        return type(lasting)(message, hint=lasting.hint)
    hint = "try again with a network that reaches it, or name a mirror in RECIPES_MIRROR"
    return FetchError(message, hint=hint)


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
            write(project, place, locks.render(new), difference, fetcher.report)


def _having(project: Project, variants: Sequence[str], names: Sequence[str]) -> list[Specs]:
    """Read the specs of the variants that have what is named. Raises UsageError for what none has."""
    found = [project.specs(variant) for variant in variants]
    for name in names:
        known = sorted(
            {
                TOOLCHAIN,
                DEVELOPMENT,
                CONDA,
                *(source for specs in found for source in specs.environment.sources),
            }
        )
        if name not in known:
            who = f"variant `{variants[0]}` has no" if len(variants) == 1 else "no variant has a"
            raise UsageError(f"{who} source `{name}`{nearest(name, known)}")
    wanted = {*names}
    return [
        specs
        for specs in found
        if not names or wanted & {TOOLCHAIN, DEVELOPMENT, CONDA, *specs.environment.sources}
    ]


def _sources(
    project: Project, specs: Specs, named: frozenset[str] | None, fetcher: Fetcher
) -> Sequence[RecipesError]:
    path, old = _old(project, specs.variant, fetcher.report)
    resolver = resolve.Resolver(fetcher, old, named if old else None)
    _tell_held(specs.environment.held.sources, fetcher.report, named if old else None)
    new = resolver.lock(list(specs.sources()))
    write(project, path, locks.render(new), _changes(old, new, fetcher), fetcher.report)
    return resolver.failures


def _tell_held(
    held: Mapping[str, HeldSource | HeldPackage], report: Report, named: Collection[str] | None = None
) -> None:
    for name, one in sorted(held.items()):
        if named is None or name in named:
            report.line(told(name, one))


def _old(project: Project, variant: str, report: Report) -> tuple[Path, Lock | None]:
    path, _ = project.lock_files(variant)
    return path, before(path, lambda: project.lock(variant), report)


def _changes(old: Lock | None, new: Lock, fetcher: Fetcher) -> str:
    return diff.text(Difference(compare.sources(old or Lock(sources={}), new, fetcher.git, fetcher.report)))


def _toolchain(project: Project, specs: Specs, fetcher: Fetcher) -> Sequence[RecipesError]:
    def resolved(task: Task) -> Requirements:
        return resolvewheels.toolchain(
            specs.environment, lambda asked, on: fetcher.index.resolve(asked, on, task)
        )

    path, variant = project.lock_files(specs.variant)[1], specs.variant
    old = before(path, lambda: project.toolchain(variant), fetcher.report)
    _tell_held(specs.environment.held.pypi, fetcher.report)
    with fetcher.report.task(f"resolving the toolchain of {variant}") as task:
        return _wheels(project, path, old, lambda: resolved(task), fetcher.report)


def _development(
    project: Project, specs: Specs, fetcher: Fetcher, packages: Callable[..., tuple[Wheel, ...]]
) -> Sequence[RecipesError]:
    path, variant = project.development_file(specs.variant), specs.variant
    if specs.environment.development is None and not path.is_file():
        return []
    old = before(path, lambda: project.development(variant), fetcher.report)
    with fetcher.report.task(f"resolving the development packages of {variant}"):
        resolved = functools.partial(resolvewheels.development, specs.environment, packages)
        return _wheels(project, path, old, resolved, fetcher.report)


def _wheels(
    project: Project,
    path: Path,
    old: Requirements | None,
    resolved: Callable[[], Requirements],
    report: Report,
) -> Sequence[RecipesError]:
    try:
        new = resolved()
    except FetchError as error:
        if old is None:
            raise
        return [error]
    difference = diff.text(Difference(wheels=diff.wheels(old or Requirements(), new)))
    write(project, path, requirements.render(new), difference, report)
    return []


def _ignore(done: int, total: int | None = None) -> None:
    """Show nothing: the task says what is under way."""
