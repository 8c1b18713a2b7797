"""Specs: what a person asks for, checked in full before anything runs.

`environments/NAME.yaml` is an Environment (one variant of TVM); `recipes/components/NAME/recipe.yaml`
is a Recipe (one thing that is built or used). `Specs` joins the two: the environment laid over the
recipes, with every name resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import pydantic

from recipes.conda.block import Conda
from recipes.dates import Moment
from recipes.held import Held
from recipes.located import Strict, misplaced, nearest
from recipes.origins import GitOrigin, Origin
from recipes.origins import Path as TreePath
from recipes.spectexts import Options, Output, Ref, Requirement
from recipes.tree import Filter

PLATFORMS = ("linux-64", "linux-aarch64")

Platform: TypeAlias = Literal["linux-64", "linux-aarch64"]
Modes: TypeAlias = Literal["git", "plain"]
Python: TypeAlias = Literal["3.11", "3.12", "3.13"]

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_FILLED = re.compile(r"(?<!\$)\{([a-z0-9][a-z0-9._-]*)\}")  # `{fp16}`, and not CMake's `${variable}`


class Taken(Strict):
    """Which part of a tree is taken; see `recipes.tree.Filter` for the meaning of the globs."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strip: TreePath | None = None
    modes: Modes = "git"

    def filter(self) -> Filter:
        """Give the filter as the engine uses it."""
        return Filter(self.include, self.exclude, self.strip or "", self.modes)


class Submodule(Taken):
    """A submodule that is wanted: a source of its own, put in place when building.

    Its repository and commit come from the parent's tree, its places in archives from the parent's
    origins; `also` adds more.
    """

    also: tuple[Origin, ...] = ()


class RecipeSource(Taken):
    """Where a component's source comes from unless the environment says otherwise."""

    origins: tuple[Origin, ...] = pydantic.Field(min_length=1)
    ref: Ref | None = None
    submodules: dict[TreePath, Submodule] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _whole(self) -> RecipeSource:
        if self.ref is None and any(isinstance(one, GitOrigin) for one in self.origins):
            raise misplaced("a repository needs a `ref`", "origins")
        return self


class SourceChange(Strict):
    """What an environment changes of a component's source; each key that is given replaces the recipe's.

    `before` takes the branch `ref` as it was at that moment (`recipes.history.tip` says how that is known).
    `also` adds origins behind the recipe's own; `why` is for people.
    """

    ref: Ref | None = None
    before: Annotated[Moment | None, pydantic.Field(description="the branch as it was at this moment")] = None
    why: str | None = None
    origins: Annotated[tuple[Origin, ...], pydantic.Field(min_length=1)] | None = None
    also: tuple[Origin, ...] = ()
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    strip: TreePath | None = None
    modes: Modes | None = None
    submodules: dict[TreePath, Submodule] | None = None


class CMake(Strict):
    """A component built by its own CMakeLists.txt with Ninja.

    `platform_options` are for one platform, over `options`. `says` is a line that configuring must print,
    with `{OPTION}` for an option's value: a project that silently falls back to something else is stopped.
    """

    options: Options = pydantic.Field(default_factory=dict)
    platform_options: dict[Platform, Options] = pydantic.Field(default_factory=dict)
    says: str | None = None
    targets: tuple[str, ...] = pydantic.Field(min_length=1)


class Recipe(Strict):
    """One component: its source and what is done with it.

    `source_of` names a component whose source this one is made from, in place of one of its own. `inputs`
    are the components that it is built with: in an option's value, `{NAME}` stands for where one of them
    lies. What is built, is built by `cmake` or by `script`, a Python program beside the recipe (standard
    library only), called with the source, the directory for its output, and the inputs' places as JSON.
    `outputs` maps a path of the store path to where the build left it: below `src/`, `build/` or
    `inputs/NAME/`. `check` is a program beside the recipe that uses what was built and fails where it
    cannot.
    """

    summary: str
    license: str
    source: RecipeSource | None = None
    source_of: str | None = None
    inputs: tuple[str, ...] = ()
    cmake: CMake | None = None
    script: TreePath | None = None
    outputs: dict[TreePath, Output] = pydantic.Field(default_factory=dict)
    check: TreePath | None = None

    @property
    def built(self) -> bool:
        """Say whether anything is built; else the component is its source."""
        return bool(self.outputs)

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Recipe:
        if (self.source is None) == (self.source_of is None):
            raise misplaced("give one of `source` and `source_of`", "source" if self.source else "summary")
        if (self.cmake is None and self.script is None) != (not self.outputs):
            given = "cmake" if self.cmake else "script" if self.script else "outputs"
            raise misplaced(
                "`cmake` or `script` goes with `outputs`: what is built, and what of it is kept", given
            )
        if self.cmake and self.script:
            raise misplaced("a component is built by `cmake` or by `script`, not by both", "script")
        return self

    @pydantic.model_validator(mode="after")
    def _filled(self) -> Recipe:
        if self.cmake:
            self._check_cmake(self.cmake)
        for target, left in self.outputs.items():
            root, name, *_ = left.split("/")
            if root == "inputs" and name not in self.inputs:
                raise misplaced(
                    f"`{name}` is not one of the inputs{nearest(name, self.inputs)}", "outputs", target
                )
        return self

    def _check_cmake(self, cmake: CMake) -> None:
        places: list[tuple[tuple[str, ...], Mapping[str, str]]] = [(("options",), cmake.options)]
        places += [(("platform_options", one), them) for one, them in cmake.platform_options.items()]
        for place, options in places:
            for name, value in options.items():
                if wrong := unfilled(value, self.inputs):
                    raise misplaced(wrong, "cmake", *place, name)
        known = {name for _, options in places for name in options}
        for name in re.findall(r"\{(\w+)\}", cmake.says or ""):
            if name not in known:
                wrong = f"`{{{name}}}` is not one of the options{nearest(name, known)}"
                raise misplaced(wrong, "cmake", "says")


