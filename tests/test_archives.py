from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import re
import stat
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import archives, files, members, tarfiles, zipfiles
from recipes.archives import Want
from recipes.errors import IntegrityError, SpecError, ToolchainError
from recipes.members import Limits
from recipes.tree import Filter
from recipes.treewriter import TreeWriter

Member = tuple[str, str, str | bytes]  # name, kind, content or target

SAMPLE: tuple[Member, ...] = (
    ("top/", "dir", b""),
    ("top/a", "file", b"a" * 3000),
    ("top/run", "program", b"#!/bin/sh\n"),
    ("top/empty", "file", b""),
    ("top/sub/link", "link", "../a"),
    ("top/é", "file", b"e"),
    ("top/" + "long/" * 60 + "name", "file", b"long"),
    ("top/to", "link", "long/" * 60 + "name"),
)
SAMPLE_ENTRIES = [
    ("top/a", "file", False, b"a" * 3000),
    ("top/run", "file", True, b"#!/bin/sh\n"),
    ("top/empty", "file", False, b""),
    ("top/sub/link", "symlink", False, "../a"),
    ("top/é", "file", False, b"e"),
    ("top/" + "long/" * 60 + "name", "file", False, b"long"),
    ("top/to", "symlink", False, "long/" * 60 + "name"),
]
_TYPES = {
    "file": tarfile.REGTYPE,
    "program": tarfile.REGTYPE,
    "old": tarfile.AREGTYPE,
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "label": b"V",
}


