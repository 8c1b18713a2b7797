from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import debianarchive
import pytest
from debianarchive import Archive, Key, tarball
from fileserver import Page, Server

from recipes import archives, carriers, debian, files, hashes, lock, resolve, storegc
from recipes.archives import Want
from recipes.debian import Debian, Orig
from recipes.errors import FetchError, IntegrityError, RecipesError
from recipes.fetch import Fetcher
from recipes.git import Git
from recipes.origins import DebianOrigin, Origin, UrlOrigin
from recipes.plan import SourceTree, path_name
from recipes.pypi import Index
from recipes.report import QUIET, Report
from recipes.settings import Settings
from recipes.spec import Source, Taken
from recipes.store import Store
from recipes.tree import Filter
from recipes.treewriter import TreeWriter

pytestmark = pytest.mark.skipif(
    debianarchive.refusal() is not None, reason=debianarchive.refusal() or "apt and gpg are here"
)

OLD = tarball({"fp16-1.0/LICENSE": b"MIT\n", "fp16-1.0/fp16.h": b"old\n"})
NEW = tarball({"fp16-2.0/LICENSE": b"MIT\n", "fp16-2.0/fp16.h": b"new\n"})
LIE = tarball({"fp16-1.0/LICENSE": b"MIT\n", "fp16-1.0/fp16.h": b"lie\n"})
OLD_SHA, NEW_SHA = (hashlib.sha256(one).hexdigest() for one in (OLD, NEW))
NAR = "sha256-/9iq8eYoOs/R0ojehnojzI/qCE2dsYXbTaUv17z3hZo="
FIRST = Orig("fp16", "1.0-3", "fp16_1.0.orig.tar.xz", OLD_SHA)
DAY = debian.FRESH


@pytest.fixture(scope="module")
def key() -> Iterator[Key]:
    with debianarchive.key() as made:
        yield made


@pytest.fixture(scope="module")
def other_key() -> Iterator[Key]:
    with debianarchive.key() as made:
        yield made


class World:
    """An archive, the server that has it, and apt set up to use it."""

    def __init__(self, place: Path, archive: Archive, server: Server) -> None:
        self.place, self.archive, self.server = place, archive, server
        self.now = 1_700_000_000.0
        self.sources = (
            f"Types: deb\nURIs: {server.address}/debian\nSuites: stable\nComponents: main\n"
            f"Signed-By: {archive.key.public}\n"
        )
        self.env = self.configure({"debian.sources": self.sources})

    def configure(self, sources: dict[str, str], more: str = "") -> dict[str, str]:
        self.env = debianarchive.environment(self.place / "etc", sources, more)
        return self.env

    def publish(self) -> dict[str, bytes]:
        """Put the archive as it is now on the server."""
        made = self.archive.files()
        for path, data in made.items():
            self.put(path, data)
        return made

    def put(self, path: str, data: bytes) -> None:
        self.server.put(f"/debian/{path}", Page(data))

    def debian(self) -> Debian:
        return Debian(self.place / "apt", self.env, timeout=60, clock=lambda: self.now)

    def releases(self) -> int:
        """Count how often the index was asked for."""
        return sum(one.path.endswith("InRelease") for one in self.server.asked)

    def download(self, orig: Orig) -> bytes:
        scratch = self.place / "scratch"
        scratch.mkdir(exist_ok=True)
        return self.debian().download(orig, scratch).read_bytes()

    def refused(self, kind: type[RecipesError], *asked: str | None) -> str:
        with pytest.raises(kind) as caught:
            self.debian().find(*(asked or ("fp16",)))  # type: ignore[arg-type]
        assert type(caught.value) is kind
        return caught.value.message.replace(self.server.address, "ADDRESS")


