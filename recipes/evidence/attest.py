"""Sign the statement of a store path, and compare a signed one with the bytes that it speaks of."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import files
from recipes.errors import IntegrityError, UsageError
from recipes.evidence import provenance, record, signing
from recipes.evidence.signing import Pair
from recipes.store import Store, is_name


def new_key(directory: Path, name: str) -> Pair:
    """Make a key: DIRECTORY/NAME.key, readable by its owner only, and NAME.pub. Raises UsageError."""
    private, public = (directory / f"{name}.{ending}" for ending in ("key", "pub"))
    for path in (private, public):
        if path.exists():
            raise UsageError(
                f"`{path}` is there already", hint="give another name, or another `--output DIR`"
            )
    pair = signing.new_pair()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write_atomic(private, pair.private, mode=0o600)
    files.write_atomic(public, pair.public)
    return pair


def private_key(path: Path) -> bytes:
    """Read a private key. Raises UsageError where it is not there, or others may read it."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(f"no key `{path}`", hint="`recipes key new NAME` makes one") from None
    if mode & 0o077:
        raise UsageError(
            f"others may read the private key `{path}`\n  expected  0600\n  actual    {mode:04o}",
            hint=f"`chmod 600 {path}`",
        )
    return data


def sign(store: Store, name: str, key: bytes, file: str) -> bytes:
    """Sign the statement of an entry, after its bytes were compared with it; give the envelope.

    Raises UsageError where there is no statement or `key` is none, IntegrityError where the bytes are others.
    """
    by = signing.signer(key, file)
    payload = record.read_bytes(store, name)
    made = record.parsed(store, name, payload)
    _compare(store, name, made["subject"][0]["digest"]["sha256"])
    before = store.signature_path(name)
    return signing.sign(payload, by, before.read_bytes() if before.is_file() else None)


@dataclass(frozen=True)
class Checked:
    """A signature that is good: the store path, the trusted key, and whether the path is here to compare."""

    name: str
    key: str
    there: bool


def check(
    store: Store, envelope: bytes, file: str, trusted: Mapping[str, str], *, wanted: str | None = None
) -> Checked:
    """Check an envelope, and the entry that it speaks of, where that is in the store.

    `wanted` is the store path that it has to speak of. Raises IntegrityError.
    """
    verified = signing.verify(envelope, file, trusted)
    made = provenance.parse(verified.payload)
    name = made["subject"][0]["name"] if made else ""
    if made is None or not is_name(name):
        raise IntegrityError(f"`{file}` is signed, and is no provenance of a store path")
    if wanted not in (None, name):
        raise IntegrityError(
            f"`{file}` speaks of another store path\n  expected  {wanted}\n  actual    {name}"
        )
    there = store.has(name)
    if there:
        _compare(store, name, made["subject"][0]["digest"]["sha256"])
    return Checked(name, verified.key, there)


def _compare(store: Store, name: str, digest: str) -> None:
    actual, _ = files.tree_hash(store.path(name))
    if provenance.hexadecimal(actual) != digest:
        raise IntegrityError(
            f"store path `{name}` is not what its statement says\n  expected  sha256:{digest}\n"
            f"  actual    sha256:{provenance.hexadecimal(actual)}\n  path      {store.path(name)}",
            hint="`recipes store check`",
        )
