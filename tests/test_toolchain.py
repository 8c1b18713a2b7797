import subprocess
from pathlib import Path

import pytest
import specimen

from recipes import toolchain
from recipes.errors import LockError, ToolchainError
from recipes.toolchain import HostTools

WHEELS = (*specimen.toolchain().for_platform("linux-64"), specimen.wheel("zlib", "1"))
PROGRAMS = {"cc": "/g/gcc", "c++": "/g/g++", "ar": "/g/ar", "ranlib": "/g/ranlib"}
GCC = HostTools(PROGRAMS, ("/g", "/usr"), {"cc1": "ab" * 32})


def test_where_the_programs_lie() -> None:
    assert toolchain.CMAKE == "/toolchain/cmake/cmake/data/bin/cmake"
    assert toolchain.ninja("1.13.0") == "/toolchain/ninja/ninja-1.13.0.data/scripts/ninja"
    assert toolchain.ZIG == "/toolchain/ziglang/ziglang/zig"


@pytest.mark.parametrize(
    ("platform", "target"),
    [("linux-64", "x86_64-linux-gnu.2.28"), ("linux-aarch64", "aarch64-linux-gnu.2.28")],
)
def test_the_compilers_name_the_platform_and_the_oldest_glibc(platform: str, target: str) -> None:
    programs = toolchain.wrappers(platform, "linux-64")
    del programs["uname"]
    zig = "#!/bin/sh\nexec /toolchain/ziglang/ziglang/zig"
    assert programs == {
        "cc": f'{zig} cc -target {target} "$@"\n',
        "c++": f'{zig} c++ -target {target} "$@"\n',
        "ar": f'{zig} ar "$@"\n',
        "ranlib": f'{zig} ranlib "$@"\n',
    }


@pytest.mark.parametrize(("system", "machine"), [("linux-64", "x86_64"), ("linux-aarch64", "aarch64")])
def test_uname_tells_of_the_machine_only_what_is_in_the_plan(
    system: str, machine: str, tmp_path: Path
) -> None:
    uname = tmp_path / "uname"
    uname.write_text(toolchain.wrappers("linux-64", system)["uname"])
    uname.chmod(0o700)
    asked = [(), ("-s",), ("-m",), ("-p",), ("-r",)]
    said = [
        subprocess.run([uname, *words], capture_output=True, check=True, text=True).stdout for words in asked
    ]
    assert said == ["Linux\n", "Linux\n", f"{machine}\n", f"{machine}\n", "0\n"]


def test_a_wrapper_passes_its_arguments_on_unchanged(tmp_path: Path) -> None:
    zig = tmp_path / "zig"
    zig.write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\n")
    zig.chmod(0o700)
    wrapper = tmp_path / "ar"
    wrapper.write_text(toolchain.wrappers("linux-64", "linux-64")["ar"].replace(toolchain.ZIG, str(zig)))
    wrapper.chmod(0o700)
    done = subprocess.run([wrapper, "a b", "", "$x*"], capture_output=True, check=True, text=True)
    assert done.stdout == "<ar><a b><><$x*>"


def test_the_environment_is_whole_and_holds_nothing_of_the_machine() -> None:
    assert toolchain.environment(1716842321) == {
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        "NINJA_STATUS": "[%f/%t] ",
        "PATH": "/toolchain/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "1716842321",
        "TZ": "UTC",
        "ZIG_GLOBAL_CACHE_DIR": "/cache/zig",
        "ZIG_LOCAL_CACHE_DIR": "/cache/zig",
    }


def test_of_the_wheels_only_what_compiles_is_taken() -> None:
    made = toolchain.pypi(WHEELS, "linux-64", "linux-64")
    assert list(made.tools) == ["cmake", "ninja", "ziglang"]
    assert (made.kind, made.cmake, made.ninja) == ("pypi", toolchain.CMAKE, toolchain.ninja("1.13.0"))
    assert (made.visible, made.digests) == ((), {})


def test_the_hosts_compiler_comes_with_the_wheels_cmake_and_ninja() -> None:
    made = toolchain.host(WHEELS, GCC, "linux-64", "linux-64")
    assert list(made.tools) == ["cmake", "ninja"]
    assert (made.kind, made.cmake, made.ninja) == ("host", toolchain.CMAKE, toolchain.ninja("1.13.0"))
    assert (made.visible, made.digests) == (GCC.visible, GCC.digests)
    assert made.programs["cc"] == '#!/bin/sh\nexec /g/gcc "$@"\n'
    assert made.programs["c++"] == '#!/bin/sh\nexec /g/g++ "$@"\n'
    assert made.programs["ranlib"] == '#!/bin/sh\nexec /g/ranlib -D "$@"\n'
    assert toolchain.environment(1, made.env)["PATH"] == "/toolchain/bin:/usr/bin:/bin"
    assert not [name for name in toolchain.environment(1, made.env) if name.startswith("ZIG")]


def test_a_package_of_the_hosts_is_not_found() -> None:
    settings = toolchain.host(WHEELS, GCC, "linux-64", "linux-64").settings
    assert settings["CMAKE_FIND_USE_CMAKE_SYSTEM_PATH"] == "OFF"
    assert settings["CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH"] == "OFF"
    assert settings["CMAKE_UNAME"] == "/toolchain/bin/uname"


def test_an_archive_has_no_dates(tmp_path: Path) -> None:
    ar = tmp_path / "ar"
    ar.write_text(toolchain.host(WHEELS, GCC, "linux-64", "linux-64").programs["ar"].replace("/g/ar", "echo"))
    ar.chmod(0o700)
    done = subprocess.run([ar, "qc", "lib.a", "a b.o"], capture_output=True, check=True, text=True)
    assert done.stdout == "qcD lib.a a b.o\n"


def test_the_hosts_compiler_builds_for_the_host() -> None:
    with pytest.raises(ToolchainError) as caught:
        toolchain.host(WHEELS, GCC, "linux-aarch64", "linux-64")
    assert caught.value.message == "the `host` toolchain builds for linux-64 only, not for linux-aarch64"


@pytest.mark.parametrize("missing", ["cmake", "ninja"])
def test_the_hosts_compiler_needs_wheels_too(missing: str) -> None:
    with pytest.raises(LockError) as caught:
        toolchain.host([one for one in WHEELS if one.project != missing], GCC, "linux-64", "linux-64")
    assert caught.value.message == f"the locked toolchain has no `{missing}` for linux-64"
