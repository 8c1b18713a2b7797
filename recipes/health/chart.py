"""A source's trend as inline SVG: commits behind as a line over a band of grades, by date. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TypeAlias

from recipes.health.markup import Markup, tag

Dot: TypeAlias = tuple[date, str, int | None]
"""A day with its grade, and how many commits behind the source was: None where nobody knew."""

WIDTH, HEIGHT = 320, 116
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 312, 10, 72  # the corners of what the line may take
_BAND, _TALL = 80, 14


def chart(name: str, dots: Sequence[Dot]) -> Markup:
    """Draw the days of one source, oldest first."""
    if not dots:
        return tag("figure", tag("figcaption", tag("b", name), ": no history yet"))
    highest = max((behind for _, _, behind in dots if behind is not None), default=0)
    said = _said(dots)
    drawn = tag(
        "svg",
        *_frame(dots, highest),
        *_grades(dots),
        *_line(dots, max(highest, 1)),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{name}: {said}",
    )
    return tag("figure", drawn, tag("figcaption", tag("b", name), ": ", said))


def _said(dots: Sequence[Dot]) -> str:
    """Tell the trend in words, for those who do not see it."""
    (first, old, before), (last, new, now) = dots[0], dots[-1]
    if first == last:
        return f"{_behind(now)}, grade {new}, on {last}"
    moved = _behind(now) if before == now else f"{_behind(before)}, then {_behind(now)}"
    grade = f"grade {new}" if old == new else f"grade {old}, then {new}"
    return f"{moved}; {grade}; {len(dots)} days from {first} to {last}"


def _behind(count: int | None) -> str:
    if count is None:
        return "distance not known"
    return f"{count} commit{'' if count == 1 else 's'} behind"


def _x(day: date, dots: Sequence[Dot]) -> float:
    days = (dots[-1][0] - dots[0][0]).days
    share = (day - dots[0][0]).days / days if days else 1
    return round(_LEFT + share * (_RIGHT - _LEFT), 1)


def _frame(dots: Sequence[Dot], highest: int) -> Iterator[Markup]:
    yield tag("line", x1=_LEFT, y1=_BOTTOM, x2=_RIGHT, y2=_BOTTOM, class_="axis")
    yield tag("text", 0, x=_LEFT - 4, y=_BOTTOM + 4, class_="end")
    if highest:
        yield tag("text", highest, x=_LEFT - 4, y=_TOP + 4, class_="end")
    yield tag("text", dots[-1][0], x=_RIGHT, y=HEIGHT - 6, class_="end")
    if dots[0][0] != dots[-1][0]:
        yield tag("text", dots[0][0], x=_LEFT, y=HEIGHT - 6)


def _line(dots: Sequence[Dot], highest: int) -> Iterator[Markup]:
    """Draw the stretches in which the distance is known."""
    for known, group in itertools.groupby(dots, lambda one: one[2] is not None):
        if known:
            corners = [
                (_x(day, dots), round(_BOTTOM - (behind or 0) / highest * (_BOTTOM - _TOP), 1))
                for day, _, behind in group
            ]
            if len(corners) > 1:
                yield tag("polyline", points=" ".join(f"{x:g},{y:g}" for x, y in corners), class_="trend")
            yield tag("circle", cx=corners[-1][0], cy=corners[-1][1], r=3)


def _grades(dots: Sequence[Dot]) -> Iterator[Markup]:
    """Draw the grades, each from its first day to the next grade's, with its letter where it fits."""
    runs = [(grade, next(iter(group))[0]) for grade, group in itertools.groupby(dots, lambda one: one[1])]
    ends = [*(start for _, start in runs[1:]), dots[-1][0]]
    for (grade, start), end in zip(runs, ends, strict=True):
        left, right = _x(start, dots), _x(end, dots)
        if start == end:  # the last day alone
            left -= 12
        wide = round(right - left, 1)
        yield tag("rect", x=f"{left:g}", y=_BAND, width=f"{wide:g}", height=_TALL, class_=f"g{grade}")
        if wide >= 10:  # noqa: PLR2004 - a letter's width
            middle = round(left + wide / 2, 1)
            yield tag("text", grade, x=f"{middle:g}", y=_BAND + 11, class_="letter")
