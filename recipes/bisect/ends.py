"""The two ends of a bisection: by their names, else the locked commit and the branch's head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recipes import githistory
from recipes.errors import UsageError
from recipes.git import Git, Resolved
from recipes.giturls import is_commit_id
from recipes.report import Report


@dataclass(frozen=True)
class Ends:
    """The two commits to search between, the bad one with its ref."""

    good: str
    bad: Resolved


@dataclass(frozen=True)
class Finder:
    """Finds the two commits of a source in its repository; `refs` are what its specs ask for, best first."""

    git: Git
    url: str
    source: str
    refs: Sequence[str | None]
    report: Report

    def find(self, good: str | None, bad: str | None) -> Ends:
        """Give both by name, without a bad one the branch's head. Raises UsageError, FetchError."""
        if good is None:
            raise UsageError(f"the lock has no commit of `{self.source}`", hint="add `--good REVISION`")
        sure = is_commit_id(good) and bad is not None and is_commit_id(bad)
        branch = None if sure else self._branch(needed=bad is None)
        last = self._named(bad, branch) if bad is not None else branch
        assert last is not None  # noqa: S101 - for the type checker: `needed` raises
        return Ends(self._named(good, branch).commit, last)

    def _named(self, name: str, branch: Resolved | None) -> Resolved:
        if is_commit_id(name):
            return Resolved(name, None)
        with self.report.task(f"reading the history of {self.url}", "objects") as task:
            return githistory.named(self.git, self.url, name, branch, task)

    def _branch(self, *, needed: bool) -> Resolved | None:
        """Give the head of the branch that the variant follows, else of the one that the recipe does."""
        found = githistory.followed(self.git, self.url, self.refs)
        if found is not None:
            return found
        if not needed:
            return None
        raise UsageError(f"no spec names a branch of `{self.source}`", hint="add `--bad REVISION`")
