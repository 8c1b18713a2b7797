"""Conda locks, made by conda-lock on an index of made-up packages: read, checked, held against specs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import condachannel
import pytest
import rattler
import yaml
from condachannel import CHANNEL, ENV, SPECIAL, block, locker, versions

from recipes.conda import lockfile
from recipes.conda.block import environment_yml
from recipes.conda.lockfile import CondaLock
from recipes.errors import LockError


@pytest.fixture(scope="module")
def text(index: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return locker(tmp_path_factory.mktemp("home"), index).lock(block())


@pytest.fixture(scope="module")
def lock(text: str) -> CondaLock:
    return lockfile.parse(text.encode(), "locks/small.conda-lock.yml")


def test_what_is_locked_has_the_channels_own_urls_and_hashes(lock: CondaLock) -> None:
    assert lock.platforms == ("linux-64", "linux-aarch64", "osx-arm64")
    assert versions(lock) == {
        "cmake": "3.31.0",
        "gxx_linux-64": "13.1",
        "python": "3.11.2",
        "tool": "1.0",
        "zlib": "1.3",
    }
    assert versions(lock, "linux-aarch64").keys() == {"cmake", "python", "tool", "zlib"}
    assert versions(lock, "osx-arm64").keys() == {"clang", "cmake", "python", "tool", "zlib"}
    cmake, *_, tool, _ = lock.for_platform("linux-64")
    assert cmake.url == f"{CHANNEL}/linux-64/cmake-3.31.0-h0_0.conda"
    assert (cmake.build, cmake.subdir, cmake.file) == ("h0_0", "linux-64", "cmake-3.31.0-h0_0.conda")
    assert cmake.sha256 == hashlib.sha256(b"cmake 3.31.0 linux-64").hexdigest()
    assert cmake.dependencies == (("zlib", ">=1.3"),)
    assert (tool.platform, tool.subdir) == ("linux-64", "noarch")
    assert lockfile.unsatisfied(lock, block()) == []


def test_a_platform_that_nobody_locked(lock: CondaLock) -> None:
    with pytest.raises(LockError) as caught:
        lock.for_platform("win-64")
    assert str(caught.value) == (
        "no conda environment is locked for `win-64`\n  only for  linux-64, linux-aarch64, osx-arm64\n\n"
        "hint: add it to `platforms` of the spec's `conda` block, then `recipes lock conda`"
    )


def test_the_same_index_gives_the_same_bytes_elsewhere(text: str, tmp_path: Path, home: Path) -> None:
    again = condachannel.make(tmp_path / "elsewhere", base_url=CHANNEL)
    told = locker(home, again)
    other = replace(told, env={**told.env, "TZ": "Asia/Tokyo", "LANG": "C", "CONDA_OVERRIDE_GLIBC": "1.0"})
    assert other.lock(block()) == text
    assert str(tmp_path) not in text
    assert text.splitlines()[0] == lockfile.HEADER.rstrip("\n")


def test_the_programs_of_others_take_the_lock(text: str, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(environment_yml(block()))
    (tmp_path / "conda-lock.yml").write_text(text)
    conda = tmp_path / "conda"
    conda.write_text('#!/bin/sh\n[ "$1" = --version ] || exit 3\necho conda 24.1.0\n')
    conda.chmod(0o755)
    check = ["lock", "--check-input-hash", "--conda", str(conda), "-f", "environment.yml"]
    said = run(tmp_path, *check, "--lockfile", "conda-lock.yml")
    assert "Spec hash already locked for ['linux-64', 'linux-aarch64', 'osx-arm64']. Skipping solve." in said
    assert (tmp_path / "conda-lock.yml").read_text() == text
    run(tmp_path, "render", "-k", "explicit", "conda-lock.yml")
    explicit = (tmp_path / "conda-linux-64.lock").read_text().splitlines()
    assert f"{CHANNEL}/linux-64/cmake-3.31.0-h0_0.conda" in {line.partition("#")[0] for line in explicit}
    found = rattler.LockFile.from_path(tmp_path / "conda-lock.yml").default_environment()
    assert found is not None
    assert {one.name for one in found.platforms()} == {"linux-64", "linux-aarch64", "osx-arm64"}


def run(place: Path, *argv: str) -> str:
    env = ENV | {"HOME": str(place), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "conda_lock", *argv]
    ended = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


SAYS: Sequence[tuple[dict[str, Any], list[str]]] = [
    ({"dependencies": ["python=3.11", "cmake>=3.32,<4", "tool"]}, [
        f"`cmake` is locked as 3.31.0 for {one}, and `cmake>=3.32,<4` is asked for"
        for one in ("linux-64", "linux-aarch64", "osx-arm64")
    ]),
    ({"platforms": ["linux-64"], "platform_dependencies": {}}, [
        "`gxx_linux-64` is locked for linux-64, and nothing asks for it",
        "platform `linux-aarch64` is locked, and no spec asks for it",
        "platform `osx-arm64` is locked, and no spec asks for it",
    ]),
    ({"platform_dependencies": {**SPECIAL, "linux-64": ["gxx_linux-64=13", "make"]}}, [
        "`make>4` is asked for on linux-64, and no `make` is locked".replace(">4", ""),
    ]),
    ({"channels": ["conda-forge"]}, [
        f"the spec asks for channels `conda-forge`, the lock answers `{CHANNEL}`",
    ]),
    ({"before": "2026-01-01T00:00:00Z"}, [
        "the spec asks for before 2026-01-01T00:00:00Z, the lock answers no date",
    ]),
    ({"dependencies": ["cmake<3.99", "python==3.11.2=h0_0", "tool"]}, []),  # still answered
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentences"), SAYS, ids=[", ".join(change) for change, _ in SAYS])
def test_what_a_lock_does_not_answer_is_said_in_sentences(
    lock: CondaLock, change: dict[str, Any], sentences: list[str]
) -> None:
    assert lockfile.unsatisfied(lock, block(**change)) == sentences


@pytest.mark.parametrize("asks", ["cmake=1.2.!3", "cmake>=1_-.*", "cmake==1|<*.*", "cmake 3.31.0 h*_1"])
def test_what_no_solver_could_find_is_not_answered(lock: CondaLock, asks: str) -> None:
    asked = block(dependencies=["python=3.11", asks, "tool"])
    assert lockfile.unsatisfied(lock, asked)[0] == (
        f"`cmake` is locked as 3.31.0 for linux-64, and `{asks}` is asked for"
    )


def test_what_a_package_lacks_is_said(lock: CondaLock) -> None:
    fewer = replace(lock, packages=tuple(one for one in lock.packages if one.name != "zlib"))
    assert (
        lockfile.unsatisfied(fewer, block())[0] == "`python` needs `zlib` on linux-64, and that is not locked"
    )


CHANGED = "changed since `recipes lock` wrote it: it does not have its digest"
FOREIGN = "written by another program, or changed: it has no digest of `recipes lock`"
FORMAT = "another format of lock\n  expected  version: 1\n  actual    "
DAMAGE: Sequence[tuple[str, str, str]] = [
    (
        "version: 1\n",
        "version: 2\n",
        f"{FORMAT}version: 2",
    ),
    ("version: 1\n", "", f"{FORMAT}no version"),
    (
        "version: 1\n",
        "version: true\n",
        f"{FORMAT}version: True",
    ),
    ("3.11.2", "3.11.1", CHANGED),
    ("    linux-64: ", "    linux-64: '00' #", CHANGED),
    ("optional: false", "optional: true", CHANGED),
    ("    sha256:", "    md6:", FOREIGN),
    ("  custom_metadata:\n    sha256:", "  other:\n    sha256:", FOREIGN),
    ("package:\n", "<<<<<<< ours\npackage:\n", "line "),
    ("package:\n", "package: &a\n", "anchors and aliases are not supported"),
    ("package:\n", f"deep: {'[' * 2000}\npackage:\n", "not YAML: "),
    ("package:\n", "\0package:\n", "not YAML: "),
]


@pytest.mark.parametrize(("old", "new", "message"), DAMAGE, ids=[new[:20] for _, new, _ in DAMAGE])
def test_a_lock_that_was_edited_or_is_of_another_format(text: str, old: str, new: str, message: str) -> None:
    assert old in text
    with pytest.raises(LockError) as caught:
        lockfile.parse(text.replace(old, new, 1).encode(), "locks/a.conda-lock.yml")
    assert caught.value.message.startswith(f"locks/a.conda-lock.yml: {message}")
    assert caught.value.hint == (
        "see what changed: `git log -p locks/a.conda-lock.yml`; lock again: `recipes lock conda`"
    )


def forged(text: str, change: Any) -> bytes:
    """Give a lock that was changed together with its digest."""
    values = yaml.safe_load(text)
    change(values)
    values["metadata"]["custom_metadata"]["sha256"] = lockfile._digest(values)
    return yaml.safe_dump(values).encode()


FORGED = [
    (lambda v: v["package"][0].update(version="9"), "`clang` 9 has the URL of another package"),
    (
        lambda v: v["package"][0].update(platform="linux-64"),
        "`clang` for linux-64 has the URL of another",
    ),
    (lambda v: v["package"][0].update(url="x"), "`clang` 19.1 has the URL of another package"),
    (lambda v: v["package"][0].update(manager="pip"), "package.0.manager: input should be 'conda'"),
    (
        lambda v: v["package"][0]["hash"].update(sha256="0"),
        "package.0.hash.sha256: string should",
    ),
    (
        lambda v: v["package"][0].update(url=v["package"][0]["url"].replace("//", "//me:pw@")),
        "the URL of `clang` has a user name or password",
    ),
    (lambda v: v["metadata"].pop("channels"), "metadata.channels: field required"),
    (lambda v: v.update(package={}), "package: input should be a valid list"),
]


@pytest.mark.parametrize(("change", "message"), FORGED, ids=[message[:24] for _, message in FORGED])
def test_a_lock_that_no_solver_wrote(text: str, change: Any, message: str) -> None:
    with pytest.raises(LockError) as caught:
        lockfile.parse(forged(text, change), "l")
    assert caught.value.message.startswith(f"l: {message}")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"a: b\n", b"\xff\xfe\x00", b"- &a [*a]\n", b"x" * (lockfile.LARGEST + 1)]
)
def test_what_is_no_lock_at_all(text: bytes) -> None:
    with pytest.raises(LockError, match="l: "):
        lockfile.parse(text, "l")
