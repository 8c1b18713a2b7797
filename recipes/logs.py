"""Logs of builds, whoever wrote them: their lines, and which of the lines say why a build failed.

A line of a log that was made elsewhere may carry colours, the prefixes of `docker build` or of a CI
system, and progress that rewrites itself; what is looked for stands between those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

LONGEST = 1 << 16  # bytes; a longer line is passed on in pieces, as a binary file may have none at all
_WIDEST = 300  # characters of a line that are shown: a compiler's command takes thousands
_CONTEXT = 2  # lines shown before a compiler's first error: where it is included from, in which function

_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_UNPACKED: Mapping[bytes, str] = {
    b"\x1f\x8b": "it is compressed: `zcat FILE | recipes explain`",
    b"\xfd7zXZ": "it is compressed: `xzcat FILE | recipes explain`",
    b"\x28\xb5\x2f\xfd": "it is compressed: `zstdcat FILE | recipes explain`",
    b"BZh": "it is compressed: `bzcat FILE | recipes explain`",
    b"\xff\xfe": "it is UTF-16: `iconv -f UTF-16 -t UTF-8 FILE | recipes explain`",
    b"\xfe\xff": "it is UTF-16: `iconv -f UTF-16 -t UTF-8 FILE | recipes explain`",
}
_PREFIX = re.compile(
    r"(?:\[?\d{4}-\d\d-\d\dT[\d:.]+Z\]? )?"  # Jenkins, GitHub Actions
    r"(?:#\d+ (?:\d+\.\d+ )?)?"  # BuildKit: step and seconds
)


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut a log into lines, which end at `\n`, `\r` or `\r\n`; ends and colours are not part of them."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).splitlines(keepends=True) or [b""]
        yield from (plain(line.rstrip(b"\r\n")) for line in whole)
        if rest.endswith(b"\n"):  # not at `\r`: its `\n` may be in the next chunk
            yield plain(rest.rstrip(b"\r\n"))
            rest = b""
        while len(rest) > LONGEST:
            yield plain(rest[:LONGEST])
            rest = rest[LONGEST:]
    if rest:
        yield plain(rest.rstrip(b"\r"))


def plain(line: bytes) -> bytes:
    """Give a line without a terminal's escape sequences."""
    return _ESCAPES.sub(b"", line) if b"\x1b" in line else line


def refusal(start: bytes) -> str | None:
    """Say why what begins so is no log that could be read; None where it may be one."""
    for magic, how in _UNPACKED.items():
        if start.startswith(magic):
            return how
    return "it is binary" if b"\0" in start[:1024] else None


def text(line: bytes) -> str:
    """Give a line to show: text, without what `docker build` or a CI system put before it."""
    return _PREFIX.sub("", line.decode(errors="replace"), count=1).rstrip()


def decisive(said: Sequence[str], most: int = 25) -> list[str]:
    """Give the lines that say why a build failed, `most` at most, each cut where it is very long.

    Of parallel ninja, the first failed step; of CMake, its errors; of make, from the first error to the
    target that was given up; of Python, the last traceback; else from the first `error:`; else the end.
    """
    for marker, block in _BLOCKS.items():
        at = next((number for number, line in enumerate(said) if re.match(marker, line)), None)
        if at is not None:
            return _cut(block(said, at, most))
    return _cut(said[-most:])


def _cut(said: Sequence[str]) -> list[str]:
    return [line if len(line) <= _WIDEST else f"{line[:_WIDEST]} …" for line in said]


def _ninja(said: Sequence[str], at: int, most: int) -> Sequence[str]:
    """Give the first step that failed: ninja prints a step's output as one piece, when it has ended."""
    end = _next(said, at + 1, rf"{_STEP}|FAILED: |ninja: ")
    output = _within(said[at + 2 : end], most - 2)  # behind the step's outputs and its command
    return [*said[at : min(at + 2, end)], *output]


def _within(said: Sequence[str], most: int) -> Sequence[str]:
    """Shorten a program's output: a compiler's from its first error on, another's to its end."""
    if len(said) <= most:
        return said
    at = _next(said, 0, _ERROR)
    start = max(at - _CONTEXT, 0)
    return said[start : start + most] if at < len(said) else said[-most:]


def _cmake(said: Sequence[str], at: int, most: int) -> Sequence[str]:
    """Give CMake's errors, which may each have many lines, without the warnings between them."""
    found: list[str] = []
    while at < len(said) and len(found) < most:
        end = _next(said, at + 1, r"-- |CMake |gmake|make|\[ *\d+%\]")
        found += said[at:end]
        at = _next(said, end, "CMake Error")
    return _without_blank_end(found[:most])


def _make(said: Sequence[str], at: int, most: int) -> Sequence[str]:
    """Give what came before the first target that make gave up, from its first error on."""
    first = max(_next(said, 0, _ERROR) - _CONTEXT, 0)
    start = first if first < at else max(at - most + 1, 0)
    return said[start : at + 1] if at - start < most else [*said[start : start + most - 1], said[at]]


def _python(said: Sequence[str], at: int, most: int) -> Sequence[str]:
    """Give the last traceback, with those that led to it, and what was said behind it."""
    starts = [number for number, line in enumerate(said) if re.match(_TRACEBACK, line)]
    at = starts.pop()
    while starts and any(re.match(_CHAINED, line) for line in said[starts[-1] : at]):
        at = starts.pop()
    end = len(said)
    while re.match(_STEP, said[end - 1]):  # what other processes were at when it failed
        end -= 1
    return said[at:end] if end - at <= most else [said[at], *said[end - most + 1 : end]]


def _compiler(said: Sequence[str], at: int, most: int) -> Sequence[str]:
    return said[max(at - _CONTEXT, 0) :][:most]


def _next(said: Sequence[str], start: int, marker: str) -> int:
    found = (number for number in range(start, len(said)) if re.match(marker, said[number]))
    return next(found, len(said))


def _without_blank_end(said: Sequence[str]) -> Sequence[str]:
    end = len(said)
    while end and not said[end - 1]:
        end -= 1
    return said[:end]


_ERROR = r"(?:.*[\s:])?(?i:error): "
_STEP = r"\[\d+/\d+\] "
_TRACEBACK = r"\s*Traceback \(most recent call last\):"
_CHAINED = r"\s*(?:During handling of the above exception|The above exception was the direct cause)"

_BLOCKS: Mapping[str, Callable[[Sequence[str], int, int], Sequence[str]]] = {
    "FAILED: ": _ninja,
    "CMake Error": _cmake,
    r"g?make(?:\[\d+\])?: \*\*\* ": _make,
    _TRACEBACK: _python,
    _ERROR: _compiler,
}
