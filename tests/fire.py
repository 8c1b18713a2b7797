"""Runs a command that kills itself at its Nth step, for one N after another: `python fire.py CASE`.

CASE is JSON, as in `Case`. A step is what a kill can come between: the opening of a file to write, making,
renaming, removing, chmod, links, locks, syncs, connections, the start of a process and the moment after it,
and each write, which is made in two halves. Python tells of most by itself (sys.addaudithook), the rest is
wrapped. One process imports everything once, and forks for each kill.
"""

# ruff: noqa: T201
# What it prints is what the tests read.

from __future__ import annotations

import ctypes
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2  # noqa: F401 - once here, in place of once in each child

import cli
from recipes import durable, locking, repair, storecheck, storegc  # noqa: F401 - as above
from recipes.store import Store

_TOLD = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.symlink", "os.link", "os.truncate"),
    *("os.utime", "fcntl.flock", "subprocess.Popen", "socket.connect"),
}
_WRITES = os.O_WRONLY | os.O_RDWR
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True)
class Case:
    """A command to kill: `argv`, in `checkout`, on a copy of the store `warm`, or on none, at `store`.

    It is killed at step 1, then at every `stride`th until it ends by itself. After every `again`th kill, it
    is run to its end; the store's entries must have the NAR hashes `hashes` then. `files` of the checkout
    are not there before, and after a kill not there or as given. Of problems, those of the kinds `left` may
    be there after a kill.
    """

    argv: list[str]
    checkout: str
    store: str
    warm: str | None = None
    stride: int = 1
    again: int = 10
    hashes: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def main(case: Case) -> None:
    """Kill at step after step; print how often, and how many steps there were."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    do_not_wait_for_the_disk()
    os.chdir(case.checkout)
    for kills in itertools.count():
        step = 1 + kills * case.stride
        _lay_out(case)
        code = _run(case, step)
        if code != -signal.SIGKILL:
            assert code == 0, _said(case, f"step {step} ended with {code}")
            _whole(case, step)
            print(kills, step)
            return
        _clean(case, step)
        if kills % case.again == 0:
            code = _run(case, 0)
            assert code == 0, _said(case, f"after a kill at step {step}, the next run ended with {code}")
            _whole(case, step)
        _swept(case, step)


def do_not_wait_for_the_disk() -> None:
    """Leave syncs out: a killed process, unlike a power cut, loses nothing that it has written."""
    os.fsync = lambda fd: None
    durable.sync_file_system = lambda directory: None


def _lay_out(case: Case) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(case.store)
    for name in case.files:
        Path(name).unlink(missing_ok=True)
    if case.warm:
        shutil.copytree(case.warm, case.store, symlinks=True)


def _clean(case: Case, step: int) -> None:
    found = [one for one in storecheck.check(Store(Path(case.store))) if one.kind not in case.left]
    assert found == [], _said(case, f"after a kill at step {step}: {found}")
    for name, text in case.files.items():
        assert not Path(name).exists() or Path(name).read_text("utf-8") == text, (
            f"step {step}: half of {name}"
        )


def _whole(case: Case, step: int) -> None:
    store = Store(Path(case.store))
    found = {name: store.has(name) and store.info(name).nar_hash for name in case.hashes}
    assert found == dict(case.hashes), _said(case, f"after a kill at step {step}: {found}")
    assert storecheck.check(store) == [], f"step {step}: {storecheck.check(store)}"
    for name, text in case.files.items():
        assert Path(name).read_text("utf-8") == text, f"step {step}: {name}"


def _swept(case: Case, step: int) -> None:
    store = Store(Path(case.store))
    storegc.gc(store)
    left = [str(one) for part in ("tmp", "archives", "git", "apt") for one in store.root.glob(f"{part}/*")]
    assert left == [], f"after a kill at step {step}, gc leaves {left}"
    assert [one for one in storecheck.check(store) if one.kind not in case.left] == []


def _run(case: Case, last: int) -> int:
    """Run the command in a child that ends at a step (0: at none); give its exit code, or -9."""
    child = os.fork()
    if child == 0:
        _become(case, last)
    status = os.waitpid(child, 0)[1]
    with suppress(ChildProcessError):  # what it had started; that dies with it or soon after
        while True:
            os.waitpid(-1, 0)
    return os.waitstatus_to_exitcode(status)


def _become(case: Case, last: int) -> None:
    output = os.open(_output(case), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["recipes", *case.argv]
    if last:
        kill_at(last)
    code: Any = 1
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def _output(case: Case) -> str:
    return f"{case.store}.output"


def _said(case: Case, what: str) -> str:
    return f"{what}\n{Path(_output(case)).read_text('utf-8', 'replace')}"


def kill_at(last: int) -> None:
    """Make this process kill itself at its step of this number."""
    steps = itertools.count(1)

    def step() -> None:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def told(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _TOLD or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES):
            step()

    sys.addaudithook(told)
    os.write = _halved(os.write, step)
    os.fsync = lambda fd: step()
    durable.sync_file_system = lambda directory: step()
    os.copy_file_range = _stepped(os.copy_file_range, step)
    os.close = _stepped(os.close, step)
    io.open = _opener(io.open, step)  # what pathlib and os.fdopen open with
    start = subprocess.Popen.__init__

    def started(*arguments: Any, **named: Any) -> None:
        start(*arguments, **named)
        step()

    subprocess.Popen.__init__ = started  # type: ignore[method-assign]


def _stepped(function: Callable[..., Any], step: Callable[[], None]) -> Any:
    def wrapped(*arguments: Any) -> Any:
        step()
        return function(*arguments)

    return wrapped


def _halved(write: Callable[[int, bytes], int], step: Callable[[], None]) -> Any:
    def wrapped(descriptor: int, data: bytes) -> int:
        step()
        half = len(data) // 2
        done = write(descriptor, data[:half]) if half else 0
        if done == half:
            step()
            done += write(descriptor, data[half:])
        return done

    return wrapped


def _opener(real: Callable[..., Any], step: Callable[[], None]) -> Any:
    class Raw(io.FileIO):
        def write(self, data: Any, /) -> int:
            written: int = _halved(lambda _, part: io.FileIO.write(self, part), step)(0, bytes(data))
            return written

    def opened(
        file: Any, mode: str = "r", buffering: int = -1, *text: Any, closefd: bool = True, **named: Any
    ) -> Any:
        if not set(mode) & set("wxa") or "+" in mode or buffering == 0 or not closefd or "opener" in named:
            return real(file, mode, buffering, *text, closefd=closefd, **named)
        buffered = io.BufferedWriter(Raw(file, mode.replace("b", "").replace("t", "")))
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **named)

    return opened


if __name__ == "__main__":
    main(Case(**json.loads(sys.argv[1])))
