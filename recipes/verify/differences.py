"""Comparing two trees: which files differ, in what, from which byte on, and the likely cause. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from recipes.hashes import Directory, File, Link, Node
from recipes.verify import causes, parts
from recipes.verify.causes import World
from recipes.verify.parts import LARGEST, Part

SHOWN = 16  # bytes of each side that are shown, from where they first differ
BEFORE = 8  # bytes before that, which both sides have
_STEP = 1 << 16  # bytes that are compared at once
_DEEPEST = 4  # archives in archives
_MODE = {True: "executable", False: "not executable"}
_KIND = {File: "a file", Link: "a link", Directory: "a directory"}


@dataclass(frozen=True)
class Piece:
    """Where two files differ: in a section, a member or all of a file (`name` is empty then).

    `what` says how, for what is not a difference of bytes. `place` is the first byte that differs, counted
    from the piece's start, and `in_file` from the file's (None: it is packed); `line` counts from one, in
    texts. `first` and `second` are bytes from there, `before` those in front of them on both sides, `sizes`
    the lengths of the whole piece. `causes` are guesses.
    """

    name: str
    what: str
    place: int = 0
    in_file: int | None = None
    line: int | None = None
    sizes: tuple[int, int] = (0, 0)
    first: bytes = b""
    second: bytes = b""
    before: bytes = b""
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One path that differs: `content` with its pieces, or else what each side is."""

    path: str
    what: str
    first: str
    second: str
    pieces: tuple[Piece, ...] = ()


def compare(first: Node, second: Node, worlds: tuple[World, World]) -> list[Difference]:
    """Compare two trees, by path; an empty list where they are the same to NAR.

    Raises what reading the files does.
    """
    return list(_nodes("", first, second, worlds))


def _nodes(path: str, first: Node, second: Node, worlds: tuple[World, World]) -> Iterator[Difference]:
    if isinstance(first, Directory) and isinstance(second, Directory):
        yield from _directories(path, first.children, second.children, worlds)
    elif isinstance(first, File) and isinstance(second, File):
        yield from _files(path, first, second, worlds)
    elif isinstance(first, Link) and isinstance(second, Link):
        if first.target != second.target:
            yield Difference(path, "link", first.target, second.target)
    else:
        yield Difference(path, "kind", _KIND[type(first)], _KIND[type(second)])


def _directories(
    path: str, first: Mapping[str, Node], second: Mapping[str, Node], worlds: tuple[World, World]
) -> Iterator[Difference]:
    for name in sorted({*first, *second}):
        below = f"{path}/{name}" if path else name
        if name not in second:
            yield Difference(below, "only in the first", _KIND[type(first[name])], "nothing")
        elif name not in first:
            yield Difference(below, "only in the second", "nothing", _KIND[type(second[name])])
        else:
            yield from _nodes(below, first[name], second[name], worlds)


def _files(path: str, first: File, second: File, worlds: tuple[World, World]) -> Iterator[Difference]:
    if first.executable != second.executable:
        yield Difference(path, "mode", _MODE[first.executable], _MODE[second.executable])
    if first.size != second.size or _differ(first.chunks, second.chunks):
        found = tuple(pieces(_taken(first.chunks), _taken(second.chunks), worlds))
        beyond = Piece("", f"the files differ beyond their first {LARGEST} bytes")
        yield Difference(path, "content", f"{first.size} bytes", f"{second.size} bytes", found or (beyond,))


def _differ(first: Iterable[bytes], second: Iterable[bytes]) -> bool:
    """Compare two files of one size: they come in pieces of one size, too."""
    return any(a != b for a, b in itertools.zip_longest(first, second))


def _taken(chunks: Iterable[bytes]) -> bytes:
    taken = bytearray()
    for chunk in chunks:
        taken += chunk
        if len(taken) >= LARGEST:
            break
    return bytes(taken[:LARGEST])


def pieces(first: bytes, second: bytes, worlds: tuple[World, World]) -> Iterator[Piece]:
    """Say where two files differ, down to the sections and members of the formats that `parts` knows."""
    yield from _pieces(Part("", first, 0), Part("", second, 0), worlds, 0)


def _pieces(first: Part, second: Part, worlds: tuple[World, World], depth: int) -> Iterator[Piece]:
    if first.data == second.data:
        return
    sides = [parts.split(one.data) if depth < _DEEPEST else None for one in (first, second)]
    found: list[Piece] = []
    if sides[0] is not None and sides[1] is not None:
        left, right = (
            [_within(whole, one) for one in side or ()]
            for whole, side in zip((first, second), sides, strict=True)
        )
        found = list(_parts(first.name, left, right, worlds, depth + 1))
    yield from found or [_bytes(first, second, worlds)]


def _within(whole: Part, part: Part) -> Part:
    start = None if whole.start is None or part.start is None else whole.start + part.start
    return Part(f"{whole.name}: {part.name}" if whole.name else part.name, part.data, start)


def _parts(
    name: str, first: list[Part], second: list[Part], worlds: tuple[World, World], depth: int
) -> Iterator[Piece]:
    left, right = _numbered(first), _numbered(second)
    yield from (Piece(key, "only in the first") for key in left if key not in right)
    yield from (Piece(key, "only in the second") for key in right if key not in left)
    if left.keys() == right.keys() and list(left) != list(right):
        yield Piece(name, "order", causes=("an order: the same members or sections in another order",))
    for key in left:
        if key in right:
            yield from _pieces(left[key], right[key], worlds, depth)


def _numbered(found: list[Part]) -> dict[str, Part]:
    """Give each part a key: its name, and which one of that name it is."""
    seen: Counter[str] = Counter()
    keys = {}
    for one in found:
        seen[one.name] += 1
        keys[one.name if seen[one.name] == 1 else f"{one.name} ({seen[one.name]})"] = one
    return keys


def _bytes(first: Part, second: Part, worlds: tuple[World, World]) -> Piece:
    place = _first_difference(first.data, second.data)
    return Piece(
        name=first.name,
        what="bytes",
        place=place,
        in_file=None if first.start is None else first.start + place,
        line=first.data.count(b"\n", 0, place) + 1 if _is_text(first.data) else None,
        sizes=(len(first.data), len(second.data)),
        first=first.data[place : place + SHOWN],
        second=second.data[place : place + SHOWN],
        before=first.data[max(place - BEFORE, 0) : place],
        causes=tuple(causes.likely(first.data, second.data, place, worlds)),
    )


def _first_difference(first: bytes, second: bytes) -> int:
    most = min(len(first), len(second))
    for start in range(0, most, _STEP):
        if first[start : start + _STEP] != second[start : start + _STEP]:
            pairs = zip(first[start : start + _STEP], second[start : start + _STEP], strict=False)
            return start + next((at for at, (a, b) in enumerate(pairs) if a != b), most - start)
    return most


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:_STEP]
