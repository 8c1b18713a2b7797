"""`--toolchain conda`: locked packages are fetched by hash and installed, and build in the sandbox."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import condapackages
import pytest
import smallproject
from condapackages import PLACEHOLDER, Package
from smallproject import Small, Upstream

from recipes import toolchain
from recipes.conda.lockfile import CondaPackage
from recipes.errors import LockError, ToolchainError
from recipes.run import system

TRIPLE = {"linux-64": "x86_64-conda-linux-gnu", "linux-aarch64": "aarch64-conda-linux-gnu"}[system()]
TOOLS = ("gcc", "g++", "ar", "ranlib")

BLOCK = f"""
conda:
  channels: ["https://conda.example/team"]
  platforms: [{system()}]
  dependencies: [cmake, ninja, gxx_impl_{system()}]
"""


def packages() -> list[Package]:
    compiler = {f"bin/{TRIPLE}-{tool}": f"#!/bin/sh\nexec {PLACEHOLDER}/bin/real\n" for tool in TOOLS}
    compiler["bin/real"] = "#!/bin/sh\necho a compiler of conda\n"
    return [
        Package("cmake", "3.31.0", {"bin/cmake": smallproject.CMAKE}, subdir=system()),
        Package("ninja", "1.12.0", {"bin/ninja": smallproject.NINJA}, subdir=system()),
        Package(f"gcc_impl_{system()}", "13.3.0", compiler, subdir=system()),
        Package(
            f"gxx_impl_{system()}",
            "13.3.0",
            {"lib/binary": b"\x7fELF\0" + PLACEHOLDER.encode() + b"/lib\0end"},
            depends=[f"gcc_impl_{system()} 13.3.0"],
            subdir=system(),
        ),
    ]


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("channel")
    condapackages.channel(place / "team", packages())
    return place / "team"


@pytest.fixture(scope="module")
def locked(upstream: Upstream, channel: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the conda lock of `small`."""
    with smallproject.small(upstream, tmp_path_factory.mktemp("locked")) as made:
        ask(made, channel)
        made.run("lock", "--variant", "small", "conda").ok()
        return (made.root / "locks/small.conda-lock.yml").read_bytes()


@pytest.fixture
def small(upstream: Upstream, fetched: Path, channel: Path, locked: bytes, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(fetched)
        ask(made, channel)
        (made.root / "locks/small.conda-lock.yml").write_bytes(locked)
        yield made


def ask(small: Small, channel: Path) -> None:
    small.write("environments/small.yaml", smallproject.SMALL + BLOCK)
    (small.root / "environments/both.yaml").unlink()
    mirror(small, channel)


def mirror(small: Small, channel: Path) -> None:
    (small.place / "home/.condarc").write_text(
        f"mirrored_channels:\n  https://conda.example/team: [{channel.as_uri()}]\n"
    )


@pytest.mark.sandbox
def test_a_build_with_a_locked_environment(small: Small) -> None:
    plain = small.build().ok().out.split()
    ran = small.build("small", "--toolchain", "conda").ok()
    path, nar_hash = ran.out.split()
    assert path != plain[0]
    assert nar_hash == plain[1]  # the toy's toolchains are scripts, which write the same
    assert (small.root / "result-small-conda").readlink() == Path(path)
    [prefix] = small.entries("conda")
    assert (prefix / f"bin/{TRIPLE}-gcc").read_text() == "#!/bin/sh\nexec /toolchain/conda/bin/real\n"
    binary = (prefix / "lib/binary").read_bytes()
    assert binary.startswith(b"\x7fELF\0/toolchain/conda/lib\0")
    assert len(binary) == len(b"\x7fELF\0" + PLACEHOLDER.encode() + b"/lib\0end")
    assert sorted(one.name for one in prefix.iterdir()) == ["bin", "lib"]
    assert small.damage() == []
    again = small.build("small", "--toolchain", "conda").ok()
    assert "nothing to do: it is built" in again.err


@pytest.mark.sandbox
def test_two_stores_have_the_same_prefix(small: Small) -> None:
    hashes = set()
    for name in ("one", "another"):
        small.run("--store", str(small.place / name), "fetch", "-V", "small", "--toolchain", "conda").ok()
        [info] = (small.place / name / "info").glob("*-conda.json")
        hashes.add((info.name, json.loads(info.read_text())["nar_hash"]))
    assert len(hashes) == 1


def test_offline_after_a_fetch(small: Small) -> None:
    argv = ("--variant", "small", "--toolchain", "conda")
    ran = small.run("build", *argv, "--offline").failed(5)
    assert ran.error.startswith(
        "error: not in the store, and `--offline` allows no other place: cmake-3.31.0"
    )
    small.run("fetch", *argv).ok()
    mirror(small, small.place / "nowhere")
    small.run("build", *argv, "--offline").ok()


def test_a_channel_that_is_out_of_reach(small: Small) -> None:
    mirror(small, small.place / "nowhere")
    ran = small.build("small", "--toolchain", "conda").failed(5)
    assert ran.error == (
        "error: the conda channel at conda.example cannot be had: there is no such file\n\n"
        "hint: the `pypi` toolchain needs package indexes only: the same with `--toolchain pypi`\n"
    )
    assert small.damage() == []


def test_a_channel_that_lies(small: Small, channel: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(channel), str(tmp_path / "liar")], check=True)
    place = tmp_path / "liar" / system() / "ninja-1.12.0-0.conda"
    place.write_bytes(place.read_bytes() + b"more")
    mirror(small, tmp_path / "liar")
    ran = small.build("small", "--toolchain", "conda").failed(6)
    assert ran.error.startswith("error: conda package `ninja-1.12.0-0.conda` does not match its lock\n")
    assert small.entries("conda") == []
    assert small.damage() == []


