"""What a development environment is: its parts, and where in it they lie.

    environment.json     what it was made from (`Record`); written last: without it, it is half made
    roots/HASH-NAME      links to the store paths that it needs: they keep gc away from those
    tools/NAME           the toolchain: unpacked wheels by project, or a conda environment
    bin/                 cc, c++, ar, ranlib, cmake, ctest, ninja, python, and the programs of packages
    src/COMPONENT        the locked sources, submodules in place, every file a link into the store
    lib/pythonX.Y/       the packages, every file a link into the store
    imports/COMPONENT    components whose `python/` can be imported
    inputs/COMPONENT     what the target is built with; a link to nothing until that is built
    result               what the target is built to; the same
    etc/                 what interactive shells read
    cache/               zig's cache, bytecode, builds of `src/`: may be removed at any time

It is nothing but links and small texts: a file of a person's in it can be told from those.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recipes import cmake, toolchain
from recipes.derivations import CondaPrefix
from recipes.errors import LockError, UsageError
from recipes.plan import Build, Derivation, Plan, SourceTree, UnpackedWheel, path_name
from recipes.requirements import Wheel

FORMAT = 1
RECORD = "environment.json"


@dataclass(frozen=True)
class Part:
    """One thing that an environment has: its version for people, and the store path that it is."""

    version: str
    path: str


@dataclass(frozen=True)
class Layout:
    """An environment as a value. All mappings lead to names of store paths.

    `tools` are by name, `packages` by project, `sources` by component and the place below it, `inputs` and
    `imports` by component. `options` are CMake's, as the build has them; `targets` are what is built.
    `derivations` are all that is brought in or built.
    """

    variant: str
    toolchain: toolchain.Kind
    platform: str
    python: str
    target: str
    result: str
    tools: Mapping[str, str]
    packages: Mapping[str, str]
    sources: Mapping[str, Mapping[str, str]]
    inputs: Mapping[str, str]
    imports: Mapping[str, str]
    options: Mapping[str, str]
    targets: tuple[str, ...]
    derivations: Mapping[str, Derivation]

    @property
    def needed(self) -> list[str]:
        """Name the store paths that must be there; what compilers build need not be."""
        sources = {path for one in self.sources.values() for path in one.values()}
        rest = (self.tools, self.packages, self.imports)
        return sorted(sources.union(*(one.values() for one in rest)))

    @property
    def built(self) -> dict[str, str]:
        """Give the store paths that are there once they are built, by component."""
        return {**self.inputs, self.target: self.result}

    def parts(self) -> dict[str, Part]:
        """Give what an environment is compared by: it is out of date where one of these is another."""
        found = {name: self._part(path) for name, path in {**self.tools, **self.packages}.items()}
        for component, trees in self.sources.items():
            for below, path in trees.items():
                found[f"source {component}/{below}".rstrip("/")] = self._part(path)
        for name, path in {**self.imports, **self.built}.items():
            found[f"build of {name}"] = Part("", path)
        return {"python": Part(self.python, ""), **found}

    def _part(self, path: str) -> Part:
        one = self.derivations[path]
        version = one.wheel.version if isinstance(one, UnpackedWheel) else ""
        if isinstance(one, SourceTree) and one.commit:
            version = one.commit[:12]
        return Part(version, path)


@dataclass(frozen=True)
class Record:
    """What environment.json says; `files` has the SHA-256 in hex of each text that was written, by path."""

    variant: str
    toolchain: str
    platform: str
    project: str
    store: str
    parts: Mapping[str, Part]
    files: Mapping[str, str]
    links: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Give the record as JSON values."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


def record(document: Any) -> Record:
    """Read what `Record.document` gave. Raises ValueError, TypeError, LookupError for anything else."""
    fields = {**document}
    if fields.pop("format") != FORMAT:
        raise ValueError("made by another version of tvm-recipes")
    parts = {name: Part(**one) for name, one in fields.pop("parts").items()}
    return Record(parts=parts, **fields)


def changes(old: Mapping[str, Part], new: Mapping[str, Part]) -> list[str]:
    """Say in words, one line a part, what an environment has differently from what its lock asks for."""
    return [
        f"`{name}` {_change(old.get(name), new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _change(had: Part | None, has: Part | None) -> str:
    if had is None or has is None:
        only = had or has
        version = f" ({only.version})" if only and only.version else ""
        return f"is missing{version}" if had is None else f"is not asked for any more{version}"
    if had.version != has.version:
        return f"is {had.version}, the lock has {has.version}"
    return "is another one, of the same version" if had.version else "is another one"


def layout(
    plan: Plan,
    imports: Sequence[Plan],
    packages: Sequence[Wheel],
    python: str,
    *,
    kind: toolchain.Kind,
    prefix: str,
) -> Layout:
    """Lay out an environment: `plan` is the target's, `imports` are plans of what can be imported.

    `packages` are the wheels for `python` on the plan's platform, `prefix` is where the environment is to be.
    Raises UsageError where the target is not built by CMake, and where `prefix` is no place for conda.
    """
    target = plan.derivations[plan.target]
    if kind == "conda" and any(one.isspace() for one in prefix):
        raise UsageError(
            f"conda packages have their prefix in scripts without quotes, and this one has a space: {prefix}",
            hint="name another directory: `--path DIR`",
        )
    if not isinstance(target, Build) or not target.tools:
        raise UsageError(f"`{plan.component}` is not built by CMake: there is nothing to develop with")
    wheels = {path_name(one): one for one in map(UnpackedWheel, packages)}
    more = {name: one for other in imports for name, one in other.derivations.items()}
    tools = {name: _here(plan.derivations[path], prefix) for name, path in target.tools.items()}
    return Layout(
        variant=plan.variant,
        toolchain=kind,
        platform=plan.platform,
        python=python,
        target=plan.component,
        result=plan.target,
        tools={name: path_name(one) for name, one in tools.items()},
        packages={one.wheel.project: name for name, one in wheels.items()},
        sources=dict(_sources(plan)),
        inputs=target.inputs,
        imports={one.component: one.target for one in imports},
        options=target.options,
        targets=tuple(target.phases[-1].argv[target.phases[-1].argv.index("--") + 1 :]),
        derivations={**plan.derivations, **more, **wheels, **{path_name(one): one for one in tools.values()}},
    )


def _here(one: Derivation, prefix: str) -> Derivation:
    """Give a tool as an environment has it: conda's packages have the path of their prefix in them."""
    return replace(one, at=inside(one.at, prefix)) if isinstance(one, CondaPrefix) else one


