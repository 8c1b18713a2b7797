from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import process
from recipes.errors import ToolchainError
from recipes.process import Ended, Timeout

ENV = {"PATH": os.environ["PATH"]}
PYTHON = sys.executable


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


class Life:
    """A FIFO that ends when the last process that has it open for writing does."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # without a first writer there is no end to see

    def is_over(self) -> bool:
        ready, _, _ = select.select([self.reader], [], [], 20)
        return bool(ready) and os.read(self.reader, 1) == b""


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    one = Life(tmp_path / "life")
    yield one
    os.close(one.reader)


def lines_of(
    script: str, log: io.BytesIO | None = None, silence: float | None = None
) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = process.stream(
        shell(script), env=ENV, cwd=None, log=log or io.BytesIO(), line=lines.append, silence=silence
    )
    return code, lines


@pytest.mark.parametrize(
    ("script", "code", "out", "err"),
    [
        ("echo a; echo b >&2", 0, b"a\n", b"b\n"),
        ("exit 7", 7, b"", b""),
        ("printf '\\377\\000'", 0, b"\xff\0", b""),
        ("kill -9 $$", -signal.SIGKILL, b"", b""),
        ("cat", 0, b"given", b""),
    ],
)
def test_run_gives_code_and_both_outputs(script: str, code: int, out: bytes, err: bytes) -> None:
    argv = shell(script)
    assert process.run(argv, env=ENV, stdin=b"given") == Ended(tuple(argv), code, out, err)


def test_run_passes_exactly_the_environment_and_directory(tmp_path: Path) -> None:
    ended = process.run(["env"], env={**ENV, "ONE": "1"}, cwd=tmp_path)
    assert set(ended.out.decode().split()) == {f"PATH={ENV['PATH']}", "ONE=1"}
    assert process.run(["pwd"], env=ENV, cwd=tmp_path).out.decode().strip() == os.path.realpath(tmp_path)


def test_run_moves_more_than_a_pipe_holds_both_ways() -> None:
    data = bytes(range(256)) * 4096
    assert process.run(["cat"], env=ENV, stdin=data).out == data


def test_run_is_not_stopped_by_a_process_that_reads_nothing() -> None:
    assert process.run(["true"], env=ENV, stdin=bytes(1 << 20)).code == 0


def test_run_kills_the_group_on_timeout(life: Life) -> None:
    argv = shell(f"sleep 600 >{life.path} & sleep 600 >{life.path}")
    with pytest.raises(Timeout, match=r"^`sh` took longer than 0\.3 s$") as caught:
        process.run(argv, env=ENV, timeout=0.3)
    assert (caught.value.argv, caught.value.seconds) == (tuple(argv), 0.3)
    assert life.is_over()


def test_run_kills_what_ignores_sigterm(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.05)
    with pytest.raises(Timeout):
        process.run(
            shell(f"trap '' TERM; exec >{life.path}; while :; do sleep 1; done"), env=ENV, timeout=0.3
        )
    assert life.is_over()


def test_run_lets_the_leader_clean_up_on_timeout(tmp_path: Path) -> None:
    script = f"trap 'rm {tmp_path}/lock; exit' TERM; touch {tmp_path}/lock; while :; do sleep 0.05; done"
    with pytest.raises(Timeout):
        process.run(shell(script), env=ENV, timeout=0.5)
    assert not (tmp_path / "lock").exists()


def test_run_kills_a_background_child_that_holds_the_output(life: Life) -> None:
    ended = process.run(shell(f"(exec 3>{life.path}; sleep 600) & exec 3>{life.path}; echo done"), env=ENV)
    assert (ended.code, ended.out) == (0, b"done\n")
    assert life.is_over()


ESCAPED = (
    "import os, sys, time\n"
    "size = int(sys.argv[1])\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    print(os.getpid(), file=open(sys.argv[2], 'w'), flush=True)\n"
    "    time.sleep(600)\n"
    "while not os.path.exists(sys.argv[2]) or not open(sys.argv[2]).read().endswith('\\n'):\n"
    "    time.sleep(0.01)\n"
    "os.write(1, b'x' * size)\n"
)


@pytest.mark.parametrize("size", [1, 60_000])
def test_run_does_not_wait_for_what_has_left_the_group(tmp_path: Path, size: int) -> None:
    pid = tmp_path / "pid"
    ended = process.run([PYTHON, "-c", ESCAPED, str(size), str(pid)], env=ENV)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert (ended.code, ended.out) == (0, b"x" * size)


@pytest.mark.parametrize("size", [1, 60_000])
def test_stream_does_not_wait_for_what_has_left_the_group(tmp_path: Path, size: int) -> None:
    pid, lines, log = tmp_path / "pid", list[str](), io.BytesIO()
    argv = [PYTHON, "-c", ESCAPED, str(size), str(pid)]
    assert process.stream(argv, env=ENV, cwd=None, log=log, line=lines.append) == 0
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert (lines, log.getvalue()) == (["x" * size], b"x" * size)


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        ("", []),
        ("a\\nb\\n", ["a", "b"]),
        ("a\\nb", ["a", "b"]),
        ("10%%\\r20%%\\r", ["10%", "20%"]),
        ("a\\r\\nb\\r\\n", ["a", "b"]),
        ("\\n\\n", ["", ""]),
        ("\\303\\251\\n\\377\\n", ["é", "\ufffd"]),
        ("a\\013b\\342\\200\\250c\\n", ["a\x0bb\u2028c"]),
    ],
)
def test_stream_splits_lines(printed: str, lines: list[str]) -> None:
    assert lines_of(f"printf '{printed}'") == (0, lines)


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\r", b"\nb"], ["a", "b"]),
        ([b"\xc3", b"\xa9\n"], ["é"]),
        ([b"\xc3"], ["\ufffd"]),
        ([b"a\r"], ["a"]),
        ([b"x" * 70_000, b"y\n"], ["x" * 70_000, "y"]),
    ],
)
def test_lines_do_not_depend_on_where_chunks_end(chunks: list[bytes], lines: list[str]) -> None:
    assert list(process._lines(chunks)) == lines


def test_stream_merges_and_logs_every_byte_and_has_no_input_nor_terminal() -> None:
    log = io.BytesIO()
    code, lines = lines_of(
        "printf 'a\\377'; printf 'b\\n' >&2; cat; (: </dev/tty) 2>/dev/null || exit 3", log
    )
    assert (code, lines, log.getvalue()) == (3, ["a\ufffdb"], b"a\xffb\n")


def test_stream_gives_a_negative_code_for_a_signal() -> None:
    assert lines_of("kill -15 $$") == (-signal.SIGTERM, [])


def test_stream_waits_for_a_leader_that_has_closed_its_output() -> None:
    assert lines_of("exec >/dev/null 2>&1; sleep 0.3; exit 4") == (4, [])


@pytest.mark.parametrize("where", ["exec 3>{0}; sleep 600", "exec >{0} 2>&1; sleep 600"])
def test_stream_kills_what_the_leader_leaves_behind(life: Life, where: str) -> None:
    assert lines_of(f"({where.format(life.path)}) & exec 3>{life.path}; echo done; exit 5") == (5, ["done"])
    assert life.is_over()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_stream_kills_the_group_when_the_caller_fails(life: Life, error: type[BaseException]) -> None:
    def line(text: str) -> None:
        raise error

    script = f"sleep 600 3>{life.path} & exec 3>{life.path}; echo ready; sleep 600"
    with pytest.raises(error):
        process.stream(shell(script), env=ENV, cwd=None, log=io.BytesIO(), line=line)
    assert life.is_over()


def test_stream_kills_the_group_when_the_log_cannot_be_written(life: Life) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        process.stream(
            shell(f"exec 3>{life.path}; echo; sleep 600"), env=ENV, cwd=None, log=full, line=lambda text: None
        )
    assert life.is_over()


def test_stream_ends_what_is_silent_too_long(life: Life) -> None:
    with pytest.raises(Timeout, match=r"^`sh` took longer than 0\.3 s$"):
        lines_of(f"echo; exec sleep 600 3>{life.path}", silence=0.3)
    assert life.is_over()


def test_reading_kills_what_is_not_read_to_its_end(life: Life, tmp_path: Path) -> None:
    argv = shell(f"exec 3>{life.path}; cat; yes")
    stdin = tmp_path / "stdin"
    stdin.write_bytes(b"first\n")
    with stdin.open("rb") as given, (tmp_path / "err").open("wb") as err:
        with process.reading(argv, env=ENV, cwd=tmp_path, stdin=given, stderr=err) as out:
            assert out.readline() == b"first\n"
            assert out.read(4) == b"y\ny\n"
        assert life.is_over()


def test_all_groups_can_be_killed_from_another_thread(life: Life) -> None:
    def line(text: str) -> None:
        threading.Thread(target=process.kill_all).start()

    script = f"sleep 600 3>{life.path} & exec 3>{life.path}; echo ready; wait"
    code = process.stream(shell(script), env=ENV, cwd=None, log=io.BytesIO(), line=line)
    assert code == -signal.SIGKILL
    assert life.is_over()
    assert not process._live


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "no-such-program",
            "`no-such-program` is not on PATH",
            "install `no-such-program`, then `command -v no-such-program`",
        ),
        ("/no/such", "`/no/such` does not exist, or its interpreter does not", "`ls -l /no/such`"),
    ],
)
def test_a_missing_program_is_named(name: str, message: str, hint: str) -> None:
    for start in (
        lambda: process.run([name], env=ENV),
        lambda: process.stream([name], env=ENV, cwd=None, log=io.BytesIO(), line=print),
        lambda: process.replace([name], ENV),
    ):
        with pytest.raises(ToolchainError) as caught:
            start()
        assert (caught.value.message, caught.value.hint) == (message, hint)


def test_what_may_not_be_executed(tmp_path: Path) -> None:
    (tmp_path / "tool").touch(mode=0o644)
    with pytest.raises(PermissionError):
        process.run([str(tmp_path / "tool")], env=ENV)
    with pytest.raises(ToolchainError, match="`tool` is not on PATH"):
        process.run(["tool"], env={"PATH": str(tmp_path)})


def test_a_missing_directory_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        process.run(["true"], env=ENV, cwd=tmp_path / "nowhere")


def test_replace_becomes_the_program_and_restores_sigpipe() -> None:
    code = (
        "import sys; from recipes import process\n"
        "process.replace(['sh', '-c', 'echo $ONE; yes | head -n 1; exit 6'], dict(PATH=sys.argv[1], ONE='1'))"
    )
    root = Path(process.__file__).parent.parent
    argv = [PYTHON, "-c", code, ENV["PATH"]]
    ended = subprocess.run(argv, cwd=root, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (6, b"1\ny\n", b"")