def tar(some: Sequence[Member], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for name, kind, content in some:
            info = tarfile.TarInfo(name)
            info.type = _TYPES[kind]
            info.mode = 0o755 if kind == "program" else 0o644
            if isinstance(content, str):
                info.linkname = content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def zipped(some: Sequence[Member], *, system: int = 3, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    kinds = {"link": stat.S_IFLNK, "dir": stat.S_IFDIR, "fifo": stat.S_IFIFO, "bare": 0}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, kind, content in some:
            info = zipfile.ZipInfo(name)
            info.create_system = system
            mode = kinds.get(kind, stat.S_IFREG) | (0o755 if kind == "program" else 0o644)
            info.external_attr = (0 if kind == "bare" else mode) << 16
            info.compress_type = method
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # duplicate names are the point of a test
                archive.writestr(info, content)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    library = pytest.importorskip("zstandard", reason="needs zstandard")
    compressed: bytes = library.ZstdCompressor(write_checksum=True).compress(data)
    return compressed


PACK: dict[str, Callable[[Sequence[Member]], bytes]] = {
    "x.tar": tar,
    "x.TAR": functools.partial(tar, form=tarfile.GNU_FORMAT),
    "x.tar.gz": lambda some: gzip.compress(tar(some)),
    "x.tgz": lambda some: gzip.compress(tar(some)[:1000]) + gzip.compress(tar(some)[1000:]),
    "x.tar.bz2": lambda some: bz2.compress(tar(some)),
    "x.tar.xz": lambda some: lzma.compress(tar(some)),
    "x.tar.zst": lambda some: zstd(tar(some)),
    "x.zip": zipped,
    "x.whl": functools.partial(zipped, method=zipfile.ZIP_STORED),
}


@pytest.fixture
def place(tmp_path: Path) -> Callable[[bytes], Path]:
    def put(data: bytes) -> Path:
        (tmp_path / "archive").write_bytes(data)
        return tmp_path / "archive"

    return put


Place = Callable[[bytes], Path]


def read(
    archive: Path, name: str, limits: Limits = archives.LIMITS
) -> list[tuple[str, str, bool, str | bytes]]:
    """Read all of an archive; a file's size is asserted on."""
    found: list[tuple[str, str, bool, str | bytes]] = []
    for entry in archives.entries(archive, name, limits=limits):
        data = b"".join(entry.chunks)
        assert len(data) == entry.size
        found.append((entry.path, entry.kind, entry.executable, entry.target or data))
    return found


def refused(archive: Path, name: str, limits: Limits = archives.LIMITS) -> str:
    with pytest.raises(IntegrityError) as caught:
        read(archive, name, limits)
    return caught.value.message


def no_tick(done: int, total: int | None) -> None:
    pass


@pytest.mark.parametrize("name", PACK)
def test_every_kind(place: Place, name: str) -> None:
    assert read(place(PACK[name](SAMPLE)), name) == SAMPLE_ENTRIES


@pytest.mark.parametrize("name", PACK)
def test_chunks_need_not_be_read(place: Place, name: str) -> None:
    archive = place(PACK[name](SAMPLE))
    assert [entry.path for entry in archives.entries(archive, name)] == [one[0] for one in SAMPLE_ENTRIES]


def test_chunks_may_be_read_in_part(place: Place) -> None:
    archive = place(tar([("a", "file", bytes(3 * files.PIECE)), ("b", "file", b"b")]))
    found = []
    for entry in archives.entries(archive, "x.tar"):
        for chunk in entry.chunks:
            found.append((entry.path, len(chunk) > 0))
            break
    assert found == [("a", True), ("b", True)]


def test_other_ways_to_write_a_name(place: Place) -> None:
    some: list[Member] = [
        ("./", "dir", b""),
        (".", "dir", b""),
        ("./a", "file", b"a"),
        ("././b", "old", b"b"),
        ("./c/", "dir", b""),
    ]
    expected = [("a", "file", False, b"a"), ("b", "file", False, b"b")]
    assert read(place(tar(some)), "x.tar") == expected
    assert read(place(zipped([one for one in some if one[0] != "."])), "x.zip") == expected


def test_names_that_are_not_utf8(place: Place) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        archive = place(tar([("a\udcff", "file", b"a"), ("b", "link", "a\udcff")], form=form))
        assert [one[0] for one in read(archive, "x.tar")] == ["a\udcff", "b"]
        assert read(archive, "x.tar")[1][3] == "a\udcff"


def test_zips_of_other_systems_have_no_modes(place: Place) -> None:
    some: list[Member] = [("run", "program", b""), ("link", "link", b"target"), ("bare", "bare", b"")]
    assert read(place(zipped(some, system=0)), "x.zip") == [
        ("run", "file", False, b""),
        ("link", "file", False, b"target"),
        ("bare", "file", False, b""),
    ]


BAD_NAMES = ["../a", "/a", "a/../b", "a//b", "", "..", "a/.", "a" * 256, "/".join("d" * 129)]


@pytest.mark.parametrize("bad", BAD_NAMES)
@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
@pytest.mark.parametrize("kind", ["file", "dir"])
def test_names_that_leave_the_tree(place: Place, name: str, bad: str, kind: str) -> None:
    if bad == "" and kind == "dir":
        bad = "/"
    message = refused(place(PACK[name]([("ok", "file", b""), (bad, kind, b"")])), name)
    assert message.startswith(f"{name} has a member with a name that is not allowed\n  name  ")


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../../a", "a/../..", ""])
@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_links_that_leave_the_tree(place: Place, name: str, target: str) -> None:
    message = refused(place(PACK[name]([("link", "link", target)])), name)
    assert message == (
        f"{name} has a symbolic link that leads out of its tree\n  link    'link'\n  target  {target!r}"
    )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("fifo", "fifo"),
        ("char", "device"),
        ("block", "device"),
        ("sparse", "sparse file"),
        ("label", "type b'V'"),
    ],
)
def test_members_of_other_kinds(place: Place, kind: str, told: str) -> None:
    assert refused(place(tar([("a", kind, b"")])), "x.tar") == (
        f"x.tar has a member of a kind that is not allowed\n  name  'a'\n  kind  {told}"
    )


