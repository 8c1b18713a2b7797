"""What git's history says: where a branch was at a moment, what lies between two commits, old files.

Histories come without trees (`--filter=tree:0`) and whole. `--shallow-since` would send fewer commits, but it
cuts every line of parents where a date is too early, and the rule of `history.tip` looks at all of one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from recipes import history, process
from recipes.dates import written
from recipes.errors import AbsentError, SpecError, ToolchainError, UsageError
from recipes.git import Git, Resolved, Tick
from recipes.gitobjects import environment
from recipes.gitsays import reason
from recipes.giturls import shown
from recipes.history import Span, Step
from recipes.tree import to_text

_START = re.compile("[0-9a-f]{4,40}")  # of a commit's id


def before(git: Git, url: str, branch: Resolved, moment: datetime, tick: Tick) -> Resolved:
    """Give the commit that a branch, which is at `branch` now, was at on a date: see `history.tip`.

    Raises SpecError for what is no branch and for a date before its first commit, FetchError also where
    the repository does not have the whole history.
    """
    if branch.ref is None or not branch.ref.startswith("refs/heads/"):
        name = branch.ref or branch.commit
        raise SpecError(
            f"`{name}` of `{shown(url)}` is no branch: it is the same at any date", hint="leave `before` out"
        )
    line = git.history(url, [branch.commit], branch.ref, tick).line(branch.commit)
    found = history.tip(line, moment)
    if found is None:
        raise SpecError(
            f"`{branch.ref}` of `{shown(url)}` begins later than the date asked for\n"
            f"  asked     {written(moment)}\n  first     {written(line[-1].date)} {line[-1].commit}"
        )
    return Resolved(found.commit, branch.ref)


def span(git: Git, url: str, old: str, new: str, *, ref: str | None = None, tick: Tick) -> Span:
    """List what lies between two commits, by first parents. Raises FetchError; `ref` as in `Git.fetch`."""
    kept = git.history(url, [old, new], ref, tick)
    return Span(tuple(kept.line(new, old)), tuple(kept.line(old, new)))


@dataclass(frozen=True)
class Between:
    """What led from one commit to another by first parents, oldest first, the first one with it.

    `branch` is all that led to the last one, newest first. `rewritten`: the commit asked for did not lead to
    it, and what both come from is the first one.
    """

    line: tuple[Step, ...]
    branch: tuple[Step, ...]
    rewritten: bool = False


def between(git: Git, url: str, old: str, new: str, *, ref: str | None, tick: Tick) -> Between:
    """List the commits from one to another, both with it. Raises FetchError; `ref` as in `Git.fetch`.

    Raises UsageError where nothing lies between them.
    """
    kept = git.history(url, [old, new], ref, tick)
    base = kept.merge_base(old, new)
    sides = f"\n  good      {old}\n  bad       {new}"
    if base is None:
        raise UsageError(f"two commits of `{shown(url)}` share no history{sides}")
    if base == new:
        why = "they are the same" if old == new else "the bad one led to the good one"
        raise UsageError(f"no commits between the two of `{shown(url)}`: {why}{sides}")
    line = [kept.line(base)[0], *reversed(kept.line(new, base))]
    return Between(tuple(line), tuple(kept.line(new)), base != old)


@dataclass(frozen=True)
class Lag:
    """How far a branch is ahead of a commit: its head, and the first parents between, newest first.

    `between` is None where the commit did not lead to the head: the branch was rewritten.
    """

    head: Step
    between: tuple[Step, ...] | None


def lag(git: Git, url: str, commit: str | None, branch: Resolved, tick: Tick) -> Lag:
    """Say how far a branch went on behind a commit (None: only what its head is). Raises FetchError."""
    known = commit
    try:
        kept = git.history(url, [branch.commit, *([commit] if commit else [])], branch.ref, tick)
    except AbsentError:
        kept, known = git.history(url, [branch.commit], branch.ref, tick), None
    head = kept.line(branch.commit, f"{branch.commit}^@")[0]
    if known is None or kept.merge_base(known, branch.commit) != known:
        return Lag(head, None)
    return Lag(head, tuple(kept.line(branch.commit, known)))


def followed(git: Git, url: str, refs: Iterable[str | None]) -> Resolved | None:
    """Give the head of the first of the refs that is a branch; None where none is. Raises FetchError."""
    for ref in filter(None, dict.fromkeys(refs)):
        try:
            found = git.resolve(url, ref)
        except SpecError:
            continue
        if found.ref is not None and found.ref.startswith("refs/heads/"):
            return found
    return None


def named(git: Git, url: str, name: str, head: Resolved | None, tick: Tick) -> Resolved:
    """Give the commit that a tag, a branch, or an id or the start of one names, of what led to `head`.

    Raises UsageError where there is none, FetchError.
    """
    try:
        return git.resolve(url, name)
    except SpecError as wrong:
        kept = git.history(url, [head.commit], head.ref, tick) if head and _START.fullmatch(name) else None
        found = kept.whole(name) if kept else None
        if found is None:
            raise UsageError(wrong.message, hint=wrong.hint) from wrong
        return Resolved(found, None)


def show(root: Path, revision: str, path: str, env: Mapping[str, str]) -> bytes:
    """Read a file of a checkout as it was in one of its revisions; `path` is relative to `root`.

    Raises UsageError: no git checkout, no such revision, or no such file in it.
    """
    clean = environment(env, 1)
    verify = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    found = process.run(verify, env=clean, cwd=root)
    commit = to_text(found.out).strip().rpartition("\n")[2]
    if found.code != 0:
        why = f"\n  git says  {reason(to_text(found.err))}" if found.err else ""
        raise UsageError(f"no revision `{revision}` in {root}{why}", hint="`git log --oneline -- locks`")
    ended = process.run(["git", "cat-file", "blob", f"{commit}:./{path}"], env=clean, cwd=root)
    if ended.code != 0:
        raise UsageError(
            f"revision `{revision}` has no `{path}`",
            hint=f"`git log --oneline -- {path}` names those that do",
        )
    return ended.out


def since(root: Path, path: str, text: str, env: Mapping[str, str]) -> date | None:
    """Give the day of the commit that brought a text into a file of a checkout; None for none."""
    argv = ["git", "log", "-1", "--format=%cs", f"-S{text}", "--", path]
    try:
        ended = process.run(argv, env=environment(env, 1), cwd=root)
    except ToolchainError:  # without git
        return None
    day = to_text(ended.out).strip()
    return date.fromisoformat(day) if ended.code == 0 and day else None
