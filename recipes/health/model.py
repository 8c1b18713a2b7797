"""What is known of a variant's inputs, as values and as JSON. Pure.

None stands for what is not known (and `unknown` says why, in one line) or for what does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from recipes.dates import written

Grade: TypeAlias = Literal["A", "B", "C", "D", "E"]
AskedKind: TypeAlias = Literal["commit", "tag", "branch", "frozen", "held", "archive", "submodule"]
OriginKind: TypeAlias = Literal["git", "pypi", "debian", "url"]
PackageKind: TypeAlias = Literal["toolchain", "development", "conda"]
Listing: TypeAlias = Literal["listed", "withdrawn", "another hash"]
HeadStatus: TypeAlias = Literal["good", "fails", "cannot be judged", "not tried"]

Day: TypeAlias = date  # a field has the name `date`

GRADES: tuple[Grade, ...] = ("A", "B", "C", "D", "E")


@dataclass(frozen=True)
class Asked:
    """How a source is asked for. `branch` floats: each lock takes its head. All else is pinned.

    `frozen` is a branch as it was at `before`, `held` one that `recipes refresh --hold-back` keeps where it
    is, `archive` files without a commit, `submodule` what the parent's tree names.
    """

    kind: AskedKind
    ref: str | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Locked:
    """What is locked: the commit with its own date, and the day from which the lock in git names it."""

    commit: str | None = None
    date: datetime | None = None
    since: Day | None = None


@dataclass(frozen=True)
class Upstream:
    """The branch that a source follows, at its server: its head, and how far that is from the locked commit.

    `behind` counts commits by first parents. `on_branch` says whether the locked commit is still in the
    branch's history; where it is not, `behind` is None. `archived` and `moved_to` are what the host tells.
    """

    branch: str | None = None
    commit: str | None = None
    date: datetime | None = None
    behind: int | None = None
    on_branch: bool | None = None
    archived: bool | None = None
    moved_to: str | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Origin:
    """One place that a source can be fetched from, and whether it has the locked bytes now."""

    origin: str
    kind: OriginKind
    answers: bool | None = None
    why: str | None = None


@dataclass(frozen=True)
class Ahead:
    """A known breakage between the locked commit and the head: the commit that brings it, or its day."""

    breakage: str
    commit: str | None = None
    date: datetime | None = None


@dataclass(frozen=True)
class Head:
    """Whether the variant builds with the head of the branch in place of the locked commit (`--try`)."""

    status: HeadStatus = "not tried"
    reason: str | None = None


@dataclass(frozen=True)
class Source:
    """The facts of one source of a variant. A submodule's name is `PARENT/PATH`."""

    name: str
    repository: str | None
    licence: str | None
    asked: Asked
    locked: Locked
    upstream: Upstream
    origins: tuple[Origin, ...]
    ahead: tuple[Ahead, ...] = ()
    head: Head = Head()


@dataclass(frozen=True)
class Package:
    """The facts of one locked package of the toolchain, the development environments or conda's.

    `newer` counts the final releases after the locked one, `newest` is the last of them (None: not known; the
    locked version itself: none is newer). `yanked` is True or the reason that was given for it. `listing`
    says whether the index, or the channel, still has the locked files with the locked hashes.
    """

    kind: PackageKind
    name: str
    version: str
    released: date | None = None
    newest: str | None = None
    newer: int | None = None
    yanked: str | bool | None = None
    listing: Listing | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Reason:
    """A rule that costs an input its grade, with this input's case of it, and what to do."""

    rule: str
    text: str
    advice: str


@dataclass(frozen=True)
class Point:
    """What the history says of a source on an earlier day."""

    day: date
    grade: Grade
    behind: int | None = None


@dataclass(frozen=True)
class GradedSource:
    """A source's facts, its grade, and its earlier days, oldest first."""

    facts: Source
    grade: Grade
    reasons: tuple[Reason, ...] = ()
    trend: tuple[Point, ...] = ()


@dataclass(frozen=True)
class GradedPackage:
    """A package's facts and its grade."""

    facts: Package
    grade: Grade
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A variant with all its inputs. Its grade is that of the worst of them."""

    name: str
    grade: Grade
    sources: tuple[GradedSource, ...]
    packages: tuple[GradedPackage, ...]


@dataclass(frozen=True)
class Health:
    """Every variant that was asked for, as it was on one day (UTC)."""

    day: date
    variants: tuple[Variant, ...]


def worst(grades: Sequence[Grade]) -> Grade:
    """Give the worst grade (`A` of none)."""
    return max(grades, default="A")


def document(health: Health) -> dict[str, Any]:
    """Give all as JSON values. docs/health.md describes them."""
    return {"date": health.day.isoformat(), "variants": [_variant(one) for one in health.variants]}


def _variant(one: Variant) -> dict[str, Any]:
    return {
        "variant": one.name,
        "grade": one.grade,
        "sources": [_source(source) for source in one.sources],
        "packages": [_package(package) for package in one.packages],
    }


def _source(one: GradedSource) -> dict[str, Any]:
    facts = one.facts
    return {
        "name": facts.name,
        "repository": facts.repository,
        "licence": facts.licence,
        "asked": {"kind": facts.asked.kind, "ref": facts.asked.ref, "before": _moment(facts.asked.before)},
        "locked": {
            "commit": facts.locked.commit,
            "date": _moment(facts.locked.date),
            "since": _day(facts.locked.since),
        },
        "upstream": _upstream(facts.upstream),
        "origins": [
            {"origin": at.origin, "kind": at.kind, "answers": at.answers, "why": at.why}
            for at in facts.origins
        ],
        "ahead": [
            {"breakage": it.breakage, "commit": it.commit, "date": _moment(it.date)} for it in facts.ahead
        ],
        "head": {"status": facts.head.status, "reason": facts.head.reason},
        **_marks(one.grade, one.reasons),
        "trend": [{"date": at.day.isoformat(), "grade": at.grade, "behind": at.behind} for at in one.trend],
    }


def _upstream(one: Upstream) -> dict[str, Any]:
    return {
        "branch": one.branch,
        "commit": one.commit,
        "date": _moment(one.date),
        "behind": one.behind,
        "on_branch": one.on_branch,
        "archived": one.archived,
        "moved_to": one.moved_to,
        "unknown": one.unknown,
    }


def _package(one: GradedPackage) -> dict[str, Any]:
    facts = one.facts
    return {
        "kind": facts.kind,
        "name": facts.name,
        "version": facts.version,
        "released": _day(facts.released),
        "newest": facts.newest,
        "newer": facts.newer,
        "yanked": facts.yanked,
        "listing": facts.listing,
        "unknown": facts.unknown,
        **_marks(one.grade, one.reasons),
    }


def _marks(grade: Grade, reasons: Sequence[Reason]) -> Mapping[str, Any]:
    return {
        "grade": grade,
        "reasons": [{"rule": one.rule, "text": one.text} for one in reasons],
        "advice": list(dict.fromkeys(one.advice for one in reasons)),
    }


def _moment(one: datetime | None) -> str | None:
    return None if one is None else written(one)


def _day(one: date | None) -> str | None:
    return None if one is None else one.isoformat()
