"""Environments by variant: what is asked for, making what is missing, and what a shell in one has.

PROVIDERS is where a toolchain plugs in.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import files, lockcheck
from recipes.develop import activation, layout, make, prefixes, presets
from recipes.develop.activation import Tvm
from recipes.develop.make import Wanted
from recipes.errors import UsageError
from recipes.located import nearest
from recipes.run import Run, system
from recipes.toolchain import Kind

_LIBRARIES = ("libtvm.so", "libtvm_runtime.so")


@dataclass(frozen=True)
class Provider:
    """What a toolchain does for development environments.

    `wanted` says what a variant's environment at a path is, for the Python that it has or else this one;
    `make` makes it; `changes` says in words where one that is there differs from its lock; `variables` gives
    what entering it sets over an environment, for the TVM that is worked on, None for the locked one.
    """

    wanted: Callable[[Run, str, Path], Wanted]
    make: Callable[[Run, Wanted], None]
    changes: Callable[[Wanted], Sequence[str]]
    variables: Callable[[Run, Wanted, Path | None, Mapping[str, str]], Mapping[str, str]]


def provider(toolchain: str) -> Provider:
    """Give a toolchain's provider. Raises UsageError for one that makes no environments."""
    if toolchain not in PROVIDERS:
        raise UsageError(
            f"toolchain `{toolchain}` makes no development environments{nearest(toolchain, PROVIDERS)}",
            hint=f"there is {', '.join(PROVIDERS)}: `--toolchain {next(iter(PROVIDERS))}`",
        )
    return PROVIDERS[toolchain]


def prefix_of(run: Run, variant: str, path: Path | None) -> Path:
    """Give where a variant's environment is, or would be: at `path`, else in the checkout."""
    place = run.directory / path if path else prefixes.home(run.project().root) / variant
    return Path(os.path.realpath(place))


def wanted(kind: Kind, run: Run, variant: str, prefix: Path) -> Wanted:
    """Say what a variant's environment with a toolchain is.

    Raises SpecError, LockError, UsageError, ToolchainError, SandboxError.
    """
    project = run.project()
    specs = project.specs(variant)
    asked = specs.environment.development
    locked = lockcheck.developed(specs, project)
    made = prefixes.read(prefix)
    python = made.parts["python"].version if made else f"{sys.version_info[0]}.{sys.version_info[1]}"
    layout.python_for(asked.python if asked else (), python, variant)
    plan = run.plan(variant, None, None, tools=kind)
    named = asked.imports if asked else ()
    imports = tuple(run.plan(variant, name, None, tools=make.TOOLCHAIN) for name in named)
    packages = locked.for_python(system(), python)
    laid_out = layout.layout(plan, imports, packages, python, kind=kind, prefix=os.fspath(prefix))
    return Wanted(laid_out, plan, imports, prefix, project.root)


def _make(run: Run, one: Wanted) -> None:
    make.make(one, run.realiser(None, offline=False))


def chosen(run: Run, variant: str, prefix: Path, toolchain: str | None = None) -> Provider:
    """Give the provider for a variant's environment.

    Its toolchain is the one that is named, else the one that it was made with, else the spec's. Raises
    UsageError where it was made with another one than is named.
    """
    made = prefixes.read(prefix)
    named = provider(toolchain) if toolchain else None
    if named and made and made.toolchain != toolchain:
        raise UsageError(
            f"{prefix} has another toolchain\n  expected  {toolchain}\n  actual    {made.toolchain}",
            hint=f"{command(run, 'remove', variant, prefix)} first, or another directory: `--path DIR`",
        )
    spec = run.project().specs(variant).environment
    return named or provider(made.toolchain if made else spec.toolchain)


def command(run: Run, name: str, variant: str, prefix: Path) -> str:
    """Give a command of `recipes env` for an environment, as a hint has it."""
    place = "" if prefix == prefix_of(run, variant, None) else f" --path {shlex.quote(os.fspath(prefix))}"
    return f"`recipes env {name} --variant {variant}{place}`"


def outdated(run: Run, variant: str, prefix: Path, changes: Sequence[str]) -> UsageError:
    """Give the error of an environment that is out of date: what differs, and what makes it anew."""
    told = "\n".join([f"{prefix} is out of date", *(f"  {change}" for change in changes)])
    return UsageError(told, hint=f"{command(run, 'update', variant, prefix)} makes it anew")


def ready(run: Run, variant: str, prefix: Path, toolchain: str | None = None) -> tuple[Provider, Wanted]:
    """Make a variant's environment where there is none; where it is out of date, say so and leave it."""
    used = chosen(run, variant, prefix, toolchain)
    one = used.wanted(run, variant, prefix)
    if prefixes.read(prefix) is None:
        used.make(run, one)
    elif changes := used.changes(one):
        error = outdated(run, variant, prefix, changes)
        run.report.warning(f"{error.message}\n  {error.hint}")
    return used, one


def checkout(run: Run, given: Path | None) -> Path | None:
    """Give the checkout of TVM that is named, else the one around the working directory, else None.

    Raises UsageError where what is named is none.
    """
    if given is not None:
        place = Path(os.path.realpath(run.directory / given))
        if not _is_tvm(place):
            raise UsageError(f"{place} is no checkout of TVM: no `include/tvm` beside a CMakeLists.txt")
        return place
    return next((one for one in (run.directory, *run.directory.parents) if _is_tvm(one)), None)


def _is_tvm(place: Path) -> bool:
    return (place / "CMakeLists.txt").is_file() and (place / "include/tvm").is_dir()


def variables(run: Run, one: Wanted, tvm: Path | None, over: Mapping[str, str]) -> Mapping[str, str]:
    """Give what entering an environment sets over `over`; says what is not built that it refers to."""
    variant = one.layout.variant
    for name in make.unbuilt(one, run.store()):
        target = "" if name == one.layout.target else f" {name}"
        run.report.line(f"`{name}` is not built: `recipes build --variant {variant}{target}`")
    return activation.variables(one.layout, os.fspath(one.prefix), over, _tvm(one, tvm))


def _tvm(one: Wanted, checkout_: Path | None) -> Tvm:
    home = checkout_ or one.prefix / "src" / one.layout.target
    places = [home / layout.directory(one.layout), one.prefix / "result/lib"]
    library = next((place for place in places if any((place / name).is_file() for name in _LIBRARIES)), None)
    return Tvm(
        home=os.fspath(home),
        modules=(os.fspath(home / "python"),) if (home / "python").is_dir() else (),
        library=os.fspath(library) if library else None,
        runtime_only=library is not None and not (library / _LIBRARIES[0]).is_file(),
    )


def write_preset(one: Wanted, place: Path) -> bool:
    """Write the presets file of a checkout; say whether it changed. Raises UsageError for a person's own."""
    file, text = place / presets.FILE, presets.text(one.layout, os.fspath(one.prefix)).encode()
    there = file.read_bytes() if file.is_file() else None
    if there is not None and not presets.is_ours(there):
        raise UsageError(
            f"{file} is yours, and is left as it is",
            hint=f"`recipes env preset --variant {one.layout.variant} --print` prints what to add to it",
        )
    if there != text:
        files.write_atomic(file, text)
    return there != text


KINDS: tuple[Kind, ...] = (make.TOOLCHAIN, "conda")

PROVIDERS: Mapping[str, Provider] = {
    kind: Provider(functools.partial(wanted, kind), _make, make.out_of_date, variables) for kind in KINDS
}
