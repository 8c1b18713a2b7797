r"""The locks of wheels, a toolchain's and a development environment's, in pip's format with `--hash`.

One block for each project and platform. No index is named, so any mirror serves, and pip itself can
install from the file: `pip install --require-hashes -r FILE`. The format is in pip's documentation under
"Requirements File Format"; the markers are PEP 508's.

    # cmake-3.31.10-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
    cmake==3.31.10 ; sys_platform == "linux" and platform_machine == "x86_64" \
        --hash=sha256:2f766bb46367e5e0559fa33184653754bce044583a06014dcaebf8e6dff8a1f1

A wheel that is there because others need it says so in a line `# via OTHER, OTHER` under its file name.
One that is for one version of Python only has ` and python_version == "3.12"` behind its platform's marker.
Comments stand above their requirement: pip would end a continued line at a comment.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from recipes import hashes
from recipes.asking import asked_for
from recipes.errors import LockError, one_line
from recipes.located import conflict

if TYPE_CHECKING:
    from packaging.requirements import Requirement

FORMAT = 1
LARGEST = 1 << 20  # characters; the longest of this project's has 20,000
HEADER = "# Written by `recipes lock`; do not edit. Format {}."

MARKERS: Mapping[str, str] = {
    "linux-64": 'sys_platform == "linux" and platform_machine == "x86_64"',
    "linux-aarch64": 'sys_platform == "linux" and platform_machine == "aarch64"',
    "osx-arm64": 'sys_platform == "darwin" and platform_machine == "arm64"',
}
"""Conda's name of a platform → the PEP 508 marker that is true on it."""

_PROJECT = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_VERSION = "[A-Za-z0-9.!+_-]+"
_HEADER = re.compile(re.escape(HEADER).replace(r"\{\}", "([0-9]{1,9})"))
_REQUIREMENT = re.compile(rf"({_PROJECT})==({_VERSION}) ; (.*\S) \\")
_PYTHON = re.compile(r"3\.[0-9]{1,3}")
_FOR_PYTHON = ' and python_version == "{}"'
_MARKER = re.compile(r'(.*?)(?: and python_version == "(3\.[0-9]{1,3})")?')
_MOST_TAGS = 1000  # of one wheel; numpy's have at most 2, and a name of 900 characters can stand for 10⁶
_EMPTY = re.compile("")
_WIDEST = 300  # characters of a line that are shown
_HASH = re.compile(r"    --hash=sha256:([0-9a-f]{64})")
_FILE = re.compile(r"# ([A-Za-z0-9_.!+-]+\.whl)")
_VIA = re.compile(rf"# via ({_PROJECT}(?:, {_PROJECT})*)")


@dataclass(frozen=True)
class Wheel:
    """One locked wheel.

    `project` is normalised as PEP 503 says, `platform` is conda's name, `sha256` is 64 hexadecimal digits.
    `via` names the projects that need it; it is empty for a wheel that was asked for by name. `python` is
    the version of Python that it is for, such as `3.12`; empty where it is for all that are locked.
    Raises ValueError for a value that is not of this form, or a file name of another project or version.
    """

    project: str
    version: str
    file: str
    sha256: str
    platform: str
    via: tuple[str, ...] = ()
    python: str = ""

    def __post_init__(self) -> None:
        if self.python and not _PYTHON.fullmatch(self.python):
            raise ValueError(f"{self.python!r} is not a version of Python such as `3.12`")
        if self.platform not in MARKERS:
            raise ValueError(f"`{self.platform}` is not one of the platforms {', '.join(MARKERS)}")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("a SHA-256 is 64 lower-case hexadecimal digits")
        if not all(re.fullmatch(_PROJECT, name) for name in (self.project, *self.via)):
            raise ValueError("a project's name is lower-case letters and digits, joined by single dashes")
        if not _is_of(self.file, self.project, self.version):
            raise ValueError(f"{self.file!r} is not the name of a wheel of {self.project} {self.version!r}")


def _is_of(file: str, project: str, version: str) -> bool:
    if not _FILE.fullmatch(f"# {file}") or not re.fullmatch(_VERSION, version) or not few_tags(file):
        return False
    try:
        name, found, _, _ = parse_wheel_filename(file)
        return bool(name == project and found == Version(version))
    except (InvalidWheelFilename, InvalidVersion, ValueError):  # the last for numbers of 4301 digits
        return False


