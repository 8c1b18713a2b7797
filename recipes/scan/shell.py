"""Shell scripts as the commands in them, parsed by tree-sitter's grammar of bash.

A script is not run: a variable stands for its value where the script assigns it one literal only, and
every branch is read. What a heredoc writes elsewhere is text, not commands.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import tree_sitter
import tree_sitter_bash
from tree_sitter import Node

from recipes.scan.findings import Word

DEEPEST = 4  # scripts within scripts, `bash -c "bash -c …"`, and variables within variables
_EXPANSIONS = {"simple_expansion", "expansion", "command_substitution", "process_substitution"}
_EXPANSIONS |= {"arithmetic_expansion"}
_NOT_ARGUMENTS = {
    "variable_assignment",
    "file_redirect",
    "heredoc_redirect",
    "herestring_redirect",
    "comment",
}
_SHELLS = {"sh", "bash", "dash", "zsh", "ash"}
_WRAPPERS = {"sudo", "env", "exec", "time", "nice", "timeout", "retry", "travis_retry", "command", "nohup"}
_WRAPPERS |= {"xargs", "gosu", "chroot", "doas", "builtin", "stdbuf", "ionice", "busybox"}
_ESCAPE = re.compile(r"\\(\n|.)", re.DOTALL)
_UNENDED = re.compile(r"\\\n\s*\Z")  # goes on after the end of the file: to shells no error
_PLAIN = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_OPTION_OR_VALUE = re.compile(r"-.*|\w+=.*|[\d.]+[smh]?", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command: its line, its words without wrappers such as `sudo`, and what it is piped into."""

    line: int
    words: tuple[Word, ...]
    into: str = ""

    @property
    def name(self) -> str:
        """Give the program's name without its directory."""
        return self.words[0].text.rpartition("/")[2]


@dataclass(frozen=True)
class Script:
    """The commands of a script in their order, and the line of the first thing that is not bash."""

    commands: tuple[Command, ...]
    wrong: int | None = None


@functools.cache
def _language() -> tree_sitter.Language:
    return tree_sitter.Language(tree_sitter_bash.language())


def read(text: str, line: int = 1, depth: int = 0) -> Script:
    """Parse a script whose first line is `line`; never raises for what is in it."""
    data = _UNENDED.sub("\n", text).encode("utf-8", "surrogateescape")
    root = tree_sitter.Parser(_language()).parse(data).root_node
    nodes = list(nodes_below(root))
    values = _Values(nodes)
    into: dict[int, str] = {}  # not by `Node.parent`, which searches from the root each time
    found: list[Command] = []
    for node in nodes:
        if node.type == "pipeline":
            into.update(_piped(node))
        elif node.type == "command" and (command := _command(node, values, line)):
            found.extend(_unwrapped(replace(command, into=into.get(node.id, "")), depth))
    wrong = first_error(nodes)
    return Script(tuple(found), None if wrong is None else wrong + line)


def nodes_below(root: Node) -> Iterator[Node]:
    """Give all nodes of a syntax tree in the order of the text; a stack, as text can nest without end."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def first_error(nodes: list[Node]) -> int | None:
    """Give the row (from 0) of the first thing that the grammar does not know, None where there is none."""
    rows = [node.start_point.row for node in nodes if node.is_error or node.is_missing]
    return next(iter(rows[1:] if nodes[0].is_error else rows), rows[0] if rows else None)


def _command(node: Node, values: _Values, line: int) -> Command | None:
    words = tuple(values.word(one) for one in node.named_children if one.type not in _NOT_ARGUMENTS)
    return Command(line + node.start_point.row, words) if words else None


def _piped(pipeline: Node) -> Iterator[tuple[int, str]]:
    """Give, for each command of a pipeline but the last, the program that it is piped into."""
    parts = pipeline.named_children
    for one, after in itertools.pairwise(parts):
        words = source(after).split() if after.type == "command" else []
        program = next((word for word in words if word.rpartition("/")[2] not in _WRAPPERS | {"-E"}), "")
        yield one.id, program


def source(node: Node) -> str:
    """Give a node's text."""
    return (node.text or b"").decode("utf-8", "surrogateescape")


