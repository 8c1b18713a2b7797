"""What the store knows of an entry, and how it is written down: JSON with a checksum of itself. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError


class Info(BaseModel):
    """What the store knows of an entry.

    `nar_hash` is the SRI hash of its NAR, `nar_size` the length of that in bytes; `references` are the
    entries that it needs; `kind` says what made it (`build`, `source`, `wheel`, `conda`) and `origin` where
    it came from, for people; `log` says whether there was a log when it was added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    nar_hash: str
    nar_size: int
    references: tuple[str, ...] = ()
    kind: str
    origin: str | None = None
    log: bool = False


class _Stored(Info):
    checksum: str | None = None


def written(info: Info) -> bytes:
    """Write an info: JSON with sorted keys, and the SHA-256 of the same without it, so that damage shows."""
    fields = info.model_dump()
    return _json({**fields, "checksum": hashlib.sha256(_json(fields)).hexdigest()})


def parse(text: bytes) -> Info:
    """Read what `written` gave, to the byte. Raises ValueError for any other text."""
    info = Info(**_Stored.model_validate_json(text).model_dump(exclude={"checksum"}))
    if text not in (written(info), _json(info.model_dump())):  # the second has none: infos of older stores
        raise ValueError("its bytes do not have their checksum")
    return info


def _json(fields: Mapping[str, object]) -> bytes:
    return f"{json.dumps(fields, indent=1, sort_keys=True)}\n".encode()


def why(error: ValueError) -> str:
    """Say in a line why `parse` refused a text."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))} {one['msg']}".strip() for one in error.errors())
