from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from gitserver import Repo
from store_driver import NAME, OTHER, add, fill, flip_bit, in_mount_namespace, listed

import recipes
from recipes import hashes, storecheck, storegc, storesize
from recipes.errors import IntegrityError, StoreError
from recipes.infos import Info
from recipes.store import Store
from recipes.storecheck import Problem

HELLO = hashes.nar_hash(hashes.File(6, [b"hello\n"]))
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABSENT = f"{'2' * 32}-three"
THIRD = f"{'3' * 32}-four"
HINT = "\n\nhint: name another directory: `RECIPES_STORE=DIRECTORY recipes …`"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def driver(action: str, root: Path, *before: str) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    return subprocess.Popen(
        [*before, sys.executable, str(here / "store_driver.py"), action, str(root)],
        env={"PATH": os.defpath, "PYTHONPATH": f"{Path(recipes.__file__).parents[1]}:{here}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(action: str, root: Path, *before: str) -> str:
    process = driver(action, root, *before)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return out


def writable(path: Path) -> Path:
    for one in (path, *path.rglob("*")):
        if not one.is_symlink():
            one.chmod(0o755 if one.is_dir() else 0o644)
    return path


def test_reading_a_store_that_is_not_there_does_not_make_it(store: Store) -> None:
    assert not store.has(NAME)
    assert not store.has_archive("0" * 64)
    assert storecheck.check(store) == []
    assert storegc.gc(store) == []
    with pytest.raises(StoreError) as caught:
        store.info(NAME)
    assert str(caught.value) == f"store path `{NAME}` is not there\n  store  {store.root}"
    assert not store.root.exists()


def test_an_added_tree_is_there_and_read_only(store: Store) -> None:
    store.directory.prepare()
    store.log_path(NAME).write_text("built\n")
    add(store, OTHER)
    add(store, NAME, OTHER, OTHER)
    assert store.has(NAME)
    node = hashes.Directory(
        {
            "bin": hashes.Directory({"tool": hashes.File(10, [b"#!/bin/sh\n"], executable=True)}),
            "data": hashes.File(10, [b"x" * 10]),
            "link": hashes.Link("data"),
        }
    )
    nar_hash, nar_size = hashes.nar_hash_and_size(node)
    assert store.info(NAME) == Info(
        name=NAME, nar_hash=nar_hash, nar_size=nar_size, references=(OTHER,), kind="build", log=True
    )
    assert not store.info(OTHER).log
    modes = {
        str(one.relative_to(store.path(NAME))): one.lstat().st_mode
        for one in storesize.walk(store.path(NAME))
    }
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items() if not stat.S_ISLNK(mode)} == {
        ".": 0o555,
        "bin": 0o555,
        "bin/tool": 0o555,
        "data": 0o444,
    }
    assert (store.root / "version").read_text() == "1\n"
    assert listed(store.root / "tmp") == []
    assert storecheck.check(store) == []


def test_an_info_is_written_in_one_canonical_form(store: Store) -> None:
    with store.lock(NAME), store.scratch(NAME) as place:
        (place / "file").write_text("hello\n")
        store.add(NAME, place / "file", kind="source", origin="file \udcff of x", expected=HELLO)
    info = store.info_path(NAME).read_text()
    plain = (
        f'{{\n "kind": "source",\n "log": false,\n "name": "{NAME}",\n "nar_hash": "{HELLO}",\n'
        ' "nar_size": 120,\n "origin": "file ? of x",\n "references": []\n}\n'
    )
    assert info == plain.replace("{", f'{{\n "checksum": "{hashlib.sha256(plain.encode()).hexdigest()}",', 1)
    store.info_path(NAME).write_text(plain)  # as older versions wrote it
    assert store.info(NAME).origin == "file ? of x"
    assert store.path(NAME).read_text() == "hello\n"


def test_a_tree_without_its_expected_hash_is_not_added(store: Store) -> None:
    wrong = hashes.sri(bytes(32))
    message = f"store path `{NAME}` does not have its hash\n  expected  {wrong}\n  actual    {HELLO}"
    with store.lock(NAME), store.scratch(NAME) as place:
        (place / "file").write_text("hello\n")
        with pytest.raises(IntegrityError) as caught:
            store.add(NAME, place / "file", kind="source", expected=wrong)
        assert str(caught.value) == message
        assert not store.has(NAME)
        assert not store.path(NAME).exists()
        store.add(NAME, place / "file", kind="source", expected=HELLO)
        with pytest.raises(IntegrityError) as caught:
            store.add(NAME, place / "file", kind="source", expected=wrong)
        assert str(caught.value) == message
    assert store.has(NAME)


def test_a_valid_entry_is_left_and_a_leftover_is_replaced(store: Store) -> None:
    store.directory.prepare()
    store.path(NAME).mkdir()
    (store.path(NAME) / "half").write_text("half\n")
    (store.path(NAME)).chmod(0o555)
    assert not store.has(NAME)
    add(store, NAME)
    before = store.path(NAME).stat().st_ino, store.info(NAME)
    assert not (store.path(NAME) / "half").exists()
    add(store, NAME, size=20)
    assert (store.path(NAME).stat().st_ino, store.info(NAME)) == before


def test_a_link_and_an_empty_file_are_trees_too(store: Store) -> None:
    with store.lock(NAME), store.lock(OTHER), store.scratch("both") as place:
        (place / "link").symlink_to("nowhere")
        (place / "file").touch()
        store.add(NAME, place / "link", kind="build")
        store.add(OTHER, place / "file", kind="build")
    assert store.has(NAME)
    assert storecheck.check(store) == []
    assert [one.name for one in storegc.gc(store)] == [f"paths/{OTHER}", f"paths/{NAME}"]


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "/etc", "one", f"{'0' * 31}-one", f"{'e' * 32}-one", f"{'0' * 32}-", f"{'0' * 32}-a/b",
     f"{'0' * 32}-one\n", f"{'0' * 32}-{'x' * 191}", f"{'0' * 32}-ä"],
)  # fmt: skip
def test_no_name_leads_out_of_the_store(store: Store, name: str) -> None:
    tries: list[Callable[[], object]] = [
        lambda: store.path(name),
        lambda: store.has(name),
        lambda: store.info(name),
        lambda: store.log_path(name),
        lambda: store.lock(name).__enter__(),
        lambda: store.forget(name),
        lambda: store.verify(name),
        lambda: store.add(name, store.root, kind="build"),
        lambda: store.add(NAME, store.root, kind="build", references=[name]),
    ]
    for one in tries:
        with pytest.raises(StoreError) as caught:
            one()
        assert str(caught.value) == f"`{name}` is not the name of a store path"
    assert not store.root.exists()


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_no_digest_leads_out_of_the_store(store: Store, text: str) -> None:
    with pytest.raises(StoreError) as caught:
        store.archive(text)
    assert str(caught.value) == f"`{text}` is not a SHA-256 in hexadecimal"


