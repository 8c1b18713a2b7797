"""Look for damage in a store: flipped bits, lost files, rights that let someone change an entry."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recipes import files
from recipes.errors import RecipesError
from recipes.store import Store, is_name
from recipes.storedir import PARTS


@dataclass(frozen=True)
class Problem:
    """What is wrong with one thing in the store.

    `name` is the entry's name, or what else it is as a path in the store (`archives/SHA256`, `paths`).
    Entries that are wrong can be made again after `Store.forget`.
    """

    name: str
    what: str


def check(store: Store, tick: Callable[[int, int], None] = lambda _done, _all: None) -> list[Problem]:
    """Hash every entry and archive again and look at all else that can be wrong, without any change.

    What killed processes leave is no problem: it is not valid and never used. Calls `tick` with how many
    entries and archives are done and how many there are. Raises StoreError as `StoreDirectory.check`.
    """
    store.directory.check()
    names = _names(store.root / "info", ".json")
    archives = [name for name in _listed(store.root / "archives") if _is_digest(name)]
    problems = _directories(store)
    for done, name in enumerate([*names, *archives]):
        tick(done, len(names) + len(archives))
        problems += _look(store, name) if is_name(name) else _archive(store, name)
    tick(len(names) + len(archives), len(names) + len(archives))
    return problems


def remove(store: Store, problems: Iterable[Problem]) -> None:
    """Take damaged entries and archives out, so that the next build brings them back."""
    for one in problems:
        if is_name(one.name):
            with store.lock(one.name):
                store.forget(one.name)
        elif one.name.startswith("archives/"):
            files.remove(store.root / one.name)


def _look(store: Store, name: str) -> list[Problem]:
    """Check an entry; if it seems wrong, again, as it may be on its way out by another process."""
    first = _what(store, name)
    again = _what(store, name) if first and store.info_path(name).exists() else None
    return [Problem(name, again)] if again and store.info_path(name).exists() else []


def _what(store: Store, name: str) -> str | None:
    try:
        return next(_faults(store, name), None)
    except RecipesError as error:
        return error.message
    except OSError as error:
        return f"cannot be read: {error.strerror}\n  path  {error.filename}"


def _faults(store: Store, name: str) -> Iterator[str]:
    info = store.info(name)
    if info.name != name:
        yield f"its info is for another entry\n  expected  {name}\n  actual    {info.name}"
    if not os.path.lexists(store.path(name)):
        yield f"its path is missing\n  path  {store.path(name)}"
    yield from _modes(store.path(name))
    store.verify(name)
    for reference in info.references:
        if not store.has(reference):
            yield f"it needs an entry that is not there\n  reference  {reference}"


def _modes(root: Path) -> Iterator[str]:
    """Find what is not as `files.make_read_only` leaves it."""
    for path in walk(root):
        info = path.lstat()
        mode = stat.S_IMODE(info.st_mode)
        wanted = (0o555,) if stat.S_ISDIR(info.st_mode) else (0o444, 0o555)
        if mode not in wanted and not stat.S_ISLNK(info.st_mode):
            expected = " or ".join(f"{one:04o}" for one in wanted)
            yield f"a mode is wrong\n  expected  {expected}\n  actual    {mode:04o}\n  path      {path}"


def walk(root: Path) -> Iterator[Path]:
    """List a tree, itself first, following no link; what cannot be listed is left out."""
    yield root
    for directory, directories, names in os.walk(root):
        yield from (Path(directory, name) for name in sorted([*directories, *names]))


def _archive(store: Store, sha256: str) -> list[Problem]:
    try:
        actual = store.archive_hash(sha256)
    except FileNotFoundError:
        return []  # its last user has just removed it
    except OSError as error:
        return [Problem(f"archives/{sha256}", f"cannot be read: {error.strerror}")]
    if actual == sha256:
        return []
    what = f"its bytes have another SHA-256\n  expected  {sha256}\n  actual    {actual}"
    return [Problem(f"archives/{sha256}", what)]


def _directories(store: Store) -> list[Problem]:
    """Find directories of the store in which any user may put things."""
    found = []
    for part in PARTS:
        path = store.root / part
        if path.is_dir() and path.stat().st_mode & stat.S_IWOTH:
            found.append(Problem(part, f"any user may write to it\n  path  {path}"))
    return found


def _names(directory: Path, ending: str) -> list[str]:
    names = [name.removesuffix(ending) for name in _listed(directory) if name.endswith(ending)]
    return [name for name in names if is_name(name)]


def _listed(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.is_dir() else []  # noqa: PTH208 - names, not paths


def _is_digest(name: str) -> bool:
    return len(name) == hashlib.sha256().digest_size * 2 and set(name) <= set("0123456789abcdef")
