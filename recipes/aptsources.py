"""What apt is told and tells: its sources (sources.list(5)), `Sources` paragraphs, Debian's versions.

No I/O here. The machine's own sources say where archives are and whose signatures count; of their types
only `deb-src` is of use here, and few machines have it, so each source is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

COMPONENT = "main"  # of Debian's components the one that holds free software that needs no other

# What says whose signature counts and how old it may be. `trusted` and `allow-insecure` are left out: they
# would let an index count that nobody signed.
_KEPT = (
    "signed-by",
    "check-valid-until",
    "valid-until-min",
    "valid-until-max",
    "check-date",
    "date-max-future",
    "by-hash",
    "inrelease-path",
)
_NO = ("no", "false", "without", "off", "disable", "0")
_ONE_LINE = re.compile(r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]*)")
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
_ORIG = re.compile(r"\s*([0-9a-f]{64})\s+\d+\s+(\S+_\S+\.orig\.tar\.[a-z0-9]+)")
_SUMMARY = re.compile("Some index files failed|Download Failed|Failed to fetch some archives")
_SIGNATURE = re.compile("GPG error: .*")
_PART = re.compile(r"([^0-9]*)([0-9]*)")

Paragraph = dict[str, str]  # deb822(5): fields by name in lower case, further lines of one as they are


@dataclass(frozen=True)
class Entry:
    """A place of source packages: an archive, a suite of it, and the options that count there."""

    uri: str
    suite: str
    options: tuple[tuple[str, str], ...] = ()

    def render(self) -> str:
        """Write the place as apt reads it (deb822)."""
        fields = {
            "Types": "deb-src",
            "URIs": self.uri,
            "Suites": self.suite,
            "Components": COMPONENT,
            "Targets": "Sources",
        }
        return "".join(f"{name}: {value}\n" for name, value in (*fields.items(), *self.options))


@dataclass(frozen=True)
class Listed:
    """A version of a source package and its upstream tarball, by the index; `file` is None without one."""

    version: str
    file: str | None = None
    sha256: str | None = None


def entries(files: Mapping[str, str], suite: str | None) -> list[Entry]:
    """Take the places from apt's files, by name; `suite` stands in for the suites that are named there.

    Left out is what has no component `main`, what is switched off, and what is on a disc to be put in.
    """
    found = [one for name in sorted(files) for one in _read(name, files[name])]
    asked = [Entry(one.uri, suite or one.suite, one.options) for one in found]
    return [one for one in dict.fromkeys(asked) if not one.uri.startswith("cdrom:")]


def render(places: Iterable[Entry]) -> str:
    """Write places as a file that apt reads."""
    return "\n".join(one.render() for one in places)


def _read(name: str, text: str) -> Iterator[Entry]:
    if name.endswith(".sources"):
        for paragraph in paragraphs(text):
            yield from _from_paragraph(paragraph)
    else:
        for line in text.splitlines():
            if (found := _ONE_LINE.match(line)) and COMPONENT in found[4].split():
                yield Entry(found[2], found[3], _from_brackets(found[1] or ""))


def _from_brackets(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (one.partition("=") for one in text.split())
    return tuple((key.lower(), value) for key, _, value in pairs if key.lower() in _KEPT)


def _from_paragraph(fields: Paragraph) -> Iterator[Entry]:
    on = fields.get("enabled", "yes").strip().lower() not in _NO
    options = tuple((key, fields[key]) for key in _KEPT if key in fields)
    if on and COMPONENT in fields.get("components", "").split():
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Entry(uri, suite, options)


def paragraphs(text: str) -> Iterator[Paragraph]:
    """Read control data as deb822(5) describes it; what is no field is passed over."""
    fields: Paragraph = {}
    last = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t":
            fields[last] = f"{fields.get(last, '')}\n{line}"
        elif found := _FIELD.match(line):
            last = found[1].lower()
            fields[last] = found[2]


def listed(text: str, package: str) -> list[Listed]:
    """Read what `apt-cache showsrc` prints of a package; the newest version first."""
    found = [_listed(one) for one in paragraphs(text) if one.get("package") == package and "version" in one]
    return sorted(dict.fromkeys(found), key=lambda one: order(one.version), reverse=True)


def _listed(fields: Paragraph) -> Listed:
    for line in fields.get("checksums-sha256", "").splitlines():
        if tarball := _ORIG.fullmatch(line):
            return Listed(fields["version"], tarball[2], tarball[1])
    return Listed(fields["version"])


def order(version: str) -> tuple[object, ...]:
    """Give a key that sorts versions as dpkg does (deb-version(7))."""
    epoch, colon, rest = version.partition(":")
    upstream, _, revision = (rest if colon else version).rpartition("-")
    if not upstream:
        upstream, revision = revision, "0"
    number = epoch if colon and re.fullmatch("[0-9]+", epoch) else ""
    return (_value(number), _order(upstream), _order(revision))


def _order(text: str) -> tuple[object, ...]:
    """Compare letters before all else but `~`, which comes before even the end; numbers by value."""
    return tuple((_letters(word), _value(number)) for word, number in _PART.findall(text))


def _value(digits: str) -> tuple[int, str]:
    """Give a key that sorts numbers by value, however long they are: `int` refuses 4301 digits."""
    digits = digits.lstrip("0")
    return len(digits), digits


def _letters(word: str) -> tuple[int, ...]:
    weights = (-1 if one == "~" else ord(one) if one.isalpha() else ord(one) + 256 for one in word)
    return (*weights, 0)


def complaints(err: bytes) -> list[str]:
    """List apt's errors on standard error, or else its warnings; what is wrong with a signature first.

    Its summaries are left out. That an index `is not signed` is an error, and the reason a mere warning.
    """
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines()]
    warnings = [line[3:] for line in lines if line.startswith("W: ")]
    errors = [line[3:] for line in lines if line.startswith("E: ") and not _SUMMARY.match(line[3:])]
    about_signatures = [found[0] for one in warnings if (found := _SIGNATURE.search(one))]
    return list(dict.fromkeys([*about_signatures, *errors] or warnings))
