"""Why one store path depends on another: the shortest ways through a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recipes.errors import UsageError
from recipes.located import nearest
from recipes.plan import Build, Plan, SourceTree, UnpackedWheel


@dataclass(frozen=True)
class Step:
    """One step of a way: what the store path is to the one before it (`input nnpack`), and its name."""

    role: str
    path: str


def resolve(plan: Plan, word: str) -> str:
    """Find the store path that a word names: one itself, a component, a source, or a wheel's project.

    Where something is built of a component, its name means that and not its source. Raises UsageError.
    """
    if word in plan.derivations:
        return word
    known = {name: path for kind in (UnpackedWheel, SourceTree, Build) for name, path in _named(plan, kind)}
    if word not in known:
        raise UsageError(
            f"nothing of `{plan.variant}` has the name `{word}`{nearest(word, known)}",
            hint=f"`recipes plan --variant {plan.variant}` names all that is in it",
        )
    return known[word]


def _named(plan: Plan, kind: type[object]) -> Iterator[tuple[str, str]]:
    for path, one in plan.derivations.items():
        if isinstance(one, kind):
            yield _name(one), path


def _name(one: object) -> str:
    if isinstance(one, Build):
        return one.component
    return one.wheel.project if isinstance(one, UnpackedWheel) else str(getattr(one, "name", ""))


def steps(plan: Plan, path: str) -> list[Step]:
    """List what a build needs directly: its sources, its inputs, its tools."""
    one = plan.derivations[path]
    if not isinstance(one, Build):
        return []
    found = [Step(f"source {_name(plan.derivations[need])}", need) for need in one.sources.values()]
    found += [Step(f"input {name}", need) for name, need in one.inputs.items()]
    return found + [Step(f"tool {name}", need) for name, need in one.tools.items()]


def shortest(plan: Plan, start: str, end: str) -> list[list[Step]]:
    """Give the shortest ways from one store path to another that it needs; none where it does not."""
    ways: list[list[Step]] = [[Step("", start)]]
    seen: set[str] = set()
    while ways:
        if found := [way for way in ways if way[-1].path == end]:
            return found
        seen |= {way[-1].path for way in ways}
        ways = [[*way, step] for way in ways for step in steps(plan, way[-1].path) if step.path not in seen]
    return []


def text(ways: Sequence[Sequence[Step]]) -> str:
    """Write ways: each step on a line of its own, indented below the one that needs it."""
    return "\n\n".join(
        "\n".join(
            f"{'  ' * depth}{f'{step.role}: ' * bool(step.role)}{step.path}" for depth, step in enumerate(way)
        )
        for way in ways
    )


def none(plan: Plan, start: str, end: str) -> str:
    """Say that one store path does not depend on another."""
    said = f"{start} does not depend on {end}"
    return f"{said}: it is the other way round" if shortest(plan, end, start) and start != end else said
