"""The `pypi` toolchain: cmake, ninja and zig's clang out of wheels, laid out below /toolchain.

Nothing of the host's compilers or headers is in it: zig carries clang, lld, libc++ and the stubs and
headers of glibc, so the bytes that it makes are the same on every machine.
"""

from __future__ import annotations

GLIBC = "2.28"  # the oldest that a result runs on: Debian 10, RHEL 8; manylinux_2_28's choice
NEEDS = ("cmake", "ninja", "ziglang")

TARGETS = {"linux-64": "x86_64-linux-gnu", "linux-aarch64": "aarch64-linux-gnu"}

ROOT = "/toolchain"
CACHE = "/cache"

# not the wheel's script: that is Python, with the path of an environment in its first line
CMAKE = f"{ROOT}/cmake/cmake/data/bin/cmake"
ZIG = f"{ROOT}/ziglang/ziglang/zig"

PYTHON = "/python/bin/python3"  # the host's interpreter and its standard library, for a recipe's script


def ninja(version: str) -> str:
    """Give where ninja's program lies in its unpacked wheel."""
    return f"{ROOT}/ninja/ninja-{version}.data/scripts/ninja"


_UNAME = """\
#!/bin/sh
# CMake asks for the processor; the kernel's own release would be the host's
case "${{1-}}" in
-m | -p) echo {machine} ;;
-r) echo 0 ;;
*) echo Linux ;;
esac
"""


def wrappers(platform: str, system: str) -> dict[str, str]:
    """Give the text of the programs that lie in /toolchain/bin, by name: the compilers, and `uname`."""
    target = f"{TARGETS[platform]}.{GLIBC}"
    tools = {
        "cc": f"cc -target {target}",
        "c++": f"c++ -target {target}",
        "ar": "ar",
        "ranlib": "ranlib",
    }
    compilers = {name: f'#!/bin/sh\nexec {ZIG} {words} "$@"\n' for name, words in tools.items()}
    return {**compilers, "uname": _UNAME.format(machine=processor(system))}


def processor(platform: str) -> str:
    """Name a platform's processor as `uname -m` does."""
    return TARGETS[platform].partition("-")[0]


def environment(epoch: int) -> dict[str, str]:
    """Give the whole environment of a build; `epoch` is in seconds since 1970."""
    return {
        "HOME": "/tmp",  # noqa: S108 - private to the sandbox
        "LC_ALL": "C.UTF-8",
        "NINJA_STATUS": "[%f/%t] ",
        "PATH": f"{ROOT}/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(epoch),
        "TZ": "UTC",
        "ZIG_GLOBAL_CACHE_DIR": f"{CACHE}/zig",
        "ZIG_LOCAL_CACHE_DIR": f"{CACHE}/zig",
    }
