"""The commands that look, and `lock`, as a user runs them on a small project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import smallproject
import yaml
from gitserver import Repo
from smallproject import Small

from recipes import __version__

DEAD = "http://127.0.0.1:1"  # tcpmux: nobody listens


# ---- what is there


def test_list(small: Small) -> None:
    assert small.run("list").ok().out == "both   the thing and the app\nsmall  the thing alone\n"
    assert json.loads(small.run("list", "--json").ok().out) == [
        {"variant": "both", "target": "app", "summary": "the thing and the app", "held": []},
        {"variant": "small", "target": "thing", "summary": "the thing alone", "held": []},
    ]


def test_what_is_held_back_is_listed_and_told(small: Small) -> None:
    app = f"{{commit: {small.upstream.commits['app']}, why: w, retry: 2026-12-09}}"
    held = (
        f"held:\n  sources:\n    app: {app}\n"
        "  pypi:\n    ziglang: {version: 0.15.2, why: it is slow, retry: 2026-12-09}\n"
    )
    small.write("environments/both.yaml", smallproject.BOTH + held)
    small.run("lock", "--check").ok()
    listed = small.run("list").ok().out
    assert listed.startswith(
        "both   the thing and the app (held back: app, pypi:ziglang)\nsmall  the thing alone\n"
    )
    assert json.loads(small.run("list", "--json").ok().out)[0]["held"] == ["app", "pypi:ziglang"]
    data = smallproject.wheel("ziglang", "0.16.0", "ziglang/zig", "#!/bin/sh\n")
    small.index.add("ziglang", ("ziglang-0.16.0-py3-none-any.whl", data))
    ran = small.run("lock", "--variant", "both", "toolchain").ok()
    assert ran.out == ""
    assert "`ziglang` is held back at 0.15.2 until 2026-12-09: it is slow\n" in ran.err
    assert "`app` is held back" not in ran.err


def test_show(small: Small) -> None:
    lines = small.run("show", "both").ok().out.splitlines()
    assert lines[:4] == [
        "both: the thing and the app",
        "target     app",
        "toolchain  pypi: cmake>=3.26,<4, ninja>=1.11, ziglang",
        "platforms  linux-64, linux-aarch64",
    ]
    assert "app: what is built with the thing (MIT)" in lines
    assert "  option   THING={thing}/lib" in lines
    (small.root / "locks/both.lock.yaml").unlink()
    text = small.run("show", "both").ok().out
    assert "locked" not in text
    assert text.splitlines()[:4] == lines[:4]


def test_show_as_json(small: Small) -> None:
    found = json.loads(small.run("show", "small", "--json").ok().out)
    [thing] = found.pop("sources")
    assert found == {
        "variant": "small",
        "summary": "the thing alone",
        "target": "thing",
        "toolchain": {"pypi": ["cmake>=3.26,<4", "ninja>=1.11", "ziglang"]},
        "platforms": ["linux-64", "linux-aarch64"],
        "held": {"sources": {}, "pypi": {}},
    }
    assert thing["locked"]["3rdparty/part"] == {
        "commit": small.upstream.commits["part"],
        "hash": small.upstream.hashes["part"],
    }
    assert thing["origins"] == [
        "https://git.example/thing",
        "carrier-1.0.tar.gz of the package index",
    ]


def test_schemas_accept_the_specs(small: Small) -> None:
    for kind, path in (("environment", "environments"), ("recipe", "recipes/components")):
        schema = json.loads(small.run("schema", kind).ok().out)
        files = sorted((small.root / path).rglob("*.yaml"))
        assert len(files) == 2
        for file in files:
            jsonschema.validate(yaml.safe_load(file.read_text()), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"summary": 1}, schema)


def test_the_version(small: Small) -> None:
    assert small.run("--version").ok().out == f"tvm-recipes {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["store"]])
def test_without_a_command_there_is_help(small: Small, argv: list[str]) -> None:
    ran = small.run(*argv)
    assert ran.code == 2
    assert "Commands:\n" in ran.out + ran.err
    for unknown in (["bulid"], ["build"], ["build", "--jobs", "0", "-V", "small"]):
        ran = small.run(*unknown)
        assert (ran.code, ran.out) == (2, "")
        assert "Traceback" not in ran.err


HEAVY = (
    *("conda_lock", "filelock", "httpx2", "numpy", "packaging", "pathspec", "pydantic", "rich.", "unearth"),
    *("yaml", "recipes.run", "recipes.project", "recipes.process"),
)


@pytest.mark.parametrize("argv", [["--help"], ["--version"]], ids=" ".join)
def test_what_is_not_needed_is_not_imported(small: Small, argv: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", str(smallproject.CLI), *argv],
        env=small.env, cwd=small.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = re.findall(r"^import time:.*\| +(\S+)$", ended.stderr, re.MULTILINE)
    assert "typer" in imported  # else nothing was seen
    assert [one for one in imported if one.startswith(HEAVY)] == []


# as the installed program of that name does
RECIPES = """\
import sys

