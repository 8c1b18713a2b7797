"""The difference of two locks, as values and in words: sources by the commits between, wheels by version.

Pure: `moves` says which commits would have to be known, and `compare` is given what is known of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from recipes.conda.lockfile import CondaLock, CondaPackage
from recipes.dates import written
from recipes.history import Span, Step
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.requirements import Requirements, Wheel

MOST = 50  # commits shown for one source, each way

_Versioned: TypeAlias = Wheel | CondaPackage
Move: TypeAlias = tuple[str, str, str]  # a repository, the old commit and the new one


@dataclass(frozen=True)
class SourceChanged:
    """A source that two locks have differently; None for the one that does not have it.

    `notes` says in words what differs besides the commit. `span` is what lies between the commits, or
    why that is not known; None where they are the same, or one is missing.
    """

    name: str
    old: LockedSource | None
    new: LockedSource | None
    notes: tuple[str, ...] = ()
    span: Span | str | None = None


@dataclass(frozen=True)
class WheelChanged:
    """A wheel that two locks have differently, and on which platforms; None for no such wheel."""

    project: str
    old: str | None
    new: str | None
    platforms: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """All that two locks have differently, in order of name."""

    sources: tuple[SourceChanged, ...] = ()
    wheels: tuple[WheelChanged, ...] = ()


@dataclass(frozen=True)
class Changed:
    """What a variant's new locks have differently: the lock files that differ, and what differs in them."""

    variant: str
    files: tuple[str, ...]
    difference: Difference


def moves(old: Lock, new: Lock) -> dict[Move, str | None]:
    """Give the pairs of commits whose history `compare` can tell, and a ref that leads to the new one."""
    both = ((old.sources[name], new.sources[name]) for name in sorted({*old.sources} & {*new.sources}))
    return {move: has.resolved for had, has in both if (move := _move(had, has))}


def _move(had: LockedSource, has: LockedSource) -> Move | None:
    urls = [one.git for one in (*has.origins, *had.origins) if isinstance(one, GitOrigin)]
    if not urls or had.commit is None or has.commit is None or had.commit == has.commit:
        return None
    return urls[0], had.commit, has.commit


def compare(old: Lock, new: Lock, known: Mapping[Move, Span | str]) -> tuple[SourceChanged, ...]:
    """Give the sources that differ; `known` is what is known of what lies between their commits."""
    return tuple(_source(old, new, name, known) for name in _differing(old.sources, new.sources))


