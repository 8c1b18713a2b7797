"""A shell script's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from recipes.scan import downloads, gitcommands, packages, shell
from recipes.scan.findings import Found, Unread
from recipes.scan.shell import Command


def read(text: str, file: str, line: int = 1, kind: str = "") -> Iterator[Found | Unread]:
    """Give what a script brings in, and whether it could be parsed; `kind` is put before each kind."""
    script = shell.read(text, line)
    yield from inputs(script.commands, file, kind)
    if script.wrong is not None:
        yield Unread(file, f"line {script.wrong}: not the shell's grammar; the rest was read")


def inputs(commands: Sequence[Command], file: str, kind: str = "") -> Iterator[Found]:
    """Give what commands bring in: clones, then downloads, then packages; `kind` is put before each kind."""
    for reader in (gitcommands.found, downloads.found, packages.found):
        for found in reader(commands, file):
            yield replace(found, kind=f"{kind} {found.kind}".lstrip())
