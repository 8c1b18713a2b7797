"""A source tree as values: entries, the rules for their names, and the filter that takes a subset.

An origin (a git commit, an archive) yields entries; `recipes.files` writes them. Paths are relative,
`/`-separated `str`; bytes that are not UTF-8 are carried as surrogate escapes (PEP 383).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pathspec

from recipes.errors import IntegrityError

DEEPEST = 128  # directories; NAR and most file systems' path limits would allow more, no source has it


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
    return pathspec.PathSpec.from_lines("gitignore", [f"/{one.lstrip('/')}" for one in patterns])


def check_name(path: str, origin: str) -> None:
    """Refuse a path that could be written outside the tree; `origin` names the source of it.

    Raises IntegrityError for an absolute path, an empty one, a NUL, `.`, `..`, and a tree deeper than
    DEEPEST. (`.git` is not refused but never taken: see `is_git_metadata`.)
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts) or len(parts) > DEEPEST:
        raise IntegrityError(
            f"{origin} has a member with a name that is not allowed\n  name  {path!r}",
            hint="this archive may be hostile; report it to where it came from",
        )
