"""Programs that try to get out of a sandbox: each is seen to work outside it, where that is possible.

All are Python programs, started as builds are, with both backends, as whoever runs the tests and, where that
is root, as an ordinary user too. A program prints `escaped` when it has got out.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recipes import crowd, isolation, process
from recipes.crowd import Crowded, Guard
from recipes.isolation import Isolation
from recipes.sandbox import Bind, Sandbox

pytestmark = pytest.mark.sandbox

PATIENCE = 60  # seconds until a test gives up on something that has to happen
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
ENV = {"PATH": f"{os.defpath}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}

STARTS: list[tuple[Isolation, tuple[str, ...]]] = [(one, ()) for one in isolation.ways()]
if os.geteuid() == 0:
    STARTS += [(one, AS_NOBODY) for one in isolation.ways()]

START = """\
import ctypes, json, os, pathlib, signal, socket, stat, sys, time
facts = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def tried(job):
    try:
        return job()
    except (OSError, ValueError) as error:
        print(type(error).__name__, error)
        return None

def escaped(answer):
    if answer:
        print("escaped")
"""


@dataclass(frozen=True)
class Python:
    """An interpreter of the host's that everyone may read, and what it needs to run."""

    program: str
    library: str
    extensions: tuple[str, ...]

    def binds(self) -> tuple[Bind, ...]:
        return (
            *isolation.runtime([self.program, *self.extensions], ENV),
            Bind(str(Path(self.program).resolve()), self.program),
            Bind(self.library, self.library),
        )


ASK = """\
import _ctypes, _socket, json, sys, sysconfig
paths = [getattr(one, "__file__", None) for one in (_ctypes, _socket)]
print(json.dumps([sys.executable, sysconfig.get_path("stdlib"), [one for one in paths if one]]))
"""


