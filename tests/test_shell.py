"""`recipes shell` and `recipes env preset`: what entering an environment sets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import smallproject
from smallproject import CLI, PATIENCE, Small, Upstream

from recipes.develop import activation
from recipes.develop.activation import Tvm
from recipes.develop.layout import Layout

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] > (3, 13), reason="no packages are locked for this Python"
)

LAYOUT = Layout(
    variant="v",
    toolchain="pypi",
    platform="linux-64",
    python="3.12",
    target="tvm-runtime",
    result="r",
    tools={},
    packages={},
    sources={},
    inputs={"nnpack": "n", "fp16": "f"},
    imports={"tvm-python": "p"},
    options={},
    targets=("tvm_runtime",),
    derivations={},
)


@pytest.fixture(scope="module")
def small(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Give a checkout with an environment, which no test changes."""
    with smallproject.small(upstream, tmp_path_factory.mktemp("small")) as made:
        made.run("env", "create", "--variant", "small").ok()
        yield made


@pytest.fixture
def tvm(tmp_path: Path) -> Path:
    """Give what looks like a checkout of TVM."""
    place = tmp_path / "tvm"
    (place / "include/tvm").mkdir(parents=True)
    (place / "python/tvm").mkdir(parents=True)
    (place / "CMakeLists.txt").touch()
    return place


def test_the_variables_of_the_locked_source() -> None:
    env = {"PATH": "/usr/bin::/e/bin", "PYTHONPATH": "", "CMAKE_PREFIX_PATH": "/opt"}
    assert activation.variables(LAYOUT, "/e", env, Tvm("/e/src/tvm-runtime")) == {
        "AR": "/e/bin/ar",
        "CC": "/e/bin/cc",
        "CMAKE_GENERATOR": "Ninja",
        "CMAKE_PREFIX_PATH": "/e/result:/e/inputs/fp16:/e/inputs/nnpack:/opt",
        "CXX": "/e/bin/c++",
        "PATH": "/e/bin:/usr/bin",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": "/e/imports/tvm-python/python",
        "PYTHONPYCACHEPREFIX": "/e/cache/bytecode",
        "RANLIB": "/e/bin/ranlib",
        "RECIPES_ENVIRONMENT": "v",
        "TVM_HOME": "/e/src/tvm-runtime",
        "VIRTUAL_ENV": "/e",
    }


def test_the_variables_of_a_checkout() -> None:
    work = Tvm("/t", modules=("/t/python",), library="/t/build-v", runtime_only=True)
    found = activation.variables(LAYOUT, "/e", {"PYTHONPATH": "/mine"}, work)
    assert {name: found[name] for name in found if name.startswith(("TVM", "PYTHONPATH"))} == {
        "PYTHONPATH": "/t/python:/e/imports/tvm-python/python:/mine",
        "TVM_HOME": "/t",
        "TVM_LIBRARY_PATH": "/t/build-v",
        "TVM_USE_RUNTIME_LIB": "1",
    }
    assert "TVM_USE_RUNTIME_LIB" not in activation.variables(LAYOUT, "/e", {}, Tvm("/t", library="/t/b"))


@pytest.mark.parametrize(
    ("shell", "env", "argv", "variables"),
    [
        ("/bin/bash", {}, ["/bin/bash", "--rcfile", "/e/etc/bashrc", "-i"], {}),
        ("/bin/zsh", {}, ["/bin/zsh", "-i"], {"ZDOTDIR": "/e/etc/zsh"}),
        (
            "zsh",
            {"ZDOTDIR": "/z"},
            ["zsh", "-i"],
            {"ZDOTDIR": "/e/etc/zsh", "RECIPES_ZDOTDIR": "/z"},
        ),
        ("/bin/dash", {}, ["/bin/dash", "-i"], {"ENV": "/e/etc/shrc"}),
        ("/usr/bin/fish", {}, ["/usr/bin/fish"], {}),
    ],
)
def test_the_shell_of_a_person(
    shell: str, env: dict[str, str], argv: list[str], variables: dict[str, str]
) -> None:
    assert activation.interactive(shell, "/e", env) == (argv, variables)


def test_a_commands_exit_code_and_output_are_its_own(small: Small) -> None:
    ran = small.run("shell", "--variant", "small", "--", "sh", "-c", "echo $TVM_HOME --help; exit 7")
    home = small.root / ".envs/small/src/thing"
    assert (ran.code, ran.out) == (7, f"{home} --help\n")
    assert ran.err == "`thing` is not built: `recipes build --variant small`\n"


