"""Look for damage in a store: flipped bits, lost files, rights that let someone change an entry."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic_core import from_json

from recipes import compilercache, files, flock, packs, storegc
from recipes.errors import RecipesError
from recipes.store import STATEMENTS, SUM, Store, is_name, sum_line
from recipes.storedir import PARTS
from recipes.storesize import listed, size

Kind = Literal["entry", "mode", "provenance", "archive", "cache", "repository", "root", "directory"]


@dataclass(frozen=True)
class Problem:
    """What is wrong with one thing in the store.

    `name` is the entry's name, or what else it is as a path in the store (`archives/SHA256`,
    `cache/KEY/SHA256.tar`, `paths`); for a `root` that leads to nothing, the name of the entry that is not
    there. A `mode` is an entry that has its hash and rights to write. `actual` is the NAR hash that a damaged
    entry has now, where it has one.
    """

    name: str
    what: str
    kind: Kind = "entry"
    actual: str | None = None


def check(store: Store, tick: Callable[[int, int], None] = lambda _done, _all: None) -> list[Problem]:
    """Hash every entry, archive, cache and pack again, each once, and look at all else that can be wrong.

    Nothing is changed. What killed processes leave is no problem: it is not valid and never used. Calls
    `tick` with how many entries, archives, caches and repositories are done and how many there are. Raises
    StoreError as `StoreDirectory.check`.
    """
    store.directory.check()
    jobs = _jobs(store)
    found: dict[int, list[Problem]] = {}
    tick(0, len(jobs))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        largest_first = sorted(range(len(jobs)), key=lambda at: -jobs[at].size)
        running = {pool.submit(jobs[at].run): at for at in largest_first}
        for done in as_completed(running):
            found[running[done]] = done.result()
            tick(len(found), len(jobs))
    in_order = [problem for at in sorted(found) for problem in found[at]]
    return [*_directories(store), *in_order, *_roots(store)]


def check_entry(store: Store, name: str) -> list[Problem]:
    """Check one entry and its provenance; if it seems wrong, again, as another process may be removing it."""
    for _ in range(2):
        problem = _what(store, name)
        if problem is None or not store.info_path(name).exists():
            return []
    return [problem] if problem else []


def remove(store: Store, problems: Iterable[Problem]) -> list[Problem]:
    """Take damaged entries, archives, caches and repositories out: the next build brings them back.

    Give the other problems: links to nothing, and directories with the wrong rights.
    """
    left = []
    for one in problems:
        if one.kind in ("entry", "mode", "provenance"):
            with store.lock(one.name):
                store.forget(one.name)
        elif one.kind == "archive":
            with store.using(), flock.exclusive(store.root / f"{one.name}.lock"):
                files.remove(store.root / one.name)
        elif one.kind == "cache":
            with store.using():
                compilercache.evict(store.root / one.name)
        elif one.kind == "repository":
            storegc.remove_repository(store, one.name)
        else:
            left.append(one)
    return left


@dataclass(frozen=True)
class _Job:
    size: int  # bytes to hash, about
    run: Callable[[], list[Problem]]


def _jobs(store: Store) -> list[_Job]:
    """List what is to be hashed."""
    archives = [f"archives/{name}" for name in listed(store.root / "archives") if _is_digest(name)]
    caches = [f"cache/{one.parent.name}/{one.name}" for one in (store.root / "cache").glob("*/*.tar")]
    hashed: list[tuple[str, Kind]] = [(name, "archive") for name in archives]
    hashed += [(name, "cache") for name in sorted(caches)]
    repositories = [name for name in listed(store.root / "git") if name.endswith(".git")]
    return [
        *(_Job(_nar_size(store, name), partial(check_entry, store, name)) for name in _names(store)),
        *(_Job(size(store.root / name), partial(_hashed, store, name, kind)) for name, kind in hashed),
        *(_Job(size(store.root / "git" / name), partial(_repository, store, name)) for name in repositories),
    ]


def _nar_size(store: Store, name: str) -> int:
    try:
        return store.info(name).nar_size
    except (RecipesError, OSError):
        return 0


def _what(store: Store, name: str) -> Problem | None:
    try:
        return next(_faults(store, name), None)
    except RecipesError as error:
        return Problem(name, error.message)
    except OSError as error:
        return Problem(name, f"cannot be read: {error.strerror}\n  path  {error.filename}")


def _faults(store: Store, name: str) -> Iterator[Problem]:
    info = store.info(name)
    if info.name != name:
        yield Problem(name, f"its info is for another entry\n  expected  {name}\n  actual    {info.name}")
    if not os.path.lexists(store.path(name)):
        yield Problem(name, f"its path is missing\n  path  {store.path(name)}")
    wrong = _Modes()
    actual, length = files.tree_hash(store.path(name), wrong)
    if actual != info.nar_hash:
        yield Problem(name, store.changed(name, info.nar_hash, actual).message, actual=actual)
    if length != info.nar_size:
        yield Problem(name, f"its NAR has another size\n  expected  {info.nar_size}\n  actual    {length}")
    if wrong.found is not None:
        yield Problem(name, wrong.found, "mode")
    for reference in info.references:
        if not store.has(reference):
            yield Problem(name, f"it needs an entry that is not there\n  reference  {reference}")
    yield from _provenance(store, name)


class _Modes:
    """Shown a tree's paths, finds the first that is not as `files.make_read_only` leaves it."""

    def __init__(self) -> None:
        self.found: str | None = None

    def __call__(self, path: bytes, info: os.stat_result) -> None:
        mode = stat.S_IMODE(info.st_mode)
        wanted = (0o555,) if stat.S_ISDIR(info.st_mode) else (0o444, 0o555)
        if self.found is None and mode not in wanted and not stat.S_ISLNK(info.st_mode):
            expected = " or ".join(f"{one:04o}" for one in wanted)
            where = os.fsdecode(path)
            self.found = (
                f"a mode is wrong\n  expected  {expected}\n  actual    {mode:04o}\n  path      {where}"
            )


