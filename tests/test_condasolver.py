"""The solver program as conda-lock calls it, conda's settings of channels, and packages that move."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import condachannel
import pytest
from condachannel import CHANNEL, ENV, block, locker, mirrored, versions

from recipes import diff, located
from recipes.conda import channels, condalock, condarc, lockfile
from recipes.conda.channels import Condarc, public
from recipes.conda.condalock import Locker
from recipes.errors import FetchError, RecipesError, SpecError, ToolchainError, UsageError


@dataclass(frozen=True)
class Solver:
    """The solver program, called as conda-lock calls it."""

    place: Path

    def __call__(self, *specs: str, channel: str = CHANNEL, **told: Any) -> dict[str, Any]:
        """Solve for linux-64; give the answer."""
        settings: dict[str, Any] = {
            "mirrors": {},
            "before": None,
            "keep": {},
            "timeout": 5,
            "certificates": False,
        }
        condarc = told.pop("condarc", Condarc()).document()
        (self.place / "settings").write_text(json.dumps({**settings, "condarc": condarc, **told}))
        virtual = {"__glibc-2.28-0.tar.bz2": condachannel.record("__glibc", "2.28", [], "linux-64", 0)}
        condachannel.write(self.place / "virtual", "linux-64", {"packages": virtual})
        argv = ["create", "--prefix", "/nowhere", "--dry-run", "--json", "--override-channels"]
        argv += ["--channel", channel, "--channel", (self.place / "virtual").as_uri(), *specs]
        answer: dict[str, Any] = json.loads(self.run(*argv))
        assert answer["success"] is ("actions" in answer)
        return answer

    def run(self, *argv: str) -> str:
        """Run the program, which has nothing to say besides."""
        command = [
            sys.executable,
            "-m",
            "recipes.conda.solver",
            str(self.place / "settings"),
            "linux-64",
            *argv,
        ]
        env = ENV | {"HOME": str(self.place), "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert ended.stderr == ""
        assert ended.returncode == (1 if '"success": false' in ended.stdout else 0)
        return ended.stdout

    def versions(self, *specs: str, **told: Any) -> dict[str, str]:
        """Solve; give the version of each package."""
        return {one["name"]: one["version"] for one in self(*specs, **told)["actions"]["FETCH"]}


@pytest.fixture
def solver(home: Path) -> Solver:
    return Solver(home)


def test_the_solver_is_a_program_that_ends_well(index: Path, solver: Solver) -> None:
    for _ in range(4):  # a program that ends in the ordinary way after its work crashes every second time
        found = solver("gxx_linux-64 13.*", condarc=mirrored(index))
        assert [one["name"] for one in found["actions"]["FETCH"]] == ["gxx_linux-64", "zlib"]
    assert solver.run("--version") == "conda 24.1.0\n"


def test_mirrors_of_channels(index: Path, solver: Solver, tmp_path: Path) -> None:
    answers = [
        solver("zlib", condarc=mirrored(index)),
        solver("zlib", condarc=mirrored(tmp_path / "none", index)),  # one out of reach is passed over
        solver("zlib", mirrors={CHANNEL: index.as_uri()}),  # a mirror of the project's own settings
        solver("zlib", channel="a", condarc=Condarc(custom={"a": "https://channel.example"}),
               mirrors={"https://channel.example/a": index.as_uri()}),
    ]  # fmt: skip
    urls = [answer["actions"]["FETCH"][0]["url"] for answer in answers]
    assert urls == [
        *(f"{CHANNEL}/linux-64/zlib-1.3-h0_0.conda",) * 3,
        "https://channel.example/a/linux-64/zlib-1.3-h0_0.conda",
    ]


def test_a_date_leaves_out_what_came_later(index: Path, solver: Solver) -> None:
    noon = condachannel.EPOCH + condachannel.DAY // 2
    found = solver.versions("python=3.11", "cmake", "tool", condarc=mirrored(index), before=noon)
    assert found == {"cmake": "3.30.0", "python": "3.11.1", "tool": "1.0", "zlib": "1.2"}


def test_credentials_are_used_and_never_told(index: Path, solver: Solver, tmp_path: Path) -> None:
    secret = tmp_path / "t/to-ken/team"
    secret.parent.mkdir(parents=True)
    secret.symlink_to(index)
    told = solver("zlib", channel="team", condarc=Condarc(alias=f"file://{tmp_path}/t/to-ken"))
    assert told["actions"]["FETCH"][0]["url"] == f"file://{tmp_path}/team/linux-64/zlib-1.3-h0_0.conda"
    assert "to-ken" not in json.dumps(told)


LIES = [
    ({"sha256": None}, "the channel has no SHA-256 of zlib-1.3-h0_0.conda, and nothing is locked without"),
    (
        {"url": "https://me:pw@elsewhere.example/team"},
        (
            "a mirror names packages that are not its channel's\n"
            "  url  https://elsewhere.example/team/linux-64/zlib-1.3-h0_0.conda"
        ),
    ),
]


@pytest.mark.parametrize(("lie", "message"), LIES, ids=["no-hash", "elsewhere"])
def test_a_channel_that_lies(tmp_path: Path, solver: Solver, lie: dict[str, Any], message: str) -> None:
    place = condachannel.make(tmp_path / "lying", base_url=lie.get("url"))
    if "sha256" in lie:
        packages = condachannel.index("linux-64")
        del packages["zlib-1.3-h0_0.conda"]["sha256"]
        condachannel.write(place, "linux-64", {"packages": {}, "packages.conda": packages})
    assert solver("zlib", condarc=mirrored(place))["message"] == message


def test_an_index_that_is_none(tmp_path: Path, solver: Solver) -> None:
    place = condachannel.make(tmp_path / "broken")
    (place / "linux-64/repodata.json").write_bytes(b'{"packages": {')
    message = solver("zlib", condarc=mirrored(place))["message"]
    assert message.startswith(channels.UNREACHABLE)


def test_what_cannot_be_is_explained(index: Path, solver: Solver) -> None:
    told = mirrored(index)
    assert solver("nothing", condarc=told)["message"] == "No candidates were found for nothing *."
    message = solver("cmake=3.31", "zlib<1.3", condarc=told)["message"]
    assert message.splitlines()[0] == "cmake 3.31.* cannot be installed because there are no viable options:"
    assert "zlib" in message


def test_a_package_that_vanished_is_named(tmp_path: Path, solver: Solver) -> None:
    lacking = condachannel.make(tmp_path / "lacking", without=["zlib-1.2-h0_0.conda"])
    keep = {"linux-64": ['zlib[version="==1.2",build="h0_0"]']}
    assert "zlib ==1.2" in solver("python=3.11", condarc=mirrored(lacking), keep=keep)["message"]


@pytest.fixture(scope="module")
def older(index: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A lock of yesterday that answers today's spec."""
    asked = block(before="2023-11-15T00:00:00Z")
    made = locker(tmp_path_factory.mktemp("home"), index).lock(asked)
    before = lockfile.parse(made.encode(), "l")
    assert before.before == "2023-11-15T00:00:00Z"
    assert lockfile.unsatisfied(before, asked) == []
    return lockfile.finished(made.encode(), block()).encode()


