"""A person's checkouts as git sees them: real ones, in every state that a person leaves them in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeAlias

import gitserver
import pytest

from recipes import process, worktree
from recipes.errors import UsageError
from recipes.worktree import Worktree

Change: TypeAlias = Callable[["Checkout"], object]

WHEN = {"GIT_AUTHOR_DATE": "1716842321 +0200", "GIT_COMMITTER_DATE": "1716842321 +0200"}
DATE = "2024-05-27T20:38:41Z"
TRACKED = ("README", "src/a.c", "src/link")
IGNORED = "*.o\n/out/\n"


class Checkout:
    """A repository with a work tree, three files committed; its own exclude file says what is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> Self:
        self.path.mkdir()
        self.git("init", "--quiet", "--template=", "--initial-branch=main")
        self.write(".git/info/exclude", IGNORED)
        self.write("README", "read me\n")
        self.write("src/a.c", "int a = 1;\n")
        self.path.joinpath("src/link").symlink_to("a.c")
        self.commit()
        return self

    def copy(self, path: Path) -> Checkout:
        shutil.copytree(self.path, path, symlinks=True)
        return Checkout(path)

    def git(self, *argv: str, env: Mapping[str, str] = gitserver.ENV) -> str:
        ended = process.run(["git", *argv], env={**env, **WHEN}, cwd=self.path, timeout=300)
        assert ended.code == 0, ended
        return ended.out.decode().strip()

    def write(self, path: str, text: str) -> Path:
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-gpg-sign", "-m", "a commit")
        return self.git("rev-parse", "HEAD")

    def add_submodule(self, upstream: Path, path: str) -> None:
        self.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(upstream), path)
        self.commit()

    def read(self) -> Worktree:
        return worktree.read(self.path, gitserver.ENV)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("made") / "checkout").make()


@pytest.fixture
def checkout(made: Checkout, tmp_path: Path) -> Checkout:
    return made.copy(tmp_path / "checkout")


def test_as_committed(checkout: Checkout) -> None:
    head = checkout.git("rev-parse", "HEAD")
    assert checkout.read() == Worktree(head, DATE, dirty=False, paths=TRACKED)


CHANGES: dict[str, tuple[Change, bool, tuple[str, ...]]] = {
    "a file is changed": (lambda one: one.write("src/a.c", "int a = 2;\n"), True, TRACKED),
    "a file is new": (
        lambda one: one.write("src/b.c", ""),
        True,
        ("README", "src/a.c", "src/b.c", "src/link"),
    ),
    "a file is gone": (lambda one: (one.path / "README").unlink(), True, TRACKED[1:]),
    "a change is staged": (
        lambda one: (one.write("src/b.c", ""), one.git("add", "src/b.c")),
        True,
        ("README", "src/a.c", "src/b.c", "src/link"),
    ),
    "a file is removed from the index only": (lambda one: one.git("rm", "--cached", "README"), True, TRACKED),
    "a file is executable now": (lambda one: (one.path / "README").chmod(0o755), True, TRACKED),
    "what is ignored is made": (
        lambda one: (one.write("src/a.o", ""), one.write("out/a", "")),
        False,
        TRACKED,
    ),
    "what is ignored is tracked": (
        lambda one: (one.write("out/a", ""), one.git("add", "--force", "out/a"), one.commit()),
        False,
        ("README", "out/a", "src/a.c", "src/link"),
    ),
    "what is new is not to be shown": (
        lambda one: (one.git("config", "status.showUntrackedFiles", "no"), one.write("src/b.c", "")),
        True,
        ("README", "src/a.c", "src/b.c", "src/link"),
    ),
    "a link leads nowhere": (
        lambda one: (one.path / "src/a.c").unlink(),
        True,
        ("README", "src/link"),
    ),
    "a repository lies in it": (lambda one: Checkout(one.path / "other").make(), True, TRACKED),
    "a pipe lies in it": (lambda one: os.mkfifo(one.path / "pipe"), False, TRACKED),
    "a branch is checked out": (lambda one: one.git("checkout", "--quiet", "-b", "other"), False, TRACKED),
    "no branch is checked out": (lambda one: one.git("checkout", "--quiet", "--detach"), False, TRACKED),
}


@pytest.mark.parametrize("change", CHANGES)
def test_states(checkout: Checkout, change: str) -> None:
    make, dirty, paths = CHANGES[change]
    make(checkout)
    found = checkout.read()
    assert (found.dirty, found.paths) == (dirty, paths)


def test_names_that_git_would_quote(checkout: Checkout) -> None:
    names = [b"a b", b"a\nb", b"\xff", "grün".encode(), b"-x", b'"']
    for name in names:
        Path(os.fsdecode(bytes(checkout.path) + b"/" + name)).write_text("")
    found = {one.encode("utf-8", "surrogateescape") for one in checkout.read().paths}
    assert found == {*names, *(one.encode() for one in TRACKED)}


