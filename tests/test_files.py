from __future__ import annotations

import errno
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import files, hashes, tree, treewriter
from recipes.errors import IntegrityError
from recipes.tree import Entry, Filter
from recipes.treewriter import TreeWriter


def file(path: str, data: bytes = b"x", *, executable: bool = False) -> Entry:
    return Entry(path, "file", size=len(data), executable=executable, chunks=[data])


def link(path: str, target: str) -> Entry:
    return Entry(path, "symlink", target=target)


def writer(root: Path, filter_: Filter | None = None) -> TreeWriter:
    return TreeWriter(root, filter_ or Filter(), "x.tar")


def listing(root: Path) -> dict[str, tuple[str, int, int]]:
    """Each path's kind, mode and time."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        info = path.lstat()
        kind = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}[stat.S_IFMT(info.st_mode)]
        mode = 0 if kind == "link" else stat.S_IMODE(info.st_mode)
        found[path.relative_to(root).as_posix()] = (kind, mode, int(info.st_mtime))
    return found


WRITTEN = {
    ".": ("dir", 0o755, 1),
    "a": ("dir", 0o755, 1),
    "a/b": ("dir", 0o755, 1),
    "a/b/run": ("file", 0o755, 1),
    "a/text": ("file", 0o644, 1),
    "link": ("link", 0, 1),
}


def write_some(root: Path) -> None:
    some = writer(root)
    for entry in (file("a/text", b"text"), file("a/b/run", b"run", executable=True), link("link", "a/b")):
        assert some.take(entry)
    some.close()
    assert some.count == 3


@pytest.fixture(params=[0o022, 0o077, 0o000])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_what_is_written_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    write_some(tmp_path / "deep" / "tree")
    assert listing(tmp_path / "deep" / "tree") == WRITTEN
    assert (tmp_path / "deep/tree/a/text").read_bytes() == b"text"
    assert (tmp_path / "deep/tree/link").readlink() == Path("a/b")


def test_only_what_the_filter_takes_is_written_and_read(tmp_path: Path) -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError("read")
        yield b""

    some = writer(tmp_path / "tree", Filter(include=("src/**",), strip="top", modes="plain"))
    assert not some.take(Entry("top/doc/a", "file", size=1, chunks=never()))
    assert not some.take(Entry("top/src/.git/config", "file", size=1, chunks=never()))
    assert not some.take(Entry("other", "symlink", target="/"))
    assert some.take(file("top/src/run", executable=True))
    some.close()
    assert some.count == 1
    assert listing(tmp_path / "tree") == {
        ".": ("dir", 0o755, 1),
        "src": ("dir", 0o755, 1),
        "src/run": ("file", 0o644, 1),
    }


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "top/..", ".git/../../x"])
def test_names_are_checked_even_when_they_are_not_taken(tmp_path: Path, path: str) -> None:
    some = writer(tmp_path / "tree", Filter(include=("nothing",)))
    with pytest.raises(IntegrityError, match=r"^x\.tar has a member with a name that is not allowed"):
        some.take(file(path))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (file("a"), file("a"), "x.tar has two members for one place\n  place  'a'"),
        (link("a", "b"), file("a"), "x.tar has two members for one place\n  place  'a'"),
        (file("a"), link("a", "b"), "x.tar has two members for one place\n  place  'a'"),
        (file("a/b"), file("a"), "x.tar has two members for one place\n  place  'a'"),
        (file("a/b"), link("a", "."), "x.tar has two members for one place\n  place  'a'"),
        (file("a"), file("a/b"), "x.tar has a member below a file or a symbolic link\n  place  'a'"),
        (link("a", "."), file("a/b"), "x.tar has a member below a file or a symbolic link\n  place  'a'"),
        (
            link("a", "/tmp"),
            file("a/b/c"),
            "x.tar has a member below a file or a symbolic link\n  place  'a'",
        ),
        (link("a", "gone"), file("a/b"), "x.tar has a member below a file or a symbolic link\n  place  'a'"),
    ],
)
def test_one_place_is_written_once(tmp_path: Path, first: Entry, second: Entry, message: str) -> None:
    some = writer(tmp_path / "tree")
    some.take(first)
    with pytest.raises(IntegrityError) as caught:
        some.take(second)
    assert caught.value.message == message


def test_nothing_is_written_through_a_link_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").symlink_to(tmp_path / "outside")
    (tmp_path / "tree/b").symlink_to(tmp_path / "outside/b")
    some = writer(tmp_path / "tree")
    with pytest.raises(IntegrityError, match="below a file or a symbolic link"):
        some.take(file("a/c"))
    with pytest.raises(IntegrityError, match="two members for one place"):
        some.take(file("b"))
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("size", [0, 2, 4])
def test_a_file_that_is_not_of_its_size(tmp_path: Path, size: int) -> None:
    with pytest.raises(IntegrityError) as caught:
        writer(tmp_path / "tree").take(Entry("a", "file", size=size, chunks=[b"12", b"3"]))
    assert caught.value.message == (
        "x.tar has a file that is not of its size\n  name      'a'\n"
        f"  expected  {size} bytes\n  actual    3 bytes"
    )


@pytest.mark.parametrize("target", ["", "a\0b"])
def test_a_link_that_cannot_be(tmp_path: Path, target: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        writer(tmp_path / "tree").take(link("a", target))
    assert caught.value.message == (
        f"x.tar has a symbolic link that cannot be\n  link    'a'\n  target  {target!r}"
    )


def test_names_that_are_not_utf8_and_differ_only_in_case(tmp_path: Path) -> None:
    some = writer(tmp_path / "tree")
    for name in ("\udcff", "A", "a", "\n"):
        some.take(file(name))
    some.take(link("l", "\udcfe"))
    with os.scandir(os.fsencode(tmp_path / "tree")) as found:
        assert sorted(one.name for one in found) == [b"\n", b"A", b"a", b"l", b"\xff"]
    assert os.fsencode((tmp_path / "tree/l").readlink()) == b"\xfe"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's locales")
def test_the_locale_does_not_matter(tmp_path: Path) -> None:
    some = writer(tmp_path / "tree")
    some.take(file("é\udcff"))
    code = (
        "import sys; from pathlib import Path; from recipes import files; "
        "sys.stdout.write(sys.getfilesystemencoding() + ' ' + files.tree_hash(Path(sys.argv[1]))[0])"
    )
    expected = files.tree_hash(tmp_path / "tree")[0]
    for encoding, env in (
        ("utf-8", {"PYTHONUTF8": "1"}),
        ("ascii", {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "tree")],
            env={
                "LC_ALL": "POSIX",
                "PYTHONPATH": os.pathsep.join([str(Path(files.__file__).parents[1]), *sys.path]),
                **env,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout == f"{encoding} {expected}"


def test_read_tree(tmp_path: Path) -> None:
    write_some(tmp_path / "tree")
    (tmp_path / "tree/empty").mkdir()
    found = files.read_tree(tmp_path / "tree")
    assert isinstance(found, hashes.Directory)
    assert sorted(found.children) == ["a", "empty", "link"]
    assert found.children["empty"] == hashes.Directory()
    assert found.children["link"] == hashes.Link("a/b")
    inner = found.children["a"]
    assert isinstance(inner, hashes.Directory)
    text = inner.children["text"]
    assert isinstance(text, hashes.File)
    assert (text.size, text.executable) == (4, False)
    assert [b"".join(text.chunks) for _ in range(2)] == [b"text", b"text"]


@pytest.mark.parametrize("mode", [0o100, 0o755, 0o010, 0o644])
def test_only_the_owners_executable_bit_counts(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "a").chmod(mode)
    found = files.read_tree(tmp_path / "a")
    assert isinstance(found, hashes.File)
    assert found.executable == bool(mode & 0o100)


def test_a_tree_may_be_a_file_or_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello\n")
    (tmp_path / "b").symlink_to("nowhere/at all")
    assert files.tree_hash(tmp_path / "a") == ("sha256-HDfQGvQL4ugGkd48w99EN3ppmvuxfGjwgJZLL9Bx/BM=", 120)
    assert files.tree_hash(tmp_path / "b") == ("sha256-uIVrg1F1NX5XLc8BrSXw/hYsQwlDDhWOcXn9c73hNNU=", 128)


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    data = os.urandom(files.PIECE) * 2 + b"end"
    (tmp_path / "a").write_bytes(data)
    found = files.read_tree(tmp_path / "a")
    assert isinstance(found, hashes.File)
    assert [len(chunk) for chunk in found.chunks] == [files.PIECE, files.PIECE, 3]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = os.open(path.parent, os.O_RDONLY)  # a socket's path has at most 108 bytes
        one.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket])
def test_other_kinds_are_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    (tmp_path / "tree").mkdir()
    make(tmp_path / "tree/a")
    message = f"`{tmp_path}/tree/a` is neither a file, a directory nor a symbolic link"
    for refusing in (
        files.read_tree,
        files.tree_hash,
        lambda root: treewriter.copy_tree(root, tmp_path / "copy"),
    ):
        with pytest.raises(IntegrityError) as caught:
            refusing(tmp_path / "tree")
        assert caught.value.message == message
    assert not (tmp_path / "copy").exists()
    files.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    found = files.read_tree(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"123")
    with pytest.raises(IntegrityError) as caught:
        hashes.nar_hash(found)
    assert caught.value.message == (
        f"`{tmp_path}/a` changed while it was read\n  expected  5 bytes\n  actual    3 bytes"
    )


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"54321")
    found = files.read_tree(tmp_path / "a")
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to("b")
    with pytest.raises(OSError, match="symbolic link"):
        hashes.nar_hash(found)


def test_how_deep_a_tree_may_be(tmp_path: Path) -> None:
    some = writer(tmp_path / "tree")
    some.take(file("/".join(["d"] * tree.DEEPEST)))
    assert files.tree_hash(tmp_path / "tree")[0].startswith("sha256-")
    deepest = tmp_path / "tree" / "/".join(["d"] * tree.DEEPEST)
    deepest.unlink()
    deepest.mkdir()
    (deepest / "d").mkdir()
    with pytest.raises(IntegrityError, match=r"/d` is too deep: a tree has at most 128 levels$"):
        files.read_tree(tmp_path / "tree")
    files.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_what_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_tree(tmp_path / "none")


def test_read_only_and_removed(tmp_path: Path) -> None:
    write_some(tmp_path / "tree")
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    outside.chmod(0o640)
    (tmp_path / "tree/a/out").symlink_to(outside)
    before = files.tree_hash(tmp_path / "tree")
    files.make_read_only(tmp_path / "tree")
    assert {path: mode for path, (_, mode, _) in listing(tmp_path / "tree").items()} == {
        ".": 0o555,
        "a": 0o555,
        "a/b": 0o555,
        "a/b/run": 0o555,
        "a/out": 0,
        "a/text": 0o444,
        "link": 0,
    }
    assert stat.S_IMODE(outside.stat().st_mode) == 0o640
    assert files.tree_hash(tmp_path / "tree") == before
    (tmp_path / "tree/a").chmod(0)
    files.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert outside.exists()


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    write_some(tmp_path / "tree")
    (tmp_path / "link").symlink_to("tree")
    files.remove(tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert listing(tmp_path / "tree") == WRITTEN


def test_remove_takes_a_file_a_dangling_link_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link", "none"):
        files.remove(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_several_remove_one_tree(tmp_path: Path) -> None:
    some = writer(tmp_path / "tree")
    for number in range(300):
        some.take(file(f"{number % 7}/{number}"))
    errors: list[BaseException] = []

    def remove() -> None:
        try:
            files.remove(tmp_path / "tree")
        except BaseException as error:  # noqa: BLE001 - a thread's errors are asserted on below
            errors.append(error)

    threads = [threading.Thread(target=remove) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not (tmp_path / "tree").exists()


@pytest.mark.usefixtures("_umask")
def test_a_copy_is_writable_and_the_same(tmp_path: Path) -> None:
    write_some(tmp_path / "tree")
    files.make_read_only(tmp_path / "tree")
    treewriter.copy_tree(tmp_path / "tree", tmp_path / "new" / "copy")
    assert listing(tmp_path / "new" / "copy") == WRITTEN
    assert files.tree_hash(tmp_path / "new" / "copy") == files.tree_hash(tmp_path / "tree")
    files.remove(tmp_path / "tree")  # pytest cannot, unless it is root


def test_copies_merge(tmp_path: Path) -> None:
    write_some(tmp_path / "one")
    some = writer(tmp_path / "two")
    some.take(file("a/b/more"))
    treewriter.copy_tree(tmp_path / "one", tmp_path / "copy")
    treewriter.copy_tree(tmp_path / "two", tmp_path / "copy")
    assert listing(tmp_path / "copy") == WRITTEN | {"a/b/more": ("file", 0o644, 1)}


@pytest.mark.parametrize(
    "there", [file("a/b/run"), file("a/text/below"), link("a", "/"), link("link", "gone")]
)
def test_copies_do_not_overwrite(tmp_path: Path, there: Entry) -> None:
    write_some(tmp_path / "one")
    writer(tmp_path / "copy").take(there)
    before = files.tree_hash(tmp_path / "copy" / there.path)
    message = (
        f"^`{tmp_path}/copy/[a-z/]+` is there already and would be overwritten\n"
        f"  source  {tmp_path}/one/[a-z/]+$"
    )
    with pytest.raises(IntegrityError, match=message):
        treewriter.copy_tree(tmp_path / "one", tmp_path / "copy")
    assert files.tree_hash(tmp_path / "copy" / there.path) == before


def test_a_file_and_a_link_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 5_000_000)
    (tmp_path / "b").symlink_to("a")
    for name in ("a", "b"):
        treewriter.copy_tree(tmp_path / name, tmp_path / "copy" / name)
    assert (tmp_path / "copy/a").read_bytes() == b"a" * 5_000_000
    assert (tmp_path / "copy/b").readlink() == Path("a")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL])
def test_a_copy_where_the_kernel_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = os.copy_file_range

    def once(reader: int, writer: int, size: int) -> int:
        if os.lseek(reader, 0, os.SEEK_CUR):
            raise OSError(number, "not here")
        return real(reader, writer, min(size, 3))

    monkeypatch.setattr(os, "copy_file_range", once)
    (tmp_path / "a").write_bytes(b"0123456789")
    treewriter.copy_tree(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"0123456789"


def test_a_full_disk_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full)
    (tmp_path / "a").write_bytes(b"0123456789")
    with pytest.raises(OSError, match="No space left"):
        treewriter.copy_tree(tmp_path / "a", tmp_path / "b")


@pytest.mark.usefixtures("_umask")
def test_write_atomic(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "a", b"old")
    files.write_atomic(tmp_path / "a", b"new", 0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    files.write_atomic(tmp_path / "b", b"")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o644
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a", tmp_path / "b"]


def test_write_atomic_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=re.escape("Is a directory")):
        files.write_atomic(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
