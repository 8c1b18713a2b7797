"""The search: which commits to judge next, of a line whose first is good and whose last is bad. Pure.

Commits are numbers, 0 the good end. As `git bisect` does, it looks for one place where good turns to bad,
and a commit that is skipped says nothing. What is next follows from what is known and from nothing else,
so a search that was interrupted, or is replayed, goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Mark: TypeAlias = Literal["good", "bad", "skip"]


@dataclass(frozen=True)
class Range:
    """What is left: the newest good commit, the oldest bad one after it, and what lies between them."""

    good: int
    bad: int
    unjudged: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()


def narrow(known: Mapping[int, Mark]) -> Range:
    """Give what is left of a search. Of several places where good turns to bad, the newest is meant.

    `known` has a good commit, and a bad one after all the good ones.
    """
    good = max(at for at, mark in known.items() if mark == "good")
    bad = min(at for at, mark in known.items() if mark == "bad" and at > good)
    inside = range(good + 1, bad)
    return Range(
        good,
        bad,
        tuple(at for at in inside if at not in known),
        tuple(at for at in inside if at in known),
    )


def probes(left: Range, width: int = 1) -> list[int]:
    """Give up to `width` commits to judge at once, oldest first; none where the search is over.

    They cut what is left into equal parts. Where commits were skipped, those beside them are likely to be
    skipped too: then they are spread over the middle half.
    """
    count, skips = len(left.unjudged), len(left.skipped)
    if skips:
        places = [0.25 + _spread(skips + one) / 2 for one in range(1, width + 1)]
    else:
        places = [one / (width + 1) for one in range(1, width + 1)]
    return sorted({left.unjudged[int(count * place)] for place in places}) if count else []


def steps(count: int, width: int = 1) -> int:
    """Say how many steps it takes at most to find one of `count` commits, where none is skipped."""
    found = 0
    while count > 1:
        count, found = -(-count // (width + 1)), found + 1
    return found


def _spread(number: int) -> float:
    """Give van der Corput's sequence: 1/2, 1/4, 3/4, 1/8, …, each far from those before."""
    found, part = 0.0, 0.5
    while number:
        found, number, part = found + part * (number & 1), number >> 1, part / 2
    return found
