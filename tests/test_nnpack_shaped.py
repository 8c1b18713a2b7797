"""NNPACK's case end to end, on a small project of its shape: what floats is locked, and breaks on demand."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import nnpackshaped
import pytest
import smallproject
from nnpackshaped import SOURCES, World

from recipes.run import system

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.sandbox]

CUT_OFF = ("unshare", "--map-root-user", "--net", "--")  # no interface but a loopback that is down
NATIVE = pytest.mark.skipif(system() != "linux-64", reason="only x86-64 has the kernels that Python writes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, str]]:
    place = tmp_path_factory.mktemp("mini")
    if (why := smallproject.refusal(place)) is not None:
        pytest.skip(why)
    world, commits = nnpackshaped.make(place)
    for variant in ("bare", "mini"):
        world.recipes("lock", "--variant", variant, *SOURCES).ok()
    return world, commits


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
    assert world.recipes("lock", "--variant", "mini", "--check").ok().out == ""
    text = world.recipes(
        "lock", "--variant", "mini", "--at", "2024-05-27T20:43:00Z", "--output", "later.yaml"
    )
    assert (
        text.ok().out.splitlines()[0] == "later.yaml: no difference from the lock of `mini`"
    )  # `before` holds


def test_a_build_without_network(built: dict[str, str]) -> None:
    lib = ctypes.CDLL(f"{built['path']}/lib/libmini_runtime.so")
    lib.runtime_backend.restype = ctypes.c_char_p
    assert lib.runtime_infer(10) == 105
    assert lib.runtime_infer(-4) == -42
    assert lib.runtime_backend().decode() == {"linux-64": "x86-64", "linux-aarch64": "neon"}[system()]
