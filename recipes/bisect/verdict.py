"""What a bisection found, as values, in words and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipes import history
from recipes.bisect import search
from recipes.bisect.log import Head, Log
from recipes.bisect.reason import Reason
from recipes.dates import written
from recipes.history import Step


@dataclass(frozen=True)
class Verdict:
    """What is known: the last good commit, the first bad one and why, and what may be it as well.

    `skipped` fail for another reason or cannot be taken, `unjudged` were not judged as `spent` says why.
    `ref` and `before` are how a spec asks for the last good commit of the branch (None: it cannot).
    """

    asked: Head
    good: Step
    bad: Step
    reason: Reason
    skipped: tuple[Step, ...]
    unjudged: tuple[Step, ...]
    commits: int
    judged: int
    builds: int
    ref: str | None = None
    before: str | None = None
    rewritten: str | None = None
    spent: str | None = None

    @property
    def settled(self) -> bool:
        """Say whether it is one commit."""
        return not self.skipped and not self.unjudged


@dataclass(frozen=True)
class Course:
    """The line that was searched, oldest first, and the branch that it is of: all, newest first."""

    line: tuple[Step, ...]
    branch: tuple[Step, ...]
    ref: str | None = None
    rewritten: str | None = None


def conclude(log: Log, course: Course, builds: int, spent: str | None = None) -> Verdict:
    """Say what a log means for a line whose ends are judged."""
    marks, line = log.marks(course.line), course.line
    left = search.narrow(marks)
    good, bad = line[left.good], line[left.bad]
    reason = log.found[bad.commit].reason or Reason("", "")
    return Verdict(
        log.head,
        good,
        bad,
        reason,
        tuple(line[at] for at in left.skipped),
        tuple(line[at] for at in left.unjudged),
        len(line) - 1,
        len(marks),
        builds,
        *_asked(course, good),
        course.rewritten,
        spent if left.unjudged else None,
    )


def _asked(course: Course, good: Step) -> tuple[str | None, str | None]:
    """Give the branch and the date by which a spec asks for a commit, where there is such a date."""
    name = course.ref.removeprefix("refs/heads/") if course.ref else None
    at_that_time = history.tip(course.branch, good.date)
    if name is None or at_that_time is None or at_that_time.commit != good.commit:
        return None, None
    return name, written(good.date)


def text(one: Verdict) -> str:
    """Write a verdict for a person."""
    asked = one.asked
    what = _what(asked)
    first = f"{one.bad.commit} is the first commit of `{asked.source}` that {what}"
    if not one.settled:
        count = len(one.skipped) + len(one.unjudged) + 1
        first = f"one of {count} commits of `{asked.source}` is the first that {what}; not yet known which"
    rows = [
        *([] if one.settled else _candidates(one)),
        _row("date", written(one.bad.date)) if one.settled else "",
        _row("subject", one.bad.subject) if one.settled else "",
        _row("fails", str(one.reason)),
        *(_row("known", f"breakage `{name}`") for name in one.reason.known),
        _row("last good", f"{one.good.commit} of {written(one.good.date)}: {one.good.subject}"),
        *_specs(one),
        _row("judged", _judged(one)),
        _row("stopped", one.spent) if one.spent else "",
    ]
    return "\n".join([first, *filter(None, rows)])


def _what(asked: Head) -> str:
    target = f"`{asked.target}` of `{asked.variant}`"
    if asked.run is None:
        return f"breaks {target}"
    return f"makes {target} fail the command" if asked.build else "fails the command"


def _candidates(one: Verdict) -> list[str]:
    reasons = [("skipped", step) for step in one.skipped] + [("not judged", step) for step in one.unjudged]
    ordered = sorted([*reasons, ("bad", one.bad)], key=lambda pair: pair[0] == "bad")
    return [f"  {name:<10}{step.commit} {step.subject}" for name, step in ordered]


def _specs(one: Verdict) -> list[str]:
    rows = [_row("spec", f"{one.asked.source}: {{ref: {one.good.commit}}}")]
    if one.before is not None:
        rows.append(_row("or", f"{one.asked.source}: {{ref: {one.ref}, before: {one.before}}}"))
    return rows


def _judged(one: Verdict) -> str:
    builds = f"{one.builds} build{'' if one.builds == 1 else 's'}"
    return f"{one.judged} of {one.commits + 1} commits, by {builds} this time"


def _row(name: str, said: str) -> str:
    return f"  {name:<10}{said}"


def document(one: Verdict) -> dict[str, Any]:
    """Give a verdict as JSON values; `first_bad` is null where it is not one commit."""
    return {
        "source": one.asked.source,
        "variant": one.asked.variant,
        "target": one.asked.target,
        "run": one.asked.run,
        "first_bad": _step(one.bad) if one.settled else None,
        "oldest_bad": _step(one.bad),
        "skipped": _steps(one.skipped),
        "not_judged": _steps(one.unjudged),
        "fails": {
            "component": one.reason.component,
            "phase": one.reason.phase,
            "line": one.reason.line,
            "known": list(one.reason.known),
        },
        "last_good": _step(one.good),
        "spec": {
            "ref": {"ref": one.good.commit},
            "before": None if one.before is None else {"ref": one.ref, "before": one.before},
        },
        "rewritten": one.rewritten,
        "commits": one.commits,
        "judged": one.judged,
        "builds": one.builds,
        "stopped": one.spent,
    }


def _steps(steps: Sequence[Step]) -> list[dict[str, str]]:
    return [_step(step) for step in steps]


def _step(step: Step) -> dict[str, str]:
    return {"commit": step.commit, "date": written(step.date), "subject": step.subject}
