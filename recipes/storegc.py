"""Make room in a store: keep what is reachable from roots, remove all else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from recipes import files, flock, hashes, storesize
from recipes.errors import StoreError
from recipes.store import BESIDE, Store, is_name
from recipes.storesize import Size, listed

_NOT_TOLD = ("info/", "locks/", "roots/")  # of what is removed: they are parts of something, and small


@dataclass(frozen=True)
class Removed:
    """What gc removed: its path in the store (`paths/HASH-NAME`) and its size on disk in bytes."""

    name: str
    bytes: int


def add_root(store: Store, link: Path) -> None:
    """Keep the entry that a link outside the store leads to, for as long as the link does so.

    `link` is absolute; it may be made before or after. Nix calls it an indirect root.
    """
    if not link.is_absolute():
        raise ValueError(f"{link} is not absolute")
    with store.using(), store.scratch("root") as place:
        (place / "link").symlink_to(link)
        (place / "link").rename(store.root / "roots" / hashes.store_hash(os.fspath(link)))


def roots(store: Store) -> dict[str, str]:
    """Give the registered roots that still lead into the store: file name in `roots/`, name of the entry."""
    found = {}
    for name in listed(store.root / "roots"):
        with suppress(OSError):
            entry = _entry(store, (store.root / "roots" / name).readlink())
            if entry is not None:
                found[name] = entry
    return found


def links(store: Store) -> Iterator[tuple[Path, str]]:
    """Give the links behind `roots`, and the name of the entry that each leads to, there or not."""
    for root, name in roots(store).items():
        with suppress(OSError):
            yield (store.root / "roots" / root).readlink(), name


def remove_root(store: Store, entry: str) -> None:
    """Forget the roots that lead to an entry; the links themselves stay."""
    with store.using():
        for root, name in roots(store).items():
            if name == entry:
                files.remove(store.root / "roots" / root)


def _entry(store: Store, link: Path) -> str | None:
    """Say which entry a link leads to or into; only the link itself is followed."""
    target = link.parent / link.readlink()
    paths = (store.root / "paths").resolve()
    for one in (target, *target.parents):
        if is_name(one.name) and one.parent.resolve() == paths:
            return one.name
    return None


def gc(
    store: Store,
    keep: Collection[str] = (),
    *,
    last: int = 0,
    cache: bool = False,
    dry_run: bool = False,
) -> list[Removed]:
    """Remove what neither `keep`, a registered root nor one of the `last` builds needs; say what it was.

    Entries with their provenance, logs, archives, repositories, indexes, what killed processes left, and
    with `cache` what compilers keep between builds. With `dry_run`, nothing is removed. Raises StoreError
    when another process is using the store, which may need anything in it.
    """
    store.directory.check()
    if not store.root.is_dir():
        return []
    with nullcontext() if dry_run else store.alone():
        registered = roots(store)
        kept = _closure(store, [*keep, *registered.values(), *last_builds(store, last)])
        garbage = _garbage(store, kept, registered, cache=cache)
        removed = [Removed(name, _size(store, name)) for name in garbage]
        for one in () if dry_run else removed:
            _remove(store, one.name)
    return [one for one in removed if not one.name.startswith(_NOT_TOLD)]


def by_part(removed: Iterable[Removed]) -> list[Size]:
    """Sum what was removed up by the part of the store that it was in, the largest first."""
    found: dict[str, Size] = {}
    for one in removed:
        part = one.name.partition("/")[0]
        so_far = found.get(part, Size(part, 0, 0))
        found[part] = Size(part, so_far.bytes + one.bytes, so_far.count + 1)
    return sorted(found.values(), key=lambda one: -one.bytes)


def last_builds(store: Store, count: int) -> list[str]:
    """Name the builds that were added last, the newest first; an info's time says when."""
    found = []
    for file in listed(store.root / "info") if count else ():
        with suppress(OSError, StoreError):
            if store.info(file.removesuffix(".json")).kind == "build":
                found.append((-(store.root / "info" / file).stat().st_mtime_ns, file.removesuffix(".json")))
    return [name for _, name in sorted(found)[:count]]


def _closure(store: Store, names: Iterable[str]) -> set[str]:
    """Give the valid entries among names, and all that they need."""
    kept: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in kept and is_name(name) and store.has(name):
            kept.add(name)
            todo += _references(store, name)
    return kept


def _references(store: Store, name: str) -> tuple[str, ...]:
    try:
        return store.info(name).references
    except StoreError:
        return ()  # damaged or not there: what it needs is not known


def _garbage(store: Store, kept: Collection[str], registered: Collection[str], *, cache: bool) -> list[str]:
    """List what to remove, as paths in the store, in the order of removal."""
    names = {name.removesuffix(".json") for name in listed(store.root / "info")}
    entries = {name for name in names | set(listed(store.root / "paths")) if is_name(name)} - set(kept)
    wanted = {
        "apt": set[str](),
        "archives": set[str](),
        "cache": set(() if cache else listed(store.root / "cache")),
        "git": set[str](),
        "info": {f"{name}.json" for name in {*entries, *kept}},
        "locks": {"store"},
        "logs": {f"{name}.log" for name in kept},
        "paths": {*entries, *kept},
        "provenance": {f"{name}{ending}" for name in {*entries, *kept} for ending in BESIDE},
        "roots": set(registered),
        "tmp": set[str](),
    }
    rest = [f"{part}/{name}" for part, names in wanted.items() for name in listed(store.root / part, names)]
    return [*(f"paths/{name}" for name in _users_first(store, entries)), *rest]


def _users_first(store: Store, names: Collection[str]) -> list[str]:
    """Order entries so that a kill between two removals leaves none that needs one that is gone."""
    needed = {name: set(_references(store, name)) & set(names) for name in sorted(names)}
    try:
        return list(TopologicalSorter(needed).static_order())[::-1]
    except CycleError:  # no hash can be in what it is made from: the infos are not ours
        return sorted(names)


def _size(store: Store, name: str) -> int:
    """Measure what goes with a thing: with an entry, also its provenance."""
    part, _, base = name.partition("/")
    more = [store.root / "provenance" / f"{base}{ending}" for ending in BESIDE if part == "paths"]
    return sum(storesize.size(one) for one in (store.root / name, *more))


def _remove(store: Store, name: str) -> None:
    part, _, base = name.partition("/")
    if part == "paths" and is_name(base):
        store.forget(base)
    elif part in ("apt", "git"):
        _remove_aside(store, name)
    else:
        files.remove(store.root / name)


def remove_repository(store: Store, name: str) -> None:
    """Remove a repository, `git/NAME.git`, against all who read it or fetch into it."""
    with store.using(), flock.exclusive((store.root / name).with_suffix(".lock")):
        _remove_aside(store, name)


def _remove_aside(store: Store, name: str) -> None:
    """Remove in one step what would look whole when half of it is gone."""
    if os.path.lexists(store.root / name):
        aside = Path(tempfile.mkdtemp(dir=store.root / "tmp"))
        (store.root / name).rename(aside / "removed")
        files.remove(aside)
