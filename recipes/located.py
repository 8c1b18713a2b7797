"""YAML text → plain values that remember where they stood, so that every error can name its line.

Specs and locks need only mappings with string keys, sequences and scalars. Scalars stay text: YAML 1.1
would read `ref: 1.10` as a number and `USE_LLVM: OFF` as a truth value, and both must arrive as
written. Anchors, aliases and tags are refused: no spec needs them, and aliases of aliases are a bomb.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import pydantic
import pydantic_core
import yaml

from recipes.errors import LockError, SpecError, one_line

LARGEST = 1 << 20  # bytes; the longest lock of this project has 20 KiB
DEEPEST = 40  # nested collections; a spec has seven
MOST = 20  # errors of one file that are listed

_NOTHING = ("", "~", "null")  # plain scalars that stand for no value; in quotes they are text
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE  # what YAML allows nowhere in a file
_CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?:[ \r].*)?$", re.MULTILINE)  # git's markers, around `=======`
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

Place = tuple[str | int, ...]
Mark = tuple[str, int, int]
Model = TypeVar("Model", bound=pydantic.BaseModel)


@dataclass(frozen=True)
class Located:
    """What a YAML file holds, with the file, line and column (from 1) of each place in it."""

    file: str
    value: Any
    marks: Mapping[Place, Mark] = field(default_factory=dict)

    def mark(self, place: Place) -> Mark:
        """Give where a place, or the nearest one around it, is written down."""
        while place and place not in self.marks:
            place = place[:-1]
        return self.marks.get(place, (self.file, 1, 1))

    def where(self, place: Place) -> str:
        """Say `FILE:LINE:COLUMN` of a place."""
        return ":".join(map(str, self.mark(place)))


def merge(base: Located, over: Located, levels: Mapping[str, int]) -> Located:
    """Lay one file's values over another's: a key that `over` has replaces the one of `base`.

    `levels` names the keys whose mappings are merged key by key instead, and how many levels deep.
    Every place keeps the mark of the file that it came from; one that both have is `over`'s.
    """
    replaced: set[Place] = set()
    joined: set[Place] = set()

    def lay(under: Any, new: Any, place: Place, depth: int) -> Any:
        if depth and isinstance(under, dict) and isinstance(new, dict):
            joined.add(place)
            laid = {
                key: lay(under.get(key), value, (*place, key), levels.get(key, 0) if not place else depth - 1)
                for key, value in new.items()
            }
            return {**under, **laid}
        replaced.add(place)
        return new

    def below(place: Place) -> bool:
        return any(place[:length] in replaced for length in range(len(place) + 1))

    value = lay(base.value, over.value, (), 1)
    marks = {place: mark for place, mark in base.marks.items() if not below(place)}
    marks.update({place: mark for place, mark in over.marks.items() if below(place)})
    marks.update({place: over.mark(place) for place in joined})
    return Located(over.file, value, marks)


def read(text: bytes, file: str, error: type[SpecError | LockError]) -> Located:
    """Parse one YAML document; `error` is what to raise: SpecError or LockError.

    A file without a document (empty, or of comments only) has the value None.
    """
    if len(text) > LARGEST:
        raise error(f"{file}: too large: {len(text)} bytes, and at most {LARGEST} are read")
    decoded = _decoded(text, file, error)
    _check_conflict(decoded, file, error)
    document = _Document(decoded, file, error)
    try:
        return Located(file, document.read(), document.marks)
    except yaml.MarkedYAMLError as wrong:
        where = _at(wrong.problem_mark or wrong.context_mark)
        raise error(f"{file}:{where}: not YAML: {wrong.problem or wrong.context}") from wrong
    except (ValueError, OverflowError) as wrong:  # PyYAML's own, for the escape "\\U00110000"
        raise error(f"{file}:{_at(document.last)}: not YAML: {wrong}") from wrong


def conflict(text: str) -> tuple[int, str] | None:
    """Give the first marker of a merge's conflict in a text, and its line, counted from 1; None for none."""
    found = _CONFLICT.search(text)
    return (text.count("\n", 0, found.start()) + 1, found[0].rstrip("\r")) if found else None


def _check_conflict(text: str, file: str, error: type[SpecError | LockError]) -> None:
    if (found := conflict(text)) is not None:
        raise error(f"{file}:{found[0]}:1: a conflict of a merge is not resolved: `{one_line(found[1])}`")


def _decoded(text: bytes, file: str, error: type[SpecError | LockError]) -> str:
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        before, what = text[: wrong.start].decode("utf-8"), f"not UTF-8: byte 0x{text[wrong.start]:02x}"
    else:
        found = _UNPRINTABLE.search(decoded)
        if found is None:
            return decoded
        before, what = decoded[: found.start()], f"not text: character U+{ord(found.group()):04X}"
    column = len(before) - before.rfind("\n")
    raise error(f"{file}:{before.count(chr(10)) + 1}:{column}: {what}")


def _at(mark: Any) -> str:
    return f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"


