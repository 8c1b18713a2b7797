"""The real thing: TVM fetched from where this machine reaches it, built, and compared to the byte."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recipes import git, lock, settings

pytestmark = [pytest.mark.slow, pytest.mark.network]

ROOT = Path(__file__).parent.parent
README_HASH = re.search(r"^sha256-\S+$", (ROOT / "README.md").read_text(), re.MULTILINE)


@dataclass
class World:
    """A place to build in: its own store and checkout, and what surrounds the process."""

    place: Path
    env: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    cpus: int | None = None

    def recipes(self, *argv: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "RECIPES_STORE": str(self.place / "store"), **self.env}
        return subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), "--project", str(self.checkout()), *argv],
            env=env, umask=self.umask, text=True, capture_output=True, preexec_fn=self._pin, check=False,
        )  # fmt: skip

    def checkout(self) -> Path:
        checkout = self.place / "checkout"
        if not checkout.exists():
            for part in ("environments", "locks", "recipes/components"):
                shutil.copytree(ROOT / part, checkout / part)
        return checkout

    def build(self, variant: str) -> dict[str, str]:
        ended = self.recipes("build", "--variant", variant, "--json")
        assert ended.returncode == 0, ended.stderr
        found: dict[str, str] = json.loads(ended.stdout)
        return found

    def _pin(self) -> None:
        if self.cpus is not None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: self.cpus])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def built(world: World) -> dict[str, str]:
    return world.build("no-nnpack")


def test_the_hash_in_the_readme_is_the_build_s(built: dict[str, str]) -> None:
    assert README_HASH
    assert built["nar_hash"] == README_HASH[0]


def test_a_second_run_does_nothing(world: World, built: dict[str, str]) -> None:
    ended = world.recipes("build", "--variant", "no-nnpack", "--offline")
    assert ended.stderr.endswith("nothing to do: it is built\n")
    assert ended.stdout == f"{built['path']}\n{built['nar_hash']}\n"


def test_the_log_has_the_smoke_test(world: World, built: dict[str, str]) -> None:
    log = world.place / "store/logs" / f"{Path(built['path']).name}.log"
    assert re.search(r"^\d+ functions; argsort and uniform agree with numpy$", log.read_text(), re.MULTILINE)


def test_the_store_is_clean(world: World, built: dict[str, str]) -> None:
    ended = world.recipes("store", "check")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(
    shutil.which("nix") is None, reason="nix is not installed; it would hash the sources, too"
)
def test_nix_gives_the_sources_the_lock_s_hashes(world: World, built: dict[str, str]) -> None:
    locked = lock.parse((ROOT / "locks/no-nnpack.lock.yaml").read_bytes(), "lock").of("tvm-runtime")
    planned = json.loads(world.recipes("plan", "--variant", "no-nnpack", "--json").stdout)
    sources = {row["name"]: row["path"] for row in planned["derivations"] if row["kind"] == "source"}
    nix = ["nix", "--extra-experimental-features", "nix-command", "hash", "path"]
    for path, one in locked.items():
        name = f"tvm-runtime/{path}".rstrip("/")
        place = world.place / "store/paths" / sources[name]
        assert subprocess.check_output([*nix, str(place)], text=True).strip() == one.hash


def test_another_world_makes_the_same_bytes(tmp_path: Path, built: dict[str, str]) -> None:
    deep = tmp_path / "some where else" / "deep"
    deep.mkdir(parents=True)
    surroundings = {
        "TZ": "Asia/Tokyo",
        "LANG": "de_DE.UTF-8",
        "HOME": str(tmp_path),
        "USER": "x",
        "LOGNAME": "x",
    }
    other = World(deep, {**surroundings, "PYTHONHASHSEED": "1"}, umask=0o077, cpus=1)
    again = other.build("no-nnpack")
    assert again["nar_hash"] == built["nar_hash"]
    assert Path(again["path"]).name == Path(built["path"]).name


def test_nnpack(world: World, built: dict[str, str]) -> None:
    wanted = settings.load(os.environ, None)
    asked = git.Git(world.place / "asked", env=os.environ, rewrite=wanted.rewrite, timeout=wanted.timeout)
    silence = asked.answers("https://github.com/Maratyszcza/NNPACK")
    if silence is not None:
        pytest.skip(
            f"NNPACK and TVM v0.19.0 come from git hosts only: {silence}; RECIPES_MIRROR may name a mirror"
        )
    found = world.build("nnpack")
    log = world.place / "store/logs" / f"{Path(found['path']).name}.log"
    assert "NNPACK: 9 convolutions and a fully connected layer agree with numpy in float64" in log.read_text()
