"""Provenance: an in-toto statement with SLSA's provenance predicate for one store path.

The formats are in-toto's Statement v1 and SLSA's provenance v1; docs/provenance.md says what each field
holds here. A statement has no times and no host paths: what was made of the same inputs has the same
statement, up to the origins that were used and the sandbox.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from recipes import hashes
from recipes.conda.lockfile import CondaPackage
from recipes.derivations import CondaPrefix
from recipes.evidence.naming import NAMESPACE, conda_purl, location, purl, source_purl, swhids, wheel_purl
from recipes.origins import Origin
from recipes.plan import PLAN_FORMAT, Build, Derivation, Plan, SourceTree, UnpackedWheel

Statement: TypeAlias = dict[str, Any]

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
NAR = "application/x-nix-nar"  # the media type by which Nix's binary caches serve NARs
UNRECORDED = "unrecorded"

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Known:
    """What a store knows of an entry: its NAR hash in SRI form, and the origin that gave it, in words."""

    nar_hash: str
    origin: str | None = None


def statement(
    plan: Plan,
    name: str,
    known: Mapping[str, Known],
    files: Mapping[str, str],
    *,
    sandbox: str | None = None,
    layers: Sequence[str] = (),
) -> Statement:
    """Make the statement of one store path of a plan.

    `known` has the entry itself, and of what it needs all that is in the store. `files` maps each file of
    it, by its path, to the SHA-256 of its bytes in hexadecimal. `sandbox` is what isolated the build, None
    where that was not recorded; `layers` are the SHA-256 of the archives of a compiler cache that it read.
    """
    one = plan.derivations[name]
    return {
        "_type": STATEMENT,
        "subject": subject(name, known[name].nar_hash, files),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": f"{NAMESPACE}/{one.kind}/v1",
                "externalParameters": _asked(plan, one),
                "internalParameters": _derived(name, one),
                "resolvedDependencies": [*_needs(plan, name, known), *map(_layer, layers)],
            },
            "runDetails": {"builder": {"id": _builder(one, sandbox)}},
        },
    }


def _needs(plan: Plan, name: str, known: Mapping[str, Known]) -> list[dict[str, Any]]:
    """Describe what a store path was made from; a source or a wheel is made from what was fetched for it."""
    one = plan.derivations[name]
    if isinstance(one, CondaPrefix):
        return [_package(package) for package in one.packages]
    paths = plan.inputs(name) if isinstance(one, Build) else (name,)
    return [need(plan.derivations[path], path, known.get(path)) for path in paths] + _host(one)


def _layer(sha256: str) -> dict[str, Any]:
    """Describe an archive of a compiler cache: in no derivation, but bytes that the build read."""
    return {"name": "compiler cache", "digest": {"sha256": sha256}}


def _package(one: CondaPackage) -> dict[str, Any]:
    return {"name": one.name, "uri": conda_purl(one), "digest": {"sha256": one.sha256}}


def subject(name: str, nar_hash: str, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """Name what a statement is about: the store path by its NAR, and each file in it."""
    whole = {"name": name, "digest": {"sha256": hexadecimal(nar_hash)}, "mediaType": NAR}
    return [
        whole,
        *({"name": f"{name}/{_text(path)}", "digest": {"sha256": files[path]}} for path in sorted(files)),
    ]


def hexadecimal(sri: str) -> str:
    """Write a SHA-256 in SRI form as in-toto's DigestSets do: 64 lower-case hexadecimal digits."""
    return base64.b64decode(sri.removeprefix("sha256-")).hex()


def text_hash(text: str) -> str:
    """Give the SHA-256 of a text in SRI form."""
    return hashes.sri(hashlib.sha256(text.encode()).digest())


def _text(path: str) -> str:
    # JSON holds no bytes that are not UTF-8; in a statement they are written as `\xff`
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _asked(plan: Plan, one: Derivation) -> dict[str, Any]:
    if isinstance(one, Build):
        asked = {"component": one.component, "platform": one.platform, "sandbox": one.sandbox}
        return {**asked, "toolchain": _toolchain(plan, one)} if one.tools else asked
    if isinstance(one, SourceTree):
        return {"source": one.name, **_lock_entry(one)}
    if isinstance(one, CondaPrefix):
        return {"at": one.at, "platform": one.platform}
    return {key: value for key, value in dataclasses.asdict(one.wheel).items() if value}


