"""The likely cause of a difference, found by looking at both sides of it. Pure.

A detector names what it recognises and hides it on both sides, so that one line may have several causes.
What is recognised is a guess, and told as one.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_AROUND = 400  # bytes on each side of a difference that a text is looked for in
_SHORTEST = 4  # printable bytes that are a text, as for strings(1)
_PAIRS = 100  # texts of a piece that differ and are looked at
_RANDOM = 8  # bytes: shorter ones are not told from anything else
_SPREAD = 0.75  # of the different values that random bytes would have; text and code have fewer
_SLACK = 2.0  # seconds that a clock may be read before or after its build
_SHUFFLED = 32  # bytes: of fewer, the same may come in another order by chance
_ORDERED = 1 << 22  # bytes of a piece that is looked at for another order


@dataclass(frozen=True)
class World:
    """What is known of one of the two builds, as far as it may be found in its result.

    `began` and `ended` are seconds since the epoch, None where they are not known.
    """

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    processors: int | None = None
    jobs: int | None = None
    began: float | None = None
    ended: float | None = None

    def had(self, moment: float) -> bool:
        """Say whether a moment lies within the build, as far as that is known."""
        if self.began is None or self.ended is None:
            return False
        return self.began - _SLACK <= moment <= self.ended + _SLACK


def likely(first: bytes, second: bytes, place: int, worlds: tuple[World, World]) -> list[str]:
    """Say what may have made two pieces of bytes differ, the first difference being at `place`."""
    if first.rstrip(b"\0") == second.rstrip(b"\0"):
        return ["padding: one side has more zeros"]
    if order := _order(first, second):
        return [order]
    found = dict.fromkeys(
        cause for pair in _texts(first, second, place) for cause in _in_texts(*pair, worlds)
    )
    return list(found) or list(_in_bytes(first, second, place, worlds))


def _texts(first: bytes, second: bytes, place: int) -> Iterator[tuple[str, str]]:
    """Give the texts that differ: lines, or strings that end in a zero, where both sides have as many."""
    separator = b"\0" if b"\0" in first else b"\n"
    if len(first) <= _ORDERED and first.count(separator) == second.count(separator):
        pairs = zip(first.split(separator), second.split(separator), strict=True)
        different = ((_text(a, at), _text(b, at)) for a, b in pairs if a != b and (at := _common(a, b)) >= 0)
        yield from itertools.islice(_long(different), _PAIRS)
    else:
        yield from _long(iter([(_text(first, place), _text(second, place))]))


def _long(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return (pair for pair in pairs if min(map(len, pair)) >= _SHORTEST or all(one.isdigit() for one in pair))


def _common(first: bytes, second: bytes) -> int:
    """Give how many bytes two sides begin with alike."""
    return len(posixpath.commonprefix([first, second]))


def _text(data: bytes, place: int) -> str:
    """Give the printable text around a place, up to the ends of its line."""
    start = max(place - _AROUND, 0)
    before = re.search(rb"[\t\x20-\x7e\x80-\xff]*\Z", data[start:place])
    after = re.match(rb"[\t\x20-\x7e\x80-\xff]*", data[place : place + _AROUND])
    return ((before[0] if before else b"") + (after[0] if after else b"")).decode("utf-8", "replace")


def _order(first: bytes, second: bytes) -> str | None:
    if len(first) != len(second) or len(first) > _ORDERED:
        return None
    splits = {"lines": first.split(b"\n"), "names": first.split(b"\0"), "words": re.findall(rb"\w+", first)}
    others = second.split(b"\n"), second.split(b"\0"), re.findall(rb"\w+", second)
    for (what, one), other in zip(splits.items(), others, strict=True):
        if one != other and Counter(one) == Counter(other):
            return f"an order: the same {what} in another order"
    if len(first) >= _SHUFFLED and Counter(first) == Counter(second):
        return "an order: the same bytes in another order"
    return None


def _in_texts(first: str, second: str, worlds: tuple[World, World]) -> Iterator[str]:
    for name in worlds[1].names:
        if name in second and name not in first:
            yield f"a name of the user or the host: `{name}`"
    for pattern, told in _DETECTORS:
        sides = pattern.findall(first), pattern.findall(second)
        if sides[0] and sides[1] and sides[0] != sides[1]:
            pair = next(
                ((a, b) for a, b in zip(*sides, strict=False) if a != b), (sides[0][-1], sides[1][-1])
            )
            if what := told(*pair, worlds):
                yield what
                first, second = pattern.sub("\0", first), pattern.sub("\0", second)
        if first == second:
            return


def _path(first: str, second: str, worlds: tuple[World, World]) -> str:
    sides = zip((first, second), worlds, strict=True)
    own = any(path in text for text, world in sides for path in world.paths)
    what = "the build's directory outside the sandbox" if own else "an absolute path"
    longer = f", of {len(first)} and {len(second)} characters" if len(first) != len(second) else ""
    return f"a path: {what}{longer}"


def _moment(_first: str, second: str, worlds: tuple[World, World]) -> str | None:
    if not worlds[1].had(float(second)):
        return None
    said = datetime.fromtimestamp(float(second), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"a time: seconds since 1970, {said} in the second build, which is when that ran"


def _date(first: str, second: str, _worlds: tuple[World, World]) -> str:
    return f"a date or time: {first} and {second}"


def _number(first: str, second: str, worlds: tuple[World, World]) -> str:
    sides = [int(one) for one in (first, second)]
    for what, key in (("processors", "processors"), ("jobs", "jobs")):
        if sides == [getattr(world, key) for world in worlds]:
            return f"the number of {what}: {first} and {second}"
    return f"a number, such as a process id, a counter or a size: {first} and {second}"


def _always(what: str) -> Callable[[str, str, tuple[World, World]], str]:
    return lambda _first, _second, _worlds: what


_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"

#: What is looked for in a text, what is surer before what is less so, and how it is told.
_DETECTORS = (
    (re.compile(r"(?<![\w.])/[^\s\"'<>:;,|()\[\]]+"), _path),
    (
        re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
        _always("an id: a UUID, new in each build"),
    ),
    (re.compile(rf"\b(?:[A-Z][a-z]{{2}} )?(?:{_MONTHS}) [ \d]?\d(?: \d\d:\d\d:\d\d)? \d{{4}}\b"), _date),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b"), _date),
    (re.compile(r"\b(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:T?\d{6})?\b"), _date),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b"), _date),
    (re.compile(r"\b\d{9,10}(?:\.\d+)?\b"), _moment),
    (
        re.compile(r"\b0x[0-9a-f]{6,16}\b", re.IGNORECASE),
        _always("an id: an address in memory, which is random in each process"),
    ),
    (
        re.compile(r"(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{8,}(?![0-9a-z])", re.IGNORECASE),
        _always("an id: hexadecimal digits, random or the hash of something that differs"),
    ),
    (re.compile(r"(?<![\w.])\d+(?![\w.])"), _number),
)  # fmt: skip


def _in_bytes(first: bytes, second: bytes, place: int, worlds: tuple[World, World]) -> Iterator[str]:
    ends = [_end(first, second, place), _end(second, first, place)]
    sides = first[place : ends[0]], second[place : ends[1]]
    if min(ends) <= place:
        yield "a size: one side ends where the other goes on"
    elif any(map(worlds[1].had, _binary_moments(second, place))):
        yield "a time: four bytes that are the seconds since 1970 when the build ran"
    elif not any(sides[0]) or not any(sides[1]):
        yield "padding or memory that was not set: zeros on one side"
    elif min(map(len, sides)) >= _RANDOM and all(map(_is_random, sides)):
        yield "random bytes: an id, a key, or the hash of something that differs"


def _end(data: bytes, other: bytes, place: int) -> int:
    """Give where the difference ends, at most `_AROUND` bytes on: eight bytes are the same again."""
    most = min(len(data), place + _AROUND)
    for at in range(place, most if len(data) == len(other) else place):
        if data[at : at + _RANDOM] == other[at : at + _RANDOM]:
            return at
    return most


def _binary_moments(data: bytes, place: int) -> Iterator[int]:
    """Read four bytes around a place as a `time_t` of 32 bits, or as the lower half of one of 64."""
    for start in range(max(place - 3, 0), place + 1):
        word = data[start : start + 4]
        yield int.from_bytes(word, "little")
        yield int.from_bytes(word, "big")


def _is_random(data: bytes) -> bool:
    """Say whether bytes look random: about as many values occur as of random ones would be expected to."""
    expected = 256 * (1 - (255 / 256) ** len(data))
    return len(set(data)) >= _SPREAD * expected
