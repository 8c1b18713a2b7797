"""The search for a variant's newest locks that build, in a scratch checkout, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from recipes import githistory, refresh
from recipes import held as holds
from recipes.bisect.budget import Budget, Spent
from recipes.bisect.make import Asked, bisect
from recipes.bisect.reason import Reason
from recipes.bisect.verdict import Verdict
from recipes.errors import FetchError, RecipesError, UnjudgedError, UsageError, VerifyError
from recipes.fetch import Fetcher
from recipes.held import Held, HeldPackage, HeldSource
from recipes.holdback import mixing
from recipes.holdback.mixing import Input, Locked, inputs, mixed
from recipes.holdback.outcome import HeldBack, Outcome, Refreshed, Waiting
from recipes.holdback.settle import Settled, settle
from recipes.holdback.trial import Trial
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.project import Project
from recipes.resolve import Resolver
from recipes.resolverefs import ignore
from recipes.spec import Source


@dataclass(frozen=True)
class Terms:
    """What may be spent; and today, and for how many days an input that breaks is not tried again.

    With `early`, what is held back is tried before its day.
    """

    budget: Budget
    today: date
    days: int
    early: bool = False


@dataclass(frozen=True)
class Sides:
    """A checkout and its scratch copy: what was held back and is tried again, what is not; what failed."""

    project: Project
    scratch: Project
    due: Held
    waiting: Held
    unresolved: tuple[str, ...]


@dataclass
class Search:
    """One search. `old` is what was locked, as an answer to the specs of now, `new` all that moved."""

    sides: Sides
    trial: Trial
    fetcher: Fetcher
    terms: Terms
    old: Locked
    new: Locked
    moved: tuple[Input, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.moved = inputs(self.old, self.new)

    def find(self) -> Refreshed:
        """Judge all together, then what was locked, then sets; write what was found."""
        everything = frozenset(one.key for one in self.moved)
        if not self.moved and self.sides.due.empty and not self._differs():
            return Refreshed(self._outcome())
        together = self._judge(everything)
        if together:
            return self._conclude(Settled(everything), ())
        alone = None if together is None else self._judge(frozenset())
        if alone is None:
            return self._unsettled(f"{self.trial.spent}, and nothing is settled yet")
        if not alone:
            return self._unsettled(self._nothing_builds(everything))
        return self._conclude(*self._held_back(settle([one.key for one in self.moved], self._judge)))

    @property
    def _name(self) -> str:
        return self.trial.variant

    def _differs(self) -> bool:
        return bool(refresh.different(self.sides.project, self.sides.scratch, self._name))

    def _judge(self, moved: frozenset[str]) -> bool | None:
        return self.trial.judge(self.old, self.new, moved)

    def _outcome(self) -> Outcome:
        waiting = self.sides.waiting
        left = [Waiting(name, one.commit, one.why, one.retry) for name, one in waiting.sources.items()]
        left += [
            Waiting(f"pypi:{name}", one.version, one.why, one.retry) for name, one in waiting.pypi.items()
        ]
        return Outcome(
            self._name, waiting=tuple(left), unresolved=self.sides.unresolved, spent=self.trial.spent
        )

    def _unsettled(self, why: str) -> Refreshed:
        return Refreshed(replace(self._outcome(), error=why))

    def _nothing_builds(self, everything: frozenset[str]) -> str:
        locked, now = self.trial.why(frozenset()), self.trial.why(everything)
        first = f"what is locked does not build, and neither does all that moved\n  locked    {locked}"
        alone = "it does not build, and nothing that moved could be held back"
        return f"{first}\n  moved     {now}" if everything else f"{alone}\n  {locked}"

    def _held_back(self, settled: Settled) -> tuple[Settled, tuple[HeldBack, ...]]:
        """Find out how far each input can go that cannot go all the way; `old` has it there afterwards."""
        found, held = {one.key: one for one in self.moved}, []
        for key in settled.broken:
            back = self._back(found[key], settled)
            if back is None:
                settled = replace(settled, moved=settled.moved | {key})
            else:
                held.append(back)
        return settled, tuple(held)

    def _back(self, one: Input, settled: Settled) -> HeldBack | None:
        """Say where an input stays; None where it failed once, and then builds."""
        why = self.trial.breaking(one.key)
        if one.kind == "package":
            return HeldBack(one, one.old, None, str(why), self._retry)
        try:
            verdict = self._bisect(one, settled)
            at = self._go(one, verdict)
        except (UsageError, VerifyError, FetchError, UnjudgedError) as error:
            if self.trial.builds_now(mixed(self.old, self.new, {*settled.moved, one.key})):
                return None
            return self._unsearched(one, str(why), error)
        self.trial.spent = verdict.spent or self.trial.spent
        broken = verdict.bad.commit if verdict.settled else None
        return HeldBack(one, at, broken, _told(verdict), self.terms.today if verdict.spent else self._retry)

    def _unsearched(self, one: Input, why: str, error: RecipesError) -> HeldBack:
        """Keep an input where it was; the next refresh goes on where a budget or a server ended this one."""
        if isinstance(error, UnjudgedError):
            self.trial.spent = self.trial.spent or error.message
        retry = self.terms.today if isinstance(error, UnjudgedError | FetchError) else self._retry
        said = f"{why}; its commits were not searched: {error.message.splitlines()[0]}"
        return HeldBack(one, one.old, None, said, retry)

    @property
    def _retry(self) -> date:
        return self.terms.today + timedelta(days=self.terms.days)

    def _go(self, one: Input, verdict: Verdict) -> str:
        """Lock a source at the last commit that builds; never at one from which it had come already."""
        good = verdict.good.commit
        if good == one.old or (verdict.rewritten and self._leads(one, good)):
            return one.old
        self.old = self.old.at(at(self.fetcher, self._source(one), good, self.new.sources))
        return good

    def _leads(self, one: Input, commit: str) -> bool:
        url = next(origin.git for origin in self._source(one).origins if isinstance(origin, GitOrigin))
        return not githistory.between(self.fetcher.git, url, commit, one.old, ref=None, tick=ignore).rewritten

    def _bisect(self, one: Input, settled: Settled) -> Verdict:
        self.trial.write(mixed(self.old, self.new, settled.moved))
        asked = Asked(one.name, self._name, good=one.old, bad=one.new)
        return bisect(self.trial.run, asked, budget=self.terms.budget, logs=self.sides.project.root)

    def _source(self, one: Input) -> Source:
        [found] = [it for it in self.sides.scratch.specs(self._name).sources() if it.name == one.name]
        return found

    def _conclude(self, settled: Settled, held: tuple[HeldBack, ...]) -> Refreshed:
        """Build with what was found, which is in the store already, and write it."""
        locked = mixed(self.old, self.new, settled.moved)
        try:
            built = self.trial.build(locked)
        except Spent as why:
            return self._unsettled(f"{why}, and what was found is not built as a whole yet")
        if isinstance(built, Reason):
            return self._unsettled(f"what builds one by one does not build together\n  {built}")
        kept = self._holds(settled, held)
        outcome = replace(
            self._outcome(),
            moved=tuple(one for one in self.moved if one.key in settled.moved),
            held=held,
            untried=tuple(one for one in self.moved if one.key in settled.untried),
            lifted=tuple(sorted({*self.sides.due.names} - {*kept.names})),
            nar_hash=built.nar_hash,
        )
        return self._write(outcome, kept)

    def _holds(self, settled: Settled, held: tuple[HeldBack, ...]) -> Held:
        """Give all that is held back from now on. What was to be tried again, and was not, stays."""
        due, waiting = self.sides.due, self.sides.waiting
        sources = {name: one for name, one in due.sources.items() if self._not_tried(name, settled)}
        pypi = {name: one for name, one in due.pypi.items() if self._not_tried(f"pypi:{name}", settled)}
        sources |= {
            one.wanted.name: HeldSource(commit=one.at, broken=one.broken, why=one.why, retry=one.retry)
            for one in held
            if one.wanted.kind == "source"
        }
        pypi |= {
            one.wanted.name: HeldPackage(version=one.at, why=one.why, retry=one.retry)
            for one in held
            if one.wanted.kind == "package"
        }
        return Held(sources={**waiting.sources, **sources}, pypi={**waiting.pypi, **pypi})

    def _not_tried(self, key: str, settled: Settled) -> bool:
        """Say whether the budget ended before an input, or where its head is could not be looked up."""
        stayed = key not in {one.key for one in self.moved}
        return key in settled.untried or (stayed and bool(self.sides.unresolved))

    def _write(self, outcome: Outcome, kept: Held) -> Refreshed:
        """Write specs and locks that differ from what they were.

        The spec comes first: where the locks cannot be written then, `lock --check` finds what lacks.
        """
        project, scratch, name = self.sides.project, self.sides.scratch, self._name
        file, place = project.spec_file(name), f"environments/{name}.yaml"
        text, began = (one.read_bytes().decode() for one in (file, scratch.spec_file(name)))
        if holds.rewritten(text, Held(), place) != holds.rewritten(began, Held(), place):
            return self._unsettled(f"{place} was changed meanwhile")
        changed = refresh.differing(project, scratch, name, self.fetcher)
        written = project.write(file, holds.rewritten(text, kept, place))
        refresh.take(project, scratch, changed.files if changed else ())
        return Refreshed(outcome, changed, written)


def at(fetcher: Fetcher, source: Source, commit: str, lock: Lock) -> Mapping[str, LockedSource]:
    """Lock one source at a commit, with its submodules; `lock` is what is known already.

    Raises FetchError, and SpecError for a commit that its repository does not have.
    """
    quiet = replace(fetcher, report=fetcher.report.aside())
    resolver = Resolver(quiet, lock, frozenset([source.name]))
    found = resolver.lock([replace(source, held=commit)])
    if resolver.failures:
        raise resolver.failures[0]
    return mixing.entries(found, source.name)


def _told(verdict: Verdict) -> str:
    day = f"{verdict.bad.date:%Y-%m-%d}"
    known = "".join(f", known as `{one}`" for one in verdict.reason.known)
    if verdict.settled:
        return f"{verdict.bad.commit} ({day}, {verdict.bad.subject}): {verdict.reason}{known}"
    count = len(verdict.skipped) + len(verdict.unjudged) + 1
    return f"one of {count} commits up to {verdict.bad.commit} ({day}): {verdict.reason}{known}"
