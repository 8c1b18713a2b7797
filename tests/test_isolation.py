"""What of the host a sandbox has, and what the check of a result can do in one."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import smallproject
from smallproject import Small, Upstream

from recipes import isolation, process
from recipes.errors import SandboxError
from recipes.sandbox import Bind, Sandbox

ENV = {"PATH": os.environ["PATH"]}


def test_the_packages_in_the_standard_library_are_covered(tmp_path: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    binds = isolation.python(ENV, tmp_path)
    inside = f"/python/lib/{library.name}"
    at = next(number for number, one in enumerate(binds) if one.target == inside)
    packages = [one for one in ("site-packages", "dist-packages") if (library / one).is_dir()]
    assert binds[at] == Bind(str(library), inside)
    assert list(binds[at + 1 :]) == [Bind(str(tmp_path), f"{inside}/{one}") for one in packages]


MODULES = """\
import importlib, json, sys
print(json.dumps([importlib.import_module(one) is None for one in json.loads(sys.argv[1])]))
"""


@pytest.mark.usefixtures("can_build")
def test_a_script_may_import_what_the_standard_library_has(tmp_path: Path) -> None:
    """An extension module such as zlib needs a library that the interpreter itself does not."""
    (tmp_path / "root").mkdir()
    (tmp_path / "empty").mkdir()
    box = Sandbox(binds=isolation.python(ENV, tmp_path / "empty"), cwd="/tmp", env=())
    names = [one for one in ("zlib", "bz2", "lzma", "ctypes", "hashlib") if importlib.util.find_spec(one)]
    argv = ["/python/bin/python3", "-s", "-S", "-B", "-c", MODULES, json.dumps(names)]
    chosen = isolation.choose(ENV, tmp_path)
    ended = process.run(chosen.enter(box, argv, str(tmp_path / "root")), env=ENV)
    assert json.loads(ended.out) == [False] * len(names), ended.err


def test_a_module_that_lacks_a_library_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF")
    assert isolation.runtime([], ENV, [str(broken)]) == isolation.runtime([], ENV)


def test_links_of_the_system_are_links_in_the_sandbox_too() -> None:
    binds, links = isolation.shown(isolation.directories())
    assert {one.target for one in binds}.isdisjoint(path for _, path in links)
    assert {path for _, path in links} == {one for one in isolation.directories() if Path(one).is_symlink()}
    assert Bind("/usr", "/usr") in binds


def test_an_interpreter_is_there_by_each_of_its_names(tmp_path: Path) -> None:
    binds, _ = isolation.interpreter(tmp_path)
    shown = [Path(one.target) for one in binds]
    for path in (
        Path(sys.executable),
        Path(sys.executable).resolve(),
        Path(sys.prefix),
        Path(sys.base_prefix),
    ):
        assert any(path.is_relative_to(one) for one in shown)
    assert not any(Path.home() == one for one in shown)


@pytest.mark.parametrize("asked", ["bubblewrap", "unshare"])
def test_only_the_one_that_is_asked_for_is_tried(asked: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxError) as caught:
        isolation.choose({"PATH": str(tmp_path)}, tmp_path, asked)
    assert [line.split()[0] for line in caught.value.message.splitlines()[1:]] == [asked]


@pytest.mark.parametrize("asked", ["bubblewrap", "unshare"])
def test_the_one_that_is_asked_for_is_chosen(asked: str, tmp_path: Path) -> None:
    [way] = [one for one in isolation.ways() if one.name == asked]
    if (why := isolation.refusal(way, ENV, tmp_path)) is not None:
        pytest.skip(why)
    assert isolation.choose(ENV, tmp_path, asked) == way


@pytest.mark.sandbox
def test_the_interpreter_runs_with_its_packages(tmp_path: Path) -> None:
    try:
        way = isolation.choose(ENV, tmp_path)
    except SandboxError as error:
        pytest.skip(error.message)
    (tmp_path / "etc").mkdir()
    binds, links = isolation.interpreter(tmp_path / "etc")
    box = Sandbox(binds, "/", (("PATH", os.defpath),), links=links)
    argv = way.enter(
        box, [sys.executable, "-I", "-c", "import pydantic, ssl; print('runs')"], str(tmp_path / "root")
    )
    assert process.run(argv, env=ENV, timeout=60).out == b"runs\n"


CHECK = """\
import json, os, socket, sys
from pathlib import Path

def tried(call, *args):
    try:
        return repr(call(*args))
    except OSError as error:
        return type(error).__name__

result = Path(sys.argv[1])
wanted = json.loads(Path(sys.argv[0]).read_text().rpartition("# ")[2])
print("FOUND", json.dumps({
    "argv": sys.argv,
    "result": sorted(one.name for one in result.iterdir()),
    "written": [one for one in (f"{result}/x", f"{sys.argv[0]}x", "/usr/x", "/x")
                if tried(open, one, "w")[0] == "<"],
    "temporary": tried(open, "/tmp/x", "w")[0],
    "there": [one for one in wanted["paths"] if os.path.exists(one)],
    "connected": tried(socket.create_connection, ("127.0.0.1", wanted["port"]), 10),
    "environment": sorted(os.environ),
    "user": os.getuid(),
}))
"""


@pytest.fixture
def small(upstream: Upstream, tmp_path: Path) -> Iterator[Small]:
    if (why := smallproject.refusal(tmp_path)) is not None:
        pytest.skip(why)
    with smallproject.small(upstream, tmp_path) as made:
        yield made


@pytest.mark.sandbox
def test_what_a_check_can_do(small: Small) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        paths = [str(small.store), str(small.root), small.env["HOME"]]
        wanted = {"paths": paths, "port": server.getsockname()[1]}
        small.write("recipes/components/thing/check.py", f"{CHECK}# {json.dumps(wanted)}")
        small.build().ok()
    [line] = [one for one in small.log().splitlines() if one.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["argv"] == ["/.recipes/check/check.py", "/.recipes/result", '{"MODE": "plain"}']
    assert found["result"] == ["lib", "share"]
    assert (found["written"], found["temporary"], found["there"]) == ([], "<", [])
    assert found["connected"] in {"ConnectionRefusedError", "OSError"}
    assert {*found["environment"]} - {"LC_CTYPE"} == {"HOME", "LC_ALL", "PATH", "PWD"}
    assert found["user"] == 1000
