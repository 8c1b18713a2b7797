"""The versions of a project, out of the files that indexes list; which of them a platform can use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from packaging import tags
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from recipes.pypi import TAGS
from recipes.requirements import few_tags

if TYPE_CHECKING:
    from recipes.listing import Listed


@dataclass(frozen=True)
class Release:
    """A version with its wheels. `released` is the day of its first file, where the index tells it."""

    version: Version
    text: str
    released: date | None
    files: tuple[Listed, ...]

    def is_version(self, text: str) -> bool:
        """Say whether this is that version, however it is written."""
        return self.version == Version(text)


def releases(project: str, files: Iterable[Listed], today: date) -> list[Release]:
    """Give all versions of which there are wheels, ascending; without files from after `today`."""
    found: dict[Version, list[Listed]] = {}
    for one in files:
        version = _version(project, one.file)
        if version is not None and (one.uploaded is None or one.uploaded <= today):
            found.setdefault(version, []).append(one)
    return [
        Release(version, str(version), _first(found[version]), tuple(found[version]))
        for version in sorted(found)
    ]


def _version(project: str, file: str) -> Version | None:
    if not few_tags(file):
        return None
    try:
        name, version, _, _ = parse_wheel_filename(file)
    except (InvalidWheelFilename, InvalidVersion, ValueError):
        return None
    return version if name == project else None


def _first(files: Sequence[Listed]) -> date | None:
    return min((one.uploaded for one in files if one.uploaded is not None), default=None)


def newer(
    version: str, questions: Sequence[Callable[[Release], bool]], found: Sequence[Release]
) -> list[Release]:
    """Give the final releases after a version that answer all questions, ascending."""
    locked = Version(version)
    later = [one for one in found if one.version > locked and not one.version.is_prerelease]
    return [one for one in later if all(question(one) for question in questions)]


def fits(file: Listed, platform: str, python: str) -> bool:
    """Say whether pip would take a wheel for a platform and a version of Python, such as `3.12`."""
    if file.yanked is not None or not _allows(file.requires, python):
        return False
    *_, theirs = parse_wheel_filename(file.file)
    return not theirs.isdisjoint(_tags(platform, python))


@functools.lru_cache(maxsize=256)
def _allows(requires: str | None, python: str) -> bool:
    try:
        return requires is None or SpecifierSet(requires).contains(f"{python}.0", prereleases=True)
    except InvalidSpecifier:  # pip, too, looks at none that it cannot read
        return True


@functools.lru_cache(maxsize=64)
def _tags(platform: str, python: str) -> frozenset[tags.Tag]:
    major, minor = map(int, python.split("."))
    usable = TAGS[platform]
    if platform == "osx-arm64":  # pip takes what is for an older system, too
        usable = tuple(tags.mac_platforms((int(usable[0].split("_")[1]), 0), "arm64"))
    found = {*tags.cpython_tags((major, minor), platforms=usable)}
    return frozenset(found.union(tags.compatible_tags((major, minor), f"cp{major}{minor}", usable)))