def _unwrapped(command: Command, depth: int) -> list[Command]:
    words = list(command.words)
    while words and words[0].text.rpartition("/")[2] in _WRAPPERS:
        del words[0]
        while words and _OPTION_OR_VALUE.fullmatch(words[0].text):
            del words[0]
    if not words:
        return []
    inner = _inner(replace(command, words=tuple(words)))
    if inner is not None and depth < DEEPEST:
        return list(read(inner, command.line, depth + 1).commands)
    return [replace(command, words=tuple(words))]


def _inner(command: Command) -> str | None:
    """Give the script that a command is told to run: `bash -c SCRIPT`, `eval SCRIPT`."""
    words = [one.text for one in command.words]
    if command.name == "eval":
        return " ".join(words[1:])
    flag = next((place for place, one in enumerate(words) if re.fullmatch("-[a-z]*c", one)), None)
    is_shell = command.name in _SHELLS | {"su"}
    return words[flag + 1] if is_shell and flag is not None and len(words) > flag + 1 else None


class _Values:
    """What the variables of a script stand for, as far as the script says."""

    def __init__(self, nodes: list[Node]) -> None:
        self._assigned: dict[str, list[Node | None]] = {}
        passing: set[int] = set()  # `X=1 make`: for that command only
        for node in nodes:
            if node.type == "command":
                passing |= {one.id for one in node.named_children if one.type == "variable_assignment"}
            if node.type == "variable_assignment":
                self._assign(node, passing)
            elif node.type in {"for_statement", "c_style_for_statement", "select_statement"}:
                self._forget(node.child_by_field_name("variable"))
            elif node.type == "command" and (node.text or b"").startswith(b"read "):
                for one in node.named_children[1:]:
                    self._forget(one)

    def _assign(self, node: Node, passing: set[int]) -> None:
        if node.id in passing:
            return
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None:
            added = any(one.type == "+=" for one in node.children)
            self._assigned.setdefault(source(name), []).append(None if added else value)

    def _forget(self, node: Node | None) -> None:
        if node is not None:
            self._assigned.setdefault(source(node), []).append(None)

    def word(self, node: Node, depth: int = 0) -> Word:
        """Evaluate an argument."""
        if node.type in _EXPANSIONS:
            return self._expansion(node, depth)
        if node.type == "raw_string":
            return Word(source(node)[1:-1])
        if node.type == "ansi_c_string":
            return Word(_ESCAPE.sub(r"\1", source(node)[2:-1]))
        if node.type in {"string", "translated_string", "concatenation", "command_name"}:
            return self._joined(node, depth)
        return Word(_ESCAPE.sub(_unescaped, source(node)))

    def _joined(self, node: Node, depth: int) -> Word:
        quoted = node.type == "string"
        data, at = node.text or b"", node.start_byte
        done, parts = (1 if quoted else 0), []
        for child in node.named_children:
            if child.type in {"string_content", "comment"}:
                continue
            parts.append(Word(_literal(data[done : child.start_byte - at])))
            parts.append(self.word(child, depth))
            done = child.end_byte - at
        parts.append(Word(_literal(data[done : len(data) - 1 if quoted else None])))
        candidates = next((one.candidates for one in parts if one.candidates), ())
        return Word("".join(one.text for one in parts), any(one.unknown for one in parts), candidates)

    def _expansion(self, node: Node, depth: int) -> Word:
        text = source(node)
        plain = _PLAIN.fullmatch(text)
        given = self._assigned.get(plain[1] or plain[2], []) if plain else []
        if not given or depth >= DEEPEST:
            return Word(text, unknown=True)
        known = {self.word(one, depth + 1) for one in given if one is not None}
        if len(known) == 1 and None not in given:
            (value,) = known
            return Word(text, unknown=True) if value.unknown else value
        return Word(text, True, tuple(sorted(one.text for one in known if not one.unknown)))


def _literal(data: bytes) -> str:
    return _ESCAPE.sub(_unescaped, data.decode("utf-8", "surrogateescape"))


def _unescaped(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]
