"""Processes: the only module that starts any.

Each is the leader of a session of its own, so that it has no terminal to ask questions on, and so that
it and all it started can be ended as one group. Nothing of a group outlives the call that started it.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NoReturn, TypeAlias

from recipes.errors import ToolchainError

GRACE = 2.0  # seconds between SIGTERM, on which git removes its lock files, and SIGKILL
CHUNK = 1 << 16
LONGEST_LINE = 1 << 16  # characters; a longer line is passed on in pieces
_STEP = 0.1  # seconds between looks at whether the leader still lives
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_PIPE = 1 << 20  # bytes: Linux lets a pipe without privileges hold no more

File: TypeAlias = "IO[bytes] | int"

_live: set[int] = set()  # the leaders of the groups under way


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code (negative: the signal that killed it) and its output."""

    argv: tuple[str, ...]
    code: int
    out: bytes
    err: bytes


class Stop(Exception):  # noqa: N818 - what is to happen
    """A group under way is to be killed at once: for what a `watch` finds."""


class Timeout(Exception):  # noqa: N818 - what happened, not whose error it is
    """A process took longer, or was silent for longer, than `seconds`; it has been killed."""

    def __init__(self, argv: Sequence[str], seconds: float) -> None:
        super().__init__(f"`{argv[0]}` took longer than {seconds:g} s")
        self.argv = tuple(argv)
        self.seconds = seconds


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Ended:
    """Run to the end and capture both outputs.

    `env` is the whole environment. Raises Timeout after `timeout` seconds, ToolchainError where the
    program is missing. A process that it leaves behind holding its output open is not waited for.
    """
    pipe = subprocess.PIPE
    with _group(argv, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        out, err = _communicate(process, argv, stdin, timeout)
        return Ended(tuple(argv), process.wait(), out, err)


def stream(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    log: BinaryIO,
    line: Callable[[str], None],
    stdin: File = subprocess.DEVNULL,
    silence: float | None = None,
    watch: Callable[[int], None] | None = None,
) -> int:
    r"""Run to the end, following the output as it comes; give the exit code.

    Standard output and error are one stream. Its bytes go to `log`; its lines, which end at `\n`, `\r`
    or `\r\n`, go to `line` without that end, bytes that are not UTF-8 replaced. Raises Timeout where
    nothing was written for `silence` seconds, ToolchainError where the program is missing, and whatever
    `log`, `line` and `watch` raise; the group is ended first. `watch` is called with the leader's number,
    ten times a second or more often.
    """
    pipe, merged = subprocess.PIPE, subprocess.STDOUT
    with _group(argv, env=env, cwd=cwd, stdin=stdin, stdout=pipe, stderr=merged) as process:
        for text in _lines(_logged(_output(process, argv, silence, watch), log)):
            line(text)
        return process.wait()


@contextmanager
def reading(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, stdin: File, stderr: File
) -> Iterator[BinaryIO]:
    """Start a process and give its standard output to read from; when the block is left it is killed.

    `stdin` is a file, so that no order of reading and writing can block both sides. Whether the output
    is complete, its reader has to see from the output. Raises ToolchainError where the program is missing.
    """
    pipe = subprocess.PIPE
    with _group(argv, env=env, cwd=cwd, stdin=stdin, stdout=pipe, stderr=stderr) as process:
        yield io.BufferedReader(_raw(process), CHUNK)


def replace(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Become another program. Raises ToolchainError where it is missing."""
    # Python ignores SIGPIPE, and what is ignored stays so in the new program: `yes | head` would not end
    ignored = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - without a shell is the point
    except (FileNotFoundError, PermissionError) as error:
        raise _absent(argv[0], error) from None
    finally:
        signal.signal(signal.SIGPIPE, ignored)


def end_with_parent(parent: int) -> None:
    """Have this process killed when the thread that started it ends, of whatever; `parent` is that's process.

    Without prctl(2), as on macOS, it is left alone.
    """
    import ctypes  # noqa: PLC0415 - one process in a thousand needs it

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it ended before that was asked for
            signal.raise_signal(signal.SIGKILL)


def kill_all() -> None:
    """End every group under way at once: for a program that is itself about to end."""
    for leader in list(_live):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


@contextmanager
def _group(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, stdin: File, stdout: File, stderr: File
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process; when the block is left, it is reaped and all of its group is gone."""
    process = _start(argv, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    _live.add(process.pid)
    try:
        yield process
    except Stop:
        raise
    except BaseException:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        raise
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()
        _live.discard(process.pid)
        _close(process)


def _start(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, stdin: File, stdout: File, stderr: File
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv), env=dict(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr,
            start_new_session=True, bufsize=0, umask=0o022,
        )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        if error.filename != argv[0]:  # then it is the working directory that is missing
            raise
        raise _absent(argv[0], error) from None


def _absent(name: str, error: OSError) -> ToolchainError | OSError:
    if "/" not in name:  # EACCES, too: it is the answer where a directory on PATH may not be searched
        return ToolchainError(f"`{name}` is not on PATH", hint=f"install `{name}`, then `command -v {name}`")
    if isinstance(error, PermissionError):
        return error
    return ToolchainError(f"`{name}` does not exist, or its interpreter does not", hint=f"`ls -l {name}`")


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group's id is its leader's, and stays taken for as long as a member lives. macOS answers EPERM,
    # not ESRCH, for a group of the dead.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _communicate(
    process: subprocess.Popen[bytes], argv: Sequence[str], data: bytes | None, timeout: float | None
) -> tuple[bytes, bytes]:
    deadline = None if timeout is None else time.monotonic() + timeout
    out = err = b""
    while not _has_ended(process):
        try:
            return process.communicate(data, _STEP)
        except subprocess.TimeoutExpired as so_far:
            out, err = so_far.output or b"", so_far.stderr or b""
            data = None  # `communicate` keeps what was to be written, and refuses to be told again
        if deadline is not None and timeout is not None and time.monotonic() >= deadline:
            raise Timeout(argv, timeout)
    return out + _rest(process.stdout), err + _rest(process.stderr)


def _rest(pipe: IO[bytes] | None) -> bytes:
    """Read what a pipe holds, without waiting for whoever else may still have it open."""
    if pipe is None or pipe.closed:  # `communicate` has come to its end
        return b""
    os.set_blocking(pipe.fileno(), False)
    return pipe.read(_PIPE) or b""


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether the leader has ended, and see to it that the rest of its group does too."""
    if process.poll() is None:
        return False
    _signal(process, signal.SIGKILL)
    return True


def _output(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    silence: float | None,
    watch: Callable[[int], None] | None,
) -> Iterator[bytes]:
    """Read a process's output until it ends, or until its leader has and what it wrote is read."""
    left = _PIPE
    with selectors.DefaultSelector() as ready:
        descriptor = _raw(process).fileno()
        ready.register(descriptor, selectors.EVENT_READ)
        heard = time.monotonic()
        while left > 0:
            if watch is not None:
                watch(process.pid)
            ended = _has_ended(process)
            if ready.select(0 if ended else _STEP):
                chunk = os.read(descriptor, CHUNK)
                if not chunk:
                    return
                heard, left = time.monotonic(), left - len(chunk) if ended else left
                yield chunk
            elif ended:
                return
            elif silence is not None and time.monotonic() - heard >= silence:
                raise Timeout(argv, silence)


def _raw(process: subprocess.Popen[bytes]) -> io.FileIO:
    """Give the reading end of a process's output, which `bufsize=0` leaves without a buffer."""
    if not isinstance(process.stdout, io.FileIO):
        raise TypeError("started without a pipe for its output")
    return process.stdout


def _logged(chunks: Iterable[bytes], log: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        log.write(chunk)
        yield chunk


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from lines
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = ""
    rest += decoder.decode(b"", final=True)
    if rest:
        yield from rest.removesuffix("\n").split("\n")
