"""How many processes a command has, without any sandbox."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recipes import crowd, process
from recipes.crowd import Cancelled, Crowded, Guard

ENV = {"PATH": os.defpath}
FORKS = """\
import os, time
for count in range(300):
    if os.fork() == 0:
        break
time.sleep(1000)
"""


def watched(code: str, guard: Guard) -> str:
    log = io.BytesIO()
    argv = [sys.executable, "-S", "-c", code]
    process.stream(argv, env=ENV, cwd=None, log=log, line=lambda _: None, silence=60, watch=guard)
    return log.getvalue().decode()


def test_the_machine_has_threads() -> None:
    assert crowd.threads() > 0


def test_a_family_is_a_process_and_what_descends_from_it() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        child = int(leader.stdout.readline())
        assert crowd.family(leader.pid) == {leader.pid, child}
        assert os.getpid() not in crowd.family(leader.pid)
        assert {os.getpid(), leader.pid, child} <= crowd.family(os.getpid())
        os.kill(child, 9)
    assert crowd.family(leader.pid) == {leader.pid}


def test_too_many_processes_are_ended() -> None:
    with pytest.raises(Crowded, match="more than 100 processes at once"):
        watched(FORKS, Guard(100))


def test_threads_of_others_are_not_counted() -> None:
    assert watched("import time; time.sleep(0.3); print('done')", Guard(2, before=-(10**6))) == "done\n"


def test_what_is_cancelled_ends(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        watched("import time; time.sleep(1000)", Guard(100, stop))
    assert time.monotonic() - began < 60


def test_nothing_is_waited_for_where_nothing_is_left() -> None:
    crowd.settle(["bwrap", "--no-such-sandbox", "--", "true"])
