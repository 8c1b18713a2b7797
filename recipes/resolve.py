"""Resolve: specs → lock. The only stage that decides what a source is; it needs the network.

Each origin that can be reached is asked for the source's bytes, and all must give the same: origins
are interchangeable, or the lock is not written. What cannot be reached keeps the lock it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

from recipes import carriers, origins
from recipes.archives import Want, unpack
from recipes.dates import written
from recipes.errors import FetchError, IntegrityError, RecipesError
from recipes.fetch import PARALLEL, Fetcher, silent
from recipes.files import tree_hash
from recipes.lock import Lock, LockedSource
from recipes.origins import Archive, GitOrigin, Origin, answers, file_name
from recipes.plan import SourceTree, path_name
from recipes.resolverefs import Refs, ignore
from recipes.spec import Source, Taken
from recipes.treewriter import TreeWriter


@dataclass(frozen=True)
class Asked:
    """One tree to lock: a source or a submodule of one, where it is to be found, and at which commit."""

    name: str
    taken: Taken
    commit: str | None
    resolved: str | None
    origins: tuple[Origin, ...]
    ref: str | None = None
    before: datetime | None = None


@dataclass
class Resolver:
    """What resolving needs. `old` is the lock so far; `named` the sources to move (None: all).

    With `at`, every branch is taken as it was at that moment, held back or not, and nothing that fails keeps
    its lock: the result would be of two moments.
    """

    fetcher: Fetcher
    old: Lock | None
    named: frozenset[str] | None = None
    at: datetime | None = None
    failures: list[RecipesError] = field(default_factory=list)

    def lock(self, asked: Sequence[Source]) -> Lock:
        """Resolve every source; those that fail keep their lock, and `failures` says why.

        Where sources are named, nothing else of the lock changes: what no spec asks for is kept, too.
        Raises IntegrityError where two origins disagree, FetchError where a source without a lock
        cannot be resolved.
        """
        with ThreadPoolExecutor(PARALLEL) as pool:
            found = list(pool.map(self._source_or_old, asked))
        names = {source.name for source in asked}
        kept = self.old.sources if self.old and self.named is not None else {}
        rest = {name: one for name, one in kept.items() if name.split("/")[0] not in names}
        return Lock(sources={**rest, **{name: one for part in found for name, one in part.items()}})

    def _source_or_old(self, source: Source) -> Mapping[str, LockedSource]:
        had = self._had(source.name)
        if self.named is not None and source.name not in self.named:
            return had
        try:
            return self._source(source)
        except FetchError as error:
            if not had or self.at:
                raise
            self.failures.append(error)
            return had

    def _had(self, name: str) -> dict[str, LockedSource]:
        mine = self.old.of(name) if self.old else {}
        return {f"{name}/{path}".rstrip("/"): one for path, one in mine.items()}

    def _source(self, source: Source) -> dict[str, LockedSource]:
        top = self._completed(self._top(source))
        wanted = [top, *self._submodules(source, top)]
        carried = self._carried(wanted)
        return {one.name: self._locked(one, carried) for one in wanted}

    def _top(self, source: Source) -> Asked:
        asked = Asked(source.name, source.taken, None, None, source.origins, source.ref, source.before)
        repository = _repository(source.origins)
        if repository is None or source.ref is None:
            return asked
        self._answering(repository)
        refs = Refs(self.fetcher, self.old, self.named, self.at)
        found, moment = refs.find(source, repository, source.ref)
        return replace(asked, commit=found.commit, resolved=found.ref, before=moment)

    def _answering(self, url: str) -> None:
        silence = self.fetcher.git.answers(url)
        if silence is not None:
            raise silent(url, silence)

    def _completed(self, one: Asked) -> Asked:
        """Say of each archive which it is; where none can tell, as the lock of the same commit has it."""
        had = self.old.sources.get(one.name) if self.old else None
        kept = had.origins if had and had.commit == one.commit else ()
        return replace(one, origins=tuple(self._origin(origin, kept) for origin in one.origins))

    def _origin(self, origin: Origin, kept: Sequence[Origin]) -> Origin:
        if isinstance(origin, GitOrigin):
            return origin
        try:
            return carriers.completed(self.fetcher, origin)
        except FetchError:
            same = next((one for one in kept if answers(one, origin)), None)
            if same is None:
                raise
            return same

    def _submodules(self, source: Source, top: Asked) -> list[Asked]:
        """Find each wanted submodule's commit and repository, parents before what lies in them."""
        found = {"": top}
        for path in sorted(source.submodules, key=len):
            spec = source.submodules[path]
            above = max((one for one in found if not one or path.startswith(f"{one}/")), key=len)
            parent = found[above]
            inside = path[len(above) :].lstrip("/")
            url, commit = self._gitlink(parent, inside)
            inherited = [
                origins.below(one, inside) for one in parent.origins if not isinstance(one, GitOrigin)
            ]
            places = (GitOrigin(git=url), *inherited, *spec.also)
            found[path] = self._completed(Asked(f"{source.name}/{path}", spec, commit, None, places))
        return [one for path, one in found.items() if path]

    def _gitlink(self, parent: Asked, path: str) -> tuple[str, str]:
        git, url = self.fetcher.git, _repository(parent.origins)
        if url is None or parent.commit is None:
            raise FetchError(f"`{parent.name}` has no repository to find the submodule `{path}` in")
        self._answering(url)
        git.fetch(url, parent.commit, parent.resolved, ignore)
        commit = git.gitlinks(url, parent.commit).get(path)
        modules = git.blob(url, parent.commit, ".gitmodules") or b""
        where = git.submodule_urls(modules, url).get(path)
        if commit is None or where is None:
            raise FetchError(
                f"`{parent.name}` has no submodule at `{path}` in commit {parent.commit}",
                hint="name the submodules of this version in the environment, under `submodules:`",
            )
        return where.removesuffix(".git"), commit

    def _carried(self, wanted: Sequence[Asked]) -> dict[tuple[str, Origin], str | FetchError]:
        """Hash each tree as the archives have it: an archive is read once for all that it holds."""
        holding: dict[str, list[tuple[Asked, Archive]]] = {}
        for one in wanted:
            for origin in one.origins:
                if not isinstance(origin, GitOrigin):
                    holding.setdefault(file_name(origin), []).append((one, origin))
        found: dict[tuple[str, Origin], str | FetchError] = {}
        for them in holding.values():
            found.update(self._archive(them))
        return found

    def _archive(self, them: Sequence[tuple[Asked, Archive]]) -> dict[tuple[str, Origin], str | FetchError]:
        keys: list[tuple[str, Origin]] = [(one.name, origin) for one, origin in them]
        try:
            place = self.fetcher.archive(them[0][1])
        except FetchError as error:
            return dict.fromkeys(keys, error)
        file = file_name(them[0][1])
        with self.fetcher.store.scratch("lock") as scratch:
            wants = [
                Want(origin.path or "", TreeWriter(scratch / str(at), one.taken.filter(), origin.describe()))
                for at, (one, origin) in enumerate(them)
            ]
            with self.fetcher.report.task(f"reading {file}", "files") as task:
                unpack(place, file, wants, task)
            return {key: tree_hash(want.writer.root)[0] for key, want in zip(keys, wants, strict=True)}

    def _locked(self, one: Asked, carried: Mapping[tuple[str, Origin], str | FetchError]) -> LockedSource:
        found = {origin: self._hash(one, origin, carried) for origin in one.origins}
        good = {origin: value for origin, value in found.items() if isinstance(value, str)}
        if not good:
            lines = [line for error in found.values() for line in str(error).splitlines()]
            kind = "submodule" if "/" in one.name else "source"
            raise FetchError("\n  ".join([f"{kind} `{one.name}` cannot be had", *lines]))
        if len(set(good.values())) > 1:
            shown = "\n".join(f"  {value}  {origin.describe()}" for origin, value in good.items())
            raise IntegrityError(
                f"the origins of `{one.name}` disagree; nothing is locked\n{shown}",
                hint="narrow `include:` to files that they share, or drop the origin that differs",
            )
        for origin, error in found.items():
            if isinstance(error, FetchError):
                why = error.message.splitlines()[0]
                self.fetcher.report.line(
                    f"`{one.name}` is locked without a look at {origin.describe()}: {why}"
                )
        return self._entry(one, next(iter(good.values())))

    def _hash(
        self, one: Asked, origin: Origin, carried: Mapping[tuple[str, Origin], str | FetchError]
    ) -> str | FetchError:
        if not isinstance(origin, GitOrigin):
            return carried[one.name, origin]
        try:
            return self._from_repository(one, origin)
        except FetchError as error:
            return error

    def _from_repository(self, one: Asked, origin: GitOrigin) -> str:
        """Hash a commit's tree; a tree that the lock knows already is not read again."""
        had = self.old.sources.get(one.name) if self.old else None
        if had and had.commit == one.commit and had.taken.filter() == one.taken.filter():
            self.fetcher.git.fetch(origin.git, one.commit or "", one.resolved, ignore)
            return had.hash
        tree = SourceTree(one.name, "", one.commit, one.resolved, one.taken.filter(), (origin,))
        with self.fetcher.store.scratch("lock") as scratch:
            writer = TreeWriter(scratch / "tree", tree.filter, origin.git)
            with self.fetcher.report.task(f"reading {one.name} from {origin.git}", "files") as task:
                self.fetcher.checkout(origin.git, tree, writer, task)
            hashed = replace(tree, hash=tree_hash(writer.root)[0])
            name = path_name(hashed)
            with self.fetcher.store.lock(name):
                self.fetcher.store.add(
                    name, writer.root, kind="source", origin=origin.git, expected=hashed.hash
                )
        return hashed.hash

    def _entry(self, one: Asked, content: str) -> LockedSource:
        tree = date = None
        repository = _repository(one.origins)
        if repository and one.commit:
            try:
                commit = self.fetcher.git.fetch(repository, one.commit, one.resolved, ignore)
            except FetchError:
                pass  # told in _locked; the commit's own date and tree stay unknown
            else:
                tree, date = commit.tree, written(commit.date)
        return LockedSource(
            **one.taken.model_dump(exclude={"also"}),
            ref=one.ref,
            before=one.before,
            resolved=one.resolved,
            commit=one.commit,
            date=date,
            tree=tree,
            hash=content,
            origins=one.origins,
        )


def _repository(places: Sequence[Origin]) -> str | None:
    return next((one.git for one in places if isinstance(one, GitOrigin)), None)