@pytest.mark.parametrize("label", ["", ".", "..", "a/b", "-rf"])
def test_no_label_leads_out_of_the_store(store: Store, label: str) -> None:
    with pytest.raises(StoreError) as caught, store.scratch(label):
        pass
    assert str(caught.value) == f"`{label}` is not a name for a directory"


def test_a_scratch_is_private_and_removed_after_an_exception(store: Store) -> None:
    def fail() -> None:
        with store.scratch("probe") as place:
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            (place / "deep").mkdir()
            (place / "deep/file").touch()
            (place / "deep").chmod(0o555)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert listed(store.root / "tmp") == []


def test_another_format_is_refused(store: Store) -> None:
    store.root.mkdir()
    (store.root / "version").write_text("2\n")
    expected = f"the store is of another format\n  expected  1\n  actual    2\n  store     {store.root}{HINT}"
    tries: list[Callable[[], object]] = [
        lambda: store.has(NAME),
        lambda: store.info(NAME),
        lambda: store.lock(NAME).__enter__(),
        lambda: storecheck.check(store),
        lambda: storegc.gc(store),
    ]
    for one in tries:
        with pytest.raises(StoreError) as caught:
            one()
        assert str(caught.value) == expected
    assert listed(store.root) == ["version"]


def test_a_directory_of_something_else_is_refused(store: Store) -> None:
    store.root.mkdir()
    (store.root / "Documents").mkdir()
    with pytest.raises(StoreError) as caught, store.using():
        pass
    assert str(caught.value) == f"`{store.root}` is not a store: it has `Documents` and no `version`{HINT}"
    assert listed(store.root) == ["Documents"]


