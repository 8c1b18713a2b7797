"""Where the files of an unpacked wheel lie in an environment: the binary distribution format (PEP 427)."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

_DATA = re.compile(r"[^/]+\.data/(purelib|platlib|scripts|data|headers)/(.+)", re.DOTALL)
_REFERENCE = re.compile(r"\s*([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\])?\s*")
_NAME = re.compile(r"[\w.+-]+")

# the trick of pip and uv: a shell finds the Python beside the program, however long its path and with
# whatever spaces; to Python it is a text
_START = """\
#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""


def site(python: str) -> str:
    """Give the directory of packages of a version of Python."""
    return f"lib/python{python}/site-packages"


def place(path: str, python: str, project: str) -> str:
    """Say where a file of a wheel lies in an environment."""
    found = _DATA.fullmatch(path)
    if found is None:
        return f"{site(python)}/{path}"
    kind, rest = found.groups()
    roots = {"scripts": "bin", "data": "", "headers": f"include/site/python{python}/{project}"}
    return f"{roots.get(kind, site(python))}/{rest}".lstrip("/")


def script(text: bytes) -> bytes | None:
    """Give a wheel's script with the environment's Python in its first line; None where it needs none."""
    first, _, rest = text.partition(b"\n")
    return _START.encode() + rest if first.startswith(b"#!python") else None


class _Sections(configparser.ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        """Keep a name as it is written."""
        return optionstr


def entry_points(text: str) -> Iterator[tuple[str, str]]:
    """Give the programs that a wheel's `entry_points.txt` asks for: name and text. What is wrong is left out.

    The format is in "Entry points specification" of the Python Packaging User Guide.
    """
    parser = _Sections(delimiters=("=",), interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section in ("console_scripts", "gui_scripts"):
        for name, reference in parser[section].items() if section in parser else ():
            found = _REFERENCE.fullmatch(reference)
            if found and found[2] and _NAME.fullmatch(name):
                yield name, _program(found[1], found[2])


def _program(module: str, attribute: str) -> str:
    first = attribute.partition(".")[0]
    return f"{_START}import sys\nfrom {module} import {first}\nsys.exit({attribute}())\n"
