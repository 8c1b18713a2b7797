"""`recipes env export`: an environment in other programs' formats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import smallproject
from smallproject import Small, Upstream

from recipes.develop import exports
from recipes.errors import UsageError

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def small(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path_factory.mktemp("small")) as made:
        yield made


def test_direnv_adds_to_lists_and_sets_the_rest() -> None:
    variables = {"PATH": "/e/bin", "PYTHONPATH": "/a b:/c", "CC": "/e/bin/cc", "VIRTUAL_ENV": "/it's"}
    assert exports.direnv("v", "/e", variables).splitlines() == [
        "# written by `recipes env export --variant v --format direnv`",
        "watch_file /e/environment.json",
        "path_add PATH /e/bin",
        "path_add PYTHONPATH '/a b' /c",
        "export CC=/e/bin/cc",
        """export VIRTUAL_ENV='/it'"'"'s'""",
    ]


def test_conda_formats() -> None:
    assert exports.environment_yml("v", ["conda-forge"], ["python=3.11", "cmake<4"]) == (
        'name: v\nchannels:\n  - conda-forge\ndependencies:\n  - "python=3.11"\n  - "cmake<4"\n'
    )
    assert exports.explicit("v", "linux-64", [("https://host/c/linux-64/a-1-0.conda", "ab" * 32)]) == (
        "# v: `conda create --name v --file FILE`\n# platform: linux-64\n@EXPLICIT\n"
        f"https://host/c/linux-64/a-1-0.conda#{'ab' * 32}\n"
    )


def test_a_devcontainer() -> None:
    found = json.loads(exports.devcontainer("v", f"docker.io/library/python:3.11@{DIGEST}"))
    assert found["image"] == f"docker.io/library/python:3.11@{DIGEST}"
    assert found["onCreateCommand"] == "./bootstrap recipes env create --variant v"


@pytest.mark.parametrize(
    "image", ["python:3.11", "python@sha256:00", f"python@{DIGEST}0", f" python@{DIGEST}"]
)
def test_an_image_without_its_digest(image: str) -> None:
    with pytest.raises(UsageError) as raised:
        exports.devcontainer("v", image)
    assert raised.value.message == (
        f"a devcontainer needs its image by digest\n  expected  NAME@sha256:…\n  actual    {image}"
    )


def test_requirements_are_what_pip_installs_from(small: Small, tmp_path: Path) -> None:
    ran = small.run("env", "export", "--variant", "small", "--format", "requirements").ok()
    assert ran.out == small.upstream.requirements()
    file = tmp_path / "requirements.txt"
    file.write_text(ran.out)
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--require-hashes"]
    done = subprocess.run(
        [*argv, "--disable-pip-version-check", "-r", file],
        env={**small.env, "PIP_ROOT_USER_ACTION": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Would install cmake-3.31.0 ninja-1.12.0 ziglang-0.15.2" in done.stdout


def test_requirements_of_one_platform(small: Small) -> None:
    words = ("env", "export", "--variant", "small", "--format", "requirements", "--platform")
    assert "x86_64" not in small.run(*words, "linux-aarch64").ok().out


CONDA = """
conda:
  channels: [team]
  platforms: [linux-64]
  dependencies: [zlib]
"""


@pytest.fixture
def asks(small: Small) -> Iterator[str]:
    """Give a variant that asks for conda packages, and has the other locks of `small`."""
    written = ["environments/asks.yaml", "locks/asks.lock.yaml", "locks/asks.requirements.txt"]
    small.write(written[0], smallproject.SMALL + CONDA)
    for name in written[1:]:
        small.write(name, (small.root / name.replace("asks", "small")).read_text())
    yield "asks"
    for name in written:
        (small.root / name).unlink()


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("requirements", "platform of `asks`"),
        ("environment.yml", "platform in the `conda:` block of `asks`"),
        ("explicit", "platform in the `conda:` block of `asks`"),
    ],
)
def test_a_platform_that_is_not_there(small: Small, asks: str, kind: str, where: str) -> None:
    words = ("env", "export", "--variant", asks, "--format", kind, "--platform", "linux-46")
    message = f"error: no {where} `linux-46`, did you mean `linux-64`?\n"
    assert small.run(*words).failed(2).error.startswith(message)


def test_a_lock_that_does_not_answer_is_not_exported(small: Small, asks: str) -> None:
    small.write("environments/asks.yaml", smallproject.SMALL.replace("ninja>=1.11", "ninja>=2"))
    ran = small.run("env", "export", "--variant", asks, "--format", "requirements").failed(4)
    assert ran.error.startswith("error: the locks of `asks` do not answer its specs\n  `ninja` is locked")


@pytest.mark.skipif(sys.version_info[:2] > (3, 13), reason="no packages are locked for this Python")
def test_direnv_of_an_environment(small: Small) -> None:
    ran = small.run("env", "export", "--variant", "small", "--format", "direnv").ok()
    env = small.root / ".envs/small"
    assert f"path_add PATH {env}/bin\n" in ran.out
    functions = "watch_file() { :; }; path_add() { n=$1; shift; export $n=$*; }\n"
    done = subprocess.run(
        ["/bin/sh", "-ec", f"{functions}{ran.out}echo $CC $TVM_HOME"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{env}/bin/cc {env}/src/thing\n"


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("nix", 2, "error: no format `nix`\n"),
        ("devcontainer", 2, "error: a devcontainer needs its image by digest\n"),
        ("environment.yml", 2, "error: `small` has no `conda:` block\n"),
        ("explicit", 2, "error: `small` has no `conda:` block\n"),
    ],
)
def test_what_cannot_be_exported(small: Small, kind: str, code: int, message: str) -> None:
    ran = small.run("env", "export", "--variant", "small", "--format", kind).failed(code)
    assert ran.error.startswith(message)
