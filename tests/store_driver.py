"""What the store's tests run in processes of their own: `python store_driver.py ACTION ARGUMENT…`."""

# ruff: noqa: T201
# What it prints is what the tests read.

from __future__ import annotations

import errno
import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fire import do_not_wait_for_the_disk, kill_at

from recipes import storecheck, storegc
from recipes.errors import StoreError
from recipes.project import Project
from recipes.store import Store

NAME = f"{'0' * 32}-one"
OTHER = f"{'1' * 32}-two"


def add(store: Store, name: str, *references: str, size: int = 10) -> None:
    """Add a tree of two files and a link, as a build does."""
    with store.lock(name), store.scratch(name) as place:
        tree = place / "tree"
        (tree / "bin").mkdir(parents=True)
        (tree / "bin/tool").write_text("#!/bin/sh\n")
        (tree / "bin/tool").chmod(0o755)
        (tree / "data").write_bytes(b"x" * size)
        (tree / "link").symlink_to("data")
        store.add(name, tree, kind="build", references=references)


def fill(store: Store) -> None:
    """Put one of everything in."""
    add(store, OTHER)
    add(store, NAME, OTHER)
    store.archive("a" * 64).write_bytes(b"")
    (store.root / "git/one.git/objects").mkdir(parents=True)
    (store.root / "git/one.git/HEAD").write_text("ref\n")
    store.log_path(NAME).write_text("log\n")


def listed(directory: Path) -> list[str]:
    """List the names in a directory."""
    return sorted(one.name for one in directory.iterdir())


def flip_bit(path: Path, at: int) -> None:
    """Flip one bit of a byte, another one for each place."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << at % 8
    path.write_bytes(data)
    path.chmod(mode)


def in_mount_namespace(script: str, place: Path) -> list[str]:
    """Give an argv that runs the argv after it where `script` has mounted something on `place`."""
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    argv += ["/bin/sh", "-euc", f'{script}\nshift\nexec "$@"', "sh", str(place)]
    try:
        probe = subprocess.run([*argv, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("util-linux's unshare is not installed")
    if probe.returncode:
        pytest.skip(f"nothing can be mounted here: {probe.stderr.strip()}")
    return argv


def killed(action: Callable[[], object], step: int) -> bool:
    """Run an action in a child that kills itself at its Nth step; say whether it came to that."""
    child = os.fork()
    if child == 0:
        kill_at(step)
        action()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"the child failed at step {step}")
    return os.WIFSIGNALED(status)


def kill_add(root: Path) -> None:
    """Kill an add at each of its steps; each time, nothing is damaged and the next one goes well."""
    do_not_wait_for_the_disk()
    for step in itertools.count(1):
        store = Store(root / str(step))
        again = killed(functools.partial(add, store, NAME), step)
        store = Store(store.root)
        assert storecheck.check(store) == []
        add(store, NAME)
        store.verify(NAME)
        storegc.gc(store, [NAME])
        assert listed(store.root / "tmp") == []
        assert listed(store.root / "info") == [f"{NAME}.json"]
        if not again:
            print(step)
            return


def kill_gc(root: Path) -> None:
    """Kill a gc at each of its steps; each time, nothing is damaged and the next one goes well."""
    do_not_wait_for_the_disk()
    for step in itertools.count(1):
        store = Store(root / str(step))
        fill(store)
        store.archive("a" * 64).unlink()  # its bytes do not have that hash
        again = killed(functools.partial(storegc.gc, store), step)
        assert storecheck.check(store) == []
        assert not store.has(NAME) or store.has(OTHER)
        assert not (store.root / "git/one.git").exists() or (store.root / "git/one.git/HEAD").exists()
        storegc.gc(store)
        left = [str(path.relative_to(store.root)) for path in store.root.glob("*/*")]
        assert left == ["locks/store"], left
        if not again:
            print(step)
            return


def kill_lock(root: Path) -> None:
    """Kill the writing of a lock at each of its steps; each time, it is there as before or as meant."""
    do_not_wait_for_the_disk()
    project, texts = Project(root), ("old\n" * 5_000, "new\n" * 9_000)
    path = root / "locks/small.lock.yaml"
    for step in itertools.count(1):
        project.write(path, texts[0])
        again = killed(functools.partial(project.write, path, texts[1]), step)
        assert path.read_text() in texts
        project.write(path, texts[1])
        assert path.read_text() == texts[1]
        if not again:
            print(step)
            return


def kill_link(root: Path) -> None:
    """Kill the making of a result's link, and its registration, at each step; the next ones go well."""
    do_not_wait_for_the_disk()
    store, project = Store(root / "store"), Project(root)
    add(store, NAME)
    add(store, OTHER)

    def link(name: str) -> None:
        storegc.add_root(store, project.link("result", store.path(name)))

    for step in itertools.count(1):
        link(OTHER)
        again = killed(functools.partial(link, NAME), step)
        assert (root / "result").readlink() in (store.path(NAME), store.path(OTHER))
        assert storecheck.check(store) == []
        link(NAME)
        assert list(storegc.roots(store).values()) == [NAME]
        if not again:
            print(step)
            return


def kill_repair(root: Path) -> None:
    """Kill the taking out of damaged entries at each step; what is left is whole, and the rest goes then."""
    do_not_wait_for_the_disk()
    for step in itertools.count(1):
        store = Store(root / str(step))
        fill(store)
        (store.root / "provenance" / f"{NAME}.json").write_text("{")
        store.info_path(OTHER).write_text("{")
        problems = storecheck.check(store)
        assert len(problems) == 3
        again = killed(functools.partial(storecheck.remove, store, problems), step)
        assert set(storecheck.check(store)) <= set(problems)
        storecheck.remove(store, storecheck.check(store))
        assert storecheck.check(store) == []
        if not again:
            assert listed(store.root / "paths") == []
            print(step)
            return


def race(root: Path) -> None:
    """Build an entry unless it is there, and say how it went."""
    store = Store(root)
    with store.lock(NAME, waiting=lambda: print("waiting", flush=True)):
        made = not store.has(NAME)
        if made:
            with store.scratch(NAME) as place:
                (place / "tree").write_text("made\n")
                store.add(NAME, place / "tree", kind="build")
    print("made" if made else "found", flush=True)


def hold(root: Path) -> None:
    """Hold a lock and a scratch directory until the end of standard input."""
    store = Store(root)
    with store.lock(NAME), store.scratch(NAME) as place:
        (place / "half").write_text("half\n")
        print("held", flush=True)
        sys.stdin.read()


def full(root: Path) -> None:
    """Add an entry on a full file system of a megabyte, then make room and do so again."""
    store, ballast = Store(root / "store"), root / "ballast"
    with store.lock(NAME), store.scratch(NAME) as place:
        (place / "tree").write_bytes(b"x" * 100_000)
        _fill_up(ballast)
        try:
            store.add(NAME, place / "tree", kind="build")
        except OSError as error:
            print(errno.errorcode[error.errno or 0])
    assert not store.has(NAME)
    assert storecheck.check(store) == []
    ballast.unlink()
    add(store, NAME)
    print(storecheck.check(store))


def _fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                return


def read_only(root: Path) -> None:
    """Use a store that cannot be written to."""
    store = Store(root)
    store.verify(NAME)
    print(store.has(NAME), store.has(OTHER), storecheck.check(store))
    print(len(storegc.gc(store, dry_run=True)))
    try:
        add(store, OTHER)
    except StoreError as error:
        print(error)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
