from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import condachannel
import pytest
import yaml
from condachannel import CHANNEL
from indexserver import Listing, Server, serve, wheel

from recipes import pipconfig
from recipes.conda import listed, lockfile
from recipes.conda.block import Conda
from recipes.conda.lockfile import CondaLock, CondaPackage
from recipes.health import releases
from recipes.health.model import Package
from recipes.health.packages import Finder, find
from recipes.listing import Listed
from recipes.pipconfig import IndexSettings
from recipes.report import QUIET, Report
from recipes.requirements import Requirements, Wheel, render
from recipes.run import Run
from recipes.spec import Environment, Specs

TODAY = date(2026, 11, 25)
X86 = "manylinux2014_x86_64"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as index:
        index.json = True
        yield index


@dataclass(frozen=True)
class Checkout:
    """A checkout with nothing but locks, and a user whose pip asks the given indexes."""

    root: Path
    env: dict[str, str]

    @property
    def run(self) -> Run:
        return Run(Report(QUIET), self.env, self.root)

    def specs(self, variant: str = "v", **more: Any) -> Specs:
        values = {"summary": "s", "target": "t", "platforms": ["linux-64"], "sources": {"t": None}, **more}
        return Specs(variant, Environment.model_validate(values), {}, {})

    def lock(self, toolchain: Sequence[Wheel], development: Sequence[Wheel] = (), variant: str = "v") -> None:
        for name, them in (("requirements", toolchain), ("development", development)):
            (self.root / f"locks/{variant}.{name}.txt").write_text(render(Requirements(tuple(them))))

    def found(self, **more: Any) -> tuple[Package, ...]:
        return find(self.run, self.specs(**more), TODAY)

    def asks(self, *urls: str) -> Checkout:
        return replace(
            self, env={**self.env, "PIP_INDEX_URL": urls[0], "PIP_EXTRA_INDEX_URL": " ".join(urls[1:])}
        )


def _settings(_: str, env: Mapping[str, str]) -> IndexSettings:
    """Say what pip would say, which takes half a second to ask."""
    extra, none = tuple(env.get("PIP_EXTRA_INDEX_URL", "").split()), "PIP_NO_INDEX" in env
    return IndexSettings((env["PIP_INDEX_URL"],), extra, no_index=none)


@pytest.fixture
def checkout(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    for name in ("environments", "recipes/components", "locks", "home"):
        (tmp_path / name).mkdir(parents=True)
    home = str(tmp_path / "home")
    monkeypatch.setenv("NETRC", f"{home}/.netrc")  # unearth reads it from the process's environment
    monkeypatch.setattr(pipconfig, "read_settings", _settings)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "PIP_CONFIG_FILE": os.devnull,
        "RECIPES_STORE": f"{home}/store",
    }
    return Checkout(tmp_path, env).asks(server.url)


def add(
    server: Server, version: str, day: str | None = None, *, tags: str = "py3-none-any", **more: Any
) -> Listing:
    """List a wheel of `tool`."""
    listing = server.add("tool", wheel("tool", version, tags=tags))
    listing.uploaded = f"{day}T23:59:59.123456Z" if day else None
    for name, value in more.items():
        setattr(listing, name, value)
    return listing


def locked(one: Listing, version: str = "1.0", platform: str = "linux-64", python: str = "") -> Wheel:
    return Wheel("tool", version, one.file, one.sha256 or "0" * 64, platform, (), python)


# package indexes


