"""Published hashes: the NAR hash of a store path as others say it is, alone or in a provenance statement.

Read are an SRI hash, 64 hexadecimal digits, an in-toto statement, and a DSSE envelope with one. Signatures
are not looked at: `recipes verify-signature` does that.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recipes import hashes
from recipes.errors import UsageError, VerifyError

LIMIT = 64 << 20  # bytes of a statement: it has a line for each file
_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_SHOWN = 8


@dataclass(frozen=True)
class Published:
    """What is said of a store path: its NAR hash in SRI form, and the SHA-256 of each file, where it is said.

    `name` is the store path that is spoken of, where one is; `where` is where all that was read.
    """

    where: str
    nar_hash: str
    name: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def is_hash(text: str) -> bool:
    """Say whether a text is a SHA-256: in SRI form, or in hexadecimal digits with or without `sha256:`."""
    return hashes.is_sri(text) or _HEX.fullmatch(text) is not None


def read(data: bytes, where: str, name: str) -> Published:
    """Read what is published of the store path `name`. Raises UsageError where it is nothing of the kind."""
    text = data.decode("utf-8", "replace").strip()
    if is_hash(text):
        return Published(where, _sri(text))
    try:
        found = _read(json.loads(text), where, name)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        found = None
    if found is None:
        raise UsageError(
            f"`{where}` is no hash and no provenance\n"
            "  expected  a hash, an in-toto statement, or a DSSE envelope with one"
        )
    return found


def _sri(text: str) -> str:
    digits = _HEX.fullmatch(text)
    return hashes.sri(bytes.fromhex(digits[1])) if digits else text


def _read(found: Any, where: str, name: str) -> Published | None:
    if "payload" in found:
        found = json.loads(base64.b64decode(found["payload"], validate=True))
    subjects = {one["name"]: one["digest"]["sha256"] for one in found["subject"]}
    whole = name if name in subjects else found["subject"][0]["name"]
    if not is_hash(subjects[whole]):
        return None
    files = {key.removeprefix(f"{whole}/"): one for key, one in subjects.items() if key != whole}
    return Published(where, _sri(subjects[whole]), whole, files)


def compare(said: Published, name: str, nar_hash: str, files: Mapping[str, str]) -> None:
    """Compare a store path with what is published; `files` has the SHA-256 of each file in it.

    Raises VerifyError where they differ, with the files that do where those are published, too.
    """
    if said.nar_hash == nar_hash:
        return
    lines = [
        f"store path `{name}` is not what is published",
        f"  published  {said.nar_hash}",
        f"  here       {nar_hash}",
    ]
    if said.name not in (None, name):
        lines += [f"  of         {said.name}", "  so it was made of other inputs"]
    differing = _differing(said.files, files) if said.files else []
    lines += [f"  {one}" for one in differing[:_SHOWN]]
    if len(differing) > _SHOWN:
        lines.append(f"  and {len(differing) - _SHOWN} more files")
    raise VerifyError("\n".join(lines), hint=_hint(said))


def _hint(said: Published) -> str:
    again = "`recipes verify` without `--against` says whether it is the same each time on this machine"
    if said.files:
        return f"{again}; `diffoscope` needs both results to tell more"
    return f"a hash does not tell what differs: its provenance tells which files; {again}"


def _differing(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Sequence[str]:
    found = []
    for path in sorted({*theirs, *ours}):
        if path not in ours:
            found.append(f"{path}: only there")
        elif path not in theirs:
            found.append(f"{path}: only here")
        elif theirs[path] != ours[path]:
            found.append(f"{path}: other bytes")
    return found