def test_no_conda_in_the_spec(small: Small) -> None:
    small.write("environments/small.yaml", smallproject.SMALL)
    (small.root / "locks/small.conda-lock.yml").unlink()
    ran = small.build("small", "--toolchain", "conda").failed(4)
    assert ran.error == (
        "error: `small` has no conda environment: its spec has no `conda:`\n\n"
        "hint: the same with `--toolchain pypi`\n"
    )


@pytest.mark.sandbox
def test_a_development_environment(small: Small) -> None:
    prefix = small.place / "env"
    argv = ("--variant", "small", "--toolchain", "conda", "--path", str(prefix))
    small.run("env", "create", *argv).ok()
    shell = ("shell", "--variant", "small", "--path", str(prefix), "--")
    ran = small.run(*shell, "sh", "-c", '"$CC"; command -v cmake').ok()
    assert ran.out == f"a compiler of conda\n{prefix}/bin/cmake\n"
    assert (prefix / "tools/conda" / f"bin/{TRIPLE}-gcc").read_text() == (
        f"#!/bin/sh\nexec {prefix}/tools/conda/bin/real\n"
    )
    record = json.loads((prefix / "environment.json").read_text())
    assert record["toolchain"] == "conda"
    small.run("store", "gc").ok()
    small.run(*shell, "cc").ok()
    assert small.damage() == []


def test_a_place_with_a_space(small: Small) -> None:
    prefix = small.place / "an env"
    ran = small.run("env", "create", "-V", "small", "--toolchain", "conda", "--path", str(prefix)).failed(2)
    assert ran.error == (
        "error: conda packages have their prefix in scripts without quotes, and this one has a space: "
        f"{prefix}\n\nhint: name another directory: `--path DIR`\n"
    )


def test_no_development_environment_without_the_channel(small: Small) -> None:
    mirror(small, small.place / "nowhere")
    prefix = small.place / "env"
    ran = small.run("env", "create", "-V", "small", "--toolchain", "conda", "--path", str(prefix)).failed(5)
    assert ran.error == (
        "error: the conda channel at conda.example cannot be had: there is no such file\n\n"
        "hint: the `pypi` toolchain needs package indexes only: the same with `--toolchain pypi`\n"
    )
    assert not prefix.exists()


def package(name: str) -> CondaPackage:
    return CondaPackage(
        name, "1", "0", "linux-64", "linux-64", f"https://c/linux-64/{name}-1-0.conda", "0" * 64, ""
    )


ALL = ("cmake", "ninja", "gcc_impl_linux-64", "gxx_impl_linux-64")


def test_the_toolchain_of_an_environment() -> None:
    made = toolchain.conda([package(name) for name in ALL], "linux-64", "linux-64", "rattler 1")
    prefix = "/toolchain/conda/bin"
    assert (made.cmake, made.ninja) == (f"{prefix}/cmake", f"{prefix}/ninja")
    assert made.programs["c++"] == f'#!/bin/sh\nexec {prefix}/x86_64-conda-linux-gnu-g++ "$@"\n'
    assert made.settings["CMAKE_SHARED_LINKER_FLAGS"] == "-s -static-libstdc++ -static-libgcc"


@pytest.mark.parametrize("name", ALL)
def test_an_environment_without(name: str) -> None:
    with pytest.raises(LockError) as raised:
        toolchain.conda([package(one) for one in ALL if one != name], "linux-64", "linux-64", "rattler 1")
    assert raised.value.message == f"the locked conda environment has no `{name}` for linux-64"


def test_no_cross_compiler() -> None:
    with pytest.raises(ToolchainError) as raised:
        toolchain.conda([package(one) for one in ALL], "linux-aarch64", "linux-64", "rattler 1")
    assert raised.value.message == "the `conda` toolchain builds for linux-64 only, not for linux-aarch64"
