"""Conda packages by hash, and installed: the kinds of packages, and what channels and mirrors get wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import condapackages
import pytest
from condapackages import PLACEHOLDER, Package, locked
from fileserver import PEM, Page, Server, serve

from recipes import files
from recipes.conda import prefix
from recipes.conda.channels import Condarc
from recipes.conda.prefix import Installer
from recipes.derivations import CondaPrefix, path_name
from recipes.errors import FetchError, IntegrityError, ToolchainError
from recipes.report import QUIET, Report
from recipes.store import Store

CHANNEL = "https://conda.example/team"
PYTHON = Package(
    "python",
    "3.11.9",
    {"bin/python3.11": f"#!/bin/sh\nexec {PLACEHOLDER}/bin/real\n", "lib/python3.11/os.py": "pass\n"},
)
TOOL = Package(
    "tool",
    "1.0",
    {
        "site-packages/tool.py": "def main():\n    pass\n",
        "python-scripts/plain": f"#!{PLACEHOLDER}/bin/python\nprint(1)\n",
    },
    depends=["python"],
    subdir="noarch",
    programs=["run-tool = tool:main"],
)
OLD = Package("old", "2", {"share/old": f"in {PLACEHOLDER}/share\n"}, ending=".tar.bz2")
SCRIPTED = Package(
    "scripted",
    "1",
    {"bin/.scripted-post-link.sh": "#!/bin/sh\ntouch $PREFIX/ran\n", "share/scripted": "here\n"},
)
ALL = (PYTHON, TOOL, OLD, SCRIPTED)


def installer(place: Path, condarc: Condarc) -> Installer:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(place)}
    store = Store(place / "store")
    return Installer(store, Report(QUIET), sys.executable, env, condarc, lambda url: url, timeout=5)


def mirrored(*urls: str) -> Condarc:
    return Condarc(mirrored={CHANNEL: urls})


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("channel")
    condapackages.channel(place, ALL)
    return place


@pytest.fixture
def made(channel: Path, tmp_path: Path) -> Path:
    """Give a store path with all kinds of packages in it."""
    one = CondaPrefix(
        "/toolchain/conda", "linux-64", tuple(locked(each, CHANNEL) for each in ALL), "rattler 1"
    )
    name, ours = path_name(one), installer(tmp_path, mirrored(channel.as_uri()))
    ours.add(name, one)
    ours.store.verify(name)
    return ours.store.path(name)


def test_a_python_package_for_any_platform(made: Path) -> None:
    assert (made / "lib/python3.11/site-packages/tool.py").read_text() == "def main():\n    pass\n"
    program = (made / "bin/run-tool").read_text()
    assert program.startswith("#!/toolchain/conda/bin/python3.11\n")
    assert "from tool import main" in program
    assert (made / "bin/plain").read_text().startswith("#!/toolchain/conda/bin/python\n")
    assert list(made.rglob("*.pyc")) == []


def test_a_package_of_the_old_format(made: Path) -> None:
    assert (made / "share/old").read_text() == "in /toolchain/conda/share\n"


def test_the_store_path_tells_what_installed_it(made: Path) -> None:
    one = CondaPrefix(
        "/toolchain/conda", "linux-64", tuple(locked(each, CHANNEL) for each in ALL), "rattler 2"
    )
    assert path_name(one) != made.name
    assert path_name(replace(one, installer="rattler 1")) == made.name


def test_no_script_of_a_package_is_run(made: Path) -> None:
    assert (made / "share/scripted").read_text() == "here\n"
    assert not (made / "ran").exists()


def test_the_same_packages_are_the_same_bytes(made: Path, channel: Path, tmp_path: Path) -> None:
    packages = [locked(each, CHANNEL) for each in reversed(ALL)]
    other = installer(tmp_path / "other", mirrored(channel.as_uri()))
    (tmp_path / "other").mkdir()
    with other.store.scratch("test") as place:
        other.install(packages, place / "tree", "linux-64", "/toolchain/conda")
        files.remove(place / "tree/conda-meta")
        files.remove(place / "tree/CACHEDIR.TAG")
        assert files.tree_hash(place / "tree") == files.tree_hash(made)


def test_a_python_package_without_python(channel: Path, tmp_path: Path) -> None:
    ours = installer(tmp_path, mirrored(channel.as_uri()))
    with ours.store.scratch("test") as place, pytest.raises(ToolchainError) as raised:
        ours.install([locked(TOOL, CHANNEL)], place / "tree", "linux-64")
    assert raised.value.message.startswith("the conda packages cannot be installed\n  error  ")


def test_an_installation_without_an_end(
    channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "LONGEST", 0.5)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    ours = replace(installer(tmp_path, mirrored(channel.as_uri())), python=str(program))
    with ours.store.scratch("test") as place, pytest.raises(ToolchainError) as raised:
        ours.install([locked(OLD, CHANNEL)], place / "tree", "linux-64")
    assert raised.value.message == (
        "the conda packages cannot be installed\n  error  it took longer than 0.5 seconds"
    )


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as running:
        running.put(f"/team/linux-64/{OLD.file}", Page(OLD.data()))
        running.put(f"/t/hid-den/team/linux-64/{OLD.file}", Page(OLD.data()))
        running.put(f"/t/hid-den/liar/linux-64/{OLD.file}", Page(b"other"))
        yield running


def test_credentials_of_settings_are_used(server: Server, tmp_path: Path) -> None:
    host = server.address.partition("//")[2]
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password pass\n")
    package = locked(OLD, f"{server.address}/team")
    for at, condarc in enumerate(
        (
            Condarc(),
            Condarc(alias=f"http://other:word@{host}/"),
            Condarc(custom={"team": f"{server.address}/t/hid-den"}),
            Condarc(mirrored={"team": (f"http://other:word@{host}/team",)}),
        )
    ):
        ours = replace(installer(tmp_path, condarc), store=Store(tmp_path / str(at)))
        assert ours.archives([package])[package].read_bytes() == OLD.data()
    assert [(one.path.partition("/linux")[0], one.headers["authorization"]) for one in server.asked] == [
        ("/team", "Basic dXNlcjpwYXNz"),
        ("/team", "Basic b3RoZXI6d29yZA=="),
        ("/t/hid-den/team", "Basic dXNlcjpwYXNz"),
        ("/team", "Basic b3RoZXI6d29yZA=="),
    ]


@pytest.mark.parametrize(("name", "error"), [("liar", IntegrityError), ("none", FetchError)])
def test_no_token_is_told(
    server: Server, tmp_path: Path, name: str, error: type[FetchError | IntegrityError]
) -> None:
    ours = installer(tmp_path, mirrored(f"{server.address}/t/hid-den/{name}"))
    with pytest.raises(error) as raised:
        ours.archives([locked(OLD, CHANNEL)])
    assert len(server.asked) == 1
    assert "hid-den" not in f"{raised.value.message}{raised.value.hint}"


def test_certificates_that_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text(PEM)
    with serve(pem=tmp_path / "pem") as running:
        running.put(f"/linux-64/{OLD.file}", Page(OLD.data()))
        told = mirrored(running.address)
        with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            installer(tmp_path, told).archives([locked(OLD, CHANNEL)])
        installer(tmp_path, replace(told, ssl_verify=False)).archives([locked(OLD, CHANNEL)])


def test_a_proxy_of_conda(server: Server, tmp_path: Path) -> None:
    server.put(f"http://channel.invalid/linux-64/{OLD.file}", Page(OLD.data()))
    told = replace(mirrored("http://channel.invalid"), proxies={"http": server.address})
    installer(tmp_path, told).archives([locked(OLD, CHANNEL)])
    assert [one.path for one in server.asked] == [f"http://channel.invalid/linux-64/{OLD.file}"]