@pytest.fixture
def world(tmp_path: Path, key: Key, server: Server) -> World:
    archive = Archive(key)
    archive.add("stable", "fp16", "1.0-3", {"fp16_1.0.orig.tar.xz": OLD, "fp16_1.0-3.debian.tar.xz": b"x"})
    archive.add("stable", "native", "1.0", {"native_1.0.tar.xz": OLD})
    archive.add("next", "fp16", "2.0-1", {"fp16_2.0.orig.tar.xz": NEW})
    made = World(tmp_path, archive, server)
    made.publish()
    return made


def test_the_newest_version_and_its_tarball(world: World) -> None:
    world.archive.add("stable", "fp16", "1.0~rc1-9", {"fp16_1.0~rc1.orig.tar.xz": LIE})
    world.archive.add("stable", "fp16", "0.9-1", {"fp16_0.9.orig.tar.gz": LIE})
    world.publish()
    found = world.debian()
    assert found.find("fp16") == FIRST
    assert found.find("fp16", "0.9-1").file == "fp16_0.9.orig.tar.gz"
    assert found.find("fp16", "1.0~rc1-9").version == "1.0~rc1-9"
    assert world.download(FIRST) == OLD


def test_a_suite_that_apt_does_not_use(world: World) -> None:
    found = world.debian().find("fp16", None, "next")
    assert found == Orig("fp16", "2.0-1", "fp16_2.0.orig.tar.xz", NEW_SHA, "next")
    assert world.download(found) == NEW
    assert world.refused(FetchError, "fp16", None, "nowhere") == (
        "Debian's archive cannot be asked for suite `nowhere`: "
        "The repository 'ADDRESS/debian nowhere Release' does not have a Release file."
    )


def test_a_version_in_its_name_that_a_url_escapes(world: World) -> None:
    world.archive.add("stable", "psimd", "0.0~git1-1", {"psimd_0.0~git1.orig.tar.xz": OLD})
    world.publish()
    world.put("pool/psimd/psimd_0.0%7egit1.orig.tar.xz", OLD)
    assert world.download(world.debian().find("psimd")) == OLD


def test_the_index_is_asked_for_once_a_day(world: World) -> None:
    for _ in range(2):
        world.debian().find("fp16")
    world.now += DAY - 1
    world.debian().find("fp16")
    assert world.releases() == 1
    world.now += 1
    world.debian().find("fp16")
    assert world.releases() == 2
    world.now -= 2 * DAY  # a clock that was set back says nothing
    world.debian().find("fp16")
    assert world.releases() == 3


def test_what_is_not_in_the_index_is_asked_for_once_more(world: World) -> None:
    world.debian().find("fp16")
    world.archive.add("stable", "fp16", "2.0-1", {"fp16_2.0.orig.tar.xz": NEW})
    world.publish()
    assert world.debian().find("fp16") == FIRST
    assert world.debian().find("fp16", "2.0-1").sha256 == NEW_SHA
    assert world.releases() == 2
    found = world.debian()
    for _ in range(2):
        with pytest.raises(FetchError):
            found.find("fp16", "3.0-1")
    assert world.releases() == 3


ELSEWHERE = "\n  nowhere else was asked: Debian's snapshot service is where it is one of apt's sources"


def test_a_version_that_is_gone(world: World) -> None:
    world.archive.add("stable", "fp16", "1.0-4", {"fp16_1.0.orig.tar.xz": OLD})
    world.publish()
    assert world.refused(FetchError, "fp16", "0.9-1") == (
        "`fp16` 0.9-1 is not in the archives that apt is configured with\n"
        f"  there is  1.0-4, 1.0-3{ELSEWHERE}"
    )
    assert world.refused(FetchError, "fp16", "1.0-3", "next") == (
        f"`fp16` 1.0-3 is not in suite `next` of Debian's archive\n  there is  2.0-1{ELSEWHERE}"
    )
    assert world.refused(FetchError, "nothing") == (
        "`nothing` is not in the archives that apt is configured with\n"
        f"  there is  no version of it{ELSEWHERE}"
    )
    assert world.refused(FetchError, "native") == (
        "`native` is not in the archives that apt is configured with\n"
        f"  there is  1.0 (no .orig.tar){ELSEWHERE}"
    )


