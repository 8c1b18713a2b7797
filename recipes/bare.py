"""A build without a sandbox: the phases of the plan with the real places in place of the sandbox's.

A plan names the sandbox's paths, such as /src. Where nothing is isolated, each of them is rewritten where a
path begins, in argv, environment and compiler wrappers; compilers are told to write the sandbox's paths
into what they make.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from recipes.sandbox import Sandbox

#: The sandbox's directories, besides those of the host.
PLACES = (
    *("/.recipes", "/build", "/cache", "/inputs", "/python", "/recipe", "/src", "/toolchain"),
    "/tmp",  # noqa: S108
)

_MAPPED = ("/build", "/src")  # what a compiler writes into what it makes, by __FILE__
_COMPILERS = ("cc", "c++")

# a path begins behind one of these, or behind an option of a compiler's that needs no blank
_BEGINS = r"""(?:(?<![^\s=:;,|"'()\[\]{}])|(?<=-I)|(?<=-L))"""
_ENDS = r"(?![\w.+-])"


def places(box: Sandbox) -> dict[str, str]:
    """Give where the host has the sandbox's own directories and files, by the sandbox's path."""
    return {one.target: one.source for one in box.binds if f"/{one.target.split('/')[1]}" in PLACES}


def rewrite(text: str, real: Mapping[str, str]) -> str:
    """Put the real places into a text; of two paths the longer one counts."""
    known = "|".join(re.escape(one) for one in sorted(real, key=len, reverse=True))
    return re.sub(f"{_BEGINS}({known}){_ENDS}", lambda found: real[found[1]], text) if real else text


def program(name: str, text: str, real: Mapping[str, str]) -> str:
    """Rewrite a wrapper of /toolchain/bin; a compiler's also maps the real places back to the sandbox's."""
    text = rewrite(text, {place: shlex.quote(here) for place, here in real.items()})
    if name not in _COMPILERS:
        return text
    maps = shlex.join(f"-ffile-prefix-map={real[one]}={one}" for one in _MAPPED if one in real)
    before, passed, after = text.rpartition('"$@"')
    return f"{before}{maps} {passed}{after}" if passed else text


def moved(box: Sandbox) -> Sandbox:
    """Give a sandbox's value with the real places in its environment and working directory."""
    real = places(box)
    env = tuple((name, rewrite(value, real)) for name, value in box.env)
    return replace(box, env=env, cwd=rewrite(box.cwd, real))


def argv(box: Sandbox, words: Sequence[str]) -> list[str]:
    """Give the argv that runs `words` as they are meant for the sandbox, without it."""
    real, here = places(box), moved(box)
    env = [f"{name}={value}" for name, value in here.env]
    # env(1) takes every word with `=` for a variable, a program's path too
    enter = ["env", "-i", *env, "/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", here.cwd]
    return [*enter, *(rewrite(word, real) for word in words)]