def test_zip_members_of_other_kinds(place: Place) -> None:
    assert refused(place(zipped([("a", "fifo", b"")])), "x.zip") == (
        "x.zip has a member of a kind that is not allowed\n  name  'a'\n  kind  mode 10644"
    )
    data = bytearray(zipped([("a", "file", b"secret")]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert refused(place(bytes(data)), "x.zip") == (
        "x.zip has a member of a kind that is not allowed\n  name  'a'\n  kind  encrypted"
    )


def test_a_sparse_file_in_pax(place: Place) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"GNU.sparse.major": "1"}
        archive.addfile(info)
    assert refused(place(out.getvalue()), "x.tar").endswith("\n  kind  sparse file")


HARD: tuple[Member, ...] = (
    ("a", "program", b"content"),
    ("between", "file", bytes(2000)),
    ("b", "hard", "a"),
    ("c", "hard", "./b"),
    ("d", "file", b"d"),
)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_hard_links(place: Place, name: str) -> None:
    found = read(place(PACK[name](HARD)), name)
    assert [one for one in found if one[0] != "between"] == [
        ("a", "file", True, b"content"),
        ("b", "file", True, b"content"),
        ("c", "file", True, b"content"),
        ("d", "file", False, b"d"),
    ]


def test_a_hard_link_to_what_is_not_wanted(place: Place, tmp_path: Path) -> None:
    archive = place(tar([("out/a", "file", b"content"), ("in/b", "hard", "out/a")]))
    archives.unpack(archive, "x.tar", [Want("in", TreeWriter(tmp_path / "t", Filter(), "x.tar"))], no_tick)
    assert (tmp_path / "t/b").read_bytes() == b"content"


@pytest.mark.parametrize("target", ["b", "later", "dir", "link"])
def test_a_hard_link_to_nothing(place: Place, target: str) -> None:
    some: list[Member] = [
        ("dir", "dir", b""),
        ("link", "link", "x"),
        ("b", "hard", target),
        ("later", "file", b""),
    ]
    assert refused(place(tar(some)), "x.tar") == (
        f"x.tar has a hard link to what is no earlier file of it\n  link    'b'\n  target  {target!r}"
    )


def test_a_hard_link_out_of_the_tree(place: Place) -> None:
    message = refused(place(tar([("b", "hard", "../../etc/passwd")])), "x.tar")
    assert message.startswith(
        "x.tar has a member with a name that is not allowed\n  name  '../../etc/passwd'"
    )


def test_many_hard_links(place: Place) -> None:
    archive = place(tar([("a", "file", b""), *[(f"b{number}", "hard", "a") for number in range(101)]]))
    assert refused(archive, "x.tar") == "x.tar has more hard links than are read\n  limit  100"
    assert len(list(archives.entries(archive, "x.tar"))) == 102  # as long as nobody reads them


def test_limits(place: Place) -> None:
    bomb = gzip.compress(tar([("zeros", "file", bytes(50_000_000))]))
    assert len(bomb) < 60_000
    assert refused(place(bomb), "x.tar.gz", Limits(unpacked=10_000_000)) == (
        "x.tar.gz unpacks to more than is allowed\n  limit  10000000 bytes"
    )
    after_the_end = gzip.compress(tar([("a", "file", b"")]) + bytes(50_000_000))
    assert "limit  10000000 bytes" in refused(place(after_the_end), "x.tar.gz", Limits(unpacked=10_000_000))
    assert refused(place(zipped([("zeros", "file", bytes(5_000_000))])), "x.zip", Limits(unpacked=100)) == (
        "x.zip unpacks to more than is allowed\n  limit  100 bytes"
    )


@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_limits_of_members(place: Place, name: str) -> None:
    archive = place(PACK[name]([(f"d{number}", "file", b"") for number in range(5)]))
    assert len(read(archive, name, Limits(members=5))) == 5
    assert refused(archive, name, Limits(members=4)) == (
        f"{name} unpacks to more than is allowed\n  limit  4 members"
    )


def test_a_zip_that_lies_about_its_sizes(place: Place) -> None:
    data = zipped([("zeros", "file", bytes(5_000_000))])
    told = data.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 10))
    assert told != data
    assert "\n  reason  Bad CRC-32 for file 'zeros'" in refused(place(told), "x.zip")


