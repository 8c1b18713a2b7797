"""What came of a refresh that holds back, as Markdown for a pull request and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from recipes import diff
from recipes.holdback.outcome import Outcome, Refreshed

_MINUTE = 60


def worth(one: Refreshed) -> bool:
    """Say whether there is anything to tell of a variant."""
    outcome = one.outcome
    told = (outcome.held, outcome.waiting, outcome.unresolved, outcome.error, outcome.spent)
    return one.wrote or any(told)


def markdown(done: Sequence[Refreshed]) -> str:
    """Give the text of a pull request: what became of each input, and what lies between its commits."""
    parts = ["Everything that floats was resolved anew, by `recipes refresh --hold-back`."]
    for one in filter(worth, done):
        parts += [f"## {one.outcome.variant}", _outcome(one.outcome)]
        if one.changed is not None:
            listed = ", ".join(f"`{name}`" for name in one.changed.files)
            parts.append(diff.markdown(one.changed.difference).strip() or f"Written anew: {listed}")
    return "\n\n".join(parts)


def document(done: Sequence[Refreshed]) -> dict[str, Any]:
    """Give the same for `--json`."""
    return {"variants": [_document(one) for one in done]}


def _document(one: Refreshed) -> dict[str, Any]:
    found = asdict(one.outcome)
    for held in (*found["held"], *found["waiting"]):
        held["retry"] = held["retry"].isoformat()
    row = {**found, "seconds": round(one.outcome.seconds, 1), "spec": one.spec, "files": []}
    if one.changed is None:
        return row
    return {**row, "files": list(one.changed.files), **diff.document(one.changed.difference)}


def _outcome(one: Outcome) -> str:
    rows = list(_rows(one))
    table = ["| input | was | asked for | taken | |", "| --- | --- | --- | --- | --- |", *rows]
    parts = [_first(one), *(["\n".join(table)] if rows else [])]
    if one.unresolved:
        parts.append(f"Not looked up:\n\n{_fenced(one.unresolved)}")
    return "\n\n".join(parts)


def _first(one: Outcome) -> str:
    cost = f"{one.builds} build{'' if one.builds == 1 else 's'} in {_duration(one.seconds)}"
    if one.error is not None:
        why = _fenced(one.error.splitlines())
        return f"**Nothing is settled** ({cost}): the locks stay as they are.\n\n{why}"
    if one.nar_hash is None:
        return f"Nothing was tried ({cost}): the locks are what they would be."
    found = f"Builds and passes its check: `{one.nar_hash}` ({cost})."
    return f"{found} Stopped early: {one.spent}." if one.spent else found


def _fenced(lines: Sequence[str]) -> str:
    """Write a stranger's lines as a block that none of them ends."""
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    return "\n".join([fence, *lines, fence])


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < _MINUTE else f"{whole // _MINUTE} min {whole % _MINUTE} s"


def _rows(one: Outcome) -> Iterator[str]:
    for held in one.held:
        what = f"**held back** until {held.retry}: {_cell(held.why)}"
        yield _row(held.wanted.key, held.wanted.old, held.wanted.new, held.at, what)
    for moved in one.moved:
        said = "was held back, and builds again" if moved.key in one.lifted else ""
        yield _row(moved.key, moved.old, moved.new, moved.new, said)
    for left in one.untried:
        yield _row(left.key, left.old, left.new, left.old, "not tried")
    for wait in one.waiting:
        yield _row(wait.name, wait.at, None, wait.at, f"held back until {wait.retry}: {_cell(wait.why)}")
    for name in one.lifted:
        if name not in {moved.key for moved in one.moved}:
            yield _row(name, None, None, None, "no longer held back")


def _row(name: str, *cells: str | None) -> str:
    *places, said = cells
    shown = [f"`{place[:12]}`" if place else "" for place in places]
    return f"| {' | '.join([f'`{name}`', *shown, said or ''])} |"


def _cell(text: str) -> str:
    """Write a stranger's words for a table: a `|` would end the cell, in code, too."""
    return diff.code(" ".join(text.split())).replace("|", "\\|")
