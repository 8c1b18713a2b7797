"""Signatures: ed25519 keys, and statements in DSSE envelopes, both by securesystemslib.

DSSE signs the statement's bytes together with their type, so neither can be changed. A key's id is
securesystemslib's: a hash of the public key. Import this module late: cryptography takes a moment.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error, VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined] # has no `__all__`

from recipes.errors import IntegrityError, UsageError
from recipes.evidence.trust import FILE

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Pair:
    """A new key: the private one as PKCS#8, the public one as SubjectPublicKeyInfo, both in PEM.

    `line` is the public key as a project's list has it.
    """

    private: bytes
    public: bytes
    line: str


def new_pair() -> Pair:
    """Make a key from the system's randomness."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Pair(CryptoSigner(private).private_bytes, public, b"".join(public.splitlines()[1:-1]).decode())


def signer(private: bytes, file: str) -> CryptoSigner:
    """Read a private key in PEM; `file` is its name in messages. Raises UsageError for anything else."""
    try:
        key = load_pem_private_key(private, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"`{file}` is not a private key\n  expected  PEM, unencrypted", hint="`recipes key new NAME`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"`{file}` is not an ed25519 key", hint="`recipes key new NAME` makes one")
    return CryptoSigner(key)


def sign(payload: bytes, by: CryptoSigner, before: bytes | None = None) -> bytes:
    """Sign a statement; give its envelope. Signatures of other keys in `before`, of the same bytes, stay."""
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    if before is not None:
        old = _opened(before, "the envelope that is there")
        if (old.payload, old.payload_type) == (payload, PAYLOAD_TYPE):
            envelope = old
    envelope.sign(by)
    return f"{json.dumps(envelope.to_dict(), indent=1, sort_keys=True)}\n".encode()


@dataclass(frozen=True)
class Verified:
    """The bytes of a statement that was signed, and the name of the trusted key that signed it."""

    payload: bytes
    key: str


def verify(envelope: bytes, file: str, trusted: Mapping[str, str]) -> Verified:
    """Check an envelope against the trusted keys; one good signature of theirs is enough.

    Raises IntegrityError: no envelope, another type of payload, no signature by a trusted key, or one that
    is wrong.
    """
    opened = _opened(envelope, f"`{file}`")
    if opened.payload_type != PAYLOAD_TYPE:
        raise IntegrityError(
            f"`{file}` is signed, and is no statement\n  expected  {PAYLOAD_TYPE}\n"
            f"  actual    {opened.payload_type}"
        )
    keys = {name: _public(line) for name, line in trusted.items()}
    named = {key.keyid: name for name, key in keys.items()}
    _check_known(opened, file, named)
    try:
        accepted = opened.verify(list(keys.values()), 1)
    except VerificationError:
        raise IntegrityError(_wrong(opened, file, named)) from None
    return Verified(opened.payload, named[next(iter(accepted))])


def _opened(envelope: bytes, what: str) -> Envelope:
    try:
        return Envelope.from_dict(json.loads(envelope))
    except (Error, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{what} is no DSSE envelope") from error


def _public(line: str) -> SSlibKey:
    try:
        key = load_der_public_key(base64.b64decode(line))
    except ValueError as error:
        raise IntegrityError(f"{FILE}: `{line}` is no ed25519 public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise IntegrityError(f"{FILE}: `{line}` is no ed25519 public key")
    return SSlibKey.from_crypto(key)


def _check_known(opened: Envelope, file: str, named: Mapping[str, str]) -> None:
    if not named.keys() & opened.signatures.keys():
        by = [f"  signed by  {keyid}" for keyid in opened.signatures] or ["  signed by  nobody"]
        known = [f"  trusted    {keyid} ({name})" for keyid, name in named.items()] or ["  trusted    no key"]
        raise IntegrityError(
            "\n".join([f"`{file}` is not signed by a key that this project trusts", *by, *known]),
            hint=f"`{FILE}` lists the trusted keys",
        )


def _wrong(opened: Envelope, file: str, named: Mapping[str, str]) -> str:
    names = ", ".join(f"`{named[keyid]}`" for keyid in opened.signatures if keyid in named)
    return f"the signature of {names} in `{file}` is wrong: this is not what was signed"