def test_what_an_index_tells_of_a_wheel(server: Server, checkout: Checkout) -> None:
    checkout.lock([locked(add(server, "1.0", "2024-02-03"))])
    add(server, "1.0", "2024-01-31", tags=f"cp311-cp311-{X86}")  # of the same version, and earlier
    add(server, "0.9", "2023-01-01")
    add(server, "1.1", "2024-05-01")
    add(server, "2.0", "2025-05-01", tags=f"cp311-cp311-{X86}")
    assert checkout.found() == (
        Package("toolchain", "tool", "1.0", date(2024, 1, 31), "2.0", 2, yanked=False, listing="listed"),
    )


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("1.1rc1", {}),
        ("1.1.dev3", {}),
        ("1.0", {"tags": "py2.py3-none-any"}),
        ("1.1", {"yanked": True}),
        ("1.1", {"yanked": "broken"}),
        ("1.1", {"tags": "py3-none-win_amd64"}),
        ("1.1", {"tags": "py3-none-manylinux_2_39_x86_64"}),
        ("1.1", {"tags": f"cp312-cp312-{X86}"}),
        ("1.1", {"requires": ">=3.12"}),
        ("1.1", {"file": "tool-1.1.tar.gz"}),
        ("1.1", {"file": "other-1.1-py3-none-any.whl"}),
        ("1.1", {"file": "tool-1.1-nonsense.whl"}),
        ("1.1", {"file": f"tool-1.1-{'.'.join(['py3'] * 900)}-{'.'.join(['none'] * 900)}-any.whl"}),
    ],
)
@pytest.mark.parametrize("form", ["json", "html"])
def test_a_version_that_is_not_counted(
    server: Server, checkout: Checkout, form: str, version: str, more: dict[str, Any]
) -> None:
    server.json = form == "json"
    checkout.lock([locked(add(server, "1.0"))])
    add(server, version, **more)
    (found,) = checkout.found()
    assert (found.newest, found.newer, found.yanked, found.unknown) == ("1.0", 0, False, None)


def test_a_version_from_after_the_day_is_not_counted(server: Server, checkout: Checkout) -> None:
    checkout.lock([locked(add(server, "1.0", "2024-02-03"))])
    add(server, "1.1", "2026-11-26")
    assert checkout.found()[0].newer == 0


def test_pages_of_html_have_no_days(server: Server, checkout: Checkout) -> None:
    server.json = False
    checkout.lock([locked(add(server, "1.0", "2024-02-03", yanked="it & they <broke>"))])
    add(server, "1.1", "2024-05-01", requires=">=3.9")
    assert checkout.found() == (
        Package("toolchain", "tool", "1.0", None, "1.1", 1, yanked="it & they <broke>", listing="listed"),
    )


def test_anchors_that_are_no_files(server: Server, checkout: Checkout) -> None:
    server.json = False
    one = add(server, "1.0")
    checkout.lock([locked(one)])
    server.behaviour = (
        f'<a name="top"></a><base href="x/"><a href="{one.file}#sha256={one.sha256}">f</a>'.encode()
    )
    assert checkout.found()[0].listing == "listed"


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize(
    ("yanked", "told"),
    [(True, True), ("", False), ("a\x1b[31m\nb", r"a\x1b[31m b"), ("x" * 999, f"{'x' * 300}…")],
)
def test_a_yanked_wheel(server: Server, checkout: Checkout, form: str, yanked: Any, told: Any) -> None:
    server.json = form == "json"
    checkout.lock([locked(add(server, "1.0", yanked=yanked))])
    # an empty reason is a reason in HTML (PEP 592), and in JSON false (PEP 691)
    assert checkout.found()[0].yanked == (True if form == "html" and yanked == "" else told)


def test_a_wheel_that_is_gone_or_is_another_now(server: Server, checkout: Checkout) -> None:
    add(server, "1.1", "2025-01-01")
    gone = Wheel("tool", "1.0", "tool-1.0-py3-none-any.whl", "0" * 64, "linux-64")
    checkout.lock([gone])
    expected = Package("toolchain", "tool", "1.0", None, "1.1", 1, yanked=False, listing="withdrawn")
    assert checkout.found() == (expected,)
    add(server, "1.0", "2024-01-01")
    assert checkout.found() == (replace(expected, released=date(2024, 1, 1), listing="another hash"),)
    server.projects.clear()
    assert checkout.found() == (replace(expected, newest="1.0", newer=0),)


def test_a_file_without_a_hash_is_the_locked_one(server: Server, checkout: Checkout) -> None:
    one = server.add("tool", wheel("tool", "1.0"), sha256=None)
    checkout.lock([locked(one)])
    assert checkout.found()[0].listing == "listed"


