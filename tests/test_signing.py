"""Keys, signatures of provenance, and what is refused: each way in which a signature can be wrong."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import smallproject
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from smallproject import Small, Upstream

from recipes.errors import IntegrityError, SpecError, UsageError
from recipes.evidence import attest, signing, trust
from recipes.evidence.signing import PAYLOAD_TYPE, Pair
from recipes.store import Store

ALICE, BOB = signing.new_pair(), signing.new_pair()
TRUSTED = {"alice": ALICE.line}
PAYLOAD = b'{"a statement": "of anything"}\n'


def keyid(pair: Pair) -> str:
    return str(signing.signer(pair.private, "k").public_key.keyid)


def signed(payload: bytes = PAYLOAD, *pairs: Pair) -> dict[str, Any]:
    envelope = None
    for pair in pairs or (ALICE,):
        envelope = signing.sign(payload, signing.signer(pair.private, "k"), envelope)
    found: dict[str, Any] = json.loads(envelope or b"")
    return found


def verify(envelope: Any, trusted: dict[str, str] = TRUSTED) -> signing.Verified:
    data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    return signing.verify(data, "x.json", trusted)


def test_what_is_signed_is_verified() -> None:
    assert verify(signed()) == signing.Verified(PAYLOAD, "alice")
    assert signed() == signed()  # ed25519 signs the same bytes in the same way
    assert signed()["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(signed()["payload"]) == PAYLOAD


def test_a_second_signature_is_added_and_one_of_other_bytes_is_not_kept() -> None:
    both = signed(PAYLOAD, ALICE, BOB)
    assert [one["keyid"] for one in both["signatures"]] == [keyid(ALICE), keyid(BOB)]
    assert verify(both).key == "alice"
    assert verify(both, {"bob": BOB.line}).key == "bob"
    after = signing.sign(b"other", signing.signer(BOB.private, "k"), json.dumps(both).encode())
    assert [one["keyid"] for one in json.loads(after)["signatures"]] == [keyid(BOB)]


def tampered(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    envelope = signed()
    change(envelope)
    return envelope


def other_key(envelope: dict[str, Any]) -> None:
    envelope["signatures"][0]["keyid"] = keyid(BOB)


STRANGER = "`x.json` is not signed by a key that this project trusts\n"
WRONG = "the signature of `alice` in `x.json` is wrong: this is not what was signed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.update(payload=base64.b64encode(PAYLOAD + b" ").decode()), WRONG),
        (lambda one: one["signatures"][0].update(sig=base64.b64encode(bytes(64)).decode()), WRONG),
        (lambda one: one["signatures"][0].update(sig=""), WRONG),
        (
            lambda one: one.update(payloadType="text/plain"),
            f"`x.json` is signed, and is no statement\n  expected  {PAYLOAD_TYPE}\n  actual    text/plain",
        ),
        (
            lambda one: one.update(signatures=[]),
            f"{STRANGER}  signed by  nobody\n  trusted    {keyid(ALICE)} (alice)",
        ),
        (
            other_key,
            f"{STRANGER}  signed by  {keyid(BOB)}\n  trusted    {keyid(ALICE)} (alice)",
        ),
    ],
    ids=["payload", "signature", "no signature", "type", "nobody", "keyid"],
)
def test_what_was_tampered_with_is_refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        verify(tampered(change))
    assert caught.value.message == message
    assert caught.value.exit_code == 6


def test_a_key_that_nobody_trusts() -> None:
    with pytest.raises(IntegrityError) as caught:
        verify(signed(PAYLOAD, BOB), {})
    assert caught.value.message == f"{STRANGER}  signed by  {keyid(BOB)}\n  trusted    no key"
    assert caught.value.hint == "`recipes/trust.yaml` lists the trusted keys"


@pytest.mark.parametrize(
    "envelope",
    [
        *(b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b"[" * 100_000, b"{}"),
        b'{"payload": 1, "payloadType": "x", "signatures": []}',
        b'{"payload": "", "payloadType": "x", "signatures": {}, "payload": null}',
        b'{"payload": "AA==", "payloadType": "x", "signatures": [{"keyid": "a"}]}',
        b'{"payload": "AA==", "payloadType": "x", "signatures": ["a"]}',
        json.dumps({**signed(), "signatures": signed()["signatures"] * 2}).encode(),
    ],
)
def test_what_is_no_envelope(envelope: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        verify(envelope)
    assert caught.value.message == "`x.json` is no DSSE envelope"


def test_a_type_that_is_no_text_is_refused() -> None:
    with pytest.raises(IntegrityError):
        verify(tampered(lambda one: one.update(payloadType=None)))


@pytest.mark.parametrize(
    ("private", "message"),
    [
        (b"", "`k` is not a private key\n  expected  PEM, unencrypted"),
        (b"\xff", "`k` is not a private key\n  expected  PEM, unencrypted"),
        (ALICE.public, "`k` is not a private key\n  expected  PEM, unencrypted"),
        (
            load_pem_private_key(ALICE.private, None).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
            ),
            "`k` is not a private key\n  expected  PEM, unencrypted",
        ),
        (
            generate_private_key(SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "`k` is not an ed25519 key",
        ),
    ],
    ids=["empty", "not text", "public", "encrypted", "another kind"],
)
def test_what_is_no_key_to_sign_with(private: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        signing.signer(private, "k")
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"keys:\n  Alice: {ALICE.line}\n", "recipes/trust.yaml:2:3: keys.Alice: `Alice` is not a name: "),
        ("keys:\n  alice: AAAA\n", "recipes/trust.yaml:2:3: keys.alice: a key is the line between BEGIN"),
        (f"keys:\n  alice: {ALICE.line[:-2]}\n", "recipes/trust.yaml:2:3: keys.alice: a key is the line"),
        ("key: {}\n", "recipes/trust.yaml:1:1: key: unknown key `key`, did you mean `keys`?"),
        ("", "recipes/trust.yaml:1:1: "),
    ],
)
def test_a_wrong_list_of_keys(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        trust.parse(text.encode(), trust.FILE)
    assert caught.value.message.startswith(message)


def test_the_list_of_keys(root: Path) -> None:
    assert trust.parse(f"keys:\n  alice: {ALICE.line}\n".encode(), trust.FILE) == TRUSTED
    assert trust.parse((root / trust.FILE).read_bytes(), trust.FILE) == {}


def test_a_new_key_is_its_owners(tmp_path: Path) -> None:
    pair = attest.new_key(tmp_path / "keys", "alice")
    private, public = tmp_path / "keys/alice.key", tmp_path / "keys/alice.pub"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert (private.read_bytes(), public.read_bytes()) == (pair.private, pair.public)
    key, other = load_pem_private_key(pair.private, None), load_pem_public_key(pair.public)
    assert key.public_key() == other
    assert pair.public.decode().splitlines()[1] == pair.line
    for name in ("alice.key", "alice.pub"):
        with pytest.raises(UsageError) as caught:
            attest.new_key(tmp_path / "keys", "alice")
        assert caught.value.message == f"`{tmp_path}/keys/{name}` is there already"
        (tmp_path / "keys" / name).unlink()


# What follows is signed for real.


@dataclass
class Built:
    """A checkout with `small` built, a key that it trusts, and the store path's name."""

    small: Small
    name: str
    key: Path

    @property
    def envelope(self) -> Path:
        return self.small.store / f"provenance/{self.name}.dsse.json"

    def sign(self, *more: str) -> smallproject.Ran:
        return self.small.run("sign", "--variant", "small", "--key", str(self.key), *more)

    def verify(self, *words: str) -> smallproject.Ran:
        return self.small.run("verify-signature", *(words or ("--variant", "small")))


