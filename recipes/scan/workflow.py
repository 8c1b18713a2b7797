"""GitHub's workflows and actions: the actions they use, the images they run in, and their scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from recipes.errors import SpecError
from recipes.located import Located, Place
from recipes.located import read as read_yaml
from recipes.scan import scripts
from recipes.scan.findings import Found, Unread, Word, of_image, of_ref

_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_BLOCK = re.compile(r":\s*[|>][-+0-9]*\s*(?:#.*)?$")
_SHELLS = ("bash", "sh")


def read(text: str, file: str) -> Iterator[Found | Unread]:
    """Give what a workflow or an action brings in."""
    try:
        document = read_yaml(text.encode("utf-8", "surrogateescape"), file, SpecError)
    except SpecError as wrong:
        yield Unread(file, f"not read as YAML: {wrong.message.partition(': ')[2] or wrong.message}")
        return
    lines = text.split("\n")
    for place, value in _leaves(document.value):
        yield from _leaf(document, lines, place, value)


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Give the texts of a document, and the steps that are mappings, with their places."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, (*place, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _leaves(below, (*place, number))
    elif isinstance(value, str):
        yield place, value


def _leaf(document: Located, lines: list[str], place: Place, value: str) -> Iterator[Found | Unread]:
    file, line, _ = document.mark(place)
    is_image = place[-1] == "container" or (place[-1] == "image" and place[:1] in {("jobs",), ("runs",)})
    if place[-1] == "uses":
        yield from _used(value, file, line)
    elif is_image:
        image = Word(value.removeprefix("docker://"), "${{" in value)
        if image.text not in {"", "Dockerfile"}:
            yield Found(file, line, "image", image.text, of_image(image))
    elif place[-1] == "run" and _runs_a_shell(document.value, place):
        begin = line + 1 if _BLOCK.search(lines[line - 1]) else line
        script = _EXPRESSION.sub(lambda one: "${expression}" + "\n" * one[0].count("\n"), value)
        yield from scripts.read(script, file, begin, "run:")


def _runs_a_shell(value: Any, place: Place) -> bool:
    for part in place[:-1]:
        value = value[part]
    shell = value.get("shell") or "bash"
    return isinstance(shell, str) and shell.startswith(_SHELLS)


def _used(value: str, file: str, line: int) -> Iterator[Found]:
    if value.startswith("./"):
        return
    if value.startswith("docker://"):
        image = Word(value.removeprefix("docker://"), "${{" in value)
        yield Found(file, line, "uses", image.text, of_image(image))
        return
    name, _, ref = value.partition("@")
    url = f"https://github.com/{'/'.join(name.split('/')[:2])}"
    verdict = of_ref(Word(ref, "${{" in ref) if ref else None)
    yield Found(file, line, "uses", value, verdict, url=url, ref=ref or None)
