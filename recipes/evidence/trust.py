"""The keys that a project trusts: `recipes/trust.yaml`, a list that people write.

    keys:
      alice: MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=

A key is the one line between BEGIN and END of an ed25519 public key in PEM (RFC 8410).
"""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

from recipes import located
from recipes.errors import SpecError
from recipes.located import Strict
from recipes.spec import NAME

FILE = "recipes/trust.yaml"

# The DER of an ed25519 public key is twelve bytes that are always the same, and 32 bytes of key.
_KEY = re.compile(r"MCowBQYDK2VwAyEA[A-Za-z0-9+/]{43}=")


def is_name(text: str) -> bool:
    """Say whether a key may have this name."""
    return NAME.fullmatch(text) is not None


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"`{text}` is not a name: lower-case letters and digits, joined by `-._`")
    return text


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError(
            "a key is the line between BEGIN and END of an ed25519 public key, as `recipes key new` prints it"
        )
    return text


class Trust(Strict):
    """The trusted keys, by name."""

    keys: dict[Annotated[str, pydantic.AfterValidator(_name)], Annotated[str, pydantic.AfterValidator(_key)]]


def parse(text: bytes, file: str) -> dict[str, str]:
    """Read the list. Raises SpecError that names file and line."""
    return located.check(located.read(text, file, SpecError), Trust, SpecError).keys
