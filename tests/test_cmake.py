import dataclasses

import pytest
import specimen

from recipes import cmake, toolchain

TOOLS = dataclasses.replace(
    toolchain.pypi(specimen.toolchain().for_platform("linux-64"), "linux-64", "linux-64"), ninja="/t/ninja"
)


def configured(options: dict[str, str], cross: str | None = None) -> tuple[str, ...]:
    return cmake.configure(options, TOOLS, cross=cross)


def test_the_argv_that_configures() -> None:
    head, settings = configured({"USE_LLVM": "OFF"})[:8], configured({"USE_LLVM": "OFF"})[8:]
    cmake_itself = "/toolchain/cmake/cmake/data/bin/cmake"
    assert head == (cmake_itself, "-S", "/src", "-B", "/build", "-G", "Ninja", "--no-warn-unused-cli")
    assert all(word.startswith("-D") for word in settings)
    assert settings[-1] == "-DUSE_LLVM=OFF"


@pytest.mark.parametrize(
    "setting",
    [
        "CMAKE_MAKE_PROGRAM=/t/ninja",
        "CMAKE_C_COMPILER=/toolchain/bin/cc",
        "CMAKE_CXX_COMPILER=/toolchain/bin/c++",
        "CMAKE_ASM_COMPILER=/toolchain/bin/cc",
        "CMAKE_AR=/toolchain/bin/ar",
        "CMAKE_RANLIB=/toolchain/bin/ranlib",
        "CMAKE_BUILD_TYPE=Release",
        "CMAKE_BUILD_WITH_INSTALL_RPATH=ON",
        "CMAKE_INSTALL_RPATH=$ORIGIN",
    ],
)
def test_nothing_of_the_host_is_found_and_no_path_is_kept(setting: str) -> None:
    assert f"-D{setting}" in configured({})


def test_a_recipes_option_replaces_the_engines() -> None:
    argv = configured({"CMAKE_BUILD_TYPE": "Debug"})
    assert [word for word in argv if word.startswith("-DCMAKE_BUILD_TYPE")] == ["-DCMAKE_BUILD_TYPE=Debug"]


def test_an_options_value_is_one_word_whatever_is_in_it() -> None:
    assert "-DA=a b;c $x '" in configured({"A": "a b;c $x '"})


def test_another_processor_is_named_and_no_other_option_differs() -> None:
    more = set(configured({}, "aarch64")).symmetric_difference(configured({}))
    assert more == {"-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"}


def test_the_argv_that_builds_leaves_the_number_of_jobs_open() -> None:
    argv = ("/t/ninja", "-C", "/build", "-j", "{jobs}", "--", "tvm", "tvm_runtime")
    assert cmake.build(["tvm", "tvm_runtime"], TOOLS) == argv
