"""Build one derivation in the sandbox, in a directory that is given, and check what came of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import (
    cmake,
    compilercache,
    crowd,
    failures,
    files,
    isolation,
    process,
    tree,
    treewriter,
    workplace,
)
from recipes.breakages import Row
from recipes.compilercache import CompilerCache
from recipes.crowd import Guard
from recipes.errors import BuildError
from recipes.failures import Failure
from recipes.isolation import Isolation
from recipes.plan import Build, Phase
from recipes.report import Report, Task
from recipes.sandbox import Sandbox
from recipes.store import Store


@dataclass(frozen=True)
class _Job:
    """One build under way: where, of what, how it is isolated, and what watches it."""

    place: Path
    build: Build
    isolation: Isolation
    log: Path
    guard: Guard

    def enter(self, box: Sandbox, argv: Sequence[str]) -> list[str]:
        """Give the argv that runs one in a sandbox."""
        return self.isolation.enter(box, argv, str(self.place / "root"))


@dataclass
class Builder:
    """What building needs. `env` is the caller's environment, for programs that run outside the sandbox.

    `jobs` is how many compilers run at once. `table` is what is known to break builds. With `keep_failed`,
    the directory of a build that fails stays; `again` is the command that asks for that, where there is one.
    With `cache`, compilers start with what they kept of earlier builds; the result is the same without.
    `backwards` lays the sources out in the other order.
    """

    store: Store
    report: Report
    env: Mapping[str, str]
    jobs: int
    table: Sequence[Row] = ()
    keep_failed: bool = False
    again: str | None = None
    cache: CompilerCache | None = None
    backwards: bool = False

    def build(
        self,
        place: Path,
        build: Build,
        chosen: Isolation,
        log: Path,
        stop: threading.Event | None = None,
    ) -> Path:
        """Build in `place`, an empty directory; give the result, which lies in it. It is not added.

        The inputs are in the store. `log` is written anew. A build that is planned without a sandbox gets
        none. Raises BuildError, and crowd.Cancelled when `stop` is set meanwhile.
        """
        guard = Guard(crowd.LIMIT + crowd.EACH * self.jobs, stop or threading.Event())
        job = _Job(place, build, isolation.NONE if build.sandbox == "none" else chosen, log, guard)
        box = self._prepare(place, build)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        self._warm(place, build, log)
        for phase in build.phases:
            self._phase(job, box, phase)
        roots = {below: place / below for below in ("src", "build")}
        roots |= {f"inputs/{one}": self.store.path(path) for one, path in build.inputs.items()}
        result = _collect(place / "result", roots, build, log)
        self._check(job)
        if self.cache and compilercache.serves(build):
            self.cache.keep(build, place / "cache", place / "cache.tar")
        return result

    def _warm(self, place: Path, build: Build, log: Path) -> None:
        """Give the compilers what they kept of earlier builds, and write that archive's name to the log."""
        if self.cache and compilercache.serves(build):
            used = self.cache.restore(build, place / "cache")
            log.write_text(compilercache.says(used))

    def _prepare(self, place: Path, build: Build) -> Sandbox:
        shown = self.cache.shown(build) if self.cache and compilercache.serves(build) else build
        if self.cache and self.cache.ccache:
            self.store.verify(self.cache.ccache)
        box = workplace.prepare(place, shown, shown.programs, self.store, self.env)
        workplace.sources(place, build, self.store, backwards=self.backwards)
        return box

    def _phase(self, job: _Job, box: Sandbox, phase: Phase) -> None:
        argv = [word.replace(cmake.JOBS, str(self.jobs)) for word in phase.argv]
        with self.report.task(f"{job.build.component}: {phase.name}", "steps") as task:
            line = _Line(task, phase.says)
            code = self._run(job, f"{phase.name}: {json.dumps(phase.argv)}", job.enter(box, argv), line)
        failure = self._failure(job, phase.name)
        if code or (phase.says and not line.said):
            self._leave(job, failure, box, argv)
        if code:
            raise failure.exited(code)
        if phase.says and not line.said:
            raise failure.unsaid(phase.says)

    def _run(self, job: _Job, title: str, argv: Sequence[str], line: Callable[[str], None]) -> int:
        """Run to the end; a build with too many processes says so itself, and fails."""
        with job.log.open("ab") as out:
            out.write(f"### {title}\n".encode())
            out.flush()
            try:
                return process.stream(argv, env=self.env, cwd=job.place, log=out, line=line, watch=job.guard)
            except crowd.Crowded as many:
                out.write(f"error: {many}\n".encode())
                return 128 + signal.SIGKILL
            finally:
                crowd.settle(argv)

    def _failure(self, job: _Job, phase: str) -> Failure:
        again = failures.keep_hint(self.again) if self.again else None
        hint = failures.replay_hint(job.place) if self.keep_failed else again
        return Failure(job.build, phase, job.log, self.table, hint)

    def _leave(self, job: _Job, failure: Failure, box: Sandbox, argv: Sequence[str]) -> None:
        if self.cache and compilercache.serves(failure.build):
            self.report.line("compilers used a cache; `recipes build --no-cache` builds without")
        if self.keep_failed:
            enter = job.enter(box, [])
            failures.write_replay(job.place, failure, enter, job.enter(box, argv)[len(enter) :])

    def _check(self, job: _Job) -> None:
        """Use what was built, in a sandbox of its own; what cannot be used is not added."""
        build = job.build
        if build.check is None:
            return
        if build.platform != build.system:
            self.report.line(
                f"{build.component}: not checked: it is for {build.platform}, this is {build.system}"
            )
            return
        box, argv = workplace.checking(job.place, build)
        with self.report.task(f"{build.component}: check") as task:
            code = self._run(job, "check", job.enter(box, argv), task.note)
        if code:
            failure = self._failure(job, "check")
            self._leave(job, failure, box, argv)
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
    """Take what the recipe promises out of the build.

    An output that is a link is what it leads to; one that leads out of the build is not followed.
    """
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
            treewriter.copy_tree(found.resolve(), result / target)
        else:
            shutil.copy(found, result / target)
    _check_links(result, build, log)
    return result


def _check_links(result: Path, build: Build, log: Path) -> None:
    """Refuse links that lead out of a result, or nowhere: in the store they would be of no use."""
    top = os.fsencode(result)
    for path, info in files.walk(result):
        if stat.S_ISLNK(info.st_mode):
            place, target = (tree.to_text(one) for one in (path[len(top) + 1 :], os.readlink(path)))  # noqa: PTH115 - bytes
            if tree.leads_out(place, target) or not os.path.exists(path):  # noqa: PTH110 - bytes
                raise BuildError(
                    f"`{build.component}` made a symbolic link that leads out of its outputs, or nowhere\n"
                    f"  link    {place}\n  target  {target}",
                    hint=f"see the end of the log: `less {log}`",
                )
