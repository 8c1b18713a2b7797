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
from recipes.tree import LONGEST_NAME, LONGEST_PATH, fits

KINDS = ("git", "pypi", "debian", "url")
Kind: TypeAlias = Literal["git", "pypi", "debian", "url"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]*")
_SUITE = re.compile(r"[a-z][a-z0-9-]*")
_ORIG = re.compile(r"[a-z0-9][a-z0-9+.-]+_[A-Za-z0-9.+~-]+\.orig\.tar\.[a-z0-9]+")
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
    if not fits(text):
        raise ValueError(f"a path has at most {LONGEST_PATH} bytes, a name in it {LONGEST_NAME}")
    return text


def _package(text: str) -> str:
    if not _PACKAGE.fullmatch(text):
        raise ValueError("a Debian package's name has lower-case letters, digits, `+`, `-` and `.` only")
    return text


def _debian_version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise ValueError("a Debian version is written as in `0.0~git20200514.4dfe081-3`")
    return text


def _suite(text: str) -> str:
    if not _SUITE.fullmatch(text):
        raise ValueError("a suite of Debian's archive is written as in `trixie` or `bookworm-updates`")
    return text


def _orig(text: str) -> str:
    if not _ORIG.fullmatch(text):
        raise ValueError("Debian's upstream tarballs are named as in `PACKAGE_VERSION.orig.tar.xz`")
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


class DebianOrigin(Strict):
    """The upstream tarball of a Debian source package, and the directory in it that holds the tree.

    No archive is named: apt's own configuration says where to ask; `suite` asks those archives for another
    suite than the ones that apt uses. What a spec leaves out, `recipes lock` finds: the newest version, its
    tarball and that one's SHA-256, and the top directory that all in it lies in, if there is one.
    """

    debian: Annotated[str, pydantic.AfterValidator(_package)]
    suite: Annotated[str, pydantic.AfterValidator(_suite)] | None = None
    version: Annotated[
        Annotated[str, pydantic.AfterValidator(_debian_version)] | None,
        pydantic.Field(json_schema_extra={"anyOf": [{"type": ["string", "number"]}, {"type": "null"}]}),
    ] = None
    file: Annotated[str, pydantic.AfterValidator(_orig)] | None = None
    sha256: Sha256 | None = None
    path: Path | None = None

    def describe(self) -> str:
        """Name the origin in a message."""
        return f"{self.file or f'the source package `{self.debian}`'} of Debian's archive"


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
        what = "an origin is one of `git`, `pypi`, `debian`, `url`{near}"
        raise PydanticCustomError("origin", what, {"near": near})
    return given


Archive: TypeAlias = PypiOrigin | DebianOrigin | UrlOrigin
Origin: TypeAlias = Annotated[
    # the tags are words that are no keys: pydantic makes them part of an error's place, as keys are
    Annotated[GitOrigin, pydantic.Tag("<git>")]
    | Annotated[PypiOrigin, pydantic.Tag("<pypi>")]
    | Annotated[DebianOrigin, pydantic.Tag("<debian>")]
    | Annotated[UrlOrigin, pydantic.Tag("<url>")],
    pydantic.Discriminator(lambda origin: f"<{kind(origin)}>"),
    pydantic.BeforeValidator(_of_a_kind),
]


# What locking finds where a spec leaves it out. A lock must have it, but for `path`: there may be none.
_FOUND: dict[type[Strict], tuple[str, ...]] = {
    PypiOrigin: ("sha256",),
    DebianOrigin: ("version", "file", "sha256", "path"),
}


def missing(origin: Origin) -> str | None:
    """Name what an origin of a lock must say and this one does not; None for nothing."""
    needed = (key for key in _FOUND.get(type(origin), ()) if key != "path")
    return next((key for key in needed if getattr(origin, key) is None), None)


def answers(locked: Origin, asked: Origin) -> bool:
    """Say whether a locked origin is the one asked for: what a spec leaves out, locking may have found."""
    left_out = {key: None for key in _FOUND.get(type(asked), ()) if getattr(asked, key) is None}
    return type(locked) is type(asked) and locked.model_copy(update=left_out) == asked


def file_name(origin: Archive) -> str:
    """Give the name of an archive's file, which every locked one has. Raises ValueError without one."""
    if origin.file is None:
        raise ValueError(f"{origin.describe()} is not locked")
    return origin.file


def below(origin: Archive, path: str) -> Archive:
    """Give the place of a submodule in an archive that holds its parent's whole tree."""
    return origin.model_copy(update={"path": f"{origin.path}/{path}" if origin.path else path})
