"""What `recipes show` prints of a variant: its specs, and what its lock says of them."""

from __future__ import annotations

from typing import Any

from recipes.held import until
from recipes.lock import Lock
from recipes.spec import Specs


def document(specs: Specs, lock: Lock | None) -> dict[str, Any]:
    """Give a variant as JSON values; a source that is not locked has no `locked`."""
    environment = specs.environment
    rows = []
    for source in specs.sources():
        recipe = specs.recipes[source.name]
        locked = lock.of(source.name) if lock else {}
        rows.append(
            {
                "name": source.name,
                "summary": recipe.summary,
                "license": recipe.license,
                "ref": source.ref,
                "inputs": list(recipe.inputs),
                "options": specs.options(source.name),
                "origins": [one.describe() for one in source.origins],
                "locked": {
                    path or ".": {"commit": one.commit, "hash": one.hash} for path, one in locked.items()
                },
            }
        )
    return {
        "variant": specs.variant,
        "summary": environment.summary,
        "target": environment.target,
        "toolchain": {environment.toolchain: list(environment.pypi)},
        "platforms": list(environment.platforms),
        "held": environment.held.model_dump(mode="json"),
        "sources": rows,
    }


def text(specs: Specs, lock: Lock | None) -> str:
    """Give a variant as text for a person."""
    found = document(specs, lock)
    lines = [f"{found['variant']}: {found['summary']}", f"target     {found['target']}"]
    lines.append(f"toolchain  {specs.environment.toolchain}: {', '.join(specs.environment.pypi)}")
    held = specs.environment.held
    lines += [f"held       {name} {until(one)}" for name, one in sorted(held.pypi.items())]
    lines.append(f"platforms  {', '.join(found['platforms'])}")
    for row in found["sources"]:
        lines += [
            "",
            f"{row['name']}: {row['summary']} ({row['license']})",
            f"  ref      {row['ref'] or '-'}",
        ]
        if row["name"] in held.sources:
            lines.append(f"  held     {until(held.sources[row['name']])}")
        lines += [f"  origin   {one}" for one in row["origins"]]
        lines += [f"  option   {name}={value}" for name, value in row["options"].items()]
        lines += [
            f"  locked   {path}  {one['commit'] or '-'}  {one['hash']}" for path, one in row["locked"].items()
        ]
    return "\n".join(lines)
