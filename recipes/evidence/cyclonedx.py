"""A bill of materials as CycloneDX 1.6 writes it (ECMA-424), in JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from recipes import __version__
from recipes.evidence.naming import NAMESPACE, archive_purl, is_expression, swhids
from recipes.evidence.parts import Part, Parts, repositories
from recipes.origins import GitOrigin

_TYPES = {"wheel": "application", "conda": "platform", "package": "application"}  # all else is a library


def document(made: Parts) -> dict[str, Any]:
    """Make the document. The same parts give the same one: it has no time, and its number is their hash."""
    rows = {part.path: _component(part) for part in made.parts}
    target = rows.pop(made.target)
    body = {
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "tvm-recipes", "version": __version__}]},
            "component": target,
            "properties": [_property("variant", made.variant), _property("platform", made.platform)],
        },
        "components": list(rows.values()),
        "dependencies": [{"ref": part.path, "dependsOn": list(part.needs)} for part in made.parts],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"{NAMESPACE}/cyclonedx/{json.dumps(body, sort_keys=True)}")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        **body,
    }


def _component(part: Part) -> dict[str, Any]:
    said: dict[str, Any] = {
        "version": part.version,
        "description": part.summary,
        "licenses": [_licence(part.licence)] if part.licence else None,
        "hashes": [{"alg": "SHA-256", "content": part.sha256}] if part.sha256 else None,
        "purl": part.purl,
        "swhid": list(swhids(part.commit, part.tree)),
        "externalReferences": list(_references(part)),
        "properties": list(_properties(part)),
    }
    kept = {key: value for key, value in said.items() if value}
    return {"type": _TYPES.get(part.kind, "library"), "bom-ref": part.path, "name": part.name, **kept}


def _licence(licence: str) -> dict[str, Any]:
    return {"expression": licence} if is_expression(licence) else {"license": {"name": licence}}


def _references(part: Part) -> Iterator[dict[str, Any]]:
    for url in repositories(part):
        yield {"type": "vcs", "url": url, **({"comment": f"commit {part.commit}"} if part.commit else {})}
    for one in part.origins:
        if not isinstance(one, GitOrigin):
            named = {"type": "source-distribution", "url": archive_purl(one)}
            yield {**named, "hashes": [{"alg": "SHA-256", "content": one.sha256}]} if one.sha256 else named


def _properties(part: Part) -> Iterator[dict[str, str]]:
    yield _property("kind", part.kind)
    if part.nar_hash:
        yield _property("narHash", part.nar_hash)


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"tvm-recipes:{name}", "value": value}