sys.path.insert(0, sys.argv.pop())
sys.argv = ["recipes"]
from cli import main

main()
"""


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("recipes show s", ["small"]),
        ("recipes build --variant ", ["both", "small"]),
        ("recipes lock -V b", ["both"]),
        ("recipes show x", []),
    ],
)
def test_completion_knows_the_variants(small: Small, line: str, names: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RECIPES, str(smallproject.CLI.parent)],
        env={
            **small.env,
            "_RECIPES_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
        cwd=small.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.stdout.split() == names
    assert ended.stderr == ""


def test_from_elsewhere(small: Small, tmp_path: Path) -> None:
    elsewhere = ["sh", "-c", 'cd "$HOME" && exec "$@"', "sh"]
    ran = small.run("--project", "../checkout", "--store", "s", *PATH_OF_SMALL, before=elsewhere).ok()
    assert Path(ran.out.strip()).parent == tmp_path / "home/s/paths"
    below = ["sh", "-c", 'cd recipes/components/thing && exec "$@"', "sh"]
    assert small.run(*PATH_OF_SMALL, before=below).ok().out == small.run(*PATH_OF_SMALL).ok().out


PATH_OF_SMALL = ("store", "path", "--variant", "small")


def test_the_store_is_where_the_user_says(small: Small, tmp_path: Path) -> None:
    def place() -> Path:
        return Path(small.run(*PATH_OF_SMALL).ok().out.strip()).parent.parent

    del small.env["RECIPES_STORE"]
    assert place() == tmp_path / "home/.cache/tvm-recipes"
    small.configure("store: ~/elsewhere\n")
    assert place() == tmp_path / "home/elsewhere"
    small.configure("stoer: ~/elsewhere\n")
    wrong = small.run(*PATH_OF_SMALL).failed(3)
    assert wrong.err.startswith(f"error: {tmp_path}/home/.config/tvm-recipes/config.yaml:1:1: stoer: ")
    del small.env["HOME"]
    assert small.run(*PATH_OF_SMALL).failed(2).err == (
        "error: no place for the store: HOME is not set\n\n"
        "hint: name one with `--store DIR` or RECIPES_STORE\n"
    )


# ---- lock


def locks(small: Small) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (small.root / "locks").glob("small.*")}


def test_locking_anew_and_again(small: Small) -> None:
    known = locks(small)
    for name in known:
        (small.root / "locks" / name).unlink()
    ran = small.run("lock", "--variant", "small").ok()
    assert locks(small) == known
    short = {name: commit[:12] for name, commit in small.upstream.commits.items()}
    assert ran.out == (
        "locks/small.requirements.txt:\n"
        "  cmake: new, 3.31.0 for linux-64, linux-aarch64\n"
        "  ninja: new, 1.12.0 for linux-64, linux-aarch64\n"
        "  ziglang: new, 0.15.2 for linux-64, linux-aarch64\n"
        "locks/small.lock.yaml:\n"
        f"  thing: new, {short['thing']} (2024-05-27)\n"
        f"  thing/3rdparty/part: new, {short['part']} (2024-05-27)\n"
        f"  thing/3rdparty/part/deep: new, {short['deep']} (2024-05-27)\n"
    )
    times = [path.stat().st_mtime_ns for path in sorted((small.root / "locks").iterdir())]
    again = small.run("lock", "--variant", "small", "thing").ok()
    assert (again.out, again.err.splitlines()[-1]) == ("", "locks/small.lock.yaml is up to date")
    assert [path.stat().st_mtime_ns for path in sorted((small.root / "locks").iterdir())] == times
    assert small.damage() == []


def test_checking_locks(small: Small) -> None:
    small.mirror(git=DEAD, other=DEAD)
    ran = small.run("lock", "--check", PIP_INDEX_URL=f"{DEAD}/simple/").ok()
    assert ran.err == "the locks of `both` answer its specs\nthe locks of `small` answer its specs\n"
    small.edit("environments/small.yaml", "ref: v1.0", "ref: v2.0")
    sentence = "  source `thing` asks for ref `v2.0`, the lock answers `v1.0`\n"
    assert small.run("lock", "--check").failed(4).err == (
        "error: the locks of `both` do not answer its specs\n"
        + sentence
        + "the locks of `small` do not answer its specs\n"
        + sentence
        + "\nhint: `recipes lock`, then read the difference\n"
    )
    assert not small.store.exists()


def test_a_lock_without_a_network_stays(small: Small) -> None:
    before = locks(small)
    small.mirror(git=DEAD, other=DEAD)
    ran = small.run("lock", "--variant", "small", "thing").failed(5)
    assert ran.error.splitlines()[0] == (
        "error: not everything could be resolved; what could not keeps its lock"
    )
    assert locks(small) == before


def moved(small: Small, files: dict[bytes, bytes]) -> str:
    """Move the tag v1.0 of `thing` to a commit with other files; give the commit."""
    shutil.copytree(small.upstream.repositories, small.place / "moved")
    repository = Repo(small.place / "moved/thing")
    old = small.upstream.commits["thing"]
    part = ("160000", small.upstream.commits["part"].encode())
    tree = {path.encode(): data for path, data in smallproject.TREES["thing"].items()}
    commit = repository.commit({**tree, b"3rdparty/part": part, **files}, old, when="1716842321 +0000")
    repository.ref("refs/tags/v1.0", commit)
    small.git.root = small.place / "moved"
    return commit


def test_a_tag_that_was_moved(small: Small) -> None:
    old, commit = small.upstream.commits["thing"], moved(small, {b"tests/unused.c": b"another\n"})
    ran = small.run("lock", "--variant", "small", "thing").ok()
    assert ran.err.startswith(
        "warning: tag `v1.0` of https://git.example/thing was moved\n"
        f"  locked    {old}\n  now       {commit}\n"
    )
    assert ran.out.splitlines()[:2] == [
        "locks/small.lock.yaml:",
        f"  thing: {old[:12]} (2024-05-27) → {commit[:12]} (2024-05-27)",
    ]
    assert small.upstream.hashes["thing"].encode() in locks(small)["small.lock.yaml"]
    assert commit.encode() in locks(small)["small.lock.yaml"]


def test_origins_that_disagree(small: Small) -> None:
    before = locks(small)
    moved(small, {b"src/thing.c": b"int thing = 2;\n"})
    ran = small.run("lock", "--variant", "small", "thing").failed(6)
    lines = ran.error.splitlines()
    assert lines[0] == "error: the origins of `thing` disagree; nothing is locked"
    assert lines[1].endswith("  https://git.example/thing")
    assert lines[2] == f"  {small.upstream.hashes['thing']}  carrier-1.0.tar.gz of the package index"
    assert lines[-1].startswith("hint: narrow `include:`")
    assert locks(small) == before
    assert small.damage() == []


def test_a_ref_that_does_not_exist(small: Small) -> None:
    small.edit("environments/small.yaml", "ref: v1.0", "ref: v1.9")
    before = locks(small)
    ran = small.run("lock", "--variant", "small", "thing").failed(3)
    assert ran.error == (
        "error: source `thing`: `https://git.example/thing` has no branch or tag `v1.9`\n\n"
        "hint: did you mean `v1.0`\n"
    )
    assert locks(small) == before


def test_a_toolchain_that_cannot_be_resolved(small: Small) -> None:
    small.edit("environments/small.yaml", "ninja>=1.11", "ninja>=1.13")
    before = locks(small)
    ran = small.run("lock", "--variant", "small", "toolchain").failed(7)
    assert re.match(r"error: pip cannot resolve the toolchain for linux-(64|aarch64)\n", ran.error)
    assert locks(small) == before


def test_a_newer_wheel_is_shown(small: Small) -> None:
    data = smallproject.wheel("ziglang", "0.16.0", "ziglang/zig", "#!/bin/sh\n")
    small.index.add("ziglang", ("ziglang-0.16.0-py3-none-any.whl", data))
    ran = small.run("lock", "--variant", "small", "toolchain").ok()
    assert ran.out == (
        "locks/small.requirements.txt:\n  ziglang: 0.15.2 → 0.16.0 for linux-64, linux-aarch64\n"
    )
