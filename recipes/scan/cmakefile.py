"""CMake files as commands with their arguments, parsed by cmake-parser, and the blocks they are in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cmake_parser  # type: ignore[import-untyped]

from recipes.scan.findings import Unread

_BRACKET = re.compile(r"\[=*\[")
_COMMENT = re.compile(r"#\[(?!=*\[)")
_LONGEST_SEARCH = 1 << 27  # characters: what cmake-parser may look through for the ends of brackets
_DEEPEST = 50  # blocks within blocks that are looked at
_BLOCKS = {"if": "endif", "function": "endfunction", "macro": "endmacro", "foreach": "endforeach"}
_ENDS = {end: begin for begin, end in _BLOCKS.items()}
_NEGATED = re.compile(r"NOT (?:DEFINED |EXISTS )?(?:\$\{)?([A-Za-z_]\w*)\}?")


@dataclass(frozen=True)
class Argument:
    """One argument as written, without its quotes; only an unquoted one is split at semicolons."""

    text: str
    quoted: bool
    verbatim: bool = False


@dataclass(frozen=True)
class Call:
    """One command: its name in lower case, its arguments, and what is around it.

    `guards` are the variables of the `if(NOT DEFINED X)` and `if(NOT X)` that it is in, outermost first;
    `parameters` are those of the function or macro that it is in.
    """

    file: str
    line: int
    spelt: str
    arguments: tuple[Argument, ...]
    guards: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Give the name as CMake compares it."""
        return self.spelt.lower()


@dataclass(frozen=True)
class _Block:
    name: str
    guard: str | None = None
    parameters: tuple[str, ...] = ()


def read(text: str, file: str) -> Iterator[Call | Unread]:
    """Give the commands of a file; where it stops being CMake, an Unread, and nothing after."""
    text = _COMMENT.sub("# ", text)  # to CMake a line comment, to cmake-parser 0.9.2 an error
    if len(_BRACKET.findall(text)) * len(text) > _LONGEST_SEARCH:
        yield Unread(file, "not read: more brackets than a file has that people wrote")
        return
    blocks: list[_Block] = []
    line = 1
    try:
        for command in cmake_parser.parse_raw(text, skip_comments=True):
            line = command.line
            call = Call(file, line, command.identifier, _arguments(command.args))
            _enter_or_leave(call, blocks)
            guards = tuple(one.guard for one in blocks[-_DEEPEST:] if one.guard)
            parameters = tuple(name for one in blocks[-_DEEPEST:] for name in one.parameters)
            yield Call(file, line, call.spelt, call.arguments, guards, parameters)
    except cmake_parser.CMakeParseError as wrong:
        yield Unread(file, f"not CMake's grammar: {str(wrong).partition(': ')[0]}; read as far as that")
    except RecursionError:
        yield Unread(file, f"line {line}: parentheses nested too deep; read as far as that")


def _arguments(tokens: Iterable[Any]) -> tuple[Argument, ...]:
    found: list[Argument] = []
    end = -1
    for token in tokens:
        if token.kind == "COMMENT" or token.value is None:
            continue
        quoted = token.kind in {"QUOTED", "BRACKETED"}
        if token.span.start == end and found and token.kind in {"RAW", "QUOTED"}:  # `-DNAME="a value"`
            last = found.pop()
            found.append(Argument(last.text + token.value, last.quoted))
        else:
            found.append(Argument(token.value, quoted, token.kind == "BRACKETED"))
        end = token.span.stop if token.kind in {"RAW", "QUOTED"} else -1
    return tuple(found)


def _enter_or_leave(call: Call, blocks: list[_Block]) -> None:
    words = [one.text for one in call.arguments]
    if call.name in _BLOCKS:
        is_definition = call.name in {"function", "macro"}
        parameters = (*words[1:], "ARGN", "ARGV") if is_definition else ()
        blocks.append(_Block(call.name, _guard(words) if call.name == "if" else None, parameters))
    elif call.name in {"else", "elseif"} and blocks and blocks[-1].name == "if":
        blocks[-1] = _Block("if", _guard(words) if call.name == "elseif" else None)
    elif call.name in _ENDS and blocks and blocks[-1].name == _ENDS[call.name]:
        blocks.pop()


def _guard(words: Sequence[str]) -> str | None:
    """Give the variable that keeps a block from running: `NOT DEFINED X`, `NOT X`, also after `AND`."""
    if "OR" in words or "(" in words:
        return None
    found: str | None = None
    for clause in " ".join(words).split(" AND "):
        negated = _NEGATED.fullmatch(clause)
        found = negated[1] if negated else found
    return found
