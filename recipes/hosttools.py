"""The host's GCC for the `host` toolchain: where it is, and digests that tell it from every other.

Not its version alone: two distributions' GCC 12.2 differ in defaults and patches. What is hashed is the
programs that it starts, the objects and libraries that it links in, and the text of the standard headers
as it reads them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from recipes import files, isolation, process
from recipes.errors import ToolchainError
from recipes.toolchain import HostTools

PROGRAMS = {"cc": "gcc", "c++": "g++", "ar": "ar", "ranlib": "ranlib"}
_STARTED = ("cc1", "cc1plus", "collect2", "as", "ld")
_LINKED = (
    *("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "crtbegin.o", "crtbeginS.o", "crtend.o", "crtendS.o"),
    *("libgcc.a", "libgcc_eh.a", "libgcc_s.so", "libgcc_s.so.1", "libstdc++.so", "libstdc++.a"),
    *("libc.so", "libc.so.6", "libc_nonshared.a", "libm.so", "libm.so.6", "libdl.a", "libpthread.a"),
    *("libmvec.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
)
_HEADERS = "".join(
    f"#include <{name}>\n"
    for name in (
        *("algorithm", "atomic", "chrono", "condition_variable", "fstream", "functional", "iostream"),
        *("map", "memory", "mutex", "random", "regex", "string", "thread", "unordered_map", "vector"),
        *("dlfcn.h", "math.h", "pthread.h", "signal.h", "stdio.h", "stdlib.h", "string.h", "unistd.h"),
        *("sys/mman.h", "sys/socket.h", "sys/stat.h", "sys/time.h", "sys/wait.h"),
    )
)


def find(env: Mapping[str, str]) -> HostTools:
    """Find and hash the host's compiler; `env` says what is on PATH. It takes about a second.

    Raises ToolchainError, which names what is missing.
    """
    found = {name: _which(program, env) for name, program in {**PROGRAMS, "as": "as", "ld": "ld"}.items()}
    missing = sorted(PROGRAMS.get(name, name) for name, path in found.items() if path is None)
    if missing:
        raise ToolchainError(
            f"the `host` toolchain lacks {', '.join(f'`{one}`' for one in missing)} on PATH",
            hint="install GCC and binutils (Debian: `apt-get install g++`), then `recipes doctor`",
        )
    programs = {name: str(found[name]) for name in PROGRAMS}
    return HostTools(programs, _visible(programs["cc"]), _digests(programs, env))


def _which(program: str, env: Mapping[str, str]) -> Path | None:
    """Find a program as a shell does, but for ccache's links of compilers' names: they are no compilers."""
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(program, path=directory) if directory.startswith("/") else None
        if found and Path(found).resolve().name != "ccache":
            return Path(found).resolve()
    return None


def _visible(compiler: str) -> tuple[str, ...]:
    """Give the directories that a compiler needs: the system's, and its own where it is elsewhere."""
    system = isolation.directories()
    inside = any(Path(compiler).is_relative_to(one) for one in system)
    return system if inside else tuple(sorted((*system, str(Path(compiler).parent.parent))))


def _digests(programs: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    compiler = programs["cc"]
    found = {name: Path(path) for name, path in programs.items()}
    found |= {name: Path(_ask(compiler, f"-print-prog-name={name}", env)) for name in _STARTED}
    for name in ("as", "ld"):  # a bare name: it is looked up on PATH
        found[name] = found[name] if found[name].is_absolute() else _which(name, env) or found[name]
    absent = sorted(name for name in _STARTED if not found[name].is_file())
    if absent:
        raise ToolchainError(
            f"`{compiler}` is no complete GCC: it has no {', '.join(f'`{one}`' for one in absent)}",
            hint=f"`{compiler} --version`",
        )
    linked = {name: Path(_ask(compiler, f"-print-file-name={name}", env)) for name in _LINKED}
    found |= {name: path for name, path in linked.items() if path.is_absolute() and path.is_file()}
    for bind in isolation.runtime([str(found[name]) for name in _STARTED], env):  # libbfd, libopcodes, …
        found.setdefault(Path(bind.target).name, Path(bind.source))
    digests = {name: files.sha256(path) for name, path in sorted(found.items())}
    return {**digests, "headers": _headers(programs["c++"], env), "version": _version(compiler, env)}


def _version(compiler: str, env: Mapping[str, str]) -> str:
    return f"gcc {_ask(compiler, '-dumpfullversion', env)} {_ask(compiler, '-dumpmachine', env)}"


def _headers(compiler: str, env: Mapping[str, str]) -> str:
    """Give the SHA-256 of the standard headers as the compiler reads them, and of its predefined macros."""
    argv = [compiler, "-E", "-P", "-dD", "-xc++", "-std=c++17", "-"]
    return hashlib.sha256(_said(argv, env, _HEADERS.encode())).hexdigest()


def _ask(compiler: str, question: str, env: Mapping[str, str]) -> str:
    return _said([compiler, question], env).decode(errors="replace").strip()


def _said(argv: list[str], env: Mapping[str, str], given: bytes = b"") -> bytes:
    plain = {"PATH": env.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        ended = process.run(argv, env=plain, stdin=given, timeout=60)
    except process.Timeout as slow:
        raise ToolchainError(str(slow), hint=f"`{argv[0]} --version`") from slow
    if ended.code:
        last = ended.err.decode(errors="replace").strip().splitlines()[:1]
        raise ToolchainError("\n".join([f"`{argv[0]}` cannot compile here", *(f"  {one}" for one in last)]))
    return ended.out
