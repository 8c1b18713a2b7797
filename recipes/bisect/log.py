"""A bisection's log: what was asked, and what was judged of each commit. Pure; JSON, a line each.

The first line is the head, every other one a judgement, in the order they were made:

    {"format": 1, "source": "fp16", "variant": "nnpack", "target": "nnpack-kernels", "run": null,
     "build": true, "base": "HASH-nnpack-kernels", "good": "4dfe…", "bad": "782e…",
     "branch": "refs/heads/master"}
    {"commit": "782e…", "status": "failed", "path": "HASH-nnpack-kernels", "reason": {…}}

`base` is the target's store path as it is locked: what was judged holds for as long as that is the same.
With `build` false, the command `run` judged the source alone.
What a log says is what came of each commit, not what that means: `marks` says so, by the bad end's reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import pydantic

from recipes.bisect.reason import Reason
from recipes.bisect.search import Mark
from recipes.errors import UsageError
from recipes.history import Step
from recipes.spectexts import ObjectId

Status: TypeAlias = Literal["good", "failed", "skip"]
_Strict = pydantic.ConfigDict(extra="forbid")
_ENDS = ("good", "bad", "branch")


@dataclass(frozen=True)
class Head:
    """What a log is of: `run` is the command that judges, None for the build; `build` and `base` as above.

    `branch` is whose head the bad commit was, by its full name.
    """

    __pydantic_config__ = _Strict

    source: str
    variant: str
    target: str
    run: str | None
    build: bool
    base: str
    good: ObjectId
    bad: ObjectId
    branch: str | None = None
    format: Literal[1] = 1

    def differs(self, other: Head) -> str | None:
        """Name the first field that keeps what was judged from holding for the other: all but the ends."""
        mine, its = asdict(self), asdict(other)
        return next((key for key in mine if key not in _ENDS and mine[key] != its[key]), None)


@dataclass(frozen=True)
class Judgement:
    """What came of a commit, and the store path that it came of (None: it could not be taken)."""

    __pydantic_config__ = _Strict

    commit: ObjectId
    status: Status
    path: str | None = None
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if (self.status == "failed") != (self.reason is not None):
            raise ValueError("a `reason` goes with `failed`, and only with that")


@dataclass(frozen=True)
class Log:
    """A head and its judgements; the last one of a commit counts."""

    head: Head
    judged: tuple[Judgement, ...] = ()
    found: Mapping[str, Judgement] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", {one.commit: one for one in self.judged})

    def add(self, one: Judgement) -> Log:
        """Give the log with one more judgement."""
        return Log(self.head, (*self.judged, one))

    def of_path(self, path: str) -> Judgement | None:
        """Give what came of a store path: a commit that makes no difference to it is not judged again."""
        return next((one for one in self.judged if one.path == path), None)

    def marks(self, line: Sequence[Step]) -> dict[int, Mark]:
        """Say what judgements mean for a line of commits whose last one is judged: as bad as that, or not."""
        end = self.found[line[-1].commit]
        judged = ((at, self.found.get(step.commit)) for at, step in enumerate(line))
        return {at: _mark(one, end) for at, one in judged if one is not None}


def _mark(one: Judgement, end: Judgement) -> Mark:
    if one.reason is None or end.reason is None:
        return "good" if one.status == "good" else "skip"
    return "bad" if one.reason.same(end.reason) else "skip"


def render(log: Log) -> bytes:
    """Write a log."""
    rows = [asdict(log.head), *(asdict(one) for one in log.judged)]
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def parse(text: bytes, file: str) -> Log:
    """Read a log; a last line without its end was cut off, and does not count. Raises UsageError."""
    lines = text.split(b"\n")[:-1]
    if not lines:
        raise UsageError(f"{file}: no log of `recipes bisect`: it has no line")
    head = _row(_HEAD, lines[0], file, 1)
    return Log(head, tuple(_row(_JUDGEMENT, line, file, at) for at, line in enumerate(lines[1:], 2)))


_HEAD = pydantic.TypeAdapter(Head)
_JUDGEMENT = pydantic.TypeAdapter(Judgement)


def _row(kind: pydantic.TypeAdapter[Any], line: bytes, file: str, at: int) -> Any:
    try:
        return kind.validate_json(line)
    except pydantic.ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where}: {first['msg']}" if where else first["msg"]
        raise UsageError(f"{file}:{at}: no line of a log of `recipes bisect`: {said}") from wrong