def test_a_store_that_was_killed_while_it_was_made_is_completed(store: Store) -> None:
    (store.root / "paths").mkdir(parents=True)
    (store.root / ".new-x1").touch()
    add(store, NAME)
    assert storecheck.check(store) == []


def test_verify_tells_both_hashes(store: Store) -> None:
    add(store, NAME)
    expected = store.info(NAME).nar_hash
    store.verify(NAME)
    (writable(store.path(NAME)) / "data").write_text("X" + "x" * 9)
    with pytest.raises(IntegrityError) as caught:
        store.verify(NAME)
    lines = str(caught.value).splitlines()
    assert lines[:2] == [f"store path `{NAME}` is not what was added", f"  expected  {expected}"]
    assert lines[2].startswith("  actual    sha256-")
    assert lines[3:] == [f"  path      {store.path(NAME)}", "", "hint: `recipes store repair`"]
    store.forget(NAME)
    assert not store.has(NAME)
    store.forget(NAME)
    with pytest.raises(StoreError):
        store.verify(NAME)


def flip(store: Store) -> None:
    data = store.path(NAME) / "data"
    data.chmod(0o644)
    data.write_text("y" * 10)
    data.chmod(0o444)


def rename_info(store: Store) -> None:
    info = json.loads(store.info_path(NAME).read_text())
    del info["checksum"]
    text = json.dumps(info | {"name": OTHER}, indent=1, sort_keys=True)
    store.info_path(NAME).write_text(f"{text}\n")


def lose_bin(store: Store) -> None:
    store.path(NAME).chmod(0o755)
    shutil.rmtree(writable(store.path(NAME) / "bin"))
    store.path(NAME).chmod(0o555)


DAMAGES: list[tuple[Callable[[Store], object], str, str]] = [
    (flip, NAME, "store path `{name}` is not what was added\n  expected  {hash}\n  actual    sha256-*"),
    (lose_bin, NAME, "store path `{name}` is not what was added\n  expected  {hash}\n  actual    sha256-*"),
    (lambda store: shutil.rmtree(writable(store.path(NAME))), NAME, "its path is missing\n  path  {path}"),
    (
        lambda store: (store.path(NAME) / "data").chmod(0o644),
        NAME,
        "a mode is wrong\n  expected  0444 or 0555\n  actual    0644\n  path      {path}/data",
    ),
    (
        lambda store: (store.path(NAME) / "bin").chmod(0o777),
        NAME,
        "a mode is wrong\n  expected  0555\n  actual    0777\n  path      {path}/bin",
    ),
    (
        lambda store: store.info_path(NAME).write_bytes(b"\xff{"),
        NAME,
        "the info of store path `{name}` is damaged\n  file   {info}\n  error  Invalid JSON: *",
    ),
    (
        lambda store: store.info_path(NAME).write_text(
            '{"name": 1, "nar_hash": "", "kind": "", "nar_size": 1}'
        ),
        NAME,
        "the info of store path `{name}` is damaged\n  file   {info}\n  error  name Input should be a *",
    ),
    (rename_info, NAME, "its info is for another entry\n  expected  {name}\n  actual    " + OTHER),
    (
        lambda store: store.forget(OTHER),
        NAME,
        "it needs an entry that is not there\n  reference  " + OTHER,
    ),
    (
        lambda store: store.archive("b" * 64).write_bytes(b""),
        f"archives/{'b' * 64}",
        f"its bytes have another SHA-256\n  expected  {'b' * 64}\n  actual    {EMPTY}",
    ),
    (
        lambda store: store.archive("b" * 64).mkdir(),
        f"archives/{'b' * 64}",
        "cannot be read: Is a directory",
    ),
    (
        lambda store: store.info_path(NAME).rename(store.root / "old") and store.info_path(NAME).mkdir(),  # type: ignore[func-returns-value]
        NAME,
        "cannot be read: Is a directory\n  path  {info}",
    ),
    (
        lambda store: (store.root / "paths").chmod(0o777),
        "paths",
        "any user may write to it\n  path  {root}/paths",
    ),
]