def test_a_merge_that_stopped(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "-b", "other")
    checkout.write("README", "theirs\n")
    checkout.commit()
    checkout.git("checkout", "--quiet", "main")
    checkout.write("README", "ours\n")
    checkout.commit()
    merged = process.run(["git", "merge", "other"], env=gitserver.ENV, cwd=checkout.path, timeout=300)
    assert merged.code == 1
    assert (checkout.read().dirty, checkout.read().paths) == (True, TRACKED)


def test_a_directory_of_a_checkout(checkout: Checkout) -> None:
    checkout.write("README", "changed\n")
    found = worktree.read(checkout.path / "src", gitserver.ENV)
    assert (found.dirty, found.paths) == (False, ("a.c", "link"))


def test_the_checkout_is_not_changed(checkout: Checkout) -> None:
    os.utime(checkout.path / "README", (1, 1))  # `git status` would note the new time in the index
    index = checkout.path / ".git/index"
    before = (index.stat().st_mtime_ns, index.read_bytes())
    assert not checkout.read().dirty
    assert (index.stat().st_mtime_ns, index.read_bytes()) == before


def test_the_caller_s_git_directory_is_not_asked(checkout: Checkout, tmp_path: Path) -> None:
    other = checkout.copy(tmp_path / "other")
    other.write("more", "")
    other.commit()
    env = {**gitserver.ENV, "GIT_DIR": str(other.path / ".git"), "GIT_WORK_TREE": str(other.path)}
    assert worktree.read(checkout.path, env) == checkout.read()


@pytest.fixture(scope="module")
def made_parent(made: Checkout) -> Checkout:
    parent = made.copy(made.path.parent / "parent")
    parent.add_submodule(made.path, "deps/part")
    return parent


@pytest.fixture
def parent(made_parent: Checkout, tmp_path: Path) -> Checkout:
    return made_parent.copy(tmp_path / "parent")


def test_a_submodule_is_a_checkout_of_its_own(parent: Checkout, made: Checkout) -> None:
    assert parent.read().paths == (".gitmodules", *TRACKED)
    assert worktree.submodule(parent.path, "deps/part", gitserver.ENV) == made.read()


@pytest.mark.parametrize("path", ["deps/part/README", "deps/part/new"])
@pytest.mark.parametrize("ignore", ["none", "all"])
def test_a_change_in_a_submodule_is_one_of_the_checkout(parent: Checkout, path: str, ignore: str) -> None:
    parent.git("config", "submodule.deps/part.ignore", ignore)
    assert not parent.read().dirty
    parent.write(path, "changed\n")
    assert parent.read().dirty
    assert worktree.submodule(parent.path, "deps/part", gitserver.ENV).dirty


def test_a_submodule_at_another_commit(parent: Checkout) -> None:
    inside = parent.path / "deps/part"
    argv = ["git", "commit", "--quiet", "--no-gpg-sign", "--allow-empty", "-m", "another"]
    assert process.run(argv, env=gitserver.ENV, cwd=inside, timeout=300).code == 0
    assert parent.read().dirty
    assert not worktree.submodule(parent.path, "deps/part", gitserver.ENV).dirty


def _refused(path: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        worktree.read(path, gitserver.ENV)
    return caught.value


def test_what_is_no_directory(checkout: Checkout) -> None:
    for path in (checkout.path / "missing", checkout.path / "README"):
        assert str(_refused(path)) == f"{path} is not a directory"


def test_what_is_no_checkout(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    env = {**gitserver.ENV, "HOME": str(tmp_path)}
    with pytest.raises(UsageError) as caught:
        worktree.read(plain, env)
    first, second = str(caught.value).splitlines()
    assert first == f"{plain} is not a git checkout that can be read"
    assert second.startswith("  git says  not a git repository (or any ")


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    argv = ["git", "init", "--quiet", "--template=", "--initial-branch=main", str(empty)]
    assert process.run(argv, env=gitserver.ENV, timeout=300).code == 0
    assert str(_refused(empty)) == (
        f"{empty} is not a git checkout that can be read\n"
        "  git says  your current branch 'main' does not have any commits yet"
    )


def test_a_repository_without_a_work_tree(checkout: Checkout) -> None:
    assert _refused(checkout.path / ".git").message.splitlines()[1] == (
        "  git says  this operation must be run in a work tree"
    )


def test_a_directory_that_git_ignores(checkout: Checkout) -> None:
    checkout.write("out/a.c", "")
    out = checkout.path / "out"
    assert str(_refused(out)) == f"{out} has no file that git knows of or would add"


@pytest.mark.parametrize("state", ["empty", "missing"])
def test_a_submodule_that_is_not_checked_out(parent: Checkout, state: str) -> None:
    parent.git("submodule", "deinit", "--quiet", "--force", "deps/part")
    if state == "missing":
        (parent.path / "deps/part").rmdir()
    with pytest.raises(UsageError) as caught:
        worktree.submodule(parent.path, "deps/part", gitserver.ENV)
    assert str(caught.value) == (
        f"submodule `deps/part` of {parent.path} is not checked out\n\n"
        f"hint: `git -C {parent.path} submodule update --init --recursive`"
    )
