"""The lock of a conda environment: a conda-lock file of version 1, read, finished, and held against its spec.

conda-lock makes it, and it stays what conda-lock, micromamba and pixi read. What is added is in
`metadata.custom_metadata`, which is for that: `before`, as the spec has it, and `sha256`, the digest of all
the rest. The packages of a lock were solved for together, so lines that were changed or merged by hand make
another environment than any solver found; the digest tells.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import yaml

from recipes.conda.block import Conda, credentials, name_of
from recipes.dates import moment, written
from recipes.errors import LockError
from recipes.located import conflict

VERSION = 1
LARGEST = 1 << 23  # bytes; three platforms of a compiler and Python have 120 KiB
HEADER = (
    "# Written by `recipes lock` through conda-lock; do not edit. docs/lock-format.md says what it holds.\n"
)
ENDINGS = (".conda", ".tar.bz2")
_ANCHOR = re.compile(rb"(?m)(^|[\s\[{,])[&*]\w")  # an alias of an alias of an alias can be a bomb
_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's: ten times as fast
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class CondaPackage:
    """One locked package.

    `platform` is the one that the environment is for, and `subdir` that or `noarch`. `sha256` and `md5` are
    hexadecimal digits of the file; a channel may leave `md5` out. `dependencies` are (name, versions); a name
    with `__` before it is of the machine, such as `__glibc`.
    """

    name: str
    version: str
    build: str
    platform: str
    subdir: str
    url: str
    sha256: str
    md5: str
    dependencies: tuple[tuple[str, str], ...] = ()

    @property
    def file(self) -> str:
        """The name of the package's file."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class CondaLock:
    """The packages of an environment on each of its platforms, sorted by name; and what was asked for."""

    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    packages: tuple[CondaPackage, ...]
    before: str | None = None
    content_hash: tuple[tuple[str, str], ...] = ()

    def for_platform(self, platform: str) -> tuple[CondaPackage, ...]:
        """Give the packages for one platform. Raises LockError for one that nobody locked."""
        if platform not in self.platforms:
            raise LockError(
                f"no conda environment is locked for `{platform}`\n  only for  {', '.join(self.platforms)}",
                hint="add it to `platforms` of the spec's `conda` block, then `recipes lock conda`",
            )
        return tuple(one for one in self.packages if one.platform == platform)


class _Loose(pydantic.BaseModel):
    """A part of conda-lock's own file, which may have keys that we do not read."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="ignore")


class _Hash(_Loose):
    md5: Annotated[str, pydantic.StringConstraints(pattern="^([0-9a-f]{32})?$")]
    sha256: Annotated[str, pydantic.StringConstraints(pattern="^[0-9a-f]{64}$")]


class _Package(_Loose):
    name: str
    version: str
    manager: Literal["conda"]
    platform: str
    dependencies: dict[str, str] = pydantic.Field(default_factory=dict)
    url: str
    hash: _Hash


class _Channel(_Loose):
    url: str


class _Metadata(_Loose):
    content_hash: dict[str, str]
    channels: list[_Channel]
    platforms: list[str]
    custom_metadata: dict[str, str]


class _Document(_Loose):
    metadata: _Metadata
    package: list[_Package]


def parse(text: bytes, file: str) -> CondaLock:
    """Read a lock. Raises LockError: not YAML, another format, changed by hand, or not what a lock holds."""
    try:
        return _parsed(text)
    except ValueError as wrong:
        raise LockError(
            f"{file}: {wrong}",
            hint=f"see what changed: `git log -p {file}`; lock again: `recipes lock conda`",
        ) from wrong


@functools.lru_cache(maxsize=8)  # variants that extend one another often have the same
def _parsed(text: bytes) -> CondaLock:
    values = load(text)
    found = values.get("version") if isinstance(values, dict) else None
    actual = "no version" if found is None else f"version: {found}"
    if found != VERSION or isinstance(found, bool):
        raise ValueError(f"another format of lock\n  expected  version: {VERSION}\n  actual    {actual}")
    _check_digest(values)
    try:
        document = _Document.model_validate(values)
    except pydantic.ValidationError as wrong:
        raise ValueError(_first(wrong)) from wrong
    return _lock(document)


def load(text: bytes) -> Any:
    """Read a document of conda-lock's. Raises ValueError."""
    if len(text) > LARGEST:
        raise ValueError(f"too large: {len(text)} bytes, and at most {LARGEST} are read")
    if found := conflict(text.decode(errors="replace")):
        raise ValueError(f"line {found[0]}: a conflict of a merge is not resolved: `{found[1]}`")
    if _ANCHOR.search(text):
        raise ValueError("anchors and aliases are not supported")
    try:
        return yaml.load(text, _LOADER)  # noqa: S506 - it is the safe loader
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"not YAML: {line}{wrong.problem or wrong.context}") from wrong
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as wrong:
        raise ValueError(f"not YAML: {' '.join(str(wrong).split())}") from wrong


def _first(wrong: pydantic.ValidationError) -> str:
    one = wrong.errors()[0]
    place = ".".join(str(part) for part in one["loc"])
    return f"{place}: {one['msg'][0].lower()}{one['msg'][1:]}"


