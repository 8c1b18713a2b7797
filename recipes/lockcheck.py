"""Whether locks answer their specs: `lock --check`, and what is looked at before every plan. No network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recipes import lock as locks
from recipes import requirements
from recipes.conda import lockfile
from recipes.conda.lockfile import CondaLock
from recipes.errors import LockError
from recipes.lock import Lock
from recipes.lockfiles import refuse
from recipes.project import Project
from recipes.report import Report
from recipes.requirements import Requirements
from recipes.spec import Specs


def check(project: Project, variants: Sequence[str], report: Report) -> None:
    """Look, without a network, that locks answer their specs. Raises LockError with all that is wrong."""
    sentences = []
    for variant in variants:
        wrong = _wrong(project, project.specs(variant))
        sentences += wrong
        if not wrong:
            report.line(f"the locks of `{variant}` answer its specs")
    if sentences:
        raise LockError("\n".join(sentences), hint="`recipes lock`, then read the difference")


def _wrong(project: Project, specs: Specs) -> list[str]:
    parts: tuple[Callable[[], object], ...] = (
        lambda: satisfied(specs, project.lock(specs.variant), project.toolchain(specs.variant)),
        lambda: developed(specs, project),
        lambda: answered(specs, project),
    )
    sentences = []
    for part in parts:
        try:
            part()
        except LockError as error:
            sentences.append(error.message)
    return sentences


def satisfied(specs: Specs, lock: Lock, toolchain: Requirements) -> None:
    """Raise LockError, in sentences, where a variant's locks do not answer its specs."""
    environment = specs.environment
    found = locks.unsatisfied(lock, list(specs.sources()))
    found += requirements.unsatisfied(toolchain, environment.requirements, environment.platforms)
    refuse(specs.variant, found)


def developed(specs: Specs, project: Project) -> Requirements:
    """Give the locked packages of a variant's development environments; none where its spec asks for none.

    Raises LockError, in sentences, where they do not answer the spec.
    """
    asked = specs.environment.development
    if asked is None and not project.development_file(specs.variant).is_file():
        return Requirements()
    locked = project.development(specs.variant)
    packages, pythons = (asked.packages, asked.python) if asked else ((), ())
    found = requirements.unsatisfied(locked, packages, specs.environment.platforms, pythons)
    refuse(specs.variant, [f"development: {one}" for one in found])
    return locked


def answered(specs: Specs, project: Project) -> CondaLock | None:
    """Give the lock of a variant's conda environment; None where its spec asks for none.

    Raises LockError, in sentences, where it does not answer the spec.
    """
    asked, path = specs.environment.conda, project.conda_lock_file(specs.variant)
    if asked is None:
        left = [f"conda: {path.name} is there, and no spec asks for it"] if path.is_file() else []
        refuse(specs.variant, left)
        return None
    locked = project.conda_lock(specs.variant)
    refuse(specs.variant, [f"conda: {one}" for one in lockfile.unsatisfied(locked, asked)])
    return locked
