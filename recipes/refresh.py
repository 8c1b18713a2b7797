"""The `refresh` command's work: resolve all that floats anew, write what changed, and build with it.

It works on a copy of the checkout's specs and locks. The locks themselves change only when everything could
be resolved, all at once as far as a file system allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipes import compare, diff, files, locking, treewriter
from recipes.diff import Changed
from recipes.errors import FetchError, RecipesError
from recipes.fetch import Fetcher
from recipes.project import Project
from recipes.run import Run

_COPIED = ("environments", "locks", "recipes/components", "recipes/breakages.yaml", "recipes/trust.yaml")


@dataclass(frozen=True)
class Built:
    """What came of a variant's build with the new locks: its NAR hash, or why there is none."""

    variant: str
    nar_hash: str | None
    error: str | None = None


def refresh(run: Run, variants: Sequence[str], fetcher: Fetcher, *, write: bool) -> list[Changed]:
    """Resolve variants anew; write the locks that differ, if they are to be written; say what differs.

    Raises FetchError where anything could not be resolved, and writes nothing then.
    """
    project = run.project()
    with fetcher.store.scratch("refresh") as place:
        scratch = copy(project, place)
        try:
            quiet = replace(fetcher, report=fetcher.report.aside())
            locking.lock(scratch, variants, (), quiet, run.locker())
        except FetchError as error:
            raise FetchError(f"nothing is refreshed, as {error.message}", hint=error.hint) from error
        changed = [one for name in variants if (one := differing(project, scratch, name, fetcher))]
        for one in changed if write else ():
            take(project, scratch, one.files)
    return changed


def take(project: Project, scratch: Project, names: Sequence[str]) -> None:
    """Write files of a scratch copy into the checkout that it was made of."""
    for name in names:
        project.write(project.root / name, (scratch.root / name).read_text("utf-8"))


def copy(project: Project, place: Path) -> Project:
    """Copy what locking and building read of a checkout."""
    for name in _COPIED:
        source = project.root / name
        if source.is_dir():
            (place / name).mkdir(parents=True)
            treewriter.copy_tree(source, place / name)
        elif source.is_file():
            files.write_atomic(place / name, source.read_bytes())
    return Project(place)


def differing(old: Project, new: Project, variant: str, fetcher: Fetcher) -> Changed | None:
    """Say in what the locks of a variant differ between a checkout and its copy; None for nothing."""
    names = different(old, new, variant)
    if not names:
        return None
    sides = compare.present(old, variant), compare.present(new, variant)
    return Changed(variant, tuple(names), compare.difference(*sides, fetcher.git, fetcher.report))


def different(old: Project, new: Project, variant: str) -> list[str]:
    """Name the lock files of a variant that a copy of the checkout has, and has differently."""
    return [
        path.relative_to(new.root).as_posix()
        for path in new.locks(variant)
        if path.is_file() and _bytes(old.root / path.relative_to(new.root)) != path.read_bytes()
    ]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def build(run: Run, variants: Sequence[str]) -> list[Built]:
    """Build and check variants with the locks as they are now, each whatever came of the others."""
    return [_built(run, variant) for variant in variants]


def _built(run: Run, variant: str) -> Built:
    try:
        info = run.realiser(None, offline=False).realise(run.plan(variant, None, None))
    except RecipesError as error:
        run.report.error(error)
        return Built(variant, None, error.message)
    return Built(variant, info.nar_hash)


def markdown(changed: Sequence[Changed], built: Sequence[Built]) -> str:
    """Give the text of a pull request: what moved in each variant, then what came of the builds."""
    parts = ["Everything that floats was resolved anew, by `recipes refresh`.", *_builds(built)]
    for one in changed:
        told = diff.markdown(one.difference).strip()
        listed = ", ".join(f"`{name}`" for name in one.files)
        parts += [f"## {one.variant}", told or f"The same, written anew: {listed}"]
    return "\n\n".join(parts)


def _builds(built: Sequence[Built]) -> list[str]:
    if not built:
        return []
    rows = ["| variant | build and check |", "| --- | --- |"]
    rows += [f"| `{one.variant}` | {_verdict(one)} |" for one in built]
    failed = [f"`{one.variant}`:\n\n```\n{one.error}\n```" for one in built if one.error is not None]
    return ["\n".join(rows), *failed]


def _verdict(one: Built) -> str:
    if one.error is not None:
        return f"**failed**: {one.error.splitlines()[0]}"
    return f"passed, `{one.nar_hash}`"


def document(changed: Sequence[Changed], built: Sequence[Built]) -> dict[str, Any]:
    """Give the same for `--json`."""
    return {
        "changed": [
            {"variant": one.variant, "files": list(one.files), **diff.document(one.difference)}
            for one in changed
        ],
        "built": [{"variant": one.variant, "nar_hash": one.nar_hash, "error": one.error} for one in built],
    }
