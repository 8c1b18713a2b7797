"""Origins: the places that a source's bytes can be had from, as specs and locks name them.

An origin is written as a mapping whose first key is its kind. Origins are interchangeable: what a
source is, is its hash.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic_core import PydanticCustomError

from recipes.located import Strict, nearest

KINDS = ("git", "pypi", "url")
Kind: TypeAlias = Literal["git", "pypi", "url"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"(https?|ssh|git|file)://[^\s]+")


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError("a URL begins with https://, http://, ssh://, git:// or file://")
    return text


def _no_credentials(text: str) -> str:
    if re.match(r"https?://[^/]*@", text):
        raise ValueError("a URL with credentials is never kept in a file; use git's or netrc's own store")
    return text


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("a SHA-256 is 64 lower-case hexadecimal digits")
    return text


def _inside(text: str) -> str:
    if text.startswith("/") or any(part in ("", ".", "..") for part in text.split("/")):
        raise ValueError("a path is relative, without `.`, `..` or a trailing `/`")
    return text


Url: TypeAlias = Annotated[str, pydantic.AfterValidator(_url), pydantic.AfterValidator(_no_credentials)]
Sha256: TypeAlias = Annotated[str, pydantic.AfterValidator(_sha256)]
Path: TypeAlias = Annotated[str, pydantic.AfterValidator(_inside)]


class GitOrigin(Strict):
    """A git repository; which commit of it, the source says."""

    git: Url

    def describe(self) -> str:
        """Name the origin in a message."""
        return self.git


class PypiOrigin(Strict):
    """A file of a project on a package index, and the directory in it that holds the tree.

    No index is named: pip's own configuration says where to ask. A spec may leave `sha256` out, a lock
    never does.
    """

    pypi: str
    version: Annotated[str, pydantic.Field(json_schema_extra={"type": ["string", "number"]})]
    file: str
    sha256: Sha256 | None = None
    path: Path | None = None

    def describe(self) -> str:
        """Name the origin in a message."""
        return f"{self.file} of the package index"


class UrlOrigin(Strict):
    """An archive at a URL, by its hash, and the directory in it that holds the tree."""

    url: Url
    sha256: Sha256
    path: Path | None = None

    @property
    def file(self) -> str:
        """The archive's file name: its ending says what kind of archive it is."""
        return self.url.split("?")[0].rstrip("/").rpartition("/")[2]

    def describe(self) -> str:
        """Name the origin in a message."""
        return self.url


def kind(origin: Any) -> str | None:
    """Say which kind of origin a mapping of a file, or an origin, is; None for neither."""
    keys = origin if isinstance(origin, dict) else getattr(type(origin), "model_fields", ())
    return next((one for one in KINDS if one in keys), None)


def _of_a_kind(given: Any) -> Any:
    if kind(given) is None:
        words = list(given) if isinstance(given, dict) else [given] if isinstance(given, str) else []
        near = next((found for word in words if (found := nearest(word, KINDS))), "")
        raise PydanticCustomError("origin", "an origin is one of `git`, `pypi`, `url`{near}", {"near": near})
    return given


Archive: TypeAlias = PypiOrigin | UrlOrigin
Origin: TypeAlias = Annotated[
    # the tags are words that are no keys: pydantic makes them part of an error's place, as keys are
    Annotated[GitOrigin, pydantic.Tag("<git>")]
    | Annotated[PypiOrigin, pydantic.Tag("<pypi>")]
    | Annotated[UrlOrigin, pydantic.Tag("<url>")],
    pydantic.Discriminator(lambda origin: f"<{kind(origin)}>"),
    pydantic.BeforeValidator(_of_a_kind),
]


def below(origin: Archive, path: str) -> Archive:
    """Give the place of a submodule in an archive that holds its parent's whole tree."""
    return origin.model_copy(update={"path": f"{origin.path}/{path}" if origin.path else path})
