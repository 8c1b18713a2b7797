"""The work of `refresh --hold-back`: for each variant, the newest locks that build, and what was left out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from recipes import held as holds
from recipes import lock as locks
from recipes import lockcheck, locking, refresh, requirements
from recipes.errors import FetchError, LockError, RecipesError, SpecError, ToolchainError
from recipes.fetch import Fetcher
from recipes.held import Held
from recipes.holdback.mixing import Locked, entries
from recipes.holdback.outcome import Outcome, Refreshed
from recipes.holdback.search import Search, Sides, Terms, at
from recipes.holdback.trial import Trial
from recipes.lock import Lock, LockedSource
from recipes.project import Project
from recipes.run import Run
from recipes.spec import Source, Specs

#: What keeps one variant from being settled: its upstreams' doing, or its locks'. The others go on.
_ITS_OWN = (FetchError, LockError, SpecError, ToolchainError)


def hold_back(run: Run, variants: Sequence[str], fetcher: Fetcher, terms: Terms) -> Iterator[Refreshed]:
    """Refresh variants one after another, each as far as it builds; write specs and locks that differ.

    Each is given once its files are written. Raises SpecError before anything is built where a spec cannot be
    read or rewritten; then IntegrityError, SandboxError and what else would befall every variant.
    """
    for name in variants:
        _check_spec(run.project(), name, terms.today)
    with fetcher.store.using():
        for name in variants:
            yield Variant(run, name, fetcher, terms).refresh()


def _check_spec(project: Project, variant: str, today: date) -> None:
    project.specs(variant)
    path = project.spec_file(variant)
    holds.check_writable(path.read_bytes().decode(), path.relative_to(project.root).as_posix(), today)


@dataclass
class Variant:
    """One variant's refresh."""

    run: Run
    name: str
    fetcher: Fetcher
    terms: Terms

    def refresh(self) -> Refreshed:
        """Find the newest locks that build, write them, and say what became of each input."""
        began, builds = time.monotonic(), self.terms.budget.builds
        with self.fetcher.store.scratch("refresh") as place:
            try:
                found = self._refreshed(refresh.copy(self.run.project(), place))
            except _ITS_OWN as error:
                found = Refreshed(Outcome(self.name, error=_told(error)))
        spent = replace(
            found.outcome, builds=self.terms.budget.builds - builds, seconds=time.monotonic() - began
        )
        return replace(found, outcome=spent)

    def _refreshed(self, scratch: Project) -> Refreshed:
        project = self.run.project()
        due, waiting = _split(project.specs(self.name).environment.held, self.terms)
        path = scratch.spec_file(self.name)
        scratch.write(path, holds.rewritten(path.read_bytes().decode(), waiting))
        specs = scratch.specs(self.name)
        unresolved = self._lock(scratch, specs)
        new = Locked(scratch.lock(self.name), scratch.toolchain(self.name))
        old = self._old(project, specs, new)
        trial = Trial(replace(self.run, project_at=scratch.root), scratch, self.name, self.terms.budget)
        sides = Sides(project, scratch, due, waiting, unresolved)
        return Search(sides, trial, self.fetcher, self.terms, old, new).find()

    def _lock(self, scratch: Project, specs: Specs) -> tuple[str, ...]:
        """Resolve everything anew, as far as it can be; give what could not. Nothing is told twice.

        Raises FetchError where what is left does not answer the specs: a source without a lock, or with
        another one.
        """
        quiet = replace(self.fetcher, report=self.fetcher.report.aside())
        try:
            with self.fetcher.report.task(f"resolving {self.name} anew"):
                locking.lock(scratch, [self.name], (), quiet, self.run.locker())
        except FetchError as error:
            try:
                lockcheck.satisfied(specs, scratch.lock(self.name), scratch.toolchain(self.name))
            except LockError:
                raise error from None
            return tuple(error.message.splitlines())
        return ()

    def _old(self, project: Project, specs: Specs, new: Locked) -> Locked:
        """Give the locks as they were, as answers to the specs as they are: what floats is not moved.

        What the specs ask for otherwise than before (another commit, another version) is as in the new ones.
        """
        path, wheels_path = project.lock_files(self.name)
        had = project.lock(self.name) if path.is_file() else Lock(sources={})
        wheels = project.toolchain(self.name) if wheels_path.is_file() else new.wheels
        asked = specs.environment
        if requirements.unsatisfied(wheels, asked.requirements, asked.platforms):
            wheels = new.wheels
        old = Locked(new.sources, wheels)
        for source in specs.sources():
            if (found := self._as_before(source, had, new.sources)) is not None:
                old = old.at(found)
        return old

    def _as_before(self, source: Source, had: Lock, new: Lock) -> Mapping[str, LockedSource] | None:
        """Give the entries of a source that follows a branch, where it was, if it has been elsewhere."""
        before, now = had.sources.get(source.name), new.sources[source.name]
        floats = (now.resolved or "").startswith("refs/heads/")
        if not floats or before is None or before.commit in (None, now.commit):
            return None
        mine = entries(had, source.name)
        if not locks.unsatisfied(Lock(sources=mine), [source]):
            return mine
        with contextlib.suppress(FetchError, SpecError):  # from another origin, or a history that is gone
            return at(self.fetcher, source, before.commit or "", new)
        return None


def _told(error: RecipesError) -> str:
    return error.message if error.hint is None else f"{error.message}\n\nhint: {error.hint}"


def _split(held: Held, terms: Terms) -> tuple[Held, Held]:
    """Part what is held back: what is to be tried again now, and what is not."""

    def due(retry: date) -> bool:
        return terms.early or retry <= terms.today

    return (
        Held(
            sources={name: one for name, one in held.sources.items() if due(one.retry)},
            pypi={name: one for name, one in held.pypi.items() if due(one.retry)},
        ),
        Held(
            sources={name: one for name, one in held.sources.items() if not due(one.retry)},
            pypi={name: one for name, one in held.pypi.items() if not due(one.retry)},
        ),
    )
