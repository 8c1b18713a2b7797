"""What is known of each locked source today: asked of its repository, its host and its origins.

What does not answer is no error: it is not known, with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from recipes import githistory
from recipes.bisect.budget import Budget, Spent
from recipes.bisect.judge import Judge
from recipes.breakages import Row
from recipes.errors import FetchError, RecipesError
from recipes.fetch import PARALLEL, Fetcher
from recipes.git import Resolved
from recipes.githistory import Lag
from recipes.giturls import is_commit_id
from recipes.health import hosting, reach
from recipes.health.model import Ahead, Asked, Head, Locked, Origin, Source, Upstream
from recipes.history import Step
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.run import Run
from recipes.spec import Source as Wanted
from recipes.spec import Specs

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Looked:
    """What was found of one branch: its facts, its head, and the commits behind the locked one."""

    upstream: Upstream
    head: str | None = None
    between: tuple[Step, ...] = ()


@dataclass
class Finder:
    """Finds what is known of sources; asks once for what variants share.

    `budget` is what trying heads may take; None tries none.
    """

    run: Run
    fetcher: Fetcher
    budget: Budget | None = None
    _known: dict[tuple[object, ...], object] = field(default_factory=dict)
    _locks: dict[tuple[object, ...], threading.Lock] = field(default_factory=dict)

    def find(self, specs: Specs) -> tuple[Source, ...]:
        """Give every locked source of a variant with its submodules, by name. Raises LockError."""
        project = self.run.project()
        lock, rows = project.lock(specs.variant), project.breakages()
        wanted = {one.name: one for one in specs.sources()}

        def one(name: str) -> tuple[Source, str | None]:
            found = self._source(specs, wanted, lock, name, rows)
            tick()
            return found

        names = sorted(lock.sources)
        done = iter(range(1, len(names) + 1))
        with self.fetcher.report.task(f"asking for the sources of {specs.variant}", "sources") as task:

            def tick() -> None:
                task(next(done), len(names))

            with ThreadPoolExecutor(PARALLEL) as pool:
                found = list(pool.map(one, names))
        return tuple(self._tried(specs, facts, head) for facts, head in found)

    def _source(
        self, specs: Specs, wanted: dict[str, Wanted], lock: Lock, name: str, rows: Sequence[Row]
    ) -> tuple[Source, str | None]:
        locked, owner = lock.sources[name], name.split("/", maxsplit=1)[0]
        url = repository(locked)
        recipe = specs.recipes[owner]
        asked = Asked("submodule") if "/" in name else _asked(wanted.get(name), locked)
        refs = () if "/" in name else (locked.ref, recipe.source.ref if recipe.source else None)
        looked = self._once(("upstream", url, locked.commit, refs), lambda: self._look(url, locked, refs))
        facts = Source(
            name=name,
            repository=url,
            licence=recipe.license if "/" not in name else None,
            asked=asked,
            locked=self._locked(specs.variant, locked),
            upstream=looked.upstream,
            origins=self._once(("origins", locked), lambda: self._origins(locked)),
            ahead=tuple(_ahead(rows, name, locked, looked)),
        )
        return facts, looked.head

    def _once(self, key: tuple[object, ...], ask: Callable[[], _T]) -> _T:
        with self._locks.setdefault(key, threading.Lock()):
            if key not in self._known:
                self._known[key] = ask()
            return self._known[key]  # type: ignore[return-value]  # what `ask` of this key gave

    def _origins(self, locked: LockedSource) -> tuple[Origin, ...]:
        return reach.origins(self.fetcher, locked)

    def _locked(self, variant: str, locked: LockedSource) -> Locked:
        root, text = self.run.project().root, locked.commit or locked.hash
        path = self.run.project().lock_files(variant)[0].relative_to(root).as_posix()
        return Locked(
            locked.commit,
            datetime.fromisoformat(locked.date) if locked.date else None,
            githistory.since(root, path, text, self.run.environ),
        )

    def _look(self, url: str | None, locked: LockedSource, refs: Sequence[str | None]) -> _Looked:
        if url is None or not refs:
            return _Looked(Upstream())
        told = self._once(("hosting", url), lambda: hosting.ask(self.fetcher, url))
        known = Upstream(archived=told.archived, moved_to=told.moved_to, unknown=told.unknown)
        silence = self.fetcher.git.answers(url)
        if silence is not None:
            return _Looked(replace(known, unknown=silence))
        try:
            branch = githistory.followed(self.fetcher.git, url, refs)
            if branch is None or branch.ref is None:
                return _Looked(replace(known, unknown="no spec names a branch of it"))
            moved = known.moved_to or _elsewhere(url, self.fetcher.git.moved(url))
            return self._compared(url, locked, branch, replace(known, moved_to=moved))
        except FetchError as error:
            return _Looked(replace(known, unknown=error.message.splitlines()[0]))

    def _compared(self, url: str, locked: LockedSource, branch: Resolved, known: Upstream) -> _Looked:
        lag = githistory.lag(self.fetcher.git, url, locked.commit, branch, _ignore)
        found = replace(known, branch=branch.ref, commit=branch.commit, date=lag.head.date)
        if locked.commit is not None:
            count = None if lag.between is None else len(lag.between)
            found = replace(found, behind=count, on_branch=lag.between is not None)
        return _Looked(found, branch.commit, _between(lag))

    def _tried(self, specs: Specs, facts: Source, head: str | None) -> Source:
        """Build with the head of a source's branch, if that is asked for and makes a difference."""
        if self.budget is None or facts.repository is None or head in (None, facts.locked.commit):
            return facts
        [source] = [one for one in specs.sources() if one.name == facts.name]
        judge = Judge(
            self.run, source, facts.repository, facts.locked.commit, specs.variant, None, self.budget
        )
        try:
            if not judge.trees(judge.plan(None)):
                return facts  # the target is not made from it
            judged = judge.judge(head or "", lambda _path: None)
        except Spent as why:
            return replace(facts, head=Head(reason=str(why)))
        except RecipesError as error:
            return replace(facts, head=Head("cannot be judged", error.message.splitlines()[0]))
        if judged.status == "failed":
            return replace(facts, head=Head("fails", str(judged.reason)))
        return replace(facts, head=Head("good" if judged.status == "good" else "cannot be judged"))


