"""How a component with a CMakeLists.txt is built: the argv of its phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipes.toolchain import CMAKE, ROOT

SOURCE, BUILD = "/src", "/build"
JOBS = "{jobs}"  # filled in when the phase runs: how many at once never changes the bytes

# -g0: zig builds libc++ when first asked, and its debug information holds that moment's directory
_COMPILE = "-g0"
_LINK = "-s"


def configure(options: Mapping[str, str], ninja: str, *, cross: str | None) -> tuple[str, ...]:
    """Give the argv that configures; `cross` is the processor's name where it is not this machine's.

    The recipe's own options win. They are sorted: in which file one was written changes nothing.
    """
    settings = {
        "CMAKE_MAKE_PROGRAM": ninja,
        "CMAKE_C_COMPILER": f"{ROOT}/bin/cc",
        "CMAKE_CXX_COMPILER": f"{ROOT}/bin/c++",
        "CMAKE_ASM_COMPILER": f"{ROOT}/bin/cc",
        "CMAKE_AR": f"{ROOT}/bin/ar",
        "CMAKE_RANLIB": f"{ROOT}/bin/ranlib",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_FLAGS": _COMPILE,
        "CMAKE_CXX_FLAGS": _COMPILE,
        "CMAKE_SHARED_LINKER_FLAGS": _LINK,
        "CMAKE_EXE_LINKER_FLAGS": _LINK,
        "CMAKE_INSTALL_PREFIX": "/out",
        # upstream's RUNPATH holds the build directory and ends in an empty entry, the current directory
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
    }
    if cross:
        settings |= {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": cross}
    given = [f"-D{name}={value}" for name, value in sorted({**settings, **options}.items())]
    return (CMAKE, "-S", SOURCE, "-B", BUILD, "-G", "Ninja", "--no-warn-unused-cli", *given)


def build(targets: Sequence[str], ninja: str) -> tuple[str, ...]:
    """Give the argv that builds."""
    return (ninja, "-C", BUILD, "-j", JOBS, "--", *targets)
