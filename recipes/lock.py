"""The lock of a variant's sources: what its specs resolved to, and whether it still answers them.

Written as YAML by `render`, sorted, one block a source, with no time of generation and no checksum of
the whole, so that two branches that lock different sources merge. docs/lock-format.md describes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import pydantic
import yaml

from recipes import hashes, located
from recipes.dates import Moment, written
from recipes.errors import LockError, one_line
from recipes.giturls import is_commit_id
from recipes.located import Strict, misplaced
from recipes.origins import GitOrigin, Origin, answers, below, missing
from recipes.origins import Path as TreePath
from recipes.spec import Modes, Source, Taken
from recipes.spectexts import ObjectId

VERSION = 1
HEADER = "# Written by `recipes lock`; do not edit. docs/lock-format.md says what it holds.\n"


def _sri(text: str) -> str:
    if not hashes.is_sri(text):
        raise ValueError("a content hash is `sha256-` and 44 characters of base64")
    return text


def _date(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise ValueError("a date is written as in ISO 8601, with its time zone")
    return text


class LockedSource(Strict):
    """One source: what was asked (`ref`, `before`, filter, origins), what it is (`commit`, `tree`, `hash`).

    `hash` is the NAR SHA-256 of the tree that the filter leaves, in SRI form. `tree` is git's id of the
    whole tree of `commit`, as long as it could be read; `resolved` is the ref that `ref` was found as.
    """

    ref: str | None = None
    before: Moment | None = None
    resolved: str | None = None
    commit: ObjectId | None = None
    date: Annotated[str, pydantic.AfterValidator(_date)] | None = None
    tree: ObjectId | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strip: TreePath | None = None
    modes: Modes = "git"
    hash: Annotated[str, pydantic.AfterValidator(_sri)]
    origins: tuple[Origin, ...] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="after")
    def _whole(self) -> LockedSource:
        for at, one in enumerate(self.origins):
            if (key := missing(one)) is not None:
                raise misplaced(f"`{key}` is missing", "origins", at)
        return self

    @property
    def taken(self) -> Taken:
        """The part of the tree that is taken."""
        return Taken(include=self.include, exclude=self.exclude, strip=self.strip, modes=self.modes)


class Lock(Strict):
    """Every source of a variant by name; a submodule's name is `PARENT/PATH`."""

    version: Literal[1] = 1
    sources: dict[str, LockedSource]

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Lock:
        for name in self.sources:
            if any(part in ("", ".", "..") for part in name.split("/")):
                raise misplaced("not the name of a source", "sources", name)
            if name.split("/")[0] not in self.sources:
                raise misplaced("a submodule of what is not locked", "sources", name)
        return self

    def of(self, component: str) -> dict[str, LockedSource]:
        """Give a component's source and its submodules, by the path where each is put (`""` its own)."""
        inside = f"{component}/"
        own = {
            name: one for name, one in self.sources.items() if name == component or name.startswith(inside)
        }
        return {name.removeprefix(component).lstrip("/"): one for name, one in sorted(own.items())}

    def epoch(self, component: str) -> int:
        """Give the newest commit date of a component's sources, in seconds since 1970 (0 for none)."""
        dates = [datetime.fromisoformat(one.date) for one in self.of(component).values() if one.date]
        return int(max(dates).timestamp()) if dates else 0


def parse(text: bytes, file: str) -> Lock:
    """Read a lock. Raises LockError: not YAML, another format, cut off, or not what a lock holds."""
    try:
        return _checked(text, file)
    except LockError as wrong:
        raise LockError(wrong.message, hint=wrong.hint or _again(file)) from wrong


def _checked(text: bytes, file: str) -> Lock:
    if not text.endswith(b"\n"):
        raise LockError(f"{file}: cut off: there is no newline at its end")
    found = located.read(text, file, LockError)
    values = found.value
    if isinstance(values, dict):
        _check_version(values.get("version"), found)
        values = {**values, "version": VERSION}
    return located.check(located.Located(file, values, found.marks), Lock, LockError)


