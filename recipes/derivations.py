"""Derivations: one step each, with all it depends on named by hash, and the store path that follows from it.

A derivation's identity is canonical JSON of all that its result depends on; its store path is that
text's hash and a name. URLs, host paths, users, times and job counts are not in it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from recipes import hashes
from recipes.conda.lockfile import CondaPackage
from recipes.origins import Origin
from recipes.requirements import Wheel
from recipes.tree import Filter

PLAN_FORMAT = 1  # raised whenever the same specs and locks would give other store paths

Confinement: TypeAlias = Literal["namespaces", "none"]  # whether a build sees anything but its inputs

_ODD = re.compile(r"[^A-Za-z0-9._+-]")  # what the name of a store path has not
_LONGEST = 190  # characters


@dataclass(frozen=True)
class SourceTree:
    """A locked source: whatever origin has a tree with this hash will do."""

    kind: ClassVar[str] = "source"
    verb: ClassVar[str] = "fetch"
    name: str
    hash: str
    commit: str | None
    ref: str | None
    filter: Filter
    origins: tuple[Origin, ...]
    tree: str | None = None  # git's id of the commit's whole tree, for people and records

    def identity(self) -> dict[str, Any]:
        """Name what the result depends on."""
        return {"hash": self.hash}

    def label(self) -> str:
        """Give the readable half of the store path; a submodule's directory may have any name."""
        return _ODD.sub("-", self.name.rpartition("/")[2])[:_LONGEST] or "source"


@dataclass(frozen=True)
class UnpackedWheel:
    """A locked wheel of the toolchain, unpacked."""

    kind: ClassVar[str] = "wheel"
    verb: ClassVar[str] = "fetch"
    filter: ClassVar[Filter] = Filter()
    wheel: Wheel

    def identity(self) -> dict[str, Any]:
        """Name what the result depends on."""
        return {"sha256": self.wheel.sha256}

    def label(self) -> str:
        """Give the readable half of the store path."""
        return f"{self.wheel.project}-{self.wheel.version}"


@dataclass(frozen=True)
class CondaPrefix:
    """Locked conda packages, installed together to be used at the path `at` on `platform`.

    `installer` is the program that does it, with its version: it writes entry points of its own making, and
    decides which of two packages has a file that both bring.
    """

    kind: ClassVar[str] = "conda"
    verb: ClassVar[str] = "fetch"
    at: str
    platform: str
    packages: tuple[CondaPackage, ...]
    installer: str

    def identity(self) -> dict[str, Any]:
        """Name what the result depends on."""
        packages = sorted(one.sha256 for one in self.packages)
        return {
            "at": self.at,
            "platform": self.platform,
            "packages": packages,
            "installer": self.installer,
        }

    def label(self) -> str:
        """Give the readable half of the store path."""
        return "conda"


@dataclass(frozen=True)
class Phase:
    """One command of a build, run in the sandbox in /build; `says` is a text that it must print."""

    name: str
    argv: tuple[str, ...]
    says: str | None = None


@dataclass(frozen=True)
class Build:
    """One component's build: sources by where they lie below /src, inputs by where they lie, all by path.

    `tools` maps a name below /toolchain to its store path; `programs` are the wrappers in
    /toolchain/bin. `check` is the text of a program that must succeed on the result, `options` what it
    is told of the build. `files` are texts that lie in /recipe. `system` is the platform that builds,
    `platform` the one that is built for; both are `any` for a script. `visible` are directories of the
    host that the build sees, `host` the digests of what it uses in them, by name.
    """

    kind: ClassVar[str] = "build"
    verb: ClassVar[str] = "build"
    component: str
    platform: str
    system: str
    sandbox: Confinement
    sources: Mapping[str, str]
    inputs: Mapping[str, str]
    tools: Mapping[str, str]
    programs: Mapping[str, str]
    env: Mapping[str, str]
    phases: tuple[Phase, ...]
    outputs: Mapping[str, str]
    options: Mapping[str, str]
    check: str | None
    files: Mapping[str, str]
    visible: tuple[str, ...] = ()
    host: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Name what the result depends on: all of it. Of the host, only where it is used."""
        whole = dataclasses.asdict(self)
        return {name: value for name, value in whole.items() if value or name not in ("visible", "host")}

    def label(self) -> str:
        """Give the readable half of the store path."""
        return self.component


Derivation: TypeAlias = SourceTree | UnpackedWheel | CondaPrefix | Build


def path_name(derivation: Derivation) -> str:
    """Give the name of a derivation's store path, `HASH-NAME`."""
    identity = {"format": PLAN_FORMAT, "kind": derivation.kind, **derivation.identity()}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{hashes.store_hash(text)}-{derivation.label()}"


def plain(derivation: Derivation) -> dict[str, Any]:
    """Give a derivation as JSON values, for `recipes plan --json`."""
    if isinstance(derivation, Build):
        return derivation.identity()
    if isinstance(derivation, SourceTree):
        fields = {one.name: getattr(derivation, one.name) for one in dataclasses.fields(derivation)}
        origins = [one.model_dump(mode="json", exclude_none=True) for one in derivation.origins]
        return {**fields, "filter": dataclasses.asdict(derivation.filter), "origins": origins}
    return dataclasses.asdict(derivation)
