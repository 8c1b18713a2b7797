"""What a build is made of, as bills of materials list it: sources, wheels and builds, with what they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from recipes.derivations import CondaPrefix
from recipes.evidence.naming import conda_purl, purl, source_purl, wheel_purl
from recipes.origins import GitOrigin, Origin
from recipes.plan import Build, Plan, SourceTree, UnpackedWheel
from recipes.requirements import Wheel
from recipes.spec import Specs


@dataclass(frozen=True)
class Part:
    """One store path. `licence` is what its recipe or its metadata says, None where nothing does.

    `sha256` is that of the file that was fetched; `nar_hash` that of the tree, in SRI form, where it is
    known. `needs` are the parts that it is made of, by their store paths.
    """

    path: str
    kind: str
    name: str
    version: str | None
    purl: str
    summary: str | None = None
    licence: str | None = None
    sha256: str | None = None
    nar_hash: str | None = None
    commit: str | None = None
    tree: str | None = None
    origins: tuple[Origin, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """All parts of one target, in the order of the plan; `epoch` is the newest commit's, since 1970."""

    variant: str
    platform: str
    target: str
    epoch: int
    parts: tuple[Part, ...]


def parts(plan: Plan, specs: Specs, licences: Mapping[str, str], hashes: Mapping[str, str]) -> Parts:
    """List what is behind a plan's target.

    `licences` are those that wheels name, `hashes` the NAR hashes of what is in the store, by store path.
    """
    paths = _closure(plan, plan.target)
    found = [_part(plan, specs, path, licences.get(path), hashes.get(path)) for path in paths]
    builds = [one for one in plan.derivations.values() if isinstance(one, Build)]
    epoch = max((int(one.env.get("SOURCE_DATE_EPOCH", 0)) for one in builds), default=0)
    return Parts(plan.variant, plan.platform, plan.target, epoch, (*_packages(plan, paths), *found))


def _closure(plan: Plan, target: str) -> list[str]:
    needed = [target]
    for path in needed:  # grows while it is read
        needed += [one for one in plan.inputs(path) if one not in needed]
    return [path for path in plan.derivations if path in needed]


def _part(plan: Plan, specs: Specs, path: str, licence: str | None, nar_hash: str | None) -> Part:
    one = plan.derivations[path]
    if isinstance(one, SourceTree):
        return _source(specs, path, one)
    if isinstance(one, Build):
        return _build(plan, specs, path, one, nar_hash)
    if isinstance(one, UnpackedWheel):
        return _wheel(path, one.wheel, licence, nar_hash)
    named = purl("generic", one.label(), version=path[:32])
    needs = tuple(map(conda_purl, one.packages))
    return Part(path, one.kind, one.label(), None, named, nar_hash=nar_hash, needs=needs)


def _packages(plan: Plan, paths: Iterable[str]) -> Iterator[Part]:
    """List what conda environments hold, each package once; their names stand for store paths."""
    environments = [one for path in paths if isinstance(one := plan.derivations[path], CondaPrefix)]
    found = {conda_purl(package): package for one in environments for package in one.packages}
    for named, package in found.items():
        yield Part(named, "package", package.name, package.version, named, sha256=package.sha256)


def _wheel(path: str, wheel: Wheel, licence: str | None, nar_hash: str | None) -> Part:
    return Part(
        path,
        UnpackedWheel.kind,
        wheel.project,
        wheel.version,
        wheel_purl(wheel),
        licence=licence,
        sha256=wheel.sha256,
        nar_hash=nar_hash,
    )


def _source(specs: Specs, path: str, one: SourceTree) -> Part:
    recipe = specs.recipes.get(one.name)  # a submodule has none, and its parent's licence is not its own
    return Part(
        path,
        one.kind,
        one.name,
        _version(one),
        source_purl(one),
        recipe.summary if recipe else None,
        recipe.license if recipe else None,
        nar_hash=one.hash,
        commit=one.commit,
        tree=one.tree,
        origins=one.origins,
    )


def _version(one: SourceTree) -> str | None:
    """Give the tag that was asked for, else the commit, else the version of an archive."""
    if one.ref and one.ref.startswith("refs/tags/"):
        return one.ref.removeprefix("refs/tags/")
    archives = (getattr(origin, "version", None) for origin in one.origins)
    return one.commit or next((version for version in archives if version), None)


def _build(plan: Plan, specs: Specs, path: str, one: Build, nar_hash: str | None) -> Part:
    recipe = specs.recipes[one.component]
    source = plan.derivations.get(one.sources.get("", ""))
    version = _version(source) if isinstance(source, SourceTree) else None
    return Part(
        path,
        one.kind,
        one.component,
        version,
        purl("generic", one.component, version=version or path[:32]),
        recipe.summary,
        recipe.license,
        nar_hash=nar_hash,
        needs=plan.inputs(path),
    )


def repositories(part: Part) -> list[str]:
    """Give the repositories that a source is in."""
    return [one.git for one in part.origins if isinstance(one, GitOrigin)]
