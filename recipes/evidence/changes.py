"""Why something is built anew: what differs between a planned build and an earlier one, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any, TypeAlias

from recipes.evidence import provenance
from recipes.evidence.provenance import Statement
from recipes.plan import PLAN_FORMAT, Derivation, Plan, SourceTree, UnpackedWheel

Earlier: TypeAlias = Callable[[str], Statement | None]  # by the name of a store path

_EACH = {
    "env": "variable",
    "host": "host",
    "options": "option",
    "outputs": "output",
}  # fields that map names to short texts
_TEXTS = {"programs": "program", "files": "file"}  # the same with texts that are too long to show
_NEEDS = {"sources": "source", "inputs": "input", "tools": "tool"}  # that map names to store paths


@dataclass(frozen=True)
class Change:
    """One thing that differs; None for a side that lacks it. `below` is what differs in an input."""

    what: str
    old: str | None
    new: str | None
    below: tuple[Change, ...] = ()

    def lines(self, indent: str = "  ") -> Iterator[str]:
        """Say it, a line each, indented."""
        yield f"{indent}{self.what}: {self._sides()}"
        for one in self.below:
            yield from one.lines(f"{indent}  ")

    def _sides(self) -> str:
        if self.old is None or self.new is None:
            return f"added: {self.new}" if self.old is None else f"removed: {self.old}"
        return f"{self.old} → {self.new}"

    def document(self) -> dict[str, Any]:
        """Give it as JSON holds it."""
        return asdict(self)


def between(made: Statement, plan: Plan, path: str, earlier: Earlier) -> tuple[Change, ...]:
    """Say what differs between an earlier build, by its statement, and a planned one.

    `earlier` finds the statement of an older store path, where there is one, so that what differs in an
    input is said as well.
    """
    old = provenance.derived(made)
    new = provenance.plain_identity(plan.derivations[path])
    formats = _value("plan format", old.get("planFormat"), PLAN_FORMAT)
    return (*formats, *_Sides(made, plan, earlier).fields(old["identity"], new))


@dataclass(frozen=True)
class _Sides:
    made: Statement
    plan: Plan
    earlier: Earlier

    def fields(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
        named = {**_NEEDS, **_EACH, **_TEXTS, "phases": "phase"}
        for key in [*named, *sorted({*old, *new} - named.keys())]:
            before, after = old.get(key), new.get(key)
            if before == after:
                continue
            if key in _NEEDS:
                yield from self.needs(_NEEDS[key], before or {}, after or {})
            elif key in _EACH:
                yield from _each(_EACH[key], before or {}, after or {})
            elif key in _TEXTS:
                yield from _each(_TEXTS[key], *(_digests(one or {}) for one in (before, after)))
            elif key == "phases":
                yield from _phases(before or [], after or [], _flags(old, new))
            elif key == "check":
                yield Change("check", before and _digest(before), after and _digest(after))
            else:
                yield from _value(key, before, after)

    def needs(self, what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
        for key in sorted({*old, *new}):
            before, after = old.get(key), new.get(key)
            if before == after:
                continue
            one = self.plan.derivations[after] if after else None
            said = provenance.dependencies(self.made).get(before or "")
            name = key or (one.label() if one else said["name"] if said else "itself")
            yield Change(
                f"{what} {name}",
                before and _described(said, before),
                after and _named(one, after),
                self.below(before, after) if what == "input" else (),
            )

    def below(self, old: str | None, new: str | None) -> tuple[Change, ...]:
        made = self.earlier(old) if old and new else None
        if made is None or new is None:
            return ()
        return between(made, self.plan, new, self.earlier)


def _described(said: Mapping[str, Any] | None, path: str) -> str:
    """Name an old input as `_named` does a new one, from what was recorded of it."""
    if said is None:
        return path
    entry = said["annotations"].get("lock")
    if entry:
        return str(entry.get("commit") or entry["hash"])
    return str(said["name"]) if str(said["uri"]).startswith("pkg:pypi/") else path


def _named(one: Derivation | None, path: str) -> str:
    if isinstance(one, SourceTree):
        return one.commit or one.hash
    return one.label() if isinstance(one, UnpackedWheel) else path


def _value(what: str, old: Any, new: Any) -> Iterator[Change]:
    if old != new:
        yield Change(what, _short(old), _short(new))


def _short(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)


def _each(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield Change(f"{what} {key}", old.get(key), new.get(key))


def _digests(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: _digest(text) for name, text in texts.items()}


def _digest(text: str) -> str:
    return f"{len(text.splitlines())} lines, {provenance.text_hash(text)}"


def _flags(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """Give the words that options are in a phase's argv: a changed option is said once, as an option."""
    sides = (old.get("options") or {}, new.get("options") or {})
    return frozenset(f"-D{key}={value}" for side in sides for key, value in side.items())


def _phases(old: Iterable[Any], new: Iterable[Any], flags: frozenset[str]) -> Iterator[Change]:
    before, after = ({one["name"]: one for one in side} for side in (old, new))
    for name in dict.fromkeys([*before, *after]):
        one, other = (_words(side.get(name), flags) for side in (before, after))
        if one is None or other is None:
            yield Change(f"phase {name}", _joined(one), _joined(other))
            continue
        yield from _argv(f"phase {name}", one, other)
        yield from _value(f"phase {name} has to say", before[name].get("says"), after[name].get("says"))


def _words(phase: Mapping[str, Any] | None, flags: frozenset[str]) -> list[str] | None:
    return None if phase is None else [word for word in phase["argv"] if word not in flags]


def _joined(words: list[str] | None) -> str | None:
    return None if words is None else " ".join(words)


def _argv(what: str, old: list[str], new: list[str]) -> Iterator[Change]:
    for kind, start, end, begin, stop in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield Change(what, " ".join(old[start:end]) or None, " ".join(new[begin:stop]) or None)