@pytest.fixture
def alice(upstream: Upstream, built: Path, tmp_path: Path) -> Iterator[Built]:
    with smallproject.small(upstream, tmp_path) as small:
        small.warm(built)
        [name] = [one.name for one in small.entries("thing") if (one / "lib").exists()]
        pair = attest.new_key(tmp_path / "keys", "alice")
        small.write("recipes/trust.yaml", f"keys:\n  alice: {pair.line}\n")
        yield Built(small, name, tmp_path / "keys/alice.key")


@pytest.mark.sandbox
def test_a_build_is_signed_and_verified(alice: Built) -> None:
    assert alice.sign().ok().out == f"{alice.envelope}\n"
    payload = base64.b64decode(json.loads(alice.envelope.read_bytes())["payload"])
    assert payload == (alice.small.store / f"provenance/{alice.name}.json").read_bytes()
    verified = alice.verify().ok()
    assert (verified.out, verified.err) == (f"{alice.name}: signed by `alice`\n", "")
    found = json.loads(alice.verify("--variant", "small", "--json").ok().out)
    assert found == {"path": alice.name, "key": "alice", "compared": True}
    assert alice.small.damage() == []
    before = alice.envelope.read_bytes()
    alice.sign().ok()
    assert alice.envelope.read_bytes() == before


@pytest.mark.sandbox
def test_an_envelope_goes_elsewhere(alice: Built) -> None:
    assert alice.sign("--output", "signed.json").ok().out == "signed.json\n"
    assert not alice.envelope.exists()
    assert alice.verify("signed.json").ok().out == f"{alice.name}: signed by `alice`\n"
    shutil.move(alice.small.store, alice.small.place / "away")
    alone = alice.verify("signed.json").ok()
    assert alone.err == f"warning: `{alice.name}` is not in the store: its bytes were not compared\n"
    assert alice.small.run("verify-signature", "signed.json", "--json").ok().out.count("false") == 1


