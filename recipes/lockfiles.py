"""Lock files of a checkout: read although damaged, written where they differ, refused in sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from recipes.errors import LockError
from recipes.project import Project
from recipes.report import Report

_T = TypeVar("_T")


def before(path: Path, read: Callable[[], _T], report: Report) -> _T | None:
    """Read the lock so far. One that cannot be read is made anew: that is what its own hint advises."""
    try:
        return read() if path.is_file() else None
    except LockError as error:
        report.warning(f"{error.message}\n  locked anew, as if it were not there")
        return None


def write(project: Project, path: Path, text: str, difference: str, report: Report) -> None:
    """Write a lock where it differs from what is there, and tell what that changes."""
    name = path.relative_to(project.root) if path.is_relative_to(project.root) else path
    if project.write(path, text):
        what = (
            f":\n{textwrap.indent(difference, '  ')}"
            if difference
            else " is written anew, to the same effect"
        )
        report.result(f"{name}{what}")
    else:
        report.line(f"{name} is up to date")


def refuse(variant: str, found: Sequence[str]) -> None:
    """Raise LockError for the sentences that say where a variant's locks do not answer its specs; if any."""
    if found:
        raise LockError(
            "\n".join([f"the locks of `{variant}` do not answer its specs", *(f"  {one}" for one in found)]),
            hint=f"`recipes lock --variant {variant}`, then read the difference",
        )