def test_the_environments_programs_come_first(small: Small) -> None:
    env = small.root / ".envs/small"
    code = "for one in cc c++ ar ranlib ninja cmake python; do command -v $one; done; ls -d $TVM_HOME/src"
    ran = small.run("--quiet", "shell", "--variant", "small", "--", "sh", "-c", code)
    assert ran.ok().out.splitlines() == [
        *(f"{env}/bin/{name}" for name in ("cc", "c++", "ar", "ranlib", "ninja", "cmake", "python")),
        f"{env}/src/thing/src",
    ]
    assert ran.err == ""


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_a_prompt_says_where_one_is(small: Small, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no `{shell}` on PATH")
    done = subprocess.run(
        [sys.executable, str(CLI), "--quiet", "shell", "--variant", "small"],
        env={**small.env, "SHELL": program, "PS1": "$ "},
        cwd=small.root,
        input='echo "<$PS1>"\ncommand -v ninja\nexit 3\n',
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 3, done.stderr
    assert "<(small) " in done.stdout
    assert f"{small.root}/.envs/small/bin/ninja\n" in done.stdout


def test_a_checkout_of_tvm(small: Small, tvm: Path) -> None:
    code = 'echo "$TVM_HOME|$PYTHONPATH|${TVM_LIBRARY_PATH-}|${TVM_USE_RUNTIME_LIB-}"'
    words = ("shell", "--variant", "small", "--tvm", str(tvm), "--", "sh", "-c", code)
    assert small.run(*words).ok().out == f"{tvm}|{tvm}/python||\n"
    (tvm / "build-small").mkdir()
    (tvm / "build-small/libtvm_runtime.so").touch()
    assert small.run(*words).ok().out == f"{tvm}|{tvm}/python|{tvm}/build-small|1\n"
    (tvm / "build-small/libtvm.so").touch()
    assert small.run(*words).ok().out == f"{tvm}|{tvm}/python|{tvm}/build-small|\n"


def test_a_directory_that_is_no_checkout_of_tvm(small: Small, tmp_path: Path) -> None:
    ran = small.run("shell", "--variant", "small", "--tvm", str(tmp_path), "--", "true").failed(2)
    assert ran.error == (
        f"error: {tmp_path} is no checkout of TVM: no `include/tvm` beside a CMakeLists.txt\n"
    )


def test_a_command_that_does_not_exist(small: Small) -> None:
    ran = small.run("shell", "--variant", "small", "--", "no-such-program").failed(7)
    assert "`no-such-program` is not on PATH" in ran.error


def test_a_preset_for_a_checkout(small: Small, tvm: Path) -> None:
    words = ("env", "preset", "--variant", "small", "--tvm", str(tvm))
    file = tvm / "CMakeUserPresets.json"
    assert small.run(*words).ok().out == f"{file}: `cmake --preset small`, then `ninja`\n"
    text = file.read_text()
    assert text == (small.root / ".envs/small/src/thing/CMakeUserPresets.json").read_text()
    assert small.run(*words).ok().err == f"{file} is up to date\n"
    assert small.run("env", "preset", "--variant", "small", "--print").ok().out == text
    file.write_text(text.replace('"name": "small"', '"name": "mine"'))
    refused = small.run(*words).failed(2)
    assert refused.error == (
        f"error: {file} is yours, and is left as it is\n\n"
        "hint: `recipes env preset --variant small --print` prints what to add to it\n"
    )
    assert '"name": "mine"' in file.read_text()


def test_a_preset_needs_a_checkout(small: Small) -> None:
    refused = small.run("env", "preset", "--variant", "small").failed(2)
    assert refused.error == ("error: no checkout of TVM is named\n\nhint: name one with `--tvm DIR`\n")


def test_a_shell_in_an_environment_that_is_out_of_date(upstream: Upstream, tmp_path: Path) -> None:
    with smallproject.small(upstream, tmp_path) as made:
        ran = made.run("shell", "--variant", "small", "--", "sh", "-c", "echo $RECIPES_ENVIRONMENT").ok()
        assert ran.out == "small\n"  # made, as it was missing
        made.edit(
            "environments/small.yaml", "target: thing", "target: thing\noptions: {thing: {COLOUR: red}}"
        )
        ran = made.run("shell", "--variant", "small", "--", "true").ok()
        env = made.root / ".envs/small"
        assert ran.err.splitlines()[:3] == [
            f"warning: {env} is out of date",
            "  `build of thing` is another one",
            "  `recipes env update --variant small` makes it anew",
        ]
        assert os.access(env / "bin/cc", os.X_OK)
