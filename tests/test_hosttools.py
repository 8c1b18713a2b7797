"""The host's compiler: found by what is on PATH, told from others by digests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from recipes import hosttools, isolation
from recipes.errors import SandboxError, ToolchainError
from recipes.sandbox import Bind, Sandbox
from recipes.toolchain import HostTools

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture(scope="module")
def found() -> HostTools:
    if missing := [one for one in ("gcc", "g++", "ar", "ranlib", "as", "ld") if not shutil.which(one)]:
        pytest.skip(f"this host has no {', '.join(missing)}")
    return hosttools.find(ENV)


def test_what_is_found_is_absolute_and_no_link(found: HostTools) -> None:
    assert sorted(found.programs) == ["ar", "c++", "cc", "ranlib"]
    assert all(Path(one).is_absolute() and not Path(one).is_symlink() for one in found.programs.values())
    assert "/usr" in found.visible


def test_all_that_it_starts_links_and_reads_is_hashed(found: HostTools) -> None:
    names = {"cc", "c++", "cc1", "cc1plus", "collect2", "as", "ld", "ar", "ranlib", "headers", "libc.so.6"}
    assert names <= found.digests.keys()
    assert all(len(one) == 64 for name, one in found.digests.items() if name != "version")
    assert found.digests["version"].startswith("gcc ")
    assert hosttools.find(ENV) == found


def test_another_header_is_another_compiler(found: HostTools, tmp_path: Path) -> None:
    (tmp_path / "stdio.h").write_text("#include_next <stdio.h>\n#define CHANGED 1\n")
    wrapper = tmp_path / "g++"
    wrapper.write_text(f'#!/bin/sh\nexec {found.programs["c++"]} -I{tmp_path} "$@"\n')
    wrapper.chmod(0o755)
    other = hosttools.find({"PATH": f"{tmp_path}:{ENV['PATH']}"})
    assert other.digests["headers"] != found.digests["headers"]
    assert other.digests["c++"] != found.digests["c++"]
    assert str(tmp_path) not in str(other.digests)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("gcc", "as", "ld", "ar"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ToolchainError) as caught:
        hosttools.find({"PATH": f"{tmp_path}:relative:"})
    assert caught.value.message == "the `host` toolchain lacks `g++`, `ranlib` on PATH"
    assert caught.value.hint is not None
    assert "`recipes doctor`" in caught.value.hint


def test_a_link_of_ccache_is_no_compiler(tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "ccache").touch(0o755)
    (tmp_path / "links/gcc").symlink_to("../ccache")
    (tmp_path / "gcc").touch(0o755)
    path = f"{tmp_path}/links:{tmp_path}"
    assert hosttools._which("gcc", {"PATH": path}) == (tmp_path / "gcc").resolve()


def test_another_compiler_of_that_name_is_none(tmp_path: Path) -> None:
    for name in ("gcc", "g++", "ar", "ranlib", "as", "ld"):
        (tmp_path / name).write_text("#!/bin/sh\necho ${1#-print-prog-name=}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ToolchainError) as caught:
        hosttools.find({"PATH": str(tmp_path)})
    where = (tmp_path / "gcc").resolve()
    assert caught.value.message == f"`{where}` is no complete GCC: it has no `cc1`, `cc1plus`, `collect2`"


def test_a_compiler_elsewhere_is_seen_with_its_own_directory(found: HostTools) -> None:
    assert "/opt/gcc-15" in hosttools._visible("/opt/gcc-15/bin/gcc")
    assert hosttools._visible(found.programs["cc"]) == found.visible


def test_it_compiles_where_only_the_visible_directories_are(found: HostTools, tmp_path: Path) -> None:
    try:
        way = isolation.choose(ENV, tmp_path)
    except SandboxError as error:
        pytest.skip(error.message)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/a.cc").write_text(
        "#include <string>\nint main() { return std::string(7, 'a').size(); }"
    )
    binds, links = isolation.shown(found.visible)
    box = Sandbox(
        (*binds, Bind(str(tmp_path / "build"), "/build", writable=True)), "/build",
        (("PATH", "/usr/bin:/bin"),), links=links,
    )  # fmt: skip
    for argv, code in (([found.programs["c++"], "a.cc"], 0), (["/build/a.out"], 7)):
        entered = way.enter(box, argv, str(tmp_path / "root"))
        done = subprocess.run(entered, env=ENV, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
