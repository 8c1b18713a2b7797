"""Bytes that are made to do harm, each with what becomes of them.

All are read in one process that has a gigabyte of memory and a minute of CPU time; what a fuzzer finds
otherwise is in test_fuzz.py.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fuzztargets import grown, scratch

from recipes import aptsources, archives, files, hashes, located, treewriter
from recipes.archives import Want
from recipes.errors import IntegrityError, LockError, RecipesError, SpecError
from recipes.files import FileChunks
from recipes.hashes import File
from recipes.lock import Lock
from recipes.requirements import MARKERS
from recipes.spec import Environment
from recipes.tree import Filter
from recipes.treewriter import TreeWriter

Case = tuple[str, str, Callable[[], bytes] | bytes, object]  # kind, file name, bytes, what becomes of them

# ---- specs

LAUGHS = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c]\n" % (n, n, n - 1, n - 1, n - 1) for n in range(ord("b"), ord("z"))
)
ODD = b"a: 1.10\nb: 010\nc: 0o17\nd: 1_000\ne: 1:30\nf: 2001-01-01\ng: .inf\nh: no\ni: 0x1F\nj: 1e3\n"
DEEP = "SpecError: x.yaml:1:{}: nested deeper than 40 levels"

SPECS: Mapping[str, Case] = {
    name: ("spec", "x.yaml", raw, f"SpecError: x.yaml:{told}" if isinstance(told, str) else told)
    for name, raw, told in (
        ("anchors of anchors", LAUGHS, "1:4: a: anchors and aliases are not supported"),
        ("an alias alone", b"a: *b\n", "1:4: a: anchors and aliases are not supported"),
        ("10000 lists", b"[" * 10_000, "1:41: nested deeper than 40 levels"),
        ("10000 lists in lines", b"- " * 10_000, "1:81: nested deeper than 40 levels"),
        ("10000 mappings", b"{a: " * 10_000, "1:161: nested deeper than 40 levels"),
        ("10000 keys of keys", b"? " * 10_000, "1:3: a key is text"),
        ("a merge key", b"b: {}\n<<: {a: 1}\n", "2:1: merge keys are not supported"),
        ("a key twice", b"a: 1\nb: 2\na: 3\n", "3:1: a: duplicate key `a`, first on line 1"),
        (
            "a key twice, by an escape",
            b'a: 1\n"\\u0061": 3\n',
            "2:1: a: duplicate key `a`, first on line 1",
        ),
        (
            "a Python object",
            b"a: !!python/object/apply:os.system [id]\n",
            "1:4: a: tags are not supported: `tag:yaml.org,2002:python/object/apply:os.system`",
        ),
        ("a tag of one's own", b"a: !x 1\n", "1:4: a: tags are not supported: `!x`"),
        ("NUL", b"a: 1\x00\n", "1:5: not text: character U+0000"),
        ("NUL by an escape", b'a: "\\0"\n', "1:4: a: a control character or half of a surrogate pair"),
        ("a terminal's escape", b"a: \x1b[31m\n", "1:4: not text: character U+001B"),
        ("a byte order mark", b"\xef\xbb\xbfa: 1\n", {"a": "1"}),
        ("a byte order mark inside", b"a: \xef\xbb\xbf1\n", {"a": "\ufeff1"}),
        ("UTF-16", "a: 1\n".encode("utf-16"), "1:1: not UTF-8: byte 0xff"),
        ("Latin-1", b"a: 1\nb: \xe9\n", "2:4: not UTF-8: byte 0xe9"),
        ("an overlong NUL", b"a: \xc0\x80\n", "1:4: not UTF-8: byte 0xc0"),
        ("a surrogate", b"a: \xed\xa0\x80\n", "1:4: not UTF-8: byte 0xed"),
        (
            "a scalar of 100 MB",
            lambda: b"a: " + b"x" * 100_000_000,
            " too large: 100000003 bytes, and at most 1048576 are read",
        ),
        ("numbers and dates", ODD, dict(line.split(": ") for line in ODD.decode().splitlines())),
        ("a tab", b"a:\n\tb: 1\n", "2:1: not YAML: found character '\\t' that cannot start any token"),
        ("CRLF", b"a: 1\r\nb:\r\n  - 2\r\n", {"a": "1", "b": ["2"]}),
        ("two documents", b"a: 1\n--- {}\n", "2:1: another document begins; a file holds one"),
        ("a key of two lines", b'"a\\nerror: b": 1\n', "1:1: a key is one line, without tabs"),
        ("a key that is a list", b"? [a]\n: 1\n", "1:3: a key is text"),
        (
            "another YAML",
            b"%YAML 9.9\n---\na: b\n",
            "1:1: not YAML: found incompatible YAML document (version 1.* is required)",
        ),
        (
            "a conflict",
            b"a: 1\n<<<<<<< ours\x07\nb: 1\n=======\nb: 2\n>>>>>>> theirs\n".replace(b"\x07", b""),
            "2:1: a conflict of a merge is not resolved: `<<<<<<< ours`",
        ),
    )
}

# ---- locks

EMPTY = "version: 1\nsources: {}\n"
CONFLICT = "version: 1\nsources:\n<<<<<<< HEAD\n  a:\n=======\n  b:\n>>>>>>> next\n"
FORMAT = "another format of lock\n  expected  version: 1\n  actual    "

LOCKS: Mapping[str, Case] = {
    name: ("lock", "x.lock.yaml", text.encode(), f"LockError: x.lock.yaml:{told}" if told else 0)
    for name, text, told in (
        ("an empty lock", EMPTY, ""),
        ("an empty lock in CRLF", EMPTY.replace("\n", "\r\n"), ""),
        ("a lock of version 2", EMPTY.replace("1", "2"), f"1:1: {FORMAT}version: 2"),
        (
            "a lock of a very high version",
            EMPTY.replace("1", "9" * 5000),
            f"1:1: {FORMAT}version: {'9' * 5000}",
        ),
        ("a lock of a version in two lines", 'version: "1\\n2"\n', f"1:1: {FORMAT}version: 1\\n2"),
        ("a lock without a version", "sources: {}\n", f"1:1: {FORMAT}no version"),
        ("a lock with a conflict", CONFLICT, "3:1: a conflict of a merge is not resolved: `<<<<<<< HEAD`"),
        (
            "a lock with the rest of a conflict",
            f"{EMPTY}>>>>>>> next\n",
            "3:1: a conflict of a merge is not resolved: `>>>>>>> next`",
        ),
        (
            "a lock with a conflict in CRLF",
            CONFLICT.replace("\n", "\r\n"),
            "3:1: a conflict of a merge is not resolved: `<<<<<<< HEAD`",
        ),
        (
            "a lock with tabs",
            EMPTY.replace(" {}", "\n\ta: 1"),
            "3:1: not YAML: found character '\\t' that cannot start any token",
        ),
        ("a lock that is cut off", EMPTY[:-1], " cut off: there is no newline at its end"),
        ("a lock that is a list", "- 1\n", "1:1: expected a mapping, got a list"),
    )
}

# ---- locks of toolchains

HEAD = "# Written by `recipes lock`; do not edit. Format 1.\n"
LINUX = MARKERS["linux-64"]
WHEEL = f"""
# cmake-3.31.10-py3-none-any.whl
cmake==3.31.10 ; {LINUX} \\
    --hash=sha256:{"ab" * 32}
