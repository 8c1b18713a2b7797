"""Trees of links: real directories, every file in them a link to a file of another tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from recipes.errors import ToolchainError


def paths(root: Path) -> Iterator[str]:
    """Give the path below `root` of each file and each link in a tree, in order; follows no link."""
    for directory, below, names in os.walk(root):
        below.sort()
        linked = [name for name in below if (Path(directory) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            yield (Path(directory) / name).relative_to(root).as_posix()


def lay(source: Path, dest: Path, place: Callable[[str], str] = str) -> None:
    """Link each file of `source` below `dest`, where `place` says; merges into what is there.

    Raises ToolchainError where two files have one place.
    """
    made: set[Path] = set()
    for path in paths(source):
        link = dest / place(path)
        if link.parent not in made:
            link.parent.mkdir(parents=True, exist_ok=True)
            made.add(link.parent)
        try:
            link.symlink_to(source / path)
        except (FileExistsError, NotADirectoryError):
            raise ToolchainError(
                f"an environment has two files for one place\n  place  {place(path)}\n  file   {path}"
            ) from None
