"""Environments on disk: which there are, whether one is whole, what in one is a person's, removing one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from recipes import files, hashes
from recipes.develop import layout
from recipes.develop.layout import RECORD, Record
from recipes.errors import UsageError

HOME = ".envs"  # in a checkout
_ASIDE, _OLD = ".{}.recipes-new", ".{}.recipes-old"
_FREE = ("cache", "roots")  # where anything may be: what programs keep, and links alone
ZIG_CACHE = "cache/zig"
_SHOWN = 5

State: TypeAlias = Literal["none", "whole", "half made", "not ours"]


def home(project: Path) -> Path:
    """Give the directory of a checkout's environments."""
    return project / HOME


def aside(prefix: Path) -> Path:
    """Give where an environment is made before it is moved into place."""
    return prefix.parent / _ASIDE.format(prefix.name)


def replaced(prefix: Path) -> Path:
    """Give where the environment before it waits for its removal."""
    return prefix.parent / _OLD.format(prefix.name)


def state(prefix: Path) -> State:
    """Say what a directory is: an environment that is whole, one half made, something else, or not there."""
    if read(prefix) is not None:
        return "whole"
    if (prefix / RECORD).is_file() or (prefix / "roots").is_dir():
        return "half made"
    if not os.path.lexists(prefix) or (prefix.is_dir() and not any(prefix.iterdir())):
        return "half made" if aside(prefix).is_dir() or replaced(prefix).is_dir() else "none"
    return "not ours"


def read(prefix: Path) -> Record | None:
    """Read what an environment was made from; None where it is not whole, or is none."""
    try:
        return layout.record(json.loads((prefix / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError, LookupError):
        return None


@dataclass(frozen=True)
class Found:
    """An environment of a checkout: its name, where it is, its state, and its record where it is whole."""

    name: str
    prefix: Path
    state: State
    record: Record | None


def listed(project: Path) -> list[Found]:
    """Give the environments of a checkout: those in its directory, and those that it has links to."""
    top = home(project)
    names = set(os.listdir(top)) if top.is_dir() else set()  # noqa: PTH208
    ends = [_ASIDE.partition("{}")[2], _OLD.partition("{}")[2]]
    names |= {name[1 : -len(end)] for name in names for end in ends if name.endswith(end)}
    shown = sorted(name for name in names if not name.startswith("."))
    found = [(name, Path(os.path.realpath(top / name))) for name in shown]
    return [Found(name, prefix, state(prefix), read(prefix)) for name, prefix in found]


def link(project: Path, variant: str, prefix: Path) -> None:
    """Have a checkout know of an environment that lies elsewhere."""
    top = home(project)
    if prefix.parent == top:
        return
    top.mkdir(exist_ok=True)
    name = top / variant
    if name.exists() and not name.is_symlink():  # the variant has one in its place already
        name = top / f"{variant}@{hashes.store_hash(os.fspath(prefix))[:8]}"
    with suppress(FileNotFoundError):
        name.unlink()
    name.symlink_to(prefix)


def strangers(prefix: Path, made: Record) -> list[str]:
    """Give the paths below an environment that it was not made with: a person's."""
    return sorted(_strangers(prefix, made))


def _strangers(prefix: Path, made: Record) -> Iterator[str]:
    known: Mapping[str, str] = {**made.files, RECORD: ""}
    for directory, below, names in os.walk(prefix):
        here = Path(directory).relative_to(prefix)
        if here == Path():
            below[:] = [name for name in below if name not in _FREE]
        linked = [name for name in below if (Path(directory) / name).is_symlink()]
        below[:] = [name for name in below if name != "__pycache__" and name not in linked]
        for name in (*names, *linked):
            path = (here / name).as_posix()
            if not _is_known(prefix / path, path, known, made):
                yield path


def _is_known(place: Path, path: str, known: Mapping[str, str], made: Record) -> bool:
    if place.is_symlink():
        target = os.fspath(place.readlink())
        return made.links.get(path) == target or target.startswith(f"{made.store}/paths/")
    return path in known and (not known[path] or known[path] == _sha256(place))


def _sha256(place: Path) -> str:
    with suppress(OSError):
        return files.sha256(place)
    return ""


def check_free(prefix: Path) -> None:
    """Look that a directory may be made into an environment, or made anew, or removed.

    Raises UsageError where it holds anything that `recipes` did not put there.
    """
    made = read(prefix)
    if made is None and state(prefix) == "not ours":
        raise UsageError(
            f"{prefix} is no environment, and it is not empty",
            hint="name another directory with `--path DIR`",
        )
    if made is not None and (theirs := strangers(prefix, made)):
        shown = [*theirs[:_SHOWN], *([f"and {len(theirs) - _SHOWN} more"] if len(theirs) > _SHOWN else [])]
        raise UsageError(
            "\n".join([f"{prefix} has files that are not the environment's", *(f"  {one}" for one in shown)]),
            hint="move them out of it, then the same again",
        )


def remove(prefix: Path) -> None:
    """Remove an environment, whole or half made, and what making one left beside it."""
    for place in (aside(prefix), replaced(prefix)):
        files.remove(place)
    if os.path.lexists(prefix):
        (prefix / RECORD).unlink(missing_ok=True)  # a kill leaves something that does not look whole
        files.remove(prefix)


def swap(prefix: Path) -> None:
    """Move what was made aside into its place; what is there goes, but for zig's cache.

    That is by content, and good for any zig; other caches go by times, and the store's files have one time.
    """
    old = replaced(prefix)
    files.remove(old)
    if os.path.lexists(prefix):
        if (prefix / ZIG_CACHE).is_dir():
            (prefix / ZIG_CACHE).rename(aside(prefix) / ZIG_CACHE)
        prefix.rename(old)
    aside(prefix).rename(prefix)
    files.remove(old)


def unlink(project: Path, prefix: Path) -> None:
    """Forget a checkout's links to an environment."""
    top = home(project)
    for one in top.iterdir() if top.is_dir() else ():
        if one.is_symlink() and Path(os.path.realpath(one)) == prefix:
            one.unlink(missing_ok=True)
