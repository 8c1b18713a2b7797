"""Make an environment: what it needs is brought in and checked, it is laid out aside and renamed.

A kill at any moment leaves the environment before it, or none, and beside it what the next run removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from recipes import hashes, storegc
from recipes.develop import activation, layout, links, prefixes, presets, wheels
from recipes.develop.layout import RECORD, Layout, Record
from recipes.fetch import PARALLEL
from recipes.plan import Plan
from recipes.realise import Realiser
from recipes.report import Report
from recipes.store import Store
from recipes.toolchain import Kind

TOOLCHAIN: Kind = "pypi"  # unless another one is asked for


@dataclass(frozen=True)
class Wanted:
    """An environment that is asked for: the layout, the plans behind it, where it goes, and for whom."""

    layout: Layout
    plan: Plan
    imports: tuple[Plan, ...]
    prefix: Path
    project: Path

    def record(self, store: Store, files: Mapping[str, str], made: Mapping[str, str]) -> Record:
        """Give what the environment says of itself."""
        one = self.layout
        where = (os.fspath(self.project), os.fspath(store.root))
        return Record(one.variant, one.toolchain, one.platform, *where, one.parts(), files, made)


def make(wanted: Wanted, realiser: Realiser) -> None:
    """Make an environment, in the place of what is there. Raises UsageError where that is a person's.

    Raises FetchError, IntegrityError, ToolchainError, and for what can be imported, which a script makes,
    SandboxError and BuildError.
    """
    store, prefix = realiser.store, wanted.prefix
    prefixes.check_free(prefix)
    bring(wanted, realiser)
    key = f"{hashes.store_hash(os.fspath(prefix))}-environment"
    with store.lock(key, lambda: realiser.report.line(f"waiting for another `recipes env` on {prefix}")):
        prefixes.check_free(prefix)
        _check(wanted, store, realiser.report)
        with realiser.report.task(f"laying out {prefix}"):
            prefix.parent.mkdir(parents=True, exist_ok=True)
            prefixes.remove(prefixes.aside(prefix))
            _lay_out(wanted, store, prefixes.aside(prefix))
            keep(wanted, store)
            prefixes.swap(prefix)
    prefixes.link(wanted.project, wanted.layout.variant, prefix)


def bring(wanted: Wanted, realiser: Realiser) -> None:
    """Bring in all that an environment needs: wheels and sources by hash, and what scripts make of them."""
    one = wanted.layout
    whole = replace(wanted.plan, derivations=one.derivations)
    made = {plan.target for plan in wanted.imports}
    with realiser.store.using():
        first = {name for name in one.needed if name not in made}
        for plan in wanted.imports:  # sources that lie in one archive are read from it at once
            first |= set() if realiser.store.has(plan.target) else {*plan.fetched()}
        realiser.fetch(whole, sorted(first))
        for plan in wanted.imports:
            realiser.realise(plan)


def keep(wanted: Wanted, store: Store) -> None:
    """Keep gc away from what an environment needs, and from what of it is built so far."""
    for name in {*wanted.layout.needed, *wanted.layout.built.values()}:
        if store.has(name):  # a root that leads to nothing would be taken for damage
            storegc.add_root(store, wanted.prefix / "roots" / name)


def _check(wanted: Wanted, store: Store, report: Report) -> None:
    """Hash all that the environment will have links to: a build would look at it, and no build follows."""
    needed = wanted.layout.needed
    with (
        report.task(f"checking {len(needed)} store paths", "paths") as task,
        ThreadPoolExecutor(PARALLEL) as pool,  # hashing lets go of the interpreter's lock
    ):
        for done, _ in enumerate(pool.map(store.verify, needed), 1):
            task(done, len(needed))


def _lay_out(wanted: Wanted, store: Store, place: Path) -> None:
    one = wanted.layout
    place.mkdir()
    texts, found = _texts(wanted, store), layout.links(one, os.path.realpath(sys.executable))
    found |= {f"roots/{name}": os.fspath(store.path(name)) for name in {*one.needed, *one.built.values()}}
    for path, target in found.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).symlink_to(target)
    for component, trees in one.sources.items():
        (place / "cache" / component).mkdir(parents=True)
        for below, name in trees.items():
            links.lay(store.path(name), place / "src" / component / below)
    for project, name in one.packages.items():
        links.lay(store.path(name), place, partial(wheels.place, python=one.python, project=project))
    digests = {path: _write(place / path, text) for path, text in texts.items()}
    record = wanted.record(store, digests, found)
    (place / RECORD).write_text(json.dumps(record.document(), indent=1, sort_keys=True) + "\n")


def _write(place: Path, text: str) -> str:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)  # a wheel's script is a link until its first line is the environment's
    place.write_text(text, "utf-8", "surrogateescape")
    place.chmod(0o755 if place.parent.name == "bin" else 0o644)
    return hashlib.sha256(place.read_bytes()).hexdigest()


def _texts(wanted: Wanted, store: Store) -> dict[str, str]:
    one, prefix = wanted.layout, os.fspath(wanted.prefix)
    texts = {f"bin/{name}": text for name, text in _programs(one, store).items()}
    texts |= {f"bin/{name}": text for name, text in layout.programs(one, prefix).items()}
    texts |= activation.shell_files(one.variant)
    texts[f"src/{one.target}/{presets.FILE}"] = presets.text(one, prefix)
    python = os.path.realpath(sys.executable)
    texts["pyvenv.cfg"] = layout.pyvenv(os.path.dirname(python), one.python)  # noqa: PTH120
    return texts


def _programs(one: Layout, store: Store) -> dict[str, str]:
    """Give the programs of packages: those that they describe, and their scripts for Python."""
    found: dict[str, str] = {}
    for name in one.packages.values():
        for path in links.paths(store.path(name)):
            if path.endswith(".dist-info/entry_points.txt"):
                found |= wheels.entry_points((store.path(name) / path).read_text("utf-8", "replace"))
            elif ".data/scripts/" in path:
                text = wheels.script((store.path(name) / path).read_bytes())
                found |= {path.rpartition("/")[2]: text.decode("utf-8", "surrogateescape")} if text else {}
    return found


def unbuilt(wanted: Wanted, store: Store) -> list[str]:
    """Name the components that the environment refers to and that are not built, inputs first."""
    one = wanted.layout
    missing = [name for name, path in one.built.items() if not store.has(path)]
    if len(missing) < len(one.built):
        keep(wanted, store)  # what was built since has no root yet that gc knows
    return missing


def out_of_date(wanted: Wanted) -> Sequence[str]:
    """Say in words what an environment that is there has differently from its lock; empty for nothing."""
    made = prefixes.read(wanted.prefix)
    return layout.changes(made.parts, wanted.layout.parts()) if made else ["it is not whole"]
