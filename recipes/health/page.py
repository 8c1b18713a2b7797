"""The health of variants as one HTML page that needs nothing beside it: no script, no other file. Pure.

It is made of the JSON document that `recipes.health.model.document` gives. What it does not have is shown as
not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from recipes.health import pagetables as tables
from recipes.health.chart import Dot, chart
from recipes.health.markup import Markup, prose, table, tag
from recipes.health.style import CSS

Values: TypeAlias = Mapping[str, Any]

_TITLE = "Health of what builds are made from"


def html(document: Values, rules: Sequence[tuple[str, str]] = ()) -> str:
    """Write the page; `rules` are a grade and the sentence that says when an input has it."""
    variants = document.get("variants") or ()
    day = document.get("date")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", _title(variants)),
        tag("style", Markup(CSS)),
    )
    body = tag(
        "body",
        tag("header", tag("h1", _TITLE), tag("p", f"As it was on {day or 'a day that is not known'}.")),
        tag("main", _overview(variants), *(_variant(one, at, day) for at, one in enumerate(variants, 1))),
        _rules(rules),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _title(variants: Sequence[Values]) -> str:
    grades = [" ".join(str(one[key]) for key in ("variant", "grade") if one.get(key)) for one in variants]
    return f"{_TITLE}: {', '.join(grades)}" if grades else _TITLE


def _overview(variants: Sequence[Values]) -> Markup | None:
    if not variants:
        return tag("p", "No variant was asked for.", class_="unknown")
    if len(variants) == 1:
        return None
    rows = [
        (
            tag("a", one.get("variant"), href=f"#variant-{at}"),
            tables.badge(one.get("grade")),
            len(one.get("sources") or ()),
            len(one.get("packages") or ()),
        )
        for at, one in enumerate(variants, 1)
    ]
    return table("Variants", ("Variant", "Grade", "Sources", "Packages"), rows)


def _variant(one: Values, at: int, day: Any) -> Markup:
    name, sources, packages = one.get("variant"), one.get("sources") or (), one.get("packages") or ()
    inputs = tables.worst_first([*sources, *packages])
    return tag(
        "section",
        tag("h2", name, " ", tables.badge(one.get("grade"))),
        tag("p", *_verdict(one.get("grade"), inputs), class_="soft"),
        *_reasons(inputs),
        *_advice(inputs),
        tag("h3", "Sources"),
        tables.sources(sources, day),
        *_trends(sources, day),
        tag("h3", "Packages"),
        *tables.packages(packages),
        id=f"variant-{at}",
    )


def _verdict(grade: Any, inputs: Sequence[Values]) -> Iterator[object]:
    """Say why a variant has its grade: it is that of its worst inputs."""
    worst = [str(one.get("name")) for one in inputs if one.get("grade") == grade]
    if not inputs:
        yield "Nothing is known of its inputs."
    elif not worst or not any(one.get("reasons") for one in inputs):
        yield "No rule costs any of its inputs its grade."
    else:
        more = f" and {len(worst) - _SHOWN} more" if len(worst) > _SHOWN else ""
        yield f"The grade is that of the worst input: {', '.join(worst[:_SHOWN])}{more}."


_SHOWN = 6  # names in one sentence


def _reasons(inputs: Sequence[Values]) -> Iterator[Markup]:
    rows = [
        tag("li", tables.badge(one.get("grade")), " ", tag("b", one.get("name")), " ", tables.reasons(one))
        for one in inputs
        if one.get("reasons")
    ]
    if rows:
        yield tag("h3", "Why")
        yield from _folded(rows, "ul", "reasons")


def _advice(inputs: Sequence[Values]) -> Iterator[Markup]:
    """List what to do, each once, with all inputs that it is for; the worst input's first."""
    found: dict[str, list[str]] = {}
    for one in inputs:
        for text in one.get("advice") or ():
            found.setdefault(str(text), []).append(str(one.get("name")))
    rows = [
        tag("li", prose(text), " ", tag("span", f"({_names(names)})", class_="soft"))
        for text, names in found.items()
    ]
    if rows:
        yield tag("h3", "What to do")
        yield from _folded(rows, "ol", "things to do")


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(dict.fromkeys(names[:_SHOWN]))}{more}"


_FIRST = 12  # entries of a list that are seen at once


def _folded(rows: Sequence[Markup], kind: str, what: str) -> Iterator[Markup]:
    """Give a list, of which the later part is opened by a click."""
    yield tag(kind, *rows[:_FIRST])
    if rest := rows[_FIRST:]:
        start = _FIRST + 1 if kind == "ol" else None
        yield tag("details", tag("summary", f"{len(rest)} more {what}"), tag(kind, *rest, start=start))


def _trends(sources: Sequence[Values], day: Any) -> Iterator[Markup]:
    drawn = [(str(one.get("name")), dots(one, day)) for one in sources]
    if any(len(found) > 1 for _, found in drawn):
        yield tag("h3", "Trend")
        yield tag("p", "Commits behind upstream, and below that the grade, by date.", class_="soft")
        yield tag("div", *(chart(name, found) for name, found in drawn), class_="charts")
    elif sources:
        yield tag("p", "No trend yet: there is no earlier day in the history.", class_="soft")


def dots(source: Values, today: Any) -> list[Dot]:
    """Give a source's days, oldest first, with the day of the page as the last."""
    found: dict[date, Dot] = {}
    now = {
        "date": today,
        "grade": source.get("grade"),
        "behind": (source.get("upstream") or {}).get("behind"),
    }
    for point in (*(source.get("trend") or ()), now):
        day = tables.day(point.get("date"))
        if day is not None and point.get("grade"):
            behind = point.get("behind")
            found[day] = (day, str(point["grade"]), behind if isinstance(behind, int) else None)
    return [found[day] for day in sorted(found)]


def _rules(rules: Sequence[tuple[str, str]]) -> Markup | None:
    if not rules:
        return None
    rows = [(tables.badge(grade), prose(text)) for grade, text in rules]
    return tag(
        "section",
        tag("h2", "How grades are given"),
        tag(
            "p",
            "An input has the worst grade of all rules that it meets, A where it meets none. "
            "A variant has the grade of its worst input.",
        ),
        table("Rules", ("Grade", "When"), rows),
        id="rules",
    )