def test_a_version_counts_that_has_files_for_all_that_are_locked(server: Server, checkout: Checkout) -> None:
    pythons = {python: f"cp{python.replace('.', '')}" for python in ("3.11", "3.12")}
    files = {python: add(server, "1.0", tags=f"{tag}-{tag}-{X86}") for python, tag in pythons.items()}
    checkout.lock([], [locked(one, python=python) for python, one in files.items()])
    add(server, "1.1", tags=f"cp312-cp312-{X86}")
    add(server, "1.2", tags=f"cp312-cp312-{X86}")
    add(server, "1.2", tags=f"cp311-cp311-{X86}")
    add(server, "1.3", tags=f"cp311-abi3-{X86}")
    (found,) = checkout.found(development={"python": ["3.11", "3.12"], "packages": ["tool"]})
    assert (found.kind, found.newest, found.newer) == ("development", "1.3", 2)


def test_a_wheel_for_every_python_is_asked_of_every_python(server: Server, checkout: Checkout) -> None:
    checkout.lock([], [locked(add(server, "1.0"))])
    add(server, "1.1", requires=">=3.12")
    development = {"python": ["3.11", "3.12"], "packages": ["tool"]}
    assert checkout.found(development=development)[0].newer == 0
    assert checkout.found(development={**development, "python": ["3.12"]})[0].newer == 1


def test_two_versions_of_a_project_are_two_packages(server: Server, checkout: Checkout) -> None:
    old, new = add(server, "1.0", tags="cp311-none-any"), add(server, "1.5", tags="cp312-none-any")
    checkout.lock([], [locked(old, python="3.11"), locked(new, "1.5", python="3.12")])
    found = checkout.found(development={"python": ["3.11", "3.12"], "packages": ["tool"]})
    assert [(one.version, one.newest) for one in found] == [("1.0", "1.0"), ("1.5", "1.5")]


def test_a_project_is_asked_for_once(server: Server, checkout: Checkout) -> None:
    one = add(server, "1.0")
    for variant in ("v", "w"):
        checkout.lock([locked(one), locked(one, platform="linux-aarch64")], [locked(one)], variant)
    finder = Finder(checkout.run)
    development = {"python": ["3.11"], "packages": ["tool"]}
    both = [finder.find(checkout.specs(variant, development=development), TODAY) for variant in ("v", "w")]
    assert both[0] == both[1]
    assert [one.kind for one in both[0]] == ["toolchain", "development"]
    assert server.asked == ["/simple/tool/"]


DEAD = "http://127.0.0.1:1/simple/"


def test_an_index_out_of_reach_is_asked_once(server: Server, checkout: Checkout) -> None:
    other = server.add("other", wheel("other", "1.0"))
    checkout.lock([locked(add(server, "1.0")), Wheel("other", "1.0", other.file, "0" * 64, "linux-64")])
    found = checkout.asks(DEAD).found()
    assert [(one.name, one.newest, one.newer, one.yanked, one.listing) for one in found] == [
        ("other", None, None, None, None),
        ("tool", None, None, None, None),
    ]
    assert len({one.unknown for one in found}) == 1
    assert str(found[0].unknown).startswith(f"package index {DEAD} cannot be reached: ")
    assert not server.asked


def test_an_index_out_of_reach_beside_one_that_has_the_wheel(server: Server, checkout: Checkout) -> None:
    checkout.lock([locked(add(server, "1.0"))])
    both = checkout.asks(DEAD, server.url)
    assert (both.found()[0].listing, both.found()[0].unknown) == ("listed", None)
    server.projects.clear()  # the other might have it
    assert both.found()[0].listing is None
    assert "cannot be reached" in str(both.found()[0].unknown)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (500, "answers with HTTP status 500"),
        (b"\xff\xfe garbage", "its page cannot be read: "),
        (b'{"files": 3}', "its page cannot be read: JSON without a list of files"),
        ("cut-off", "peer closed connection"),
    ],
)
def test_an_index_that_misbehaves(server: Server, checkout: Checkout, behaviour: Any, why: str) -> None:
    checkout.lock([locked(add(server, "1.0"))])
    server.behaviour = behaviour
    (found,) = checkout.found()
    assert str(found.unknown).startswith(f"package index {server.url} cannot be read: {why}")
    assert (found.newest, found.listing) == (None, None)


@pytest.mark.parametrize("value", [3, "yesterday", "2026-99-01T00:00:00Z", [], {"a": 1}, ""])
def test_values_of_no_meaning_are_not_known(server: Server, checkout: Checkout, value: Any) -> None:
    checkout.lock([locked(add(server, "1.0", uploaded=value, requires=value))])
    (found,) = checkout.found()
    assert (found.released, found.unknown, found.listing) == (None, None, "listed")


