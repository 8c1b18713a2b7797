from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from recipes import sandbox
from recipes.sandbox import Bind, Sandbox

BOX = Sandbox(
    binds=(Bind("/host/tool's", "/opt/tool"), Bind("/host/w", "/build/w x", writable=True)),
    cwd="/build/w x",
    env=(("A", "it's"), ("PATH", "/opt/tool")),
    hostname="box",
    links=(("opt/tool/sh", "/bin/sh"),),
)


def test_bwrap_argv() -> None:
    assert sandbox.bwrap(BOX, ["make", "-j", "a b"], program="/x/bwrap") == [
        "/x/bwrap",
        "--unshare-all",
        "--unshare-user",
        *("--uid", "1000"),
        *("--gid", "100"),
        *("--cap-drop", "ALL"),
        *("--hostname", "box"),
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        *("--setenv", "A", "it's"),
        *("--setenv", "PATH", "/opt/tool"),
        *("--proc", "/proc"),
        *("--remount-ro", "/proc"),
        *("--dev", "/dev"),
        *("--perms", "1777", "--tmpfs", "/dev/shm"),
        *("--remount-ro", "/dev"),
        *("--perms", "1777", "--tmpfs", "/tmp"),
        *("--perms", "0755", "--dir", "/build"),
        *("--perms", "0755", "--dir", "/opt"),
        *("--ro-bind", "/host/tool's", "/opt/tool"),
        *("--bind", "/host/w", "/build/w x"),
        *("--symlink", "opt/tool/sh", "/bin/sh"),
        *("--remount-ro", "/"),
        *("--chdir", "/build/w x"),
        "--",
        *("make", "-j", "a b"),
    ]


def test_unshare_argv() -> None:
    argv = sandbox.unshare(BOX, ["make", "-j", "a b"], "/root dir")
    script = argv.pop(argv.index("-euc") + 1)
    assert argv == [
        *("setpriv", "--no-new-privs", "--pdeathsig", "KILL"),
        *("unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup"),
        *("--fork", "--kill-child", "--", "/bin/sh", "-euc"),
        *("sandbox", "/root dir"),
        *("make", "-j", "a b"),
    ]
    between = script.removeprefix(sandbox._PRELUDE).partition(sandbox._POSTLUDE)
    assert between[0].strip().splitlines() == [
        """bind '/host/tool'"'"'s' /opt/tool ro""",
        "bind /host/w '/build/w x' rw",
        "link opt/tool/sh /bin/sh",
        "hostname box",
    ]
    assert between[2] == (
        """(exec setsid env -i -- 'A=it'"'"'s' PATH=/opt/tool 'PWD=/build/w x' "$unshare" --user"""
        """ --map-user=1000 --map-group=100 "--root=$root" '--wd=/build/w x' -- "$@" 2>&3 3>&-)"""
        " || exit $?\n"
    )


def test_a_given_pwd_yields_to_the_working_directory() -> None:
    box = Sandbox(binds=(), cwd="/", env=(("PWD", "/elsewhere"),))
    assert "env -i -- PWD=/ " in sandbox._command(box)


def test_etc_names_the_user_of_the_sandbox() -> None:
    assert sorted(sandbox.ETC) == ["group", "hosts", "passwd"]
    assert sandbox.ETC["passwd"].startswith("build:x:1000:100:")
    assert sandbox.ETC["group"].startswith("users:x:100:")


# From here on, real ones.

TOOLS = (
    "/bin/sh",
    "/bin/bash",
    "/bin/cat",
    "/bin/ls",
    "/bin/sleep",
    "/usr/bin/env",
    "/usr/bin/id",
    "/usr/bin/setsid",
)
ENV = {"PATH": f"{os.defpath}:/usr/sbin:/sbin", "SECRET": "1"}
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def needed(program: str) -> set[str]:
    """Find the files that a program of the host needs to run."""
    loaders = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
    loader = loaders.get(platform.machine(), "")
    if not Path(loader).exists() or not Path(program).exists():
        pytest.skip(f"this host has no {program} or no glibc loader")
    listed = subprocess.run([loader, "--list", program], capture_output=True, text=True, check=True).stdout
    return {program, loader, *re.findall(r"=> (/\S+)", listed)}


