"""Build one derivation in the sandbox, in a directory that is given, and check what came of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import cmake, failures, files, isolation, process, sandbox, toolchain
from recipes.breakages import Row
from recipes.errors import BuildError
from recipes.failures import Failure
from recipes.isolation import Isolation
from recipes.plan import Build, Phase
from recipes.report import Report, Task
from recipes.sandbox import Bind, Sandbox
from recipes.store import Store


@dataclass
class Builder:
    """What building needs. `env` is the caller's environment, for programs that run outside the sandbox.

    `jobs` is how many compilers run at once. `table` is what is known to break builds. With `keep_failed`,
    the directory of a build that fails stays; `again` is the command that asks for that, where there is one.
    """

    store: Store
    report: Report
    env: Mapping[str, str]
    jobs: int
    table: Sequence[Row] = ()
    keep_failed: bool = False
    again: str | None = None

    def build(self, place: Path, build: Build, chosen: Isolation, log: Path) -> Path:
        """Build in `place`, an empty directory; give the result, which lies in it. It is not added.

        The inputs are in the store. `log` is written anew. Raises BuildError.
        """
        box = self._prepare(place, build)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        for phase in build.phases:
            self._phase(place, build, phase, log, lambda argv: chosen.enter(box, argv, str(place / "root")))
        roots = {below: place / below for below in ("src", "build")}
        roots |= {f"inputs/{one}": self.store.path(path) for one, path in build.inputs.items()}
        result = _collect(place / "result", roots, build, log)
        self._check(result, build, log)
        return result

    def _prepare(self, place: Path, build: Build) -> Sandbox:
        for made in ("src", "build", "cache", "root", "toolchain/bin", "etc", "recipe"):
            (place / made).mkdir(parents=True)
        for below, source in sorted(build.sources.items()):
            (place / "src" / below).mkdir(parents=True, exist_ok=True)
            files.copy_tree(self.store.path(source), place / "src" / below)
        for program, text in build.programs.items():
            written = place / "toolchain/bin" / program
            written.write_text(text)
            written.chmod(0o755)
        texts = {f"etc/{file}": text for file, text in sandbox.ETC.items()}
        texts |= {f"recipe/{file}": text for file, text in build.files.items()}
        for file, text in texts.items():
            (place / file).write_text(text)
        return Sandbox(binds=self._binds(place, build), cwd=cmake.BUILD, env=tuple(sorted(build.env.items())))

    def _binds(self, place: Path, build: Build) -> tuple[Bind, ...]:
        writable = {cmake.SOURCE: "src", cmake.BUILD: "build", toolchain.CACHE: "cache"}
        tools = {f"{toolchain.ROOT}/{one}": self.store.path(path) for one, path in build.tools.items()}
        return (
            *self._host(build),
            *(Bind(str(place / below), target, writable=True) for target, below in writable.items()),
            *(Bind(str(path), target) for target, path in tools.items()),
            Bind(str(place / "toolchain/bin"), f"{toolchain.ROOT}/bin"),
            Bind(str(place / "etc"), "/etc"),
            Bind(str(place / "recipe"), "/recipe"),
            *(Bind(str(self.store.path(path)), f"/inputs/{one}") for one, path in build.inputs.items()),
        )

    def _host(self, build: Build) -> tuple[Bind, ...]:
        """Give what of the host the build's programs need to run."""
        if "cmake" not in build.tools:
            return isolation.python(self.env)
        inside = toolchain.CMAKE.removeprefix(f"{toolchain.ROOT}/cmake/")
        return isolation.runtime([str(self.store.path(build.tools["cmake"]) / inside)], self.env)

    def _phase(
        self, place: Path, build: Build, phase: Phase, log: Path, enter: Callable[[list[str]], list[str]]
    ) -> None:
        argv = [word.replace(cmake.JOBS, str(self.jobs)) for word in phase.argv]
        text = f"{build.component}: {phase.name}"
        with log.open("ab") as out, self.report.task(text, "steps") as task:
            out.write(f"### {phase.name}: {json.dumps(phase.argv)}\n".encode())
            out.flush()
            line = _Line(task, phase.says)
            code = process.stream(enter(argv), env=self.env, cwd=place, log=out, line=line)
        failure = self._failure(place, build, phase.name, log)
        if code or (phase.says and not line.said):
            self._leave(place, failure, enter([]), argv)
        if code:
            raise failure.exited(code)
        if phase.says and not line.said:
            raise failure.unsaid(phase.says)

    def _failure(self, place: Path, build: Build, phase: str, log: Path) -> Failure:
        again = failures.keep_hint(self.again) if self.again else None
        hint = failures.replay_hint(place) if self.keep_failed else again
        return Failure(build, phase, log, self.table, hint)

    def _leave(self, place: Path, failure: Failure, enter: Sequence[str], argv: Sequence[str]) -> None:
        if self.keep_failed:
            failures.write_replay(place, failure, enter, argv)

    def _check(self, result: Path, build: Build, log: Path) -> None:
        """Use what was built, in a process of its own; what cannot be used is not added."""
        if build.check is None:
            return
        if build.platform != build.system:
            self.report.line(
                f"{build.component}: not checked: it is for {build.platform}, this is {build.system}"
            )
            return
        script = result.parent / "check.py"
        script.write_text(build.check)
        argv = [sys.executable, "-I", "-B", str(script), str(result), json.dumps(dict(build.options))]
        with self.report.task(f"{build.component}: check") as task, log.open("ab") as out:
            out.write(b"### check\n")
            out.flush()
            env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(result.parent)}
            code = process.stream(argv, env=env, cwd=result.parent, log=out, line=task.note)
        if code:
            failure = self._failure(result.parent, build, "check", log)
            self._leave(result.parent, failure, failures.environment(env), argv)
            raise failure.exited(code)


class _Line:
    """Follows a phase's output: ninja's own count of steps, `[DONE/ALL]`, and what must be said in it."""

    _counted = re.compile(r"\[(\d+)/(\d+)\] ")

    def __init__(self, task: Task, expected: str | None) -> None:
        self.task, self.expected, self.said = task, expected, False

    def __call__(self, text: str) -> None:
        found = self._counted.match(text)
        if found:
            self.task(int(found[1]), int(found[2]))
        self.said |= self.expected is not None and self.expected in text
        self.task.note(text)


def _collect(result: Path, roots: Mapping[str, Path], build: Build, log: Path) -> Path:
    """Take what the recipe promises out of the build; a link that leads out of it is not followed."""
    result.mkdir()
    for target, left in build.outputs.items():
        under = next(one for one in roots if left.startswith(f"{one}/"))
        found = roots[under] / left.removeprefix(f"{under}/")
        if not found.exists() or not found.resolve().is_relative_to(roots[under].resolve()):
            raise BuildError(
                f"`{build.component}` did not make what its recipe promises\n"
                f"  promised  {target}, from {left}",
                hint=f"see the end of the log: `less {log}`",
            )
        (result / target).parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            files.copy_tree(found, result / target)
        else:
            shutil.copy(found, result / target)
    return result