def _provenance(store: Store, name: str) -> Iterator[Problem]:
    for ending in STATEMENTS:
        path = store.root / "provenance" / f"{name}{ending}"
        try:
            data = path.read_bytes()
            from_json(data)
        except FileNotFoundError:
            continue
        except ValueError as error:
            yield Problem(name, f"its provenance is damaged\n  file   {path}\n  error  {error}", "provenance")
        else:
            yield from _sum(path, data, name)


def _sum(path: Path, data: bytes, name: str) -> Iterator[Problem]:
    """Compare a statement with the hash beside it; an older one, or one that a kill left, has none."""
    beside, expected = path.with_name(f"{path.name}{SUM}"), sum_line(path.name, data)
    with suppress(FileNotFoundError):
        if beside.read_bytes() != expected:
            what = (
                f"its provenance does not have the hash that is beside it\n  file  {path}\n  hash  {beside}"
            )
            yield Problem(name, what, "provenance")


def _hashed(store: Store, name: str, kind: Kind) -> list[Problem]:
    """Check a file that has its hash in its name."""
    sha256 = PurePosixPath(name).stem
    try:
        actual = files.sha256(store.root / name)
    except FileNotFoundError:
        return []  # its last user has just removed it
    except OSError as error:
        return [Problem(name, f"cannot be read: {error.strerror}", kind)]
    if actual == sha256:
        return []
    what = f"its bytes have another SHA-256\n  expected  {sha256}\n  actual    {actual}"
    return [Problem(name, what, kind)]


def _repository(store: Store, name: str) -> list[Problem]:
    try:
        bad = next(packs.damaged(store.root / "git" / name), None)
    except FileNotFoundError:
        return []  # it is being taken out
    except OSError as error:
        return [
            Problem(
                f"git/{name}", f"cannot be read: {error.strerror}\n  path  {error.filename}", "repository"
            )
        ]
    if bad is None:
        return []
    return [Problem(f"git/{name}", f"a pack does not have its own checksum\n  path  {bad}", "repository")]


def _roots(store: Store) -> list[Problem]:
    """Find result links that lead into the store, to what is no entry any more."""
    return [
        Problem(name, f"a link leads to it, and it is not there\n  link  {link}", "root")
        for link, name in storegc.links(store)
        if not store.has(name)
    ]


def _directories(store: Store) -> list[Problem]:
    """Find directories of the store in which any user may put things."""
    found = []
    for part in PARTS:
        path = store.root / part
        if path.is_dir() and path.stat().st_mode & stat.S_IWOTH:
            found.append(Problem(part, f"any user may write to it\n  path  {path}", "directory"))
    return found


def _names(store: Store) -> list[str]:
    names = [name.removesuffix(".json") for name in listed(store.root / "info") if name.endswith(".json")]
    return [name for name in names if is_name(name)]


def _is_digest(name: str) -> bool:
    return len(name) == hashlib.sha256().digest_size * 2 and set(name) <= set("0123456789abcdef")