MOVES = [
    (["python"], {"python": "3.11.2"}),
    (["zlib"], {"zlib": "1.3"}),  # which no spec names
    (["cmake"], {}),  # 3.31.0 needs a newer zlib, and that stays
    (["cmake", "zlib"], {"cmake": "3.31.0", "zlib": "1.3"}),
]


@pytest.mark.parametrize(("move", "moved"), MOVES)
def test_what_moves(
    index: Path, solver: Solver, older: bytes, move: list[str], moved: dict[str, str]
) -> None:
    old = lockfile.parse(older, "old")
    asked, keep = block().asked("linux-64"), condalock._kept(old, move)
    found = solver.versions(*asked, condarc=mirrored(index), keep=keep)
    assert found == versions(old) | moved


def test_a_package_moves_and_nothing_else(index: Path, home: Path, older: bytes) -> None:
    new = lockfile.parse(locker(home, index).lock(block(), older, ["python"]).encode(), "new")
    [python] = diff.conda(lockfile.parse(older, "old"), new)
    assert (python.project, python.old, python.new) == ("python", "3.11.1", "3.11.2")
    assert python.platforms == ("linux-64", "linux-aarch64", "osx-arm64")
    with pytest.raises(UsageError, match="no package `nothing` is locked that can be moved alone"):
        locker(home, index).lock(block(), older, ["nothing"])


def failure(found: Locker, **more: Any) -> RecipesError:
    with pytest.raises(RecipesError) as caught:
        found.lock(block(platforms=["linux-64"], platform_dependencies={}, **more))
    return caught.value


