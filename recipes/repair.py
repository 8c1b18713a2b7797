"""The `store repair` command's work: what is damaged is fetched or built again, else taken out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from recipes import files, storecheck, storegc
from recipes.errors import RecipesError, StoreError, VerifyError
from recipes.infos import Info
from recipes.plan import Build, Plan
from recipes.realise import Realiser
from recipes.report import Report
from recipes.run import Run
from recipes.store import Store
from recipes.storecheck import Problem

Verb = Literal["fetch", "build", "record", "set modes", "remove"]
_ENTRIES = ("entry", "provenance", "root")  # the kinds of problems that a plan can help with
_IN_PLACE = ("mode", "directory")
_TOOLCHAINS = ("pypi", "host", "conda")


@dataclass(frozen=True)
class Step:
    """What is to be done about a problem; `plan` is one that knows the entry, but for `set modes`."""

    problem: Problem
    verb: Verb
    plan: Plan | None = None

    def text(self) -> str:
        """Say it in a line."""
        reason = self.problem.what.partition("\n")[0].replace(f" of store path `{self.problem.name}`", "")
        reason = reason.replace(f"store path `{self.problem.name}` ", "it ")
        lost = self.verb == "remove" and self.problem.kind in _ENTRIES
        more = "; no plan of this checkout has it" if lost else ""
        return f"{self.verb:<9}  {self.problem.name}: {reason}{more}"


@dataclass(frozen=True)
class Outcome:
    """What came of a step: the NAR hash of an entry that is there again, or why it is not."""

    step: Step
    nar_hash: str | None = None
    error: RecipesError | None = None


def steps(problems: Sequence[Problem], run: Run) -> list[Step]:
    """Say what is to be done about problems; what is fetched comes before what is built."""
    known = _known({one.name for one in problems if one.kind in _ENTRIES}, run)
    found = list({one.problem.name: one for one in (_step(problem, known) for problem in problems)}.values())
    return sorted(found, key=lambda one: one.verb == "build")


def _step(problem: Problem, known: Mapping[str, Plan]) -> Step:
    if problem.kind in _IN_PLACE:
        return Step(problem, "set modes")
    plan = known.get(problem.name)
    if plan is None or problem.kind not in _ENTRIES:
        return Step(problem, "remove")
    if isinstance(plan.derivations[problem.name], Build):
        return Step(problem, "build", plan)  # with a statement too: only a build knows what isolated it
    return Step(problem, "record" if problem.kind == "provenance" else "fetch", plan)


def _known(names: Collection[str], run: Run) -> dict[str, Plan]:
    """Find a plan for each store path, among all that the checkout has; it is asked until all are found."""
    known: dict[str, Plan] = {}
    plans = _plans(run) if names else iter(())
    while len(known) < len(names) and (plan := next(plans, None)) is not None:
        known |= {name: plan for name in names if name in plan.derivations and name not in known}
    return known


class _Deaf(Report):
    def warning(self, text: str) -> None:
        """Say nothing: known breakages are no news where nothing new is built."""


def _plans(run: Run) -> Iterator[Plan]:
    """Plan each target of each variant, for each platform and toolchain, what is usual first."""
    quiet = replace(run, report=_Deaf())
    project = run.project()
    specs = []
    for variant in project.variants():
        try:
            specs.append(project.specs(variant))
            yield quiet.plan(variant, None, None)
        except RecipesError as error:
            run.report.line(f"`{variant}` has no plan: {error.message.splitlines()[0]}")
    for tools, one in product(_TOOLCHAINS, specs):
        built = [name for name, recipe in one.recipes.items() if recipe.built]
        for target, platform in product(built, one.environment.platforms):
            with suppress(RecipesError):  # this variant has no such component, or is not locked for that
                yield quiet.plan(one.variant, target, platform, tools=tools)


def perform(steps: Sequence[Step], realiser: Realiser) -> Iterator[Outcome]:
    """Take all that is damaged out, then bring back what can be; yield each as it is done.

    An entry that has another NAR hash than before is a VerifyError in its outcome; it stays, as it is what
    its derivation gives now.
    """
    store = realiser.store
    with store.using():
        before = {one.problem.name: _info(store, one.problem.name) for one in steps if one.plan}
        for one in steps:
            _take_out(store, one)
        for one in steps:
            yield _outcome(one, realiser, before.get(one.problem.name)) if one.plan else Outcome(one)


def _info(store: Store, name: str) -> Info | None:
    try:
        return store.info(name)
    except (StoreError, OSError):
        return None


def _take_out(store: Store, step: Step) -> None:
    problem = step.problem
    if problem.kind == "mode":
        with store.lock(problem.name):
            files.make_read_only(store.path(problem.name))
    elif problem.kind == "directory":
        path = store.root / problem.name
        path.chmod(path.stat().st_mode & ~0o002)
    elif step.verb == "record":
        with store.lock(problem.name):
            store.forget_statements(problem.name)
    elif problem.kind == "root" and step.plan is None:
        storegc.remove_root(store, problem.name)
    else:
        storecheck.remove(store, [problem])


def _outcome(step: Step, realiser: Realiser, before: Info | None) -> Outcome:
    try:
        info = _brought(step, realiser)
    except RecipesError as error:
        return Outcome(step, error=error)
    if before is None or info.nar_hash in (before.nar_hash, step.problem.actual):
        return Outcome(step, info.nar_hash)  # the second: not the entry was damaged, but its info
    differs = VerifyError(
        f"store path `{info.name}` was made again, and is not what it was\n"
        f"  before  {before.nar_hash}\n  now     {info.nar_hash}",
        hint="`recipes verify` finds what differs",
    )
    return Outcome(step, info.nar_hash, differs)


def _brought(step: Step, realiser: Realiser) -> Info:
    name, plan = step.problem.name, step.plan
    assert plan is not None  # noqa: S101 - for the type checker
    if step.verb == "build":
        return realiser.realise(replace(plan, target=name))
    realiser.fetch(plan, [name])  # of an entry that is there, it writes the statement only
    return realiser.store.info(name)


def failure(outcomes: Sequence[Outcome]) -> RecipesError | None:
    """Give the error of all that could not be repaired, of the class of the first; None where all was."""
    failed = [one for one in outcomes if one.error is not None]
    if not failed or failed[0].error is None:
        return None
    lines = [f"{len(failed)} of {len(outcomes)} could not be repaired"]
    for one in failed:
        told = str(one.error.message if one.error else "").splitlines()
        lines += [f"  {one.step.problem.name}", *(f"    {line}" for line in told)]
    hint = "`recipes build --variant VARIANT` brings back what it needs; what is damaged is taken out"
    return type(failed[0].error)("\n".join(lines), hint=hint)
