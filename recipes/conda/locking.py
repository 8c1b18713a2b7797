"""The conda part of the `lock` command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recipes import diff
from recipes.conda import lockfile
from recipes.conda.block import Conda
from recipes.conda.condalock import Locker
from recipes.conda.lockfile import CondaLock
from recipes.diff import Difference
from recipes.errors import FetchError, RecipesError, ToolchainError, UsageError
from recipes.located import nearest
from recipes.lockcheck import answered
from recipes.lockfiles import before, write
from recipes.project import Project
from recipes.report import Report
from recipes.spec import Specs


@dataclass(frozen=True)
class Environments:
    """The conda environments of a checkout's variants. What several of them ask alike is solved for once."""

    project: Project
    locker: Locker
    report: Report
    _solved: dict[str, str | RecipesError] = field(default_factory=dict)

    def lock(self, specs: Specs) -> Sequence[RecipesError]:
        """Solve for a variant's environment, if it asks for one, and write its lock.

        Gives the failure where a channel could not be reached, or nothing answers the spec: the lock so far
        is kept.
        """
        path, asked = self.project.conda_lock_file(specs.variant), specs.environment.conda
        if asked is None:
            return []
        old = before(path, lambda: self.project.conda_lock(specs.variant), self.report)
        with self.report.task(f"solving the conda environment of {specs.variant}"):
            found = self._solve(asked)
        if isinstance(found, RecipesError):
            return [found]
        self._write(path, old, found)
        return []

    def _solve(self, asked: Conda) -> str | RecipesError:
        key = asked.model_dump_json()
        if key not in self._solved:
            try:
                self._solved[key] = self.locker.lock(asked)
            except (FetchError, ToolchainError) as error:
                self._solved[key] = error
        return self._solved[key]

    def _write(self, path: Path, old: CondaLock | None, text: str) -> None:
        new = lockfile.parse(text.encode(), path.name)
        write(self.project, path, text, diff.text(Difference(wheels=diff.conda(old, new))), self.report)

    def move(self, variants: Sequence[str], names: Sequence[str]) -> None:
        """Move packages to the newest that all others allow, which stay as they are.

        That is done in the variants that have them. Raises UsageError where none has, LockError where a lock
        does not answer its spec, and as `Locker.lock`.
        """
        moved: dict[tuple[bytes, str], str] = {}
        for variant, asked, old in self._having(variants, names):
            path = self.project.conda_lock_file(variant)
            key = path.read_bytes(), asked.model_dump_json()
            if key not in moved:
                with self.report.task(f"moving {', '.join(names)} in the conda environment of {variant}"):
                    moved[key] = self.locker.lock(asked, key[0], names)
            self._write(path, old, moved[key])

    def _having(self, variants: Sequence[str], names: Sequence[str]) -> list[tuple[str, Conda, CondaLock]]:
        known: set[str] = set()
        having = []
        for specs in map(self.project.specs, variants):
            asked, locked = specs.environment.conda, answered(specs, self.project)
            if asked and locked:
                here = {package.name for package in locked.packages}
                known |= here
                having += [(specs.variant, asked, locked)] if {*names} <= here else []
        if not having:
            shown = ", ".join(f"`{name}`" for name in names)
            raise UsageError(f"no conda lock has {shown}{nearest(names[0], known)}")
        return having
