"""One-off overrides: a plan with one input changed, from the lock's other entries, which stays as it is.

What is made so goes to another store path by itself: the source's hash is another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from recipes import files, giturls, worktree
from recipes.errors import SpecError, UsageError
from recipes.fetch import Fetcher
from recipes.located import nearest
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.plan import SourceTree, path_name
from recipes.resolve import Resolver
from recipes.spec import Source, Specs
from recipes.tree import Entry
from recipes.treewriter import TreeWriter
from recipes.worktree import Worktree


def parse(
    texts: Iterable[str], specs: Specs, directory: Path, home: str | None = None
) -> dict[str, Path | str]:
    """Read `SOURCE=REF` and `SOURCE=PATH` words; a path is relative to `directory`, `~/` is `home`.

    A value that begins with `.`, `/` or `~` is the path of a checkout, every other one a ref. Raises
    UsageError for a wrong or a contradicting word.
    """
    found: dict[str, Path | str] = {}
    known = list(specs.environment.sources)
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and value):
            raise UsageError(f"`--override {text}` is not SOURCE=REF or SOURCE=PATH")
        if name not in known:
            near = nearest(name, known)
            raise UsageError(f"`--override {text}`: variant `{specs.variant}` has no source `{name}`{near}")
        is_path = value.startswith((".", "/", "~"))
        meant = _path(text, value, directory, home) if is_path else _ref_name(text, value)
        if found.setdefault(name, meant) != meant:
            raise UsageError(f"two overrides contradict: `{name}={found[name]}` and `{name}={meant}`")
    return found


def _ref_name(text: str, ref: str) -> str:
    """Give a ref back that git allows: what it does not, no repository need be asked for."""
    try:
        giturls.full_names(ref)
    except SpecError as wrong:
        raise UsageError(f"`--override {text}`: {wrong.message}", hint=wrong.hint) from wrong
    return ref


def _path(text: str, value: str, directory: Path, home: str | None) -> Path:
    first, _, rest = value.partition("/")
    if not first.startswith("~"):
        return directory / value
    if first == "~" and home:
        return directory / home / rest
    why = "HOME is not set" if first == "~" else "of home directories, only `~/` is known"
    raise UsageError(f"`--override {text}`: {why}", hint="write the path in full")


def apply(
    specs: Specs, lock: Lock, overrides: Mapping[str, Path | str], fetcher: Fetcher, env: Mapping[str, str]
) -> Lock:
    """Give the lock with each overridden source in its place: by a checkout (Path) or a ref (str).

    Raises FetchError and IntegrityError as resolving does, UsageError where there is no such ref or
    checkout.
    """
    sources = dict(lock.sources)
    for source in specs.sources():
        if source.name in overrides:
            value = overrides[source.name]
            if isinstance(value, Path):
                new = _checkout(source, lock, value, fetcher, env)
            else:
                new = _ref(source, value, fetcher)
            inside = f"{source.name}/"
            sources = {name: one for name, one in sources.items() if not f"{name}/".startswith(inside)}
            sources |= new
    return Lock(sources=sources)


def _ref(source: Source, ref: str, fetcher: Fetcher) -> Mapping[str, LockedSource]:
    # only its repository can have another commit: an archive that carries the locked one cannot
    places = tuple(one for one in source.origins if isinstance(one, GitOrigin))
    if not places:
        raise UsageError(f"`--override {source.name}={ref}`: the source has no repository")
    asked = replace(source, ref=ref, before=None, held=None, origins=places)
    try:
        return Resolver(fetcher, None).lock([asked]).sources
    except SpecError as wrong:  # here no spec asks for it: the command line does
        raise UsageError(wrong.message, hint=wrong.hint) from wrong


def _checkout(
    source: Source, lock: Lock, path: Path, fetcher: Fetcher, env: Mapping[str, str]
) -> Mapping[str, LockedSource]:
    top = worktree.read(path, env)
    state = "with uncommitted changes" if top.dirty else "as committed"
    fetcher.report.line(f"`{source.name}` is taken from {path}, at {top.commit}, {state}")
    new = {source.name: _taken(lock.sources[source.name], source.name, top, path, fetcher)}
    for below in source.submodules:
        name, tree = f"{source.name}/{below}", worktree.submodule(path, below, env)
        new[name] = _taken(lock.sources[name], name, tree, path / below, fetcher)
    return new


def _taken(locked: LockedSource, name: str, tree: Worktree, path: Path, fetcher: Fetcher) -> LockedSource:
    """Add to the store what a source takes of a checkout; give its entry in the lock's place."""
    part = locked.taken.filter()
    with fetcher.store.scratch("override") as scratch:
        writer = TreeWriter(scratch / "tree", part, str(path))
        for entry in _entries(path, tree.paths):
            writer.take(entry)
        writer.close()
        content, _ = files.tree_hash(writer.root)
        entry_name = path_name(SourceTree(name, content, None, None, part, ()))
        with fetcher.store.lock(entry_name):
            fetcher.store.add(entry_name, writer.root, kind="source", origin=str(path), expected=content)
    commit = None if tree.dirty else tree.commit
    changed = {"hash": content, "commit": commit, "tree": None, "date": tree.date, "resolved": None}
    return locked.model_copy(update=changed)


def _entries(root: Path, paths: Iterable[str]) -> Iterator[Entry]:
    for path in paths:
        place = root / path
        info = place.lstat()
        if place.is_symlink():
            yield Entry(path, "symlink", target=str(place.readlink()))
        elif place.is_file():
            chunks = files.FileChunks(bytes(place), info.st_size)
            yield Entry(path, "file", info.st_size, bool(info.st_mode & 0o100), chunks)