@dataclass(frozen=True)
class Host:
    """A backend, who starts it, and directories that both can reach."""

    backend: str
    before: tuple[str, ...]
    place: Path

    def argv(self, box: Sandbox, *argv: str) -> list[str]:
        if self.backend == "bwrap":
            return [*self.before, *sandbox.bwrap(box, argv)]
        return [*self.before, *sandbox.unshare(box, argv, str(self.place / "root"))]

    def run(self, box: Sandbox, *argv: str) -> tuple[int, str, str]:
        ended = subprocess.run(
            self.argv(box, *argv),
            env=ENV,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def sh(self, box: Sandbox, script: str) -> tuple[int, str, str]:
        return self.run(box, "/bin/sh", "-c", script)

    def started(self, argv: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(argv, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def tools() -> tuple[Bind, ...]:
    paths = set().union(*(needed(tool) for tool in TOOLS))
    return tuple(Bind(str(Path(path).resolve()), path) for path in sorted(paths))


STARTS: list[tuple[str, tuple[str, ...]]] = [("bwrap", ()), ("unshare", ())]
if os.geteuid() == 0:
    STARTS += [("bwrap", AS_NOBODY), ("unshare", AS_NOBODY)]


@pytest.fixture(params=STARTS, ids=lambda start: f"{start[0]} as nobody" if start[1] else start[0])
def host(request: pytest.FixtureRequest, tools: tuple[Bind, ...]) -> Iterator[Host]:
    backend: str = request.param[0]
    before: tuple[str, ...] = request.param[1]
    place = Path(tempfile.mkdtemp(prefix="sandbox-"))
    made = Host(backend, before, furnished(place, before))
    try:
        tried = made.sh(Sandbox(tools, "/", ()), ":")
        if tried[0]:
            pytest.skip(f"{backend} is refused here: {tried[2].strip()}")
        yield made
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is not installed")
    finally:
        shutil.rmtree(place)


def furnished(place: Path, before: tuple[str, ...]) -> Path:
    """Make what a sandbox needs of directories, for the user who starts it."""
    for path in (place, place / "root", place / "ro", place / "rw", place / "ro/sub 1"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    (place / "ro/file").write_text("kept\n")
    (place / "ro/file").chmod(0o644)
    if before:
        for path in (place, *place.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return place


@pytest.fixture
def box(host: Host, tools: tuple[Bind, ...]) -> Sandbox:
    return made(host, tools)


def made(host: Host, tools: tuple[Bind, ...]) -> Sandbox:
    return Sandbox(
        binds=(
            *tools,
            Bind(str(host.place / "ro"), "/in it's"),
            Bind(str(host.place / "rw"), '/build/out "dir"', writable=True),
        ),
        cwd='/build/out "dir"',
        env=(("EMPTY", ""), ("PATH", "/usr/bin:/bin"), ("TEXT", 'two\nlines \'and "quotes" $HOME \\')),
        links=(("/bin/sh", "/opt/deep/sh"),),
    )


@pytest.mark.sandbox
def test_nothing_of_the_host_is_visible(host: Host, box: Sandbox) -> None:
    code, out, err = host.sh(box, "ls / /build /opt; ls -d /../*; cd /etc || cd /home || cd /usr/include")
    top = sorted({*(bind.target.split("/")[1] for bind in box.binds), "dev", "opt", "proc", "tmp"})
    below = "".join(f"/{name}\n" for name in top).replace("/", "/../")
    assert out == "/:\n" + "\n".join(top) + '\n\n/build:\nout "dir"\n\n/opt:\ndeep\n' + below
    assert (code != 0, err.count("can't cd")) == (True, 3)


@pytest.mark.sandbox
def test_mounts_of_the_host_are_not_listed(host: Host, box: Sandbox) -> None:
    code, out, _ = host.sh(box, "cat /proc/self/mountinfo")
    points = {line.split()[4].encode().decode("unicode_escape") for line in out.splitlines()}
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "pts", "shm")}
    expected = {bind.target for bind in box.binds} | {"/", "/proc", "/dev", "/tmp"} | devices
    assert code == 0
    assert {point for point in points if not point.startswith("/proc/")} - {"/dev/console"} == {
        os.path.normpath(point) for point in expected
    }


@pytest.mark.sandbox
def test_nothing_but_writable_binds_can_be_written(host: Host, box: Sandbox) -> None:
    paths = ["/x", "/build/x", "/usr/x", "/dev/x", "/proc/sys/kernel/hostname", "/proc/self/comm"]
    paths += ["/in it's/file", "/in it's/new", "/bin/cat"]
    script = 'for path; do (: >> "$path") && echo "$path"; done; :'
    code, out, err = host.run(box, "/bin/sh", "-c", script, "sh", *paths)
    assert (code, out) == (0, "")
    refusals = [line.rpartition(": ")[2] for line in err.splitlines()]
    assert len(refusals) == len(paths)
    assert set(refusals) <= {"Read-only file system", "Permission denied"}
    assert (host.place / "ro/file").read_text() == "kept\n"
    assert [one.name for one in (host.place / "ro").glob("[!s]*")] == ["file"]


@pytest.mark.sandbox
def test_writable_places_are_empty_and_can_be_written(host: Host, box: Sandbox) -> None:
    script = "ls -A . /tmp /dev/shm; for f in /tmp/x /dev/shm/x x; do echo made > $f; done; cat /tmp/x; pwd"
    out = '.:\n\n/dev/shm:\n\n/tmp:\nmade\n/build/out "dir"\n'
    assert host.sh(box, script) == (0, out, "")
    assert (host.place / "rw/x").read_text() == "made\n"
    assert (host.place / "rw/x").stat().st_uid == (NOBODY if host.before else os.geteuid())
    assert list((host.place / "root").iterdir()) == []


@pytest.mark.sandbox
def test_the_environment_is_what_was_given(host: Host, box: Sandbox) -> None:
    code, out, err = host.run(box, "/usr/bin/env", "-0")
    assert (code, err) == (0, "")
    assert sorted(out.split("\0")[:-1]) == sorted(f"{k}={v}" for k, v in (*box.env, ("PWD", box.cwd)))


@pytest.mark.sandbox
def test_the_argv_arrives_as_it_is(host: Host, box: Sandbox) -> None:
    words = [
        "",
        " two words ",
        "new\nline\n",
        'it\'s "quoted" $HOME `id` \\',
        "-n",
        "--",
        "ä\t*",
        "x" * 100_000,
    ]
    code, out, err = host.run(box, "/bin/sh", "-c", 'for w; do echo "$w|"; done', "sh", *words)
    assert (code, err) == (0, "")
    assert out == "".join(f"{word}|\n" for word in words)


@pytest.mark.sandbox
def test_a_relative_program_is_looked_up_in_the_given_path(host: Host, box: Sandbox) -> None:
    assert host.run(box, "cat", "/in it's/file") == (0, "kept\n", "")
    code, out, _ = host.run(replace(box, env=(("PATH", "/nowhere"),)), "cat", "/in it's/file")
    assert code != 0
    assert out == ""


@pytest.mark.sandbox
def test_links_and_the_standard_devices_are_there(host: Host, box: Sandbox) -> None:
    script = (
        "echo > /dev/null; ls /dev/fd/1; ls -L /dev/stdin /dev/stdout /dev/stderr; /opt/deep/sh -c 'echo sh'"
    )
    expected = "/dev/fd/1\n/dev/stderr\n/dev/stdin\n/dev/stdout\nsh\n"
    assert host.run(box, "/bin/sh", "-ec", script) == (0, expected, "")


@pytest.mark.sandbox
def test_the_user_has_one_number_and_no_right(host: Host, box: Sandbox) -> None:
    code, out, _ = host.sh(box, "id -u; id -g; cat /proc/self/status")
    assert code == 0
    assert out.splitlines()[:2] == ["1000", "100"]
    status = dict(line.split(":\t", 1) for line in out.splitlines()[2:] if ":\t" in line)
    rights = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    assert set(rights.values()) == {0}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.sandbox
def test_no_process_of_the_host_is_visible(host: Host, box: Sandbox) -> None:
    code, out, _ = host.sh(box, "for p in /proc/[0-9]*; do echo $p; done; ls /proc/1/root/ 2> /dev/null; :")
    shown = out.splitlines()
    assert code == 0
    assert shown[0] == "/proc/1"
    assert len([line for line in shown if line.startswith("/proc/")]) == 2
    assert not {"home", "root", "var"} & set(shown)


@pytest.mark.sandbox
def test_the_host_name_is_its_own(host: Host, box: Sandbox) -> None:
    before = socket.gethostname()
    script = "cat /proc/sys/kernel/hostname"
    assert host.sh(box, script) == (0, "tvm-recipes\n", "")
    assert host.sh(replace(box, hostname="other"), script) == (0, "other\n", "")
    assert socket.gethostname() == before


@pytest.mark.sandbox
def test_the_network_cannot_be_reached(host: Host, box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        assert subprocess.run(["/bin/bash", "-c", connect], check=False).returncode == 0
        code, _, err = host.run(box, "/bin/bash", "-c", connect)
    assert code != 0
    assert "Connection refused" in err or "Network is unreachable" in err
    code, out, _ = host.sh(box, "cat /proc/net/dev")
    assert code == 0
    assert [line.split(":")[0].strip() for line in out.splitlines()[2:]] == ["lo"]


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("script", "code"), [("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
)
def test_the_exit_code_and_nothing_else_comes_out(host: Host, box: Sandbox, script: str, code: int) -> None:
    assert host.sh(box, f"echo out; echo err >&2; {script}") == (code, "out\n", "err\n")


@pytest.mark.sandbox
def test_standard_input_comes_in(host: Host, box: Sandbox) -> None:
    ended = subprocess.run(
        host.argv(box, "/bin/cat"),
        env=ENV,
        input="given\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "given\n", "")


@pytest.mark.sandbox
def test_what_a_command_leaves_running_ends_with_it(host: Host, box: Sandbox) -> None:
    # the pipe is at its end only when nobody holds it any more
    assert host.sh(box, "setsid sleep 1000 & echo started") == (0, "started\n", "")


@pytest.mark.sandbox
def test_all_ends_when_the_sandbox_is_killed(host: Host, box: Sandbox) -> None:
    with host.started(
        host.argv(box, "/bin/sh", "-c", "setsid sleep 1000 & echo started; sleep 1000")
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.kill()
        assert process.communicate(timeout=60)[0] == ""


@pytest.mark.sandbox
def test_all_ends_when_the_one_that_started_it_is_killed(host: Host, box: Sandbox) -> None:
    inner = host.argv(box, "/bin/sh", "-c", "echo started; sleep 1000")
    with host.started(["/bin/sh", "-c", '"$@" & wait', "sh", *inner]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.kill()
        assert process.communicate(timeout=60)[0] == ""


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["plain", "a 7%s\\5 '\"$x`\n\t"])
def test_a_mount_below_a_read_only_bind_is_read_only_too(
    host: Host, tools: tuple[Bind, ...], name: str
) -> None:
    place = furnished(host.place / name, host.before)
    script = 'mount -n -t tmpfs -o nosuid,nodev,noexec tmpfs "$1"\n: > "$1/file"\nshift\nexec "$@"'
    mount = ("unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-euc", script, "sh")
    mounted = replace(host, place=place, before=(*host.before, *mount, str(place / "ro/sub 1")))
    code, out, err = mounted.sh(made(mounted, tools), 'cd "/in it\'s/sub 1" && ls && : > file')
    assert (code != 0, out) == (True, "file\n")
    assert "Read-only file system" in err


@pytest.mark.sandbox
def test_paths_of_the_host_may_have_any_characters(host: Host, tools: tuple[Bind, ...]) -> None:
    # the kernel writes `\040` for a space in /proc/self/mountinfo, here before a digit
    odd = replace(host, place=furnished(host.place / "a 7%s\\5 '\"$x`\n\t", host.before))
    script = """cat "/in it's/file"; echo x > made; for f in new 'sub 1/new'; do (: > "/in it's/$f"); done"""
    code, out, err = odd.sh(made(odd, tools), script)
    assert (code != 0, out, err.count("Read-only file system")) == (True, "kept\n", 2)
    assert (odd.place / "rw/made").read_text() == "x\n"


@pytest.mark.sandbox
def test_binds_may_lie_in_one_another(host: Host, box: Sandbox) -> None:
    inner = Bind(str(host.place / "ro/file"), '/build/out "dir"/file')
    code, out, err = host.sh(
        replace(box, binds=(*box.binds, inner)), "cat file; echo x > other; echo x > file"
    )
    assert (code != 0, out) == (True, "kept\n")
    assert "Read-only file system" in err
    assert (host.place / "rw/other").read_text() == "x\n"
    assert (host.place / "ro/file").read_text() == "kept\n"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "change",
    [
        lambda box: replace(box, cwd="/nowhere"),
        lambda box: replace(box, binds=(*box.binds, Bind("/does/not/exist", "/x"))),
    ],
)
def test_what_cannot_be_set_up_is_not_run(
    host: Host, box: Sandbox, change: Callable[[Sandbox], Sandbox]
) -> None:
    code, out, err = host.sh(change(box), "echo ran")
    assert code != 0
    assert out == ""
    assert err != ""
