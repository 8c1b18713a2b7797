"""What a bisection may spend: builds, or time. Several judges may take of it at once."""

from __future__ import annotations

import re
import threading
import time

from recipes.errors import UsageError

_FORM = re.compile(r"(\d{1,6})([mh]?)")
_SECONDS = {"m": 60, "h": 3600}


class Spent(Exception):  # noqa: N818 - what happened, not whose error it is
    """The budget does not allow another commit to be judged; the text says so."""


class Budget:
    """`text` is a number of builds, or of minutes or hours (`30m`, `2h`) from now on; None has no end."""

    def __init__(self, text: str | None) -> None:
        self.builds = 0
        self._lock = threading.Lock()
        self._most: int | None = None
        self._end: float | None = None
        self._text = text
        if text is None:
            return
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"`--budget {text}` is no number of builds, and no time such as `30m` or `2h`")
        if found[2]:
            self._end = time.monotonic() + int(found[1]) * _SECONDS[found[2]]
        else:
            self._most = int(found[1])

    def check(self) -> None:
        """Raise Spent where no time is left. A build under way is not ended."""
        if self._end is not None and time.monotonic() >= self._end:
            raise Spent(f"the budget of {self._text} is spent")

    def build(self) -> None:
        """Take a build. Raises Spent."""
        self.check()
        with self._lock:
            if self._most is not None and self.builds >= self._most:
                raise Spent(f"the budget of {self._most} build{'' if self._most == 1 else 's'} is spent")
            self.builds += 1