def python(before: tuple[str, ...]) -> Python:
    for program in (str(Path(sys.executable).resolve()), "/usr/bin/python3"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            done = subprocess.run([program, "-I", "-c", ASK], capture_output=True, check=True, env=ENV)
            path, library, extensions = json.loads(done.stdout)
            subprocess.run([*before, "test", "-r", f"{library}/os.py"], check=True, env=ENV)
            return Python(str(Path(path).resolve()), library, tuple(extensions))
    pytest.skip("this user can read no Python with ctypes")


@dataclass
class Host:
    """A backend, who starts it, what it may see, and what it must not reach."""

    way: Isolation
    before: tuple[str, ...]
    place: Path
    python: Python
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def box(self) -> Sandbox:
        return Sandbox(
            binds=(
                *self.python.binds(),
                Bind(str(self.place / "build"), "/build", writable=True),
                Bind(str(self.place / "store/input"), "/inputs/one"),
                Bind(str(self.place / "store/tool"), "/toolchain/tool"),
                Bind(str(self.place / "etc"), "/etc"),
            ),
            cwd="/build",
            env=(("PATH", "/bin"),),
        )

    def argv(self, code: str, **facts: object) -> list[str]:
        given = json.dumps(self.facts | facts)
        return [self.python.program, "-I", "-S", "-B", "-c", START + code, given]

    def enter(self, argv: list[str]) -> list[str]:
        return [*self.before, *self.way.enter(self.box, argv, str(self.place / "root"))]

    def inside(self, code: str, **facts: object) -> str:
        return self.said(self.enter(self.argv(code, **facts)))

    def outside(self, code: str, **facts: object) -> str:
        return self.said([*self.before, *self.argv(code, **facts)])

    def phase(self, code: str, guard: Guard, **facts: object) -> str:
        """Run as a phase of a build is run: after it, nothing is left."""
        argv, log = self.enter(self.argv(code, **facts)), io.BytesIO()
        try:
            process.stream(
                argv, env=ENV, cwd=None, log=log, line=lambda _: None, silence=PATIENCE, watch=guard
            )
        finally:
            crowd.settle(argv)
        return log.getvalue().decode()

    def said(self, argv: list[str]) -> str:
        done = subprocess.run(
            argv, env=ENV, cwd=self.place, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr


@pytest.fixture(params=STARTS, ids=lambda start: f"{start[0].name}{' as nobody' if start[1] else ''}")
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    way, before = request.param
    place = Path(tempfile.mkdtemp(prefix="escape-"))
    made = Host(way, before, place, python(before))
    try:
        made.facts = furnish(place, before)
        try:
            said = made.inside("print('runs')")
        except FileNotFoundError as error:
            pytest.skip(f"{error.filename} is not installed")
        if "runs" not in said:
            pytest.skip(f"{way.name} is refused here: {said.strip()}")
        yield made
    finally:
        shutil.rmtree(place)


def furnish(place: Path, before: tuple[str, ...]) -> dict[str, object]:
    """Make directories to see, and a home and a store path that are not to be seen."""
    for path in ("build", "etc", "root", "store/input", "store/tool", "store/other", "home"):
        (place / path).mkdir(parents=True)
    for path in ("store/input/file", "store/tool/file", "store/other/file", "home/secret"):
        (place / path).write_text("kept\n")
    for one in (place, *place.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)
        if before:
            os.chown(one, NOBODY, NOBODY)
    return {"secret": f"{place}/home/secret", "other": f"{place}/store/other/file", "place": str(place)}


# --- the network --------------------------------------------------------------------------------------------


def test_tcp(host: Host) -> None:
    code = "escaped(tried(lambda: socket.create_connection(('127.0.0.1', facts['port']), 5)))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert host.outside(code, port=port) == "escaped\n"
        assert "escaped" not in host.inside(code, port=port)


def test_udp(host: Host) -> None:
    code = "tried(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'out', ('127.0.0.1', facts['port'])))"
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(PATIENCE)
        port = server.getsockname()[1]
        host.outside(code, port=port)
        assert server.recv(9) == b"out"
        host.inside(code, port=port)
        server.setblocking(False)  # what is sent on loopback is there when `sendto` returns
        with pytest.raises(BlockingIOError):
            server.recv(9)


def test_an_abstract_unix_socket(host: Host) -> None:
    code = """\
def job():
    socket.socket(socket.AF_UNIX).connect("\\0" + facts["name"])
    return True
escaped(tried(job))
"""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0escape-{os.getpid()}-{id(host)}")
        server.listen()
        name = server.getsockname()[1:].decode()
        assert host.outside(code, name=name) == "escaped\n"
        assert "escaped" not in host.inside(code, name=name)


def test_raw_packets(host: Host) -> None:
    code = "escaped(tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300)))"
    if os.geteuid() == 0 and not host.before:
        assert host.outside(code) == "escaped\n"
    assert "PermissionError" in host.inside(code)


# --- files --------------------------------------------------------------------------------------------------


def test_reading_what_is_no_input(host: Host) -> None:
    code = "escaped(tried(lambda: open(facts[facts['what']]).read()))"
    for what in ("secret", "other"):
        assert host.outside(code, what=what) == "escaped\n"
        assert "escaped" not in host.inside(code, what=what)


def test_reading_the_hosts_headers(host: Host) -> None:
    code = "escaped(tried(lambda: os.listdir('/usr/include')))"
    if Path("/usr/include").is_dir():
        assert host.outside(code) == "escaped\n"
    assert "FileNotFoundError" in host.inside(code)


@pytest.mark.parametrize("way", ["/proc/1/root", "/proc/1/cwd", "/proc/self/root/../..", "/dev/fd/3/../.."])
def test_going_round_to_the_hosts_root(host: Host, way: str) -> None:
    code = "escaped(tried(lambda: open(facts['way'] + facts['secret']).read()))"
    assert "escaped" not in host.inside(code, way=way)
    assert host.outside(code, way="/proc/self/root") == "escaped\n"


WRITE = """\
def job(path):
    with open(path, "w") as file:
        file.write("changed")
    return True
for path in facts["paths"]:
    if tried(lambda: job(path)):
        print("escaped", path)
"""


def test_writing_outside_the_build(host: Host) -> None:
    known = host.place / "store"
    paths = [str(known / "input/new"), str(known / "input/file"), str(known / "other/file")]
    inside = ["/new", "/usr/new", "/etc/new", "/bin/sh", "/toolchain/new", "/toolchain/tool/file"]
    inside += ["/inputs/new", "/inputs/one/file", "/inputs/one/new", "/build/../new", "/proc/new", *paths]
    assert "escaped" not in host.inside(WRITE, paths=inside)
    assert (known / "input/file").read_text() == (known / "other/file").read_text() == "kept\n"
    assert host.outside(WRITE, paths=paths) == "".join(f"escaped {path}\n" for path in paths)


@pytest.mark.parametrize("file", ["kernel/hostname", "kernel/core_pattern", "vm/drop_caches"])
def test_writing_kernel_settings(host: Host, file: str) -> None:
    code = "escaped(tried(lambda: os.open('/proc/sys/' + facts['file'], os.O_WRONLY)))"
    if os.geteuid() == 0 and not host.before and os.access(f"/proc/sys/{file}", os.W_OK):
        assert host.outside(code, file=file) == "escaped\n"
    assert "escaped" not in host.inside(code, file=file)


def test_a_way_out_through_a_link_that_the_build_makes(host: Host) -> None:
    code = "os.symlink(facts['secret'], 'link'); escaped(tried(lambda: open('link').read()))"
    assert "escaped" not in host.inside(code)
    (host.place / "build/link").unlink()


# --- rights -------------------------------------------------------------------------------------------------

MOUNT = """\
NEWNS, NEWUSER, NEWPID = 0x20000, 0x10000000, 0x20000000
REMOUNT_RW = 32 | 4096  # MS_REMOUNT | MS_BIND
print(libc.unshare(NEWUSER | NEWNS), libc.unshare(NEWNS))
for path in (b"/", b"/inputs/one", b"/proc", b"/etc"):
    print(path, libc.mount(b"none", path, None, REMOUNT_RW, None), libc.umount2(path, 2))
for path in (facts["target"], "/new"):
    escaped(tried(lambda: open(path, "w").write("changed")))
libc.mount(b"proc", b"/build", b"proc", 0, None)
libc.chroot(b"/build")
for up in range(20):
    os.chdir("..")
escaped(tried(lambda: open("." + facts["secret"]).read()))
"""


def test_mounting_the_host_back(host: Host) -> None:
    assert "escaped" not in host.inside(MOUNT, target="/inputs/one/file")
    assert (host.place / "store/input/file").read_text() == "kept\n"
    outside = "escaped(tried(lambda: open(facts['target'], 'w').write('changed')))"
    assert host.outside(outside, target=str(host.place / "store/input/file")) == "escaped\n"


def test_device_nodes(host: Host) -> None:
    code = """\
def job(path):
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    return open(path, "rb").read(1) == b"\\0"
for directory in facts["directories"]:
    escaped(tried(lambda: job(directory + "/node")))
"""
    assert "escaped" not in host.inside(code, directories=["/build", "/tmp", "/dev/shm"])
    assert not (host.place / "build/node").exists()
    listed = host.inside("print(sorted(os.listdir('/dev')))")
    known = {"console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin"}
    assert {*json.loads(listed.replace("'", '"'))} <= known | {"stdout", "tty", "urandom", "zero"}


def test_setuid(host: Host) -> None:
    code = """\
tried(lambda: os.chmod("program", 0o6755))
os.execv("program", ["program", "-I", "-S", "-c", "import os; print('is', os.geteuid(), os.getegid())"])
"""
    shutil.copy(host.python.program, host.place / "build/program")
    (host.place / "build/program").chmod(0o4755)
    assert "is 1000 100" in host.inside(code)
    assert "NoNewPrivs:\t1" in host.inside("print(open('/proc/self/status').read())")


def test_becoming_another_user(host: Host) -> None:
    code = (
        "[escaped(tried(lambda: (job(number), True))) for job in (os.setuid, os.setgid) for number in (0, 1)]"
    )
    assert "escaped" not in host.inside(code)
    if os.geteuid() == 0 and not host.before:
        assert "escaped" in host.outside(code)


# --- other processes ----------------------------------------------------------------------------------------


@pytest.fixture
def bystander(host: Host) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process of the host, of the same user."""
    with subprocess.Popen([*host.before, "sleep", "1000"], env=ENV) as started:
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{started.pid}/comm").read_text() != "sleep\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        yield started
        started.kill()


def test_killing_a_process_of_the_host(host: Host, bystander: subprocess.Popen[bytes]) -> None:
    code = """\
def job():
    os.kill(facts["pid"], signal.SIGKILL)
    return True
escaped(tried(job))
"""
    everything = "tried(lambda: os.kill(-1, signal.SIGKILL))"
    host.inside(everything)
    numbered = bystander.pid if bystander.pid > 10 else 2**22  # it may be another one's number inside
    assert "ProcessLookupError" in host.inside(code, pid=numbered)
    assert bystander.poll() is None
    assert host.outside(code, pid=bystander.pid) == "escaped\n"
    assert bystander.wait(PATIENCE) == -9


def test_seeing_and_tracing_a_process_of_the_host(host: Host, bystander: subprocess.Popen[bytes]) -> None:
    code = """\
shown = [one for one in os.listdir("/proc") if one.isdigit()]
escaped(any("sleep" in (tried(lambda: open(f"/proc/{one}/comm").read()) or "") for one in shown))
print("traces", libc.ptrace(16, facts["pid"], 0, 0))
"""
    said = host.inside(code, pid=bystander.pid)
    assert "escaped" not in said
    assert "traces -1" in said
    assert "escaped" in host.outside(code.partition("print")[0], pid=bystander.pid)


DAEMON = """\
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.dup2(os.open("/dev/null", os.O_RDWR), 1)
        os.dup2(1, 2)
        pathlib.Path("started").touch()
        time.sleep(1000)
    os._exit(0)
while not os.path.exists("started"):
    time.sleep(0.01)
print("done")
"""


def test_a_daemon_that_a_phase_leaves(host: Host) -> None:
    marker = f"marker-{os.getpid()}-{id(host)}"
    assert host.phase(DAEMON, Guard(300), marker=marker) == "done\n"
    assert with_argument(marker) == []
    (host.place / "started").unlink(missing_ok=True)
    assert host.outside(DAEMON, marker=marker) == "done\n"
    left = with_argument(marker)
    assert left
    for pid in left:
        os.kill(pid, 9)


def with_argument(marker: str) -> list[int]:
    """Find the processes of the host whose command has this text in it."""
    found = []
    for one in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if one.name.isdigit() and marker.encode() in (one / "cmdline").read_bytes():
                found.append(int(one.name))
    return found


BOMB = """\
for count in range(600):
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
time.sleep(1000)
"""


def test_a_fork_bomb_ends_at_the_limit(host: Host) -> None:
    marker = f"marker-{os.getpid()}-{id(host)}"
    with pytest.raises(Crowded, match="more than 300 processes at once"):
        host.phase(BOMB, Guard(300), marker=marker)
    gone(marker)


def gone(marker: str) -> None:
    """Wait until no process has this in its command: what is killed takes a moment to die."""
    deadline = time.monotonic() + PATIENCE
    while with_argument(marker):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_few_processes_are_no_crowd(host: Host) -> None:
    assert host.phase("print('done')", Guard(300)) == "done\n"


def test_what_is_cancelled_ends_at_once(host: Host) -> None:
    marker, stop = f"marker-{os.getpid()}-{id(host)}", threading.Event()
    stop.set()
    with pytest.raises(crowd.Cancelled):
        host.phase("time.sleep(1000)", Guard(300, stop), marker=marker)
    gone(marker)