def test_a_zip_with_a_very_long_link(place: Place) -> None:
    target = b"a" * (members.LONGEST_METADATA + 1)
    assert refused(place(zipped([("a", "link", target)])), "x.zip") == (
        "x.zip has a symbolic link of 1048577 bytes\n  name  'a'"
    )


def test_tar_metadata_that_is_very_long(place: Place) -> None:
    data = tar([("a" * (members.LONGEST_METADATA + 1), "file", b"")])
    assert re.fullmatch(
        r"x\.tar has an extended header of 10\d{5} bytes\n  limit  1048576", refused(place(data), "x.tar")
    )


def raw_header(kind: bytes, body: bytes, **fields: bytes) -> bytes:
    """Make a tar header and its data by hand."""
    info = tarfile.TarInfo("a")
    info.type, info.size = kind, len(body)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    if "size" in fields:
        block[124:136] = fields["size"]
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + body + bytes(-len(body) % 512)


END = bytes(1024)
PLAIN = raw_header(b"0", b"data")


@pytest.mark.parametrize(
    "records",
    [
        b"12 path=abcd\n",
        b"14 path=abcd\n",
        b"0 path=abcd\n",
        b"-5 path=abcd\n",
        b"x path=abcd\n",
        b" path=abcd\n",
        b"path=abcd\n",
        b"8 abcde\n",
        b"\0" * 20,
        b"9" * 5000 + b" path=abcd\n",
        b"11 size=-1\n",
        b"10 size=x\n",
        b"10 size=\xff\n",
    ],
)
def test_pax_records_that_are_wrong(place: Place, records: bytes) -> None:
    data = raw_header(tarfile.XHDTYPE, records) + PLAIN + END
    assert refused(place(data), "x.tar").startswith("x.tar is damaged, or no archive of its kind\n  reason  ")


def test_pax_records(place: Place) -> None:
    everywhere = raw_header(tarfile.XGLTYPE, b"11 mtime=1\n11 comment=\n"[:11])
    once = raw_header(tarfile.XHDTYPE, b"13 path=long\n10 size=4\n")
    data = everywhere + once + raw_header(b"0", b"data") + PLAIN + END
    assert read(place(data), "x.tar") == [("long", "file", False, b"data"), ("a", "file", False, b"data")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it ends too soon"),
        (b"no archive", "it ends too soon"),
        (b"no archive" * 100, "invalid header"),
        (PLAIN, "it ends too soon"),
        (PLAIN[:515], "it ends too soon"),
        (PLAIN + b"garbage" * 200 + END, "invalid header"),
        (raw_header(b"0", b"", size=b"\xff" * 12) + END, "a member of -1 bytes"),
        (raw_header(b"0", b"", size=b"\x80" + b"\x7f" * 11) + END, "it ends too soon"),
        (raw_header(b"0", b"", size=b"abc" + b"\0" * 9) + END, "invalid header"),
    ],
)
def test_tars_that_are_damaged(place: Place, data: bytes, reason: str) -> None:
    assert refused(place(data), "x.tar") == f"x.tar is damaged, or no archive of its kind\n  reason  {reason}"


@pytest.mark.parametrize("name", [name for name in PACK if name.lower() != "x.tar"])
def test_what_is_no_archive(place: Place, name: str) -> None:
    if name.endswith("zst"):
        pytest.importorskip("zstandard", reason="needs zstandard")
    for data in (b"<html>" * 1000, b"\0" * 2000):
        assert refused(place(data), name).startswith(
            f"{name} is damaged, or no archive of its kind\n  reason  "
        )


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst"])
def test_a_checksum_of_the_compression_is_looked_at(place: Place, name: str) -> None:
    data = bytearray(PACK[name](SAMPLE))
    where = {"x.tar.gz": -8, "x.tar.bz2": -6, "x.tar.xz": -20, "x.tar.zst": -1}[name]
    data[where] ^= 1
    assert "is damaged" in refused(place(bytes(data)), name)


