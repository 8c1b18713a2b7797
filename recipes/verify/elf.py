"""The sections of an ELF file, read from its header with nothing but `struct` (System V gABI, chapter 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"\x7fELF"
_NOBITS = 8  # SHT_NOBITS: a section without bytes in the file, such as .bss
_WIDEST = 0xFF00  # SHN_LORESERVE: no file has so many sections, unless it is written in another form


@dataclass(frozen=True)
class Span:
    """A named range of a file, in bytes from its start."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class _Layout:
    """Where the header of a file of one class has what is read: formats of `struct`, offsets in bytes."""

    header: str  # e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    header_at: int
    section: str  # sh_name, sh_type, …, sh_offset, sh_size
    section_fields: tuple[int, int, int, int]


_LAYOUTS = {
    1: _Layout("IIIHHHHHH", 28, "IIIIIIIIII", (0, 1, 4, 5)),
    2: _Layout("QQIHHHHHH", 32, "IIQQQQIIQQ", (0, 1, 4, 5)),
}


def spans(data: bytes) -> list[Span] | None:
    """Give the headers, sections and gaps of an ELF file, by where they begin; None where it is none.

    Together they cover the file: what no section has is called `between sections`. None, too, for a file that
    is damaged, cut off, or has its sections in a form of its own.
    """
    if data[:4] != MAGIC:
        return None
    try:
        found = _headers_and_sections(data)
    except (struct.error, KeyError, IndexError, OverflowError):
        return None
    if found is None or any(one.end > len(data) for one in found):
        return None
    return _with_gaps(sorted(found, key=lambda one: (one.start, one.end)), len(data))


def _headers_and_sections(data: bytes) -> list[Span] | None:
    layout, order = _LAYOUTS[data[4]], {1: "<", 2: ">"}[data[5]]
    programs, sections, _, own, program_size, program_count, size, count, names = struct.unpack_from(
        order + layout.header, data, layout.header_at
    )
    if not sections or not 0 < count < _WIDEST or size != struct.calcsize(order + layout.section):
        return None
    found = [Span("ELF header", 0, own), Span("section headers", sections, sections + size * count)]
    if program_count:
        found.append(Span("program headers", programs, programs + program_size * program_count))
    rows = [_row(data, layout, order, sections + size * at) for at in range(count)]
    text_at = rows[names][2]
    return found + [
        Span(_name(data, text_at + name) or f"section {at}", start, start + length)
        for at, (name, kind, start, length) in enumerate(rows)
        if kind not in (0, _NOBITS) and length
    ]


def _row(data: bytes, layout: _Layout, order: str, place: int) -> tuple[int, int, int, int]:
    values = struct.unpack_from(order + layout.section, data, place)
    name, kind, start, length = (values[at] for at in layout.section_fields)
    return name, kind, start, length


def _name(data: bytes, start: int) -> str:
    return data[start : start + 256].partition(b"\0")[0].decode("ascii", "backslashreplace")


def _with_gaps(found: list[Span], size: int) -> list[Span]:
    covered, filled = 0, []
    for one in [*found, Span("", size, size)]:
        if one.start > covered:
            filled.append(Span("between sections", covered, one.start))
        filled.append(one)
        covered = max(covered, one.end)
    return [one for one in filled if one.name]
