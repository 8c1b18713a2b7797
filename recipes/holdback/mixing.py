"""Locks between two locks: some inputs as they were, the others as they are now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from recipes.lock import Lock, LockedSource
from recipes.requirements import Requirements, Wheel

Kind: TypeAlias = Literal["source", "package"]


@dataclass(frozen=True)
class Input:
    """A source or a package that moved, from a commit or version to another one."""

    kind: Kind
    name: str
    old: str
    new: str

    @property
    def key(self) -> str:
        """Its name among all inputs: a package may be called as a source is."""
        return self.name if self.kind == "source" else f"pypi:{self.name}"


@dataclass(frozen=True)
class Locked:
    """The two locks that a plan reads: sources, and the toolchain's wheels."""

    sources: Lock
    wheels: Requirements

    def at(self, entries: Mapping[str, LockedSource]) -> Locked:
        """Give the same with other entries of a source and its submodules."""
        names = {_owner(one) for one in entries}
        rest = {key: one for key, one in self.sources.sources.items() if _owner(key) not in names}
        return Locked(Lock(sources={**rest, **entries}), self.wheels)


def entries(lock: Lock, name: str) -> dict[str, LockedSource]:
    """Give a source's own entry and those of its submodules."""
    return {key: one for key, one in lock.sources.items() if _owner(key) == name}


def _owner(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


def inputs(old: Locked, new: Locked) -> tuple[Input, ...]:
    """Name what moved, sources first: both locks have it, each at one commit or version."""
    return (*_sources(old.sources, new.sources), *_packages(old.wheels, new.wheels))


def _sources(old: Lock, new: Lock) -> Iterator[Input]:
    for name in sorted({*old.sources} & {*new.sources}):
        had, has = old.sources[name].commit, new.sources[name].commit
        if "/" not in name and had and has and had != has:
            yield Input("source", name, had, has)


def _packages(old: Requirements, new: Requirements) -> Iterator[Input]:
    before, after = _versions(old), _versions(new)
    for name in sorted({*before} & {*after}):
        if before[name] != after[name] and len(before[name]) == len(after[name]) == 1:
            yield Input("package", name, *before[name], *after[name])


def _versions(wheels: Requirements) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in wheels.wheels:
        found.setdefault(one.project, set()).add(one.version)
    return found


def mixed(old: Locked, new: Locked, moved: Collection[str]) -> Locked:
    """Give the new lock, but for the inputs that are not in `moved` (by key): those as they were."""
    kept = {one.key for one in inputs(old, new)}.difference(moved)
    return Locked(Lock(sources=_mixed_sources(old.sources, new.sources, kept)), _mixed(old, new, kept))


def _mixed_sources(old: Lock, new: Lock, kept: Collection[str]) -> dict[str, LockedSource]:
    had = {name: one for name, one in old.sources.items() if _owner(name) in kept}
    has = {name: one for name, one in new.sources.items() if _owner(name) not in kept}
    return {**had, **has}


def _mixed(old: Locked, new: Locked, kept: Collection[str]) -> Requirements:
    def stays(wheel: Wheel) -> bool:
        return f"pypi:{wheel.project}" in kept

    had = (one for one in old.wheels.wheels if stays(one))
    return Requirements((*had, *(one for one in new.wheels.wheels if not stays(one))))