def test_where_to_ask_is_what_pip_is_told(
    server: Server, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("NETRC", str(checkout.root / "home/.netrc"))
    checkout.lock([locked(add(server, "1.0"))])
    assert checkout.found()[0].listing == "listed"


def test_no_index_at_all(checkout: Checkout) -> None:
    checkout.lock([Wheel("tool", "1.0", "tool-1.0-py3-none-any.whl", "0" * 64, "linux-64")])
    none = replace(checkout, env={**checkout.env, "PIP_NO_INDEX": "1"})
    assert str(none.found()[0].unknown).startswith("pip is configured to ask no index (`no-index`)")


def test_nothing_is_locked(checkout: Checkout, server: Server) -> None:
    checkout.lock([])
    assert checkout.found() == ()
    assert not server.asked


@pytest.mark.parametrize(
    ("tags", "platform", "right"),
    [
        ("py3-none-macosx_10_10_universal2", "osx-arm64", True),
        ("py3-none-macosx_11_0_arm64", "osx-arm64", True),
        ("py3-none-macosx_15_0_arm64", "osx-arm64", False),
        ("py3-none-macosx_11_0_x86_64", "osx-arm64", False),
        ("py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64", "linux-aarch64", True),
        ("py3-none-manylinux1_x86_64", "linux-64", True),
        ("py3-none-musllinux_1_1_x86_64", "linux-64", False),
        (f"cp38-abi3-{X86}", "linux-64", True),
    ],
)
def test_wheels_that_pip_would_take(tags: str, platform: str, right: bool) -> None:
    assert releases.fits(Listed("", f"tool-1.0-{tags}.whl"), platform, "3.11") is right


def test_a_version_of_python_that_nobody_can_read_is_not_looked_at() -> None:
    assert releases.fits(Listed("", "tool-1.0-py3-none-any.whl", requires=">=three"), "linux-64", "3.11")


# conda's channels


def package(name: str, version: str, platform: str = "linux-64", subdir: str | None = None) -> CondaPackage:
    """Give a package of the small channel as a lock has it."""
    subdir = subdir or platform
    file = f"{name}-{version}-h0_0.conda"
    sha256 = str(condachannel.record(name, version, (), subdir, 0)["sha256"])
    return CondaPackage(name, version, "h0_0", platform, subdir, f"{CHANNEL}/{subdir}/{file}", sha256, "")


def a_lock(*packages: CondaPackage, channels: tuple[str, ...] = (CHANNEL,)) -> CondaLock:
    return CondaLock(channels, tuple(sorted({one.platform for one in packages})), packages)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., dict[str, listed.Told]]:
    """Give the question what a channel of files has of a lock's packages."""
    home = tmp_path / "user"
    home.mkdir()

    def asked(place: Path, lock: CondaLock) -> dict[str, listed.Told]:
        told = listed.ask(condachannel.locker(home, place), lock, 5)
        return {
            f"{one.name} {one.version}" if len(lock.platforms) == 1 else f"{one.name} {one.platform}": it
            for one, it in told
        }

    return asked


Ask = Callable[[Path, CondaLock], dict[str, listed.Told]]
FIRST, SECOND = date(2023, 11, 14), date(2023, 11, 15)


def test_what_a_channel_has(tmp_path: Path, ask: Ask) -> None:
    place = condachannel.make(tmp_path / "channel")
    told = ask(
        place,
        a_lock(package("cmake", "3.30.0"), package("zlib", "1.3"), package("tool", "1.0", subdir="noarch")),
    )
    assert told == {
        "cmake 3.30.0": listed.Told("listed", FIRST, ("3.31.0", "4.0.0")),
        "zlib 1.3": listed.Told("listed", SECOND),
        "tool 1.0": listed.Told("listed", FIRST),
    }


def test_a_package_that_was_withdrawn_or_is_another_now(tmp_path: Path, ask: Ask) -> None:
    place = condachannel.make(tmp_path / "channel", without=["cmake-3.30.0-h0_0.conda"])
    other = replace(package("zlib", "1.2"), sha256="0" * 64)
    told = ask(place, a_lock(package("cmake", "3.30.0"), other, package("gone", "1")))
    assert told == {
        "cmake 3.30.0": listed.Told("withdrawn", None, ("3.31.0", "4.0.0")),
        "zlib 1.2": listed.Told("another hash", None, ("1.3",)),
        "gone 1": listed.Told("withdrawn"),
    }