def test_nothing_answers_the_spec(index: Path, home: Path) -> None:
    error = failure(locker(home, index), dependencies=["nothing"])
    assert isinstance(error, ToolchainError)
    assert error.message == (
        "no conda environment can be found for linux-64\n  No candidates were found for nothing *."
    )


def test_a_channel_out_of_reach(tmp_path: Path, home: Path) -> None:
    error = failure(locker(home, "http://me:pass-word@127.0.0.1:1/t/to-ken/team", tmp_path / "none"))
    assert isinstance(error, FetchError)
    first, *rest = error.message.splitlines()
    assert first == f"channel `{CHANNEL}` cannot be reached"
    assert [line.split()[0] for line in rest] == ["http://127.0.0.1:1/team", (tmp_path / "none").as_uri()]
    assert "pass-word" not in error.message
    assert "to-ken" not in error.message


def settings(text: str, **environ: str) -> Condarc:
    return channels.parse(located.read(text.encode(), ".condarc", SpecError), environ)


def test_condas_settings_of_channels() -> None:
    found = settings(
        "channel_alias: https://$USER_NAME:${SECRET}@alias.example/conda\n"
        "custom_channels: {ours: https://ours.example, deep/er: https://deep.example}\n"
        "mirrored_channels: {conda-forge: [https://a.example/cf, https://b.example/cf/]}\n"
        "ssl_verify: no\nproxy_servers: {https: http://proxy.example}\nchannels: [defaults]\n",
        USER_NAME="me",
        SECRET="pw",
    )
    assert found.url("conda-forge", "https://x.example") == "https://me:pw@alias.example/conda/conda-forge"
    assert public(found.url("conda-forge", "")) == "https://alias.example/conda/conda-forge"
    assert found.url("ours/label/dev", "") == "https://ours.example/ours/label/dev"
    assert found.url("deep/er", "") == "https://deep.example/deep/er"
    assert found.url("https://u.example/c/", "") == "https://u.example/c"
    url = found.url("conda-forge", "")
    assert found.mirrors("conda-forge", url, str) == ("https://a.example/cf", "https://b.example/cf")
    assert found.mirrors("ours", "https://ours.example/ours", str) == ("https://ours.example/ours",)
    assert found.ssl_verify is False
    assert found.proxies == {"https": "http://proxy.example"}
    assert Condarc.of(json.loads(json.dumps(found.document()))) == found
    assert "pw" not in repr(found)


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://me:pw@h.example/a/b", "https://h.example/a/b"),
        ("https://h.example/t/tk-1/a", "https://h.example/a"),
        ("https://h.example/a/t/tk-1", "https://h.example/a"),
        ("https://h.example/a", "https://h.example/a"),
        ("conda-forge", "conda-forge"),
    ],
)
def test_a_url_without_what_is_secret(url: str, bare: str) -> None:
    assert public(url) == bare


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channel_alias: [a]\n", ".condarc:1:1: channel_alias: expected text"),
        ("custom_channels: [a]\n", ".condarc:1:1: custom_channels: expected a mapping"),
        ("mirrored-channels: {a: [{b: c}]}\n", ".condarc:1:1: mirrored_channels.a: expected text"),
    ],
)
def test_settings_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        settings(text)
    assert caught.value.message == message


def test_which_files_are_read_and_in_which_order(tmp_path: Path) -> None:
    for name, text in {
        "home/.condarc": "channel_alias: https://one\ncustom_channels: {a: https://a, b: https://b}\n",
        "prefix/.condarc": "channel_alias: https://two\nssl_verify: /certificates.pem\n",
        "mine": "custom_channels: {b: https://c}\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {"HOME": f"{tmp_path}/home", "CONDA_PREFIX": f"{tmp_path}/prefix", "CONDARC": f"{tmp_path}/mine"}
    found = condarc.read(env)
    assert (found.alias, found.ssl_verify) == ("https://two", "/certificates.pem")
    assert found.custom == {"a": "https://a", "b": "https://c"}
    assert condarc.read({**env, "CONDA_CHANNEL_ALIAS": "https://three"}).alias == "https://three"
    assert condarc.read({}) == Condarc()
    (tmp_path / "mine").write_text("- a\n")
    with pytest.raises(SpecError, match="expected a mapping"):
        condarc.read(env)
