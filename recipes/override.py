"""One-off overrides: a plan with one input changed, from the lock's other entries, which stays as it is.

What is made so goes to another store path by itself: the source's hash is another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from recipes import files, worktree
from recipes.errors import UsageError
from recipes.fetch import Fetcher
from recipes.files import TreeWriter
from recipes.located import nearest
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.plan import SourceTree, path_name
from recipes.resolve import Resolver
from recipes.spec import Source, Specs
from recipes.tree import Entry
from recipes.worktree import Worktree


def parse(texts: Iterable[str], specs: Specs, directory: Path) -> dict[str, Path | str]:
    """Read `SOURCE=REF` and `SOURCE=PATH` words; a path is relative to `directory`.

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
        meant = directory / Path(value).expanduser() if value.startswith((".", "/", "~")) else value
        if found.setdefault(name, meant) != meant:
            raise UsageError(f"two overrides contradict: `{name}={found[name]}` and `{name}={meant}`")
    return found


def apply(
    specs: Specs, lock: Lock, overrides: Mapping[str, Path | str], fetcher: Fetcher, env: Mapping[str, str]
) -> Lock:
    """Give the lock with each overridden source in its place: by a checkout (Path) or a ref (str).

    Raises SpecError and FetchError as resolving does, UsageError where a path is no checkout.
    """
    sources = dict(lock.sources)
    for source in specs.sources():
        if source.name in overrides:
            value = overrides[source.name]
            if isinstance(value, Path):
                new = _checkout(source, lock, worktree.read(value, env), value, fetcher)
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
    asked = replace(source, ref=ref, before=None, origins=places)
    return Resolver(fetcher, None).lock([asked]).sources


def _checkout(
    source: Source, lock: Lock, tree: Worktree, path: Path, fetcher: Fetcher
) -> Mapping[str, LockedSource]:
    state = "with uncommitted changes" if tree.dirty else "as committed"
    fetcher.report.line(f"`{source.name}` is taken from {path}, at {tree.commit}, {state}")
    with fetcher.store.scratch("override") as scratch:
        writer = TreeWriter(scratch / "tree", source.taken.filter(), str(path))
        for entry in _entries(path, tree.paths):
            writer.take(entry)
        writer.close()
        content, _ = files.tree_hash(writer.root)
        node = SourceTree(source.name, content, None, None, source.taken.filter(), ())
        name = path_name(node)
        with fetcher.store.lock(name):
            fetcher.store.add(name, writer.root, kind="source", origin=str(path), expected=content)
    locked = lock.sources[source.name]
    commit = None if tree.dirty else tree.commit
    changed = {"hash": content, "commit": commit, "tree": None, "date": None, "resolved": None}
    return {source.name: locked.model_copy(update=changed)}


def _entries(root: Path, paths: Iterable[str]) -> Iterator[Entry]:
    for path in paths:
        place = root / path
        info = place.lstat()
        if place.is_symlink():
            yield Entry(path, "symlink", target=str(place.readlink()))
        elif place.is_file():
            chunks = files.FileChunks(bytes(place), info.st_size)
            yield Entry(path, "file", info.st_size, bool(info.st_mode & 0o100), chunks)
