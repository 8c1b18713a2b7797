"""How a component with a CMakeLists.txt is built: the argv of its phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipes.toolchain import FLAGS, ROOT, Toolchain

SOURCE, BUILD = "/src", "/build"
JOBS = "{jobs}"  # filled in when the phase runs: how many at once never changes the bytes


def configure(options: Mapping[str, str], tools: Toolchain, *, cross: str | None) -> tuple[str, ...]:
    """Give the argv that configures; `cross` is the processor's name where it is not this machine's.

    The recipe's own options win. They are sorted: in which file one was written changes nothing.
    """
    settings = compiling(tools.ninja, f"{ROOT}/bin", tools.settings) | {
        "CMAKE_INSTALL_PREFIX": "/out",
        # upstream's RUNPATH holds the build directory and ends in an empty entry, the current directory
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
    }
    if cross:
        settings |= {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": cross}
    given = [f"-D{name}={value}" for name, value in sorted({**settings, **options}.items())]
    return (tools.cmake, "-S", SOURCE, "-B", BUILD, "-G", "Ninja", "--no-warn-unused-cli", *given)


def compiling(ninja: str, programs: str, settings: Mapping[str, str] = FLAGS) -> dict[str, str]:
    """Give the settings that decide how files are compiled and linked, in the sandbox and out of it.

    `programs` is the directory with the compilers, `settings` are the toolchain's own.
    """
    return {
        "CMAKE_MAKE_PROGRAM": ninja,
        "CMAKE_C_COMPILER": f"{programs}/cc",
        "CMAKE_CXX_COMPILER": f"{programs}/c++",
        "CMAKE_ASM_COMPILER": f"{programs}/cc",
        "CMAKE_AR": f"{programs}/ar",
        "CMAKE_RANLIB": f"{programs}/ranlib",
        "CMAKE_BUILD_TYPE": "Release",
        **settings,
    }


def build(targets: Sequence[str], tools: Toolchain) -> tuple[str, ...]:
    """Give the argv that builds."""
    return (tools.ninja, "-C", BUILD, "-j", JOBS, "--", *targets)
