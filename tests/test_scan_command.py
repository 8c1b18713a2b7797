"""`recipes scan` on trees on disk and on repositories: what it asks of servers, and its exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from gitserver import Files, Repo
from smallproject import Small

URL = "https://git.example/app"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    place.mkdir()
    return place


def declare(ref: str, url: str = URL, name: str = "app") -> str:
    return f"FetchContent_Declare({name} GIT_REPOSITORY {url}{f' GIT_TAG {ref}' if ref else ''})\n"


def inputs(small: Small, tree: Path, *argv: str) -> list[tuple[str, str, str | None]]:
    ran = small.run("scan", str(tree), "--json", *argv)
    assert ran.code in {0, 1}, ran.shown()
    found = json.loads(ran.out)["inputs"]
    return [(one["severity"], one["why"], one["pin"]) for one in found]


def test_a_branch_has_the_commit_that_it_names_today(small: Small, tree: Path) -> None:
    (tree / "CMakeLists.txt").write_text(declare("main"))
    commit = small.upstream.commits["app"]
    ran = small.run("scan", str(tree))
    assert (ran.code, ran.out) == (
        1,
        (
            f"CMakeLists.txt:1: floating: FetchContent_Declare {URL} main\n  a branch; today {commit}\n"
            "1 input: 1 floating; 1 file read\n"
        ),
    )


def test_the_server_says_what_is_a_branch_and_what_a_short_id_is(small: Small, tree: Path) -> None:
    commit = small.upstream.commits["app"]
    (tree / "a.sh").write_text(f"git clone {URL}\ngit clone {URL} b\ngit -C b checkout {commit[:10]}\n")
    assert inputs(small, tree) == [
        ("floating", "no ref: the default branch", commit),
        ("movable", "a short commit id", commit),
    ]


def test_offline_asks_nobody(small: Small, tree: Path) -> None:
    (tree / "CMakeLists.txt").write_text(declare("main"))
    asked = len(small.git.requests)
    assert inputs(small, tree, "--offline") == [("floating", "a branch", None)]
    assert len(small.git.requests) == asked


def test_a_dead_host_is_told_once(small: Small, tree: Path) -> None:
    small.mirror(other="http://127.0.0.1:1")
    some = [declare("main", f"https://other.example/{name}", name) for name in "abc"]
    (tree / "CMakeLists.txt").write_text("".join([*some, declare("main")]))
    ran = small.run("scan", str(tree))
    assert ran.code == 1
    assert ran.err.count("no pins from") == 1
    assert "warning: no pins from `https://other.example`" in ran.err
    assert ran.out.count("; today ") == 1


def test_what_is_pinned_is_exit_code_0(small: Small, tree: Path) -> None:
    (tree / "CMakeLists.txt").write_text(declare(small.upstream.commits["app"]))
    ran = small.run("scan", str(tree))
    assert (ran.code, ran.out) == (0, "1 input: 1 pinned; 1 file read\n")
    assert "pinned: FetchContent_Declare" in small.run("scan", str(tree), "--all").ok().out


def test_an_empty_tree(small: Small, tree: Path) -> None:
    assert small.run("scan", str(tree)).ok().out == "0 inputs; 0 files read\n"


def test_a_repository_by_its_url(small: Small) -> None:
    ran = small.run("scan", URL, "--json").ok()
    document = json.loads(ran.out)
    assert document["commit"] == small.upstream.commits["app"]
    assert document["files"] == 1
    at_ref = small.run("scan", URL, "--ref", "main", "--json").ok()
    assert json.loads(at_ref.out) == document


def test_a_script_of_a_repository_is_known_by_its_first_line(small: Small) -> None:
    repo = Repo(small.place / "scripts.git")
    clone = b"git clone https://h.example/x\n"
    files: Files = {
        b"v1.0/run": b"#!/usr/bin/env bash\n" + clone,
        b"v1.0/data": clone,
        b"v1.0/run.py": b"#!/bin/sh\n" + clone,
        b".profile": b"#!/bin/sh\n" + clone,
        b"link": ("120000", b"v1.0/run"),
    }
    repo.ref("refs/heads/main", repo.commit(files))
    ran = small.run("scan", f"file://{repo.path}", "--json")
    assert [one["file"] for one in json.loads(ran.out)["inputs"]] == [".profile", "v1.0/run"]
    assert json.loads(ran.out)["files"] == 2


def test_odd_files_of_a_tree(small: Small, tree: Path) -> None:
    clone = "git clone https://h.example/x\n"
    (tree / "sub").mkdir()
    (tree / "sub/run").write_text(f"#!/usr/bin/env bash\n{clone}")
    (tree / "sub/data").write_text(clone)
    (tree / "sub/loop").symlink_to(tree, target_is_directory=True)
    (tree / "sub/self.sh").symlink_to("self.sh")
    (tree / "gone.sh").symlink_to("nowhere")
    os.mkfifo(tree / "pipe.sh")
    os.mkfifo(tree / "pipe")
    (tree / "large.sh").write_text("#\n" * 2_000_001)
    (tree / ".git").mkdir()
    (tree / ".git/hook.sh").write_text(clone)
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\n.sh")).write_text(clone)
    ran = small.run("scan", str(tree), "--offline")
    assert ran.code == 1
    assert ran.out == (
        "sub/run:2: floating: git clone https://h.example/x\n  no ref: the default branch\n"
        "\\udcff\\n.sh:1: floating: git clone https://h.example/x\n  no ref: the default branch\n"
        "large.sh: not read: 4000002 bytes, and at most 4000000 are\n"
        "2 inputs: 2 floating; 2 files read\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(small: Small, tree: Path) -> None:
    (tree / "a.sh").write_text("git clone https://h.example/x\n")
    (tree / "a.sh").chmod(0)
    ran = small.run("scan", str(tree), "--offline").ok()
    assert ran.out == "a.sh: not read: Permission denied\n0 inputs; 0 files read\n"


def test_a_fix_plan(small: Small, tree: Path) -> None:
    (tree / "CMakeLists.txt").write_text(declare("main"))
    ran = small.run("scan", str(tree), "--fix-plan")
    assert ran.code == 1
    assert '    - git: "https://git.example/app"\n  ref: main\n' in ran.out
    assert "#   -DFETCHCONTENT_SOURCE_DIR_APP={app}\n" in ran.out
    document = json.loads(small.run("scan", str(tree), "--fix-plan", "--json").out)
    assert document["fix_plan"] == ran.out.removesuffix("\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "no directory `"),
        (["--json", "--markdown", "."], "`--json` and `--markdown` exclude each other"),
        (["--ref", "main", "."], "`--ref` goes with the URL of a repository, and this is a path"),
        (["--variant", "both", "."], "`--variant` and arguments of cmake go with `--prove`"),
        (["--prove", "."], "`.` has no CMakeLists.txt to configure"),
        (["--offline", URL], f"`--offline`, and `{URL}` is a repository to fetch"),
    ],
)
def test_wrong_words(small: Small, argv: list[str], message: str) -> None:
    assert message in small.run("scan", *argv).failed(2).err


@pytest.mark.sandbox
def test_a_tree_is_configured_without_a_network(warm: Small, can_build: None, tree: Path) -> None:
    (tree / "CMakeLists.txt").write_text("project(x)\n")
    ran = warm.run("scan", str(tree), "--prove", "--variant", "both")
    assert ran.ok().out == "configures without a network, and tries to download nothing\n"
    fails = warm.run("scan", str(tree), "--prove", "--variant", "both", "--", "-DMODE=configure").failed(9)
    assert "and not for a download\n  exit code  1\n  CMake Error: no such luck\n" in fails.err