def test_another_version_that_has_the_locked_tarball_will_do(world: World) -> None:
    del world.archive.suites["stable"]["fp16", "1.0-3"]
    world.archive.add("stable", "fp16", "1.0-5", {"fp16_1.0.orig.tar.xz": OLD})
    world.publish()
    assert world.download(FIRST) == OLD


def wrongly_signed(world: World, other: Key) -> None:
    world.archive.key = Key(other.home, world.archive.key.public)
    world.publish()


def changed_after_signing(world: World, other: Key) -> None:
    signed = world.publish()["dists/stable/InRelease"]
    world.put("dists/stable/InRelease", signed.replace(b"Codename: stable", b"Codename: fables"))


def not_signed(world: World, other: Key) -> None:
    release = world.publish()["dists/stable/InRelease"].split(b"\n\n", 1)[1].split(b"-----BEGIN")[0]
    del world.server.pages["/debian/dists/stable/InRelease"]
    world.put("dists/stable/Release", release)


def no_text(world: World, other: Key) -> None:
    world.put("dists/stable/InRelease", b"<html>log in to use this network</html>\n")


def another_index(world: World, other: Key) -> None:
    sources = world.publish()["dists/stable/main/source/Sources"]
    world.put("dists/stable/main/source/Sources", sources.replace(b"1.0-3", b"1.0-6"))


BAD = [
    (
        wrongly_signed,
        "GPG error: ADDRESS/debian stable InRelease: The following signatures couldn't be verified",
    ),
    (
        changed_after_signing,
        "GPG error: ADDRESS/debian stable InRelease: The following signatures were invalid",
    ),
    (not_signed, "The repository 'ADDRESS/debian stable Release' is no"),  # "t signed" or " longer signed"
    (
        no_text,
        "Failed to fetch ADDRESS/debian/dists/stable/InRelease  Clearsigned file isn't valid, got 'NOSPLIT'",
    ),
    (another_index, "Failed to fetch ADDRESS/debian/dists/stable/main/source/Sources  Hash Sum mismatch"),
]


@pytest.mark.parametrize(("spoil", "reason"), BAD)
def test_an_index_without_the_right_signature_is_never_used(
    world: World, other_key: Key, spoil: object, reason: str
) -> None:
    trusted = f"{world.sources}Trusted: yes\nAllow-Insecure: yes\n"
    world.configure({"debian.sources": trusted}, 'Acquire::AllowInsecureRepositories "true";\n')
    spoil(world, other_key)  # type: ignore[operator]
    said = world.refused(FetchError)
    assert said.startswith(f"Debian's archive cannot be asked: {reason}"), said


@pytest.mark.parametrize(("spoil", "reason"), [BAD[0], BAD[2], BAD[4]])
def test_an_index_that_goes_bad_leaves_the_good_one(
    world: World, other_key: Key, spoil: object, reason: str
) -> None:
    world.debian().find("fp16")
    world.now += DAY
    world.archive.add("stable", "fp16", "1.0-4", {"fp16_1.0.orig.tar.xz": LIE})
    spoil(world, other_key)  # type: ignore[operator]
    assert world.debian().find("fp16") == FIRST
    said = world.refused(FetchError, "fp16", "1.0-6")
    assert "\n  there is  1.0-3\n" in said
    assert f"\n  silent    {reason}" in said
    before = world.releases()
    assert world.debian().find("fp16") == FIRST
    assert world.releases() == before + 1


