"""Resolve which commit a source's ref means: a branch now or at a moment, a tag, and what is held back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recipes import githistory
from recipes.errors import AbsentError, SpecError
from recipes.fetch import Fetcher
from recipes.git import Resolved
from recipes.giturls import shown
from recipes.lock import Lock
from recipes.spec import Source


@dataclass(frozen=True)
class Refs:
    """What resolving a ref needs; the fields are `resolve.Resolver`'s."""

    fetcher: Fetcher
    old: Lock | None
    named: frozenset[str] | None
    at: datetime | None

    def find(self, source: Source, url: str, ref: str) -> tuple[Resolved, datetime | None]:
        """Give the commit of a source in its repository, and the moment at which its branch is taken.

        Raises SpecError where there is no such ref, or none that can be taken so; FetchError.
        """
        try:
            now = self.fetcher.git.resolve(url, ref)
            moment = self._moment(source, now)
            if source.held is not None and self.at is None:  # another moment has other reasons
                return self._held_back(source, url, now, source.held), moment
            return self._before(url, now, moment) if moment else self._tag(source, url, now), moment
        except SpecError as wrong:
            raise self._impossible(source, wrong) from wrong

    def _moment(self, source: Source, now: Resolved) -> datetime | None:
        """Give the moment to take a source at: its spec's, and no later than the one asked for."""
        if self.at is None or not _is_branch(now):
            return source.before
        return min(self.at, source.before or self.at)

    def _before(self, url: str, branch: Resolved, moment: datetime) -> Resolved:
        with self.fetcher.report.task(f"reading the history of {url}", "objects") as task:
            return githistory.before(self.fetcher.git, url, branch, moment, task)

    def _held_back(self, source: Source, url: str, now: Resolved, commit: str) -> Resolved:
        """Give the commit at which a branch is held back, if its repository has that."""
        lift = f"take `{source.name}` out of `held` in the environment, then `recipes lock {source.name}`"
        if not _is_branch(now):
            what = f"`{now.ref or now.commit}` of `{shown(url)}` is no branch, and cannot be held back"
            raise SpecError(what, hint=lift)
        try:
            self.fetcher.git.fetch(url, commit, now.ref, ignore)
        except AbsentError as absent:
            both = f"\n  held      {commit}\n  now       {now.commit}"
            raise SpecError(
                f"held back at a commit that `{shown(url)}` does not have{both}", hint=lift
            ) from absent
        return Resolved(commit, now.ref)

    def _tag(self, source: Source, url: str, now: Resolved) -> Resolved:
        """Give what the lock has of a tag that was moved: only a source that is named follows it."""
        had = self.old.sources.get(source.name) if self.old else None
        if had is None or had.commit in (None, now.commit) or had.ref != source.ref:
            return now
        if had.resolved is None or not had.resolved.startswith("refs/tags/"):
            return now
        what = "was moved" if now.ref == had.resolved else "is gone, and a branch has its name"
        text = f"tag `{source.ref}` of {url} {what}"
        text += f"\n  locked    {had.commit}\n  now       {now.commit}"
        follows = self.named is not None and source.name in self.named
        kept = "" if follows else f"\n  the lock is kept; `recipes lock {source.name}` takes the new one"
        self.fetcher.report.warning(text + kept)
        return now if follows else Resolved(had.commit or "", had.resolved)

    def _impossible(self, source: Source, wrong: SpecError) -> SpecError:
        """Name the source in what is wrong with its ref, and what is locked of the same ref."""
        had = self.old.sources.get(source.name) if self.old else None
        locked = f"\n  locked    {had.commit}" if had and had.ref == source.ref and had.commit else ""
        return SpecError(f"source `{source.name}`: {wrong.message}{locked}", hint=wrong.hint)


def ignore(done: int, total: int | None = None) -> None:
    """Show nothing: the caller shows it."""


def _is_branch(found: Resolved) -> bool:
    return found.ref is not None and found.ref.startswith("refs/heads/")
