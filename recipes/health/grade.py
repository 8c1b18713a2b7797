"""The grades: a table of rules, each with the grade that an input has at best when it applies. Pure.

What is not known costs nothing: it is shown as not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from recipes.health.model import GRADES, Grade, Package, Reason, Source, worst

_Facts = TypeVar("_Facts", Source, Package)

DORMANT, ABANDONED, STALE, OLD = 365, 3 * 365, 180, 2 * 365  # days


@dataclass(frozen=True)
class Rule(Generic[_Facts]):
    """`case` says in words how it applies to an input today, None where it does not; `advice` what to do."""

    id: str
    grade: Grade
    says: str
    case: Callable[[_Facts, date], str | None]
    advice: Callable[[_Facts], str]


def source(facts: Source, today: date) -> tuple[Grade, tuple[Reason, ...]]:
    """Grade a source: by the worst of the rules that apply, all of which are given, the worst first."""
    return _graded(SOURCES, facts, today)


def package(facts: Package, today: date) -> tuple[Grade, tuple[Reason, ...]]:
    """Grade a package, in the same way."""
    return _graded(PACKAGES, facts, today)


def rules() -> tuple[tuple[Grade, str], ...]:
    """Give all rules for people: a grade, and when an input has at best that one; the worst first."""
    found = [
        *((one.grade, f"A source {one.says}.") for one in SOURCES),
        *((one.grade, f"A package {one.says}.") for one in PACKAGES),
        (GRADES[0], "Anything else. A variant has the grade of its worst input."),
    ]
    return tuple(sorted(found, key=lambda one: one[0], reverse=True))


def _graded(table: tuple[Rule[_Facts], ...], facts: _Facts, today: date) -> tuple[Grade, tuple[Reason, ...]]:
    found = list(_applying(table, facts, today))
    reasons = [Reason(rule.id, case, rule.advice(facts)) for rule, case in found]
    return worst([rule.grade for rule, _ in found]), tuple(reasons)


def _applying(
    table: tuple[Rule[_Facts], ...], facts: _Facts, today: date
) -> Iterator[tuple[Rule[_Facts], str]]:
    for rule in sorted(table, key=lambda one: one.grade, reverse=True):
        case = rule.case(facts, today)
        if case is not None:
            yield rule, case


# ---- sources


def _unreachable(one: Source, _today: date) -> str | None:
    said_no = bool(one.origins) and all(at.answers is False for at in one.origins)
    return f"none of its {len(one.origins)} origins has it" if said_no else None


def _broken(one: Source, _today: date) -> str | None:
    return f"its head breaks the build: {one.head.reason}" if one.head.status == "fails" else None


def _ahead(one: Source, _today: date) -> str | None:
    named = ", ".join(f"`{at.breakage}`" for at in one.ahead)
    return f"known to break ahead: {named}" if named else None


def _archived(one: Source, _today: date) -> str | None:
    return "its repository is archived" if one.upstream.archived else None


def _rewritten(one: Source, _today: date) -> str | None:
    if one.upstream.on_branch is not False or one.asked.kind == "tag":  # of a release's branch
        return None
    return f"the locked commit is not in the history of `{_branch(one)}`"


def _branch(one: Source) -> str:
    return (one.upstream.branch or "").removeprefix("refs/heads/")


def _silence(one: Source, today: date) -> int | None:
    """Give the days since the last upstream commit."""
    return None if one.upstream.date is None else (today - one.upstream.date.date()).days


def _abandoned(one: Source, today: date) -> str | None:
    days = _silence(one, today)
    return f"no commit upstream for {years(days)}" if days is not None and days > ABANDONED else None


def _dormant(one: Source, today: date) -> str | None:
    days = _silence(one, today)
    quiet = days is not None and DORMANT < days <= ABANDONED
    return f"no commit upstream for {years(days or 0)}" if quiet else None


def _moved(one: Source, _today: date) -> str | None:
    return f"its repository moved to {one.upstream.moved_to}" if one.upstream.moved_to else None


def _single(one: Source, _today: date) -> str | None:
    return f"one origin only: {one.origins[0].origin}" if len(one.origins) == 1 else None


def _some_silent(one: Source, today: date) -> str | None:
    if _unreachable(one, today):
        return None
    gone = [f"{at.origin} ({at.why})" for at in one.origins if at.answers is False]
    return f"without an answer: {', '.join(gone)}" if gone else None


def _held(one: Source, _today: date) -> str | None:
    return f"held back, {behind(one)}" if one.asked.kind == "held" else None


def _stale(one: Source, today: date) -> str | None:
    if not one.upstream.behind or one.locked.since is None or one.asked.kind == "held":
        return None
    days = (today - one.locked.since).days
    return f"{behind(one)}, and locked for {days} days" if days > STALE else None


def behind(one: Source) -> str:
    """Say how far the lock is behind the branch."""
    count = one.upstream.behind
    return "behind its branch" if count is None else f"{count} commit{'' if count == 1 else 's'} behind"


def years(days: int) -> str:
    """Write a number of days as years with one decimal."""
    return f"{days / 365.25:.1f} years"


_LEAVE = "plan to do without it: `recipes list` names the variants that do"

SOURCES: tuple[Rule[Source], ...] = (
    Rule(
        "unreachable", "E", "that none of its origins has any more", _unreachable,
        lambda _one: "add an origin under `also:`, or a mirror in RECIPES_MIRROR",
    ),
    Rule(
        "head-breaks", "D", "whose head breaks the build (looked at with `--try`)", _broken,
        lambda one: f"`recipes bisect {one.name}` names the commit that does it",
    ),
    Rule(
        "breakage-ahead", "D", "with a known breakage between the lock and the head", _ahead,
        lambda _one: "keep it pinned before that: docs/breakages.md",
    ),
    Rule(
        "rewritten", "D", "whose locked commit its branch does not lead back to", _rewritten,
        lambda _one: "keep a second origin: a server may drop what no branch leads to",
    ),
    Rule("archived", "D", "whose repository is archived", _archived, lambda _one: _LEAVE),
    Rule("abandoned", "D", "without a commit upstream for three years", _abandoned, lambda _one: _LEAVE),
    Rule(
        "dormant", "C", "without a commit upstream for a year", _dormant,
        lambda _one: "watch it: a fix would be yours to make",
    ),
    Rule(
        "moved", "C", "whose repository moved", _moved,
        lambda one: f"write its new address into the recipe of `{one.name.split('/')[0]}`",
    ),
    Rule(
        "single-origin", "C", "with one origin only: a single point of failure", _single,
        lambda _one: "add an origin under `also:`: Debian or a package may carry it",
    ),
    Rule(
        "silent-origin", "B", "of which an origin does not have it any more", _some_silent,
        lambda one: f"`recipes lock {one.name.split('/')[0]}`, or drop that origin",
    ),
    Rule(
        "held", "B", "that is held back", _held,
        lambda _one: "`recipes refresh --hold-back` lifts it when it builds again",
    ),
    Rule(
        "stale", "B", "that is behind its branch and was locked half a year ago", _stale,
        lambda one: f"see what moved: `recipes diff`, then a newer `ref:` of `{one.name}`",
    ),
)  # fmt: skip


# ---- packages


def _withdrawn(one: Package, _today: date) -> str | None:
    said = {"withdrawn": "its index does not have it any more", "another hash": "its index has other bytes"}
    return said.get(one.listing or "")


def _yanked(one: Package, _today: date) -> str | None:
    if not one.yanked:
        return None
    return "yanked" if one.yanked is True else f"yanked: {one.yanked}"


def _age(one: Package, today: date) -> int | None:
    return None if one.released is None or not one.newer else (today - one.released).days


def _old(one: Package, today: date) -> str | None:
    days = _age(one, today)
    return f"{years(days)} old, newest {one.newest}" if days is not None and days > OLD else None


def _outdated(one: Package, today: date) -> str | None:
    days = _age(one, today)
    late = days is not None and DORMANT < days <= OLD
    return f"{years(days or 0)} old, newest {one.newest}" if late else None


def _lock(one: Package) -> str:
    return f"`recipes lock {one.kind}`, and a wider range of `{one.name}` where the spec has a narrow one"


PACKAGES: tuple[Rule[Package], ...] = (
    Rule("withdrawn", "E", "whose files its index or channel does not have any more", _withdrawn, _lock),
    Rule("yanked", "D", "that was yanked", _yanked, _lock),
    Rule("old", "C", "of two years ago, of which there is a newer one", _old, _lock),
    Rule("outdated", "B", "of a year ago, of which there is a newer one", _outdated, _lock),
)