def unfilled(value: str, inputs: Sequence[str]) -> str | None:
    """Say what is wrong with an option's value that names what is not an input; None for nothing."""
    for name in _FILLED.findall(value):
        if name not in inputs:
            return f"`{{{name}}}` is not one of the inputs{nearest(name, inputs)}"
    return None


class Development(Strict):
    """What a development environment has besides the toolchain, for each version of Python it may be of.

    `packages` are Python packages; `imports` are components whose `python/` can be imported in it.
    """

    python: tuple[Python, ...] = pydantic.Field(min_length=1)
    packages: tuple[Requirement, ...] = ()
    imports: tuple[str, ...] = ()


class Environment(Strict):
    """One variant of TVM: what is built, from which refs, with which toolchain, on which platforms."""

    # one that extends another may leave out what the other says, and a schema sees one file
    model_config = pydantic.ConfigDict(json_schema_extra={"required": ["summary"]})

    summary: str
    extends: str | None = None
    target: str
    toolchain: Literal["pypi", "conda", "host"] = "pypi"
    platforms: tuple[Platform, ...] = pydantic.Field(min_length=1)
    sources: dict[str, SourceChange | None] = pydantic.Field(min_length=1)
    inputs: dict[str, tuple[str, ...]] = pydantic.Field(
        default_factory=dict, description="by component, more components that it is built with"
    )
    options: dict[str, Options] = pydantic.Field(default_factory=dict)
    outputs: dict[str, dict[TreePath, Output | None]] = pydantic.Field(
        default_factory=dict, description="by component, outputs over its recipe's; an empty value drops one"
    )
    pypi: tuple[Requirement, ...] = ()
    development: Development | None = None
    conda: Conda | None = None
    held: Held = pydantic.Field(default_factory=Held, description="what stays where it is; the tool's block")

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the toolchain's wheels must be: `pypi`, and of a package that is held back, that version."""
        return self.held.requirements(self.pypi)


SPECS: Mapping[str, type[Strict]] = {"environment": Environment, "recipe": Recipe}


@dataclass(frozen=True)
class Source:
    """A source as asked for: a recipe's, with the environment's changes applied.

    `also` holds the archives that carry the whole tree, from which a submodule's places follow. `held` is the
    commit that it is held back at.
    """

    name: str
    ref: str | None
    origins: tuple[Origin, ...]
    taken: Taken
    submodules: Mapping[str, Submodule]
    before: datetime | None = None
    held: str | None = None


@dataclass(frozen=True)
class Specs:
    """A variant, complete: its environment and the recipes of all that it names."""

    variant: str
    environment: Environment
    recipes: Mapping[str, Recipe]
    files: Mapping[str, bytes]  # COMPONENT/PATH of each program or patch that a recipe names

    def sources(self) -> Iterator[Source]:
        """Give each source that the environment asks for, in order of name."""
        for name in sorted(self.environment.sources):
            base = self.recipes[name].source
            if base is not None:  # looked at when the specs were read
                held = self.environment.held.sources.get(name)
                found = asked(name, base, self.environment.sources[name] or SourceChange())
                yield replace(found, held=held.commit if held else None)

    def options(self, component: str, platform: str | None = None) -> dict[str, str]:
        """Give a component's CMake options: the recipe's, its platform's, the environment's, last wins."""
        cmake = self.recipes[component].cmake
        general = cmake.options if cmake else {}
        by_platform = cmake.platform_options.items() if cmake else ()
        special = next((options for one, options in by_platform if one == platform), {})
        return {**general, **special, **self.environment.options.get(component, {})}

    def owner(self, component: str) -> str:
        """Name the component whose source a component is made from."""
        return self.recipes[component].source_of or component


def adapted(name: str, recipe: Recipe, environment: Environment) -> Recipe:
    """Give a recipe with what an environment adds to its inputs and changes of its outputs."""
    inputs = tuple(dict.fromkeys((*recipe.inputs, *environment.inputs.get(name, ()))))
    outputs = {**recipe.outputs, **environment.outputs.get(name, {})}
    kept = {target: left for target, left in outputs.items() if left is not None}
    return recipe.model_copy(update={"inputs": inputs, "outputs": kept})


def asked(name: str, base: RecipeSource, change: SourceChange) -> Source:
    """Lay an environment's changes over a recipe's source."""
    over = {
        key: value
        for key in ("include", "exclude", "strip", "modes")
        if (value := getattr(change, key)) is not None
    }
    plain = Taken(include=base.include, exclude=base.exclude, strip=base.strip, modes=base.modes)
    origins = base.origins if change.origins is None else change.origins
    return Source(
        name=name,
        ref=change.ref or base.ref,
        origins=(*origins, *change.also),
        taken=plain.model_copy(update=over),
        submodules=base.submodules if change.submodules is None else change.submodules,
        before=change.before,
    )
