"""What specs ask of package indexes: a name and versions, as in PEP 508."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes.errors import SpecError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_LONGEST = 1000  # characters of a requirement: beyond 4300 digits in a row, Python makes no number of them


def asked_for(text: str) -> Requirement:
    """Read a requirement of a toolchain, `NAME` and a version specifier as in PEP 508. Raises SpecError."""
    try:
        return requirement(text)
    except ValueError as wrong:
        raise SpecError(str(wrong)) from wrong


def requirement(text: str) -> Requirement:
    """Read a requirement as `asked_for` does; the rule, for whoever knows in which line it stands.

    Raises ValueError when it is none, and for a URL (any mirror must serve it), a marker (what a toolchain
    holds does not depend on where it is locked), and extras (each project is asked for by its own name).
    """
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - 20 ms

    if len(text) > _LONGEST:
        raise ValueError(f"a requirement has at most {_LONGEST} characters, and this one {len(text)}")
    try:
        found = Requirement(text)
    except InvalidRequirement as wrong:
        raise ValueError(f"`{text}` is not a requirement such as `cmake>=3.26,<4`") from wrong
    if found.url or found.marker or found.extras:
        raise ValueError(f"a toolchain requirement has a name and versions only: `{text}`")
    return found
