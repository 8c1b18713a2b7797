"""Dockerfiles, parsed by tree-sitter's grammar of container files: images, `ADD`, and what `RUN` runs."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator

import tree_sitter
import tree_sitter_containerfile
from tree_sitter import Node

from recipes.scan import scripts
from recipes.scan.findings import Found, Unread, Word, is_remote, of_image, of_ref, of_url
from recipes.scan.shell import Command, first_error, nodes_below, source

_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")
_CONTINUED = re.compile(r"[\\`]\n(?:[ \t]*#[^\n]*\n)*")


@functools.cache
def _language() -> tree_sitter.Language:
    return tree_sitter.Language(tree_sitter_containerfile.language())


def read(text: str, file: str) -> Iterator[Found | Unread]:
    """Give what a Dockerfile brings in; a stage of its own is no input."""
    data = text.encode("utf-8", "surrogateescape")
    root = tree_sitter.Parser(_language()).parse(data).root_node
    reader = _Reader(file)
    for node in root.children:
        yield from reader.instruction(node)
    wrong = first_error(list(nodes_below(root)))
    if wrong is not None:
        yield Unread(file, f"line {wrong + 1}: not the grammar of Dockerfiles; the rest was read")


class _Reader:
    """Goes through instructions, remembering stages and the values of ARG and ENV."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._stages: set[str] = set()
        self._values: dict[str, str] = {}

    def instruction(self, node: Node) -> Iterator[Found | Unread]:
        line = node.start_point.row + 1
        if node.type == "from_instruction":
            yield from self._from(node, line)
        elif node.type in {"arg_instruction", "env_instruction"}:
            self._assign(node)
        elif node.type == "add_instruction":
            yield from self._add(node, line)
        elif node.type == "copy_instruction":
            yield from self._copy(node, line)
        elif node.type == "run_instruction":
            yield from self._run(node, line)

    def _from(self, node: Node, line: int) -> Iterator[Found]:
        for child in node.named_children:
            if child.type == "image_spec":
                yield from self._image(source(child), line, "FROM")
        for child in node.named_children:
            if child.type == "image_alias":
                self._stages.add(source(child).lower())

    def _image(self, text: str, line: int, kind: str) -> Iterator[Found]:
        image = self._filled(text)
        if image.text.lower() not in self._stages | {"scratch"} and not image.text.isdigit():
            yield Found(self._file, line, kind, image.text, of_image(image))

    def _copy(self, node: Node, line: int) -> Iterator[Found]:
        for child in node.named_children:
            if child.type == "param" and source(child).startswith("--from="):
                yield from self._image(source(child).partition("=")[2], line, "COPY --from")

    def _add(self, node: Node, line: int) -> Iterator[Found]:
        flags = [source(one) for one in node.named_children if one.type == "param"]
        checked = any(one.startswith("--checksum=") for one in flags)
        for child in node.named_children[:-1]:
            url = self._filled(source(child))
            if child.type != "path" or not is_remote(url.text):
                continue
            address, _, ref = url.text.partition("#")
            if address.endswith(".git") or address.startswith("git@"):
                asked = Word(ref.partition(":")[0], url.unknown) if ref else None
                verdict, name = of_ref(asked), asked.text if asked else None
                yield Found(self._file, line, "ADD", address, verdict, url=address, ref=name)
            else:
                verdict = of_url(url, "by `--checksum`" if checked else None)
                yield Found(self._file, line, "ADD", url.text, verdict)

    def _run(self, node: Node, line: int) -> Iterator[Found | Unread]:
        for child in node.named_children:
            if child.type == "json_string_array":
                yield from self._executed(source(child), line)
            elif child.type == "shell_command":
                at = child.start_point.row + 1
                yield from self._script(_commented_out(source(child)), at)
            elif child.type == "heredoc_block":
                text, at = self._heredoc(child)
                yield from self._script(text, at)

    def _heredoc(self, node: Node) -> tuple[str, int]:
        content = next((one for one in node.named_children if one.type == "heredoc_content"), node)
        text = source(content)
        skipped = len(text) - len(text.lstrip("\n"))
        return text.lstrip("\n"), content.start_point.row + 1 + skipped

    def _script(self, text: str, line: int) -> Iterator[Found | Unread]:
        if text.startswith("<<"):
            return
        prelude = "".join(f"{name}={json.dumps(value)};" for name, value in self._values.items())
        yield from scripts.read(prelude + text, self._file, line, "RUN")

    def _executed(self, text: str, line: int) -> Iterator[Found | Unread]:
        try:
            words = tuple(Word(str(one)) for one in json.loads(text))
        except ValueError:
            return  # then Docker takes it for a shell's command, and so does the grammar
        if words:
            yield from scripts.inputs([Command(line, words)], self._file, "RUN")

    def _assign(self, node: Node) -> None:
        for pair in node.named_children:
            name, equals, value = source(pair).partition("=")
            filled = self._filled(value.strip("\"'"))
            if equals and not filled.unknown and re.fullmatch(r"\w+", name):
                self._values[name] = filled.text

    def _filled(self, text: str) -> Word:
        def value(found: re.Match[str]) -> str:
            return self._values.get(found[1] or found[2], found[3] or found[0])

        filled = _REFERENCE.sub(value, text)
        return Word(filled, _REFERENCE.search(filled) is not None)


def _commented_out(text: str) -> str:
    """Take out the comment lines between the lines of one command, which Docker does before its shell."""
    return _CONTINUED.sub(lambda found: "\\\n" * found[0].count("\n"), text)