def _check_version(version: Any, found: located.Located) -> None:
    if version == str(VERSION):
        return
    shown = f"version: {one_line(version)}" if isinstance(version, str) else "no version"
    newer = isinstance(version, str) and version.isdecimal() and int(version[:9]) > VERSION
    raise LockError(
        f"{found.where(('version',))}: another format of lock\n"
        f"  expected  version: {VERSION}\n  actual    {shown}",
        hint="it was written by a newer tvm-recipes; install that, or lock again: `recipes lock`"
        if newer
        else None,
    )


def _again(file: str) -> str:
    return f"see what changed: `git log -p {file}`; lock again: `recipes lock`"


def render(lock: Lock) -> str:
    """Write a lock: the same lock always gives the same text."""
    sources = {name: _block(lock.sources[name]) for name in sorted(lock.sources)}
    body = yaml.safe_dump({"sources": sources}, sort_keys=False, width=4096, allow_unicode=True)
    return f"{HEADER}version: {lock.version}\n{body}"


def _block(source: LockedSource) -> dict[str, Any]:
    values = source.model_dump(mode="json", exclude_defaults=True, exclude={"origins"})
    origins = [one.model_dump(mode="json", exclude_none=True) for one in source.origins]
    return {**values, "origins": origins}


def unsatisfied(lock: Lock, asked: Sequence[Source]) -> list[str]:
    """Say, one sentence each, where a lock does not answer what the specs ask. Needs no network."""
    found = [sentence for source in asked for sentence in _source(lock, source)]
    names = {source.name for source in asked}
    extra = sorted(name for name in lock.sources if name.split("/")[0] not in names)
    return found + [f"source `{name}` is locked, and no spec asks for it" for name in extra]


def _source(lock: Lock, asked: Source) -> Iterator[str]:
    locked = lock.sources.get(asked.name)
    if locked is None:
        yield f"source `{asked.name}` is not locked"
        return
    if locked.ref != asked.ref:
        yield f"source `{asked.name}` asks for ref `{asked.ref}`, the lock answers `{locked.ref}`"
    elif asked.ref and is_commit_id(asked.ref) and locked.commit not in (None, asked.ref):
        yield f"source `{asked.name}` asks for commit {asked.ref}, the lock answers {locked.commit}"
    if asked.held not in (None, locked.commit):
        answer = locked.commit or "no commit"
        yield f"source `{asked.name}` is held back at {asked.held}, the lock answers {answer}"
    if locked.before != asked.before:
        both = [f"before {written(one)}" if one else "no date" for one in (asked.before, locked.before)]
        yield f"source `{asked.name}` asks for {both[0]}, the lock answers {both[1]}"
    yield from _taken(asked.name, asked.taken, locked)
    if len(asked.origins) != len(locked.origins) or not all(map(answers, locked.origins, asked.origins)):
        yield f"source `{asked.name}` has other origins than its lock"
    yield from _submodules(lock.of(asked.name), asked)


def _submodules(locked: Mapping[str, LockedSource], asked: Source) -> Iterator[str]:
    for path in sorted({*asked.submodules, *locked} - {""}):
        name = f"{asked.name}/{path}"
        if path not in locked:
            yield f"submodule `{name}` is not locked"
        elif path not in asked.submodules:
            yield f"submodule `{name}` is locked, and no spec asks for it"
        else:
            yield from _taken(name, asked.submodules[path], locked[path])
            parent = [_found(locked[""], one) for one in asked.origins]
            carriers = [below(one, path) for one in parent if not isinstance(one, GitOrigin)]
            have = locked[path].origins
            wanted = (*carriers, *asked.submodules[path].also)
            if not all(any(answers(one, more) for one in have) for more in wanted):
                yield f"submodule `{name}` has an origin that its lock does not name"


def _found(locked: LockedSource, asked: Origin) -> Origin:
    """Give an origin as it was locked: a spec may leave out in which directory of it the tree is."""
    return next((one for one in locked.origins if answers(one, asked)), asked)


def _taken(name: str, asked: Taken, locked: LockedSource) -> Iterator[str]:
    if asked.filter() != locked.taken.filter():
        yield f"source `{name}` takes another part of its tree than its lock (include, exclude, strip, modes)"
