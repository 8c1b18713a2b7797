"""Why a commit fails, as values: two that fail for other reasons are not the same breakage. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WIDEST = 200  # characters of a line that are compared
_ERROR = re.compile(r"(?i)\berror\b")
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")
_DIRECTORIES = re.compile(r"(?<![\w.])/?(?:[\w.+@~-]+/)+")


@dataclass(frozen=True)
class Reason:
    """What failed: a component, in a phase, by a line of its log, and the known breakages that shows.

    `phase` is also `source`: it could not be taken; `outputs`: something promised was not made;
    `command`: the command that judges says so.
    """

    component: str
    phase: str
    line: str = ""
    known: tuple[str, ...] = ()

    def same(self, other: Reason) -> bool:
        """Say whether two are one breakage: of one phase, and both known, or else of one kind of line."""
        if (self.component, self.phase) != (other.component, other.phase):
            return False
        if self.known or other.known:
            return bool({*self.known} & {*other.known})
        return kind(self.line) == kind(other.line)

    def __str__(self) -> str:
        return f"`{self.component}` in phase `{self.phase}`" + (f": {self.line}" if self.line else "")


def decisive(said: Sequence[str]) -> str:
    """Choose one of the lines that say why something failed: a traceback's last, else the first error."""
    lines = [line.strip() for line in said if line.strip()]
    if not lines:
        return ""
    traceback = lines[0].startswith("Traceback ")
    errors = [] if traceback else [line for line in lines if _ERROR.search(line)]
    return (errors or lines[-1:])[0][:_WIDEST]


def kind(line: str) -> str:
    """Give a line without what differs from build to build: directories and numbers."""
    return _NUMBERS.sub("0", _DIRECTORIES.sub("", line))
