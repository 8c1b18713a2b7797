"""The sandbox of a build step as a value, and the argv that starts it, with bubblewrap or with util-linux.

Both backends give a process the same world:

- a root of its own, read-only but for the writable binds, `/tmp` and `/dev/shm`, and nothing of the host's
  but the binds (mounted nosuid, nodev);
- uid 1000, gid 100 and no capability, whoever starts it: the numbers of Nix's builders. Uid 0 would make
  `tar` and `install` try to change owners, which a user namespace of one user refuses;
- a read-only `/proc`: the host's root owns `/proc/sys`, so that a build started by root could write there
  without any capability. A user namespace inside cannot be set up without writing there either;
- no network but its own loopback, no process but its own, no System V IPC of the host, its own host name;
- exactly the variables of `Sandbox.env`, and `PWD`, which bubblewrap always sets;
- the exit code of the command, 128 + N when signal N ended it, and the end of all it left running;
- death by SIGKILL when the thread that started it ends. Only SIGKILL surely ends it: `unshare` blocks others.

The caller writes small files such as `/etc/passwd` (see `ETC`) to a directory and binds them.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UID, GID = 1000, 100

#: What programs look up about the sandbox's one user, by file name below `/etc`.
ETC: Mapping[str, str] = {
    "group": f"users:x:{GID}:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "passwd": f"build:x:{UID}:{GID}:build:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
}


@dataclass(frozen=True)
class Bind:
    """A file or directory of the host, with all that is mounted below it, and where the sandbox has it.

    Both paths are absolute. `target` must not lead through a symbolic link.
    """

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Sandbox:
    """All that a sandboxed process can see, besides `/proc`, `/dev` and an empty `/tmp`.

    `binds` are made in their order, so that one may lie inside another. `links` are symbolic links to make,
    as (target, path), none of them where a bind is or leads. `env` is sorted.
    """

    binds: tuple[Bind, ...]
    cwd: str
    env: tuple[tuple[str, str], ...]
    hostname: str = "tvm-recipes"
    links: tuple[tuple[str, str], ...] = ()


def bwrap(box: Sandbox, argv: Sequence[str], program: str = "bwrap") -> list[str]:
    """Give the argv that runs `argv` in `box` through bubblewrap, 0.5 or later."""
    binds = [("--bind" if one.writable else "--ro-bind", one.source, one.target) for one in box.binds]
    options = [
        ("--unshare-all",),
        ("--unshare-user",),  # --unshare-all goes on without it where it is refused
        ("--uid", str(UID)),
        ("--gid", str(GID)),
        ("--cap-drop", "ALL"),
        ("--hostname", box.hostname),
        ("--die-with-parent",),
        ("--new-session",),
        ("--clearenv",),
        *(("--setenv", name, value) for name, value in box.env),
        ("--proc", "/proc"),
        ("--remount-ro", "/proc"),
        ("--dev", "/dev"),
        ("--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
        ("--remount-ro", "/dev"),
        ("--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108
        *(("--perms", "0755", "--dir", parent) for parent in _parents(box.binds)),
        *binds,
        *(("--symlink", target, path) for target, path in box.links),
        ("--remount-ro", "/"),
        ("--chdir", box.cwd),
    ]
    return [program, *(word for option in options for word in option), "--", *argv]


def _parents(binds: Sequence[Bind]) -> list[str]:
    """Give the directories that binds are in: bubblewrap gives one that it makes by itself mode 0700."""
    return sorted({parent for one in binds if (parent := posixpath.dirname(one.target)) != "/"})


# The first user namespace maps root, so that mount(8) works; the shell in it is the first process of the
# process namespace, which is why it waits for the command and does not become it. setpriv's signal stands
# for bubblewrap's --die-with-parent.
_NAMESPACES = (
    *("setpriv", "--no-new-privs", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup"),
    *("--fork", "--kill-child", "--", "/bin/sh", "-euc"),
)

_PRELUDE = """\
mask=$(umask)
umask 022
root=$(cd -- "$1" && pwd -P)
shift

# without -n, mount(8) run by root writes to the host's /run/mount
mount() { command mount -n "$@"; }

