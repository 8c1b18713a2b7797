"""How this machine isolates a build: which sandbox works here, and what of the host a tool needs to run.

Of the host, only the dynamic loader, the C and C++ run-time libraries that cmake and ninja were linked
for, and /bin/sh (ninja starts every command through it) can be seen in a build: files that run tools,
none that a compiler or linker looks for.
"""

from __future__ import annotations

import platform
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import process, sandbox, toolchain
from recipes.errors import SandboxError, ToolchainError
from recipes.sandbox import Bind, Sandbox

SHELL = "/bin/sh"
_LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}


@dataclass(frozen=True)
class Isolation:
    """A way to isolate that was seen to work."""

    name: str
    enter: Callable[[Sandbox, Sequence[str], str], list[str]]


def choose(env: Mapping[str, str], probe_in: Path) -> Isolation:
    """Find the first sandbox that works here: bubblewrap, then util-linux's unshare.

    Raises SandboxError, with what each said, where the system refuses both.
    """
    said = []
    for one in (Isolation("bubblewrap", _bwrap), Isolation("unshare", _unshare)):
        why = _refusal(one, env, probe_in)
        if why is None:
            return one
        said.append(f"  {one.name:<10}  {why}")
    raise SandboxError(
        "this machine lets no build be isolated\n" + "\n".join(said),
        hint="allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`; in a container, "
        "`--security-opt seccomp=unconfined`), or install bubblewrap",
    )


def _bwrap(box: Sandbox, argv: Sequence[str], _root: str) -> list[str]:
    return sandbox.bwrap(box, argv)


def _unshare(box: Sandbox, argv: Sequence[str], root: str) -> list[str]:
    return sandbox.unshare(box, argv, root)


def _refusal(one: Isolation, env: Mapping[str, str], probe_in: Path) -> str | None:
    box = Sandbox(binds=runtime([SHELL], env), cwd="/", env=())
    root = probe_in / "root"
    root.mkdir(exist_ok=True)
    try:
        ended = process.run(one.enter(box, [SHELL, "-c", "exit 0"], str(root)), env=env, timeout=20)
    except ToolchainError as missing:
        return missing.message
    except process.Timeout:
        return "it hung"
    last = ended.err.decode(errors="replace").strip().splitlines()
    return None if ended.code == 0 else (last[-1] if last else f"exit code {ended.code}")


def runtime(programs: Sequence[str], env: Mapping[str, str]) -> tuple[Bind, ...]:
    """Give the files of the host that programs need to run: loader, libraries, /bin/sh. By path.

    Raises SandboxError where the system has no glibc loader in its place.
    """
    loader = _LOADERS.get(platform.machine(), "")
    if not Path(loader).exists():
        raise SandboxError(
            f"no glibc loader at {loader or platform.machine()}",
            hint="the toolchain's cmake and ninja need a Linux system with glibc",
        )
    found = {SHELL, loader}
    for program in (SHELL, *programs):
        if not _is_script(program):
            found |= _libraries(loader, program, env)
    return tuple(Bind(str(Path(path).resolve()), path) for path in sorted(found))


def _is_script(program: str) -> bool:
    """Say whether a program is run by another one, and not by the loader: it is no ELF file."""
    with Path(program).open("rb") as file:
        return file.read(4) != b"\x7fELF"


def _libraries(loader: str, program: str, env: Mapping[str, str]) -> set[str]:
    ended = process.run([loader, "--list", program], env=env, timeout=20)
    text = ended.out.decode(errors="replace")
    if ended.code and "statically linked" not in text + ended.err.decode(errors="replace"):
        why = ended.err.decode(errors="replace").strip()
        raise SandboxError(f"`{program}` cannot run here: {why}")
    return set(re.findall(r"=> (/\S+)", text))


def python(env: Mapping[str, str]) -> tuple[Bind, ...]:
    """Give the host's Python for a recipe's script: the interpreter, its standard library, what both need.

    Its version is no input: a script is one that makes the same bytes with every Python (its recipe says
    why), and the tests run it with more than one.
    """
    program, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    home = Path(toolchain.PYTHON).parent.parent
    return (
        *runtime([str(program)], env),
        Bind(str(program), toolchain.PYTHON),
        Bind(str(library), str(home / "lib" / library.name)),
    )