def _elsewhere(url: str, sent_to: str | None) -> str | None:
    """Give where a server sends us on to, unless that is the same with another scheme or ending."""
    same = sent_to is None or _place(sent_to) == _place(url)
    return None if same else sent_to


def _place(url: str) -> str:
    return url.partition("://")[2].rstrip("/").removesuffix(".git").lower()


def repository(locked: LockedSource) -> str | None:
    """Give the address of a source's repository, if it has one."""
    return next((one.git for one in locked.origins if isinstance(one, GitOrigin)), None)


def _asked(wanted: Wanted | None, locked: LockedSource) -> Asked:
    """Say how a source is asked for."""
    if wanted is not None and wanted.held is not None:
        return Asked("held", locked.ref)
    if locked.ref is None:
        return Asked("archive")
    if locked.before is not None:
        return Asked("frozen", locked.ref, locked.before)
    if is_commit_id(locked.ref):
        return Asked("commit", locked.ref)
    tag = (locked.resolved or "").startswith("refs/tags/")
    return Asked("tag" if tag else "branch", locked.ref)


def _between(lag: Lag) -> tuple[Step, ...]:
    return lag.between or ()


def _ahead(rows: Sequence[Row], name: str, locked: LockedSource, looked: _Looked) -> Iterator[Ahead]:
    """Find the known breakages that lie between the locked commit and the head."""
    passed = {step.commit: step.date for step in looked.between}
    start = datetime.fromisoformat(locked.date) if locked.date else None
    for row in rows:
        bad = row.broken.get(name)
        if bad is None or row.fixed in passed or not passed:
            continue
        first = next((one for one in bad.commits if one in passed), None)
        if first is not None:
            yield Ahead(row.id, first, passed[first])
        elif bad.since and start and start < bad.since <= max(passed.values()):
            yield Ahead(row.id, None, bad.since)


def _ignore(done: int, total: int | None = None) -> None:
    """Show nothing: the task says what is under way."""