tmpfs() { # TARGET MODE
    mkdir -p "$root$1"
    mount -t tmpfs -o "mode=$2,nosuid,nodev" tmpfs "$root$1"
}

bind() { # SOURCE TARGET ro|rw
    if [ -d "$1" ]; then
        mkdir -p "$root$2"
    elif [ ! -e "$root$2" ]; then
        [ -d "$root${2%/*}" ] || mkdir -p "$root${2%/*}"
        : > "$root$2"
    fi
    mount --rbind "$1" "$root$2"
    restrict "$root$2" "$3"
    [ ! -d "$1" ] || restrict_below "$root$2" "$3"
}

restrict_below() { # MOUNT ro|rw
    while read -r _ _ _ _ point _; do
        case $point in *\\\\*) point=$(unescape "$point"); point=${point%.} ;; esac
        case $point in "$1"/*) restrict "$point" "$2" ;; esac
    done < /proc/self/mountinfo
}

restrict() { # MOUNT ro|rw
    # a user namespace may not clear noexec where the host has set it, as leaving it out would
    mount -o "remount,bind,$2,nosuid,nodev" "$1" 2> /dev/null ||
        mount -o "remount,bind,$2,nosuid,nodev,noexec" "$1"
}

unescape() { # MOUNT: undo the kernel's `\\040`; not with %b, which takes `\\0401` for one character
    printf "$(printf %s. "$1" | sed 's/%/%%/g')"
}

link() { # TARGET PATH
    mkdir -p "$root${2%/*}"
    ln -s -- "$1" "$root$2"
}

tmpfs '' 755

mkdir "$root/proc"
mount -t proc -o ro,nosuid,nodev,noexec proc "$root/proc"

tmpfs /dev 755
for name in null zero full random urandom tty; do
    : > "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid,noexec devpts "$root/dev/pts"
link pts/ptmx /dev/ptmx
link /proc/self/fd /dev/fd
link /proc/self/fd/0 /dev/stdin
link /proc/self/fd/1 /dev/stdout
link /proc/self/fd/2 /dev/stderr
tmpfs /dev/shm 1777
mount -o remount,bind,ro,nosuid,noexec "$root/dev"

tmpfs /tmp 1777
"""

# The shell must still see the host's programs, so it does not pivot. The command does not see them: it is
# in a chroot, without the capability to leave it, and the kernel refuses a process in a chroot the user
# namespace that would give it one (create_user_ns: current_chrooted). It cannot look into the shell's
# /proc/1/root either, as the shell is in the parent user namespace. The subshell keeps the command's
# standard error from the shell, which would write `Killed` there.
_POSTLUDE = """\
mount -o remount,bind,ro,nosuid,nodev "$root"
! command -v ip > /dev/null || ip link set lo up
unshare=$(command -v unshare)
umask "$mask"
exec 3>&2 2> /dev/null
"""


def unshare(box: Sandbox, argv: Sequence[str], root: str) -> list[str]:
    """Give the argv that runs `argv` in `box` through util-linux, 2.36 or later, and `hostname`.

    `root` is an empty directory of the host's, and stays empty. Loopback is up only where the host has `ip`
    (iproute2).
    """
    return [*_NAMESPACES, _script(box), "sandbox", root, *argv]


def _script(box: Sandbox) -> str:
    calls = [
        *(["bind", one.source, one.target, "rw" if one.writable else "ro"] for one in box.binds),
        *(["link", target, path] for target, path in box.links),
        ["hostname", box.hostname],
    ]
    body = "".join(f"{shlex.join(call)}\n" for call in calls)
    return f"{_PRELUDE}\n{body}\n{_POSTLUDE}{_command(box)}"


def _command(box: Sandbox) -> str:
    env = shlex.join([*(f"{name}={value}" for name, value in box.env if name != "PWD"), f"PWD={box.cwd}"])
    enter = f'"$unshare" --user --map-user={UID} --map-group={GID} "--root=$root" '
    cwd = shlex.quote(f"--wd={box.cwd}")
    return f'(exec setsid env -i -- {env} {enter}{cwd} -- "$@" 2>&3 3>&-) || exit $?\n'
