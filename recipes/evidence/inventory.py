"""A bill of materials of a plan: what its parts say of themselves is read from the store."""

from __future__ import annotations

from email.parser import HeaderParser
from pathlib import Path

from recipes.evidence import parts
from recipes.evidence.parts import Parts
from recipes.plan import Plan, UnpackedWheel
from recipes.spec import Specs
from recipes.store import Store


def of(store: Store, plan: Plan, specs: Specs) -> Parts:
    """List the parts of a plan's target; what the store does not have has no NAR hash, a wheel no licence."""
    there = [path for path in plan.derivations if store.has(path)]
    wheels = [path for path in there if isinstance(plan.derivations[path], UnpackedWheel)]
    found = {path: licence(store.path(path)) for path in wheels}
    licences = {path: one for path, one in found.items() if one}
    return parts.parts(plan, specs, licences, {path: store.info(path).nar_hash for path in there})


def licence(wheel: Path) -> str | None:
    """Give the licence that an unpacked wheel names: PEP 639's expression, else a `License:` of one line."""
    for metadata in sorted(wheel.glob("*.dist-info/METADATA")):
        headers = HeaderParser().parsestr(metadata.read_text("utf-8", "replace"))
        said = str(headers["License-Expression"] or headers["License"] or "").strip()
        if said and "\n" not in said and said != "UNKNOWN":
            return said
    return None
