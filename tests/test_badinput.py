"""What is wrong, from a misspelt name to a full disk: its exit code, its message, and a store left clean."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import stat
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import fileserver
import gitserver
import pytest
import smallproject
from fileserver import Page
from gitserver import Repo
from indexserver import Listing
from smallproject import SDIST, THING_SOURCES, Ran, Small, are_gone, ended, go_on, member, stopped

from recipes import storegc
from recipes.origins import KINDS
from recipes.store import Store

NAR = "sha256-KtDFko+UC5xcgKSVVYLLhWAicn3moPT5KSj8dngb0uo="
PASSED_OVER = "; trying the next origin"


def fetch(small: Small, *argv: str) -> Ran:
    return small.run("fetch", "--variant", "small", *argv)


def recovers(small: Small, *argv: str) -> None:
    """See that the store is sound, and that what failed succeeds now."""
    assert small.damage() == []
    assert fetch(small, *argv).ok().err.endswith(f"are in {small.store}\n")
    assert small.damage() == []


# ---- the command line

USAGE: list[tuple[list[str], str]] = [
    (
        ["plan", "-V", "smal"],
        "error: no variant `smal`, did you mean `small`?\n\nhint: `recipes list` names them all\n",
    ),
    (
        ["build", "-V", "small", "thin"],
        "error: no component of `small` `thin`, did you mean `thing`?\n\nhint: there is thing\n",
    ),
    (
        ["build", "-V", "small", "--platform", "linux-46"],
        (
            "error: no platform of `small` `linux-46`, did you mean `linux-64`?\n\n"
            "hint: there is linux-64, linux-aarch64\n"
        ),
    ),
    (
        ["build", "-V", "small", "--origin", "gti"],
        f"error: no kind of origin `gti`, did you mean `git`?\n\nhint: there is {', '.join(KINDS)}\n",
    ),
    (
        ["lock", "-V", "small", "thnig"],
        "error: variant `small` has no source `thnig`, did you mean `thing`?\n",
    ),
    (
        ["schema", "recip"],
        "error: no kind of spec `recip`, did you mean `recipe`?: one of environment, recipe\n",
    ),
    (["--quiet", "--verbose", "list"], "error: `--quiet` and `--verbose` exclude each other\n"),
    (["lock", "--check", "app"], "error: `--check` looks at whole locks, and takes no sources\n"),
    (
        ["--project", "/", "list"],
        (
            "error: no project in / or above: no `environments/` with `recipes/components/` beside it\n\n"
            "hint: go to a checkout, or name one with `--project DIR`\n"
        ),
    ),
]


@pytest.mark.parametrize(("argv", "message"), USAGE, ids=[" ".join(argv) for argv, _ in USAGE])
def test_a_command_line(small: Small, argv: list[str], message: str) -> None:
    ran = small.run(*argv)
    assert (ran.out, ran.err) == ("", message)
    ran.failed(2)
    assert not small.store.exists()


# ---- specs

ENVIRONMENT, RECIPE = "environments/small.yaml", "recipes/components/thing/recipe.yaml"
SPECS: dict[str, tuple[str, str, str, str]] = {  # file, what is replaced by what, the error
    "unknown key": (ENVIRONMENT, "platforms:", "platform:", "small.yaml:3:1: platform: "),
    "wrong type": (ENVIRONMENT, "[linux-64, linux-aarch64]", "linux-64", "small.yaml:3:1: platforms: "),
    "unknown platform": (ENVIRONMENT, "linux-64,", "linux-46,", "small.yaml:3:13: platforms[0]: "),
    "duplicate key": (ENVIRONMENT, "target: thing", "target: thing\ntarget: app", "small.yaml:3:1: target: "),
    "unknown component": (ENVIRONMENT, "target: thing", "target: thin", "small.yaml:2:1: target: "),
    "misspelt source": (ENVIRONMENT, "  thing:", "  thnig:", "small.yaml:5:3: sources.thnig: "),
    "unknown input": (RECIPE, "cmake:", "inputs: [ap]\ncmake:", "thing/recipe.yaml:15:10: inputs[0]: "),
    "no check": (RECIPE, "check.py", "chek.py", "thing/recipe.yaml:22:1: check: no file `chek.py` beside"),
}


@pytest.mark.parametrize("what", SPECS)
def test_a_spec(small: Small, what: str) -> None:
    file, old, new, error = SPECS[what]
    small.edit(file, old, new)
    ran = small.build().failed(3)
    assert error in ran.err.splitlines()[0]
    assert ran.err.splitlines()[0].startswith(("error: environments/", "error: recipes/components/"))
    assert not small.store.exists()


def test_cycles_are_shown(small: Small) -> None:
    small.edit(ENVIRONMENT, "target: thing", "target: thing\nextends: both")
    ran = small.build().failed(3)
    assert ran.err == (
        "error: environments/both.yaml:2:1: extends: `small` extends itself: small → both → small\n"
    )
    small.edit(ENVIRONMENT, "\nextends: both", "")
    small.edit(RECIPE, "cmake:", "inputs: [app]\ncmake:")
    ran = small.build().failed(3)
    assert ran.err == (
        "error: recipes/components/app/recipe.yaml:7:1: inputs: a component is built with itself: "
        "app → thing → app\n"
    )


# ---- locks

LOCK, WHEELS = "locks/small.lock.yaml", "locks/small.requirements.txt"
AGAIN = "hint: see what changed: `git log -p locks/small.lock.yaml`; lock again: `recipes lock`\n"


def test_a_lock_from_a_newer_format(small: Small) -> None:
    small.edit(LOCK, "version: 1\n", "version: 2\n")
    assert small.build().failed(4).err == (
        "error: locks/small.lock.yaml:2:1: another format of lock\n"
        "  expected  version: 1\n  actual    version: 2\n\n"
        "hint: it was written by a newer tvm-recipes; install that, or lock again: `recipes lock`\n"
    )


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_lock_that_is_cut_off(small: Small, share: float) -> None:
    text = (small.root / LOCK).read_text()
    small.write(LOCK, text[: int(len(text) * share)])
    ran = small.build().failed(4)
    assert ran.err.startswith(("error: locks/small.lock.yaml:", "error: the locks of `small` do not answer"))
    assert not small.store.exists()


def test_a_toolchain_lock_that_is_cut_off(small: Small) -> None:
    small.write(WHEELS, (small.root / WHEELS).read_text()[:-1])
    first = small.build().failed(4).err.splitlines()[0]
    assert re.fullmatch(r"error: locks/small\.requirements\.txt:\d+: not what `recipes lock` writes", first)


def test_no_lock(small: Small) -> None:
    (small.root / LOCK).unlink()
    assert small.build().failed(4).err == (
        "error: variant `small` is not locked: there is no locks/small.lock.yaml\n\n"
        "hint: `recipes lock --variant small`\n"
    )


SENTENCES: dict[str, tuple[str, str, str, str]] = {
    "ref in the lock": (
        *(LOCK, "ref: v1.0", "ref: v1.1"),
        "source `thing` asks for ref `v1.0`, the lock answers `v1.1`",
    ),
    "ref in the spec": (
        *(ENVIRONMENT, "ref: v1.0", "ref: v1.1"),
        "source `thing` asks for ref `v1.1`, the lock answers `v1.0`",
    ),
    "filter": (
        *(RECIPE, "include: [part.h]", "include: [part.c]"),
        (
            "source `thing/3rdparty/part` takes another part of its tree than its lock "
            "(include, exclude, strip, modes)"
        ),
    ),
    "origin": (
        *(RECIPE, "git: https://git.example", "git: https://moved.example"),
        "source `thing` has other origins than its lock",
    ),
    "submodule": (
        *(RECIPE, "    3rdparty/part/deep: {include: [deep.h]}\n", ""),
        "submodule `thing/3rdparty/part/deep` is locked, and no spec asks for it",
    ),
    "toolchain": (
        *(ENVIRONMENT, "ninja>=1.11", "ninja>=1.13"),
        "`ninja` is locked as 1.12.0 for linux-64, and `ninja>=1.13` is asked for",
    ),
}


@pytest.mark.parametrize("what", SENTENCES)
def test_a_lock_that_does_not_answer_its_specs(small: Small, what: str) -> None:
    file, old, new, sentence = SENTENCES[what]
    small.edit(file, old, new)
    before = (small.root / LOCK).read_bytes()
    ran = small.run("lock", "--check", "--variant", "small").failed(4)
    assert ran.err.splitlines()[:2] == [
        "error: the locks of `small` do not answer its specs",
        f"  {sentence}",
    ]
    assert ran.err.splitlines()[-2:] == ["", "hint: `recipes lock`, then read the difference"]
    if file == LOCK:
        assert small.build().failed(4).err.splitlines()[:2] == ran.err.splitlines()[:2]
    assert (small.root / LOCK).read_bytes() == before
    assert small.git.requests == small.index.asked == []


def test_a_hash_in_the_lock_that_was_changed(small: Small) -> None:
    right = small.upstream.hashes["part"]
    wrong = small.upstream.hashes["deep"]
    small.edit(LOCK, right, wrong)
    ran = small.build().failed(6)
    lines = ran.error.splitlines()
    assert lines[0] == "error: source `thing/3rdparty/part` does not match its lock"
    assert [line for line in lines if line.startswith("  ") and not line.startswith("   ")] == [
        "  https://git.example/part",
        f"  {SDIST} of the package index",
    ]
    assert [re.sub(r"\w{32}-", "", line.strip()) for line in lines if line.startswith("    ")] == [
        "store path `part` does not have its hash",
        f"expected  {wrong}",
        f"actual    {right}",
    ] * 2
    assert not any((small.store / "logs").iterdir())  # nothing was built
    small.lock("small", small.upstream.lock(*THING_SOURCES))
    recovers(small)


# ---- git servers


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("hang", "timed out after 0.5 s"),
        ("500", "The requested URL returned error: 500"),
    ],
)
def test_a_git_server(small: Small, fault: Literal["hang", "500"], why: str) -> None:
    if fault == "hang":
        small.configure("timeout: 0.5\n")
    small.git.fault = fault
    ran = fetch(small).ok()
    told = [line for line in ran.err.splitlines() if PASSED_OVER in line]
    assert told == [f"{host} does not answer: {why}{PASSED_OVER}" for host in told_hosts(told)]
    assert sorted(told_hosts(told)) == ["git.example", "other.example"]
    assert small.damage() == []


def told_hosts(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


@pytest.mark.parametrize("fault", ["cut", "damage"])
def test_a_git_server_that_sends_a_broken_pack(small: Small, fault: Literal["cut", "damage"]) -> None:
    small.git.fault = fault
    small.git.packs_only = True
    ran = fetch(small, "--origin", "git")
    ran.failed({"cut": 5, "damage": 6}[fault])
    assert ran.error.startswith("error: source `thing` ")
    small.git.fault = None
    recovers(small, "--origin", "git")


def test_a_git_server_without_the_commit(small: Small) -> None:
    small.env["RECIPES_MIRROR"] += f" https://git.example/thing={small.git.url}/app"
    ran = fetch(small, "--origin", "git").failed(5)
    commit = small.upstream.commits["thing"]
    assert ran.error.splitlines()[:3] == [
        "error: source `thing` could not be fetched",
        "  https://git.example/thing",
        f"    `https://git.example/thing` has no commit `{commit}`",
    ]
    small.mirror()
    recovers(small, "--origin", "git")


def test_a_branch_that_is_named_like_the_commit(small: Small, tmp_path: Path) -> None:
    commit = small.upstream.commits["deep"]
    evil = Repo(tmp_path / "evil" / "deep")
    other = evil.commit({b"deep.h": b"#define DEEP 666\n"})
    evil.ref(f"refs/heads/{commit}", other)
    evil.ref("refs/heads/main", other)
    with gitserver.serving(tmp_path / "evil") as server:
        small.mirror(other=server.url)
        ran = fetch(small, "--origin", "git").failed(5)
    assert f"    `https://other.example/deep` has no commit `{commit}`" in ran.error.splitlines()
    small.mirror()
    recovers(small, "--origin", "git")


# ---- archives of the registry


def test_an_archive_in_the_store_with_other_bytes_is_not_used(small: Small, fetched: Path) -> None:
    store, good = Store(small.store), Store(fetched)
    store.directory.prepare()
    locks = "".join(path.read_text() for path in (small.root / "locks").glob("small.requirements.txt"))
    other = smallproject.wheel("cmake", "3.31.0", "cmake/data/bin/cmake", "not this")
    for sha256 in re.findall(r"sha256:\s*([0-9a-f]{64})", locks):
        store.archive(sha256).write_bytes(other)
    small.run("fetch", "--variant", "both").ok()
    names = sorted(path.stem for path in (fetched / "info").glob("*.json"))
    assert names
    assert [store.info(name).nar_hash for name in names] == [good.info(name).nar_hash for name in names]
    assert small.damage() == []


def pypi(small: Small, data: bytes, file: str = SDIST) -> Ran:
    """Fetch from an archive whose hash is the one in the lock."""
    small.lock("small", small.upstream.lock(*THING_SOURCES, sdist=data, file=file))
    small.edit(RECIPE, SDIST, file)
    small.index.projects["carrier"].clear()
    small.index.add("carrier", (file, data))
    ran = fetch(small, "--origin", "pypi").failed(6)
    small.edit(RECIPE, file, SDIST)
    return ran


def reset(small: Small) -> None:
    small.lock("small", small.upstream.lock(*THING_SOURCES))
    small.index.projects["carrier"].clear()
    small.index.add("carrier", (SDIST, small.upstream.sdist))


def link(path: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info, _ = member(path)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


def device(path: str) -> tuple[tarfile.TarInfo, bytes]:
    info, _ = member(path)
    info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
    return info, b""


INSIDE = "carrier-1.0/vendored/thing/src"
MEMBERS: dict[str, tuple[tuple[tarfile.TarInfo, bytes], list[str]]] = {
    "climbs": (
        member(f"{INSIDE}/../../../../../escaped", b"x"),
        [f"{SDIST} has a member with a name that is not allowed", f"name  '{INSIDE}/../../../../../escaped'"],
    ),
    "absolute": (
        member("/tmp/escaped", b"x"),
        [f"{SDIST} has a member with a name that is not allowed", "name  '/tmp/escaped'"],
    ),
    "absolute link": (
        link(f"{INSIDE}/passwd", "/etc/passwd"),
        [
            f"{SDIST} has a symbolic link that leads out of its tree",
            f"link    '{INSIDE}/passwd'",
            "target  '/etc/passwd'",
        ],
    ),
    "device": (
        device(f"{INSIDE}/null"),
        [
            f"{SDIST} has a member of a kind that is not allowed",
            f"name  '{INSIDE}/null'",
            "kind  device",
        ],
    ),
}


def test_an_archive_with_a_member_that_is_not_allowed(small: Small, tmp_path: Path) -> None:
    for added, message in MEMBERS.values():
        ran = pypi(small, smallproject.sdist(added))
        lines = ran.error.splitlines()
        assert lines[0] == "error: source `thing` does not match its lock"
        assert [line.strip() for line in lines[2 : 2 + len(message)]] == message
        assert small.damage() == []
    assert not list(tmp_path.rglob("escaped"))
    reset(small)
    recovers(small, "--origin", "pypi")


def test_an_archive_that_is_a_bomb(small: Small) -> None:
    file = SDIST.replace(".tar.gz", ".zip")
    ran = pypi(small, bomb(), file)
    assert [line.strip() for line in ran.error.splitlines()[2:4]] == [
        f"{file} unpacks to more than is allowed",
        f"limit  {16 << 30} bytes",
    ]
    reset(small)
    recovers(small, "--origin", "pypi")


def bomb() -> bytes:
    """Make a zip whose central directory promises 20 GiB."""
    data, size = io.BytesIO(), (4 << 30) - 2
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(zipfile.ZipInfo(f"carrier-1.0/vendored/thing/src/{number}.c"), bytes(1000))
        for info in archive.infolist():
            info.file_size = size
    return data.getvalue()


def altered(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def serve_elsewhere(small: Small, server: fileserver.Server, page: Page) -> None:
    [listing] = small.index.projects["carrier"]
    small.index.projects["carrier"] = [replace(listing, url=server.put(f"/{SDIST}", page))]


def test_an_archive_with_one_byte_changed(small: Small) -> None:
    with fileserver.serve() as server:
        serve_elsewhere(small, server, Page(altered(small.upstream.sdist)))
        ran = fetch(small, "--origin", "pypi").failed(6)
    lines = [line.strip() for line in ran.error.splitlines()]
    assert lines[0] == "error: source `thing` does not match its lock"
    assert lines[1] == f"{SDIST} of the package index"
    assert lines[2].endswith(f"/{SDIST} does not have its hash")
    assert lines[3].startswith("expected  sha256:")
    assert lines[4].startswith("actual    sha256:")
    reset(small)
    recovers(small, "--origin", "pypi")


def test_an_archive_that_comes_in_pieces(small: Small) -> None:
    whole = len(small.upstream.sdist)
    with fileserver.serve() as server:
        serve_elsewhere(small, server, Page(small.upstream.sdist, cuts=[whole // 3, whole // 3]))
        fetch(small, "--origin", "pypi").ok()
        first, *others = server.ranges
    assert first is None
    assert len(others) == 2
    assert all(one and int(one.removeprefix("bytes=").removesuffix("-")) > 0 for one in others)
    assert small.damage() == []


def test_an_archive_that_is_listed_with_another_hash(small: Small) -> None:
    [listing] = small.index.projects["carrier"]
    small.index.projects["carrier"] = [Listing(listing.file, listing.data, "0" * 64)]
    ran = fetch(small, "--origin", "pypi").failed(6)
    assert f"  {SDIST} of the package index\n    `{SDIST}` " in ran.error
    reset(small)
    recovers(small, "--origin", "pypi")


def test_a_wheel_with_one_byte_changed(small: Small) -> None:
    [listing] = small.index.projects["ninja"]
    small.index.projects["ninja"] = [Listing(listing.file, altered(listing.data), listing.sha256)]
    ran = fetch(small).failed(6)
    assert re.match(r"error: http://\S+/ninja-1\.12\.0-py3-none-any\.whl does not have its hash\n", ran.error)
    small.index.projects["ninja"] = [listing]
    recovers(small)


# ---- the store


@pytest.mark.sandbox
def test_a_store_path_that_was_deleted(warm: Small) -> None:
    built = warm.build().ok().out
    for label in ("thing", "part"):
        for path in warm.entries(label):
            _writable(path)
            shutil.rmtree(path)
    again = warm.build().ok()
    assert again.out == built
    assert "thing: build\n" in again.err
    assert warm.damage() == []


def _writable(path: Path) -> None:
    for one in (path, *path.rglob("*")):
        if not one.is_symlink():
            one.chmod(one.stat().st_mode | stat.S_IWUSR)


@pytest.mark.sandbox
def test_a_store_path_that_was_changed(warm: Small) -> None:
    [path] = warm.entries("part")
    (path / "part.h").chmod(0o644)
    (path / "part.h").write_text("#define PART 6\n")
    ran = warm.build().failed(6)
    assert ran.err == (
        f"error: store path `{path.name}` is not what was added\n"
        f"  expected  {warm.upstream.hashes['part']}\n"
        f"  actual    sha256-{ran.err.partition('actual    sha256-')[2].partition(chr(10))[0]}\n"
        f"  path      {path}\n\n"
        "hint: `recipes store repair`\n"
    )
    checked = warm.run("store", "check").failed(6)
    assert checked.error.splitlines()[0] == "error: the store is damaged: 1 found"
    assert checked.error.splitlines()[-1] == "hint: `recipes store repair`"
    warm.run("store", "check", "--remove").ok()
    assert warm.damage() == []
    assert warm.build().ok().out.splitlines()[1] == NAR


def test_a_store_of_another_format(small: Small) -> None:
    small.store.mkdir()
    (small.store / "version").write_text("2\n")
    for argv in (["build", "-V", "small"], ["store", "check"]):
        first = small.run(*argv).failed(1).error.splitlines()[:3]
        assert first == ["error: the store is of another format", "  expected  1", "  actual    2"]


def test_a_directory_that_is_no_store(small: Small) -> None:
    small.store.mkdir()
    (small.store / "thesis.tex").touch()
    ran = small.run("store", "gc").failed(1)
    assert ran.err.startswith(
        f"error: `{small.store}` is not a store: it has `thesis.tex` and no `version`\n"
    )


def test_something_is_where_the_result_goes(warm: Small) -> None:
    (warm.root / "result-small").mkdir()
    ran = warm.build().failed(2)
    assert ran.error.startswith(f"error: {warm.root}/result-small is in the way: it is no link\n")


# ---- no room

ON_A_DISK = """\
mount -n -t tmpfs -o "$1" tmpfs "$RECIPES_STORE" || exit 77
shift
code=0
"$@" || code=$?
cp -a "$RECIPES_STORE" "$HOME/kept"
exit "$code"
"""
MOUNTED = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", ON_A_DISK, "sh")


def on_a_disk(small: Small, options: str, *argv: str) -> Ran:
    """Run with a store on a file system of its own, and move what is in it then to a larger one."""
    small.store.mkdir()
    ran = small.run(*argv, before=[*MOUNTED, options])
    if ran.code == 77:
        pytest.skip(f"nothing can be mounted here: {ran.err}")
    small.store.rmdir()
    (small.place / "home/kept").rename(small.store)
    return ran


# whichever thread meets the end first: a wheel's, a repository's or an archive's, or the build
@pytest.mark.sandbox
@pytest.mark.parametrize("options", ["size=36k", "size=180k", "nr_inodes=50"])
def test_a_full_disk(small: Small, options: str) -> None:
    ran = on_a_disk(small, options, "build", "--variant", "small").failed(1)
    message = ran.error.splitlines()
    assert message[0].startswith("error: No space left on device")
    assert message[1:] == [
        "",
        "hint: make room (`recipes store gc`), or name another store with `--store`",
    ]
    assert small.damage() == []
    assert small.build().ok().out.splitlines()[1] == NAR


@pytest.mark.sandbox
def test_a_disk_that_a_build_fills(small: Small) -> None:
    ran = on_a_disk(small, "size=4m", "build", "--variant", small.mode("full")).failed(1)
    assert re.fullmatch(r"error: No space left on device: \S+/logs/\S+-thing\.log", ran.error.splitlines()[0])
    assert small.damage() == []


# ---- interruptions


def at_the_compiler(small: Small) -> tuple[smallproject.Popen, list[smallproject.Process]]:
    process = small.start("build", "--variant", small.mode("stop"))
    return process, stopped(process.pid)[1]


def at_the_check(small: Small) -> tuple[smallproject.Popen, list[smallproject.Process]]:
    process = small.start("build", "--variant", small.mode("check-stop"))
    return process, stopped(process.pid)[1]


def at_git(small: Small) -> tuple[smallproject.Popen, list[smallproject.Process]]:
    small.git.fault = "hang"
    process = small.start("build", "--variant", small.mode("plain"))
    assert small.git.hanging.wait(smallproject.PATIENCE)
    return process, smallproject.family(process.pid)


Point: TypeAlias = Callable[[Small], tuple[smallproject.Popen, list[smallproject.Process]]]


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("point", "number"),
    [
        (at_the_compiler, signal.SIGINT),
        (at_the_compiler, signal.SIGTERM),
        (at_the_check, signal.SIGINT),
        (at_git, signal.SIGINT),
    ],
)
def test_an_interruption(small: Small, fetched: Path, point: Point, number: signal.Signals) -> None:
    if point is not at_git:
        small.warm(fetched)
    process, processes = point(small)
    assert len(processes) > 1
    process.send_signal(number)
    ran = ended(process)
    assert ran.code == 128 + number, ran.shown()
    assert ran.err.endswith("\ninterrupted; what was fetched and built is kept\n")
    assert are_gone(processes)
    assert smallproject.problems(small.store) == []
    small.git.fault = None
    assert small.build().ok().out.splitlines()[1] == NAR
    storegc.gc(Store(small.store))  # which removes what nobody could
    assert small.damage() == []


@pytest.mark.sandbox
def test_a_build_that_is_killed_and_begun_again(warm: Small) -> None:
    process, processes = at_the_compiler(warm)
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    assert are_gone(processes)
    assert smallproject.problems(warm.store) == []
    again = warm.start("build", "--variant", "stop")
    go_on(stopped(again.pid)[0])
    assert ended(again).ok().err == "thing: configure\nthing: build\nthing: check\n"
    storegc.gc(Store(warm.store))
    assert warm.damage() == []


@pytest.mark.sandbox
@pytest.mark.parametrize("point", [at_the_check, at_git])
def test_a_kill_outside_of_the_sandbox(small: Small, fetched: Path, point: Point) -> None:
    if point is at_the_check:
        small.warm(fetched)
    process, processes = point(small)
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    for one in processes:  # which nobody is left to end
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    assert are_gone(processes)
    assert smallproject.problems(small.store) == []
    small.git.fault = None
    assert small.build().ok().out.splitlines()[1] == NAR


def test_the_reader_of_the_output_goes_away(small: Small) -> None:
    ran = small.run("list", before=["sh", "-c", '"$@" | :', "sh"])
    assert "Traceback" not in ran.err