@pytest.mark.parametrize(("damage", "name", "what"), DAMAGES)
def test_check_finds(store: Store, damage: Callable[[Store], object], name: str, what: str) -> None:
    add(store, OTHER)
    add(store, NAME, OTHER)
    known = {
        "name": NAME,
        "hash": store.info(NAME).nar_hash,
        "path": str(store.path(NAME)),
        "info": str(store.info_path(NAME)),
        "root": str(store.root),
    }
    damage(store)
    [problem] = storecheck.check(store)
    expected = what.format(**known)
    assert problem.name == name
    if expected.endswith("*"):
        assert problem.what.startswith(expected[:-1])
    else:
        assert problem.what == expected
    storecheck.remove(store, [problem])
    assert not store.has(NAME) or name != NAME
    assert not store.has_archive("b" * 64)
    add(store, OTHER)
    add(store, NAME, OTHER)
    assert storecheck.check(store) == ([problem] if name == "paths" else [])


def test_check_finds_each_flipped_bit(store: Store) -> None:
    add(store, NAME)
    for path in (store.info_path(NAME), store.path(NAME) / "data", store.path(NAME) / "bin/tool"):
        for at in range(path.stat().st_size):
            flip_bit(path, at)
            assert [one.name for one in storecheck.check_entry(store, NAME)] == [NAME], f"{path} {at}"
            flip_bit(path, at)
    assert storecheck.check(store) == []


