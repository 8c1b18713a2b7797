"""The directory of one build: what is laid out in it, and the sandbox that shows it to the phases."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from recipes import bare, cmake, isolation, sandbox, toolchain, tree, treewriter
from recipes.plan import Build
from recipes.sandbox import Bind, Sandbox
from recipes.store import Store

_OURS = ("src", "build", "cache", "root", "toolchain/bin", "etc", "recipe", "tmp")
_PRIVATE = "/tmp"  # noqa: S108 - the sandbox's own
_CHECK = "/.recipes"  # beside the host's Python, whose path begins as its owner likes: with /check, say


def prepare(
    place: Path, build: Build, programs: Mapping[str, str], store: Store, env: Mapping[str, str]
) -> Sandbox:
    """Lay out all but the sources in an empty directory; give what the phases see.

    `programs` are the texts of /toolchain/bin, `env` is the caller's environment.
    """
    for made in _OURS:
        (place / made).mkdir(parents=True)
    box = _box(place, build, store, env)
    real = bare.places(box) if build.sandbox == "none" else {}
    for program, text in programs.items():
        written = place / "toolchain/bin" / program
        written.write_bytes(tree.to_bytes(bare.program(program, text, real)))
        written.chmod(0o755)
    _write(place / "etc", sandbox.ETC)
    _write(place / "recipe", build.files)
    return box


def sources(place: Path, build: Build, store: Store, *, backwards: bool) -> None:
    """Copy the sources to where they lie below /src, `backwards` in the other order."""
    for below, source in sorted(build.sources.items()):
        (place / "src" / below).mkdir(parents=True, exist_ok=True)
        treewriter.copy_tree(store.path(source), place / "src" / below, backwards=backwards)


def checking(place: Path, build: Build) -> tuple[Sandbox, list[str]]:
    """Lay out what a check sees: the result, its own text, the host's Python. Give its argv, too."""
    for made in ("check", "check-etc"):
        (place / made).mkdir()
    _write(place / "check-etc", sandbox.ETC)
    _write(place / "check", {"check.py": build.check or ""})
    host, links = isolation.interpreter(place / "check-etc")
    binds = (
        *host,
        Bind(str(place / "check"), f"{_CHECK}/check"),
        Bind(str(place / "result"), f"{_CHECK}/result"),
        *_temporary(place, build),
    )
    env = (("HOME", _PRIVATE), ("LC_ALL", "C.UTF-8"), ("PATH", os.defpath))
    given = (f"{_CHECK}/check/check.py", f"{_CHECK}/result", json.dumps(dict(build.options)))
    argv = [sys.executable, "-I", "-B", *given]
    return Sandbox(binds=binds, cwd=_PRIVATE, env=env, links=links), argv


def _box(place: Path, build: Build, store: Store, env: Mapping[str, str]) -> Sandbox:
    writable = {cmake.SOURCE: "src", cmake.BUILD: "build", toolchain.CACHE: "cache"}
    tools = {f"{toolchain.ROOT}/{one}": str(store.path(path)) for one, path in build.tools.items()}
    host, links = _host(place, build, tools, env)
    binds = (
        *host,
        *(Bind(str(place / below), target, writable=True) for target, below in writable.items()),
        *(Bind(path, target) for target, path in tools.items()),
        Bind(str(place / "toolchain/bin"), f"{toolchain.ROOT}/bin"),
        Bind(str(place / "etc"), "/etc"),
        Bind(str(place / "recipe"), "/recipe"),
        *(Bind(str(store.path(path)), f"/inputs/{one}") for one, path in build.inputs.items()),
        *_temporary(place, build),
    )
    return Sandbox(binds=binds, cwd=cmake.BUILD, env=tuple(sorted(build.env.items())), links=links)


def _host(
    place: Path, build: Build, tools: Mapping[str, str], env: Mapping[str, str]
) -> tuple[tuple[Bind, ...], tuple[tuple[str, str], ...]]:
    """Give what of the host the build's programs need to run: binds and links."""
    if build.visible:
        return isolation.shown(build.visible)
    if not build.tools:
        return isolation.python(env, place / "root"), ()
    programs = dict.fromkeys(bare.rewrite(phase.argv[0], tools) for phase in build.phases)
    return isolation.runtime(list(programs), env), ()


def _temporary(place: Path, build: Build) -> tuple[Bind, ...]:
    """Give the directory that stands for /tmp where no sandbox brings its own."""
    return (Bind(str(place / "tmp"), _PRIVATE, writable=True),) if build.sandbox == "none" else ()


def _write(directory: Path, texts: Mapping[str, str]) -> None:
    for file, text in texts.items():
        (directory / file).write_bytes(tree.to_bytes(text))
