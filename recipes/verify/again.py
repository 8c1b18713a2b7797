"""Build a derivation a second time, in a process that starts in another world, and hear how it goes.

The process is `recipes verify-again`: it reads a `Job` from its standard input, and tells what it does as
lines of JSON on its standard output, so that its progress is shown as that of any build. It ends with the
thread that waits for it, whatever ends that. Nothing is added to the store.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from recipes import errors, isolation, process
from recipes.builder import Builder
from recipes.derivations import Build, path_name
from recipes.errors import BuildError, RecipesError
from recipes.report import Report, Task
from recipes.verify.world import Another

_SHOWN = 20  # lines that a process said which ended without an answer


class Job(BaseModel):
    """What a second build is told: the derivation, an empty directory, the world to make around itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    build: Build
    place: str
    log: str
    isolation: str
    processors: tuple[int, ...]
    jobs: int
    umask: int
    parent: int


def argv(store: Path, project: Path) -> list[str]:
    """Give the argv of the process that does a job; Python finds its modules by PYTHONPATH alone."""
    start = [sys.executable, "-P", "-c", "import cli; cli.main()"]
    return [*start, "--store", str(store), "--project", str(project), "verify-again"]


def module_path() -> list[str]:
    """Give the directories in which this process finds its modules."""
    return [str(Path(one).absolute()) for one in sys.path if one]


def job(build: Build, place: Path, log: Path, world: Another) -> Job:
    """Describe a second build in a world."""
    return Job(
        name=path_name(build),
        build=build,
        place=str(place),
        log=str(log),
        isolation=world.isolation,
        processors=world.processors,
        jobs=world.jobs,
        umask=world.umask,
        parent=os.getpid(),
    )


def start(wanted: Job, world: Another, command: list[str], scratch: Path, report: Report) -> Path:
    """Have a job done, and wait; give the result, which lies in its directory.

    `scratch` is a private directory for what passes between the two. Raises what the build raises.
    """
    asked = scratch / "job.json"
    asked.write_bytes(wanted.model_dump_json().encode())
    component = wanted.build.component
    with report.task(f"{component}: again", "steps") as task:
        heard = _Heard(task, report)
        with asked.open("rb") as stdin, (scratch / "said").open("wb") as log:
            code = process.stream(
                [*world.prefix, *command], env=world.env, cwd=scratch, log=log, line=heard, stdin=stdin
            )
    if heard.result is None:
        said = "".join(f"\n  {line}" for line in heard.rest[-_SHOWN:])
        raise BuildError(f"`{component}` could not be built again: exit code {code}{said}")
    return Path(heard.result)


@dataclass
class _Heard:
    """Follows what the process tells."""

    task: Task
    report: Report
    result: str | None = None
    rest: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        told = _parsed(line)
        if told is None:
            self.rest.append(line)
        elif "error" in told:
            raise _error(told)
        elif "steps" in told:
            self.task(*told["steps"])
        elif "note" in told:
            self.task.note(told["note"])
        elif "line" in told:
            self.report.line(told["line"])
        else:
            self.result = told.get("result", self.result)


def _parsed(line: str) -> Mapping[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _error(told: Mapping[str, Any]) -> RecipesError:
    kind = getattr(errors, told["error"])
    made: RecipesError = kind(f"when it was built again, {told['message']}", hint=told["hint"])
    return made


def do(wanted: Job, builder: Builder) -> None:
    """Do a job in this process, which is for nothing else: make its world, build, tell.

    Raises ValueError where the derivation is not the one that was meant.
    """
    if path_name(wanted.build) != wanted.name:  # JSON has lost something of it on its way
        raise ValueError(wanted.name)
    process.end_with_parent(wanted.parent)
    os.umask(wanted.umask)
    os.sched_setaffinity(0, wanted.processors)
    relay = _Relay()
    ways = (*isolation.ways(), isolation.NONE)
    chosen = next(one for one in ways if one.name == wanted.isolation)
    here = replace(builder, report=relay, jobs=wanted.jobs, backwards=True, cache=None)
    try:
        result = here.build(Path(wanted.place), wanted.build, chosen, Path(wanted.log))
    except RecipesError as error:
        kind = next(one for one in type(error).__mro__ if one.__module__ == errors.__name__)
        relay.tell(error=kind.__name__, message=error.message, hint=error.hint)
    else:
        relay.tell(result=str(result))


class _Relay(Report):
    """A report that tells the process that waits, and not a person."""

    def tell(self, **what: object) -> None:
        """Tell one thing, as a line of JSON in ASCII: the locale is a strange one."""
        self.result(json.dumps(what))

    def line(self, text: str) -> None:
        """Pass a line for a person on."""
        self.tell(line=text)

    @contextmanager
    def task(self, text: str, unit: str = "") -> Iterator[Task]:  # noqa: ARG002 - one task stands for all
        """Pass a piece of work on."""
        yield _Step(self)


@dataclass(frozen=True)
class _Step:
    relay: _Relay

    def __call__(self, done: int, total: int | None = None) -> None:
        self.relay.tell(steps=[done, total])

    def note(self, text: str) -> None:
        self.relay.tell(note=text)
