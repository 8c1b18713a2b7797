"""A draft of specs that lock what a tree's CMake files download, and of the settings that put it in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recipes.giturls import shown
from recipes.scan.findings import Found, Scan

_KINDS = re.compile(r"(?:ExternalProject|FetchContent|CPM)\w*")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]*")


@dataclass(frozen=True)
class Dependency:
    """One download in the terms of specs: its component's name, origin and ref.

    `setting` is the CMake setting that stops it, None where none was seen.
    """

    found: Found
    name: str
    origin: tuple[str, str]
    ref: str | None
    setting: str | None


def dependencies(scan: Scan) -> list[Dependency]:
    """Give what CMake's modules download, one for each name."""
    wanted = [one for one in scan.found if _KINDS.fullmatch(one.kind) and one.name]
    unique = {_component(one.name or ""): one for one in reversed(wanted)}
    return [_dependency(name, one) for name, one in sorted(unique.items())]


def _dependency(name: str, one: Found) -> Dependency:
    origin = ("git", one.url) if one.url else ("url", one.what)
    ref = (one.ref or "HEAD").removeprefix("origin/") if one.url else None
    return Dependency(one, name, origin, one.pin if ref == "HEAD" and one.pin else ref, _setting(one))


def _setting(one: Found) -> str | None:
    name = (one.name or "").upper()
    if one.kind.startswith("FetchContent"):
        return f"FETCHCONTENT_SOURCE_DIR_{name}"
    if one.kind.startswith("CPM"):
        return f"CPM_{one.name}_SOURCE"
    return one.guard


def _component(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def draft(scan: Scan) -> str:
    """Write the recipes and the environment's `sources` as YAML, and the settings as comments below."""
    found = dependencies(scan)
    if not found:
        return "# nothing that ExternalProject, FetchContent or CPM downloads"
    parts = [_recipe(one) for one in found]
    return "\n".join([*parts, _sources(found), _settings(found)])


def _recipe(one: Dependency) -> str:
    kind, place = one.origin
    ref = [f"  ref: {_scalar(one.ref)}"] if one.ref else []
    lines = [
        f"# recipes/components/{one.name}/recipe.yaml, from {_comment(one.found.file)}:{one.found.line}",
        f"summary: {_scalar(one.name)}, draft",
        "license: unknown",
        "source:",
        "  origins:",
        f"    - {kind}: {_scalar(shown(place))}",
        *ref,
        "---",
    ]
    return "\n".join(lines)


def _sources(found: Sequence[Dependency]) -> str:
    lines = ["# environments/VARIANT.yaml", "sources:"]
    for one in found:
        if one.ref:
            lines += [
                f"  {one.name}:",
                f"    ref: {_scalar(one.ref)}",
                f"    why: {_scalar(one.found.verdict.why)}",
            ]
        else:
            lines.append(f"  {one.name}:")
    return "\n".join(lines)


def _settings(found: Iterable[Dependency]) -> str:
    lines = ["# settings that put the locked trees in place; {NAME} is where a recipe's input lies"]
    for one in found:
        if one.setting:
            lines.append(f"#   -D{_comment(one.setting)}={{{one.name}}}")
        else:
            lines.append(f"#   {one.name}: no variable seen that stops {_comment(one.found.file)}")
    if any(one.found.kind.startswith("FetchContent") for one in found):
        lines.append("#   -DFETCHCONTENT_FULLY_DISCONNECTED=ON")
    return "\n".join(lines)


def _comment(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", text)


def _scalar(text: str | None) -> str:
    """Write a text as a YAML scalar: in quotes, unless it is plainly none of YAML's own."""
    text = text or ""
    if _SAFE.fullmatch(text) and not re.fullmatch(
        r"[\d._+-]*(?:e\d+)?|true|false|yes|no|on|off|null", text, re.IGNORECASE
    ):
        return text
    escaped = "".join(_escaped(one) for one in text)
    return f'"{escaped}"'


def _escaped(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() else f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}"  # noqa: PLR2004