def _digest(values: Mapping[str, Any]) -> str:
    metadata = dict(values["metadata"])
    custom = {key: one for key, one in metadata["custom_metadata"].items() if key != "sha256"}
    whole = {**values, "metadata": {**metadata, "custom_metadata": custom}}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check_digest(values: Any) -> None:
    try:
        said = values["metadata"]["custom_metadata"]["sha256"]
        actual = _digest(values)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as wrong:
        raise ValueError(
            "written by another program, or changed: it has no digest of `recipes lock`"
        ) from wrong
    if said != actual:
        raise ValueError(
            "changed since `recipes lock` wrote it: it does not have its digest\n"
            f"  expected  {said}\n  actual    {actual}"
        )


def _lock(document: _Document) -> CondaLock:
    packages = [_package(one) for one in document.package]
    about = document.metadata
    return CondaLock(
        channels=tuple(one.url for one in about.channels),
        platforms=tuple(about.platforms),
        packages=tuple(sorted(packages, key=lambda one: (one.platform, one.name))),
        before=about.custom_metadata.get("before"),
        content_hash=tuple(sorted(about.content_hash.items())),
    )


def _package(one: _Package) -> CondaPackage:
    subdir, file = one.url.split("/")[-2:] if one.url.count("/") > 1 else ("", "")
    found = _FILE.fullmatch(_stem(file))
    if not found or (found["name"], found["version"]) != (one.name, one.version):
        raise ValueError(f"`{one.name}` {one.version} has the URL of another package\n  url  {one.url}")
    if secret := credentials(one.url):
        raise ValueError(f"the URL of `{one.name}` has {secret}")
    if subdir not in (one.platform, "noarch"):
        raise ValueError(f"`{one.name}` for {one.platform} has the URL of another platform\n  url  {one.url}")
    needed = tuple(sorted(one.dependencies.items()))
    digests = one.hash.sha256, one.hash.md5
    return CondaPackage(
        one.name, one.version, found["build"], one.platform, subdir, one.url, *digests, needed
    )


def _stem(file: str) -> str:
    return next((file.removesuffix(end) for end in ENDINGS if file.endswith(end)), "")


def finished(text: bytes, asked: Conda) -> str:
    """Give what conda-lock wrote with what we add; the same packages always give the same text.

    Raises ValueError where it is not what conda-lock writes.
    """
    values = load(text)
    custom = {"before": written(asked.before)} if asked.before else {}
    values["metadata"] = {**values["metadata"], "custom_metadata": custom}
    custom["sha256"] = _digest(values)
    lock = f"{HEADER}{yaml.dump(values, Dumper=_DUMPER, sort_keys=False, width=4096)}"
    _parsed(lock.encode())
    return lock


def unsatisfied(lock: CondaLock, asked: Conda) -> list[str]:
    """Say, one sentence each, where a lock does not answer what a spec asks. Needs no network."""
    found = []
    if lock.channels != asked.channels:
        both = [", ".join(f"`{one}`" for one in them) for them in (asked.channels, lock.channels)]
        found.append(f"the spec asks for channels {both[0]}, the lock answers {both[1]}")
    if (moment(lock.before) if lock.before else None) != asked.before:
        said = [
            f"before {one}" if one else "no date"
            for one in (asked.before and written(asked.before), lock.before)
        ]
        found.append(f"the spec asks for {said[0]}, the lock answers {said[1]}")
    for platform in sorted({*asked.platforms, *lock.platforms}):
        if platform not in lock.platforms:
            found.append(f"platform `{platform}` is not locked")
        elif platform not in asked.platforms:
            found.append(f"platform `{platform}` is locked, and no spec asks for it")
        else:
            found += _packages(lock.for_platform(platform), asked.asked(platform), platform)
    return found


def _packages(locked: Sequence[CondaPackage], asked: Sequence[str], platform: str) -> Iterator[str]:
    by_name = {one.name: one for one in locked}
    wanted = {}
    for text in asked:
        name = name_of(text)
        wanted[name] = text
        one = by_name.get(name)
        if one is None:
            yield f"`{text}` is asked for on {platform}, and no `{name}` is locked"
        elif not _matches(one, text):
            yield f"`{name}` is locked as {one.version} for {platform}, and `{text}` is asked for"
    yield from _closure(by_name, [*wanted], platform)


def _closure(by_name: Mapping[str, CondaPackage], roots: Sequence[str], platform: str) -> Iterator[str]:
    reached = {name: name for name in roots}
    queue = [name for name in roots if name in by_name]
    for name in queue:  # grows while it is read
        for needed, _ in by_name[name].dependencies:
            if needed.startswith("__") or needed in reached:
                continue
            reached[needed] = name
            if needed in by_name:
                queue.append(needed)
            else:
                yield f"`{name}` needs `{needed}` on {platform}, and that is not locked"
    for name in sorted(by_name.keys() - reached.keys()):
        yield f"`{name}` is locked for {platform}, and nothing asks for it"


def _matches(one: CondaPackage, text: str) -> bool:
    from rattler import MatchSpec, PackageRecord  # noqa: PLC0415 - 60 ms
    from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError  # noqa: PLC0415
    from rattler.package.build_string import BuildString  # noqa: PLC0415

    build = BuildString.new_unchecked(one.build)
    try:
        return PackageRecord(one.name, one.version, build, 0, one.subdir).matches(MatchSpec(text))
    except (InvalidMatchSpecError, InvalidVersionError):  # then no solver has found it
        return False
