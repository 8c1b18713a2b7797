"""Which of the inputs that moved can be taken together: a search over sets of them, by a judge. Pure.

Without a culprit it takes one judgement; each culprit among N inputs takes about log2(N) + 1 more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Says whether a set of inputs builds when it moves and all else stays; None where it may not be judged.
Judge = Callable[[frozenset[str]], bool | None]


@dataclass(frozen=True)
class Settled:
    """What builds together, what breaks that when it moves too, and what was not tried any more."""

    moved: frozenset[str]
    broken: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()


def settle(inputs: Sequence[str], builds: Judge) -> Settled:
    """Find a set of inputs that builds, such that none of those that are left out can be added alone.

    That nothing moves is known to build. Of inputs that only break together, the later one is left out; one
    that needs a later one is tried again behind it. Where `builds` gives None, the search ends.
    """
    moved: frozenset[str] = frozenset()
    broken: list[str] = []
    rest = list(inputs)
    while rest:
        good, ended = _prefix(moved, rest, builds)
        moved |= {*rest[:good]}
        if ended:
            return Settled(moved, tuple(broken), tuple(rest[good:]))
        broken += rest[good : good + 1]
        rest = rest[good + 1 :]
    return _again(moved, broken, builds)


def _prefix(moved: frozenset[str], rest: Sequence[str], builds: Judge) -> tuple[int, bool]:
    """Say how many of `rest` can be added, the next one breaking them, and whether the search ended."""
    good, bad = 0, len(rest) + 1
    probe = len(rest)
    while bad - good > 1:
        answer = builds(moved | {*rest[:probe]})
        if answer is None:
            return good, True
        good, bad = (probe, bad) if answer else (good, probe)
        probe = (good + bad) // 2
    return good, False


def _again(moved: frozenset[str], broken: Sequence[str], builds: Judge) -> Settled:
    """Try each one that broke on top of what was taken after it; as long as that changes anything."""
    left = list(broken)
    while added := next((one for one in left if builds(moved | {one})), None):
        moved |= {added}
        left.remove(added)
    return Settled(moved, tuple(left))
