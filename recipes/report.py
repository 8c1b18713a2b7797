"""The terminal: the only module that writes to it.

Results go to standard output, everything else to standard error. On a terminal, work under way is
shown in place with its time so far; elsewhere each piece of work is a line when it begins, a line
now and then while it lasts, and a line when it has ended, if it took longer than a moment.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from recipes.errors import RecipesError

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET, NORMAL, VERBOSE = 0, 1, 2
_MOMENT = 1.0  # seconds: what took less is not worth a line at its end
_EVERY = 10.0  # seconds between lines of one piece of work where lines cannot be rewritten


class Task(Protocol):
    """A piece of work under way."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Say how far it is: units done, of how many (None: not known)."""

    def note(self, text: str) -> None:
        """Say something of it, once."""


class Report:
    """Where a command tells what it does."""

    def __init__(self, level: int = NORMAL) -> None:
        self.level = level
        self._lock = threading.RLock()
        self._progress: Progress | None = None
        self._tasks = 0

    def result(self, text: str) -> None:
        """Print what the command was asked for."""
        with self._lock:
            sys.stdout.write(f"{_encodable(text, sys.stdout)}\n")
            sys.stdout.flush()

    def line(self, text: str) -> None:
        """Print a line for a person, unless `--quiet`."""
        if self.level > QUIET:
            self._write(text)

    def detail(self, text: str) -> None:
        """Print a line for a person who asked for `--verbose`."""
        if self.level >= VERBOSE:
            self._write(text)

    def warning(self, text: str) -> None:
        """Print a warning, `--quiet` or not."""
        self._write(f"warning: {text}")

    def error(self, error: RecipesError) -> None:
        """Print an error and its hint, `--quiet` or not."""
        self._write(f"error: {error}")

    def _write(self, text: str) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.console.print(
                    _encodable(text, sys.stderr), markup=False, highlight=False, soft_wrap=True
                )
                return
            sys.stderr.write(f"{_encodable(text, sys.stderr)}\n")
            sys.stderr.flush()

    def aside(self) -> Report:
        """Give a report for a part of the work, whose results are not the command's: they are lines."""
        return _Aside(self.level)

    @contextmanager
    def task(self, text: str, unit: str = "") -> Iterator[Task]:
        """Show a piece of work for as long as it lasts; `unit` is `bytes` or what is counted."""
        if self.level == QUIET:
            yield _Silent(self)
        elif sys.stderr.isatty() and self.level == NORMAL:
            with self._live() as progress:
                yield from _shown(self, progress, text, unit)
        else:
            task = _Lines(self, text, unit)
            self.line(text)
            yield task
            task.end()

    @contextmanager
    def _live(self) -> Iterator[Progress]:
        with self._lock:
            if self._progress is None:
                self._progress = _progress()
                self._progress.start()
            self._tasks += 1
            progress = self._progress
        try:
            yield progress
        finally:
            with self._lock:
                self._tasks -= 1
                if self._tasks == 0:
                    progress.stop()
                    self._progress = None


class _Aside(Report):
    def result(self, text: str) -> None:
        self.line(text)


def _progress() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - 60 ms, and only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[far]}"))
    console = Console(stderr=True)
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True)


def _shown(report: Report, progress: Progress, text: str, unit: str) -> Iterator[Task]:
    shown = progress.add_task(text, total=None, far="")
    begun = time.monotonic()

    class Bar:
        def __call__(self, done: int, total: int | None = None) -> None:
            progress.update(shown, completed=done, total=total, far=_far(done, total, unit))

        def note(self, text: str) -> None:
            report.detail(text)

    try:
        yield Bar()
    finally:
        progress.remove_task(shown)
    took = time.monotonic() - begun
    if took >= _MOMENT:
        report.line(f"{text}: done in {_clock(took)}")


class _Silent:
    def __init__(self, report: Report) -> None:
        self.report = report

    def __call__(self, done: int, total: int | None = None) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        self.report.detail(text)


class _Lines:
    def __init__(self, report: Report, text: str, unit: str) -> None:
        self.report, self.text, self.unit = report, text, unit
        self.begun = self.told = time.monotonic()

    def __call__(self, done: int, total: int | None = None) -> None:
        now = time.monotonic()
        if now - self.told >= _EVERY:
            self.told = now
            far = _far(done, total, self.unit)
            self.report.line(f"{self.text}: {far}, {_clock(now - self.begun)} so far")

    def note(self, text: str) -> None:
        self.report.detail(text)

    def end(self) -> None:
        took = time.monotonic() - self.begun
        if took >= _MOMENT:
            self.report.line(f"{self.text}: done in {_clock(took)}")


def _encodable(text: str, stream: TextIO) -> str:
    # a name that is not UTF-8, or `→` where the locale has none, must not end a command
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _far(done: int, total: int | None, unit: str) -> str:
    if unit == "bytes":
        return f"{_size(done)} of {_size(total)}" if total else _size(done)
    return f"{done} of {total} {unit}".rstrip() if total else f"{done} {unit}".rstrip()


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"