@pytest.mark.sandbox
def test_a_store_path_that_was_changed_is_found(alice: Built) -> None:
    alice.sign().ok()
    library = alice.small.store / f"paths/{alice.name}/lib/libthing.so"
    library.chmod(0o644)
    library.write_bytes(library.read_bytes() + b"x")
    library.chmod(0o444)
    path = library.parents[1]
    digest = json.loads((alice.small.store / f"provenance/{alice.name}.json").read_bytes())["subject"][0][
        "digest"
    ]
    for ran in (alice.verify().failed(6), alice.sign().failed(6)):
        lines = ran.err.splitlines()
        assert lines[:2] == [
            f"error: store path `{alice.name}` is not what its statement says",
            f"  expected  sha256:{digest['sha256']}",
        ]
        assert lines[3:] == [f"  path      {path}", "", "hint: `recipes store check`"]


@pytest.mark.sandbox
def test_a_key_that_is_not_trusted_any_more(alice: Built) -> None:
    alice.sign().ok()
    alice.small.write("recipes/trust.yaml", f"keys:\n  bob: {BOB.line}\n")
    pair = signing.signer(alice.key.read_bytes(), "k")
    assert alice.verify().failed(6).err == (
        f"error: `{alice.envelope}` is not signed by a key that this project trusts\n"
        f"  signed by  {pair.public_key.keyid}\n  trusted    {keyid(BOB)} (bob)\n\n"
        "hint: `recipes/trust.yaml` lists the trusted keys\n"
    )
    (alice.small.root / "recipes/trust.yaml").unlink()
    assert "  trusted    no key\n" in alice.verify().failed(6).err


@pytest.mark.sandbox
def test_a_signature_of_another_path_is_no_signature_of_this(alice: Built) -> None:
    [other] = [one.name for one in alice.small.entries("ninja-1.12.0")]
    found = Store(alice.small.store)
    envelope = attest.sign(found, other, alice.key.read_bytes(), "k")
    found.attach(found.signature_path(alice.name), envelope)
    assert alice.verify().failed(6).err == (
        f"error: `{alice.envelope}` speaks of another store path\n"
        f"  expected  {alice.name}\n  actual    {other}\n"
    )


@pytest.mark.parametrize("payload", [b"{}", PAYLOAD, b'{"subject": [{"name": "../x"}]}'])
def test_what_is_signed_and_no_provenance(tmp_path: Path, payload: bytes) -> None:
    envelope = signing.sign(payload, signing.signer(ALICE.private, "k"))
    with pytest.raises(IntegrityError) as caught:
        attest.check(Store(tmp_path / "store"), envelope, "x.json", TRUSTED)
    assert caught.value.message == "`x.json` is signed, and is no provenance of a store path"


def test_a_name_that_leads_out_of_the_store_is_refused(tmp_path: Path) -> None:
    statement = {
        "subject": [{"name": "../../etc", "digest": {"sha256": "00"}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {"internalParameters": {"identity": {}}}},
    }
    envelope = signing.sign(json.dumps(statement).encode(), signing.signer(ALICE.private, "k"))
    with pytest.raises(IntegrityError, match="no provenance of a store path"):
        attest.check(Store(tmp_path / "store"), envelope, "x.json", TRUSTED)


@pytest.mark.sandbox
def test_what_cannot_be_signed_or_verified(alice: Built) -> None:
    assert alice.verify().failed(2).err == (
        f"error: `{alice.name}` is not signed\n  store  {alice.small.store}\n\n"
        "hint: `recipes sign --variant small --key FILE`\n"
    )
    assert alice.verify("no.json").failed(2).err == (
        "error: `no.json` cannot be read: No such file or directory\n"
    )
    assert alice.small.run("verify-signature").failed(2).err.startswith("error: nothing to verify is given\n")
    alice.key.chmod(0o640)
    assert alice.sign().failed(2).err == (
        f"error: others may read the private key `{alice.key}`\n  expected  0600\n  actual    0640\n\n"
        f"hint: `chmod 600 {alice.key}`\n"
    )
    alice.key.unlink()
    assert alice.sign().failed(2).err == (
        f"error: no key `{alice.key}`\n\nhint: `recipes key new NAME` makes one\n"
    )


def test_a_key_as_a_user_makes_it(upstream: Upstream, tmp_path: Path) -> None:
    with smallproject.small(upstream, tmp_path) as small:
        ran = small.run("key", "new", "carol").ok()
        place = tmp_path / "home/.config/tvm-recipes/keys/carol.key"
        assert ran.out == f"{place}\n"
        line = place.with_suffix(".pub").read_text().splitlines()[1]
        assert ran.err == f"to trust it, add this to `keys:` in recipes/trust.yaml:\n  carol: {line}\n"
        assert "PRIVATE" not in ran.out + ran.err
        assert (
            small.run("key", "new", "carol").failed(2).err.startswith(f"error: `{place}` is there already\n")
        )
        assert small.run("key", "new", "../x").failed(2).err == (
            "error: `../x` is not a name: lower-case letters and digits, joined by `-._`\n"
        )
        small.run("key", "new", "dave", "--output", "here").ok()
        assert stat.S_IMODE((small.root / "here/dave.key").stat().st_mode) == 0o600