def few_tags(file: str) -> bool:
    """Say whether a wheel's name stands for few enough tags to list: three parts may be several each."""
    parts = file.removesuffix(".whl").split("-")[-3:]
    return math.prod(part.count(".") + 1 for part in parts) <= _MOST_TAGS


@dataclass(frozen=True)
class Requirements:
    """Locked wheels for all platforms, in any order: one for each project, platform and version of Python."""

    wheels: tuple[Wheel, ...] = ()

    def for_platform(self, platform: str) -> tuple[Wheel, ...]:
        """Give the wheels of one platform, sorted by project."""
        return tuple(one for one in _sorted(self.wheels) if one.platform == platform)

    def for_python(self, platform: str, python: str) -> tuple[Wheel, ...]:
        """Give the wheels that one version of Python uses on a platform, sorted by project."""
        return tuple(one for one in self.for_platform(platform) if one.python in ("", python))

    def digest(self, platform: str) -> str:
        r"""Hash what a platform's toolchain is: the SHA-256, in SRI form, of its lines.

        A line is `PROJECT VERSION SHA256\n`, sorted by project. File names and `via` are left out: they
        do not change a byte of what is installed.
        """
        lines = (f"{one.project} {one.version} {one.sha256}\n" for one in self.for_platform(platform))
        return hashes.sri(hashlib.sha256("".join(lines).encode()).digest())


def _sorted(wheels: Iterable[Wheel]) -> list[Wheel]:
    return sorted(wheels, key=lambda one: (one.project, one.platform, Version(one.python or "0")))


def render(requirements: Requirements) -> str:
    """Write the file: the same wheels always give the same text."""
    return "\n".join([f"{HEADER.format(FORMAT)}\n", *map(_block, _sorted(requirements.wheels))])


def _block(wheel: Wheel) -> str:
    via = f"# via {', '.join(sorted(wheel.via))}\n" if wheel.via else ""
    python = _FOR_PYTHON.format(wheel.python) if wheel.python else ""
    requirement = f"{wheel.project}=={wheel.version} ; {MARKERS[wheel.platform]}{python}"
    return f"# {wheel.file}\n{via}{requirement} \\\n    --hash=sha256:{wheel.sha256}\n"


def parse(text: str, file: str) -> Requirements:
    """Read what `render` wrote; `file` is its name in messages. Line endings may be CRLF.

    Raises LockError for another format and for any line that `render` would not write: an option, a
    URL, a requirement without its hash, a marker of no known platform, a project twice on a platform.
    """
    if len(text) > LARGEST:
        raise LockError(f"{file}: too large: {len(text)} characters, and at most {LARGEST} are read")
    lines = _Lines(text, file)
    _check_header(lines)
    wheels: dict[tuple[str, str, str], Wheel] = {}
    while lines.next is not None:
        lines.take(_EMPTY, "an empty line between two wheels")
        start = lines.number + 1
        wheel = _wheel(lines)
        if any(_overlap(wheel, one) for one in wheels.values()):
            _refuse(file, start, f"`{wheel.project}` once for {wheel.platform}", f"# {wheel.file}")
        wheels[wheel.project, wheel.platform, wheel.python] = wheel
    if not lines.whole:
        _refuse(file, lines.number, "a newline after the last line", None)
    return Requirements(tuple(_sorted(wheels.values())))


def _overlap(one: Wheel, other: Wheel) -> bool:
    same = (one.project, one.platform) == (other.project, other.platform)
    return same and (one.python == other.python or not one.python or not other.python)


class _Lines:
    """The lines of a file, taken one after another."""

    def __init__(self, text: str, file: str) -> None:
        self.lines, self.file, self.number = text.replace("\r\n", "\n").split("\n"), file, 0
        self.whole = self.lines[-1] == ""
        if self.whole:
            self.lines.pop()

    @property
    def next(self) -> str | None:
        return self.lines[self.number] if self.number < len(self.lines) else None

    def take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        """Match the whole next line, or refuse the file."""
        line = self.next
        self.number += 1
        found = None if line is None else pattern.fullmatch(line)
        return found or _refuse(self.file, self.number, expected, line)