"""
NOT = "not what `recipes lock` writes\n  expected  "
FILE = "`# FILE.whl`, the file name of a wheel"
MARKED = "`PROJECT==VERSION ; MARKER \\`"
OF = "the project and version of `"
HASH = "`    --hash=sha256:` and 64 hexadecimal digits"
TAGS = "-".join(".".join(f"{letter}{number}" for number in range(300)) for letter in "abc")


def _swapped(old: str, new: str) -> str:
    assert old in WHEEL
    return HEAD + WHEEL.replace(old, new)


WHEELS: Mapping[str, Case] = {
    name: ("wheels", "x.txt", text.encode(), f"LockError: x.txt:{told}" if isinstance(told, str) else told)
    for name, text, told in (
        ("a wheel", HEAD + WHEEL, 1),
        ("a wheel in CRLF", (HEAD + WHEEL).replace("\n", "\r\n"), 1),
        (
            "a wheel twice",
            HEAD + WHEEL + WHEEL,
            f"7: {NOT}`cmake` once for linux-64\n  actual    `# cmake-3.31.10-py3-none-any.whl`",
        ),
        (
            "an index in place of a wheel",
            f"{HEAD}\n--index-url https://evil.example/simple\n",
            f"3: {NOT}{FILE}\n  actual    `--index-url https://evil.example/simple`",
        ),
        (
            "an index behind a continuation",
            _swapped("\\\n", "\\\n    --index-url https://evil.example \\\n"),
            f"5: {NOT}{HASH}\n  actual    `    --index-url https://evil.example \\`",
        ),
        (
            "an option behind a hash",
            _swapped("ab\n", "ab --global-option=x\n"),
            f"5: {NOT}{HASH}\n  actual    `    --hash=sha256:{'ab' * 32} --global-option=x`",
        ),
        (
            "a second hash",
            _swapped("ab\n", "ab \\\n    --hash=sha256:" + "cd" * 32 + "\n"),
            f"5: {NOT}{HASH}\n  actual    `    --hash=sha256:{'ab' * 32} \\`",
        ),
        (
            "a comment that continues",
            _swapped("any.whl\n", "any.whl \\\n"),
            f"3: {NOT}{FILE}\n  actual    `# cmake-3.31.10-py3-none-any.whl \\`",
        ),
        (
            "SHA-512",
            _swapped(f"sha256:{'ab' * 32}", f"sha512:{'ab' * 64}"),
            f"5: {NOT}{HASH}\n  actual    `    --hash=sha512:{'ab' * 64}`",
        ),
        (
            "MD5",
            _swapped(f"sha256:{'ab' * 32}", f"md5:{'ab' * 16}"),
            f"5: {NOT}{HASH}\n  actual    `    --hash=md5:{'ab' * 16}`",
        ),
        (
            "a URL",
            _swapped("cmake==3.31.10", "cmake @ https://evil.example/x.whl"),
            f"4: {NOT}{MARKED}\n  actual    `cmake @ https://evil.example/x.whl ; {LINUX} \\`",
        ),
        (
            "another file of requirements",
            f"{HEAD}\n-r other.txt\n",
            f"3: {NOT}{FILE}\n  actual    `-r other.txt`",
        ),
        (
            "a terminal's escape in a line",
            f"{HEAD}\n\x1b[31mred\r\x00\n",
            f"3: {NOT}{FILE}\n  actual    `\\x1b[31mred\\r\\x00`",
        ),
        (
            "a very long line",
            f"{HEAD}\n{'x' * 100_000}\n",
            f"3: {NOT}{FILE}\n  actual    `{'x' * 300} …`",
        ),
        (
            "a wheel of many tags",
            _swapped("py3-none-any", TAGS),
            f"4: {NOT}{OF}{f'cmake-3.31.10-{TAGS}'[:300]} …`\n  actual    `cmake==3.31.10 ; {LINUX} \\`",
        ),
        (
            "a version of 5000 digits",
            HEAD + WHEEL.replace("3.31.10", "9" * 5000),
            f"4: {NOT}{OF}cmake-{'9' * 294} …`\n  actual    `cmake=={'9' * 293} …`",
        ),
        (
            "a build number of 5000 digits",
            _swapped("10-py3", f"10-{'9' * 5000}-py3"),
            f"4: {NOT}{OF}cmake-3.31.10-{'9' * 286} …`\n  actual    `cmake==3.31.10 ; {LINUX} \\`",
        ),
        (
            "a conflict between wheels",
            f"{HEAD}\n<<<<<<< HEAD{WHEEL}=======\n>>>>>>> next\n",
            f"3: a conflict of a merge is not resolved\n  expected  {FILE}\n  actual    `<<<<<<< HEAD`",
        ),
        (
            "a byte order mark",
            f"\ufeff{HEAD}",
            f"1: {NOT}`{HEAD.strip()}`\n  actual    `\\ufeff{HEAD.strip()}`",
        ),
        (
            "a megabyte of wheels",
            HEAD + "\n" * (1 << 20),
            f" too large: {len(HEAD) + (1 << 20)} characters, and at most 1048576 are read",
        ),
    )
}

# ---- archives

KINDS = {
    "file": tarfile.REGTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
}
END = bytes(1024)


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, kind, len(data)) + data + bytes(-len(data) % 512)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    size = len(rest) + 1
    while len(str(size)) + len(rest) != size:
        size += 1
    return str(size).encode() + rest


def pax(name: str, **records: str) -> bytes:
    return member("pax", b"".join(record(*one) for one in records.items()), tarfile.XHDTYPE) + header(name)


def tar(*some: tuple[str, str, str]) -> bytes:
    """Write members: name, kind, and a content or a target."""
    return (
        b"".join(
            member(name, text.encode()) if kind == "file" else header(name, KINDS[kind], target=text)
            for name, kind, text in some
        )
        + END
    )


def many_records() -> bytes:
    """Write 80,000 records that hold for all of 9000 members: 720 million, were each copied."""
    records = b"".join(record(f"k{number}", "1") for number in range(80_000))[: 1 << 20]
    common = member("g", records[: records.rindex(b"\n") + 1], tarfile.XGLTYPE)
    return gzip.compress(common + header("d", tarfile.DIRTYPE) * 9000 + header("a") + END)


def large_dictionary() -> bytes:
    """Compress by xz, and let the header ask for a dictionary of 4 GiB (xz-file-format.txt, 5.3.1)."""
    raw = bytearray(lzma.compress(tar(("a", "file", "text"))))
    size = (raw[12] + 1) * 4
    at = raw.index(b"\x21\x01", 12, 12 + size)
    raw[at + 2] = 40
    raw[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(raw[12 : 12 + size - 4]))
    return bytes(raw)


def zipped(*some: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, extra: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, data in some:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.extra = method, extra
            made.writestr(info, data)
    return out.getvalue()


def central(raw: bytes, offset: int, value: int, number: int = 0) -> bytes:
    """Change a 32-bit field of a member's record in a zip's central directory (APPNOTE 4.3.12)."""
    at = -1
    for _ in range(number + 1):
        at = raw.index(b"PK\1\2", at + 1)
    return raw[: at + offset] + struct.pack("<I", value) + raw[at + offset + 4 :]


def bzip2_in_zip() -> bytes:
    """Give a member said to have ten bytes, of which zipfile would unpack ten million into memory."""
    raw = zipped(("a", bz2.compress(bytes(10_000_000))), method=zipfile.ZIP_STORED)
    return central(central(raw, 24, 10), 10, zipfile.ZIP_BZIP2)


def overlapping() -> bytes:
    """Let a second member begin inside of the first, as a block that many members share does in a bomb."""
    inner = zipped(("b", b"text"), method=zipfile.ZIP_STORED)
    inner_local = inner[: inner.index(b"PK\1\2")]
    both = zipped(("a", inner_local), ("b", b"text"), method=zipfile.ZIP_STORED)
    return central(both, 42, 30 + len("a"), 1)


DAMAGED = "{} is damaged, or no archive of its kind\n  reason  "
SHORT = f"{DAMAGED}it ends too soon"
NAME = "{} has a member with a name that is not allowed\n  name  "
LEADS = "{} has a symbolic link that leads out of its tree\n  link    "
KIND = "{} has a member of a kind that is not allowed\n  name  'a'\n  kind  "
MUCH = "{} unpacks to more than is allowed\n  limit  "
SIZE = "{} has a file that is not of its size\n"
LONG = "a" * 300

ARCHIVES: Mapping[str, Case] = {
    name: (
        "archive",
        file,
        raw,
        f"IntegrityError: {told.format(file)}" if isinstance(told, str) else told,
    )
    for name, file, raw, told in (
        (
            "zeros in gzip",
            "x.tar.gz",
            lambda: gzip.compress(member("a", bytes(20 << 20)) + END),
            MUCH + "8388608 bytes",
        ),
        (
            "zeros in bzip2",
            "x.tar.bz2",
            lambda: bz2.compress(member("a", bytes(20 << 20))),
            MUCH + "8388608 bytes",
        ),
        (
            "zeros in xz",
            "x.tar.xz",
            lambda: lzma.compress(member("a", bytes(20 << 20)), preset=0),
            MUCH + "8388608 bytes",
        ),
        ("zeros in zip", "x.zip", lambda: zipped(("a", bytes(20 << 20))), MUCH + "8388608 bytes"),
        (
            "zeros behind the end",
            "x.tar.gz",
            lambda: gzip.compress(END + bytes(20 << 20)),
            MUCH + "8388608 bytes",
        ),
        (
            "members of a tar",
            "x.tar.gz",
            lambda: gzip.compress(header("a") * 10_001),
            "{} has two members for one place\n  place  'a'",
        ),
        (
            "directories of a tar",
            "x.tar.gz",
            lambda: gzip.compress(header("a", tarfile.DIRTYPE) * 10_001),
            MUCH + "10000 members",
        ),
        (
            "members of a zip",
            "x.zip",
            lambda: zipped(*((f"f{number}", b"") for number in range(10_001))),
            MUCH + "10000 members",
        ),
        ("a dictionary of 4 GiB", "x.tar.xz", large_dictionary, DAMAGED + "Memory usage limit exceeded"),
        ("many records", "x.tar.gz", many_records, 1),
        ("bzip2 in zip", "x.zip", bzip2_in_zip, KIND + "compressed by method 12"),
        (
            "LZMA in zip",
            "x.zip",
            lambda: zipped(("a", b"x"), method=zipfile.ZIP_LZMA),
            KIND + "compressed by method 14",
        ),
        ("members that overlap", "x.zip", overlapping, DAMAGED + "members overlap"),
        (
            "a member twice at one place",
            "x.zip",
            lambda: central(zipped(("a", b"1"), ("b", b"2")), 42, 0, 1),
            DAMAGED + "members overlap",
        ),
        (
            "a member in the central directory",
            "x.zip",
            lambda: central(zipped(("a", b"1")), 20, 5000),
            DAMAGED + "members overlap",
        ),
        (
            "a size that is too small",
            "x.zip",
            lambda: central(zipped(("a", bytes(5000))), 24, 10),
            DAMAGED + "Bad CRC-32 for file 'a'",
        ),
        (
            "a size that is too large",
            "x.zip",
            lambda: central(zipped(("a", b"text")), 24, 10),
            SIZE + "  name      'a'\n  expected  10 bytes\n  actual    4 bytes",
        ),
        (
            "a size of 2⁶²",
            "x.zip",
            lambda: central(zipped(("a", b"text"), extra=struct.pack("<HHQ", 1, 8, 1 << 62)), 24, 0xFFFFFFFF),
            MUCH + "8388608 bytes",
        ),
        ("pax size of 20 digits", "x.tar", pax("a", size="9" * 20) + END, SHORT),
        (
            "pax size of 30 digits",
            "x.tar",
            pax("a", size="9" * 30) + END,
            DAMAGED + "a number in an extended header is none",
        ),
        (
            "pax size below zero",
            "x.tar",
            pax("a", size="-1") + END,
            DAMAGED + "a number in an extended header is none",
        ),
        (
            "pax size in other digits",
            "x.tar",
            pax("a", size="1_0") + END,
            DAMAGED + "a number in an extended header is none",
        ),
        (
            "pax header of 4 GiB",
            "x.tar",
            header("a", tarfile.XHDTYPE, 1 << 32) + END,
            "{} has an extended header of 4294967296 bytes\n  limit  1048576",
        ),
        (
            "a member of 4 GiB that is cut off",
            "x.tar.gz",
            lambda: gzip.compress(header("a", size=1 << 32) + bytes(1 << 20)),
            SHORT,
        ),
        ("a member of 2⁶⁴ bytes", "x.tar", lambda: header("a", size=1 << 64) + END, SHORT),
        ("a sparse member", "x.tar", tar(("a", "sparse", "")), KIND + "sparse file"),
        (
            "a sparse member of pax",
            "x.tar",
            pax("a", **{"GNU.sparse.realsize": "4294967296"}) + END,
            KIND + "sparse file",
        ),
        ("a device", "x.tar", tar(("a", "char", "")), KIND + "device"),
        ("a disk", "x.tar", tar(("a", "block", "")), KIND + "device"),
        ("a fifo", "x.tar", tar(("a", "fifo", "")), KIND + "fifo"),
        ("a long name", "x.tar", lambda: header(LONG), f"{NAME}{LONG[:255]!r}… (300 characters)"),
        ("a long path", "x.tar", tar(("/".join(["a" * 99] * 20), "file", "")), 1),
        (
            "a path of 10000 directories",
            "x.tar",
            lambda: pax("a", path="d/" * 10_000 + "f") + END,
            f"{NAME}{('d/' * 128)[:255]!r}… (20001 characters)",
        ),
        ("up", "x.tar", tar(("../a", "file", "")), f"{NAME}'../a'"),
        ("up inside", "x.tar", tar(("a/../../a", "file", "")), f"{NAME}'a/../../a'"),
        ("up in a zip", "x.whl", lambda: zipped(("a/../../b", b"")), f"{NAME}'a/../../b'"),
        ("absolute", "x.tar", tar(("/etc/passwd", "file", "")), f"{NAME}'/etc/passwd'"),
        ("absolute in a zip", "x.zip", lambda: zipped(("/etc/passwd", b"")), f"{NAME}'/etc/passwd'"),
        ("absolute by pax", "x.tar", pax("a", path="/etc/passwd") + END, f"{NAME}'/etc/passwd'"),
        ("NUL by pax", "x.tar", pax("a", path="a\0b") + END, f"{NAME}'a\\x00b'"),
        (
            "a terminal's escape",
            "x.tar",
            tar(("../\x1b[31m\n\u202e", "file", "")),
            f"{NAME}'../\\x1b[31m\\n\\u202e'",
        ),
        (
            "through a link",
            "x.tar",
            tar(("d", "link", "."), ("d/a", "file", "")),
            "{} has a member below a file or a symbolic link\n  place  'd'",
        ),
        (
            "through a file",
            "x.tar",
            tar(("d", "file", ""), ("d/a", "file", "")),
            "{} has a member below a file or a symbolic link\n  place  'd'",
        ),
        (
            "over a link",
            "x.tar",
            tar(("d", "link", "a"), ("d", "file", "")),
            "{} has two members for one place\n  place  'd'",
        ),
        (
            "a link out",
            "x.tar",
            tar(("d/a", "link", "../../canary")),
            LEADS + "'d/a'\n  target  '../../canary'",
        ),
        (
            "an absolute link",
            "x.tar",
            tar(("a", "link", "/etc/passwd")),
            LEADS + "'a'\n  target  '/etc/passwd'",
        ),
        (
            "a link up through a link",
            "x.tar",
            tar(("d", "link", "."), ("a", "link", "d/..")),
            LEADS + "'a'\n  target  'd/..'",
        ),
        ("a link to itself", "x.tar", tar(("a", "link", "a")), 1),
        ("a hard link out", "x.tar", tar(("a", "hard", "../canary")), f"{NAME}'../canary'"),
        ("a hard link to /", "x.tar", tar(("a", "hard", "/etc/passwd")), f"{NAME}'/etc/passwd'"),
        (
            "a hard link to a link",
            "x.tar",
            tar(("l", "link", "a"), ("a", "hard", "l")),
            "{} has a hard link to what is no earlier file of it\n  link    'a'\n  target  'l'",
        ),
        (
            "a hard link to itself",
            "x.tar",
            tar(("a", "hard", "a")),
            "{} has a hard link to what is no earlier file of it\n  link    'a'\n  target  'a'",
        ),
        ("git's own", "x.tar", tar((".git/hooks/x", "file", ""), ("a", "file", "")), 1),
        ("empty files", "x.tar", tar(("a", "file", ""), ("b", "file", "")), 2),
    )
}

CASES = {
    f"{case[0]}: {name}": case for some in (SPECS, LOCKS, WHEELS, ARCHIVES) for name, case in some.items()
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Read all cases, in a process with little memory and time; a case that ends it has no outcome."""
    top = tmp_path_factory.mktemp("cases")
    for number, (kind, file, raw, _) in enumerate(CASES.values()):
        (top / f"{number:04}" / "top").mkdir(parents=True)
        for name, data in (
            ("kind", kind.encode()),
            ("name", file.encode()),
            ("input", raw if isinstance(raw, bytes) else raw()),
        ):
            (top / f"{number:04}" / name).write_bytes(data)
    program = Path(__file__).with_name("limited.py")
    done = subprocess.run([sys.executable, program, top], capture_output=True, text=True, check=False)
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    return {name: found.get(f"{number:04}", done.stderr) for number, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of(name: str, outcomes: dict[str, object]) -> None:
    assert outcomes[name] == CASES[name][3]


# ---- trees


def deep(place: Path, levels: int) -> None:
    """Make directories in one another, deeper than a path is long."""
    place.mkdir()
    at = os.open(place, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_a_tree_of_10000_levels() -> None:
    top = scratch("deep")
    place = top / "deep"
    deep(place, 10_000)
    for use in (files.tree_hash, files.make_read_only, lambda one: treewriter.copy_tree(one, top / "copy")):
        with pytest.raises(IntegrityError, match="is too deep: a tree has at most 128 levels") as caught:
            use(place)
        assert len(caught.value.message) < 400
    assert not (top / "copy").exists()
    files.remove(top)
    assert not os.path.lexists(top)


def test_a_read_only_tree_of_300_levels_with_long_names_is_removed() -> None:
    place = scratch("long") / "deep"
    deep(place, 300)
    at = os.open(place, os.O_RDONLY)
    for number in range(60):
        os.mkdir(f"{number:02}" + "x" * 250, dir_fd=at)
        below = os.open(f"{number:02}" + "x" * 250, os.O_RDONLY, dir_fd=at)
        os.close(os.open("file", os.O_CREAT, dir_fd=below))
        os.chmod(".", 0o555, dir_fd=at) if number % 7 == 6 else None
        os.close(at)
        at = below
    os.close(at)
    files.remove(place)
    assert not os.path.lexists(place)
    place.parent.rmdir()


def test_a_path_longer_than_the_kernel_takes_is_an_error_of_the_tree(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 255, dir_fd=at)
        below = os.open("x" * 255, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    with pytest.raises(IntegrityError, match=r"x … x.*` is too deep: a tree has at most 128 levels"):
        files.tree_hash(tmp_path)
    files.remove(tmp_path / ("x" * 255))


def test_names_that_look_the_same_are_kept_apart(tmp_path: Path) -> None:
    names = ["a", "A", "é", "e\u0301", "ß", "ss", "\udcff"]
    raw = b"".join(
        pax("x", path=name, size="1") + name.encode("utf-8", "surrogateescape")[:1].ljust(512, b"\0")
        for name in names
    )
    (tmp_path / "x.tar").write_bytes(raw + END)
    writer = TreeWriter(tmp_path / "root", Filter(), "x.tar")
    archives.unpack(tmp_path / "x.tar", "x.tar", [Want("", writer)], lambda *_: None)
    node = grown([(name, File(1, [name.encode("utf-8", "surrogateescape")[:1]])) for name in names])
    assert files.tree_hash(tmp_path / "root") == hashes.nar_hash_and_size(node)
    assert len([*(tmp_path / "root").iterdir()]) == len(names)


@pytest.mark.parametrize(
    ("size", "actual"),
    [(0, "0 bytes"), (3, "3 bytes"), (5, "more than 4 bytes"), (3 << 20, "more than 4 bytes")],
)
def test_a_file_that_changes_while_its_tree_is_hashed(tmp_path: Path, size: int, actual: str) -> None:
    (tmp_path / "a").write_bytes(b"text")
    node = files.read_tree(tmp_path)
    (tmp_path / "a").write_bytes(bytes(size))
    with pytest.raises(IntegrityError) as caught:
        hashes.nar_hash(node)
    assert caught.value.message == (
        f"`{tmp_path}/a` changed while it was read\n  expected  4 bytes\n  actual    {actual}"
    )


def test_a_file_that_grows_as_fast_as_it_is_read_is_not_read_for_ever(tmp_path: Path) -> None:
    place, taken = tmp_path / "a", []
    place.write_bytes(bytes(files.PIECE))

    def read() -> None:
        for chunk in FileChunks(os.fsencode(place), files.PIECE):
            taken.append(len(chunk))
            with place.open("ab") as file:
                file.write(chunk)

    with pytest.raises(IntegrityError, match="changed while it was read"):
        read()
    assert taken == [files.PIECE, files.PIECE]


def test_a_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    name = "a\nerror: \x1b[2J\u202e\udcff"
    os.mkfifo(os.fsencode(tmp_path) + b"/" + name.encode("utf-8", "surrogateescape"))
    with pytest.raises(IntegrityError) as caught:
        files.tree_hash(tmp_path)
    assert caught.value.message == (
        f"`{tmp_path}/a\\nerror: \\x1b[2J\\u202e\\udcff` is neither a file, a directory nor a symbolic link"
    )


@pytest.mark.slow
def test_a_sparse_file_of_4_gib(tmp_path: Path) -> None:
    size = 1 << 32
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)
    start = b"".join(hashes.nar(File(0, [])))
    at = start.index(bytes(8) + hashes._string(b")"), start.index(b"contents"))
    digest = hashlib.sha256(start[:at] + size.to_bytes(8, "little"))
    for _ in range(size // files.PIECE):
        digest.update(bytes(files.PIECE))
    digest.update(start[at + 8 :])
    assert files.tree_hash(tmp_path / "a") == (hashes.sri(digest.digest()), size + len(start))


# ---- other readers


def test_messages_are_made_visible() -> None:
    error = RecipesError("a\x1b[31m\tb\nc\r\x9b\u2028", hint="`\x07`")
    assert error.message == "a\\x1b[31m\tb\nc\\r\\x9b\\u2028"
    assert str(error) == f"{error.message}\n\nhint: `\\x07`"
    assert error.args == (error.message,)


def test_errors_are_listed_as_far_as_anyone_reads() -> None:
    text = b"summary: x\ntarget: t\nplatforms: [linux-64]\nsources: {t: }\npypi:\n" + b"- '!'\n" * 500
    with pytest.raises(SpecError) as caught:
        located.check(located.read(text, "x.yaml", SpecError), Environment, SpecError)
    lines = caught.value.message.split("\n")
    assert lines[0] == "x.yaml:6:3: pypi[0]: `!` is not a requirement such as `cmake>=3.26,<4`"
    assert lines[20:] == ["x.yaml: 480 more errors"]


def test_a_large_environment_is_laid_over_another_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"options:\n a:\n" + b"".join(b"  k%d: x\n" % number for number in range(1500))
    base = located.read(text, "base.yaml", SpecError)
    over = located.read(text, "over.yaml", SpecError)
    merged = located.merge(base, over, {"options": 2})
    assert merged.value == base.value
    assert {mark[0] for mark in merged.marks.values()} == {"over.yaml"}


def test_versions_of_many_digits_have_an_order() -> None:
    small, large = "1" + "0" * 5000, "2" + "0" * 5000
    assert sorted([large, small, "3"], key=aptsources.order) == ["3", small, large]
    assert aptsources.order(f"{small}:1") < aptsources.order(f"{large}:1")
    assert aptsources.order("1.007") == aptsources.order("1.7")


def test_paths_of_a_spec_fit_on_disk() -> None:
    text = "sources: {a: {hash: x, strip: " + "a" * 256 + "}}\n"
    with pytest.raises(
        LockError, match=r"sources\.a\.strip: a path has at most 2048 bytes, a name in it 255"
    ):
        located.check(located.read(text.encode(), "x", LockError), Lock, LockError)


def test_a_hash_is_written_in_one_way() -> None:
    right = hashes.sri(bytes(32))
    assert hashes.is_sri(right)
    assert not hashes.is_sri(right.replace("A=", "B="))  # the same 32 bytes to a lenient reader
