"""Known breakages of what TVM with NNPACK is built from: what shows in a log, why, since when, what helps.

The table is `recipes/breakages.yaml`; docs/breakages.md says how a row is added.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import pydantic

from recipes import located
from recipes.dates import Moment, moment, written
from recipes.errors import SpecError
from recipes.located import Strict, misplaced
from recipes.lock import Lock
from recipes.spectexts import ObjectId


def _pattern(text: str) -> str:
    try:
        made = re.compile(text.encode())
    except re.error as wrong:
        raise ValueError(f"not a regular expression: {wrong}") from wrong
    if made.groups or made.flags & ~re.compile(b"").flags:  # they would not survive being joined to one
        raise ValueError("a pattern has no groups to capture and no flags: write `(?:…)`, `(?i:…)`")
    if made.search(b""):
        raise ValueError("the pattern matches an empty line")
    return text


def _versions(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - 20 ms

    try:
        SpecifierSet(text)
    except InvalidSpecifier as wrong:
        raise ValueError(f"`{text}` is not a range of versions such as `>=4,<5`") from wrong
    return text


def _day(value: Any) -> Any:
    return f"{value}T00:00:00Z" if isinstance(value, str) and "T" not in value else value


def _several(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if len(patterns) < 2:  # noqa: PLR2004
        raise ValueError("one pattern is a `pattern`; `all` has several")
    return patterns


Pattern = Annotated[str, pydantic.AfterValidator(_pattern)]


class Bad(Strict):
    """Which pins of one source, or of one tool, are bad: any, where nothing is said.

    `commits` are bad whatever their date, the first bad one first; so is what was committed from `since`
    on and `before` a moment. `versions` is a range as in a requirement, for a tool. A build that sets one
    of the CMake options in `unless` is not affected.
    """

    commits: tuple[ObjectId, ...] = ()
    since: Moment | None = None
    before: Moment | None = None
    versions: Annotated[str, pydantic.AfterValidator(_versions)] | None = None
    unless: tuple[str, ...] = ()


class Row(Strict):
    """One known breakage.

    `pattern` is a regular expression for one line of a log, or `all` are several that each match some
    line; the first one's line is the evidence. `source` is the component that changed, `since` when.
    `broken` says of which pins it is known before a build: all that it names must be bad. `remedy` is
    what to write into a spec here, `evidence` where to read more.
    """

    id: str = pydantic.Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")
    pattern: Pattern | None = None
    all: Annotated[tuple[Pattern, ...], pydantic.AfterValidator(_several)] | None = None
    cause: str
    since: Annotated[Moment, pydantic.BeforeValidator(_day)] | None = None
    source: str
    broken: dict[str, Bad] = pydantic.Field(default_factory=dict)
    fixed: ObjectId | None = None
    remedy: str
    evidence: str = pydantic.Field(pattern="^https://")

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Row:
        if (self.pattern is None) == (self.all is None):
            raise misplaced("either `pattern` or `all`", "pattern" if self.pattern else "id")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """What must each match a line."""
        return self.all if self.all is not None else (self.pattern or "",)


class Table(Strict):
    """The file: its rows, each with an id of its own."""

    breakages: tuple[Row, ...]

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Table:
        seen: set[str] = set()
        for at, row in enumerate(self.breakages):
            if row.id in seen:
                raise misplaced(f"another row has the id `{row.id}`", "breakages", at, "id")
            seen.add(row.id)
        return self


def parse(text: bytes, file: str) -> tuple[Row, ...]:
    """Read a table. Raises SpecError that names file and line."""
    return located.check(located.read(text, file, SpecError), Table, SpecError).breakages


@dataclass(frozen=True)
class Match:
    """A breakage that a log shows, and the line, counted from 1, that is the evidence."""

    row: Row
    line_number: int
    line: bytes


def match(rows: Sequence[Row], lines: Iterable[bytes]) -> list[Match]:
    """Find the breakages that a log shows, in the order of the lines; each once, at its first line.

    `lines` are read once and to their end, none is kept: a log may be large. One regular expression is
    made of all patterns, and a line that does not match that is done with.
    """
    missing = {(row.id, one): re.compile(one.encode()) for row in rows for one in row.patterns}
    # joined without groups: where all alternatives begin with a letter, `re` skips to the next of those
    some = re.compile(b"|".join(one.pattern for one in missing.values())) if rows else None
    found: dict[tuple[str, str], tuple[int, bytes]] = {}
    for number, line in enumerate(lines, 1):
        if some is not None and some.search(line):
            for key in [key for key, one in missing.items() if one.search(line)]:
                found[key] = (number, line)
                del missing[key]
    shown = [row for row in rows if all((row.id, one) in found for one in row.patterns)]
    matches = [Match(row, *found[row.id, row.patterns[0]]) for row in shown]
    return sorted(matches, key=lambda one: one.line_number)


def explain(match: Match, line: str) -> str:
    """Say what broke, by what and since when, the evidence (`line`, as it is to be shown), what to do."""
    return "\n".join(
        [
            f"known breakage `{match.row.id}` of {match.row.source}{_since(match.row)}",
            _field("cause", match.row.cause),
            _field("evidence", f"line {match.line_number}: {line.strip()}"),
            *_help(match.row),
        ]
    )


def document(match: Match, line: str) -> dict[str, Any]:
    """Give a match as JSON values."""
    row = match.row
    return {
        "id": row.id,
        "source": row.source,
        "since": written(row.since) if row.since else None,
        "cause": row.cause,
        "remedy": row.remedy,
        "see": row.evidence,
        "line_number": match.line_number,
        "line": line,
    }


@dataclass(frozen=True)
class Pin:
    """What is locked of one source or tool, and the CMake options that are set for it.

    `date` is the commit's own.
    """

    commit: str | None = None
    date: datetime | None = None
    version: str | None = None
    options: Collection[str] = ()


def pins(lock: Lock, tools: Mapping[str, str], options: Mapping[str, Collection[str]]) -> dict[str, Pin]:
    """Give what is locked: sources, with the options of their components, and tools by version."""
    sources = {
        name: Pin(one.commit, moment(one.date) if one.date else None, options=options.get(name, ()))
        for name, one in lock.sources.items()
    }
    return {**{name: Pin(version=version) for name, version in tools.items()}, **sources}


def known_bad(rows: Sequence[Row], pins: Mapping[str, Pin]) -> list[str]:
    """Say which breakages what is locked runs into, before anything is built.

    `pins` has sources and tools by name; a submodule `PARENT/PATH` is found by its path's last part, too.
    """
    found = []
    for row in rows:
        bad = [next(_matching(key, one, pins), None) for key, one in row.broken.items()]
        if bad and None not in bad:
            found.append(_warning(row, dict(one for one in bad if one)))
    return found


def _matching(key: str, bad: Bad, pins: Mapping[str, Pin]) -> Iterator[tuple[str, Pin]]:
    for name, pin in pins.items():
        if (name == key or name.endswith(f"/{key}")) and _is_bad(bad, pin):
            yield name, pin


def _is_bad(bad: Bad, pin: Pin) -> bool:
    if any(option in pin.options for option in bad.unless):
        return False
    if pin.commit in bad.commits:
        return True
    ranges = list(_holds(bad, pin))
    return all(ranges) if ranges else not bad.commits


def _holds(bad: Bad, pin: Pin) -> Iterator[bool]:
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - 20 ms

    if bad.since:
        yield pin.date is not None and pin.date >= bad.since
    if bad.before:
        yield pin.date is not None and pin.date < bad.before
    if bad.versions:
        yield pin.version is not None and SpecifierSet(bad.versions).contains(pin.version, prereleases=True)


def _warning(row: Row, bad: Mapping[str, Pin]) -> str:
    locked = " with ".join(f"`{name}` {_locked(pin)}" for name, pin in bad.items())
    return "\n".join(
        [f"{locked} is known to break{_since(row)}", _field("cause", row.cause), *_help(row)],
    )


def _locked(pin: Pin) -> str:
    dated = f" of {pin.date.astimezone(UTC):%Y-%m-%d}" if pin.date else ""
    return f"{pin.version or pin.commit or 'as locked'}{dated}"


def _since(row: Row) -> str:
    return f", since {row.since:%Y-%m-%d}" if row.since else ""


def _help(row: Row) -> list[str]:
    return [_field("remedy", row.remedy), _field("see", row.evidence)]


def _field(name: str, text: str) -> str:
    first, *more = text.strip().splitlines()
    return "\n".join([f"  {name:<8}  {first}", *(f"            {line}" for line in more)])
