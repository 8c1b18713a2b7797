"""How verifying one store path came out, and how that is told: lines, an error, JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.errors import VerifyError
from recipes.verify.differences import Difference, Piece

_SHOWN = 8  # differences of a store path, and pieces of a file, that an error shows


@dataclass(frozen=True)
class Outcome:
    """One store path: the NAR hash that it has and the one that it came out with, in SRI form.

    `seconds` is what the second build took, None where nothing was built but hashed. `kept` is the directory
    in which both outputs are.
    """

    name: str
    kind: str
    first: str
    second: str
    seconds: float | None = None
    differences: tuple[Difference, ...] = ()
    kept: str | None = None

    @property
    def same(self) -> bool:
        """Say whether both are the same."""
        return self.first == self.second

    def line(self) -> str:
        """Give the line of a result."""
        took = "" if self.seconds is None else f"  {self.seconds:.1f} s"
        if self.same:
            return f"same     {self.name}  {self.first}{took}"
        return f"differs  {self.name}  {self.first}  {self.second}{took}"

    def document(self) -> dict[str, Any]:
        """Give it as `recipes verify --json` prints it."""
        return {
            "path": self.name,
            "kind": self.kind,
            "same": self.same,
            "nar_hash": self.first,
            "again": self.second,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "kept": self.kept,
            "differences": [_difference(one) for one in self.differences],
        }


def _difference(one: Difference) -> dict[str, Any]:
    sides = {"path": one.path, "what": one.what, "first": one.first, "second": one.second}
    return {**sides, "pieces": [_piece(piece) for piece in one.pieces]}


def _piece(one: Piece) -> dict[str, Any]:
    return {
        "name": one.name,
        "what": one.what,
        "offset": one.place,
        "offset_in_file": one.in_file,
        "line": one.line,
        "sizes": list(one.sizes),
        "before": one.before.hex(),
        "first": one.first.hex(),
        "second": one.second.hex(),
        "causes": list(one.causes),
    }


def summary(outcomes: Sequence[Outcome]) -> str:
    """Say in one line how it went."""
    built = [one for one in outcomes if one.seconds is not None]
    hashed = len(outcomes) - len(built)
    same = sum(one.same for one in built)
    count = f"{same} of {len(built)} build{'s' if len(built) != 1 else ''}"
    return f"{count} gave the same bytes again; {hashed} inputs from outside have their hashes"


def error(outcomes: Sequence[Outcome]) -> VerifyError | None:
    """Give the error of those that differ; None where none does."""
    wrong = [one for one in outcomes if not one.same]
    if not wrong:
        return None
    message = "\n".join(line for one in wrong for line in text(one, _SHOWN))
    kept = wrong[0].kept
    return VerifyError(
        message, hint=f"`less {kept}/report.txt` has all of it; `first` and `second` lie beside it"
    )


def text(one: Outcome, most: int | None = None) -> Iterator[str]:
    """Say what differs, in lines; `most` differences and pieces of each, all without it."""
    yield f"store path `{one.name}` came out different when it was built again"
    yield f"  expected  {one.first}"
    yield f"  actual    {one.second}"
    for difference in one.differences[:most]:
        yield from _told(difference, most)
    yield from _more(len(one.differences), most, "  ", "paths")
    if one.kept:
        yield f"  kept      {one.kept}"


def _told(one: Difference, most: int | None) -> Iterator[str]:
    path = one.path or "the whole of it"
    if one.what != "content":
        yield f"  {path}: {one.what}: {one.first}, then {one.second}"
        return
    sizes = one.first if one.first == one.second else f"{one.first}, then {one.second}"
    yield f"  {path}: other bytes ({sizes})"
    for piece in one.pieces[:most]:
        yield from _said(piece)
    yield from _more(len(one.pieces), most, "    ", "parts of it")


def _more(count: int, most: int | None, indent: str, what: str) -> Iterator[str]:
    if most is not None and count > most:
        yield f"{indent}and {count - most} more {what}"


def _said(one: Piece) -> Iterator[str]:
    name = f"{one.name}: " if one.name else ""
    if one.what != "bytes":
        yield f"    {name}{one.what}"
    else:
        line = "" if one.line is None else f" in line {one.line}"
        sizes = (
            ""
            if not one.name or one.sizes[0] == one.sizes[1]
            else f" ({one.sizes[0]}, then {one.sizes[1]} bytes)"
        )
        in_file = "" if one.in_file in (None, one.place) else f", {one.in_file} of the file"
        yield f"    {name}from byte {one.place}{in_file}{line}{sizes}"
        yield f"      first   {_bytes(one.before, one.first)}"
        yield f"      second  {_bytes(one.before, one.second)}"
        yield from () if one.causes else ("      likely  nothing that is known",)
    yield from (f"      likely  {cause}" for cause in one.causes)


def _bytes(before: bytes, data: bytes) -> str:
    """Write bytes as hexadecimal digits, those that both sides have in front, and as a text beside them."""
    shown = "".join(chr(one) if 32 <= one < 127 else "." for one in before + data)  # noqa: PLR2004 - ASCII
    start = f"{before.hex(' ')} | " if before else ""
    return f"{start}{data.hex(' ') or 'it has ended'}  {shown}".rstrip()