def test_check_finds_a_damaged_pack(store: Store, tmp_path: Path) -> None:
    place = store.root / "git/one.git"
    store.directory.prepare()
    made = Repo(place)
    made.ref("refs/heads/main", made.commit({b"a": b"1"}))
    made.git("repack", "-a", "-d")
    assert storecheck.check(store) == []
    packs = sorted((place / "objects/pack").iterdir())
    assert {".pack", ".idx"} <= {one.suffix for one in packs}
    for path in packs:
        flip_bit(path, path.stat().st_size // 2)
        what = f"a pack does not have its own checksum\n  path  {path}"
        assert storecheck.check(store) == [Problem("git/one.git", what, "repository")]
        flip_bit(path, path.stat().st_size // 2)
    flip_bit(path, 0)
    storecheck.remove(store, storecheck.check(store))
    assert not place.exists()
    assert storecheck.check(store) == []


def test_check_finds_each_flipped_bit_of_a_statement(store: Store) -> None:
    add(store, NAME)
    for path in (store.provenance_path(NAME), store.signature_path(NAME)):
        with store.lock(NAME):
            store.attach(path, b'{"a": "one"}\n')
    assert storecheck.check(store) == []
    for path in (store.root / "provenance").iterdir():
        for at in range(path.stat().st_size):
            flip_bit(path, at)
            [problem] = storecheck.check_entry(store, NAME)
            assert (problem.name, problem.kind) == (NAME, "provenance")
            flip_bit(path, at)
    store.provenance_path(NAME).with_suffix(".json.sha256").unlink()  # an older store has none
    assert storecheck.check(store) == []


def test_what_was_said_of_an_entry_goes_before_it_is_made_again(store: Store) -> None:
    """A process that is killed in `forget` leaves statements without the entry that they speak of."""
    add(store, NAME)
    with store.lock(NAME):
        store.attach(store.provenance_path(NAME), b"{}\n")
        store.attach(store.signature_path(NAME), b"{}\n")
        store.info_path(NAME).unlink()
    add(store, NAME)
    assert listed(store.root / "provenance") == []


def test_check_finds_a_damaged_cache_and_remove_takes_it_out(store: Store) -> None:
    place = store.root / "cache" / f"{'0' * 32}-thing"
    add(store, NAME)
    place.mkdir()
    good = place / f"{hashlib.sha256(b'good').hexdigest()}.tar"
    good.write_bytes(b"good")
    bad = place / f"{'b' * 64}.tar"
    bad.write_bytes(b"")
    [problem] = storecheck.check(store)
    what = f"its bytes have another SHA-256\n  expected  {'b' * 64}\n  actual    {EMPTY}"
    assert problem == Problem(f"cache/{place.name}/{bad.name}", what, "cache")
    storecheck.remove(store, [problem])
    assert listed(place) == [good.name]
    assert storecheck.check(store) == []


def test_check_finds_damaged_provenance(store: Store) -> None:
    add(store, NAME)
    path = store.root / "provenance" / f"{NAME}.json"
    path.write_text("{}\n")
    (store.root / "provenance" / f"{ABSENT}.json").write_text("{")  # of no entry: gc's
    assert storecheck.check(store) == []
    path.write_text("{")
    [problem] = storecheck.check(store)
    assert (problem.name, problem.kind) == (NAME, "provenance")
    assert problem.what.startswith(f"its provenance is damaged\n  file   {path}\n  error  EOF while")
    with store.lock(NAME):
        store.forget(NAME)
    assert listed(store.root / "provenance") == [f"{ABSENT}.json"]


def test_check_finds_a_result_that_leads_to_nothing(store: Store, tmp_path: Path) -> None:
    add(store, NAME)
    link = tmp_path / "result"
    link.symlink_to(store.path(NAME))
    storegc.add_root(store, link)
    assert storecheck.check(store) == []
    with store.lock(NAME):
        store.forget(NAME)
    what = f"a link leads to it, and it is not there\n  link  {link}"
    assert storecheck.check(store) == [Problem(NAME, what, "root")]
    storegc.remove_root(store, NAME)
    assert link.is_symlink()
    assert storecheck.check(store) == []
    storegc.add_root(store, link)
    link.unlink()  # a result that nobody wants any more is no damage
    assert storecheck.check(store) == []


def test_check_finds_a_wrong_size(store: Store) -> None:
    add(store, NAME)
    info = json.loads(store.info_path(NAME).read_text())
    del info["checksum"]
    store.info_path(NAME).write_text(json.dumps(info | {"nar_size": 1}, indent=1, sort_keys=True) + "\n")
    size = store.info(NAME).nar_size
    assert size == 1
    [problem] = storecheck.check(store)
    assert problem.what == f"its NAR has another size\n  expected  1\n  actual    {info['nar_size']}"


def test_check_finds_a_special_file(store: Store) -> None:
    add(store, NAME)
    store.path(NAME).chmod(0o755)
    os.mkfifo(store.path(NAME) / "fifo")
    (store.path(NAME) / "fifo").chmod(0o444)
    store.path(NAME).chmod(0o555)
    assert storecheck.check(store) == [
        Problem(NAME, f"`{store.path(NAME)}/fifo` is neither a file, a directory nor a symbolic link")
    ]


def test_check_takes_no_leftover_for_damage(store: Store) -> None:
    add(store, NAME)
    store.path(OTHER).write_text("half\n")
    (store.root / "archives" / f"{'c' * 64}.part").write_text("half\n")
    (store.root / "info/.new-abc").write_text("{")
    (store.root / "tmp/dead").mkdir()
    store.log_path(ABSENT).write_text("failed\n")
    ticks: list[tuple[int, int]] = []
    assert storecheck.check(store, lambda done, every: ticks.append((done, every))) == []
    assert ticks == [(0, 1), (1, 1)]


def test_gc_keeps_what_roots_need(store: Store, tmp_path: Path) -> None:
    fill(store)
    add(store, ABSENT)
    before = storegc.gc(store, [NAME], dry_run=True)
    assert [one.name for one in before] == [f"paths/{ABSENT}", f"archives/{'a' * 64}", "git/one.git"]
    assert store.has(ABSENT)
    assert storegc.gc(store, [NAME]) == before
    assert [store.has(name) for name in (NAME, OTHER, ABSENT)] == [True, True, False]
    assert store.log_path(NAME).exists()
    assert storegc.gc(store, [NAME]) == []
    assert storegc.gc(store, [OTHER, "nonsense", ABSENT])[0].name == f"paths/{NAME}"
    assert store.has(OTHER)


def test_gc_keeps_the_last_builds(store: Store) -> None:
    for age, name in enumerate((ABSENT, NAME, OTHER)):
        add(store, name)
        os.utime(store.info_path(name), (1000 + age, 1000 + age))
    with store.lock(THIRD), store.scratch("source") as place:
        (place / "file").touch()
        store.add(THIRD, place / "file", kind="source")
    assert storegc.last_builds(store, 2) == [OTHER, NAME]
    (store.root / "info/.new-x").touch()
    assert [one.name for one in storegc.gc(store, last=2)] == [f"paths/{THIRD}", f"paths/{ABSENT}"]
    assert [one.name for one in storegc.gc(store, last=1)] == [f"paths/{NAME}"]
    assert [one.name for one in storegc.gc(store, last=9)] == []


def test_gc_keeps_the_cache_and_removes_provenance_with_its_entry(store: Store) -> None:
    add(store, NAME)
    for name in (f"{NAME}.json", f"{NAME}.dsse.json", f"{OTHER}.json"):
        (store.root / "provenance" / name).write_text("{}\n")
    (store.root / "cache/key").mkdir()
    (store.root / "cache/key" / f"{'a' * 64}.tar").write_bytes(b"x")
    assert [one.name for one in storegc.gc(store, [NAME])] == [f"provenance/{OTHER}.json"]
    assert listed(store.root / "provenance") == [f"{NAME}.dsse.json", f"{NAME}.json"]
    removed = storegc.gc(store, cache=True)
    assert [one.name for one in removed] == [f"paths/{NAME}", "cache/key"]
    assert [(one.name, one.count) for one in storegc.by_part(removed)] == [("paths", 1), ("cache", 1)]
    assert (listed(store.root / "provenance"), listed(store.root / "cache")) == ([], [])


def test_sizes_of_the_parts_and_entries(store: Store) -> None:
    add(store, NAME, size=1_000_000)
    add(store, OTHER)
    sizes = storesize.entries(store)
    assert [one.name for one in sizes] == [NAME, OTHER]
    parts = storesize.parts(store)
    assert (parts[0].name, parts[0].count) == ("paths", 2)
    assert parts[0].bytes == sum(one.bytes for one in sizes)
    assert {one.name: one.count for one in parts}["info"] == 2
    (store.root / "roots/link").symlink_to(store.path(NAME))
    assert storesize.size(store.root / "roots/link") <= 4096


def test_gc_tells_sizes_on_the_disk(store: Store) -> None:
    add(store, NAME, size=1_000_000)
    expected = sum(one.lstat().st_blocks * 512 for one in storesize.walk(store.path(NAME)))
    assert [(one.name, one.bytes) for one in storegc.gc(store)] == [(f"paths/{NAME}", expected)]


def test_gc_removes_users_before_what_they_need(store: Store) -> None:
    add(store, ABSENT)
    add(store, OTHER, ABSENT)
    add(store, NAME, OTHER, ABSENT)
    assert [one.name for one in storegc.gc(store)] == [f"paths/{name}" for name in (NAME, OTHER, ABSENT)]


def test_gc_ends_even_when_infos_go_in_a_circle(store: Store) -> None:
    add(store, NAME, OTHER)
    add(store, OTHER, NAME)
    assert len(storegc.gc(store, [NAME])) == 0
    assert len(storegc.gc(store)) == 2


def test_gc_removes_what_killed_processes_left(store: Store) -> None:
    add(store, NAME)
    store.path(OTHER).mkdir()
    store.info_path(ABSENT).write_text("{}")
    (store.root / "paths/junk").write_text("junk\n")
    (store.root / "info/.new-abc").write_text("{")
    (store.root / "tmp/dead/deep").mkdir(parents=True)
    (store.root / "tmp/dead").chmod(0o555)
    (store.root / "archives" / f"{'c' * 64}.part").write_text("half\n")
    store.log_path(ABSENT).write_text("failed\n")
    removed = {one.name for one in storegc.gc(store, [NAME])}
    assert removed == {
        f"archives/{'c' * 64}.part",
        f"logs/{ABSENT}.log",
        f"paths/{OTHER}",
        f"paths/{ABSENT}",
        "paths/junk",
        "tmp/dead",
    }
    left = sorted(str(path.relative_to(store.root)) for path in store.root.glob("*/*"))
    assert left == [f"info/{NAME}.json", "locks/store", f"paths/{NAME}"]


def test_gc_keeps_what_registered_links_lead_to(store: Store, tmp_path: Path) -> None:
    add(store, NAME)
    add(store, OTHER)
    add(store, ABSENT)
    alias = tmp_path / "alias"
    alias.symlink_to("store")
    links = [tmp_path / "result-\udcff", tmp_path / "inner", tmp_path / "gone", tmp_path / "elsewhere"]
    links[0].symlink_to(alias / "paths" / NAME)
    links[1].symlink_to(f"store/paths/{OTHER}/bin/tool")
    links[2].symlink_to(store.path(ABSENT))
    links[3].symlink_to("/usr/bin")
    for link in (*links, links[0]):
        storegc.add_root(store, link)
    links[2].unlink()
    assert sorted(storegc.roots(store).values()) == [NAME, OTHER]
    assert [one.name for one in storegc.gc(store)] == [f"paths/{ABSENT}"]
    assert len(listed(store.root / "roots")) == 2
    links[0].unlink()
    links[0].mkdir()
    assert [one.name for one in storegc.gc(store)] == [f"paths/{NAME}"]
    with pytest.raises(ValueError, match=r"^result is not absolute$"):
        storegc.add_root(store, Path("result"))


def test_gc_waits_for_nobody(store: Store) -> None:
    add(store, NAME)
    with driver("hold", store.root) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError) as caught:
            storegc.gc(store)
        assert str(caught.value) == f"the store is in use by another process\n  store  {store.root}"
        assert len(storegc.gc(store, dry_run=True)) == 2
        assert store.has(NAME)
        holder.communicate()
    assert [one.name for one in storegc.gc(store)] == [f"paths/{NAME}"]


def test_a_lock_and_a_scratch_end_with_their_process(store: Store) -> None:
    with driver("hold", store.root) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    waited: list[str] = []
    with store.lock(NAME, waiting=lambda: waited.append("waited")):
        assert waited == []
        [left] = listed(store.root / "tmp")
    assert [one.name for one in storegc.gc(store)] == [f"tmp/{left}"]


def test_a_lock_is_held_against_other_threads(store: Store) -> None:
    order: list[str] = []
    waits = threading.Event()

    def waiting() -> None:
        order.append("waits")
        waits.set()

    def second() -> None:
        with store.lock(NAME, waiting):
            order.append("second")

    thread = threading.Thread(target=second)
    with store.lock(NAME):
        thread.start()
        assert waits.wait(60)
        with store.lock(OTHER):  # another name is free
            order.append("first")
    thread.join(60)
    assert order == ["waits", "first", "second"]


def test_of_processes_that_want_the_same_entry_one_makes_it(store: Store) -> None:
    with store.lock(NAME):
        processes = [driver("race", store.root) for _ in range(4)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
    results = [process.communicate(timeout=60) for process in processes]
    assert sorted(results) == [("found\n", ""), ("found\n", ""), ("found\n", ""), ("made\n", "")]
    assert storecheck.check(store) == []


@pytest.mark.parametrize(
    ("action", "steps"),
    [("kill_add", 60), ("kill_gc", 30), ("kill_lock", 7), ("kill_link", 12), ("kill_repair", 40)],
)
def test_a_kill_at_any_step_damages_nothing(tmp_path: Path, action: str, steps: int) -> None:
    assert int(ended(action, tmp_path)) > steps


def test_a_full_disk_damages_nothing(tmp_path: Path) -> None:
    mounted = in_mount_namespace('mount -n -t tmpfs -o size=1m tmpfs "$1"', tmp_path)
    assert ended("full", tmp_path, *mounted) == "ENOSPC\n[]\n"


def test_a_read_only_store_can_be_read(store: Store) -> None:
    add(store, NAME)
    script = 'mount -n --bind "$1" "$1"\nmount -n -o remount,bind,ro "$1"'
    out = ended("read_only", store.root, *in_mount_namespace(script, store.root))
    error = f"the store cannot be written to\n  store  {store.root}\n  error  Permission denied{HINT}\n"
    assert out == f"True False []\n1\n{error}"


@pytest.mark.parametrize(
    ("below", "error"),
    [
        ("file/store", "Not a directory"),
        ("file", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_store_that_can_be_no_directory_is_refused(tmp_path: Path, below: str, error: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    tries: list[Callable[[Store], object]] = [
        lambda store: store.has(NAME),
        lambda store: store.using().__enter__(),
        storecheck.check,
        storegc.gc,
    ]
    for one in tries:
        with pytest.raises(StoreError) as caught:
            one(Store(tmp_path / below))
        expected = f"the store cannot be there\n  store  {tmp_path / below}\n  error  {error}{HINT}"
        assert str(caught.value) == expected


def test_a_store_behind_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(StoreError) as caught, Store(tmp_path / "link").using():
        pass
    assert caught.value.message.endswith("\n  error  File exists")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_in_a_directory_of_someone_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError) as caught, store.using():
        pass
    expected = f"the store cannot be written to\n  store  {store.root}\n  error  Permission denied{HINT}"
    assert str(caught.value) == expected
