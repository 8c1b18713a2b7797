"""Texts in specs that have rules of their own: refs, outputs, CMake options, requirements."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

import pydantic

from recipes.asking import requirement
from recipes.origins import Path as TreePath

_NO_REF = re.compile(r"^[-/]|[\s~^:?*\[\\]|\.\.|//|@\{|[/.]$")  # what git-check-ref-format(1) refuses


def _ref(text: str) -> str:
    if _NO_REF.search(text):
        raise ValueError("not a name that git allows a branch or a tag to have")
    return text


def _output(text: str) -> str:
    if not re.match("(src|build|inputs/[^/]+)/", text):
        raise ValueError("an output is found below `src/`, `build/` or `inputs/NAME/`")
    return text


def _option(text: str) -> str:
    if "\n" in text:
        raise ValueError("a CMake option's value is one line")
    return text


def _option_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("a CMake option's name has letters, digits and `_` only")
    return text


def _requirement(text: str) -> str:
    requirement(text)
    return text


# Editors read `1.10` as a number and `OFF` as a truth value, and the engine reads text: a schema allows both
_OR_NUMBER = {"type": ["string", "number"]}
Ref: TypeAlias = Annotated[
    str,
    pydantic.Field(
        min_length=1, description="a branch, a tag or a full commit id", json_schema_extra=_OR_NUMBER
    ),
    pydantic.AfterValidator(_ref),
]

Output: TypeAlias = Annotated[TreePath, pydantic.AfterValidator(_output)]
Options: TypeAlias = Annotated[
    dict[
        Annotated[str, pydantic.AfterValidator(_option_name)],
        Annotated[str, pydantic.AfterValidator(_option)],
    ],
    pydantic.Field(
        description="CMake cache entries, NAME: VALUE",
        json_schema_extra={"additionalProperties": {"type": ["string", "boolean", "number"]}},
    ),
]
Requirement: TypeAlias = Annotated[str, pydantic.AfterValidator(_requirement)]
