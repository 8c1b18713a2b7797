from recipes import cmake


def configured(options: dict[str, str], cross: str | None = None) -> tuple[str, ...]:
    return cmake.configure(options, "/t/ninja", cross=cross)


def test_the_argv_that_configures() -> None:
    assert configured({"USE_LLVM": "OFF"}) == (
        "/toolchain/cmake/cmake/data/bin/cmake",
        "-S",
        "/src",
        "-B",
        "/build",
        "-G",
        "Ninja",
        "--no-warn-unused-cli",
        "-DCMAKE_MAKE_PROGRAM=/t/ninja",
        "-DCMAKE_C_COMPILER=/toolchain/bin/cc",
        "-DCMAKE_CXX_COMPILER=/toolchain/bin/c++",
        "-DCMAKE_ASM_COMPILER=/toolchain/bin/cc",
        "-DCMAKE_AR=/toolchain/bin/ar",
        "-DCMAKE_RANLIB=/toolchain/bin/ranlib",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_C_FLAGS=-g0",
        "-DCMAKE_CXX_FLAGS=-g0",
        "-DCMAKE_SHARED_LINKER_FLAGS=-s",
        "-DCMAKE_EXE_LINKER_FLAGS=-s",
        "-DCMAKE_INSTALL_PREFIX=/out",
        "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
        "-DCMAKE_INSTALL_RPATH=$ORIGIN",
        "-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF",
        "-DUSE_LLVM=OFF",
    )


def test_a_recipes_option_replaces_the_engines() -> None:
    argv = configured({"CMAKE_BUILD_TYPE": "Debug"})
    assert [word for word in argv if word.startswith("-DCMAKE_BUILD_TYPE")] == ["-DCMAKE_BUILD_TYPE=Debug"]


def test_an_options_value_is_one_word_whatever_is_in_it() -> None:
    assert configured({"A": "a b;c $x '"})[-1] == "-DA=a b;c $x '"


def test_another_processor_is_named_and_no_other_option_differs() -> None:
    more = set(configured({}, "aarch64")).symmetric_difference(configured({}))
    assert more == {"-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"}


def test_the_argv_that_builds_leaves_the_number_of_jobs_open() -> None:
    argv = ("/t/ninja", "-C", "/build", "-j", "{jobs}", "--", "tvm", "tvm_runtime")
    assert cmake.build(["tvm", "tvm_runtime"], "/t/ninja") == argv