def _toolchain(plan: Plan, one: Build) -> str:
    """Name a build's toolchain, which is told by where its tools come from."""
    kinds = sorted({plan.derivations[path].kind for path in one.tools.values()})
    return "host" if one.host else {"wheel": "pypi"}.get(kinds[0], kinds[0])


def _lock_entry(one: SourceTree) -> dict[str, Any]:
    """Give what the lock says of a source, but for its origins."""
    said = {"ref": one.ref, "commit": one.commit, "tree": one.tree, "hash": one.hash}
    part = {key: value for key, value in dataclasses.asdict(one.filter).items() if value}
    return {**{key: value for key, value in said.items() if value}, "filter": _plain(part)}


def _derived(name: str, one: Derivation) -> dict[str, Any]:
    return {"derivation": name, "planFormat": PLAN_FORMAT, "identity": plain_identity(one)}


def plain_identity(one: Derivation) -> dict[str, Any]:
    """Give what a derivation's hash covers as JSON holds it."""
    found: dict[str, Any] = _plain(one.identity())
    return found


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _builder(one: Derivation, sandbox: str | None) -> str:
    by = sandbox or UNRECORDED
    if not isinstance(one, Build):
        by = "fetch"
    elif one.sandbox == "none":
        by = "none"
    return f"{NAMESPACE}/builder/{by}/v1"


def need(one: Derivation, path: str, known: Known | None) -> dict[str, Any]:
    """Describe one thing that something was made from, by what is known of it."""
    if isinstance(one, SourceTree):
        return _source(one, path, known)
    if isinstance(one, UnpackedWheel):
        digest = {"sha256": one.wheel.sha256}
        said = {"storePath": path}
        return {"name": one.label(), "uri": wheel_purl(one.wheel), "digest": digest, "annotations": said}
    nar = {"digest": {"sha256": hexadecimal(known.nar_hash)}, "mediaType": NAR} if known else {}
    return {
        "name": one.label(),
        "uri": purl("generic", one.label(), version=path[:32]),
        **nar,
        "annotations": {"storePath": path},
    }


def _host(one: Derivation) -> list[dict[str, Any]]:
    """Describe what of the host went in: files by their hash, whatever else tells it in words."""
    told = sorted(one.host.items()) if isinstance(one, Build) else []
    return [
        {"name": f"host {name}", "digest": {"sha256": value}}
        if _SHA256.fullmatch(value)
        else {"name": f"host {name}", "annotations": {"said": value}}
        for name, value in told
    ]


def _source(one: SourceTree, path: str, known: Known | None) -> dict[str, Any]:
    used = _used(one, known)
    git = {"gitCommit": one.commit, "gitTree": one.tree}
    digest = {"sha256": hexadecimal(one.hash), **{key: value for key, value in git.items() if value}}
    said: dict[str, Any] = {"storePath": path, "lock": _lock_entry(one)}
    said["origin"] = (known.origin if known else None) or UNRECORDED
    if used is not None:
        said["originLocked"] = used.model_dump(mode="json", exclude_none=True)
    if ids := swhids(one.commit, one.tree):
        said["swhid"] = list(ids)
    uri = location(used, one.commit) if used else source_purl(one)
    return {"name": one.name, "uri": uri, "digest": digest, "mediaType": NAR, "annotations": said}


def _used(one: SourceTree, known: Known | None) -> Origin | None:
    """Find the locked origin that gave a source, by the words the store has for it."""
    described = known.origin if known else None
    return next((origin for origin in one.origins if origin.describe() == described), None)


def render(made: Statement) -> bytes:
    """Write a statement: the same statement always gives the same bytes, and these are signed."""
    text = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{text}\n".encode()


def parse(data: bytes) -> Statement | None:
    """Read a statement of ours; None for anything else."""
    try:
        found = json.loads(data)
        whole = found["subject"][0]
        described = isinstance(whole["name"], str) and isinstance(whole["digest"]["sha256"], str)
        described &= isinstance(derived(found)["identity"], dict)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if described and found.get("predicateType") == PREDICATE else None


def derived(made: Statement) -> dict[str, Any]:
    """Give a statement's internal parameters: the derivation, its identity, the format of the plan."""
    found: dict[str, Any] = made["predicate"]["buildDefinition"]["internalParameters"]
    return found


def dependencies(made: Statement) -> dict[str, dict[str, Any]]:
    """Give what a statement says something was made from, by store path."""
    found = made["predicate"]["buildDefinition"].get("resolvedDependencies", [])
    paths = {one.get("annotations", {}).get("storePath"): one for one in found}
    return {path: one for path, one in paths.items() if path}
