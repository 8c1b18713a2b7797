"""Git's servers: what a ref names, and commits by their ids, shallow, with the blobs that are wanted.

Never `checkout`, never `archive`: what those write depends on refs, attributes and configuration. A
branch named like a commit id wins over the commit in a checkout (CVE-2026-47191 of kas), and
`export-subst` writes the names of refs into an archive's files.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

from recipes import gitsays, giturls, process
from recipes.errors import AbsentError, FetchError, IntegrityError, SpecError
from recipes.gitobjects import (
    EXECUTABLE,
    SUBMODULE,
    SYMLINK,
    Commit,
    Item,
    Object,
    Repository,
    environment,
    settings,
)
from recipes.giturls import is_commit_id, shown
from recipes.process import Ended
from recipes.tree import Entry, Filter, check_target, is_git_metadata, to_bytes, to_text

__all__ = ["Commit", "Git", "Resolved", "Tick"]

PATIENCE = 4  # times `timeout`: how long a host that has answered once may be silent
ALL_OF_IT = 0x7FFFFFFF  # git's own number for a history without an end, `INFINITE_DEPTH`
_REMOTE = "recipes"  # a name in the configuration of one command; nobody's own configuration has it

_FETCH = ("git", "fetch", "--quiet", "--progress", "--no-tags", "--no-write-fetch-head", "--stdin")
_HISTORY, _TREES, _WHOLE = "--filter=tree:0", "--filter=blob:none", "--no-filter"  # what comes of commits
_EVERYTHING = ["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]  # into a repository thrown away after
_PROGRESS = re.compile(r"Receiving objects:.*\((\d+)/(\d+)\)")
_REDIRECTED = re.compile(r"^warning: redirecting to (\S+?)/?$", re.MULTILINE)


class Tick(Protocol):
    """Is told how far a piece of work is: units done, of how many."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Take note of it."""


@dataclass(frozen=True)
class Resolved:
    """The commit that a ref names now, and the ref's full name (None: it was a commit's own id)."""

    commit: str
    ref: str | None