def _sources(plan: Plan) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Give each component's sources, those of two that are made from one source once."""
    seen: list[Mapping[str, str]] = []
    for one in plan.derivations.values():
        if isinstance(one, Build) and one.sources not in seen:
            seen.append(one.sources)
            yield one.component, one.sources


def python_for(locked: Sequence[str], version: str, variant: str) -> str:
    """Look that packages are locked for a version of Python. Raises LockError."""
    if locked and version not in locked:
        raise LockError(
            f"the development packages of `{variant}` are not locked for this Python\n"
            f"  expected  {', '.join(locked)}\n  actual    {version}",
            hint=f"run `recipes` with one of those: `PYTHON=python{locked[-1]} ./bootstrap recipes env list`",
        )
    return version


def settings(made: Layout, prefix: str) -> dict[str, str]:
    """Give CMake's cache entries: the sandbox's, with the environment's paths in place of its own."""
    inputs = {f"/inputs/{name}": f"{prefix}/inputs/{name}" for name in made.inputs}
    options = dict(made.options)
    for sandboxed, here in inputs.items():
        options = {name: value.replace(sandboxed, here) for name, value in options.items()}
    kit = _kit(made, prefix)
    compiling = cmake.compiling(kit.ninja, f"{prefix}/bin", kit.settings)
    return dict(sorted({**compiling, **options}.items()))


def _kit(made: Layout, prefix: str) -> toolchain.Kit:
    if made.toolchain == "conda":
        return toolchain.conda_kit(made.platform, f"{prefix}/tools")
    return toolchain.zig_kit(made.platform, made.parts()["ninja"].version, f"{prefix}/tools")


def inside(path: str, prefix: str) -> str:
    """Give where a path of the sandbox's /toolchain is in an environment."""
    return f"{prefix}/tools{path.removeprefix(toolchain.ROOT)}"


def programs(made: Layout, prefix: str) -> dict[str, str]:
    """Give the texts of the toolchain's programs in bin/, by name."""
    cache = shlex.quote(f"{prefix}/cache/zig")
    head = "#!/bin/sh\n" + "".join(
        f'[ -n "${{{name}-}}" ] || export {name}={cache}\n'
        for name in (toolchain.ZIG_CACHE if made.toolchain == "pypi" else ())
    )
    kit = _kit(made, prefix)
    found = {name: head + line for name, line in kit.compilers.items()}
    ninja, targets = shlex.quote(kit.ninja), _targets(made)
    return {**found, "ninja": _NINJA.format(ninja=ninja, directory=directory(made), targets=targets)}


_NINJA = """\
#!/bin/sh
# beside a build directory that the preset made, plain `ninja` builds in it what the variant builds
if [ ! -f build.ninja ] && [ -f {directory}/build.ninja ]; then
    [ $# -gt 0 ] || set -- {targets}
    set -- -C {directory} "$@"
fi
exec {ninja} "$@"
"""


def directory(made: Layout) -> str:
    """Name the build directory that the preset makes, beside the sources."""
    return f"build-{made.variant}"


def _targets(made: Layout) -> str:
    return shlex.join(made.targets)


def links(made: Layout, python: str) -> dict[str, str]:
    """Give the links of an environment besides roots/, sources and packages; `python` is the host's."""
    cmake_bin = _kit(made, "..").cmake.rpartition("/")[0]
    found = {"bin/cmake": f"{cmake_bin}/cmake", "bin/ctest": f"{cmake_bin}/ctest"}
    found |= {f"bin/{name}": python for name in ("python", "python3", f"python{made.python}")}
    for directory_, paths in (("tools", made.tools), ("inputs", made.inputs), ("imports", made.imports)):
        found |= {f"{directory_}/{name}": f"../roots/{path}" for name, path in paths.items()}
    found |= {f"src/{name}/{directory(made)}": f"../../cache/{name}" for name in made.sources}
    return found | {"result": f"roots/{made.result}"}


def pyvenv(home: str, python: str) -> str:
    """Give pyvenv.cfg (PEP 405), which makes bin/python one of its own; `home` is where the host's lies."""
    return f"home = {home}\ninclude-system-site-packages = false\nversion = {python}\n"
