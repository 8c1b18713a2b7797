"""Resolve what specs ask of the package index, for every platform and version of Python: specs → wheels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from recipes.fetch import PARALLEL
from recipes.requirements import Requirements, Wheel
from recipes.spec import Development, Environment


def toolchain(
    environment: Environment, resolve: Callable[[Sequence[str], str], Iterable[Wheel]]
) -> Requirements:
    """Resolve the toolchain's wheels for every platform, side by side."""
    with ThreadPoolExecutor(len(environment.platforms)) as pool:
        asked, platforms = environment.requirements, environment.platforms
        found = pool.map(lambda platform: tuple(resolve(asked, platform)), platforms)
        return Requirements(tuple(wheel for wheels in found for wheel in wheels))


def development(
    environment: Environment, resolve: Callable[[Sequence[str], str, str], Iterable[Wheel]]
) -> Requirements:
    """Resolve the packages of development environments for every platform and version of Python.

    A wheel that is the same for all versions is locked once, for any.
    """
    asked = environment.development
    if asked is None:
        return Requirements()
    places = [(platform, python) for platform in environment.platforms for python in asked.python]
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = pool.map(lambda place: tuple(resolve(asked.packages, *place)), places)
        users: dict[Wheel, list[str]] = {}
        for (_, python), wheels in zip(places, found, strict=True):
            for wheel in wheels:
                users.setdefault(wheel, []).append(python)
    return Requirements(tuple(wheel for one, pythons in users.items() for wheel in _for(one, pythons, asked)))


def _for(wheel: Wheel, pythons: Sequence[str], asked: Development) -> list[Wheel]:
    if len(pythons) == len(asked.python):
        return [wheel]
    return [replace(wheel, python=python) for python in pythons]
