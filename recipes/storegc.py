"""Make room in a store: keep what is reachable from roots, remove all else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from recipes import files, hashes
from recipes.errors import StoreError
from recipes.store import Store, is_name
from recipes.storecheck import walk

_BLOCK = 512  # bytes in one of stat's blocks, whatever the file system's are


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
    """Give the registered roots that still lead to an entry: file name in `roots/`, name of the entry."""
    found = {}
    for name in _listed(store.root / "roots"):
        with contextlib.suppress(OSError):
            entry = _entry(store, (store.root / "roots" / name).readlink())
            if entry is not None:
                found[name] = entry
    return found


def _entry(store: Store, link: Path) -> str | None:
    """Say which entry a link leads to or into; only the link itself is followed."""
    target = link.parent / link.readlink()
    paths = (store.root / "paths").resolve()
    for one in (target, *target.parents):
        if is_name(one.name) and one.parent.resolve() == paths:
            return one.name
    return None


def gc(store: Store, keep: Collection[str] = (), *, dry_run: bool = False) -> list[Removed]:
    """Remove what neither `keep` nor a registered root needs; say what it was.

    Entries, logs, archives, repositories, indexes, and what killed processes left. With `dry_run`, nothing is
    removed. Raises StoreError when another process is using the store, which may need anything in it.
    """
    store.directory.check()
    if not store.root.is_dir():
        return []
    with nullcontext() if dry_run else store.alone():
        registered = roots(store)
        kept = _closure(store, [*keep, *registered.values()])
        removed = [Removed(name, _size(store.root / name)) for name in _garbage(store, kept, registered)]
        for one in () if dry_run else removed:
            _remove(store, one.name)
    return [one for one in removed if not one.name.startswith(("info/", "locks/", "roots/"))]


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


def _garbage(store: Store, kept: Collection[str], registered: Collection[str]) -> list[str]:
    """List what to remove, as paths in the store, in the order of removal."""
    names = {name.removesuffix(".json") for name in _listed(store.root / "info")}
    entries = {name for name in names | set(_listed(store.root / "paths")) if is_name(name)} - set(kept)
    wanted = {
        "apt": set[str](),
        "archives": set[str](),
        "git": set[str](),
        "info": {f"{name}.json" for name in {*entries, *kept}},
        "locks": {"store"},
        "logs": {f"{name}.log" for name in kept},
        "paths": {*entries, *kept},
        "roots": set(registered),
        "tmp": set[str](),
    }
    rest = [f"{part}/{name}" for part, names in wanted.items() for name in _listed(store.root / part, names)]
    return [*(f"paths/{name}" for name in _users_first(store, entries)), *rest]


def _users_first(store: Store, names: Collection[str]) -> list[str]:
    """Order entries so that a kill between two removals leaves none that needs one that is gone."""
    needed = {name: set(_references(store, name)) & set(names) for name in sorted(names)}
    try:
        return list(TopologicalSorter(needed).static_order())[::-1]
    except CycleError:  # no hash can be in what it is made from: the infos are not ours
        return sorted(names)


def _remove(store: Store, name: str) -> None:
    part, _, base = name.partition("/")
    if part == "paths" and is_name(base):
        store.forget(base)
    elif part in ("apt", "git"):  # in one step: half a repository or an index would look like one
        aside = Path(tempfile.mkdtemp(dir=store.root / "tmp"))
        (store.root / name).rename(aside / base)
        files.remove(aside)
    else:
        files.remove(store.root / name)


def _listed(directory: Path, but: Collection[str] = ()) -> list[str]:
    return sorted(set(os.listdir(directory)) - set(but)) if directory.is_dir() else []  # noqa: PTH208


def _size(path: Path) -> int:
    """Measure what a tree takes on the disk, in bytes; a file with several links once."""
    sizes = {}
    for one in walk(path):
        with contextlib.suppress(FileNotFoundError):
            info = one.lstat()
            sizes[info.st_dev, info.st_ino] = info.st_blocks * _BLOCK
    return sum(sizes.values())