def with_records(place: Path, *records: dict[str, Any]) -> Path:
    rows = {f"{one['name']}-{one['version']}-{one['build']}.conda": one for one in records}
    for subdir in ("linux-64", "noarch"):
        found = {file: one for file, one in rows.items() if one["subdir"] == subdir}
        condachannel.write(
            place, subdir, {"info": {"subdir": subdir}, "packages": {}, "packages.conda": found}
        )
    return place


def a_record(version: str, depends: Sequence[str] = (), name: str = "lib") -> dict[str, Any]:
    return condachannel.record(name, version, depends, "linux-64", 0)


def test_versions_of_a_channel_that_are_not_counted(tmp_path: Path, ask: Ask) -> None:
    versions = ["1.1.1a", "1.1.1w", "2.0rc1", "2.0a1", "2.0.dev1", "2.0b", "2026c", "1.0"]
    place = with_records(tmp_path / "channel", a_record("1.1.1"), *map(a_record, versions))
    told = ask(place, a_lock(package("lib", "1.1.1a")))
    assert told["lib 1.1.1a"].newer == ("1.1.1w", "1.1.1", "2.0b", "2026c")  # in conda's order


def test_a_package_for_another_python_is_not_counted(tmp_path: Path, ask: Ask) -> None:
    place = with_records(
        tmp_path / "channel",
        a_record("1.0"),
        a_record("1.1", ["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"]),
        a_record("1.2", ["python >=3.12,<3.13.0a0", "python_abi 3.12.* *_cp312"]),
        a_record("1.3", ["python >=3.9"]),
        a_record("1.4", ["python 3.[oops"]),
        *(a_record(one, name="python") for one in ("3.11.2", "3.11.3", "3.12.0")),
    )
    abi = replace(package("python_abi", "3.11"), build="8_cp311")
    told = ask(place, a_lock(package("lib", "1.0"), package("python", "3.11.2"), abi))
    assert told["lib 1.0"].newer == ("1.1", "1.3")
    assert told["python 3.11.2"].newer == ("3.11.3",)
    assert ask(place, a_lock(package("lib", "1.0")))["lib 1.0"].newer == ("1.1", "1.2", "1.3")


def test_a_channel_out_of_reach_is_one_reason(tmp_path: Path, ask: Ask) -> None:
    lock = a_lock(
        *(package(name, "1", platform) for name in "ab" for platform in ("linux-64", "linux-aarch64"))
    )
    told = ask(tmp_path / "nowhere", lock)
    assert len(told) == 4
    (why,) = {one.unknown for one in told.values()}
    assert why is not None
    assert why.startswith(f"channel `{CHANNEL}` cannot be reached file://{tmp_path}/nowhere")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/team", "https://u:hidden@127.0.0.1:1/team"])
def test_a_server_that_takes_no_connection(tmp_path: Path, url: str) -> None:
    locker = condachannel.locker(tmp_path, url)
    found = listed.ask(locker, a_lock(package("zlib", "1.3"), package("zlib", "1.3", "linux-aarch64")), 5)
    shown = url.replace("u:hidden@", "")
    why = f"channel `{CHANNEL}` cannot be reached: {shown}: Connection refused"
    assert [one.unknown for _, one in found] == [why] * 2


def test_a_mirror_that_answers_is_enough(tmp_path: Path) -> None:
    place = condachannel.make(tmp_path / "channel")
    locker = condachannel.locker(tmp_path, "http://127.0.0.1:1/team", place)
    ((_, told),) = listed.ask(locker, a_lock(package("zlib", "1.3")), 5)
    assert told.listing == "listed"


@pytest.mark.parametrize("text", ["", "garbage", "[]", '{"packages": 3}'])
def test_a_channel_of_garbage(tmp_path: Path, ask: Ask, text: str) -> None:
    place = condachannel.make(tmp_path / "channel")
    (place / "linux-64/repodata.json").write_text(text)
    told = ask(place, a_lock(package("zlib", "1.2")))
    assert told["zlib 1.2"].unknown
    assert told["zlib 1.2"].listing is None