@pytest.mark.parametrize("name", PACK)
def test_an_archive_cut_anywhere(place: Place, name: str) -> None:
    data = PACK[name](SAMPLE[:3])
    end = len(data.rstrip(b"\0")) if name.lower() == "x.tar" else len(data) - 8
    for length in range(0, end, max(1, end // 50)):
        assert "is damaged" in refused(place(data[:length]), name)


def test_zips_that_are_damaged(place: Place) -> None:
    data = zipped([("a", "file", b"text" * 1000), ("é", "file", b"")])
    for old, new in (
        (b"PK\x03\x04", b"PK\x03\x05"),
        (b"\xc3\xa9", b"\xc3\xff"),  # said to be UTF-8
    ):
        assert old in data
        assert "is damaged" in refused(place(data.replace(old, new)), "x.zip")


# Compressed or not, header or data: what is damaged is found or makes no difference; nothing else is raised.
FUZZED = {
    name: PACK[name](SAMPLE[:5]) for name in ("x.tar", "x.TAR", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.zip")
}


@settings(deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(FUZZED)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    cut=st.floats(0.5, 1),
)
def test_whatever_the_bytes_are(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    flips: list[tuple[float, int]],
    cut: float,
) -> None:
    data = bytearray(FUZZED[name])
    for where, flip in flips:
        data[int(where * len(data))] ^= flip
    archive = tmp_path_factory.getbasetemp() / "fuzzed"
    archive.write_bytes(data[: int(cut * len(data))])
    root = tmp_path_factory.getbasetemp() / "unpacked"
    files.remove(root)
    writer = TreeWriter(root, Filter(), name)
    try:
        archives.unpack(archive, name, [Want("", writer)], no_tick, limits=Limits(unpacked=1 << 20))
    except IntegrityError as error:
        assert name in error.message  # noqa: PT017 - either outcome is right


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=2000), st.sampled_from(["x.tar", "x.tar.gz", "x.tar.xz", "x.tar.bz2", "x.zip"]))
def test_bytes_that_never_were_an_archive(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    archive = tmp_path_factory.getbasetemp() / "random"
    archive.write_bytes(data)
    if data[:512].count(0) != 512:
        refused(archive, name)


def test_kinds_that_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        archives.entries(tmp_path / "none", "x.rar")
    assert caught.value.message == (
        "`x.rar` is no archive of a known kind\n"
        "  known  .tar .tar.gz .tgz .tar.xz .txz .tar.bz2 .tbz2 .tar.zst .zip .whl"
    )


def test_without_zstandard(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ToolchainError) as caught:
        read(place(b""), "x.tar.zst")
    assert str(caught.value) == (
        "x.tar.zst is compressed with zstd, which this Python cannot read\n\nhint: `pip install zstandard`"
    )


@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_an_archive_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", name)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip"])
def test_an_archive_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(IsADirectoryError):
        read(tmp_path / "dir", name)


NESTED: tuple[Member, ...] = (
    ("x-1/3rdparty/tvm/src/a.cc", "file", b"a"),
    ("x-1/3rdparty/tvm/src/link", "link", "../../../README"),
    ("x-1/3rdparty/tvm/3rdparty/rang/include/rang.hpp", "file", b"rang"),
    ("x-1/3rdparty/tvm/.git", "file", b"gitdir: elsewhere"),
    ("x-1/3rdparty/tvm2/b.cc", "file", b"b"),
    ("x-1/README", "program", b"readme"),
)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip"])
def test_unpack(place: Place, tmp_path: Path, name: str) -> None:
    def want(inside: str, to: str, filter_: Filter) -> Want:
        return Want(inside, TreeWriter(tmp_path / to, filter_, name))

    wants = [
        want("x-1/3rdparty/tvm", "tvm", Filter(exclude=("3rdparty/**", "**/link"))),
        want("x-1/3rdparty/tvm/3rdparty/rang", "rang", Filter(include=("include/**",))),
        want("", "all", Filter(exclude=("**/link",))),
        want("x-1", "plain", Filter(modes="plain", exclude=("**/link",))),
    ]
    ticks: list[tuple[int, int | None]] = []
    archives.unpack(place(PACK[name](NESTED)), name, wants, lambda done, total: ticks.append((done, total)))
    assert [one.writer.count for one in wants] == [1, 1, 4, 4]
    assert ticks == [(3, None), (6, None), (8, None), (10, None)]
    assert (tmp_path / "tvm/src/a.cc").read_bytes() == b"a"
    assert (tmp_path / "rang/include/rang.hpp").read_bytes() == b"rang"
    assert (tmp_path / "all/x-1/3rdparty/tvm/3rdparty/rang/include/rang.hpp").read_bytes() == b"rang"
    assert stat.S_IMODE((tmp_path / "all/x-1/README").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "plain/README").stat().st_mode) == 0o644
    assert (tmp_path / "all/x-1/3rdparty").stat().st_mtime == 1  # the writers are closed