class Git:
    """Repositories by URL; `home` (absolute) is a directory of ours for what has been fetched.

    `rewrite` gives the URL to ask in place of one; what is kept goes by the original. `timeout` is how
    many seconds a host may take for its first answer. Of `env`, what git needs to reach servers is passed
    on. Several threads and processes may use one `home` at once.
    """

    def __init__(
        self,
        home: Path,
        *,
        env: Mapping[str, str],
        rewrite: Callable[[str], str] = lambda url: url,
        timeout: float = 8.0,
    ) -> None:
        self.home = home
        self.timeout = timeout
        self._rewrite = rewrite
        self._env = environment(env, silence=timeout * PATIENCE)
        self._answers: dict[str, str | None] = {}
        self._probing: dict[str, threading.Lock] = {}
        self._moved: dict[str, str] = {}

    def answers(self, url: str) -> str | None:
        """Ask whether a repository can be reached: None when it can, else why not, in one line.

        Each host is asked once, and one that is dead stays dead. What a host says of one repository (not
        found, not allowed) is said of that one only.
        """
        target = self._target(url)
        host = giturls.host(target)
        if host is None:
            return self._probe(target)
        with self._probing.setdefault(host, threading.Lock()):
            if host not in self._answers:
                reason = self._answers[url] = self._probe(target)
                self._answers[host] = reason if gitsays.is_death(reason) else None
            return self._answers[host] or self._answers.get(url)

    def resolve(self, url: str, ref: str) -> Resolved:
        """Give the commit that a tag, else a branch, a full `refs/…` or a whole commit id names.

        Raises FetchError, and SpecError where the repository has no such name.
        """
        if is_commit_id(ref):
            return Resolved(ref, None)
        names = giturls.full_names(ref)
        refs = self._refs(url, () if ref.startswith("refs/") else ("--heads", "--tags"))
        for name in names:
            if name in refs:
                return Resolved(refs.get(f"{name}^{{}}", refs[name]), name)
        raise giturls.unknown(url, ref, refs)

    def refs(self, url: str) -> dict[str, str]:
        """Give all that a repository advertises, name to object: `HEAD`, refs, and peeled tags (`…^{}`).

        Raises FetchError.
        """
        return self._refs(url, ())

    def head(self, url: str) -> str:
        """Give the commit of the default branch. Raises FetchError, and SpecError for an empty repository."""
        refs = self.refs(url)
        if "HEAD" not in refs:
            raise SpecError(f"`{shown(url)}` has no default branch", hint=f"`git ls-remote {shown(url)}`")
        return refs["HEAD"]

    def moved(self, url: str) -> str | None:
        """Say where a server sent us on to, when it was last asked for a repository's refs."""
        # where a mirror sends us says nothing of what it mirrors
        return self._moved.get(url) if self._target(url) == url else None

    def fetch(self, url: str, commit: str, ref: str | None, tick: Tick) -> Commit:
        """Bring in a commit and its trees, unless they are there; blobs only where the server insists.

        `ref` is where to look for the commit on a server that hands out only what it advertises. Raises
        FetchError (AbsentError where there is no such commit), IntegrityError for objects that are damaged.
        """
        if not is_commit_id(commit):
            raise SpecError(f"`{commit}` is not a whole commit id", hint=f"`git ls-remote {shown(url)}`")
        kept = self._kept(url)
        if kept.items(commit) is None:
            with kept.alone():
                self._bring(url, [commit], ref, tick, lambda: kept.items(commit) is not None)
        return kept.verified(commit)

    def has(self, url: str, commit: str, ref: str | None, scratch: Path) -> bool:
        """Ask a server whether it has a commit now, whatever is kept here: for that alone, without its tree.

        `scratch` is an empty directory that is thrown away after; `ref` is as for `fetch`. Raises FetchError,
        IntegrityError.
        """
        aside = copy.copy(self)
        aside.home = scratch
        kept = aside._kept(url)  # noqa: SLF001 - our own
        with suppress(AbsentError):
            aside._bring(  # noqa: SLF001
                url, [commit], ref, _deaf, lambda: not kept.missing([commit]), part=_HISTORY
            )
            return True
        return False

    def history(self, url: str, commits: Sequence[str], ref: str | None, tick: Tick) -> Repository:
        """Bring in what led to commits, without trees, unless it is there; give the repository that has it.

        Raises FetchError, also where the repository has been cut off: a shallow one.
        """
        kept = self._kept(url)
        if not kept.leads_back(commits):
            with kept.alone():
                back = functools.partial(kept.leads_back, commits)
                self._bring(url, commits, ref, tick, back, part=_HISTORY, depth=ALL_OF_IT)
        return kept

    def entries(self, url: str, commit: str, filter: Filter, tick: Tick) -> Iterator[Entry]:  # noqa: A002
        """Read the part of a commit's tree that a filter takes: in git's order, under its own paths.

        Blobs that are not there are fetched first, all at once. Submodules and `.git` are left out. An
        entry's bytes can be read until the next entry is asked for. Raises FetchError, IntegrityError.
        """
        items = [
            one for one in self._items(url, commit) if _is_content(one) and filter.place(one.path) is not None
        ]
        oids = [one.oid for one in items]
        self._complete(url, commit, oids, tick)
        with closing(self._kept(url).objects(oids)) as objects:
            for done, (item, found) in enumerate(zip(items, objects, strict=True), start=1):
                yield _entry(url, item, found)
                tick(done, len(items))

    def blob(self, url: str, commit: str, path: str) -> bytes | None:
        """Read one file of a commit; None where it has no such file. Raises FetchError, IntegrityError."""
        items = [one for one in self._items(url, commit) if one.path == path and _is_content(one)]
        oids = [one.oid for one in items if one.mode != SYMLINK]
        self._complete(url, commit, oids, _deaf)
        with closing(self._kept(url).objects(oids)) as objects:
            return next((b"".join(found.chunks) for found in objects), None)

    def gitlinks(self, url: str, commit: str) -> dict[str, str]:
        """Give a commit's submodules, path to commit. Raises FetchError, IntegrityError."""
        return {one.path: one.oid for one in self._items(url, commit) if one.mode == SUBMODULE}

    def submodule_urls(self, text: bytes, parent_url: str) -> dict[str, str]:
        """Read a `.gitmodules`: path to URL, a relative one resolved against `parent_url`.

        Raises SpecError where git cannot read it, and where a path or URL begins with `-`.
        """
        ended = self._run("config", "--file", "-", "--null", "--list", stdin=text)
        if ended.code != 0:
            why = gitsays.reason(to_text(ended.err))
            raise SpecError(f"`.gitmodules` of `{shown(parent_url)}` cannot be read\n  git says  {why}")
        modules: dict[str, dict[str, str]] = {}
        for line in to_text(ended.out).split("\0"):
            key, _, value = line.partition("\n")
            name, _, variable = key.rpartition(".")
            if name.startswith("submodule.") and variable in {"path", "url"}:
                modules.setdefault(name, {})[variable] = giturls.no_option(value, parent_url)
        whole = (one for one in modules.values() if "path" in one and "url" in one)
        return {one["path"].rstrip("/"): giturls.absolute(one["url"], parent_url) for one in whole}

    def _items(self, url: str, commit: str) -> list[Item]:
        self.fetch(url, commit, None, _deaf)
        return self._kept(url).items(commit) or []

    def _complete(self, url: str, commit: str, oids: Sequence[str], tick: Tick) -> None:
        """See to it that blobs are there: all that are not come in one request."""
        kept = self._kept(url)
        if not kept.missing(oids):
            return
        with kept.alone():
            missing = kept.missing(oids)
            if missing:
                self._reach(url)
            if missing and self._pull(url, missing, tick, part=_TREES) is not None:
                # With protocol v0 a server leaves blobs out and then refuses to hand them over
                self._bring(url, [commit], None, tick, lambda: not kept.missing(oids), part=_WHOLE)
        if left := kept.missing(oids):
            raise FetchError(f"`{shown(url)}` sent commit `{commit}` without {len(left)} of its blobs")

    def _bring(
        self,
        url: str,
        commits: Sequence[str],
        ref: str | None,
        tick: Tick,
        arrived: Callable[[], bool],
        *,
        part: str = _TREES,
        depth: int = 1,
    ) -> None:
        """Fetch commits by their ids; where that is refused, their ref's history, then everything."""
        if arrived():  # another process has brought it while this one waited
            return
        self._reach(url)
        refusal = self._pull(url, commits, tick, depth=depth, part=part)
        wider = [[name] for name in giturls.full_names(ref)] if ref else []
        for names in [*wider, _EVERYTHING]:
            if arrived():
                return
            if (refusal is None and part == _HISTORY) or (refusal and gitsays.absent(refusal)):
                break
            self._pull(url, names, tick, depth=ALL_OF_IT, part=part)
        if not arrived():
            raise self._unseen(url, commits, refusal or "", part)

    def _unseen(self, url: str, commits: Sequence[str], refusal: str, part: str) -> FetchError:
        absent = [gitsays.absent(refusal), *self._kept(url).missing(commits)]
        if part == _HISTORY and absent == [None]:
            return FetchError(f"`{shown(url)}` is shallow: it does not have what led to its commits")
        return AbsentError(f"`{shown(url)}` has no commit `{next(filter(None, absent), commits[0])}`")

    def _pull(
        self, url: str, wants: Sequence[str], tick: Tick, *, part: str, depth: int | None = None
    ) -> str | None:
        """Fetch ids or refs in one request; give the server's words where it refuses."""
        kept, log = self._kept(url), io.BytesIO()
        options = [part, *([f"--depth={depth}"] if depth else [])]
        argv = [*_FETCH, *options, _REMOTE]
        with kept.fetching() as env, TemporaryFile(dir=kept.path) as asked:
            asked.write("".join(f"{want}\n" for want in wants).encode())
            asked.seek(0)
            remote = settings({f"remote.{_REMOTE}.url": self._target(url)}, env)
            try:
                code = process.stream(
                    argv, env=env | remote, cwd=kept.path, log=log, line=_follow(tick), stdin=asked,
                    silence=self.timeout * PATIENCE * PATIENCE,
                )  # fmt: skip
            except process.Timeout as silent:
                raise self._failed(url, f"fatal: silent for {silent.seconds:g} s, timed out") from None
        text = to_text(log.getvalue())
        if code == 0:
            return None
        if gitsays.REFUSED.search(text):
            return text
        raise self._failed(url, text)

    def _refs(self, url: str, options: Sequence[str]) -> dict[str, str]:
        self._reach(url)
        try:
            ended = self._run("ls-remote", *options, "--", self._target(url), timeout=self.timeout * PATIENCE)
        except process.Timeout as slow:
            raise self._failed(url, f"timed out after {slow.seconds:g} s") from None
        if ended.code != 0:
            raise self._failed(url, to_text(ended.err))
        if found := _REDIRECTED.search(to_text(ended.err)):
            self._moved[url] = found[1]
        lines = (line.partition("\t") for line in to_text(ended.out).split("\n"))
        return {name: oid for oid, _, name in lines if is_commit_id(oid)}

    def _reach(self, url: str) -> None:
        if (reason := self.answers(url)) is not None:
            raise self._failed(url, reason)

    def _probe(self, target: str) -> str | None:
        try:
            ended = self._run("ls-remote", "--", target, "HEAD", timeout=self.timeout)
        except process.Timeout:
            return f"timed out after {self.timeout:g} s"
        return None if ended.code == 0 else gitsays.reason(to_text(ended.err))

    def _failed(self, url: str, text: str) -> FetchError | IntegrityError:
        """Make the error that git's words call for. Raises OSError where they are about our own disk."""
        gitsays.check_disk(text, self.home)
        target = self._target(url)
        about = (
            f"\n  asked     {shown(target)}" if target != url else ""
        ) + f"\n  git says  {gitsays.reason(text)}"
        if gitsays.is_damage(text):
            hint = f"if it is the copy here that is damaged: `rm -r {self._kept(url).path}`"
            return IntegrityError(f"`{shown(url)}` sent damaged objects{about}", hint=hint)
        return FetchError(f"`{shown(url)}` cannot be read{about}")

    def _target(self, url: str) -> str:
        return giturls.usable(self._rewrite(url))

    def _kept(self, url: str) -> Repository:
        kept = Repository(self.home / f"{_name(url)}.git", self._env)
        kept.make()
        return kept

    def _run(self, *argv: str, stdin: bytes = b"", timeout: float | None = None) -> Ended:
        """Run git where there is no repository, so that none around us adds its configuration."""
        return process.run(
            ["git", *argv], env=self._env | {"GIT_DIR": os.devnull}, stdin=stdin, timeout=timeout
        )


def _name(url: str) -> str:
    return hashlib.sha256(to_bytes(url)).hexdigest()[:40]


def _deaf(done: int, total: int | None = None) -> None:
    """Take no note."""


def _follow(tick: Tick) -> Callable[[str], None]:
    def line(text: str) -> None:
        if found := _PROGRESS.search(text):
            tick(int(found[1]), int(found[2]))

    return line


def _is_content(item: Item) -> bool:
    return item.mode != SUBMODULE and not is_git_metadata(item.path)


def _entry(url: str, item: Item, found: Object) -> Entry:
    if item.mode != SYMLINK:
        return Entry(item.path, "file", found.size, item.mode == EXECUTABLE, found.chunks)
    target = to_text(b"".join(found.chunks))
    check_target(item.path, target, shown(url))
    return Entry(item.path, "symlink", target=target)