def _check_header(lines: _Lines) -> None:
    found = lines.take(_HEADER, f"`{HEADER.format(FORMAT)}`").group(1)
    if int(found) != FORMAT:
        raise LockError(
            f"{lines.file}:1: written by a newer tvm-recipes\n  expected  format {FORMAT}\n"
            f"  actual    format {found}",
            hint="install that version, or lock again: `recipes lock`",
        )


def _wheel(lines: _Lines) -> Wheel:
    name = lines.take(_FILE, "`# FILE.whl`, the file name of a wheel").group(1)
    via: tuple[str, ...] = ()
    if (lines.next or "").startswith("# via"):
        via = tuple(lines.take(_VIA, "`# via PROJECT, …`").group(1).split(", "))
    found = lines.take(_REQUIREMENT, "`PROJECT==VERSION ; MARKER \\`")
    project, version, marker = found.groups()
    platform, python = _place(marker)
    if platform is None:
        _refuse(lines.file, lines.number, f"the marker of one of {', '.join(MARKERS)}", found.group())
    sha256 = lines.take(_HASH, "`    --hash=sha256:` and 64 hexadecimal digits").group(1)
    if not _is_of(name, project, version):
        _refuse(lines.file, lines.number - 1, f"the project and version of `{_cut(name)}`", found.group())
    return Wheel(project, version, name, sha256, platform, via, python)


def _place(marker: str) -> tuple[str | None, str]:
    """Read a marker: the platform, None for none that is known, and the version of Python."""
    found = _MARKER.fullmatch(marker)
    start, python = found.groups() if found else (marker, None)
    return next((name for name, known in MARKERS.items() if known == start), None), python or ""


def _refuse(file: str, line: int, expected: str, actual: str | None) -> NoReturn:
    shown = "the end of the file" if actual is None else f"`{_cut(actual)}`" if actual else "an empty line"
    left = conflict(actual or "") is not None
    what = "a conflict of a merge is not resolved" if left else "not what `recipes lock` writes"
    raise LockError(
        f"{file}:{line}: {what}\n  expected  {expected}\n  actual    {shown}",
        hint=f"see what changed: `git log -p {file}`; lock again: `recipes lock`",
    )


def _cut(line: str) -> str:
    line = one_line(line)
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} …"


def unsatisfied(
    requirements: Requirements, asked: Sequence[str], platforms: Sequence[str], pythons: Sequence[str] = ()
) -> list[str]:
    """Say, one sentence each, where the lock does not answer what is asked, on all these platforms.

    With `pythons`, each of these versions must have its wheel; without, no wheel may be for one only.
    A wheel with `via` was wanted by the resolution, not by a person: it is not judged. It cannot be left
    over, since whatever drops it also changes a project that was asked for. Raises SpecError.
    """
    wanted = [asked_for(text) for text in asked]
    found = [sentence for one in wanted for sentence in _answers(requirements, one, platforms, pythons)]
    names = {canonicalize_name(one.name) for one in wanted}
    extra = sorted({one.project for one in requirements.wheels if not one.via and one.project not in names})
    found += [f"`{name}` is locked, and no toolchain asks for it" for name in extra]
    versions = {one.python for one in requirements.wheels}.difference(pythons, ("",))
    found += [
        f"wheels are locked for Python {one}, and no spec asks for that"
        for one in sorted(versions, key=Version)
    ]
    others = sorted({one.platform for one in requirements.wheels}.difference(platforms))
    return found + [f"wheels are locked for {name}, and no spec asks for that platform" for name in others]


def _answers(
    locked: Requirements, asked: Requirement, platforms: Sequence[str], pythons: Sequence[str]
) -> Iterator[str]:
    name = canonicalize_name(asked.name)
    wheels = [one for one in locked.wheels if one.project == name]
    if not wheels:
        yield f"`{name}` is not locked"
        return
    for platform in platforms:
        for python in pythons or ("",):
            where = f"{platform} and Python {python}" if python else platform
            wheel = next(
                (one for one in wheels if one.platform == platform and one.python in ("", python)), None
            )
            if wheel is None:
                yield f"`{name}` has no locked wheel for {where}"
            elif not asked.specifier.contains(wheel.version, prereleases=True):
                yield f"`{name}` is locked as {wheel.version} for {where}, and `{asked}` is asked for"
