"""NNPACK's case end to end, on a small project of its shape: what floats is locked, and breaks on demand."""

from __future__ import annotations

import ctypes
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import condapackages
import nnpackshaped
import pytest
import smallproject
from condapackages import PLACEHOLDER, Package
from nnpackshaped import SOURCES, World

from recipes import files
from recipes.run import system

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.sandbox]

CUT_OFF = ("unshare", "--map-root-user", "--net", "--")  # no interface but a loopback that is down
NATIVE = pytest.mark.skipif(system() != "linux-64", reason="only x86-64 has the kernels that Python writes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, str]]]:
    place = tmp_path_factory.mktemp("mini")
    if (why := smallproject.refusal(place)) is not None:
        pytest.skip(why)
    world, commits = nnpackshaped.make(place)
    for variant in ("bare", "mini"):
        world.recipes("lock", "--variant", variant, *SOURCES).ok()
    yield world, commits
    files.remove(world.store / "paths")  # pytest keeps the directories of three runs


@pytest.fixture(scope="module")
def world(made: tuple[World, dict[str, str]]) -> World:
    """Give a place with all that the build fetches."""
    made[0].recipes("fetch", "--variant", "mini").ok()
    return made[0]


@pytest.fixture(scope="module")
def built(world: World) -> dict[str, str]:
    """Give what a build without any network made."""
    probe = subprocess.run([*CUT_OFF, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no network namespace can be made here: {probe.stderr.strip()}")
    ran = world.recipes("build", "--variant", "mini", "--json", before=CUT_OFF).ok()
    found: dict[str, str] = json.loads(ran.out)
    return found


def test_a_pin_before_the_deletion(made: tuple[World, dict[str, str]]) -> None:
    world, commits = made
    locked = world.locked()["mini-fp16"]
    assert (locked.ref, locked.commit) == ("master", commits["first"])
    assert locked.date == "2024-05-27T20:38:41Z"
    world.recipes("lock", "--variant", "mini", "--check").ok()
    now = subprocess.check_output(
        ["git", "ls-remote", world.url("mini-fp16"), "refs/heads/master"], text=True
    )
    assert now.split()[0] == commits["last"]


def test_a_build_without_network(built: dict[str, str]) -> None:
    lib = ctypes.CDLL(f"{built['path']}/lib/libmini_runtime.so")
    lib.runtime_backend.restype = ctypes.c_char_p
    assert lib.runtime_infer(10) == 105
    assert lib.runtime_infer(-4) == -42
    assert lib.runtime_backend().decode() == {"linux-64": "x86-64", "linux-aarch64": "neon"}[system()]


def test_the_log_names_the_back_end(world: World, built: dict[str, str]) -> None:
    log = world.store / "logs" / f"{Path(built['path']).name}.log"
    assert re.search(r"^the back end is (x86-64|neon)$", log.read_text(), re.MULTILINE)


def test_the_kernels_are_not_made_again(world: World, built: dict[str, str], tmp_path: Path) -> None:
    mine = world.trying(tmp_path)
    mine.edit(
        "environments/mini.yaml", "    PYTHON_EXECUTABLE", "    CMAKE_C_FLAGS: -O1\n    PYTHON_EXECUTABLE"
    )
    lines = mine.recipes("plan", "--variant", "mini").ok().out.splitlines()
    states = {line.split()[2][33:]: line.split()[0] for line in lines if line.split()[1] == "build"}
    assert states == {"mini-kernels": "have", "mini-nnpack": "build", "mini-runtime": "build"}


@NATIVE
def test_a_silent_fall_back_is_an_error(world: World) -> None:
    ran = world.recipes("build", "--variant", "bare").failed(9)
    assert ran.error.splitlines()[:2] == [
        "error: `mini-nnpack` did not say what its recipe expects in phase `configure`",
        "  expected  mini-nnpack backend is x86-64",
    ]
    log = re.search(r"^  log  +(.*)$", ran.error, re.MULTILINE)
    assert log
    assert "-- mini-nnpack backend is psimd\n" in Path(log[1]).read_text()


@NATIVE
def test_the_breakage_on_demand(world: World, made: tuple[World, dict[str, str]]) -> None:
    before = (world.root / "locks/mini.lock.yaml").read_bytes()
    ran = world.recipes("build", "--variant", "mini", "--override", "mini-fp16=master")
    assert ran.code == 9, ran.shown()  # with a traceback: the script's own
    assert "warning: this is not what the lock says: mini-fp16=master\n" in ran.err
    lines = ran.error.splitlines()
    assert lines[0] == "error: `mini-kernels` failed in phase `run`: exit code 1"
    assert "  ModuleNotFoundError: No module named 'fp16.avx'" in lines
    assert "known breakage `fp16-without-peachpy` of fp16, since 2024-05-27" in lines
    explained = ran.error.partition("known breakage")[2]
    assert "07ff4fd681127d86a06cb8d369cb96988de402e6" in explained
    assert "ModuleNotFoundError: No module named 'fp16.avx'" in explained
    assert "fp16: {ref: master, before: 2024-05-27T20:40:00Z}" in explained
    assert (world.root / "locks/mini.lock.yaml").read_bytes() == before
    assert not (world.root / "result-mini-unlocked").is_symlink()


@NATIVE
def test_a_download_ends_the_build(world: World, tmp_path: Path) -> None:
    mine = world.trying(tmp_path)
    recipe = "recipes/components/mini-nnpack/recipe.yaml"
    mine.edit(recipe, '    MINI_FP16_SOURCE_DIR: "{mini-fp16}"\n', "")
    lines = mine.recipes("build", "--variant", "mini").failed(9).error.splitlines()
    assert lines[0] == "error: `mini-nnpack` failed in phase `configure`: exit code 1"
    assert any("could not find git for clone of mini-fp16" in line for line in lines), lines


@NATIVE
def test_without_a_lock_it_downloads_and_breaks(world: World, built: dict[str, str], tmp_path: Path) -> None:
    """Show that the download works where git can be used, and that what it brings breaks the build."""
    [listing] = (world.store / "paths").glob("*-mini-nnpack/CMakeLists.txt")
    cmake, ninja, zig = (
        next((world.store / "paths").glob(f"*-{name}"))
        for name in (
            "cmake-[0-9]*/cmake/data/bin/cmake",
            "ninja-[0-9]*/ninja-*/scripts/ninja",
            "ziglang-*/ziglang/zig",
        )
    )
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\nexec {zig} cc "$@"\n')
    compiler.chmod(0o755)
    options = {
        **nnpackshaped.COMPILER, "CMAKE_C_COMPILER": compiler, "CMAKE_MAKE_PROGRAM": ninja,
        "MINI_NNPACK_BACKEND": "x86-64", "PYTHON_EXECUTABLE": sys.executable,
    }  # fmt: skip
    given = [f"-D{name}={value}" for name, value in options.items()]
    cache = str(tmp_path / "cache")
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    build = tmp_path / "build"
    argv = [str(cmake), "-S", str(listing.parent), "-B", str(build), "-G", "Ninja", *given]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (build / "mini-fp16-source/include/fp16.h").is_file()
    assert not (build / "mini-fp16-source/include/fp16/avx.py").exists()
    done = subprocess.run([ninja, "-C", build], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ModuleNotFoundError: No module named 'fp16.avx'" in done.stdout


AARCH64 = 183  # EM_AARCH64 of elf.h


def test_for_the_other_platform(world: World, built: dict[str, str]) -> None:
    other = next(one for one in ("linux-64", "linux-aarch64") if one != system())
    ran = world.recipes("build", "--variant", "mini", "--platform", other).ok()
    assert "mini-kernels: run" not in ran.err  # of no platform: the ones that are there
    path = Path(ran.out.splitlines()[0])
    header = (path / "lib/libmini_runtime.so").read_bytes()[:20]
    machine = struct.unpack("<H", header[18:])[0]
    assert header[:4] == b"\x7fELF"
    assert machine == (AARCH64 if other == "linux-aarch64" else 62)
    assert f"mini-runtime: not checked: it is for {other}, this is {system()}\n" in ran.err


def test_the_same_bytes_from_an_empty_store_elsewhere(
    world: World, built: dict[str, str], tmp_path: Path
) -> None:
    surroundings = {
        "TZ": "Pacific/Chatham",
        "LANG": "de_DE.ISO-8859-1",
        "PYTHONHASHSEED": "7",
        "SOURCE_DATE_EPOCH": "1",
    }
    place = tmp_path / "some where else"
    place.mkdir()
    there = world.copy(place, **surroundings)
    ran = there.recipes("build", "--variant", "mini", "--json", "--jobs", "1", umask=0o077).ok()
    found = json.loads(ran.out)
    assert Path(found["path"]).is_relative_to(place / "store")
    assert Path(found["path"]).name == Path(built["path"]).name
    assert found["nar_hash"] == built["nar_hash"]
    files.remove(there.store / "paths")


TRIPLE = {"linux-64": "x86_64-conda-linux-gnu", "linux-aarch64": "aarch64-conda-linux-gnu"}[system()]
CONDA = f"""
conda:
  channels: ["https://conda.example/team"]
  platforms: [{system()}]
  dependencies: [cmake, ninja, gxx_impl_{system()}]
"""


def repackaged(store: Path) -> list[Package]:
    """Make conda packages of the toolchain's wheels: zig's clang under the names of conda's compilers."""

    def below(name: str, place: str, to: str) -> dict[str, bytes]:
        [found] = (store / "paths").glob(f"*-{name}-[0-9]*")
        top = found / place if "*" not in place else next(found.glob(place))
        return {
            f"{to}{path.relative_to(top)}": path.read_bytes() for path in top.rglob("*") if path.is_file()
        }

    cache = "export ZIG_GLOBAL_CACHE_DIR=/cache/zig ZIG_LOCAL_CACHE_DIR=/cache/zig\n"
    commands = {"gcc": "cc", "g++": "c++", "ar": "ar", "ranlib": "ranlib"}
    compilers = {
        f"bin/{TRIPLE}-{name}": f'#!/bin/sh\n{cache}exec {PLACEHOLDER}/zig/zig {command} "$@"\n'
        for name, command in commands.items()
    }
    zig = below("ziglang", "ziglang", "zig/")
    return [
        Package("cmake", "3.31.10", below("cmake", "cmake/data", ""), subdir=system()),
        Package("ninja", "1.13.2", below("ninja", "*.data/scripts", "bin/"), subdir=system()),
        Package(f"gcc_impl_{system()}", "13.3.0", {**compilers, **zig}, subdir=system()),
        Package(f"gxx_impl_{system()}", "13.3.0", {}, [f"gcc_impl_{system()} 13.3.0"], system()),
    ]


@NATIVE
def test_with_a_conda_environment(world: World, built: dict[str, str], tmp_path: Path) -> None:
    mine = world.trying(tmp_path)
    condapackages.channel(tmp_path / "team", repackaged(world.store))
    (tmp_path / ".condarc").write_text(
        f"mirrored_channels:\n  https://conda.example/team: [{(tmp_path / 'team').as_uri()}]\n"
    )
    mine.env["CONDARC"] = str(tmp_path / ".condarc")
    mine.write("environments/bare.yaml", nnpackshaped.BARE + CONDA)
    mine.recipes("lock", "--variant", "mini", "conda").ok()
    ran = mine.recipes("build", "--variant", "mini", "--toolchain", "conda", "--json").ok()
    found = json.loads(ran.out)
    assert Path(found["path"]).name != Path(built["path"]).name
    lib = ctypes.CDLL(f"{found['path']}/lib/libmini_runtime.so")
    assert lib.runtime_infer(10) == 105
