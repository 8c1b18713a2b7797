"""The plan: the ordered derivations behind a target, each input named by hash. Pure and complete.

A derivation's identity is canonical JSON of all that its result depends on; its store path is that
text's hash and a name. URLs, host paths, users, times and job counts are not in it. What is needed to
fetch (the origins) travels with the plan, outside the identity: the plan is all that is read after it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from recipes import cmake, hashes, toolchain
from recipes.errors import LockError, SpecError
from recipes.lock import Lock, LockedSource
from recipes.origins import Origin
from recipes.requirements import Wheel
from recipes.spec import CMake, Recipe, Specs
from recipes.tree import Filter

PLAN_FORMAT = 1  # raised whenever the same specs and locks would give other store paths


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

    def identity(self) -> dict[str, Any]:
        """Name what the result depends on."""
        return {"hash": self.hash}

    def label(self) -> str:
        """Give the readable half of the store path."""
        return self.name.rpartition("/")[2]


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
class Phase:
    """One command of a build, run in the sandbox in /build; `says` is a text that it must print."""

    name: str
    argv: tuple[str, ...]
    says: str | None = None


@dataclass(frozen=True)
class Build:
    """One component's build: sources by where they lie below /src, inputs by where they lie, all by path.

    `tools` maps a project of the toolchain to its store path; `programs` are the wrappers in
    /toolchain/bin. `check` is the text of a program that must succeed on the result, `options` what it
    is told of the build. `files` are texts that lie in /recipe. `system` is the platform that builds,
    `platform` the one that is built for; both are `any` for a script.
    """

    kind: ClassVar[str] = "build"
    verb: ClassVar[str] = "build"
    component: str
    platform: str
    system: str
    sandbox: str
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

    def identity(self) -> dict[str, Any]:
        """Name what the result depends on: all of it."""
        return dataclasses.asdict(self)

    def label(self) -> str:
        """Give the readable half of the store path."""
        return self.component


Derivation: TypeAlias = SourceTree | UnpackedWheel | Build


def path_name(derivation: Derivation) -> str:
    """Give the name of a derivation's store path, `HASH-NAME`."""
    identity = {"format": PLAN_FORMAT, "kind": derivation.kind, **derivation.identity()}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{hashes.store_hash(text)}-{derivation.label()}"


@dataclass(frozen=True)
class Plan:
    """The closure of one target, inputs before what needs them, by the name of the store path."""

    variant: str
    component: str
    platform: str
    target: str
    derivations: Mapping[str, Derivation]
    unlocked: tuple[str, ...] = ()  # the sources that are not the lock's

    def inputs(self, name: str) -> tuple[str, ...]:
        """Give the store paths that one needs directly."""
        one = self.derivations[name]
        if not isinstance(one, Build):
            return ()
        return tuple(sorted({*one.sources.values(), *one.inputs.values(), *one.tools.values()}))

    def fetched(self) -> list[str]:
        """Give the store paths that are brought in from outside."""
        return [name for name, one in self.derivations.items() if not isinstance(one, Build)]

    def document(self) -> dict[str, Any]:
        """Give the plan as what `recipes plan --json` prints."""
        rows = [
            {"path": name, "kind": one.kind, **_plain(one), "needs": list(self.inputs(name))}
            for name, one in self.derivations.items()
        ]
        asked = {"variant": self.variant, "component": self.component, "platform": self.platform}
        unlocked = {"unlocked": list(self.unlocked)} if self.unlocked else {}
        return {"format": PLAN_FORMAT, **asked, **unlocked, "target": self.target, "derivations": rows}


def _plain(derivation: Derivation) -> dict[str, Any]:
    if isinstance(derivation, SourceTree):
        fields = {one.name: getattr(derivation, one.name) for one in dataclasses.fields(derivation)}
        origins = [one.model_dump(mode="json", exclude_none=True) for one in derivation.origins]
        return {**fields, "filter": dataclasses.asdict(derivation.filter), "origins": origins}
    return dataclasses.asdict(derivation)


