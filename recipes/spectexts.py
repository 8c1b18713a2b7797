"""Texts in specs that have rules of their own: refs, ids, outputs, options, requirements, versions."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

import pydantic

from recipes.asking import requirement
from recipes.giturls import is_commit_id
from recipes.origins import Path as TreePath

_NO_REF = re.compile(r"^[-/]|[\s~^:?*\[\\]|\.\.|//|@\{|[/.]$")  # what git-check-ref-format(1) refuses


def _ref(text: str) -> str:
    if _NO_REF.search(text):
        raise ValueError("not a name that git allows a branch or a tag to have")
    return text


def _object_id(text: str) -> str:
    if not is_commit_id(text):
        raise ValueError("a git object id is 40 lower-case hexadecimal digits")
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


def _version(text: str) -> str:
    from packaging.version import Version  # noqa: PLC0415 - 20 ms

    try:
        Version(text)  # takes white space around it
        requirement(f"any=={text}")  # takes `1.*`
    except ValueError as wrong:  # InvalidVersion is one; so is what Python says of a number of 4301 digits
        raise ValueError(f"`{text}` is not a version such as `3.31.6`") from wrong
    if text != text.strip():
        raise ValueError(f"`{text}` is written as `{text.strip()}`")
    return text


def _project(text: str) -> str:
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - 20 ms

    if text != canonicalize_name(text):
        raise ValueError(f"`{text}` is written as `{canonicalize_name(text)}`")
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

ObjectId: TypeAlias = Annotated[str, pydantic.AfterValidator(_object_id)]
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
Version: TypeAlias = Annotated[
    str, pydantic.Field(json_schema_extra=_OR_NUMBER), pydantic.AfterValidator(_version)
]
Project: TypeAlias = Annotated[str, pydantic.AfterValidator(_project)]
