"""A scan as text, as Markdown and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from recipes.errors import one_line
from recipes.giturls import shown
from recipes.scan.findings import SEVERITIES, Found, Scan

_LONGEST = 160  # characters of what is told of one input; JSON has all


def listed(scan: Scan, *, everything: bool) -> list[Found]:
    """Give what is to be told: all that is not pinned, the worst first; with `everything`, all."""
    some = [one for one in scan.found if everything or one.verdict.severity != "pinned"]
    return sorted(some, key=lambda one: SEVERITIES.index(one.verdict.severity))


def is_loose(scan: Scan) -> bool:
    """Say whether any input is not pinned."""
    return any(one.verdict.severity != "pinned" for one in scan.found)


def text(scan: Scan, *, everything: bool) -> str:
    """Write for a terminal: two lines for each input, then what was not read, then the counts."""
    lines = [line for one in listed(scan, everything=everything) for line in _lines(one)]
    lines += [f"{one_line(one.file)}: {one.why}" for one in scan.unread]
    return "\n".join([*lines, summary(scan)])


def _lines(one: Found) -> Iterator[str]:
    severity = one.verdict.severity
    yield f"{one_line(one.file)}:{one.line}: {severity}: {one.kind} {_what(one)}"
    pin = f"; today {one.pin}" if one.pin and one.verdict.severity != "pinned" else ""
    yield f"  {one_line(one.verdict.why)}{pin}"


def _what(one: Found) -> str:
    ref = f" {one.ref}" if one.ref and one.ref not in one.what else ""
    whole = one_line(shown(one.what + ref))
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…"


def summary(scan: Scan) -> str:
    """Count the inputs by severity."""
    counts = Counter(one.verdict.severity for one in scan.found)
    parts = ", ".join(f"{counts[one]} {one}" for one in SEVERITIES if counts[one])
    files = f"{scan.files} file{'s' if scan.files != 1 else ''} read"
    inputs = f"{len(scan.found)} input{'s' if len(scan.found) != 1 else ''}"
    return f"{inputs}{f': {parts}' if parts else ''}; {files}"


def markdown(scan: Scan, *, everything: bool) -> str:
    """Write a table for a pull request or an issue."""
    rows = [_row(one) for one in listed(scan, everything=everything)]
    head = ["| where | severity | kind | what | why | pin today |", "| --- | --- | --- | --- | --- | --- |"]
    unread = [f"- `{_cell(one.file)}`: {_cell(one.why)}" for one in scan.unread]
    return "\n".join([*(head if rows else ()), *rows, *([""] if rows else ()), *unread, summary(scan)])


def _row(one: Found) -> str:
    where, pin = f"{one.file}:{one.line}", f"`{one.pin}`" if one.pin else ""
    cells = [
        f"`{_cell(where)}`",
        one.verdict.severity,
        one.kind,
        f"`{_cell(_what(one))}`",
        one.verdict.why,
        pin,
    ]
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|").replace("`", "'")


def document(scan: Scan, *, everything: bool, commit: str | None) -> dict[str, Any]:
    """Give what `--json` prints; `commit` is the one that was scanned, of a repository by its URL."""
    counts = Counter(one.verdict.severity for one in scan.found)
    return {
        "commit": commit,
        "files": scan.files,
        "counts": {one: counts[one] for one in SEVERITIES},
        "inputs": _documents(listed(scan, everything=everything)),
        "unread": [{"file": one.file, "why": one.why} for one in scan.unread],
    }


def _documents(found: Sequence[Found]) -> list[dict[str, Any]]:
    return [
        {
            "file": one.file,
            "line": one.line,
            "kind": one.kind,
            "what": shown(one.what),
            "severity": one.verdict.severity,
            "why": one.verdict.why,
            "ref": one.ref,
            "pin": one.pin,
            "name": one.name,
            "guard": one.guard,
        }
        for one in found
    ]
