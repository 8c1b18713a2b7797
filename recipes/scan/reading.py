"""The files of a tree to a Scan: which reader is for which file, and what no reader can take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from recipes.scan import cmakefile, cmakeinputs, dockerfile, scripts, submodules, workflow
from recipes.scan.cmakefile import Call
from recipes.scan.findings import Found, Scan, Unread

LARGEST = 4_000_000  # bytes; a larger file is not written by people
DENSEST = 250_000  # bytes of one line: a minified or generated file
Kind: TypeAlias = Literal["cmake", "shell", "docker", "submodules", "workflow"]

_BY_NAME: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("cmake", re.compile(r"(?:.*/)?(?:CMakeLists[^/]*\.txt(?:\.in)?|[^/]*\.cmake(?:\.in)?)")),
    ("docker", re.compile(r"(?:.*/)?(?:(?:Docker|Container)file(?:\.[^/]*)?|[^/]*\.[Dd]ockerfile)")),
    ("submodules", re.compile(r"(?:.*/)?\.gitmodules")),
    ("workflow", re.compile(r"(?:.*/)?\.github/workflows/[^/]*\.ya?ml|(?:.*/)?action\.ya?ml")),
    ("shell", re.compile(r"(?:.*/)?[^/]*\.(?:sh|bash)(?:\.in)?")),
)
_SHEBANG = re.compile(rb"#!\s*/\S*\b(?:env\s+)?(?:ba|da|a)?sh\b")


def kind(path: str, start: bytes | None = None) -> Kind | None:
    """Say which reader is for a file, by its name, else by the `#!` that it starts with; None: no one."""
    named = next((kind for kind, pattern in _BY_NAME if pattern.fullmatch(path)), None)
    if named is None and start is not None and _SHEBANG.match(start):
        return "shell"
    return named


def may_be_script(path: str) -> bool:
    """Say whether a file has no ending in its name, so that its first line has to say what it is."""
    return "." not in path.rpartition("/")[2].lstrip(".")


def read(files: Iterable[tuple[str, bytes]], unread: Iterable[Unread] = ()) -> Scan:
    """Read the files that a reader is for; variables of CMake are looked up across all of them.

    Never raises for what is in a file: one that cannot be read is told as Unread, and the rest is read.
    `unread` is looked at when all of `files` has been taken.
    """
    found: list[Found | Unread] = []
    calls: list[Call | Unread] = []
    count = 0
    for path, data in files:
        which = kind(path, data[:80])
        if which is None:
            continue
        if why := refusal(data):
            found.append(Unread(path, why))
            continue
        count += 1
        text, doubt = _decoded(data)
        found.extend(Unread(path, one) for one in doubt)
        if which == "cmake":
            calls.extend(cmakefile.read(text, path))
        else:
            found.extend(_read(which, text, path))
    found.extend(unread)  # only now: a walk knows what it left out when it has ended
    found.extend(one for one in calls if isinstance(one, Unread))
    found.extend(cmakeinputs.read([one for one in calls if isinstance(one, Call)]))
    return _sorted(found, count)


def _read(which: Kind, text: str, path: str) -> Iterator[Found | Unread]:
    if which == "docker":
        return dockerfile.read(text, path)
    if which == "workflow":
        return workflow.read(text, path)
    return submodules.read(text, path) if which == "submodules" else scripts.read(text, path)


def refusal(data: bytes) -> str | None:
    """Say why a file is not read, None where it is."""
    if len(data) > LARGEST:
        return f"not read: {len(data)} bytes, and at most {LARGEST} are"
    if b"\0" in data:
        return "not read: it is binary"
    if max(map(len, data.split(b"\n"))) > DENSEST:
        return f"not read: a line of more than {DENSEST} bytes"
    return None


def _decoded(data: bytes) -> tuple[str, list[str]]:
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    try:
        return data.decode(), []
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        return data.decode(errors="replace"), [f"line {line}: not UTF-8; read with replacements"]


def _sorted(found: Iterable[Found | Unread], count: int) -> Scan:
    some = list(found)
    inputs = sorted((one for one in some if isinstance(one, Found)), key=lambda one: (one.file, one.line))
    unread = sorted((one for one in some if isinstance(one, Unread)), key=lambda one: (one.file, one.why))
    return Scan(tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(unread)), count)
