"""A source tree as values: entries, the rules for their names, and the filter that takes a subset.

An origin (a git commit, an archive) yields entries; `recipes.files` writes them. Paths are relative,
`/`-separated `str`: the bytes of the name as UTF-8, with surrogate escapes (PEP 383) where they are not. The
locale has no part in it, so a tree hashes the same under every one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recipes.errors import IntegrityError

if TYPE_CHECKING:
    import pathspec

DEEPEST = 128  # directories; NAR and most file systems' path limits would allow more, no source has it
LONGEST_NAME = 255  # bytes: NAME_MAX of every file system in use
LONGEST_PATH = 2048  # bytes: half of PATH_MAX, so that the other half is left for the place of the tree

_HOSTILE = "this archive may be hostile; report it to where it came from"


@dataclass(frozen=True)
class Entry:
    """One file or symbolic link of a tree. Directories are implied by the files in them.

    `size` is in bytes and, for a file, the sum of the lengths of `chunks`; `chunks` is read once.
    """

    path: str
    kind: Literal["file", "symlink"]
    size: int = 0
    executable: bool = False
    chunks: Iterable[bytes] = ()
    target: str = ""


@dataclass(frozen=True)
class Filter:
    """The part of a tree that a source takes.

    `include` and `exclude` are gitignore globs anchored at the top of the tree (`src/**`, `LICENSE`);
    an empty `include` takes everything. `strip` is a prefix that is taken away from each path, and
    only what lies below it is taken; the globs apply to what is left. `modes` is `git` (a file keeps
    its executable bit) or `plain` (no file is executable: for archives that lose the bit).
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strip: str = ""
    modes: Literal["git", "plain"] = "git"

    def place(self, path: str) -> str | None:
        """Say where a path of the origin lands in the source, or None when it is left out."""
        if self.strip:
            if not path.startswith(f"{self.strip}/"):
                return None
            path = path[len(self.strip) + 1 :]
        taken = not self.include or _globs(self.include).match_file(path)
        return path if taken and not _globs(self.exclude).match_file(path) else None

    def mode(self, executable: bool) -> bool:
        """Say whether a file that was executable at its origin is so in the source."""
        return executable and self.modes == "git"


def is_git_metadata(path: str) -> bool:
    """Say whether a path is a repository's own file: never content, and a dangling one breaks git."""
    return ".git" in path.split("/")


@functools.cache
def _globs(patterns: tuple[str, ...]) -> pathspec.PathSpec[pathspec.Pattern]:
    import pathspec  # noqa: PLC0415 - `hashes` needs this module, and most commands no globs

    return pathspec.PathSpec.from_lines("gitignore", [f"/{one.lstrip('/')}" for one in patterns])


def to_bytes(path: str) -> bytes:
    """Give the bytes of a path or a link's target on disk, whatever the locale is."""
    return path.encode("utf-8", "surrogateescape")


def to_text(raw: bytes) -> str:
    """Read a name or a link's target from disk, whatever the locale is; undoes `to_bytes`."""
    return raw.decode("utf-8", "surrogateescape")


def check_name(path: str, origin: str) -> None:
    """Refuse a path that could be written outside the tree, or nowhere; `origin` names the source of it.

    Raises IntegrityError for an absolute path, an empty one, a NUL, `.`, `..`, a tree deeper than DEEPEST,
    and what is longer than LONGEST_NAME or LONGEST_PATH. (`.git` is not refused but never taken: see
    `is_git_metadata`.)
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts) or not _fits(path, parts):
        raise IntegrityError(
            f"{origin} has a member with a name that is not allowed\n  name  {_shown(path)}", hint=_HOSTILE
        )


def fits(path: str) -> bool:
    """Say whether a path keeps to LONGEST_PATH, LONGEST_NAME and DEEPEST."""
    return _fits(path, path.split("/"))


def _fits(path: str, parts: list[str]) -> bool:
    try:
        length = len(to_bytes(path))
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False
    if length <= LONGEST_NAME:
        return len(parts) <= DEEPEST
    names_fit = max(len(to_bytes(part)) for part in parts) <= LONGEST_NAME
    return length <= LONGEST_PATH and names_fit and len(parts) <= DEEPEST


def leads_out(path: str, target: str) -> bool:
    """Say whether a symbolic link at `path` leads out of its tree, by the rule of `check_target`."""
    parts = target.split("/")
    climbs = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    return "\0" in target or not parts[0] or ".." in parts[climbs:] or climbs > path.count("/")


def check_target(path: str, target: str, origin: str) -> None:
    """Refuse a symbolic link at `path` that leads out of the tree, or nowhere at all.

    Raises IntegrityError for a target that is empty, absolute, too long, holds a NUL, climbs above the
    tree, or goes up again after a name. The last is what makes the rule hold without looking at the other
    links: with `d -> .`, the harmless-looking `d/d/../..` is outside. A dangling link is fine.
    """
    if leads_out(path, target) or not _fits(target, [""]):
        raise IntegrityError(
            f"{origin} has a symbolic link that leads out of its tree\n"
            f"  link    {_shown(path)}\n  target  {_shown(target)}",
            hint=_HOSTILE,
        )


def _shown(text: str) -> str:
    return repr(text) if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]!r}… ({len(text)} characters)"