class _Document:
    """One document, made of its events: PyYAML's own constructors would guess types and follow tags."""

    def __init__(self, text: str, file: str, error: type[SpecError | LockError]) -> None:
        self.events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.file, self.error = file, error
        self.marks: dict[Place, Mark] = {}
        self.last: Any = None

    def next(self) -> Any:
        event = next(self.events)
        self.last = event.start_mark
        return event

    def read(self) -> Any:
        self.next()  # the stream's start
        if isinstance(self.next(), yaml.StreamEndEvent):
            return None
        value = self.value((), self.next())
        self.next()  # the document's end
        if not isinstance(self.next(), yaml.StreamEndEvent):
            self.refuse("another document begins; a file holds one")
        return value

    def refuse(self, what: str, place: Place = ()) -> NoReturn:
        name = f"{dotted(place)}: " if place else ""
        raise self.error(one_line(f"{self.file}:{_at(self.last)}: {name}{what}"))

    def mark(self) -> Mark:
        return self.file, self.last.line + 1, self.last.column + 1

    def value(self, place: Place, event: Any) -> Any:
        self.marks.setdefault(place, self.mark())
        if isinstance(event, yaml.ScalarEvent):
            text = self.scalar(place, event)
            return None if event.style is None and text in _NOTHING else text
        self.check(place, event)
        if len(place) == DEEPEST:
            self.refuse(f"nested deeper than {DEEPEST} levels")
        return self.sequence(place) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(place)

    def sequence(self, place: Place) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            found.append(self.value((*place, len(found)), event))
        return found

    def mapping(self, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.key(place, event)
            here = (*place, key)
            if key in found:
                self.refuse(f"duplicate key `{key}`, first on line {self.marks[here][1]}", here)
            self.marks[here] = self.mark()
            found[key] = self.value(here, self.next())
        return found

    def key(self, place: Place, event: Any) -> str:
        if isinstance(event, yaml.CollectionStartEvent):
            self.refuse("a key is text", place)
        key = self.scalar(place, event)
        if "\n" in key or "\t" in key:
            self.refuse("a key is one line, without tabs", place)
        if key == "<<":
            self.refuse("merge keys are not supported", place)
        return key

    def scalar(self, place: Place, event: Any) -> str:
        self.check(place, event)
        text = str(event.value)
        if _CONTROL.search(text):  # by an escape: NUL would end an argument, a lone surrogate has no bytes
            self.refuse("a control character or half of a surrogate pair", place)
        return text

    def check(self, place: Place, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self.refuse("anchors and aliases are not supported", place)
        if event.tag:
            self.refuse(f"tags are not supported: `{event.tag}`", place)


def dotted(place: Place) -> str:
    """Write a place as people do: `sources.fp16.origins[0].git`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return one_line(text)


class Strict(pydantic.BaseModel):
    """A value made once from a file: it cannot change, and a key nobody reads is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        known = [*cls.model_fields]
        for key in given if isinstance(given, dict) else ():
            if key not in known:
                raise misplaced(f"unknown key `{key}`{nearest(key, known)}", key)
        return given


def misplaced(message: str, *place: str | int) -> pydantic_core.PydanticCustomError:
    """Make an error for a validator to raise that belongs to a place below the value it validates."""
    return pydantic_core.PydanticCustomError("misplaced", "{message}", {"message": message, "below": place})


def check(located: Located, model: type[Model], error: type[SpecError | LockError]) -> Model:
    """Make a model of what was read, or raise one error that lists what is wrong with it, in order."""
    try:
        return model.model_validate(located.value)
    except pydantic.ValidationError as wrong:
        lines = [text for _, text in sorted(_sentence(located, one) for one in _own(wrong))]
        more = [f"{located.file}: {len(lines) - MOST} more errors"] if len(lines) > MOST else []
        raise error("\n".join([*lines[:MOST], *more])) from wrong


def _own(wrong: pydantic.ValidationError) -> list[Mapping[str, Any]]:
    # pydantic also says `too short` of a list whose only item is wrong
    return [
        one
        for one in wrong.errors()
        if one["type"] != "too_short" or len(one["input"]) < one["ctx"]["min_length"]
    ]


def _sentence(located: Located, wrong: Mapping[str, Any]) -> tuple[Mark, str]:
    place = (*_real_place(located.value, wrong["loc"]), *wrong.get("ctx", {}).get("below", ()))
    name = dotted(place)
    text = f"{located.where(place)}: {f'{name}: ' if name else ''}{_words(wrong)}"
    return located.mark(place), one_line(text)


def _real_place(value: Any, loc: Sequence[str | int]) -> Place:
    # pydantic adds levels that the file has not: the tag of a union's member, `[key]`, a missing key
    place: list[str | int] = []
    for part in loc:
        if _holds(value, part):
            value = value[part]
            place.append(part)
    return tuple(place)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


_EXPECTED = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
    "string_too_short": "text",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
}


def _words(wrong: Mapping[str, Any]) -> str:
    kind, given = wrong["type"], wrong["input"]
    if kind == "missing":
        return f"`{wrong['loc'][-1]}` is missing"
    if kind == "literal_error":
        known = re.findall("'([^']*)'", wrong["ctx"]["expected"])
        near = nearest(given, known) if isinstance(given, str) else ""
        return f"expected {' or '.join(f'`{one}`' for one in known)}, got {_shown(given)}{near}"
    if kind == "too_short":
        least = wrong["ctx"]["min_length"]
        return f"expected at least {'one' if least == 1 else least}, got {len(given) or 'nothing'}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {_shown(given)}"
    message = str(wrong["msg"]).removeprefix("Value error, ")
    return re.sub("^Input", "input", message)


def _shown(given: Any) -> str:
    if isinstance(given, str) and given:
        return f"`{given}`"
    return "nothing" if not given else "a list" if isinstance(given, list) else "a mapping"


def json_schema(model: type[Strict]) -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of a kind of file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def nearest(word: str, known: Iterable[str]) -> str:
    """Say `, did you mean …?` where a known word is near, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean `{close[0]}`?" if close else ""
