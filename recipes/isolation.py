"""How this machine isolates a build: which sandbox works here, and what of the host a tool needs to run.

Of the host, only the dynamic loader, the C and C++ run-time libraries that cmake and ninja were linked
for, and /bin/sh (ninja starts every command through it) can be seen in a build: files that run tools,
none that a compiler or linker looks for.
"""

from __future__ import annotations

import contextlib
import platform
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import bare, process, sandbox, toolchain
from recipes.errors import SandboxError, ToolchainError
from recipes.sandbox import Bind, Sandbox

SHELL = "/bin/sh"
_PACKAGES = ("site-packages", "dist-packages")
_HOPS = 40  # as many as the kernel follows
_SYSTEM = ("/bin", "/lib", "/lib32", "/lib64", "/sbin", "/usr")
_LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}


@dataclass(frozen=True)
class Isolation:
    """A way to isolate that was seen to work."""

    name: str
    enter: Callable[[Sandbox, Sequence[str], str], list[str]]


def choose(env: Mapping[str, str], probe_in: Path, asked: str = "auto") -> Isolation:
    """Find the first sandbox that works here: bubblewrap, then util-linux's unshare, or the one asked for.

    Raises SandboxError, with what each said, where the system refuses both.
    """
    said = []
    for one in ways():
        if asked not in ("auto", one.name):
            continue
        why = refusal(one, env, probe_in)
        if why is None:
            return one
        said.append(f"  {one.name:<10}  {why}")
    raise SandboxError(
        "this machine lets no build be isolated\n" + "\n".join(said),
        hint="`recipes doctor` says how to allow it; with `--sandbox=none` a build is not isolated at all",
    )


def _bare(box: Sandbox, argv: Sequence[str], _root: str) -> list[str]:
    return bare.argv(box, argv)


#: No isolation: what runs sees the whole machine.
NONE = Isolation("none", _bare)


def _bwrap(box: Sandbox, argv: Sequence[str], _root: str) -> list[str]:
    return sandbox.bwrap(box, argv)


def _unshare(box: Sandbox, argv: Sequence[str], root: str) -> list[str]:
    return sandbox.unshare(box, argv, root)


def ways() -> tuple[Isolation, ...]:
    """Give all ways to isolate, the best first, whether they work here or not."""
    return (Isolation("bubblewrap", _bwrap), Isolation("unshare", _unshare))


def refusal(one: Isolation, env: Mapping[str, str], probe_in: Path) -> str | None:
    """Try a way to isolate; say why it does not work, None where it does.

    `probe_in` is a private directory.
    """
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


def runtime(programs: Sequence[str], env: Mapping[str, str], modules: Sequence[str] = ()) -> tuple[Bind, ...]:
    """Give the files of the host that programs need to run: loader, libraries, /bin/sh. By path.

    `modules` are shared objects that they may load. Raises SandboxError where the system has no glibc loader
    in its place.
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
    for module in modules:
        with contextlib.suppress(SandboxError):  # one that lacks a library cannot be loaded outside either
            found |= _libraries(loader, module, env)
    return tuple(Bind(str(Path(path).resolve()), path) for path in sorted(found))


def directories() -> tuple[str, ...]:
    """Give the directories with the system's programs, libraries and headers, links among them."""
    return tuple(one for one in _SYSTEM if Path(one).is_dir())


def shown(visible: Sequence[str]) -> tuple[tuple[Bind, ...], tuple[tuple[str, str], ...]]:
    """Give the binds and the links with which a sandbox has these directories of the host."""
    links = {one: str(Path(one).readlink()) for one in visible if Path(one).is_symlink()}
    binds = tuple(Bind(one, one) for one in visible if one not in links)
    return binds, tuple((target, path) for path, target in links.items())


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


def python(env: Mapping[str, str], empty: Path) -> tuple[Bind, ...]:
    """Give the host's Python for a recipe's script: the interpreter, its standard library, what both need.

    `empty` is a directory that covers the packages which are installed inside the standard library's. Its
    version is no input: a script is one that makes the same bytes with every Python (its recipe says why),
    and the tests run it with more than one.
    """
    program, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    inside = Path(toolchain.PYTHON).parent.parent / "lib" / library.name
    packages = [one for one in _PACKAGES if (library / one).is_dir()]
    modules = sorted(map(str, (library / "lib-dynload").glob("*.so")))  # zlib and others have their libraries
    return (
        *runtime([str(program)], env, modules),
        Bind(str(program), toolchain.PYTHON),
        Bind(str(library), str(inside)),
        *(Bind(str(empty), str(inside / one)) for one in packages),
    )


def interpreter(etc: Path) -> tuple[tuple[Bind, ...], tuple[tuple[str, str], ...]]:
    """Give the host's Python with its packages, for a check: binds and links.

    A package may need any library of the system's. `etc` becomes /etc: what finds them is added to it.
    """
    binds, links = shown(directories())
    covered = [Path(one) for one in directories()]
    more: list[Bind] = []
    packages = [Path(one) for one in sys.path if one.endswith(_PACKAGES) and Path(one).is_dir()]
    for place in (Path(sys.prefix), Path(sys.base_prefix), *packages, *_hops(Path(sys.executable))):
        for path in dict.fromkeys((place, place.resolve())):
            if not any(path.is_relative_to(one) for one in covered):
                more.append(Bind(str(place.resolve()), str(path)))
                covered.append(path)
    return (*binds, *more, *_finding_libraries(etc)), links


def _hops(path: Path) -> list[Path]:
    """Follow a symbolic link to its end, link by link."""
    found = [path]
    while found[-1].is_symlink() and len(found) < _HOPS:
        found.append(found[-1].parent / found[-1].readlink())
    return found


def _finding_libraries(etc: Path) -> tuple[Bind, ...]:
    """Give what of the host's /etc the loader and Debian's links to libraries lead through."""
    cache, alternatives = Path("/etc/ld.so.cache"), Path("/etc/alternatives")
    if cache.exists():
        (etc / cache.name).touch()
    if alternatives.is_dir():
        (etc / alternatives.name).mkdir()
    found = [one for one in (cache, alternatives) if one.exists()]
    return (Bind(str(etc), "/etc"), *(Bind(str(one), str(one)) for one in found))
