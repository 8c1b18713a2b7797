from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import files, hashes
from recipes.hashes import Directory, File, Link, Node


def file(data: bytes = b"", *, executable: bool = False) -> File:
    return File(len(data), [data], executable)


def deep(levels: int) -> Node:
    node: Node = file(b"bottom\n")
    for _ in range(levels):
        node = Directory({"d": node})
    return node


TREES: dict[str, Node] = {
    "an empty file": file(),
    "a file": file(b"hello\n"),
    "a file of 8 bytes": file(b"12345678"),
    "a program": file(b"#!/bin/sh\n", executable=True),
    "a dangling link": Link("nowhere/at all"),
    "a link that is not UTF-8": Link("\udcff\udcfe"),
    "an empty directory": Directory(),
    "a directory": Directory(
        {
            "b": file(b"b"),
            "a": file(b"a", executable=True),
            "B": Link("b"),
            "a.b": Directory({"x": file(bytes(range(256)) * 5000)}),
            "a-b": Directory(),
            "ab": Directory({"\n": file(b"newline")}),
            "\udcff": file(b"not UTF-8"),
            "\uffff": file(b"before what is above the BMP in UTF-8, not in UTF-16"),
            "\U0001f980": file(b"crab"),
            "é": file(b"e"),
        }
    ),
    "a deep directory": deep(100),
}

# What `nix hash path` of Nix 2.8.0 prints for them, and the length of what `nix-store --dump` does.
FROM_NIX = {
    "an empty file": ("sha256-d6xi4mKdjkX2JFicDIv5niSzpyI0m/Hnm8GGAIU04kY=", 112),
    "a file": ("sha256-HDfQGvQL4ugGkd48w99EN3ppmvuxfGjwgJZLL9Bx/BM=", 120),
    "a file of 8 bytes": ("sha256-ItYyI0JkR+ZKog121Qaz4GKi0kK7eXU22/PuaBvj9Tw=", 120),
    "a program": ("sha256-YoPBZoJg+QPRqJXAzWuCL6S2h2K7CxfO3vLTnZfiZVQ=", 160),
    "a dangling link": ("sha256-uIVrg1F1NX5XLc8BrSXw/hYsQwlDDhWOcXn9c73hNNU=", 128),
    "a link that is not UTF-8": ("sha256-Xc7qYsiOdsaZGHsytxH5wDfoooClE5S7Hbm21M5cePE=", 120),
    "an empty directory": ("sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=", 96),
    "a directory": ("sha256-kdqZXAQM49y+vG9uaDaUCS821p8Xc9NdyZtfif6Wy9Q=", 1282408),
    "a deep directory": ("sha256-Zq1GMpPXTORem3kmbhC8nfWJnltqQgQP7ci+NwQRbqs=", 16920),
}


def write(node: Node, path: Path) -> None:
    if isinstance(node, File):
        path.write_bytes(b"".join(node.chunks))
        path.chmod(0o755 if node.executable else 0o644)
    elif isinstance(node, Link):
        path.symlink_to(node.target)
    else:
        path.mkdir()
        for name, child in node.children.items():
            write(child, path / name)


@pytest.mark.parametrize("name", TREES)
def test_nar_is_that_of_nix(name: str) -> None:
    assert hashes.nar_hash_and_size(TREES[name]) == FROM_NIX[name]
    assert hashes.nar_hash(TREES[name]) == FROM_NIX[name][0]


@pytest.mark.parametrize("name", TREES)
def test_a_tree_on_disk_hashes_as_the_tree(name: str, tmp_path: Path) -> None:
    write(TREES[name], tmp_path / "tree")
    assert files.tree_hash(tmp_path / "tree") == FROM_NIX[name]


@pytest.mark.skipif(shutil.which("nix-store") is None, reason="needs Nix")
@pytest.mark.parametrize("name", TREES)
def test_nar_against_an_installed_nix(name: str, tmp_path: Path) -> None:
    write(TREES[name], tmp_path / "tree")
    dumped = subprocess.run(
        ["nix-store", "--dump", tmp_path / "tree"], capture_output=True, check=True
    ).stdout
    assert b"".join(hashes.nar(TREES[name])) == dumped


def test_nar_is_as_deep_as_its_tree() -> None:
    each = 168  # bytes a level
    assert hashes.nar_hash_and_size(deep(5000))[1] == FROM_NIX["a deep directory"][1] + 4900 * each


@pytest.mark.parametrize("size", [0, 2, 4])
def test_a_file_that_is_not_of_its_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"^a file said to have {size} bytes has 3$"):
        hashes.nar_hash(File(size, [b"1", b"23"]))


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=40), st.lists(st.integers(0, 40)))
def test_how_a_file_is_cut_into_chunks_does_not_matter(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert hashes.nar_hash(File(len(data), chunks)) == hashes.nar_hash(file(data))


def test_sri() -> None:
    assert hashes.sri(hashlib.sha256(b"").digest()) == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", True),
        ("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", False),
        ("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", False),
        ("sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=", False),
        ("sha512-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", False),
        ("sha256-", False),
        ("sha256-AAAA", False),
        ("sha256-é", False),
        ("", False),
    ],
)
def test_is_sri(text: str, answer: bool) -> None:
    assert hashes.is_sri(text) is answer


def test_store_hash() -> None:
    # sha256sum of the text, its first 20 bytes, in Nix's alphabet
    assert hashes.store_hash("") == "wfqc8hlqzhf196pvyk49jvxr4hkswhg4"
    assert hashes.store_hash("a derivation") == "q3ckfjr5r440n2ryasf423yqaks3wlf2"
    assert hashes.store_hash("/\udcff") != hashes.store_hash("/\udcfe")  # paths that are not UTF-8


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_store_hash_is_a_name(text: str) -> None:
    found = hashes.store_hash(text)
    assert len(found) == 32
    assert set(found) <= set(hashes.NIX_BASE32)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("blob", b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        ("blob", b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        ("tree", b"", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    ],
)
def test_git_object_ids(kind: str, data: bytes, expected: str) -> None:
    assert hashes.git_object_id(kind, data) == expected  # as `git hash-object -t KIND` prints


# what git mktree gives for the same: names sorted as if those of directories ended in `/`
GIT_TREES = [
    (Directory(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    (Directory({"empty": Directory({"more": Directory()})}), "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    (Directory({"a": file(b"hello\n")}), "0976950c1fdbcb52435a433913017bf044b3a58f"),
]


@pytest.mark.parametrize(("node", "expected"), GIT_TREES)
def test_git_tree_ids(node: Directory, expected: str) -> None:
    assert hashes.git_tree_id(node) == expected


def test_git_tree_id_is_gits(tmp_path: Path) -> None:
    names = {"a.b": "x", "a/run": "y", "a0": "z", "ab/c/d": "", "\udcff": "x"}
    for name, text in names.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    (tmp_path / "tree/a/run").chmod(0o755)
    (tmp_path / "tree/a/to").symlink_to("../a.b")

    def git(*argv: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        env |= {"GIT_DIR": str(tmp_path / "git"), "GIT_WORK_TREE": str(tmp_path / "tree")}
        ran = subprocess.run(["git", *argv], env=env, cwd=tmp_path / "tree", check=True, capture_output=True)
        return ran.stdout.decode().strip()

    git("init", "--quiet")
    git("add", "--all")
    node = files.read_tree(tmp_path / "tree")
    assert isinstance(node, Directory)
    assert hashes.git_tree_id(node) == git("write-tree")
