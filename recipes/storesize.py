"""What the things in a store take on the disk."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recipes.store import Store
from recipes.storedir import PARTS

_BLOCK = 512  # bytes in one of stat's blocks, whatever the file system's are


@dataclass(frozen=True)
class Size:
    """How much one thing, or all of a part of the store, takes on the disk: bytes, and things in it."""

    name: str
    bytes: int
    count: int = 1


def parts(store: Store) -> list[Size]:
    """Measure each part of a store, its largest first."""
    found = []
    for part in PARTS:
        names = listed(store.root / part)
        found.append(Size(part, sum(size(store.root / part / name) for name in names), len(names)))
    return sorted(found, key=lambda one: -one.bytes)


def entries(store: Store) -> list[Size]:
    """Measure each store path, valid or not, the largest first."""
    found = [Size(name, size(store.root / "paths" / name)) for name in listed(store.root / "paths")]
    return sorted(found, key=lambda one: -one.bytes)


def size(path: Path) -> int:
    """Measure what a tree takes on the disk, in bytes; a file with several links once."""
    sizes = {}
    for one in walk(path):
        with suppress(FileNotFoundError):
            info = one.lstat()
            sizes[info.st_dev, info.st_ino] = info.st_blocks * _BLOCK
    return sum(sizes.values())


def walk(root: Path) -> Iterator[Path]:
    """List a tree, itself first, following no link; what cannot be listed is left out."""
    yield root
    if root.is_symlink():  # os.walk would follow this one
        return
    for directory, directories, names in os.walk(root):
        yield from (Path(directory, name) for name in sorted([*directories, *names]))


def listed(directory: Path, but: Collection[str] = ()) -> list[str]:
    """Give the names in a directory except some, sorted; none where there is no directory."""
    return sorted(set(os.listdir(directory)) - set(but)) if directory.is_dir() else []  # noqa: PTH208 - names
