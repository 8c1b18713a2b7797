"""A tree configured by the locked cmake in a sandbox without a network: what it still tries to download."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from recipes import crowd, isolation, process, treewriter, workplace
from recipes.errors import BuildError, SandboxError
from recipes.plan import Build, Plan
from recipes.realise import Realiser
from recipes.sandbox import Bind, Sandbox
from recipes.scan import attempts
from recipes.tree import to_text

_INPUTS = "/inputs"
_SILENCE = 600.0  # seconds
_LAST = 20  # lines of a log


@dataclass(frozen=True)
class Proof:
    """The exit code of cmake, and the lines of its log that tell of a download."""

    code: int
    attempts: tuple[str, ...]


def prove(tree: Path, plan: Plan, realiser: Realiser, settings: Sequence[str]) -> Proof:
    """Configure a copy of `tree` with the cmake of `plan`; `settings` are more arguments of cmake.

    A setting `-DNAME=DIRECTORY` of this machine is what the sandbox has as `/inputs/NAME`. Raises
    SandboxError where nothing can be isolated, BuildError where cmake fails without having tried to
    download anything.
    """
    name, build = _configured(plan)
    realiser.fetch(plan, sorted(build.tools.values()))
    store, env = realiser.store, realiser.builder.env
    with store.scratch("scan") as place, ExitStack() as told, io.BytesIO() as log:
        task = told.enter_context(realiser.report.task(f"configuring {tree.name} without a network"))
        chosen = isolation.choose(env, place, realiser.sandbox)
        shown = replace(build, sources={}, inputs={}, files={})
        box = workplace.prepare(place / "build", shown, shown.programs, store, env)
        treewriter.copy_tree(tree, place / "build/src")
        box, words = _with_inputs(box, settings)
        argv = chosen.enter(box, [*_argv(build), *words], str(place / "build/root"))
        code = process.stream(argv, env=env, cwd=place, log=log, line=task.note, silence=_SILENCE)
        crowd.settle(argv)
        text = to_text(log.getvalue())
    found = attempts.told(text)
    if code and not found:
        lines = "\n".join(f"  {line}" for line in text.splitlines()[-_LAST:])
        raise BuildError(
            f"cmake fails on `{tree}`, and not for a download\n  exit code  {code}\n{lines}",
            hint=f"`recipes plan --json` has how it is called: {name}, its first phase",
        )
    return Proof(code, found)


def _configured(plan: Plan) -> tuple[str, Build]:
    """Find a build of the plan that is configured by cmake, in a sandbox."""
    for name, one in plan.derivations.items():
        if isinstance(one, Build) and one.sandbox == "namespaces" and one.phases[0].name == "configure":
            return name, one
    raise SandboxError("no build of this variant is configured by cmake in a sandbox")


def _argv(build: Build) -> list[str]:
    """Give the arguments with the toolchain's settings, and without the recipe's own options."""
    own = tuple(f"-D{name}=" for name in build.options)
    return [word for word in build.phases[0].argv if not word.startswith(own) or not own]


def _with_inputs(box: Sandbox, settings: Sequence[str]) -> tuple[Sandbox, list[str]]:
    binds, words = list(box.binds), list[str]()
    for setting in settings:
        name, equals, value = setting.partition("=")
        variable = name.removeprefix("-D").partition(":")[0]
        if equals and name.startswith("-D") and value.startswith("/") and Path(value).is_dir():
            binds.append(Bind(value, f"{_INPUTS}/{variable}"))
            words.append(f"{name}={_INPUTS}/{variable}")
        else:
            words.append(setting)
    return replace(box, binds=tuple(binds)), words
