"""A bill of materials as SPDX 2.3 writes it (ISO/IEC 5962 is 2.2.1), in JSON."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from recipes import __version__
from recipes.evidence.naming import NAMESPACE, is_expression, swhids, vcs_location
from recipes.evidence.parts import Part, Parts, repositories
from recipes.origins import UrlOrigin

_NONE = "NOASSERTION"
_DOCUMENT = "SPDXRef-DOCUMENT"
_PURPOSES = {"source": "SOURCE", "wheel": "APPLICATION", "package": "APPLICATION", "build": "LIBRARY"}


def document(made: Parts) -> dict[str, Any]:
    """Make the document. The same parts give the same one: its date is that of the newest commit."""
    packages = [_package(part) for part in made.parts]
    links = [_link(_DOCUMENT, "DESCRIBES", _id(made.target)), *_relationships(made)]
    text = json.dumps([made.variant, made.platform, made.target, packages, links], sort_keys=True)
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"{NAMESPACE}/spdx/{text}")
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{made.variant}-{made.platform}",
        "documentNamespace": f"{NAMESPACE}/spdx/{number}",
        "creationInfo": {
            "created": datetime.fromtimestamp(made.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: tvm-recipes-{__version__}"],
        },
        "packages": packages,
        "relationships": links,
    }


def _id(path: str) -> str:
    """Name a part by its path: SPDX 2.3 (7.2.1) allows letters, digits, `.` and `-` only.

    Where others are left out, a hash of the path tells it from what differs in them only.
    """
    plain = re.sub("[^A-Za-z0-9.-]", "-", path)
    after = "" if plain == path else f"-{hashlib.sha256(path.encode()).hexdigest()[:16]}"
    return f"SPDXRef-{plain}{after}"


def _package(part: Part) -> dict[str, Any]:
    said: dict[str, Any] = {
        "versionInfo": part.version,
        "summary": part.summary,
        "checksums": [{"algorithm": "SHA256", "checksumValue": part.sha256}] if part.sha256 else None,
        "externalRefs": list(_references(part)),
        "primaryPackagePurpose": _PURPOSES.get(part.kind),
        **_licences(part.licence),
        "comment": f"NAR hash {part.nar_hash}" if part.nar_hash else None,
    }
    return {
        "SPDXID": _id(part.path),
        "name": part.name,
        "downloadLocation": _location(part),
        "filesAnalyzed": False,
        "copyrightText": _NONE,
        **{key: value for key, value in said.items() if value},
    }


def _licences(licence: str | None) -> dict[str, str | None]:
    """Tell a licence that is an SPDX expression as declared, any other words as a comment."""
    declared = licence if licence and is_expression(licence) else _NONE
    comment = f"said to be: {licence}" if licence and declared == _NONE else None
    return {"licenseConcluded": _NONE, "licenseDeclared": declared, "licenseComments": comment}


def _location(part: Part) -> str:
    if part.commit and (found := repositories(part)):
        return vcs_location(found[0], part.commit)
    return next((one.url for one in part.origins if isinstance(one, UrlOrigin)), _NONE)


def _references(part: Part) -> Iterator[dict[str, str]]:
    yield _reference("PACKAGE-MANAGER", "purl", part.purl)
    for one in swhids(part.commit, part.tree):
        yield _reference("PERSISTENT-ID", "swh", one)


def _reference(category: str, kind: str, locator: str) -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def _relationships(made: Parts) -> Iterator[dict[str, str]]:
    kinds = {part.path: part.kind for part in made.parts}
    for part in made.parts:
        for need in part.needs:
            if kinds[need] == "source":
                yield _link(_id(part.path), "GENERATED_FROM", _id(need))
            elif kinds[need] == "package":
                yield _link(_id(part.path), "CONTAINS", _id(need))
            elif kinds[need] == "build":
                yield _link(_id(part.path), "DEPENDS_ON", _id(need))
            else:
                yield _link(_id(need), "BUILD_TOOL_OF", _id(part.path))


def _link(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
