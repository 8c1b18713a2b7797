"""What is known of variants, as a table for a terminal and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from recipes import diff
from recipes.health import grade
from recipes.health.model import Grade, GradedPackage, GradedSource, Health, Reason, Source, Variant

_SOURCE_HEAD = ("grade", "source", "asked for", "locked", "upstream", "behind", "origins", "licence")
_PACKAGE_HEAD = ("grade", "package", "version", "released", "newest", "newer")
_Table = tuple[Sequence[str], list[list[str]]]


def text(health: Health) -> str:
    """Write it for a terminal: for each variant its sources, what costs a grade, and the packages that do."""
    return "\n\n".join("\n".join(_text(one, health.day)) for one in health.variants)


def _text(one: Variant, day: date) -> Iterator[str]:
    yield f"{one.name}: grade {one.grade}"
    yield ""
    yield from _columns(*_sources(one.sources, day))
    silent = list(_unknown(one.sources))
    if silent:
        yield ""
        yield from silent
    boxed = [each for each in one.packages if each.reasons]
    if boxed:
        yield ""
        yield from _columns(*_packages(boxed))
    yield from _line(one)
    found = _reasons(one)
    if found:
        yield ""
        yield from (f"{mark} {name}: {reason.text}\n    {reason.advice}" for mark, name, reason in found)


def _unknown(found: Sequence[GradedSource]) -> Iterator[str]:
    """Say what is not known of which sources, each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        if one.facts.upstream.unknown:
            reasons.setdefault(one.facts.upstream.unknown, []).append(one.facts.name)
    yield from (f"not known of {', '.join(names)}: {why}" for why, names in reasons.items())


def _line(one: Variant) -> Iterator[str]:
    """Sum up the packages that have nothing to say, and what is not known."""
    silent = [each for each in one.packages if not each.reasons]
    if silent:
        unknown = {each.facts.unknown for each in silent if each.facts.unknown}
        more = "".join(f"; not all is known: {why}" for why in sorted(unknown))
        yield ""
        yield f"packages with nothing that costs a grade: {len(silent)}{more}"


def markdown(health: Health) -> str:
    """Write it for an issue or a pull request. Strangers' words are code."""
    parts = []
    for one in health.variants:
        boxed = [each for each in one.packages if each.reasons]
        parts += [f"## {one.name}: {one.grade}", _table(*_sources(one.sources, health.day))]
        parts += [f"- {diff.code(line)}" for line in _unknown(one.sources)]
        parts += [_table(*_packages(boxed))] if boxed else []
        parts += [line for line in _line(one) if line]
        rows = [
            f"- **{mark}** `{name}`: {diff.code(why.text)}. {why.advice}" for mark, name, why in _reasons(one)
        ]
        parts += ["\n".join(rows)] if rows else []
    rows = [f"- **{mark}**: {sentence}" for mark, sentence in grade.rules()]
    return "\n\n".join([*parts, "The grades:", "\n".join(rows)])


def rules() -> str:
    """Write the rules of the grades."""
    return "\n".join(f"{mark}  {sentence}" for mark, sentence in grade.rules())


def _reasons(one: Variant) -> list[tuple[Grade, str, Reason]]:
    """Give what costs a grade, the worst input first."""
    rows = [(each.grade, each.facts.name, why) for each in one.sources for why in each.reasons]
    rows += [(each.grade, each.facts.name, why) for each in one.packages for why in each.reasons]
    return sorted(rows, key=lambda row: row[0], reverse=True)


def _sources(found: Sequence[GradedSource], day: date) -> _Table:
    return _SOURCE_HEAD, [_source(one, day) for one in found]


def _source(one: GradedSource, today: date) -> list[str]:
    facts = one.facts
    answering = sum(at.answers is True for at in facts.origins)
    return [
        one.grade,
        facts.name,
        _asked(facts),
        " ".join(filter(None, [(facts.locked.commit or "")[:12], _day(facts.locked.date)])),
        _upstream(facts, today),
        _behind(one),
        f"{answering} of {len(facts.origins)}",
        facts.licence or "",
    ]


def _asked(facts: Source) -> str:
    ref = facts.asked.ref or ""
    return {
        "commit": "a commit",
        "tag": f"tag {ref}",
        "branch": f"branch {ref}, floating",
        "frozen": f"branch {ref} before {_day(facts.asked.before)}",
        "held": f"branch {ref}, held back",
        "archive": "files",
        "submodule": "by its parent",
    }[facts.asked.kind]


def _upstream(facts: Source, today: date) -> str:
    one = facts.upstream
    if one.date is None:
        return "unknown" if one.unknown else ""
    marks = [*(["archived"] if one.archived else []), *(["moved"] if one.moved_to else [])]
    return ", ".join([f"{_day(one.date)}, {grade.years((today - one.date.date()).days)} ago", *marks])


def _behind(one: GradedSource) -> str:
    facts, head = one.facts, one.facts.head
    count = facts.upstream.behind
    if count is None:
        return "not on it" if facts.upstream.on_branch is False else ""
    earlier = next((point for point in reversed(one.trend) if point.behind is not None), None)
    more = count - (earlier.behind or 0) if earlier else 0
    since = f" ({more:+} since {earlier.day})" if earlier and more else ""
    said = {"good": "builds", "fails": "breaks", "cannot be judged": "cannot be judged"}.get(head.status)
    tried = f", head {said}" if said else ""
    return f"{count}{since}{tried}"


def _packages(found: Sequence[GradedPackage]) -> _Table:
    rows = []
    for one in found:
        facts = one.facts
        newer = "unknown" if facts.newer is None else str(facts.newer)
        released = facts.released.isoformat() if facts.released else "unknown"
        rows.append([one.grade, facts.name, facts.version, released, facts.newest or "unknown", newer])
    return _PACKAGE_HEAD, rows


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def _columns(head: Sequence[str], rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in [list(head), *rows]) for at in range(len(head))]
    for row in [list(head), *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _table(head: Sequence[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)
