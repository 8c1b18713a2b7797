"""Conda environments in `recipes lock`; another solver; the project's own locks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import condachannel
import pytest
import specimen
from condachannel import CHANNEL, ENV, block, locker, versions

from recipes import compare, diff, requirements
from recipes.conda import lockfile
from recipes.conda.channels import Condarc
from recipes.conda.locking import Environments
from recipes.errors import LockError, ToolchainError, UsageError
from recipes.lockcheck import answered
from recipes.project import Project
from recipes.report import QUIET, Report

CONDA = """\
#!{python}
import json, sys
argv = sys.argv[1:]
if "--version" in argv:
    print("conda 24.1.0")
    sys.exit()
with open({log!r}, "a") as log:
    log.write(argv[0] + "\\n")
packages = json.load(open({packages!r}))
platform = __import__("os").environ.get("CONDA_SUBDIR")
here = packages[platform]
if argv[0] == "list":
    print(json.dumps([{{"name": one["name"], "version": one["version"]}} for one in here]))
else:
    chosen = here if argv[0] == "create" else [one for one in here if one["name"] == "python"]
    print(json.dumps({{"success": True, "actions": {{"FETCH": chosen, "LINK": chosen}}}}))
"""


def a_conda(place: Path, log: Path, **newest: str) -> Path:
    """Make a program that answers as conda does, with what the index has newest, or as told."""
    chosen: dict[str, list[dict[str, Any]]] = {}
    for platform in ("linux-64", "linux-aarch64", "osx-arm64"):
        by_name = {one["name"]: (file, one) for file, one in condachannel.index(platform).items()}
        for file, one in condachannel.index(platform).items():
            if one["version"] == newest.get(one["name"]):
                by_name[one["name"]] = file, one
        chosen[platform] = [
            {**one, "fn": file, "url": f"{CHANNEL}/{platform}/{file}", "channel": f"{CHANNEL}/{platform}"}
            for file, one in by_name.values()
        ]
    packages = place / "packages.json"
    packages.write_text(json.dumps(chosen))
    program = place / "conda"
    program.write_text(CONDA.format(python=sys.executable, log=str(log), packages=str(packages)))
    program.chmod(0o755)
    return program


@pytest.mark.slow
def test_another_solver_is_used_when_it_is_asked_for(tmp_path: Path, home: Path) -> None:
    log = tmp_path / "log"
    asked = block(dependencies=["python=3.11", "cmake<4"])
    program = a_conda(tmp_path, log, cmake="3.30.0", python="3.11.1")
    first = locker(home, program=str(program)).lock(asked)
    assert versions(lockfile.parse(first.encode(), "l"))["cmake"] == "3.30.0"
    assert log.read_text().split() == ["create"] * 3
    program = a_conda(tmp_path, log, python="3.11.2")
    log.unlink()
    second = locker(home, program=str(program)).lock(asked, first.encode(), ["python"])
    old, new = (lockfile.parse(one.encode(), "l") for one in (first, second))
    assert [(one.project, one.new) for one in diff.conda(old, new)] == [("python", "3.11.2")]
    assert set(log.read_text().split()) == {"list", "install"}
    with pytest.raises(UsageError, match="no package `zlib` is locked that can be moved alone"):
        locker(home, program=str(program)).lock(asked, first.encode(), ["zlib"])
    with pytest.raises(UsageError, match="cannot leave out what is newer than `before`"):
        locker(home, program=str(program)).lock(block(before="2026-01-01T00:00:00Z"))


def test_no_credentials_in_what_a_solver_says(tmp_path: Path, home: Path) -> None:
    program = tmp_path / "conda"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exec echo conda 24.1.0\n'
        """echo '{"success": false, "message": "no https://me:hid@c.example/a, https://c.example/t/den/b"}'\n"""
        "exit 1\n"
    )
    program.chmod(0o755)
    with pytest.raises(ToolchainError) as raised:
        locker(home, program=str(program)).lock(block())
    assert raised.value.message.endswith("  no https://c.example/a, https://c.example/b")


CLI = Path(__file__).resolve().parent.parent / "cli.py"
CONDA_BLOCK = """\
conda:
  channels: [team]
  platforms: [linux-64]
  dependencies: [python=3.11, "cmake<4"]
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout whose sources and toolchain are locked; its variant `small` asks for conda packages."""

    root: Path
    index: Path

    @property
    def lock(self) -> Path:
        return self.root / "locks/small.conda-lock.yml"

    def spec(self, text: str) -> None:
        (self.root / "environments/small.yaml").write_bytes(specimen.ENVIRONMENT + text.encode())

    def mirror(self, *urls: str) -> None:
        """Say where the channel is asked."""
        (self.root / "condarc").write_text(
            f"channel_alias: https://channel.example\nmirrored_channels: {{team: [{', '.join(urls)}]}}\n"
        )

    def run(self, *argv: str, **variables: str) -> tuple[int, str, str]:
        env = ENV | {"HOME": str(self.root), "RECIPES_STORE": str(self.root / "store")}
        env |= {"CONDARC": str(self.root / "condarc"), **variables}
        command = [sys.executable, str(CLI), *argv]
        ended = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert "Traceback" not in ended.stderr
        return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def checkout(tmp_path: Path, index: Path) -> Checkout:
    made = Checkout(tmp_path / "checkout", index)
    for name, text in {
        "recipes/components/fp16/recipe.yaml": specimen.FP16,
        "recipes/components/tvm/recipe.yaml": specimen.TVM,
        "recipes/components/tvm/smoke.py": specimen.SMOKE,
        "locks/small.lock.yaml": specimen.LOCK.encode(),
        "locks/small.requirements.txt": requirements.render(specimen.toolchain()).encode(),
        "environments/small.yaml": specimen.ENVIRONMENT,
    }.items():
        (made.root / name).parent.mkdir(parents=True, exist_ok=True)
        (made.root / name).write_bytes(text)
    made.spec(CONDA_BLOCK)
    made.mirror(index.as_uri())
    return made


def test_the_commands(checkout: Checkout) -> None:
    code, out, err = checkout.run("lock", "conda")
    assert (code, err[:1]) == (0, "s"), err
    assert out == (
        "locks/small.conda-lock.yml:\n  cmake: new, 3.31.0 for linux-64\n  python: new, 3.11.2 for linux-64\n"
        "  zlib: new, 1.3 for linux-64\n"
    )
    code, out, err = checkout.run("lock", "--check", PYTHONPROFILEIMPORTTIME="1")
    assert (code, out) == (0, "")
    assert "the locks of `small` answer its specs\n" in err
    assert "recipes.conda.lockfile" in err
    for heavy in (
        "conda_lock",
        "recipes.resolve",
        "recipes.fetch",
        "recipes.realise",
        "recipes.verify",
        "httpx2",
    ):
        assert f" {heavy}\n" not in err  # conda-lock alone takes a second to import
    checkout.spec(CONDA_BLOCK.replace("cmake<4", "cmake>=4"))
    assert checkout.run("lock", "--check") == (4, "", (
        "error: the locks of `small` do not answer its specs\n"
        "  conda: `cmake` is locked as 3.31.0 for linux-64, and `cmake>=4` is asked for\n\n"
        "hint: `recipes lock`, then read the difference\n"
    ))  # fmt: skip


def test_what_fails_keeps_the_lock(checkout: Checkout) -> None:
    checkout.lock.write_bytes(b"so far\n")
    checkout.mirror("http://127.0.0.1:1/team")
    code, _, err = checkout.run("lock", "conda")
    assert code == 5
    assert (
        "error: not everything could be resolved; what could not keeps its lock\n"
        "channel `team` cannot be reached\n  http://127.0.0.1:1/team  " in err
    )
    checkout.mirror(checkout.index.as_uri())
    checkout.spec(CONDA_BLOCK.replace("cmake<4", "cmake>=5"))
    code, _, err = checkout.run("lock", "conda")
    assert code == 7
    assert err.endswith(
        "error: no conda environment can be found for linux-64\n  No candidates were found for cmake >=5.\n"
    )
    assert checkout.lock.read_bytes() == b"so far\n"


def test_every_failure_is_told_and_the_rest_is_locked(checkout: Checkout) -> None:
    (checkout.root / "condarc").write_text(
        "channel_alias: https://channel.example\n"
        f"mirrored_channels: {{team: [{checkout.index.as_uri()}], gone: ['http://127.0.0.1:1/gone']}}\n"
    )
    for name, asked in {
        "early": CONDA_BLOCK.replace("team", "gone"),
        "impossible": CONDA_BLOCK.replace("cmake<4", "cmake>=5"),
        "never": CONDA_BLOCK.replace("cmake<4", "cmake>=5"),
    }.items():
        (checkout.root / f"environments/{name}.yaml").write_text(f"summary: x\nextends: small\n{asked}")
    code, out, err = checkout.run("lock", "conda")
    assert (code, out.splitlines()[0]) == (7, "locks/small.conda-lock.yml:")
    told = err[err.index("error: ") :]
    assert told.startswith(
        "error: not everything could be resolved; what could not keeps its lock\n"
        "channel `gone` cannot be reached\n  http://127.0.0.1:1/gone  "
    )
    assert told.endswith(
        "\nno conda environment can be found for linux-64\n  No candidates were found for cmake >=5.\n"
    )
    assert told.count("No candidates") == 1
    assert checkout.lock.is_file()


def test_a_place_of_any_name_in_a_locale_that_has_no_such_letters(checkout: Checkout) -> None:
    place = checkout.root / "ort-\N{LATIN SMALL LETTER O WITH DIAERESIS}"
    place.mkdir()
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = checkout.run("lock", "conda", TMPDIR=str(place), **plain)
    assert (code, out.splitlines()[0]) == (0, "locks/small.conda-lock.yml:"), err


def test_checking_tells_of_every_part(checkout: Checkout) -> None:
    (checkout.root / "locks/small.requirements.txt").unlink()
    code, _, err = checkout.run("lock", "--check")
    assert code == 4
    assert err.startswith(
        "error: variant `small` is not locked: there is no locks/small.requirements.txt\n"
        "variant `small` is not locked: there is no locks/small.conda-lock.yml\n"
    )


def environments(checkout: Checkout, home: Path) -> Environments:
    told = Condarc(alias="https://channel.example", mirrored={"team": (checkout.index.as_uri(),)})
    return Environments(Project(checkout.root), replace(locker(home), condarc=told), Report(QUIET))


def test_moving_asks_for_a_lock_that_answers(checkout: Checkout, home: Path) -> None:
    found = environments(checkout, home)
    with pytest.raises(LockError, match="there is no locks"):
        found.move(["small"], ["python"])
    assert found.lock(found.project.specs("small")) == []
    with pytest.raises(UsageError) as caught:
        found.move(["small"], ["pyton"])
    assert caught.value.message == "no conda lock has `pyton`, did you mean `python`?"
    before = checkout.lock.read_bytes()
    found.move(["small"], ["python"])
    assert checkout.lock.read_bytes() == before
    checkout.spec(CONDA_BLOCK.replace("cmake<4", "cmake>=4"))
    with pytest.raises(LockError, match="do not answer its specs"):
        found.move(["small"], ["python"])


def test_variants_that_ask_alike_are_solved_for_once(checkout: Checkout, home: Path) -> None:
    found = environments(checkout, home)
    (checkout.root / "environments/other.yaml").write_bytes(b"summary: other\nextends: small\n")
    assert found.lock(found.project.specs("small")) == []
    nowhere = replace(found, locker=replace(found.locker, python="/nowhere"))
    assert nowhere.lock(found.project.specs("other")) == []
    assert found.project.conda_lock("other") == found.project.conda_lock("small")


def test_what_is_compared(checkout: Checkout, home: Path) -> None:
    found = environments(checkout, home)
    sides = compare.Sides(found.project, checkout.root, {})
    assert sides.variant("small").conda is None
    assert found.lock(found.project.specs("small")) == []
    locked = sides.variant("small").conda
    assert locked == found.project.conda_lock("small")
    assert [one.project for one in diff.conda(None, locked)] == ["cmake", "python", "zlib"]
    assert diff.conda(locked, locked) == ()


def test_a_lock_that_no_spec_asks_for(checkout: Checkout) -> None:
    checkout.spec("")
    checkout.lock.write_bytes(b"left\n")
    project = Project(checkout.root)
    with pytest.raises(LockError) as caught:
        answered(project.specs("small"), project)
    assert caught.value.message == (
        "the locks of `small` do not answer its specs\n"
        "  conda: small.conda-lock.yml is there, and no spec asks for it"
    )
    checkout.lock.unlink()
    assert answered(project.specs("small"), project) is None


@pytest.mark.parametrize("more", [["--check"], ["fp16"], ["--at", "2024-01-01"]])
def test_moving_goes_with_nothing_else(checkout: Checkout, more: list[str]) -> None:
    code, _, err = checkout.run("lock", "--update", "python", *more)
    assert (code, err) == (
        2,
        "error: `--update` moves conda packages, and takes neither sources nor other modes\n",
    )


def test_the_projects_own_conda_locks_name_real_packages_and_answer_their_specs(root: Path) -> None:
    own = Project(root)
    for variant in own.variants():
        asked, locked = own.specs(variant).environment.conda, own.conda_lock(variant)
        assert asked is not None
        assert lockfile.unsatisfied(locked, asked) == []
        assert locked.platforms == ("linux-64", "linux-aarch64", "osx-arm64")
        assert {one.name: one.version.partition(".")[0] for one in locked.packages}["gxx_linux-64"] == "13"
        assert all(one.url.startswith("https://") and "/conda-forge/" in one.url for one in locked.packages)


def test_conda_forges_own_records_lock_twice_to_the_same_bytes(root: Path, home: Path) -> None:
    real = condachannel.real()
    own = Project(root)
    asked = own.specs("no-nnpack").environment.conda
    assert asked is not None
    told = replace(locker(home), condarc=Condarc(mirrored={"conda-forge": (real.as_uri(),)}))
    first = told.lock(asked)
    assert told.lock(asked) == first
    assert lockfile.unsatisfied(lockfile.parse(first.encode(), "l"), asked) == []
    assert first.encode() == own.conda_lock_file("no-nnpack").read_bytes()
