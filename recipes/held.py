"""What is held back: the block `held:` of an environment, which `recipes refresh --hold-back` writes.

A source that follows a branch, or a package of the toolchain, stays where it is until it is tried again.
Everything else in an environment's file is a person's: `rewritten` leaves it as it is, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import pydantic

from recipes import located
from recipes.asking import asked_for
from recipes.dates import Day
from recipes.errors import SpecError, one_line
from recipes.located import Located, Strict
from recipes.spectexts import ObjectId, Project, Version

KEY = "held"
COMMENT = "# held back by `recipes refresh --hold-back`, which writes this block and lifts what builds again"

_PLAIN = re.compile("[a-z0-9]+([._-][a-z0-9]+)*")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what ends a line in YAML 1.1, as `str.splitlines` has it
_END = re.compile(r"^\.\.\.(?!\S)", re.MULTILINE)  # of a document, before the file's


class HeldSource(Strict):
    """A source that stays at `commit`, although its branch went on; `why` is for people.

    `broken` is the first commit that breaks the build; there is none where it is not one commit. `retry` is
    the day from which a refresh tries the branch's head again.
    """

    commit: ObjectId
    broken: ObjectId | None = None
    why: str
    retry: Day

    @property
    def at(self) -> str:
        """Where it is held, in short."""
        return self.commit[:12]


class HeldPackage(Strict):
    """A package of the toolchain that stays at `version`, although there is a newer one that is asked for."""

    version: Version
    why: str
    retry: Day

    @property
    def at(self) -> str:
        """Where it is held."""
        return self.version


class Held(Strict):
    """All that an environment holds back: sources by component, packages by normalised name."""

    sources: dict[str, HeldSource] = pydantic.Field(default_factory=dict)
    pypi: dict[Project, HeldPackage] = pydantic.Field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is held back."""
        return not (self.sources or self.pypi)

    @property
    def names(self) -> tuple[str, ...]:
        """What is held back, sources first: `fp16`, `pypi:cmake`."""
        return (*sorted(self.sources), *(f"pypi:{name}" for name in sorted(self.pypi)))

    def requirements(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Give requirements with `NAME==VERSION` in place of each whose project is held back."""
        return tuple(dict.fromkeys(self._requirement(text) for text in asked))

    def _requirement(self, text: str) -> str:
        name = project(text)
        return f"{name}=={self.pypi[name].version}" if name in self.pypi else text


def project(requirement: str) -> str:
    """Give the normalised name of the project that a requirement asks for."""
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - 20 ms

    return str(canonicalize_name(asked_for(requirement).name))


def told(name: str, one: HeldSource | HeldPackage) -> str:
    """Say in one line that something is held back: where, until when, and why."""
    return f"`{name}` is held back at {until(one)}"


def until(one: HeldSource | HeldPackage) -> str:
    """Say in one line where something is held back, until when, and why."""
    return f"{one.at} until {one.retry}: {one_line(one.why)}"


def rewritten(text: str, held: Held, file: str = "the environment") -> str:
    """Give an environment's text with another block `held:`, or without one where nothing is held back.

    The block stays where it stands, with the comment of ours above it; where there is none, it comes last.
    All else stays as it is, to the byte; the block gets the file's line ends, so read it without translating
    those. Raises SpecError for what is no YAML of ours, and where no block can be written without a change to
    something else.
    """
    before = _read(text, file)
    body = text.removeprefix("\ufeff")
    _check_shape(before, body)
    lines = body.splitlines(keepends=True)
    found = _BREAK.search(body)
    end = found[0] if found else "\n"
    whole = _BREAK.fullmatch(lines[-1][-1])
    if not whole:
        lines[-1] += end
    first, last = _span(before, lines)
    kept = [line for at, line in enumerate(lines[:first]) if at not in _ours(lines, first)]
    made = "".join([*kept, *(f"{line}{end}" for line in _block(held)), *lines[last:]])
    made = text[: len(text) - len(body)] + (made if whole else _without_end(made))
    _check_same(before, _read(made, file), held)
    return made


def check_writable(text: str, file: str, today: date) -> None:
    """Look that a block can be written into an environment's text, and taken out of it. Raises SpecError."""
    one = HeldSource(commit="0" * 40, why="", retry=today)
    for held in (Held(), Held(sources={"any": one})):
        rewritten(text, held, file)


def _read(text: str, file: str) -> Located:
    # a lone surrogate has no bytes; these are refused with their place, as any that are not UTF-8
    return located.read(text.encode(errors="surrogatepass"), file, SpecError)


def _check_shape(found: Located, body: str) -> None:
    """Look that the file is one mapping in block style, with each key at the beginning of a line."""
    if not isinstance(found.value, dict) or not found.value:
        raise _refused(found, "it is no mapping with keys")
    marks = [found.mark((key,)) for key in found.value]
    if found.mark(()) not in marks or any(column != 1 for _, _, column in marks):
        raise _refused(found, "its keys are not each at the beginning of a line")
    if _END.search(body):
        raise _refused(found, "a line `...` ends it before the file's end")


def _span(found: Located, lines: Sequence[str]) -> tuple[int, int]:
    """Give the lines of the block, from and up to; behind the last line, where there is none.

    Empty lines and comments behind its last value are what stands between it and the next key: a person's.
    """
    if KEY not in found.value:
        return len(lines), len(lines)
    starts = sorted(found.mark((key,))[1] - 1 for key in found.value)
    first = found.mark((KEY,))[1] - 1
    last = next((one for one in starts if one > first), len(lines))
    while last > first + 1 and _is_empty(lines[last - 1]):
        last -= 1
    return first, last


def _is_empty(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _ours(lines: Sequence[str], first: int) -> Iterable[int]:
    """Find our own comment among those right above a line."""
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
        if lines[first].rstrip() == COMMENT:
            yield first


def _block(held: Held) -> Iterator[str]:
    if held.empty:
        return
    yield from (COMMENT, f"{KEY}:")
    if held.sources:
        yield "  sources:"
    for name, source in sorted(held.sources.items()):
        yield f"    {_key(name)}:"
        yield f"      commit: {source.commit}"
        if source.broken is not None:
            yield f"      broken: {source.broken}"
        yield f"      why: {_quoted(source.why)}"
        yield f"      retry: {source.retry}"
    if held.pypi:
        yield "  pypi:"
    for name, one in sorted(held.pypi.items()):
        rest = f"version: {one.version}, why: {_quoted(one.why)}, retry: {one.retry}"
        yield f"    {_key(name)}: {{{rest}}}"


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    r"""Write a text in YAML's double quotes, on one line: what does not print as `\uXXXX` or `\UXXXXXXXX`."""
    return f'"{"".join(map(_letter, text))}"'


def _letter(one: str) -> str:
    if one.isprintable():
        return f"\\{one}" if one in '\\"' else one
    return f"\\u{ord(one):04X}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08X}"  # noqa: PLR2004 - of four digits


def _without_end(text: str) -> str:
    ends = [found for found in _BREAK.finditer(text) if found.end() == len(text)]
    return text[: ends[0].start()] if ends else text


def _check_same(before: Located, after: Located, held: Held) -> None:
    rest = [{key: value for key, value in (one.value or {}).items() if key != KEY} for one in (before, after)]
    if rest[0] != rest[1] or Held.model_validate((after.value or {}).get(KEY, {})) != held:
        raise _refused(before, "something else in it would change")


def _refused(found: Located, why: str) -> SpecError:
    return SpecError(
        f"{found.file}: `{KEY}` cannot be written: {why}",
        hint="write each key at the beginning of a line of its own, and end the last line",
    )
