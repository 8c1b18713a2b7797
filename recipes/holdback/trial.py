"""The judge of a refresh: a scratch checkout of one variant, in which sets of inputs are built."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from recipes import lock as locks
from recipes import requirements
from recipes.bisect.budget import Budget, Spent
from recipes.bisect.judge import Calm, because
from recipes.bisect.reason import Reason
from recipes.errors import BuildError
from recipes.holdback.mixing import Locked, mixed
from recipes.infos import Info
from recipes.project import Project
from recipes.report import Report
from recipes.run import Run


@dataclass
class Trial:
    """A scratch checkout's run, and what was found so far: by store path, by set of inputs.

    `spent` says why the budget ended, once it has. Bytes that are not what they should be are no judgement:
    IntegrityError ends the whole.
    """

    run: Run
    project: Project
    variant: str
    budget: Budget
    spent: str | None = None
    _reasons: dict[str, Reason] = field(default_factory=dict)
    _sets: dict[frozenset[str], Reason | None] = field(default_factory=dict)

    @property
    def report(self) -> Report:
        """The terminal."""
        return self.run.report

    def write(self, locked: Locked) -> None:
        """Make these the locks of the scratch checkout."""
        sources, wheels = self.project.lock_files(self.variant)
        self.project.write(sources, locks.render(locked.sources))
        self.project.write(wheels, requirements.render(locked.wheels))

    def build(self, locked: Locked) -> Info | Reason:
        """Build and check the variant with these locks; give why that fails. Raises Spent."""
        self.write(locked)
        planned = self._calm.plan(self.variant, None, None)
        there = self.run.store().has(planned.target)
        if planned.target in self._reasons and not there:
            return self._reasons[planned.target]
        if not there:
            self.budget.build()
        realiser = self._calm.realiser(None, offline=False, cache="keep", variant=self.variant)
        try:
            return realiser.realise(planned)
        except (BuildError, FileNotFoundError) as failed:
            self._reasons[planned.target] = self._because(failed)
            return self._reasons[planned.target]

    def _because(self, failed: BuildError | FileNotFoundError) -> Reason:
        """Give the reason that a failed build shows: also that a package lost a program that it had."""
        if isinstance(failed, BuildError):
            return because(failed)
        path = Path(str(failed.filename))
        if not path.is_relative_to(self.run.store().root / "paths"):
            raise failed
        _, name, *inside = path.relative_to(self.run.store().root).parts
        return Reason("toolchain", "start", f"`{name[33:]}` has no `{'/'.join(inside)}`")

    def builds_now(self, locked: Locked) -> bool:
        """Say whether what failed with these locks is in the store by now: a build that fails at times."""
        self.write(locked)
        return self.run.store().has(self._calm.plan(self.variant, None, None).target)

    @property
    def _calm(self) -> Run:
        return replace(self.run, report=Calm(self.run.report.level))

    def judge(self, old: Locked, new: Locked, moved: frozenset[str]) -> bool | None:
        """Say whether it builds when these inputs move, and only these; None where the budget ends."""
        if moved not in self._sets:
            try:
                found = self.build(mixed(old, new, moved))
            except Spent as why:
                self.spent = str(why)
                return None
            self._sets[moved] = found if isinstance(found, Reason) else None
            self.report.line(f"{self.variant}: {_told(moved, self._sets[moved])}")
        return self._sets[moved] is None

    def why(self, moved: frozenset[str]) -> Reason | None:
        """Say why a set that was judged does not build."""
        return self._sets.get(moved)

    def breaking(self, key: str) -> Reason | None:
        """Say why the smallest set with an input that was judged does not build."""
        failed = [one for one, why in self._sets.items() if key in one and why is not None]
        return self._sets[min(failed, key=len)] if failed else None


def _told(moved: frozenset[str], why: Reason | None) -> str:
    what = f"with {', '.join(sorted(moved))} moved" if moved else "as it is locked"
    return f"{what}: {'builds' if why is None else f'fails: {why}'}"