def test_an_archive_that_is_not_there(world: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        world.server.address, address = f"http://127.0.0.1:{free.getsockname()[1]}", world.server.address
        sources = world.sources.replace(address, world.server.address)
        world.configure({"debian.sources": sources})
        try:
            said = world.refused(FetchError)
        finally:
            world.server.address = address
    assert said.startswith(
        "Debian's archive cannot be asked: Failed to fetch ADDRESS/debian/dists/stable/InRelease"
    )
    assert "Connection refused" in said


def test_one_archive_of_two_is_enough_but_is_asked_again(world: World) -> None:
    dead = world.sources.replace(world.server.address, "http://localhost:1")  # tcpmux: nobody listens
    world.configure({"a.sources": dead, "debian.sources": world.sources})
    for _ in range(2):
        assert world.debian().find("fp16") == FIRST
    assert world.releases() == 2
    said = world.refused(FetchError, "fp16", "9-1")
    assert "  silent    Failed to fetch http://localhost:1/debian/dists/stable/InRelease" in said


def test_a_machine_without_apt(world: World, tmp_path: Path) -> None:
    world.env = {**world.env, "PATH": str(tmp_path)}
    assert world.refused(FetchError) == "Debian's archive cannot be asked: `apt-config` is not on PATH"


def test_an_apt_that_has_no_archive(world: World) -> None:
    for sources in (
        {},
        {"a.list": "deb http://127.0.0.1:1/x ./\n"},
        {"a.sources": f"{world.sources}Enabled: no\n"},
    ):
        world.configure(sources)
        (world.place / "etc/sources.list.d/debian.sources").unlink(missing_ok=True)
        said = world.refused(FetchError)
        assert said == "Debian's archive cannot be asked: no source of apt's has the component `main`"


def test_an_archive_on_disk_and_the_one_line_style(world: World, tmp_path: Path) -> None:
    debianarchive.write(world.archive.files(), tmp_path / "mirror")
    (tmp_path / "etc/sources.list.d/debian.sources").unlink()
    for scheme in ("file", "copy"):
        options = f"[arch=amd64 signed-by={world.archive.key.public}]"
        world.configure({"a.list": f"deb {options} {scheme}:{tmp_path}/mirror stable main # x\n"})
        assert world.debian().find("fp16") == FIRST
        assert world.download(FIRST) == OLD
        (tmp_path / "scratch" / FIRST.file).unlink()
    assert world.server.asked == []


def test_the_machines_own_state_and_hooks_are_left_alone(world: World, tmp_path: Path) -> None:
    mark = tmp_path / "hook"
    hooks = "".join(
        f'APT::Update::{one} {{"touch {mark}";}};\n' for one in ("Pre-Invoke", "Post-Invoke-Success")
    )
    state = tmp_path / "machine"
    world.configure(
        {"debian.sources": world.sources}, f'{hooks}Dir::State "{state}";\nDir::State::lists "{state}/l";\n'
    )
    assert world.download(FIRST) == OLD
    assert not mark.exists()
    assert not state.exists()
    kept = next((tmp_path / "apt").glob("*/sources/*"))
    assert (kept.stat().st_mode & 0o777, kept.parent.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_tarball_of_other_bytes(world: World) -> None:
    world.put("pool/fp16/fp16_1.0.orig.tar.xz", LIE)
    with pytest.raises(IntegrityError) as caught:
        world.download(FIRST)
    assert caught.value.message == (
        "fp16_1.0.orig.tar.xz of Debian's archive does not have its hash\n"
        f"  expected  {OLD_SHA}\n  actual    {hashlib.sha256(LIE).hexdigest()}"
    )


def test_a_tarball_that_is_longer(world: World) -> None:
    world.put("pool/fp16/fp16_1.0.orig.tar.xz", OLD * 2)
    with pytest.raises(IntegrityError) as caught:
        world.download(FIRST)
    assert "File has unexpected size" in caught.value.message


def test_an_index_that_names_other_bytes(world: World) -> None:
    with pytest.raises(IntegrityError) as caught:
        world.download(Orig("fp16", "1.0-3", FIRST.file, NEW_SHA))
    assert caught.value.message.endswith(f"  expected  {NEW_SHA}\n  actual    {OLD_SHA}, by Debian's index")


def test_a_tarball_that_has_left_the_pool(world: World) -> None:
    del world.server.pages["/debian/pool/fp16/fp16_1.0.orig.tar.xz"]
    with pytest.raises(FetchError) as caught:
        world.download(FIRST)
    assert "fp16_1.0.orig.tar.xz could not be had from apt's archives: " in caught.value.message
    assert "404" in caught.value.message


def test_many_at_once_ask_once(world: World) -> None:
    one = world.debian()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda at: (one if at % 2 else world.debian()).find("fp16"), range(6)))
    assert found == [FIRST] * 6
    assert world.releases() == 1