def test_a_version_that_is_none(tmp_path: Path, ask: Ask) -> None:
    told = ask(condachannel.make(tmp_path / "channel"), a_lock(package("zlib", "%%")))
    assert str(told["zlib %%"].unknown).startswith("the channels cannot be read: ")


def write_lock(checkout: Checkout, *packages: CondaPackage) -> Conda:
    """Write a variant's conda lock as `recipes lock` does; give what its spec asks."""
    platforms = sorted({one.platform for one in packages})
    asked = Conda.model_validate(
        {
            "channels": [CHANNEL],
            "platforms": platforms,
            "dependencies": sorted({one.name for one in packages}),
        }
    )
    rows = [
        {
            "name": one.name, "version": one.version, "manager": "conda", "platform": one.platform,
            "dependencies": {}, "url": one.url, "hash": {"md5": "", "sha256": one.sha256},
        }
        for one in packages
    ]  # fmt: skip
    metadata = {"content_hash": {}, "channels": [{"url": CHANNEL}], "platforms": platforms}
    text = yaml.safe_dump({"version": 1, "metadata": metadata, "package": rows})
    (checkout.root / "locks/v.conda-lock.yml").write_text(lockfile.finished(text.encode(), asked))
    return asked


def in_channel(checkout: Checkout, place: Path) -> Checkout:
    (checkout.root / "condarc").write_text(json.dumps({"mirrored_channels": {CHANNEL: place.as_uri()}}))
    return replace(checkout, env={**checkout.env, "CONDARC": str(checkout.root / "condarc")})


def test_conda_packages_of_a_variant(tmp_path: Path, checkout: Checkout) -> None:
    place = condachannel.make(tmp_path / "channel")
    without = condachannel.index("linux-aarch64")
    del without["cmake-4.0.0-h0_0.conda"]
    condachannel.write(place, "linux-aarch64", {"info": {}, "packages": {}, "packages.conda": without})
    both = ("linux-64", "linux-aarch64")
    asked = write_lock(
        checkout, *(package(name, v, on) for name, v in [("cmake", "3.30.0"), ("zlib", "1.3")] for on in both)
    )
    checkout.lock([])
    finder = Finder(in_channel(checkout, place).run)
    found = finder.find(checkout.specs(conda=asked), TODAY)
    assert found == (
        Package("conda", "cmake", "3.30.0", FIRST, "3.31.0", 1, listing="listed"),  # 4.0.0 is not on both
        Package("conda", "zlib", "1.3", SECOND, "1.3", 0, listing="listed"),
    )
    condachannel.write(place, "linux-64", {"info": {}, "packages": {}})
    assert finder.find(checkout.specs(conda=asked), TODAY) == found  # asked once


def test_conda_packages_where_nothing_can_be_asked(tmp_path: Path, checkout: Checkout) -> None:
    asked = write_lock(checkout, package("zlib", "1.3"))
    checkout.lock([])
    (found,) = in_channel(checkout, tmp_path / "nowhere").found(conda=asked)
    assert found.listing is None
    assert str(found.unknown).startswith(f"channel `{CHANNEL}` cannot be reached")
    broken = in_channel(checkout, tmp_path)
    (checkout.root / "condarc").write_text("[]")
    (found,) = broken.found(conda=asked)
    assert found.unknown == f"{checkout.root}/condarc: expected a mapping"


def test_a_lister_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nread -r never < /dev/stdin; exec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(listed, "LONGEST", 0.2)
    ((_, told),) = listed.ask(
        condachannel.locker(tmp_path, python=str(program)), a_lock(package("zlib", "1.3")), 5
    )
    assert told.unknown == "the channels cannot be read: they took longer than 0.2 seconds"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "exit code 3"),
        ("echo a; echo b >&2; exit 1", "b"),
        ("echo nonsense", "Expecting value: line 1 column 1 (char 0)"),
        ('echo \'{"linux-64": {"packages": []}}\'', "zip() argument 2 is shorter than argument 1"),
    ],
)
def test_a_lister_that_fails(tmp_path: Path, script: str, why: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    ((_, told),) = listed.ask(
        condachannel.locker(tmp_path, python=str(program)), a_lock(package("zlib", "1.3")), 5
    )
    assert told.unknown == f"the channels cannot be read: {why}"
