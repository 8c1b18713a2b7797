"""Keep a statement beside each store path, and find those of earlier builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from recipes import compilercache, files, hashes
from recipes.errors import StoreError, UsageError
from recipes.evidence import provenance
from recipes.evidence.provenance import Known, Statement
from recipes.infos import Info
from recipes.plan import Build, Plan
from recipes.store import STATEMENTS, Store, is_name


def record(
    store: Store, plan: Plan, name: str, *, sandbox: str | None = None, layers: Sequence[str] = ()
) -> None:
    """Write the statement of an entry that is in the store; the caller holds its lock.

    `sandbox` is what isolated the build, where that is known, `layers` what a compiler cache gave it (see
    `provenance.statement`). What its inputs were is taken from the plan, and from the store as far as they
    are there.
    """
    needed = [one for one in (name, *plan.inputs(name)) if store.has(one)]
    known = {one: _known(store.info(one)) for one in needed}
    found = file_hashes(store.path(name))
    made = provenance.statement(plan, name, known, found, sandbox=sandbox, layers=layers)
    store.attach(store.provenance_path(name), provenance.render(made))


def missing(store: Store, plan: Plan, names: Iterable[str]) -> None:
    """Write the statements that entries lack: two looks at the disk for each that has one, or is not there.

    A build without one was made before there were any, or its process was killed: its sandbox is not known.
    """
    for name in names:
        if _lacks(store, name):
            with store.lock(name):
                if _lacks(store, name):
                    record(store, plan, name, layers=compilercache.used(store.log_path(name)))


def _lacks(store: Store, name: str) -> bool:
    return not store.provenance_path(name).is_file() and store.has(name)


def _known(info: Info) -> Known:
    return Known(info.nar_hash, info.origin)


def file_hashes(root: Path) -> dict[str, str]:
    """Hash each file below a directory: the SHA-256 of its bytes, in hexadecimal, by its path."""
    return {path: _digest(file) for path, file in _files(files.read_tree(root))}


def _digest(file: hashes.File) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _files(root: hashes.Node) -> Iterator[tuple[str, hashes.File]]:
    todo: list[tuple[str, hashes.Node]] = [("", root)]
    while todo:
        path, node = todo.pop()
        if isinstance(node, hashes.Directory):
            todo += [(f"{path}/{name}".lstrip("/"), child) for name, child in node.children.items()]
        elif isinstance(node, hashes.File) and path:
            yield path, node


def read(store: Store, name: str) -> Statement:
    """Read the statement of an entry. Raises UsageError where there is none, StoreError for a damaged one."""
    return parsed(store, name, read_bytes(store, name))


def read_bytes(store: Store, name: str) -> bytes:
    """Read the statement of an entry as it is signed. Raises UsageError where there is none."""
    try:
        return store.provenance_path(name).read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"no provenance of `{name}` is in the store\n  store  {store.root}",
            hint="`recipes build --variant VARIANT [TARGET]` builds what is not there, and records it",
        ) from None


def parsed(store: Store, name: str, data: bytes) -> Statement:
    """Read a statement's bytes. Raises StoreError where they are none of this entry's."""
    found = provenance.parse(data)
    if found is None or found["subject"][0]["name"] != name:
        raise StoreError(
            f"the provenance of store path `{name}` is damaged\n  file  {store.provenance_path(name)}",
            hint=f"`rm {store.provenance_path(name)}`; the next `recipes build` writes it again",
        )
    return found


def earlier(store: Store, name: str) -> Statement | None:
    """Read a statement if it is there and whole."""
    if not is_name(name) or not store.provenance_path(name).is_file():
        return None
    return provenance.parse(store.provenance_path(name).read_bytes())


def newest(store: Store, build: Build, but: str) -> str | None:
    """Name the build of the same component for the same platform that was recorded last, one excepted."""
    ending = f"-{build.label()}{STATEMENTS[0]}"
    found: list[tuple[int, str]] = []
    for path in (store.root / "provenance").glob(f"*{ending}"):
        name = path.name.removesuffix(STATEMENTS[0])
        if is_name(name) and name[32:] == f"-{build.label()}" and name != but and _is_of(store, name, build):
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, name))
    return max(found, default=(0, None))[1]


def _is_of(store: Store, name: str, build: Build) -> bool:
    made = earlier(store, name)
    identity = provenance.derived(made)["identity"] if made else {}
    return identity.get("component") == build.component and identity.get("platform") == build.platform
