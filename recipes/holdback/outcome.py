"""What came of a refresh that holds back, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from recipes.diff import Changed
from recipes.holdback.mixing import Input


@dataclass(frozen=True)
class HeldBack:
    """An input that cannot go as far as it is wanted to, and where it stays.

    `broken` is the first commit that breaks the variant (None: not one commit, or a package). `retry` is
    the day from which a refresh tries it again.
    """

    wanted: Input
    at: str
    broken: str | None
    why: str
    retry: date


@dataclass(frozen=True)
class Waiting:
    """What an earlier refresh held back, and this one did not try: its day has not come."""

    name: str
    at: str
    why: str
    retry: date


@dataclass(frozen=True)
class Outcome:
    """What became of each input of a variant. `moved` went as far as asked; `lifted` had been held back.

    `untried` stays as it was, for `spent` says why. `unresolved` is what could not be looked up. `error` says
    why nothing could be settled; then the locks stay as they are. `builds` were made, in `seconds`.
    """

    variant: str
    moved: tuple[Input, ...] = ()
    held: tuple[HeldBack, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    lifted: tuple[str, ...] = ()
    untried: tuple[Input, ...] = ()
    unresolved: tuple[str, ...] = ()
    nar_hash: str | None = None
    error: str | None = None
    spent: str | None = None
    builds: int = 0
    seconds: float = 0


@dataclass(frozen=True)
class Refreshed:
    """A variant's outcome, and what was written: the difference of its locks (None: none), its spec."""

    outcome: Outcome
    changed: Changed | None = None
    spec: bool = False

    @property
    def wrote(self) -> bool:
        """Say whether any file of the checkout is another."""
        return self.changed is not None or self.spec