def plan(
    specs: Specs, lock: Lock, wheels: Sequence[Wheel], *, target: str, platform: str, system: str
) -> Plan:
    """Plan a component of a variant for `platform`, built on a machine of platform `system`.

    `wheels` are the toolchain's, for `system`. Raises SpecError where nothing is built of the target,
    LockError where the toolchain lacks a program.
    """
    if not specs.recipes[target].built:
        raise SpecError(f"`{target}` is a source: nothing is built of it")
    versions = {wheel.project: wheel.version for wheel in wheels}
    for project in toolchain.NEEDS:
        if project not in versions:
            raise LockError(f"the toolchain of `{specs.variant}` has no `{project}` for {system}")
    planned = _Planned(specs, lock, platform, system, toolchain.ninja(versions["ninja"]))
    planned.tools = {wheel.project: planned.add(UnpackedWheel(wheel)) for wheel in wheels}
    for component in order(specs, target):
        planned.component(component)
    return Plan(specs.variant, target, platform, planned.made[target], planned.found)


@dataclass
class _Planned:
    specs: Specs
    lock: Lock
    platform: str
    system: str
    ninja: str
    found: dict[str, Derivation] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)

    def add(self, derivation: Derivation) -> str:
        name = path_name(derivation)
        self.found.setdefault(name, derivation)
        return name

    def component(self, name: str) -> None:
        owner, recipe = self.specs.owner(name), self.specs.recipes[name]
        sources = {path: self.add(_tree(owner, path, one)) for path, one in self.lock.of(owner).items()}
        if not recipe.built:
            self.made[name] = sources[""]
        elif recipe.cmake:
            self.made[name] = self.add(self.by_cmake(name, recipe, recipe.cmake, sources))
        else:
            self.made[name] = self.add(self.by_script(name, recipe, sources))

    def by_cmake(self, name: str, recipe: Recipe, by: CMake, sources: Mapping[str, str]) -> Build:
        given = self.specs.options(name, self.platform)
        options = {key: _fill(value, recipe) for key, value in given.items()}
        cross = toolchain.processor(self.platform) if self.platform != self.system else None
        says = _told(by.says, options) if by.says else None
        return Build(
            component=name,
            platform=self.platform,
            system=self.system,
            sandbox="namespaces",
            sources=sources,
            inputs={one: self.made[one] for one in recipe.inputs},
            tools=self.tools,
            programs=toolchain.wrappers(self.platform, self.system),
            env=toolchain.environment(self.lock.epoch(self.specs.owner(name))),
            phases=(
                Phase("configure", cmake.configure(options, self.ninja, cross=cross), says),
                Phase("build", cmake.build(by.targets, self.ninja)),
            ),
            outputs=recipe.outputs,
            options=options,
            check=self.program(name, recipe.check),
            files={},
        )

    def by_script(self, name: str, recipe: Recipe, sources: Mapping[str, str]) -> Build:
        """Plan a build by a Python program: the same for every platform, and without the toolchain."""
        places = json.dumps({one: f"/inputs/{one}" for one in recipe.inputs}, sort_keys=True)
        argv = (toolchain.PYTHON, "-s", "-S", "-B", "/recipe/script.py", cmake.SOURCE, cmake.BUILD, places)
        return Build(
            component=name,
            platform="any",
            system="any",
            sandbox="namespaces",
            sources=sources,
            inputs={one: self.made[one] for one in recipe.inputs},
            tools={},
            programs={},
            env=toolchain.environment(self.lock.epoch(self.specs.owner(name))),
            phases=(Phase("run", argv),),
            outputs=recipe.outputs,
            options={},
            check=self.program(name, recipe.check),
            files={"script.py": self.program(name, recipe.script) or ""},
        )

    def program(self, component: str, path: str | None) -> str | None:
        return self.specs.files[f"{component}/{path}"].decode() if path else None


def order(specs: Specs, target: str) -> Iterator[str]:
    """Give a target and all it is built with, inputs first, each once."""
    done: set[str] = set()

    def visit(component: str) -> Iterator[str]:
        if component not in done:
            done.add(component)
            for name in specs.recipes[component].inputs:
                yield from visit(name)
            yield component

    return visit(target)


def _tree(component: str, path: str, one: LockedSource) -> SourceTree:
    name = f"{component}/{path}" if path else component
    return SourceTree(name, one.hash, one.commit, one.resolved, one.taken.filter(), one.origins)


def _told(text: str, options: Mapping[str, str]) -> str:
    for name, value in options.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _fill(value: str, recipe: Recipe) -> str:
    for name in recipe.inputs:
        value = value.replace(f"{{{name}}}", f"/inputs/{name}")
    return value
