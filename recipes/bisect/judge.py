"""The judge: what comes of a variant with one source at another commit, by building it or by a command."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from recipes import process
from recipes.bisect import reason
from recipes.bisect.budget import Budget
from recipes.bisect.log import Judgement
from recipes.bisect.reason import Reason
from recipes.errors import BuildError, FetchError, SpecError, UsageError
from recipes.failures import PhaseError
from recipes.plan import Plan, SourceTree
from recipes.report import Report
from recipes.run import Run
from recipes.spec import Source

RESULT, SOURCE, COMMIT = "RECIPES_RESULT", "RECIPES_SOURCE", "RECIPES_COMMIT"  # what a command is told
_SKIP, _BAD = 125, range(1, 126)  # exit codes, as `git bisect run` takes them


class Calm(Report):
    """A report without warnings: that commits are known to break is not news here."""

    def warning(self, text: str) -> None:
        """Say it only to who asked for all."""
        self.detail(text)


@dataclass
class Judge:
    """What judging needs. `url` is the source's repository, `locked` its commit.

    `command` is a shell's (None: the build judges). With `build` false it judges the source alone. `jobs` is
    how many compilers each build runs.
    """

    run: Run
    source: Source
    url: str
    locked: str | None
    variant: str
    target: str | None
    budget: Budget
    command: str | None = None
    build: bool = True
    jobs: int | None = None

    @cached_property
    def quiet(self) -> Run:
        """Give the run, without warnings."""
        return replace(self.run, report=Calm(self.run.report.level))

    def plan(self, commit: str | None) -> Plan:
        """Plan with a commit of the source (None: as it is locked)."""
        other = commit not in (None, self.locked)
        return self.quiet.plan(
            self.variant, self.target, None, [f"{self.source.name}={commit}"] if other else []
        )

    def judge(self, commit: str, known: Callable[[str], Judgement | None]) -> Judgement:
        """Say what comes of a commit; `known` gives what came of a store path, if it is known.

        One that its repository does not have whole is skipped. Raises Spent, and what has nothing to do with
        the commit: FetchError where the repository does not answer, ToolchainError, SandboxError and others.
        """
        self.budget.check()
        with self.run.store().using():  # gc keeps away from the source until it is built with
            try:
                planned = self.plan(commit)
            except (SpecError, UsageError) as wrong:
                why = Reason(self.source.name, "source", wrong.message.splitlines()[0])
                return Judgement(commit, "failed", reason=why)
            except FetchError as missing:
                if self.run.fetcher().git.answers(self.url) is not None:
                    raise
                self.run.report.line(f"{commit} cannot be had: {missing.message.splitlines()[0]}")
                return Judgement(commit, "skip")
            path = planned.target if self.build else self.trees(planned)[0]
            had = known(path)
            return replace(had, commit=commit) if had else self._judged(commit, planned, path)

    def _judged(self, commit: str, planned: Plan, path: str) -> Judgement:
        there = self.build and self.run.store().has(path)
        if there and self.command is None:
            return Judgement(commit, "good", path)
        realiser = self.quiet.realiser(
            None, offline=False, jobs=self.jobs, cache="read", variant=self.variant
        )
        if self.build and not there:
            self.budget.build()
            try:
                realiser.realise(planned)
            except BuildError as failed:
                return Judgement(commit, "failed", path, because(failed))
        if self.command is None:
            return Judgement(commit, "good", path)
        realiser.fetch(planned, self.trees(planned))  # with a result that is there, it need not be
        return self._commanded(self.command, commit, planned, path)

    def _commanded(self, command: str, commit: str, planned: Plan, path: str) -> Judgement:
        store = self.run.store()
        about = {COMMIT: commit, SOURCE: str(store.path(self.trees(planned)[0]))}
        env = {**self.run.environ, **about, **({RESULT: str(store.path(path))} if self.build else {})}
        with self.run.report.task(f"{commit[:12]}: {command}") as task, Path(os.devnull).open("wb") as none:
            argv = ["/bin/sh", "-c", command]
            code = process.stream(argv, env=env, cwd=self.run.directory, log=none, line=task.note)
        if code == 0:
            return Judgement(commit, "good", path)
        if code == _SKIP:
            return Judgement(commit, "skip", path)
        if code not in _BAD:
            how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
            raise UsageError(
                f"`--run {command}` gives no judgement of {commit}: {how}",
                hint="0 is good, 125 skips the commit, 1 to 124 are bad",
            )
        return Judgement(commit, "failed", path, Reason(self.source.name, "command"))

    def trees(self, planned: Plan) -> list[str]:
        """Give the store paths of the source, its own first, and of submodules; none where it is not used."""
        named = {one.name: path for path, one in planned.derivations.items() if isinstance(one, SourceTree)}
        return [named[name] for name in sorted(named) if f"{name}/".startswith(f"{self.source.name}/")]


def because(failed: BuildError) -> Reason:
    """Give the reason that a failed build shows."""
    if isinstance(failed, PhaseError):
        return Reason(failed.component, failed.phase, reason.decisive(failed.said), failed.known)
    lines = failed.message.splitlines()
    return Reason(lines[0].split("`")[1] if "`" in lines[0] else "", "outputs", lines[-1].strip())
