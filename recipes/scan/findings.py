"""What a scan finds: an input, where it is asked for, and how firmly."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Severity: TypeAlias = Literal["floating", "movable", "unknown", "unhashed", "pinned"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_SHORT_ID = re.compile(r"(?=.*\d)[0-9a-f]{7,39}", re.IGNORECASE)
_BRANCHES = {"main", "master", "develop", "development", "dev", "trunk", "next", "nightly", "stable", "HEAD"}
_VERSION = re.compile(r"\d")
_MOVING_URL = re.compile(r"[/_.-](?:latest|main|master|nightly|HEAD|trunk|current)(?=[/_.?-]|$)")
_HERE = re.compile(r"^\w+://(?:localhost|127\.|\[::1\])")


@dataclass(frozen=True)
class Word:
    """One argument as written, with the variables in it that have one known value filled in.

    `unknown` says that a variable is left in `text`: what it stands for is known when the tree is configured
    or the script runs. `candidates` are the values that the tree gives it, where there are several.
    """

    text: str
    unknown: bool = False
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """How firmly an input is asked for, and why that is so, in words."""

    severity: Severity
    why: str


@dataclass(frozen=True)
class Found:
    """One input: `file` and `line` (from 1), the command that asks for it, and what it asks for.

    `url` is the repository, where it is one that git can be asked about, and `ref` what is asked of it
    (None: the default branch). `pin` is the commit that `ref` names today. `name` is the dependency's own,
    and `guard` the CMake variable that stops the download when it is defined.
    """

    file: str
    line: int
    kind: str
    what: str
    verdict: Verdict
    url: str | None = None
    ref: str | None = None
    name: str | None = None
    guard: str | None = None
    pin: str | None = None


@dataclass(frozen=True)
class Unread:
    """A file that was not read, or not in full, and why."""

    file: str
    why: str


@dataclass(frozen=True)
class Scan:
    """What is in a tree: its inputs in the order of files and lines, and how many files were read."""

    found: tuple[Found, ...]
    unread: tuple[Unread, ...]
    files: int


def unresolved(word: Word) -> Verdict:
    """Say that a word depends on what is not in the tree."""
    some = ", ".join(f"`{one}`" for one in word.candidates[:4])
    return Verdict("unknown", f"unknown until configured{f': one of {some}' if some else ''}")


def of_ref(ref: Word | None, absent: str = "no ref: the default branch") -> Verdict:
    """Judge what is asked of a git repository by its name alone; `absent` is why none is floating."""
    if ref is None or not ref.text:
        return Verdict("floating", absent)
    if ref.unknown:
        return unresolved(ref)
    severity, why = next(verdict for is_one, verdict in _REFS if is_one(ref.text))
    return Verdict(severity, why)


def _is_branch(text: str) -> bool:
    return text in _BRANCHES or text.startswith(("refs/heads/", "origin/"))


_REFS: tuple[tuple[Callable[[str], object], tuple[Severity, str]], ...] = (
    (_WHOLE_ID.fullmatch, ("pinned", "a whole commit id")),
    (_SHORT_ID.fullmatch, ("movable", "a short commit id")),
    (lambda text: text.startswith("refs/tags/"), ("movable", "a tag")),
    (_is_branch, ("floating", "a branch")),
    (_VERSION.search, ("movable", "a tag, by its name")),
    (lambda _text: True, ("floating", "a branch, by its name")),
)


def of_url(url: Word, checked: str | None = None) -> Verdict:
    """Judge a file that is downloaded; `checked` says what it is held against, where it is."""
    if checked:
        return Verdict("pinned", checked)
    if url.unknown:
        return unresolved(url)
    if _MOVING_URL.search(url.text):
        return Verdict("floating", "its URL names no version, and no hash is checked")
    return Verdict("unhashed", "no hash is checked")


def of_image(image: Word) -> Verdict:
    """Judge a container image's name."""
    if "@sha256:" in image.text:
        return Verdict("pinned", "a digest")
    if image.unknown:
        return unresolved(image)
    tag = image.text.rpartition("/")[2].partition(":")[2]
    if tag in {"", "latest"}:
        return Verdict("floating", "no tag" if not tag else "the tag `latest`")
    return Verdict("movable", "a tag, no digest")


def is_remote(text: str) -> bool:
    """Say whether a text is the URL of another machine's file or repository."""
    if text.startswith("file://") or _HERE.match(text):
        return False
    return "://" in text or re.match(r"[\w.-]+@[\w.-]+:", text) is not None
