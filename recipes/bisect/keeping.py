"""Where a bisection's log is kept, and which log's judgements hold for another bisection."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from recipes.bisect import log as logs
from recipes.bisect.log import Head, Judgement, Log
from recipes.errors import UsageError
from recipes.report import Report

PLACE = ".bisect"  # in the checkout; git ignores it


def file_name(head: Head) -> str:
    """Name the file of a log: one for each judge."""
    judge = f"{head.run}\0{head.build}"
    other = "" if head.run is None else f".{hashlib.sha256(judge.encode(errors='replace')).hexdigest()[:8]}"
    return f"{head.variant}.{head.target}.{head.source}{other}.jsonl"


def read(file: Path, directory: Path) -> Log:
    """Read a log that the command line names, from `directory` on. Raises UsageError."""
    try:
        return logs.parse((directory / file).read_bytes(), str(file))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"`{file}` cannot be read: {error.strerror}") from error


def replayed(head: Head, old: Log, name: str) -> tuple[Judgement, ...]:
    """Give what a log to replay judged. Raises UsageError where it is of something else."""
    key = old.head.differs(head)
    if key is not None:
        sides = f"\n  asked     {getattr(head, key)}\n  log       {getattr(old.head, key)}"
        raise UsageError(f"{name} is the log of another bisection: `{key}` differs{sides}")
    return old.judged


def kept(head: Head, file: Path, report: Report) -> tuple[Judgement, ...]:
    """Give what an earlier run judged. What it could not have is tried again."""
    try:
        old = logs.parse(file.read_bytes(), str(file))
    except FileNotFoundError:
        return ()
    except UsageError as wrong:
        raise UsageError(wrong.message, hint=f"`rm {shlex.quote(str(file))}`") from wrong
    if old.head.differs(head) is not None:
        report.line(f"specs or locks have changed since {file} was written: begun anew")
        return ()
    judged = tuple(one for one in old.judged if one.status != "skip" or one.path is not None)
    report.line(f"going on from {file}; commits judged so far: {len(judged)}")
    return judged
