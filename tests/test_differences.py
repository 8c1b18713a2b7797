"""Two trees compared: which files, which sections or members, which bytes, and the likely cause."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import random
import shutil
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from recipes import files
from recipes.errors import IntegrityError, UsageError, VerifyError
from recipes.hashes import Directory, File, Link
from recipes.report import Report
from recipes.verify import causes, differences, elf, keep, parts, published, world
from recipes.verify.causes import World
from recipes.verify.differences import Difference, Piece
from recipes.verify.outcome import Outcome, error, summary, text
from recipes.verify.world import Another

NOW = 1_800_000_000.0
FIRST = World(("/store/first",), (), 4, 4, ended=NOW - 1000)
SECOND = World(("/store/tmp/second",), ("elsewhere",), 3, 2, NOW - 5, NOW)
WORLDS = FIRST, SECOND


def found(first: bytes, second: bytes) -> tuple[Piece, ...]:
    return tuple(differences.pieces(first, second, WORLDS))


def file(data: bytes, executable: bool = False) -> File:
    return File(len(data), [data[start : start + 3] for start in range(0, len(data), 3)], executable)


CAUSES = {
    "a time as a text": (
        f"{NOW - 1000:.3f}", f"{NOW - 3:.3f}",
        ["a time: seconds since 1970, 2027-01-15 07:59:57 UTC in the second build, which is when that ran"],
    ),
    "a number that is no time": (
        "count 123456789", "count 987654321",
        ["a number, such as a process id, a counter or a size: 123456789 and 987654321"],
    ),
    "what __DATE__ and __TIME__ give": (
        "built Jan  5 2027 02:14:04", "built Jan 15 2027 07:59:59",
        ["a date or time: Jan  5 2027 and Jan 15 2027", "a date or time: 02:14:04 and 07:59:59"],
    ),
    "what asctime gives": (
        "Tue Jan  5 02:14:04 2027", "Fri Jan 15 07:59:59 2027",
        ["a date or time: Tue Jan  5 02:14:04 2027 and Fri Jan 15 07:59:59 2027"],
    ),
    "a date as ISO 8601 has it": (
        "2027-01-05T02:14:04Z", "2027-01-15T07:59:59Z",
        ["a date or time: 2027-01-05T02:14:04Z and 2027-01-15T07:59:59Z"],
    ),
    "a date without separators": (
        "of 20270105", "of 20270115", ["a date or time: 20270105 and 20270115"],
    ),
    "the build's own directory": (
        "in /store/tmp/other/src", "in /store/tmp/second-1/src",
        ["a path: the build's directory outside the sandbox, of 20 and 23 characters"],
    ),
    "another path": ("at /a/b/c:1", "at /d/b/c:1", ["a path: an absolute path"]),
    "a UUID": (
        "6fa459ea-ee8a-3ca4-894e-db77e160355e", "16fd2706-8baf-433b-82eb-8c7fada847da",
        ["an id: a UUID, new in each build"],
    ),
    "an address": (
        "<One object at 0x7f0a11223344>", "<One object at 0x7f0b11223355>",
        ["an id: an address in memory, which is random in each process"],
    ),
    "hexadecimal digits": (
        "id=4987f20d48c22694", "id=c92cd93f30dc6c10",
        ["an id: hexadecimal digits, random or the hash of something that differs"],
    ),
    "processors": ("4 cores", "3 cores", ["the number of processors: 4 and 3"]),
    "jobs": ("-j 4 --", "-j 2 --", ["the number of jobs: 4 and 2"]),
    "a process id": (
        "pid 17", "pid 23", ["a number, such as a process id, a counter or a size: 17 and 23"],
    ),
    "a host's name": ("by me on here", "by me on elsewhere", ["a name of the user or the host: `elsewhere`"]),
    "lines": ("b\na\nc\n", "a\nb\nc\n", ["an order: the same lines in another order"]),
    "names": ("one\0two\0", "two\0one\0", ["an order: the same names in another order"]),
    "a set": ("{'a', 'b'}", "{'b', 'a'}", ["an order: the same words in another order"]),
    "bytes": (
        "\1\2" + "\3\4\5\6\7" * 8, "\2\1" + "\3\4\5\6\7" * 8,
        ["an order: the same bytes in another order"],
    ),
    "padding at the end": ("x\0\0\0", "x\0", ["padding: one side has more zeros"]),
    "an end": ("same\1\2", "same\1\2more", ["a size: one side ends where the other goes on"]),
    "several in one text": (
        "pid 17\nsame\n2027-01-05\n", "pid 23\nsame\n2027-01-15\n",
        [
            "a number, such as a process id, a counter or a size: 17 and 23",
            "a date or time: 2027-01-05 and 2027-01-15",
        ],
    ),
    "nothing that is known": ("some words here", "other text here", []),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_the_likely_cause(name: str) -> None:
    first, second, expected = CAUSES[name]
    [piece] = found(first.encode("latin-1"), second.encode("latin-1"))
    assert list(piece.causes) == expected


def test_the_likely_cause_in_bytes() -> None:
    source = random.Random(4)
    begin, end = bytes(range(1, 9)), bytes(range(200, 216))
    for first, second, cause in (
        (source.randbytes(32), source.randbytes(32), "random bytes: "),
        (bytes(12), b"\1\2\3\4\5\6\7\x0e\1\2\3\4", "padding or memory that was not set: "),
        (int(NOW - 9999).to_bytes(4, "little"), int(NOW - 2).to_bytes(4, "little"), "a time: four bytes "),
        (int(NOW - 9999).to_bytes(4, "big"), int(NOW - 2).to_bytes(4, "big"), "a time: four bytes "),
    ):
        [piece] = found(begin + b"\0" + first + end, begin + b"\0" + second + end)
        assert [one[: len(cause)] for one in piece.causes] == [cause]
    [piece] = found(begin + b"\1\1" + end, begin + b"\1\2" + end)
    assert piece.causes == ()


def test_a_build_whose_time_is_not_known_had_no_moment() -> None:
    assert not World().had(NOW)
    assert not World(ended=NOW).had(NOW)
    assert SECOND.had(NOW - 4)
    assert not SECOND.had(NOW - 8)


def test_trees() -> None:
    first = Directory({
        "a": Directory({"same": file(b"same"), "gone": file(b"")}),
        "executable": file(b"x", executable=True),
        "kind": file(b""),
        "link": Link("one"),
        "long": file(b"one more"),
        "same": Link("same"),
        "text": file(b"one\ntwo\n"),
    })  # fmt: skip
    second = Directory({
        "a": Directory({"same": file(b"same"), "new": Directory()}),
        "executable": file(b"x"),
        "kind": Link(""),
        "link": Link("two"),
        "long": file(b"one "),
        "same": Link("same"),
        "text": file(b"one\ntwi\n"),
    })  # fmt: skip
    size = "a size: one side ends where the other goes on"
    assert differences.compare(first, second, WORLDS) == [
        Difference("a/gone", "only in the first", "a file", "nothing"),
        Difference("a/new", "only in the second", "nothing", "a directory"),
        Difference("executable", "mode", "executable", "not executable"),
        Difference("kind", "kind", "a file", "a link"),
        Difference("link", "link", "one", "two"),
        Difference(
            "long", "content", "8 bytes", "4 bytes",
            (Piece("", "bytes", 4, 4, 1, (8, 4), b"more", b"", b"one ", (size,)),),
        ),
        Difference(
            "text", "content", "8 bytes", "8 bytes",
            (Piece("", "bytes", 6, 6, 2, (8, 8), b"o\n", b"i\n", b"one\ntw"),),
        ),
    ]  # fmt: skip
    assert differences.compare(first, first, WORLDS) == []
    assert differences.compare(Link("a"), Link("b"), WORLDS) == [Difference("", "link", "a", "b")]


def test_a_difference_far_inside() -> None:
    first = bytes(300_000)
    second = first[:200_001] + b"\1" + first[200_002:]
    [piece] = found(first, second)
    assert (piece.place, piece.line) == (200_001, None)
    [piece] = found(bytes(65536), bytes(65536) + b"more")
    assert (piece.place, piece.first, piece.second) == (65536, b"", b"more")


def test_more_than_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "LARGEST", 4)
    [one] = differences.compare(file(b"123456"), file(b"12345x"), WORLDS)
    assert one.pieces == (Piece("", "the files differ beyond their first 4 bytes"),)


def make_elf(sections: dict[str, bytes], *, wide: bool = True, order: str = "<") -> bytes:
    """Make an ELF file of these sections, each behind a gap of two bytes."""
    names = b"\0" + b"".join(f"{name}\0".encode() for name in [*sections, ".shstrtab"])
    header_size, entry = (64, "IIQQQQIIQQ") if wide else (52, "IIIIIIIIII")
    body, rows = b"", [struct.pack(order + entry, *[0] * 10)]
    for name, data in {**sections, ".shstrtab": names}.items():
        body += b"\xaa\xaa"
        at = names.index(f"\0{name}\0".encode()) + 1
        rows.append(struct.pack(order + entry, at, 1, 0, 0, header_size + len(body), len(data), 0, 0, 1, 0))
        body += data
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    word = "Q" if wide else "I"
    rest = struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(3, 62, 1, 0, 0, header_size + len(body), 0, header_size, 0, 0),
        *(struct.calcsize(order + entry), len(rows), len(rows) - 1),
    )
    return ident + rest + body + b"".join(rows)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_section_of_an_elf_file_that_differs(wide: bool, order: str) -> None:
    first = make_elf({".text": b"code", ".rodata": b"at 0x7f0a11223344"}, wide=wide, order=order)
    second = make_elf({".text": b"code", ".rodata": b"at 0x7f0b11223344"}, wide=wide, order=order)
    [piece] = found(first, second)
    assert (piece.name, piece.place, piece.in_file) == (".rodata", 8, first.index(b"11223344") - 1)
    assert piece.causes == ("an id: an address in memory, which is random in each process",)

    gap = first.index(b"code") - 1
    [piece] = found(first, first[:gap] + b"\0" + first[gap + 1 :])
    assert (piece.name, piece.place, piece.in_file) == ("between sections", 1, gap)
    more = make_elf({".text": b"code", ".note": b"n"}, wide=wide, order=order)
    assert {(one.name, one.what) for one in found(first, more)} >= {
        (".rodata", "only in the first"),
        (".note", "only in the second"),
    }


def test_sections_in_another_order() -> None:
    sides = [make_elf(dict.fromkeys(names, b"data")) for names in ((".a", ".b"), (".b", ".a"))]
    assert Piece("", "order", causes=("an order: the same members or sections in another order",)) in found(
        *sides
    )


def test_a_damaged_elf_file_is_bytes() -> None:
    whole = make_elf({".text": b"code"})
    assert elf.spans(whole) is not None
    assert elf.spans(b"no") is None
    for end in range(4, len(whole)):
        assert elf.spans(whole[:end]) is None
    for at in range(4, 64):
        elf.spans(whole[:at] + b"\xff" + whole[at + 1 :])
    [piece] = found(whole[:-1], whole[:-2] + b"\1")
    assert piece.name == ""


def test_a_library_from_a_compiler(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    made = []
    for name, moment in (("one", "Jan  5 2027"), ("two", "Jan 15 2027")):
        source = tmp_path / "a.c"
        source.write_text(f'const char *built(void) {{ return "built {moment}"; }}\n')
        out = tmp_path / f"{name}.so"
        subprocess.run([compiler, "-shared", "-o", out, "-Wl,--build-id=none", source], check=True)
        made.append(files.read_tree(out))
    [one] = differences.compare(made[0], made[1], WORLDS)
    [piece] = [piece for piece in one.pieces if piece.name == ".rodata"]
    assert piece.causes == ("a date or time: Jan  5 2027 and Jan 15 2027",)


def make_ar(*members: tuple[str, int, bytes], long: bytes = b"") -> bytes:
    rows = [("//", 0, long), *members] if long else list(members)
    data = b"!<arch>\n"
    for name, when, body in rows:
        data += f"{name:<16}{when:<12}{0:<6}{0:<6}{644:<8}{len(body):<10}`\n".encode() + body
        data += b"\n" * (len(body) % 2)
    return data


def test_the_member_of_an_archive_that_differs() -> None:
    first = make_ar(
        ("/", 0, b"index"), ("a.o/", 0, b"same"), ("/0", 1, b"one"), long=b"a-name-that-is-long.o/\n"
    )
    second = make_ar(
        ("/", 0, b"index"), ("a.o/", 0, b"same"), ("/0", 2, b"two"), long=b"a-name-that-is-long.o/\n"
    )
    assert [(one.name, one.place, one.in_file) for one in found(first, second)] == [
        ("header of a-name-that-is-long.o", 16, first.index(b"/0 ") + 16),
        ("a-name-that-is-long.o", 0, first.index(b"one")),
    ]
    assert [one.name for one in parts.split(first) or []][2:4] == ["header of symbol table", "symbol table"]
    swapped = make_ar(("b.o/", 0, b"b"), ("a.o/", 0, b"a"))
    [piece] = found(make_ar(("a.o/", 0, b"a"), ("b.o/", 0, b"b")), swapped)
    assert piece.what == "order"
    twice = [make_ar(("a.o/", 0, b"a"), ("a.o/", 0, last)) for last in (b"b", b"c")]
    assert [one.name for one in found(*twice)] == ["a.o"]
    assert parts.split(first[:-2]) is None
    assert parts.split(b"!<arch>\nnot a header") is None


def make_zip(when: int, data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a", (2020, 1, 1, 0, 0, when)), "same")
        archive.writestr(zipfile.ZipInfo("b"), data)
    return made.getvalue()


def test_the_member_of_a_zip_file_that_differs() -> None:
    assert [one.name for one in found(make_zip(0, b"x"), make_zip(2, b"x"))] == ["header of a"]
    assert [one.causes for one in found(make_zip(0, b"x"), make_zip(2, b"x"))] == [
        ("a date or time: 2020-01-01 00:00:00 and 2020-01-01 00:00:02",)
    ]
    nested = [make_zip(0, make_zip(0, data)) for data in (b"pid 1", b"pid 2")]
    assert [(one.name, one.in_file) for one in found(*nested)] == [("b: b", None)]
    assert parts.split(make_zip(0, b"x")[:-4]) is None


def make_tar(when: int, data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.size, info.mtime = len(data), when
        archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        archive.addfile(link)
    return made.getvalue()


def test_the_member_of_a_tar_file_that_differs() -> None:
    first, second = make_tar(int(NOW) - 2000, b"1"), make_tar(int(NOW) - 2, b"2")
    assert [one.name for one in found(first, second)] == ["header of a", "a"]
    packed = [gzip.compress(one, mtime=0) for one in (first, second)]
    assert [one.name for one in found(*packed)] == ["unpacked: header of a", "unpacked: a"]
    times = [gzip.compress(first, mtime=int(NOW) - one) for one in (2000, 2)]
    [piece] = found(*times)
    assert (piece.name, piece.in_file) == ("gzip header", 4)
    assert piece.causes[0].startswith("a time: four bytes")
    assert parts.split(packed[0][:-9]) is None
    assert parts.split(first[:300]) is None or found(first[:300], first[:301])


def test_what_unpacks_to_too_much_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGEST", 100)
    assert parts.split(gzip.compress(bytes(101))) is None
    assert parts.split(make_zip(0, bytes(200))) is None
    assert parts.split(gzip.compress(bytes(100))) is not None


NAME, ZEROS = f"{'0' * 32}-made", "0" * 64
STATEMENT = {
    "subject": [
        {"name": NAME, "digest": {"sha256": ZEROS}},
        *({"name": f"{NAME}/{path}", "digest": {"sha256": ZEROS}} for path in ("a", "b")),
    ]
}
ENVELOPE = {"payload": base64.b64encode(json.dumps(STATEMENT).encode()).decode(), "signatures": []}
SRI = f"sha256-{'A' * 43}="


@pytest.mark.parametrize(
    "text", [SRI, f"{SRI}\n", ZEROS, f"sha256:{ZEROS}", json.dumps(STATEMENT), json.dumps(ENVELOPE)]
)
def test_what_is_published(text: str) -> None:
    said = published.read(text.encode(), "there", NAME)
    assert said.nar_hash == SRI
    assert said.files == ({"a": ZEROS, "b": ZEROS} if "{" in text else {})
    published.compare(said, NAME, SRI, {})


@pytest.mark.parametrize(
    "text",
    [
        *("", "sha256-", "[]", "{}", "null", "[" * 100_000, "\xff", '{"payload": 1}', '{"payload": "é"}'),
        *('{"payload": "AAAA"}', '{"subject": []}', '{"subject": [{"name": "a"}]}', '{"subject": {"a": 1}}'),
        '{"subject": [{"name": "a", "digest": {"sha256": "short"}}]}',
        '{"subject": [{"name": ["a"], "digest": {"sha256": 1}}]}',
        '{"subject": [{"name": 1, "digest": {"sha256": 1}}]}',
    ],
)
def test_what_is_no_publication(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        published.read(text.encode("latin-1"), "there", NAME)
    assert raised.value.message == (
        "`there` is no hash and no provenance\n"
        "  expected  a hash, an in-toto statement, or a DSSE envelope with one"
    )


def test_what_is_published_and_differs() -> None:
    other = f"{'1' * 32}-made"
    said = published.read(json.dumps(STATEMENT).replace(NAME, other).encode(), "there", NAME)
    with pytest.raises(VerifyError) as raised:
        published.compare(said, NAME, "sha256-other", {"b": "1", **{str(at): "1" for at in range(8)}})
    assert raised.value.message.splitlines() == [
        f"store path `{NAME}` is not what is published",
        f"  published  {SRI}",
        "  here       sha256-other",
        f"  of         {other}",
        "  so it was made of other inputs",
        *(f"  {at}: only here" for at in range(8)),
        "  and 2 more files",
    ]


def test_what_is_told() -> None:
    name = NAME
    pieces = (*found(b"a\x00" + b"pid 17", b"a\x00" + b"pid 23"), Piece(".note", "only in the first"))
    changed = (
        Difference("bin/run", "mode", "executable", "not executable"),
        Difference("lib/a.so", "content", "8 bytes", "8 bytes", pieces),
        *(Difference(f"share/{at}", "link", "a", "b") for at in range(8)),
    )
    one = Outcome(name, "build", "sha256-one", "sha256-two", 1.25, changed, "/kept")
    same = Outcome(name, "build", "sha256-one", "sha256-one", 2.0)
    hashed = Outcome(name, "source", "sha256-one", "sha256-one")
    assert [each.line() for each in (one, same, hashed)] == [
        f"differs  {name}  sha256-one  sha256-two  1.2 s",
        f"same     {name}  sha256-one  2.0 s",
        f"same     {name}  sha256-one",
    ]
    assert summary([hashed, same, one]) == (
        "1 of 2 builds gave the same bytes again; 1 inputs from outside have their hashes"
    )
    assert error([hashed, same]) is None
    raised = error([hashed, one])
    assert raised is not None
    assert raised.message.splitlines() == [
        f"store path `{name}` came out different when it was built again",
        "  expected  sha256-one",
        "  actual    sha256-two",
        "  bin/run: mode: executable, then not executable",
        "  lib/a.so: other bytes (8 bytes)",
        "    from byte 6",
        "      first   61 00 70 69 64 20 | 31 37  a.pid 17",
        "      second  61 00 70 69 64 20 | 32 33  a.pid 23",
        "      likely  a number, such as a process id, a counter or a size: 17 and 23",
        "    .note: only in the first",
        *(f"  share/{at}: link: a, then b" for at in range(6)),
        "  and 2 more paths",
        "  kept      /kept",
    ]
    assert raised.hint == "`less /kept/report.txt` has all of it; `first` and `second` lie beside it"
    assert len(list(text(one))) == len(raised.message.splitlines()) + 1
    assert one.document()["differences"][1]["pieces"][0] == {
        "name": "", "what": "bytes", "offset": 6, "offset_in_file": 6, "line": None, "sizes": [8, 8],
        "before": "610070696420", "first": "3137", "second": "3233",
        "causes": ["a number, such as a process id, a counter or a size: 17 and 23"],
    }  # fmt: skip


def test_text_around_a_place() -> None:
    assert causes._text(b"\0one two\0three", 4) == "one two"
    assert causes._text(b"\0\0", 1) == ""


def test_a_published_hash_alone_that_differs() -> None:
    with pytest.raises(VerifyError) as raised:
        published.compare(published.read(ZEROS.encode(), "there", NAME), NAME, "sha256-other", {"a": "1"})
    assert raised.value.message.splitlines()[1:] == [f"  published  {SRI}", "  here       sha256-other"]
    assert str(raised.value.hint).startswith("a hash does not tell what differs")


def test_another_world() -> None:
    usual = {
        "PATH": "/bin",
        "LANG": "C",
        "LC_TIME": "C",
        "PYTHONPATH": "x",
        "RECIPES_STORE": "y",
        "TZ": "UTC",
    }
    changed = world.environment(usual, "/home/there", ["/a", "/b"])
    assert changed == {
        "PATH": "/bin", "HOME": "/home/there", "TMPDIR": "/home/there", "PYTHONPATH": "/a:/b",
        "USER": "someone-else", "LOGNAME": "someone-else", "TZ": "Pacific/Chatham", "LC_ALL": "tr_TR.UTF-8",
    }  # fmt: skip
    again = world.environment(changed, "/home/there", [])
    assert (again["TZ"], again["LC_ALL"]) == ("America/St_Johns", "de_DE.ISO-8859-1")
    assert world.processors((2, 0, 1)) == ((0, 1), 2)
    assert world.processors((3,)) == ((3,), 2)
    assert world.someone()[0] == "unshare"


@pytest.mark.parametrize(
    ("isolation", "usual", "prefix", "expected"),
    [
        ("unshare", "bubblewrap", ("x",), "in unshare; another user and host name; 1 processor, 2 jobs"),
        ("unshare", "unshare", (), "in unshare, as no other sandbox works; the same user and host name"),
        ("none", "none", (), "without a sandbox; the same user and host name"),
    ],
)
def test_how_a_world_is_told(isolation: str, usual: str, prefix: tuple[str, ...], expected: str) -> None:
    made = Another(prefix, isolation, {"TZ": "Z", "LC_ALL": "L"}, (0,), 2)
    assert made.told(usual).startswith(f"building again {expected}")


DIFFOSCOPE = """\
#!/bin/sh
[ "$*" = "--text diffoscope.txt --html diffoscope.html first second" ] || exit 9
echo "it is installed" > diffoscope.txt
exit {code}
"""


@pytest.mark.parametrize(
    ("code", "said"), [(1, ""), (2, "warning: diffoscope failed: exit code 2\n"), (None, "not installed")]
)
def test_outputs_are_kept_with_the_report_of_diffoscope(
    code: int | None, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "bin"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        (tmp_path / name / "file").write_text(name)
    if code is not None:
        (tmp_path / "bin/diffoscope").write_text(DIFFOSCOPE.format(code=code))
        (tmp_path / "bin/diffoscope").chmod(0o755)
    kept = keep.Kept(tmp_path / "kept", {"PATH": str(tmp_path / "bin")}, Report())
    changed = tuple(
        differences.compare(files.read_tree(tmp_path / "one"), files.read_tree(tmp_path / "two"), WORLDS)
    )
    outcome = Outcome(NAME, "build", "sha256-one", "sha256-two", 1.0, changed)
    for _ in range(2):  # the second takes the place of the first
        place = kept.keep(outcome, tmp_path / "one", tmp_path / "two", tmp_path / "no-log")
    assert place == tmp_path / "kept" / NAME
    assert [one.name for one in place.parent.iterdir()] == [NAME]
    wanted = ["first", "report.txt", "second"] + (["diffoscope.txt"] if code is not None else [])
    assert sorted(one.name for one in place.iterdir()) == sorted(wanted)
    assert (place / "second/file").read_text() == "two"
    assert said in capfd.readouterr().err


def test_what_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    os.mkfifo(tmp_path / "one/fifo")
    kept = keep.Kept(tmp_path / "kept", {}, Report())
    with pytest.raises(IntegrityError):
        kept.keep(Outcome(NAME, "build", "a", "a"), tmp_path / "one", tmp_path / "one", tmp_path / "log")
    assert list((tmp_path / "kept").iterdir()) == []