def test_a_link_that_leaves_the_part_that_is_wanted(place: Place, tmp_path: Path) -> None:
    archive = place(tar(NESTED))
    archives.unpack(archive, "x.tar", [Want("x-1", TreeWriter(tmp_path / "a", Filter(), "x.tar"))], no_tick)
    with pytest.raises(IntegrityError) as caught:
        archives.unpack(
            archive,
            "x.tar",
            [Want("x-1/3rdparty/tvm", TreeWriter(tmp_path / "b", Filter(), "x.tar"))],
            no_tick,
        )
    assert caught.value.message == (
        "x.tar has a symbolic link that leads out of its tree\n"
        "  link    'src/link'\n  target  '../../../README'"
    )


@pytest.mark.parametrize(
    ("inside", "filter_", "shown"),
    [
        ("x-1/none", Filter(), "'x-1/none'"),
        ("x-1/README", Filter(), "'x-1/README'"),
        ("x-1/3rd", Filter(), "'x-1/3rd'"),
        ("", Filter(include=("none",)), "'.'"),
    ],
)
def test_a_want_that_takes_nothing(
    place: Place, tmp_path: Path, inside: str, filter_: Filter, shown: str
) -> None:
    writer = TreeWriter(tmp_path / "t", filter_, "x.tar")
    with pytest.raises(IntegrityError) as caught:
        archives.unpack(place(tar(NESTED)), "x.tar", [Want(inside, writer)], no_tick)
    assert caught.value.message == f"x.tar has nothing that is wanted\n  inside  {shown}"


@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_a_name_twice(place: Place, tmp_path: Path, name: str) -> None:
    archive = place(PACK[name]([("a", "file", b"one"), ("a", "file", b"two")]))
    with pytest.raises(IntegrityError, match=f"^{name} has two members for one place"):
        archives.unpack(archive, name, [Want("", TreeWriter(tmp_path / "t", Filter(), name))], no_tick)
    assert (tmp_path / "t/a").read_bytes() == b"one"


def test_a_name_below_a_link(place: Place, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    archive = place(tar([("d", "link", "e"), ("d/a", "file", b"")]))
    with pytest.raises(IntegrityError, match=r"^x\.tar has a member below a file or a symbolic link"):
        archives.unpack(archive, "x.tar", [Want("", TreeWriter(tmp_path / "t", Filter(), "x.tar"))], no_tick)


def test_the_same_files_hash_the_same_from_every_kind(place: Place, tmp_path: Path) -> None:
    found = set()
    for number, name in enumerate(one for one in PACK if not one.endswith("zst")):
        writer = TreeWriter(tmp_path / str(number), Filter(strip="top"), name)
        archives.unpack(place(PACK[name](SAMPLE)), name, [Want("", writer)], no_tick)
        found.add(files.tree_hash(writer.root))
    assert len(found) == 1


def test_the_suffixes_are_those_that_can_be_opened() -> None:
    assert {name.lower().removeprefix("x") for name in PACK} <= {*tarfiles.SUFFIXES, *zipfiles.SUFFIXES}