def test_what_a_killed_update_leaves_is_made_good(world: World) -> None:
    index = world.debian()._index(None, again=False)
    (index / "updated").unlink()
    for path in (index / "lists").glob("*_Sources*"):
        path.rename(index / "lists/partial" / path.name)
    assert world.debian().find("fp16") == FIRST
    assert world.releases() == 2


def fetcher(world: World) -> Fetcher:
    store = Store(world.place / "store")
    git = Git(store.root / "git", rewrite=lambda url: url, timeout=5, env=world.env)
    index = Index(sys.executable, {**world.env, "PIP_CONFIG_FILE": os.devnull})
    settings = Settings(store.root, {}, timeout=60)
    return Fetcher(store, git, index, world.debian(), settings, Report(QUIET))


LOCKED = DebianOrigin(
    debian="fp16", version="1.0-3", file="fp16_1.0.orig.tar.xz", sha256=OLD_SHA, path="fp16-1.0"
)


def source(*origins: Origin) -> dict[str, SourceTree]:
    tree = SourceTree("fp16", NAR, None, None, Filter(("fp16.h",)), origins)
    return {path_name(tree): tree}


def on_disk(world: World, file: str, data: bytes) -> UrlOrigin:
    (world.place / file).write_bytes(data)
    return UrlOrigin(url=f"file://{world.place}/{file}", sha256=OLD_SHA, path="fp16-1.0")


def test_a_source_is_fetched_from_it(world: World) -> None:
    wanted, one = source(LOCKED), fetcher(world)
    one.sources(wanted)
    path = one.store.path(*wanted)
    assert (path / "fp16.h").read_bytes() == b"old\n"
    asked = len(world.server.asked)
    fetcher(world).archive(LOCKED)  # it is kept
    assert len(world.server.asked) == asked