def _differing(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> list[Any]:
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _source(old: Lock, new: Lock, name: str, known: Mapping[Move, Span | str]) -> SourceChanged:
    had, has = old.sources.get(name), new.sources.get(name)
    if had is None or has is None:
        return SourceChanged(name, had, has)
    move = _move(had, has)
    span = known.get(move, "nobody was asked") if move else None
    return SourceChanged(name, had, has, tuple(_notes(had, has)), span)


def _notes(had: LockedSource, has: LockedSource) -> Iterator[str]:
    yield from _changed("ref", had.ref, has.ref)
    if had.ref == has.ref:
        yield from _changed("found as", had.resolved, has.resolved)
    yield from _changed("before", *(written(one.before) if one.before else None for one in (had, has)))
    yield from _listed("include", had.include, has.include)
    yield from _listed("exclude", had.exclude, has.exclude)
    yield from _changed("strip", had.strip, has.strip)
    yield from _changed("modes", had.modes, has.modes)
    yield from _listed("origin", *(tuple(map(_origin, one.origins)) for one in (had, has)))
    if had.commit == has.commit:
        yield from _changed("tree", had.tree, has.tree)
        yield from _changed("date", had.date, has.date)
    if had.hash == has.hash and had.commit != has.commit:
        yield "what is taken is the same"
    elif had.hash != has.hash and had.commit == has.commit:
        yield from _changed("content", had.hash, has.hash)


def _changed(what: str, had: str | None, has: str | None) -> Iterator[str]:
    if had != has:
        yield f"{what} {_named(had)} → {_named(has)}"


def _named(text: str | None) -> str:
    return "none" if text is None else f"`{text}`"


def _listed(what: str, had: Sequence[str], has: Sequence[str]) -> Iterator[str]:
    gone = [f"- `{one}`" for one in had if one not in has]
    more = [f"+ `{one}`" for one in has if one not in had]
    if gone or more:
        yield f"{what} {', '.join(gone + more)}"
    elif had != has:
        yield f"{what}: the same in another order"


def _origin(origin: Any) -> str:
    """Write an origin as the lock does: two that differ in anything read differently."""
    values = origin.model_dump(mode="json", exclude_none=True)
    return " ".join(f"{key} {value}" for key, value in values.items())


def wheels(old: Requirements, new: Requirements) -> tuple[WheelChanged, ...]:
    """Give the wheels that differ, those of one project together where they changed alike."""
    before = {(one.project, _used_by(one)): replace(one, via=()) for one in old.wheels}
    after = {(one.project, _used_by(one)): replace(one, via=()) for one in new.wheels}
    return _alike(before, after)


def conda(old: CondaLock | None, new: CondaLock | None) -> tuple[WheelChanged, ...]:
    """Give the conda packages that differ, in the form of wheels."""
    before = {(one.name, one.platform): one for one in (old.packages if old else ())}
    after = {(one.name, one.platform): one for one in (new.packages if new else ())}
    return _alike(before, after)


def _alike(
    before: Mapping[tuple[str, str], _Versioned], after: Mapping[tuple[str, str], _Versioned]
) -> tuple[WheelChanged, ...]:
    alike: dict[tuple[str, str | None, str | None], list[str]] = {}
    for project, platform in _differing(before, after):
        had, has = before.get((project, platform)), after.get((project, platform))
        versions = had.version if had else None, has.version if has else None
        alike.setdefault((project, *versions), []).append(platform)
    return tuple(WheelChanged(*key, tuple(platforms)) for key, platforms in alike.items())


def _used_by(wheel: Wheel) -> str:
    return f"{wheel.platform} Python {wheel.python}" if wheel.python else wheel.platform


def text(difference: Difference) -> str:
    """Write a difference for a person, a block a source; empty for none."""
    lines: list[str] = []
    for one in difference.sources:
        lines.append(f"{one.name}: {_movement(one)}")
        lines += [f"  {note}" for note in one.notes]
        for head, steps in _spans(one.span):
            lines.append(f"  {head}")
            lines += [f"    {step.commit[:12]} {_day(step)} {step.subject}".rstrip() for step in steps[:MOST]]
            lines += [f"    and {len(steps) - MOST} more"] if len(steps) > MOST else []
    for wheel in difference.wheels:
        lines.append(f"{wheel.project}: {_versions(wheel)} for {', '.join(wheel.platforms)}")
    return "\n".join(lines)


def _movement(one: SourceChanged) -> str:
    return _arrow(*(_place(half) if half else None for half in (one.old, one.new)))


def _place(one: LockedSource) -> str:
    day = f" ({one.date[:10]})" if one.date else ""
    return one.commit[:12] + day if one.commit else one.hash[:19]


def _versions(one: WheelChanged) -> str:
    return _arrow(one.old, one.new) + (", another file" if one.old == one.new else "")


def _arrow(had: str | None, has: str | None) -> str:
    if had is None or has is None:
        return f"new, {has}" if had is None else f"gone, was {had}"
    return f"{had} → {has}" if had != has else has


def _day(step: Step) -> str:
    return step.date.date().isoformat()


def _spans(span: Span | str | None) -> Iterator[tuple[str, Sequence[Step]]]:
    if isinstance(span, str):
        yield f"the commits between are not known: {span}", ()
    elif span is not None:
        for steps, way in ((span.forward, "forward"), (span.back, "back")):
            if steps:
                yield f"{len(steps)} commit{'s' if len(steps) > 1 else ''} {way}", steps


def document(difference: Difference) -> dict[str, Any]:
    """Give a difference as JSON values; `commits` has all of them, newest first."""
    return {
        "sources": [_row(one) for one in difference.sources],
        "packages": [
            {"name": one.project, "old": one.old, "new": one.new, "platforms": list(one.platforms)}
            for one in difference.wheels
        ],
    }


def _row(one: SourceChanged) -> dict[str, Any]:
    locked = [half and half.model_dump(mode="json", exclude_defaults=True) for half in (one.old, one.new)]
    row: dict[str, Any] = {"name": one.name, "old": locked[0], "new": locked[1], "notes": list(one.notes)}
    if isinstance(one.span, str):
        return {**row, "commits": None, "commits_unknown": one.span}
    span = one.span or Span()
    return {**row, "commits": {"forward": _steps(span.forward), "back": _steps(span.back)}}


def _steps(steps: Sequence[Step]) -> list[dict[str, str]]:
    return [{"commit": one.commit, "date": written(one.date), "subject": one.subject} for one in steps]


def markdown(difference: Difference) -> str:
    """Write a difference for a pull request; empty for none.

    Strangers' words are code: they can neither call people (`@name`) nor link to issues (`#1`).
    """
    blocks = [_block(one) for one in difference.sources]
    if difference.wheels:
        head = ["| package | old | new | platforms |", "| --- | --- | --- | --- |"]
        cells = ((one.project, one.old, one.new, ", ".join(one.platforms)) for one in difference.wheels)
        blocks.append(
            "\n".join([*head, *(f"| {' | '.join(cell or '-' for cell in row)} |" for row in cells)])
        )
    return "\n\n".join(blocks)


def _block(one: SourceChanged) -> str:
    lines = [f"**{one.name}**: {_movement(one)}", ""]
    lines += [f"- {note}" for note in one.notes]
    for head, steps in _spans(one.span):
        lines.append(f"- {head}")
        lines += [
            f"  - {step.commit[:12]} {_day(step)} {code(step.subject)}".rstrip() for step in steps[:MOST]
        ]
        lines += [f"  - and {len(steps) - MOST} more"] if len(steps) > MOST else []
    return "\n".join(lines).rstrip("\n")


def code(text: str) -> str:
    """Write a stranger's words as code for Markdown; nothing for none."""
    fence = "`"
    while fence in text:
        fence += "`"
    gap = " " if "`" in text else ""  # which CommonMark takes away again
    return f"{fence}{gap}{text}{gap}{fence}" if text.strip() else ""
