"""The store under fire: commands killed at their steps, full disks, rights taken away, many processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import pytest
import smallproject
from fire import Case
from smallproject import Small, Upstream
from store_driver import flip_bit, in_mount_namespace

import recipes
from recipes import storecheck
from recipes.store import Store

pytestmark = pytest.mark.usefixtures("can_build")

FETCH, BUILD, GC = ["fetch", "--variant", "small"], ["build", "--variant", "small"], ["store", "gc"]
Kill: TypeAlias = Callable[[Small, int], tuple[int, int]]


@pytest.fixture(scope="module")
def built(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store in which `small` was built."""
    with smallproject.small(upstream, tmp_path_factory.mktemp("built")) as made:
        made.build().ok()
        shutil.rmtree(made.store / "roots")
        return made.store


def kill(small: Small, argv: list[str], **more: object) -> tuple[int, int]:
    """Kill a command at its steps; give how often it was, and how many steps it had."""
    store, here = str(small.place / "fire"), Path(__file__).parent
    case = Case(argv, str(small.root), store, **more)  # type: ignore[arg-type]
    ended = subprocess.run(
        [sys.executable, str(here / "fire.py"), json.dumps(asdict(case))],
        env=small.env | {"RECIPES_STORE": store, "PYTHONPATH": f"{Path(recipes.__file__).parents[1]}:{here}"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    kills, steps = map(int, ended.stdout.split())
    sys.stdout.write(f"{' '.join(argv)}: killed {kills} times, at steps up to {steps}\n")
    return kills, steps


def hashes(store: Path) -> dict[str, str]:
    """Give the NAR hashes of a store's entries."""
    return {one.stem: json.loads(one.read_text())["nar_hash"] for one in (store / "info").iterdir()}


def fetch(small: Small, built: Path, stride: int) -> tuple[int, int]:
    fetched = {name: one for name, one in hashes(built).items() if not (built / f"logs/{name}.log").exists()}
    return kill(small, FETCH, stride=stride, hashes=fetched)


def build(small: Small, built: Path, stride: int) -> tuple[int, int]:
    warm = small.place / "warm"
    shutil.copytree(built, warm, symlinks=True)
    [log] = (warm / "logs").iterdir()
    with Store(warm).lock(log.stem):
        Store(warm).forget(log.stem)
    return kill(small, BUILD, stride=stride, warm=str(warm), hashes=hashes(built))


def gc(small: Small, built: Path, stride: int) -> tuple[int, int]:
    return kill(small, GC, stride=stride, warm=str(built))


def lock(small: Small, stride: int) -> tuple[int, int]:
    names = ("locks/small.lock.yaml", "locks/small.requirements.txt")
    for name in names:
        (small.root / name).unlink()
    small.run("lock", "--variant", "small").ok()
    files = {name: (small.root / name).read_text() for name in names}
    return kill(small, ["lock", "--variant", "small"], stride=stride, files=files)


@pytest.mark.parametrize(("action", "stride", "least"), [(fetch, 401, 2), (build, 101, 2), (gc, 101, 2)])
def test_killed_now_and_then(
    small: Small, built: Path, action: Callable[[Small, Path, int], tuple[int, int]], stride: int, least: int
) -> None:
    assert action(small, built, stride)[0] >= least


@pytest.mark.slow
@pytest.mark.parametrize(("action", "stride", "least"), [(fetch, 13, 80), (build, 3, 80), (gc, 1, 200)])
def test_killed_at_many_steps(
    small: Small, built: Path, action: Callable[[Small, Path, int], tuple[int, int]], stride: int, least: int
) -> None:
    assert action(small, built, stride)[0] >= least


@pytest.mark.slow
def test_a_lock_is_never_half_written(small: Small) -> None:
    assert lock(small, 101)[0] >= 8


FILL = """\
cli() { echo "--- $*"; "$python" "$cli" "$@" 2>&1; echo "code $?"; }
cli build --variant small
cli store check
mount -n -o remount,size=64m "$disk" || exit
cli build --variant small
cli store gc
cli store check
"""


@pytest.mark.parametrize(
    "kilobytes", [160, *(pytest.param(size, marks=pytest.mark.slow) for size in (40, 280))]
)
def test_a_full_disk_leaves_a_clean_store(small: Small, kilobytes: int) -> None:
    disk = small.place / "disk"
    disk.mkdir()
    argv = in_mount_namespace(f'mount -n -t tmpfs -o size={kilobytes}k tmpfs "$1"', disk)
    more = {"RECIPES_STORE": f"{disk}/store", "disk": str(disk), "python": sys.executable}
    ended = subprocess.run(
        [*argv, "/bin/sh", "-c", FILL],
        env=small.env | more | {"cli": str(smallproject.CLI)}, cwd=small.root,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in ended.stdout, ended.stdout
    assert ended.stderr == "", ended.stderr
    first, *rest = [part.splitlines()[-1] for part in ended.stdout.split("--- ")[1:]]
    assert rest == ["code 0"] * 4, ended.stdout
    assert first in ("code 0", "code 1", "code 5"), ended.stdout
    assert "No space left on device" in ended.stdout, ended.stdout


def test_a_store_of_someone_else_is_read_and_not_written(small: Small, built: Path) -> None:
    small.warm(built)
    (small.store / "roots").mkdir()
    argv = in_mount_namespace('mount -n --bind "$1" "$1"\nmount -n -o remount,bind,ro "$1"', small.store)
    assert small.run("store", "check", before=argv).ok().err.endswith("is clean\n")
    small.run("store", "size", before=argv).ok()
    small.run("store", "gc", "--dry-run", before=argv).ok()
    small.run("plan", "--variant", "small", before=argv).ok()
    for words in (GC, ["store", "repair"], ["fetch", "--variant", "both"], ["build", "--variant", "both"]):
        ran = small.run(*words, before=argv)
        assert ran.code in (0, 1), ran.shown()
        if ran.code:
            assert "error: the store cannot be written to\n" in ran.failed(1).error
    assert hashes(small.store) == hashes(built)


def test_eight_processes_on_one_store(small: Small, built: Path) -> None:
    words = [
        BUILD,
        FETCH,
        GC,
        ["store", "check"],
        ["build", "--variant", "both"],
        ["store", "repair"],
        BUILD,
        GC,
    ]
    ran = [smallproject.ended(one) for one in [small.start(*argv) for argv in words]]
    for one in ran:
        busy = "the store is in use by another process" in one.err
        assert one.code == 0 or (busy and one.argv[-1] == "gc"), one.shown()
    for variant in ("small", "both"):
        small.build(variant).ok()
    found = hashes(small.store)
    assert {name: found[name] for name in hashes(built)} == hashes(built)
    assert small.damage() == []


def test_a_flipped_bit_in_any_file_is_found(small: Small, built: Path) -> None:
    small.warm(built)
    store = Store(small.store)
    files = sorted(
        one for one in (small.store / "paths").rglob("*") if one.is_file() and not one.is_symlink()
    )
    for number, path in enumerate(files):
        name = path.relative_to(small.store / "paths").parts[0]
        if path.is_file() and (size := path.stat().st_size):
            flip_bit(path, number * 7919 % size)
            assert [one.name for one in storecheck.check_entry(store, name)] == [name], path
            flip_bit(path, number * 7919 % size)
    assert storecheck.check(store) == []