def test_where_it_gives_other_bytes_the_next_origin_is_tried(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put("pool/fp16/fp16_1.0.orig.tar.xz", LIE)
    second = on_disk(world, "second.tar.xz", OLD)
    wanted, one = source(LOCKED, second), fetcher(world)
    with pytest.raises(IntegrityError, match="source `fp16` does not match its lock"):
        one.sources(source(LOCKED))
    one.sources(wanted)
    assert one.store.has(*wanted)
    assert f"  actual    {hashlib.sha256(LIE).hexdigest()}" in capsys.readouterr().err


def test_where_there_is_no_apt_the_next_origin_is_tried(world: World, tmp_path: Path) -> None:
    world.env = {**world.env, "PATH": str(tmp_path)}
    second = on_disk(world, "second.tar.xz", OLD)
    one = fetcher(world)
    one.sources(source(LOCKED, second))
    assert one.store.has(*source(LOCKED))


def asked(*origins: Origin) -> Source:
    return Source("fp16", None, origins, Taken(include=("fp16.h",)), {})


def test_locking_says_all_that_the_spec_leaves_out(world: World) -> None:
    spec = asked(DebianOrigin(debian="fp16"))
    made = resolve.Resolver(fetcher(world), None).lock([spec])
    assert made.sources["fp16"].origins == (LOCKED,)
    assert made.sources["fp16"].hash == NAR
    assert lock.unsatisfied(made, [spec]) == []
    written = lock.render(made)
    assert lock.parse(written.encode(), "x") == made
    assert "  - debian: fp16\n      version: 1.0-3\n      file: fp16_1.0.orig.tar.xz\n" in written
    other = asked(DebianOrigin(debian="fp16", suite="next"))
    assert lock.unsatisfied(made, [other]) == ["source `fp16` has other origins than its lock"]


def test_locking_again_without_an_archive_keeps_what_is_locked(world: World, tmp_path: Path) -> None:
    spec = asked(DebianOrigin(debian="fp16"), on_disk(world, "second.tar.xz", OLD))
    first = resolve.Resolver(fetcher(world), None).lock([spec])
    world.env = {**world.env, "PATH": str(tmp_path)}
    assert resolve.Resolver(fetcher(world), first).lock([spec]) == first
    with pytest.raises(FetchError, match="`apt-config` is not on PATH"):
        resolve.Resolver(fetcher(world), None).lock([spec])


def test_origins_that_disagree_are_not_locked(world: World) -> None:
    world.archive.add("stable", "fp16", "2.0-1", {"fp16_2.0.orig.tar.xz": NEW})
    world.publish()
    spec = asked(DebianOrigin(debian="fp16"), on_disk(world, "second.tar.xz", OLD))
    with pytest.raises(IntegrityError, match="the origins of `fp16` disagree; nothing is locked"):
        resolve.Resolver(fetcher(world), None).lock([spec])
    pinned = asked(DebianOrigin(debian="fp16", version="1.0-3"), *spec.origins[1:])
    made = resolve.Resolver(fetcher(world), None).lock([pinned])
    assert made.sources["fp16"].origins == (LOCKED, *spec.origins[1:])


def test_gc_removes_indexes(world: World) -> None:
    one = fetcher(world)
    one.debian = Debian(one.store.root / "apt", world.env, clock=lambda: world.now)
    one.sources(source(LOCKED))
    removed = storegc.gc(one.store, list(source(LOCKED)))
    assert [found.name.partition("/")[0] for found in removed] == ["apt", "apt", "archives", "archives"]
    assert list((one.store.root / "apt").iterdir()) == []
    assert Debian(one.store.root / "apt", world.env).find("fp16") == FIRST


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"a/b": b"", "a/c/d": b""}, "a"),
        ({"a/b": b"", "b": b""}, None),
        ({"a/b": b"", "b/c": b""}, None),
    ],
)
def test_the_directory_that_all_of_a_tarball_lies_in(
    world: World, files: dict[str, bytes], path: str | None
) -> None:
    world.archive.add("stable", "odd", "1-1", {"odd_1.orig.tar.xz": tarball(files)})
    world.publish()
    found = carriers.completed(fetcher(world), DebianOrigin(debian="odd"))
    assert (found.path, found.file) == (path, "odd_1.orig.tar.xz")
    given = DebianOrigin(debian="odd", path="a", version="1-1")
    assert carriers.completed(fetcher(world), given) == found.model_copy(update={"path": "a"})
    assert carriers.completed(fetcher(world), LOCKED) is LOCKED


@pytest.mark.network
def test_debian_carries_fp16_as_upstream_has_it(tmp_path: Path) -> None:
    found = Debian(tmp_path / "apt", os.environ)
    got = found.download(found.find("fp16"), tmp_path)
    writer = TreeWriter(tmp_path / "tree", Filter(), got.name)
    archives.unpack(
        got, got.name, [Want(archives.top_directory(got, got.name) or "", writer)], lambda *_: None
    )
    node = files.read_tree(tmp_path / "tree")
    assert isinstance(node, hashes.Directory)
    assert hashes.git_tree_id(node) == "163fb25e56cc7dea72ff60812fb7023d961b08cf"
