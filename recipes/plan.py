"""The plan: the ordered derivations behind a target, each input named by hash. Pure and complete.

A derivation's identity is canonical JSON of all that its result depends on; its store path is that
text's hash and a name. URLs, host paths, users, times and job counts are not in it. What is needed to
fetch (the origins) travels with the plan, outside the identity: the plan is all that is read after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recipes import cmake, derivations, toolchain
from recipes.derivations import (
    PLAN_FORMAT,
    Build,
    Confinement,
    Derivation,
    Phase,
    SourceTree,
    UnpackedWheel,
    path_name,
)
from recipes.errors import SpecError
from recipes.lock import Lock, LockedSource
from recipes.spec import CMake, Recipe, Specs
from recipes.toolchain import Toolchain

__all__ = [
    "PLAN_FORMAT",
    "Build",
    "Derivation",
    "Phase",
    "Plan",
    "SourceTree",
    "UnpackedWheel",
    "order",
    "path_name",
    "plan",
]


@dataclass(frozen=True)
class Plan:
    """The closure of one target, inputs before what needs them, by the name of the store path."""

    variant: str
    component: str
    platform: str
    target: str
    derivations: Mapping[str, Derivation]
    unlocked: tuple[str, ...] = ()  # the sources that are not the lock's
    instead: tuple[str, ...] = ()  # what was asked for in place of the environment's: a toolchain, no sandbox

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
            {"path": name, "kind": one.kind, **derivations.plain(one), "needs": list(self.inputs(name))}
            for name, one in self.derivations.items()
        ]
        asked = {"variant": self.variant, "component": self.component, "platform": self.platform}
        unlocked = {"unlocked": list(self.unlocked)} if self.unlocked else {}
        return {"format": PLAN_FORMAT, **asked, **unlocked, "target": self.target, "derivations": rows}


def plan(
    specs: Specs,
    lock: Lock,
    tools: Toolchain,
    *,
    target: str,
    platform: str,
    system: str,
    sandbox: Confinement = "namespaces",
) -> Plan:
    """Plan a component of a variant for `platform`, built on a machine of platform `system`.

    `tools` builds for that platform on that machine. Raises SpecError where nothing is built of the target.
    """
    if not specs.recipes[target].built:
        raise SpecError(f"`{target}` is a source: nothing is built of it")
    planned = _Planned(specs, lock, platform, system, tools, sandbox)
    planned.tools = {name: planned.add(one) for name, one in tools.tools.items()}
    for component in order(specs, target):
        planned.component(component)
    return Plan(specs.variant, target, platform, planned.made[target], planned.found)


@dataclass
class _Planned:
    specs: Specs
    lock: Lock
    platform: str
    system: str
    toolchain: Toolchain
    sandbox: Confinement
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
            sandbox=self.sandbox,
            sources=sources,
            inputs={one: self.made[one] for one in recipe.inputs},
            tools=self.tools,
            programs=self.toolchain.programs,
            env=toolchain.environment(self.lock.epoch(self.specs.owner(name)), self.toolchain.env),
            phases=(
                Phase("configure", cmake.configure(options, self.toolchain, cross=cross), says),
                Phase("build", cmake.build(by.targets, self.toolchain)),
            ),
            outputs=recipe.outputs,
            options=options,
            check=self.program(name, recipe.check),
            files={},
            visible=self.toolchain.visible,
            host=self.toolchain.digests,
        )

    def by_script(self, name: str, recipe: Recipe, sources: Mapping[str, str]) -> Build:
        """Plan a build by a Python program: the same for every platform, and without the toolchain."""
        places = json.dumps({one: f"/inputs/{one}" for one in recipe.inputs}, sort_keys=True)
        argv = (toolchain.PYTHON, "-s", "-S", "-B", "/recipe/script.py", cmake.SOURCE, cmake.BUILD, places)
        return Build(
            component=name,
            platform="any",
            system="any",
            sandbox=self.sandbox,
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
    return SourceTree(name, one.hash, one.commit, one.resolved, one.taken.filter(), one.origins, one.tree)


def _told(text: str, options: Mapping[str, str]) -> str:
    for name, value in options.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _fill(value: str, recipe: Recipe) -> str:
    for name in recipe.inputs:
        value = value.replace(f"{{{name}}}", f"/inputs/{name}")
    return value
