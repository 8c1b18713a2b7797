"""A bisection from what was asked to its verdict."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recipes import githistory
from recipes.bisect import keeping
from recipes.bisect.budget import Budget
from recipes.bisect.ends import Ends, Finder
from recipes.bisect.judge import Judge
from recipes.bisect.log import Head, Log
from recipes.bisect.steps import Bisection
from recipes.bisect.verdict import Course, Verdict
from recipes.errors import UsageError
from recipes.git import Resolved
from recipes.located import nearest
from recipes.origins import GitOrigin
from recipes.plan import Build, Plan
from recipes.run import Run
from recipes.spec import Source, Specs


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see docs/bisect.md."""

    source: str
    variant: str
    target: str | None = None
    good: str | None = None
    bad: str | None = None
    command: str | None = None
    build: bool = True
    jobs: int = 1
    repeat: int | None = None
    budget: str | None = None
    replay: Path | None = None


def bisect(run: Run, asked: Asked, *, budget: Budget | None = None, logs: Path | None = None) -> Verdict:
    """Find the first commit of a source that breaks a variant.

    `budget` is one to take of in place of the one asked for, `logs` the directory of the checkout that has
    the log, in place of the one that is built from.

    Raises UsageError where the ends are not what they are said to be, VerifyError where the judge says now
    this and now that, RecipesError where the budget ends before both ends are judged, and what building
    raises where it is not the commit's fault.
    """
    budget = budget or Budget(asked.budget)
    width = min(asked.jobs, len(os.sched_getaffinity(0)))
    judge = _judge(run, asked, budget, len(os.sched_getaffinity(0)) // width)
    base = judge.plan(None)
    component = _component(base)
    if not judge.trees(base):
        raise UsageError(f"`{component}` of `{asked.variant}` is not made from `{asked.source}`")
    old = keeping.read(asked.replay, run.directory) if asked.replay else None
    ends = _ends(judge, asked, old)
    head = Head(
        asked.source, asked.variant, component, asked.command, asked.build, base.target,
        ends.good, ends.bad.commit, _branch(ends.bad.ref),
    )  # fmt: skip
    file = (logs or run.project().root) / keeping.PLACE / keeping.file_name(head)
    known = keeping.replayed(head, old, str(asked.replay)) if old else keeping.kept(head, file, run.report)
    course = _course(judge, head)
    repeat = asked.repeat or (1 if asked.command is None else 2)
    return Bisection(judge, course, Log(head, known), file, width, repeat).find()


def _judge(run: Run, asked: Asked, budget: Budget, jobs: int) -> Judge:
    if not asked.build and asked.command is None:
        raise UsageError("`--no-build` leaves nothing that judges", hint="add `--run COMMAND`")
    project = run.project()
    source = _source(project.specs(asked.variant), asked.source)
    url = next((one.git for one in source.origins if isinstance(one, GitOrigin)), None)
    if url is None:
        raise UsageError(f"source `{source.name}` has no repository: it has no commits to search")
    locked = project.lock(asked.variant).sources.get(source.name)
    commit = locked.commit if locked else None
    return Judge(
        run, source, url, commit, asked.variant, asked.target, budget, asked.command, asked.build, jobs
    )


def _ends(judge: Judge, asked: Asked, old: Log | None) -> Ends:
    """Find both: as asked, else as a log to replay has them, else as locked and as the branch is now."""
    recipe = judge.run.project().specs(asked.variant).recipes[asked.source].source
    refs = (judge.source.ref, recipe.ref if recipe else None)
    finder = Finder(judge.run.fetcher().git, judge.url, judge.source.name, refs, judge.run.report)
    good = asked.good or (old.head.good if old else judge.locked)
    if old and asked.bad is None:
        return Ends(finder.find(good, old.head.bad).good, Resolved(old.head.bad, old.head.branch))
    return finder.find(good, asked.bad)


def _branch(ref: str | None) -> str | None:
    return ref if ref is not None and ref.startswith("refs/heads/") else None


def _source(specs: Specs, name: str) -> Source:
    known = {one.name: one for one in specs.sources()}
    if name not in known:
        raise UsageError(
            f"variant `{specs.variant}` has no source `{name}`{nearest(name, known)}",
            hint=f"there is {', '.join(known)}",
        )
    return known[name]


def _component(planned: Plan) -> str:
    built = planned.derivations[planned.target]
    assert isinstance(built, Build)  # noqa: S101 - for the type checker
    return built.component


def _course(judge: Judge, head: Head) -> Course:
    git, report = judge.run.fetcher().git, judge.run.report
    with report.task(f"reading the history of {judge.url}", "objects") as task:
        found = githistory.between(git, judge.url, head.good, head.bad, ref=head.branch, tick=task)
    if not found.rewritten:
        return Course(found.line, found.branch, head.branch)
    report.warning(
        f"{head.good} of `{head.source}` did not lead to {head.bad}: the branch was rewritten, or there are "
        f"two\n  the good commit is what both come from: {found.line[0].commit}"
    )
    return Course(found.line, found.branch, head.branch, head.good)
