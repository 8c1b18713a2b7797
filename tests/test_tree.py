from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import tree
from recipes.errors import IntegrityError
from recipes.tree import Filter

LONG = "a" * 300


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b",
        "a\nb",
        "a\\b",
        "..a/...",
        " ",
        "a\udcff",
        ".git/config",
        "a" * 255,
        "é" * 127,
        "/".join(["a"] * tree.DEEPEST),
        "/".join(["a" * 255] * 8),
    ],
)
def test_names_that_are_allowed(path: str) -> None:
    tree.check_name(path, "it")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "./a",
        "..",
        "a/../b",
        "a\0b",
        "a\ud800",
        "a" * 256,
        "é" * 128,
        "/".join(["a"] * (tree.DEEPEST + 1)),
        "/".join(["a" * 200] * 11),
        "/".join(["aaa"] * (tree.DEEPEST + 1)),
    ],
)
def test_names_that_are_refused(path: str) -> None:
    with pytest.raises(IntegrityError, match=r"^it has a member with a name that is not allowed\n  name  '"):
        tree.check_name(path, "it")


def test_a_refused_name_is_told() -> None:
    with pytest.raises(IntegrityError) as caught:
        tree.check_name("../x\x1b[2J", "x.tar")
    assert str(caught.value) == (
        "x.tar has a member with a name that is not allowed\n  name  '../x\\x1b[2J'\n\n"
        "hint: this archive may be hostile; report it to where it came from"
    )


def test_a_refused_name_is_told_in_part_when_it_is_long() -> None:
    with pytest.raises(IntegrityError, match=r"a{255}'… \(300 characters\)"):
        tree.check_name(LONG, "it")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "b"),
        ("a", "./b"),
        ("a", "."),
        ("a/b", ".."),
        ("a/b", "../c/d"),
        ("a/b/c", "../../d"),
        ("a", "b/"),
        ("a", "b\udcff"),
    ],
)
def test_targets_that_are_allowed(path: str, target: str) -> None:
    tree.check_target(path, target, "it")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", ""),
        ("a", "/"),
        ("a", "/etc/passwd"),
        ("a", ".."),
        ("a", "../a"),
        ("a/b", "../../c"),
        ("a/b", "c/../../../d"),
        ("a/b/c", "d/d/../.."),
        ("a/b", "./../../c"),
        ("a", "b\0"),
        ("a", "b\ud800"),
        ("a", "b/" * 2000),
    ],
)
def test_targets_that_are_refused(path: str, target: str) -> None:
    with pytest.raises(IntegrityError, match=r"^it has a symbolic link that leads out of its tree\n  link "):
        tree.check_target(path, target, "it")


def test_a_refused_target_is_told() -> None:
    with pytest.raises(IntegrityError) as caught:
        tree.check_target("a/b", "/etc/passwd", "x.tar")
    assert caught.value.message == (
        "x.tar has a symbolic link that leads out of its tree\n  link    'a/b'\n  target  '/etc/passwd'"
    )


@pytest.mark.parametrize(
    ("filter_", "path", "place"),
    [
        (Filter(), "a/b", "a/b"),
        (Filter(include=("src/**",)), "src/a", "src/a"),
        (Filter(include=("src/**",)), "src/a/b\nc", "src/a/b\nc"),
        (Filter(include=("src/**",)), "src", None),
        (Filter(include=("src/**",)), "x/src/a", None),
        (Filter(include=("src",)), "src/a", "src/a"),
        (Filter(include=("LICENSE", "/NOTICE")), "LICENSE", "LICENSE"),
        (Filter(include=("LICENSE", "/NOTICE")), "NOTICE", "NOTICE"),
        (Filter(include=("LICENSE", "/NOTICE")), "x/LICENSE", None),
        (Filter(include=("**/*.h",)), "a/b/c.h", "a/b/c.h"),
        (Filter(include=("**/*.h",)), "c.h", "c.h"),
        (Filter(exclude=("*.py",)), "a.py", None),
        (Filter(exclude=("*.py",)), "a/b.py", "a/b.py"),
        (Filter(include=("src/**",), exclude=("src/a/**",)), "src/a/b", None),
        (Filter(include=("src/**",), exclude=("src/a/**",)), "src/ab", "src/ab"),
        (Filter(strip="top"), "top/a", "a"),
        (Filter(strip="top"), "top", None),
        (Filter(strip="top"), "topmost/a", None),
        (Filter(strip="top/sub", include=("a",)), "top/sub/a", "a"),
        (Filter(strip="top", include=("top/**",)), "top/a", None),
    ],
)
def test_filters(filter_: Filter, path: str, place: str | None) -> None:
    assert filter_.place(path) == place


@pytest.mark.parametrize(
    ("modes", "executable", "after"),
    [("git", True, True), ("git", False, False), ("plain", True, False), ("plain", False, False)],
)
def test_modes(modes: str, executable: bool, after: bool) -> None:
    filter_ = Filter(modes="git") if modes == "git" else Filter(modes="plain")
    assert filter_.mode(executable) is after


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (".git", True),
        ("a/.git", True),
        (".git/config", True),
        (".gitignore", False),
        ("a.git/b", False),
        (".github/x", False),
    ],
)
def test_git_metadata(path: str, answer: bool) -> None:
    assert tree.is_git_metadata(path) is answer


@settings(deadline=None, derandomize=True)
@given(st.binary())
def test_any_bytes_can_be_a_name(raw: bytes) -> None:
    assert tree.to_bytes(tree.to_text(raw)) == raw
