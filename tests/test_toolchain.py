import subprocess
from pathlib import Path

import pytest

from recipes import toolchain


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
