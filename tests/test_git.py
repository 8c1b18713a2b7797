from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import fileserver
import gitserver
import pytest
from fileserver import Page
from gitserver import Fault, Files, Repo, Server

from recipes import git as git_module
from recipes import gitsays, giturls, hashes
from recipes.errors import FetchError, IntegrityError, SpecError
from recipes.git import Git, Resolved
from recipes.gitobjects import Repository
from recipes.tree import Filter

ALL = Filter()
ENV = {"PATH": os.environ["PATH"], "no_proxy": "*"}
FILES: Files = {
    b"README": b"read me\n",
    b"src/main.c": b"int main;\n",
    b"src/run.sh": ("100755", b"#!/bin/sh\n"),
    b"src/link": ("120000", b"main.c"),
}
MAIN = "refs/heads/main"


def tick(done: int, total: int | None = None) -> None:
    pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "srv"
    root.mkdir()
    with gitserver.serving(root) as one:
        yield one


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "user").mkdir()
    return tmp_path / "home"


@pytest.fixture
def git(tmp_path: Path, home: Path) -> Git:
    return Git(home, env={**ENV, "HOME": str(tmp_path / "user")}, timeout=60)


@pytest.fixture
def repo(server: Server) -> Repo:
    return Repo(server.root / "r.git")


def read(git: Git, url: str, commit: str, only: Filter = ALL) -> dict[str, object]:
    """Read a tree as path → content, executable content in a tuple, links with an arrow."""
    found: dict[str, object] = {}
    for entry in git.entries(url, commit, only, tick):
        data = b"".join(entry.chunks)
        assert entry.kind == "symlink" or entry.size == len(data)
        found[entry.path] = ("x", data) if entry.executable else data
        if entry.kind == "symlink":
            found[entry.path] = f"-> {entry.target}"
    return found


def kept(git: Git, url: str) -> Repository:
    return git._kept(url)


def leftovers(git: Git, url: str) -> set[str]:
    place = kept(git, url).path
    return {one.name for one in place.iterdir()} | {
        one.name
        for one in place.glob("objects/pack/*")
        if one.suffix not in {".pack", ".idx", ".promisor", ".rev"}
    }


CLEAN = {"HEAD", "config", "objects", "refs"}


# What a ref names


@dataclass(frozen=True)
class Refs:
    """A served repository with names that could be confused; `ids` are its commits by content."""

    server: Server
    url: str
    ids: dict[str, str]


@pytest.fixture(scope="module")
def shared_refs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refs]:
    root = tmp_path_factory.mktemp("refs")
    repo = Repo(root / "r.git")
    ids = {name: repo.commit({b"f": name.encode()}) for name in ("one", "two", "three", "four")}
    repo.ref(MAIN, ids["one"])
    repo.ref("refs/heads/v1", ids["two"])
    repo.ref("refs/tags/v1", ids["three"])
    repo.tag("v2", ids["four"])
    repo.tag("nested", "v2")
    repo.ref(f"refs/heads/{ids['one']}", ids["two"])
    repo.ref("refs/heads/abcdef1", ids["two"])
    repo.ref("refs/pull/7/head", ids["four"])
    with gitserver.serving(root) as server:
        yield Refs(server, f"{server.url}/r.git", ids)


@pytest.fixture
def refs(shared_refs: Refs) -> Refs:
    shared_refs.server.v0 = False
    shared_refs.server.requests.clear()
    return shared_refs


@pytest.mark.parametrize("v0", [False, True])
@pytest.mark.parametrize(
    ("ref", "name", "full"),
    [
        ("main", "one", MAIN),
        ("v1", "three", "refs/tags/v1"),
        ("refs/heads/v1", "two", "refs/heads/v1"),
        ("v2", "four", "refs/tags/v2"),
        ("nested", "four", "refs/tags/nested"),
        ("abcdef1", "two", "refs/heads/abcdef1"),
        ("refs/pull/7/head", "four", "refs/pull/7/head"),
    ],
)
def test_a_ref_is_resolved(git: Git, refs: Refs, *, ref: str, name: str, full: str, v0: bool) -> None:
    refs.server.v0 = v0
    assert git.resolve(refs.url, ref) == Resolved(refs.ids[name], full)


def test_a_commit_id_is_what_it_says_without_asking(git: Git, refs: Refs) -> None:
    assert git.resolve(refs.url, refs.ids["one"]) == Resolved(refs.ids["one"], None)
    assert refs.server.requests == []


@pytest.mark.parametrize("v0", [False, True])
def test_a_branch_named_like_a_commit_is_not_taken_for_it(git: Git, refs: Refs, v0: bool) -> None:
    refs.server.v0 = v0
    git.fetch(refs.url, refs.ids["one"], None, tick)
    assert read(git, refs.url, refs.ids["one"]) == {"f": b"one"}


@pytest.mark.parametrize(
    ("ref", "message", "hint"),
    [
        ("mian", "`{url}` has no branch or tag `mian`", "did you mean `main`"),
        ("zzzzzzzz", "`{url}` has no branch or tag `zzzzzzzz`", "`git ls-remote {url}` lists what it has"),
        (
            "refs/pull/8/head",
            "`{url}` has no branch or tag `refs/pull/8/head`",
            "did you mean `refs/pull/7/head`",
        ),
        (
            "--upload-pack=x y",
            "`--upload-pack=x y` cannot be the name of a branch or tag",
            "see `git check-ref-format --help`",
        ),
        (
            "0123abc",
            "`0123abc` is no branch or tag of `{url}`, and a commit is named by all 40 digits of its id",
            "`git rev-parse 0123abc` in a clone gives all of them",
        ),
    ],
)
def test_a_ref_that_is_not_there(git: Git, refs: Refs, ref: str, message: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        git.resolve(refs.url, ref)
    assert caught.value.message == message.format(url=refs.url)
    assert caught.value.hint == hint.format(url=refs.url)


def test_an_abbreviated_commit_is_written_out(git: Git, refs: Refs) -> None:
    with pytest.raises(SpecError) as caught:
        git.resolve(refs.url, refs.ids["three"][:9])
    assert caught.value.hint == f"write `{refs.ids['three']}`"


# What is fetched


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("v0", [True, False])
@pytest.mark.parametrize("way", ["http", "path", "file"])
def test_a_commit_is_fetched_and_read(server: Server, git: Git, filters: bool, v0: bool, way: str) -> None:
    repo = Repo(server.root / "r.git", filters=filters)
    parent = repo.commit({b"old": b"old\n"})
    commit = repo.commit(FILES, parent)
    repo.ref(MAIN, commit)
    server.v0 = v0
    url = {"http": f"{server.url}/r.git", "path": str(repo.path), "file": f"file://{repo.path}"}[way]
    found = git.fetch(url, commit, "main", tick)
    assert (found.commit, found.tree) == (commit, repo.git("rev-parse", f"{commit}^{{tree}}"))
    assert found.date == datetime(2024, 5, 27, 20, 38, 41, tzinfo=UTC)
    assert read(git, url, commit) == {
        "README": b"read me\n", "src/main.c": b"int main;\n", "src/run.sh": ("x", b"#!/bin/sh\n"),
        "src/link": "-> main.c",
    }  # fmt: skip
    assert kept(git, url).missing([parent]) == [parent]
    assert leftovers(git, url) == CLEAN
    assert kept(git, url).path.joinpath("refs").is_dir()
    assert [one for one in kept(git, url).path.rglob("refs/**/*") if one.is_file()] == []


def test_what_is_there_is_not_asked_for_again(server: Server, git: Git, repo: Repo, home: Path) -> None:
    commit = repo.commit(FILES)
    repo.ref(MAIN, commit)
    url = f"{server.url}/r.git"
    first = git.fetch(url, commit, "main", tick), read(git, url, commit)
    server.fault, asked = "500", len(server.requests)
    for again in (git, Git(home, env=ENV)):
        assert (again.fetch(url, commit, "main", tick), read(again, url, commit)) == first
    assert len(server.requests) == asked


def test_only_the_wanted_blobs_are_fetched_in_one_request(server: Server, git: Git, repo: Repo) -> None:
    files = {f"{top}/{number}".encode(): f"{top} {number}".encode() for top in "ab" for number in range(12)}
    commit = repo.commit(files)
    repo.ref(MAIN, commit)
    url = f"{server.url}/r.git"
    wanted = [hashes.git_object_id("blob", data) for path, data in files.items() if path[:1] == b"a"]
    unwanted = [hashes.git_object_id("blob", data) for path, data in files.items() if path[:1] == b"b"]
    git.fetch(url, commit, "main", tick)
    assert kept(git, url).missing([*wanted, *unwanted]) == [*wanted, *unwanted]
    found = read(git, url, commit, Filter(include=("*1",), strip="a"))
    assert sorted(found) == ["a/1", "a/11"]
    assert len(read(git, url, commit, Filter(strip="a"))) == 12
    assert kept(git, url).missing([*wanted, *unwanted]) == unwanted
    assert [len(one) for one in map(set, server.wants)] == [1, 2, 10]


def test_reading_never_fetches_by_itself(server: Server, git: Git, repo: Repo) -> None:
    commit = repo.commit(FILES)
    repo.ref(MAIN, commit)
    url = f"{server.url}/r.git"
    git.fetch(url, commit, "main", tick)
    asked = len(server.requests)
    with pytest.raises(
        IntegrityError, match=r"^an object in `.*\.git` is damaged\n  expected  \w{40}\n  actual    missing"
    ):
        next(kept(git, url).objects([hashes.git_object_id("blob", b"read me\n")]))
    assert len(server.requests) == asked


@pytest.mark.parametrize("filters", [True, False])
def test_a_v0_server_that_has_moved_on_is_asked_for_history(server: Server, git: Git, filters: bool) -> None:
    repo = Repo(server.root / "r.git", filters=filters)
    commit = repo.commit(FILES)
    repo.ref(MAIN, repo.commit({b"new": b"new\n"}, repo.commit({b"newer": b"n\n"}, commit)))
    server.v0, url = True, f"{server.url}/r.git"
    git.fetch(url, commit, "main", tick)
    assert len(read(git, url, commit)) == 4


def test_history_is_searched_even_where_newer_commits_are_here(server: Server, git: Git, repo: Repo) -> None:
    commit = repo.commit(FILES)
    newer = repo.commit({b"new": b"new\n"}, commit)
    repo.ref(MAIN, newer)
    server.v0, url = True, f"{server.url}/r.git"
    git.fetch(url, newer, "main", tick)
    git.fetch(url, commit, "main", tick)
    assert len(read(git, url, commit)) == 4


@pytest.mark.parametrize("ref", ["gone", "v1", None])
def test_a_v0_server_is_asked_for_all_refs_at_last(
    server: Server, git: Git, repo: Repo, ref: str | None
) -> None:
    commit = repo.commit(FILES)
    repo.ref("refs/heads/other", repo.commit({b"new": b"new\n"}, commit))
    repo.ref("refs/tags/v1", repo.commit({b"v1": b"v1\n"}))
    server.v0, url = True, f"{server.url}/r.git"
    assert git.fetch(url, commit, ref, tick).commit == commit


def test_a_commit_that_no_branch_has_any_more(server: Server, git: Git, repo: Repo) -> None:
    commit = repo.commit(FILES)
    repo.ref(MAIN, repo.commit({b"new": b"new\n"}))
    url = f"{server.url}/r.git"
    assert git.fetch(url, commit, "main", tick).commit == commit
    server.v0, url = True, f"{server.url}/./r.git"
    with pytest.raises(FetchError) as caught:
        git.fetch(url, commit, "main", tick)
    assert str(caught.value) == f"`{url}` has no commit `{commit}`"


@pytest.mark.parametrize("v0", [True, False])
def test_a_commit_that_is_not_there(server: Server, git: Git, repo: Repo, v0: bool) -> None:
    repo.ref(MAIN, repo.commit(FILES))
    server.v0, url = v0, f"{server.url}/r.git"
    with pytest.raises(FetchError) as caught:
        git.fetch(url, "12" * 20, "main", tick)
    assert str(caught.value) == f"`{url}` has no commit `{'12' * 20}`"
    assert leftovers(git, url) == CLEAN


def test_what_is_no_commit_id_is_not_fetched(git: Git) -> None:
    with pytest.raises(SpecError) as caught:
        git.fetch("https://example.org/r", "main", None, tick)
    assert (
        str(caught.value) == "`main` is not a whole commit id\n\nhint: `git ls-remote https://example.org/r`"
    )


def test_a_tree_is_no_commit(git: Git, repo: Repo) -> None:
    tree = repo.git("rev-parse", f"{repo.commit(FILES)}^{{tree}}")
    with pytest.raises(IntegrityError) as caught:
        git.fetch(str(repo.path), tree, None, tick)
    assert str(caught.value) == f"`{tree}` is a tree, not a commit"


# What trees hold


def test_names_are_bytes(git: Git, repo: Repo) -> None:
    files: Files = {
        b"a\nb": b"1",
        b"\xff\xfe": b"2",
        b"\xc3\xa9": b"3",
        b'q"\t\\': b"4",
        b"-x": b"5",
        b":(top)": b"6",
    }
    commit = repo.commit(files)
    found = read(git, str(repo.path), commit)
    assert found == {
        "a\nb": b"1",
        "\udcff\udcfe": b"2",
        "é": b"3",
        'q"\t\\': b"4",
        "-x": b"5",
        ":(top)": b"6",
    }
    assert git.blob(str(repo.path), commit, ":(top)") == b"6"


def test_attributes_and_line_ends_change_nothing(git: Git, repo: Repo) -> None:
    attributes = b"* text eol=crlf export-subst ident filter=x\nsecret export-ignore\n"
    files: Files = {b".gitattributes": attributes, b"f": b"$Format:%d$ $Id$\n", b"secret": b"kept\n"}
    assert read(git, str(repo.path), repo.commit(files)) == {
        key.decode(): data for key, data in files.items()
    }


def test_large_and_empty_and_equal_files(git: Git, repo: Repo) -> None:
    large = bytes(range(256)) * 2048
    files: Files = {b"a": large, b"b": b"", b"c": large, b"d": b""}
    assert read(git, str(repo.path), repo.commit(files)) == {
        key.decode(): data for key, data in files.items()
    }


def test_a_large_file_comes_in_pieces(git: Git, repo: Repo) -> None:
    (entry,) = git.entries(str(repo.path), repo.commit({b"a": bytes(1 << 20)}), ALL, tick)
    assert max(map(len, list(entry.chunks)), default=0) <= 1 << 16


def test_an_entry_that_is_not_read_does_not_disturb_the_next(git: Git, repo: Repo) -> None:
    commit = repo.commit({b"a": bytes(300_000), b"b": b"second", b"c": b"third"})
    entries = git.entries(str(repo.path), commit, ALL, tick)
    next(iter(next(entries).chunks))
    next(entries)
    assert b"".join(next(entries).chunks) == b"third"


def test_reading_can_stop_half_way(git: Git, repo: Repo) -> None:
    entries = git.entries(str(repo.path), repo.commit({b"a": bytes(1 << 22), b"b": b""}), ALL, tick)
    next(iter(next(entries).chunks))
    entries.close()  # type: ignore[attr-defined]
    assert leftovers(git, str(repo.path)) == CLEAN


def test_git_metadata_and_submodules_are_left_out(git: Git, repo: Repo) -> None:
    files: Files = {
        b"a/.git": b"gitdir: x\n",
        b"a/f": b"f",
        b".git/config": b"x",
        b"sub/m": ("160000", b"12" * 20),
    }
    commit = repo.commit(files)
    assert read(git, str(repo.path), commit) == {"a/f": b"f"}
    assert git.gitlinks(str(repo.path), commit) == {"sub/m": "12" * 20}


def test_no_file_is_taken(git: Git, repo: Repo) -> None:
    assert read(git, str(repo.path), repo.commit(FILES), Filter(include=("nothing",))) == {}
    assert read(git, str(repo.path), repo.commit({})) == {}


def test_a_link_out_of_the_tree_is_refused(git: Git, repo: Repo) -> None:
    with pytest.raises(IntegrityError, match="has a symbolic link that leads out of its tree"):
        read(git, str(repo.path), repo.commit({b"l": ("120000", b"../../etc/passwd")}))


def test_progress_is_told(git: Git, repo: Repo) -> None:
    told: list[tuple[int, int | None]] = []
    for _ in git.entries(
        str(repo.path), repo.commit({b"a": b"1", b"b": b"2"}), ALL, lambda d, t=None: told.append((d, t))
    ):
        pass
    assert told[-2:] == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Receiving objects:  45% (9/20), 1.20 MiB | 600.00 KiB/s", [(9, 20)]),
        ("remote: Counting objects: 100% (2/2), done.", []),
        ("fatal: early EOF", []),
    ],
)
def test_progress_is_read_from_git(line: str, told: list[tuple[int, int]]) -> None:
    heard: list[tuple[int, int | None]] = []
    git_module._follow(lambda done, total=None: heard.append((done, total)))(line)
    assert heard == told


# Submodules


@pytest.mark.parametrize("filters", [True, False])
def test_gitmodules_is_read_from_the_commit(server: Server, git: Git, filters: bool) -> None:
    repo = Repo(server.root / "r.git", filters=filters)
    text = b'[submodule "m.x"]\n\tpath = sub/m\n\turl = ../m.git\n[submodule "half"]\n\tpath = half\n'
    commit = repo.commit({b".gitmodules": text, b"sub/m": ("160000", b"12" * 20), b"dir/f": b""})
    repo.ref(MAIN, commit)
    url = f"{server.url}/r.git"
    git.fetch(url, commit, "main", tick)
    assert git.blob(url, commit, ".gitmodules") == text
    assert git.blob(url, commit, "dir/f") == b""
    assert [git.blob(url, commit, path) for path in ("none", "dir", "sub/m")] == [None, None, None]
    assert git.submodule_urls(text, url) == {"sub/m": f"{server.url}/m.git"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[submodule", "cannot be read\n  git says  bad config line 2 in standard input"),
        (
            '[submodule "x"]\npath = x\nurl = -u./payload',
            "has a name that begins with `-`\n  name  '-u./payload'",
        ),
        ('[submodule "x"]\npath = --x', "has a name that begins with `-`\n  name  '--x'"),
    ],
)
def test_gitmodules_that_are_refused(git: Git, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        git.submodule_urls(text.encode(), "https://h/p")
    assert str(caught.value) == f"`.gitmodules` of `https://h/p` {message}"


@pytest.mark.parametrize(
    ("parent", "url", "result"),
    [  # the first ten from git's t/t0060-path-utils.sh
        ("https://h/a/b", "../c", "https://h/a/c"),
        ("https://h/a/b/", "../c", "https://h/a/c"),
        ("https://h/a/b", "./c", "https://h/a/b/c"),
        ("https://h/a/b", "../../c/", "https://h/c"),
        ("/a/b", "../c", "/a/c"),
        ("user@host:repo", "../submodule", "user@host:submodule"),
        ("user@host:path/to/repo", "../../sub", "user@host:path/sub"),
        ("user@host:path/to/repo", "../subrepo", "user@host:path/to/subrepo"),
        ("ssh://h:2222/p/repo", "../sub", "ssh://h:2222/p/sub"),
        ("file:///tmp/repo", "../subrepo", "file:///tmp/subrepo"),
        ("https://h/a", "https://other/x", "https://other/x"),
        ("https://h/a", "/x/..", "/x/.."),
    ],
)
def test_relative_urls(parent: str, url: str, result: str) -> None:
    assert giturls.absolute(url, parent) == result


# URLs


@pytest.mark.parametrize(
    "url", ["https://h/p", "http://h:8/p", "ssh://u@h/p", "git://h/p", "file:///p", "/a b/c", "git@h:o/r.git"]
)
def test_urls_that_are_asked(url: str) -> None:
    assert giturls.usable(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "-x",
            "--upload-pack=x",
            "ext::sh -c x",
            "https://-x/",
            "https://h/ p",
            "https://h/\n",
            "h::/p",
        ),
        *("a/b", "ftp://h/p", "u@-h:p", "-u@h:p", "u@h::p", "u@h:-p", "ssh://-oProxyCommand=x/p", "/a\nb"),
    ],
)
def test_urls_that_are_refused(git: Git, url: str) -> None:
    for ask in (
        git.answers,
        lambda one: git.resolve(one, "main"),
        lambda one: git.fetch(one, "12" * 20, None, tick),
    ):
        with pytest.raises(SpecError) as caught:
            ask(url)
        assert caught.value.message == f"`{url}` is not a URL of a git repository"


def test_a_mirror_is_asked_and_named(server: Server, home: Path, repo: Repo) -> None:
    commit = repo.commit(FILES)
    repo.ref(MAIN, commit)
    git = Git(home, env=ENV, rewrite=lambda url: url.replace("https://example.org", server.url), timeout=60)
    assert git.fetch("https://example.org/r.git", commit, None, tick).commit == commit
    with pytest.raises(FetchError) as caught:
        git.fetch("https://example.org/none.git", commit, None, tick)
    assert str(caught.value) == (
        f"`https://example.org/none.git` cannot be read\n  asked     {server.url}/none.git\n"
        f"  git says  repository '{server.url}/none.git/' not found"
    )
    with pytest.raises(SpecError, match="`ext::x` is not a URL"):
        Git(home, env=ENV, rewrite=lambda url: "ext::x").resolve("https://example.org/r.git", "main")


def test_passwords_are_not_shown(git: Git, server: Server) -> None:
    url = server.url.replace("//", "//user:secret@") + "/none.git"
    with pytest.raises(FetchError) as caught:
        git.resolve(url, "main")
    assert str(caught.value) == (
        f"`{server.url}/none.git` cannot be read\n  git says  repository '{server.url}/none.git/' not found"
    )


# The user's configuration and environment


def test_global_configuration_helps_and_cannot_harm(
    server: Server, repo: Repo, git: Git, tmp_path: Path
) -> None:
    commit = repo.commit(
        {**FILES, b"sub": ("160000", b"12" * 20), b".gitmodules": b'[submodule "sub"]\npath=sub\nurl=../s\n'}
    )
    repo.ref(MAIN, commit)
    hooks, hit = tmp_path / "hooks", tmp_path / "hit"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc", "fsmonitor"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {hit}\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "user" / ".gitconfig").write_text(
        f'[url "{server.url}/"]\n\tinsteadOf = https://example.org/\n'
        f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = {hooks}/fsmonitor\n\tautocrlf = true\n"
        f"[init]\n\ttemplateDir = {hooks}\n\tdefaultObjectFormat = sha256\n\tdefaultBranch = x\n"
        "[fetch]\n\tprune = true\n\trecurseSubmodules = true\n\twriteCommitGraph = true\n[gc]\n\tauto = 1\n"
        "[submodule]\n\trecurse = true\n[protocol]\n\tversion = 0\n\tallow = always\n"
        "[safe]\n\tbareRepository = explicit\n"
        '[url "ext::sh -c touch% ' + str(hit) + '"]\n\tinsteadOf = https://evil.example.org/\n'
        "[color]\n\tui = always\n[remote]\n\tpushDefault = x\n[diff]\n\tnoprefix = true\n"
    )  # fmt: skip
    url = "https://example.org/r.git"
    assert git.resolve(url, "main").commit == commit
    assert git.fetch(url, commit, "main", tick).commit == commit
    assert len(read(git, url, commit)) == 5
    with pytest.raises(FetchError, match="transport 'ext' not allowed"):
        git.resolve("https://evil.example.org/r.git", "main")
    assert leftovers(git, url) == CLEAN
    assert not hit.exists()


def test_the_callers_git_variables_are_not_passed_on(home: Path, repo: Repo, tmp_path: Path) -> None:
    commit = repo.commit(FILES)
    hostile = dict.fromkeys(("GIT_OBJECT_DIRECTORY", "GIT_SSH_COMMAND", "GIT_EXEC_PATH"), "/nowhere")
    hostile |= {"GIT_DIR": str(repo.path), "GIT_CONFIG_COUNT": "x", "GIT_TRACE": "1", "LANG": "de_DE.UTF-8"}
    git = Git(home, env={**ENV, **hostile, "HOME": str(tmp_path)})
    assert len(read(git, str(repo.path), commit)) == 4


# Servers that fail


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "unable to access '{url}/r.git/': The requested URL returned error: 500"),
        ("404", "repository '{url}/r.git/' not found"),
        ("hang", "timed out after 0.5 s"),
    ],
)
def test_a_server_that_fails(server: Server, home: Path, fault: Fault, said: str) -> None:
    server.fault, url = fault, f"{server.url}/r.git"
    git = Git(home, env=ENV, timeout=0.5 if fault == "hang" else 60)
    asks: list[Callable[[], object]] = [
        lambda: git.resolve(url, "main"), lambda: git.fetch(url, "12" * 20, "main", tick),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(FetchError) as caught:
            ask()
        assert str(caught.value) == f"`{url}` cannot be read\n  git says  {said.format(url=server.url)}"
    assert git.answers(url) == said.format(url=server.url)
    assert len(server.requests) <= 1


def test_a_repository_that_is_gone(git: Git, tmp_path: Path) -> None:
    url = str(tmp_path / "gone.git")
    said = f"'{url}' does not appear to be a git repository"
    assert git.answers(url) == said
    with pytest.raises(FetchError) as caught:
        git.fetch(url, "12" * 20, None, tick)
    assert str(caught.value) == f"`{url}` cannot be read\n  git says  {said}"


@pytest.mark.parametrize(
    ("stage", "fault", "error", "said"),
    [
        ("commit", "500", FetchError, r"RPC failed; HTTP 500"),
        ("commit", "cut", FetchError, r"RPC failed; curl 18 "),
        ("commit", "hang", FetchError, r"RPC failed; curl 28 Operation too slow|timed out"),
        ("commit", "damage", IntegrityError, r"sent damaged objects"),
        ("blobs", "500", FetchError, r"RPC failed; HTTP 500"),
        ("blobs", "cut", FetchError, r"RPC failed; curl 18 "),
        ("blobs", "damage", IntegrityError, r"sent damaged objects"),
    ],
)
def test_a_pack_that_does_not_come_whole(
    server: Server, home: Path, repo: Repo, *, stage: str, fault: Fault, error: type[Exception], said: str
) -> None:
    commit = repo.commit({**FILES, b"big": bytes(range(256)) * 40})
    repo.ref(MAIN, commit)
    url, server.packs_only = f"{server.url}/r.git", True
    good = Git(home, env=ENV, timeout=60)
    git = Git(home, env=ENV, timeout=0.25 if fault == "hang" else 60)
    git._answers[server.url] = None  # a machine under load may not answer in 0.25 s
    if stage == "blobs":
        good.fetch(url, commit, "main", tick)
    server.fault = fault
    with pytest.raises(error, match=said):
        read(git, url, commit)
    server.fault = None
    assert len(read(good, url, commit)) == 5
    assert leftovers(good, url) == CLEAN


def test_a_dead_host_is_asked_once(server: Server, git: Git) -> None:
    server.fault = "500"
    barrier = Barrier(4)

    def ask(number: int) -> str | None:
        barrier.wait(30)
        return git.answers(f"{server.url}/{number}.git")

    with ThreadPoolExecutor(4) as pool:
        reasons = set(pool.map(ask, range(4)))
    assert len(server.requests) == 1
    assert [reason is not None and reason.endswith("error: 500") for reason in reasons] == [True]


def test_a_missing_repository_is_no_dead_host(server: Server, git: Git, repo: Repo) -> None:
    repo.ref(MAIN, repo.commit(FILES))
    missing = f"{server.url}/SSL-timed-out.git"
    said = f"repository '{missing}/' not found"
    assert [git.answers(missing), git.answers(f"{server.url}/r.git"), git.answers(missing)] == [
        said,
        None,
        said,
    ]


def test_nobody_listens(server: Server, git: Git) -> None:
    url = f"{server.url}/r.git"
    server.server_close()
    reason = git.answers(url)
    assert reason is not None
    assert "onnect to 127.0.0.1" in reason
    assert git.answers(f"{server.url}/other.git") == reason


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says anything: the URL of a repository on it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"git://127.0.0.1:{listening.getsockname()[1]}/r.git"


def test_a_host_that_falls_silent_later(silent: str, home: Path) -> None:
    git = Git(home, env=ENV, timeout=0.05)
    git._answers[silent.removesuffix("/r.git")] = None  # as if it had answered before
    for ask, said in (
        (lambda: git.resolve(silent, "main"), "timed out after 0.2 s"),
        (lambda: git.fetch(silent, "12" * 20, None, tick), "silent for 0.8 s, timed out"),
    ):
        with pytest.raises(FetchError) as caught:
            ask()
        assert str(caught.value) == f"`{silent}` cannot be read\n  git says  {said}"


def test_a_missing_repository_of_a_host_that_answers(server: Server, git: Git, repo: Repo) -> None:
    assert git.answers(f"{server.url}/r.git") is None
    url = f"{server.url}/none.git"
    for ask in (lambda: git.resolve(url, "main"), lambda: git.fetch(url, "12" * 20, None, tick)):
        with pytest.raises(FetchError) as caught:
            ask()
        assert str(caught.value) == f"`{url}` cannot be read\n  git says  repository '{url}/' not found"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "nothing"),
        ("fatal: a.\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n", "early EOF"),
        (
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote.\n\nPlease make sure",
            "git@h: Permission denied (publickey)",
        ),
        (
            "error: RPC failed; HTTP 500 curl 22 x\nfatal: expected 'packfile'",
            "RPC failed; HTTP 500 curl 22 x",
        ),
        ("fatal: \x1b[31mred\udcff", "[31mred"),
        ("fatal: unable to access 'https://u:p@h/': x", "unable to access 'https://h/': x"),
    ],
)
def test_the_telling_line_is_picked(said: str, reason: str) -> None:
    assert gitsays.reason(said) == reason


# Several at once, and what the killed leave


@pytest.mark.parametrize("shared", [True, False])
def test_two_that_want_the_same_fetch_it_once(server: Server, home: Path, repo: Repo, shared: bool) -> None:
    commit = repo.commit(FILES)
    repo.ref(MAIN, commit)
    url, one = f"{server.url}/r.git", Git(home, env=ENV, timeout=60)
    gits = [one, one if shared else Git(home, env=ENV, timeout=60)]
    barrier = Barrier(2)

    def both(git: Git) -> dict[str, object]:
        barrier.wait(30)
        git.fetch(url, commit, "main", tick)
        return read(git, url, commit)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(both, gits)
    assert first == second
    assert len(first) == 4
    assert len(server.wants) == 2  # the commit, the blobs


def test_what_a_killed_process_leaves_is_cleared_away(git: Git, repo: Repo, home: Path) -> None:
    url = str(repo.path)
    commit = repo.commit(FILES)
    place = kept(git, url).path
    (place / "fetching-old/objects").mkdir(parents=True)
    (place / "fetching-old/shallow.lock").touch()
    (place / "objects/pack/tmp_pack_x").touch()
    for name in ("shallow.lock", "config.lock", "HEAD.lock", "packed-refs.lock"):
        (place / name).touch()  # git's own names; nothing of ours is locked by them
    place.with_suffix(".new").mkdir()
    assert len(read(git, url, commit)) == 4
    assert not (place / "fetching-old").exists()
    assert not (place / "objects/pack/tmp_pack_x").exists()


def test_a_repository_that_was_begun_is_begun_again(git: Git, repo: Repo, home: Path) -> None:
    begun = home / f"{git_module._name(str(repo.path))}.new"
    (begun / "objects").mkdir(parents=True)
    (begun / "HEAD").write_text("garbage")
    assert len(read(git, str(repo.path), repo.commit(FILES))) == 4
    assert not begun.exists()


KILLED = (
    "import sys; from pathlib import Path; from recipes.git import Git\n"
    "home, path, url, commit = sys.argv[1:]\n"
    "Git(Path(home), env={'PATH': path, 'no_proxy': '*'}, timeout=60).fetch(url, commit, None, print)\n"
)


def test_a_fetch_that_is_killed_is_done_again(server: Server, git: Git, repo: Repo, home: Path) -> None:
    commit = repo.commit(FILES)
    repo.ref(MAIN, commit)
    url, server.packs_only, server.fault = f"{server.url}/r.git", True, "hang"
    root = Path(git_module.__file__).parent.parent
    argv = [sys.executable, "-c", KILLED, str(home), ENV["PATH"], url, commit]
    with subprocess.Popen(argv, cwd=root) as fetching:
        assert server.hanging.wait(60)
        fetching.send_signal(signal.SIGKILL)
    assert [one.name for one in kept(git, url).path.glob("fetching-*")] != []
    server.fault = None
    assert len(read(git, url, commit)) == 4
    assert leftovers(git, url) == CLEAN


# Our own copy


def damage(git: Git, url: str, how: Callable[[bytes], bytes]) -> None:
    for pack in kept(git, url).path.glob("objects/pack/*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(how(pack.read_bytes()))


def test_a_damaged_copy_is_noticed(git: Git, repo: Repo) -> None:
    url, commit = str(repo.path), repo.commit({b"f": os.urandom(1000)})
    assert len(read(git, url, commit)) == 1
    damage(git, url, lambda data: data[:20] + bytes(len(data) - 40) + data[-20:])
    with pytest.raises(IntegrityError, match=r"rm -r .*home/\w{40}\.git") as caught:
        read(git, url, commit)
    assert "\n\nhint: " in str(caught.value)


def test_an_object_that_is_not_what_its_id_says(git: Git, repo: Repo) -> None:
    url, commit = str(repo.path), repo.commit({b"f": b"right"})
    place = kept(git, url)
    git.fetch(url, commit, None, tick)
    right, wrong = hashes.git_object_id("blob", b"right"), repo.blob(b"wrong")
    lie = place.path / "objects" / right[:2] / right[2:]
    lie.parent.mkdir()
    lie.write_bytes((repo.path / "objects" / wrong[:2] / wrong[2:]).read_bytes())
    with pytest.raises(IntegrityError) as caught:
        read(git, url, commit)
    assert str(caught.value) == (
        f"an object in `{place.path}` is damaged\n  expected  {right}\n  actual    {wrong}\n\n"
        f"hint: `rm -r {place.path}`, and it is fetched again"
    )


@pytest.mark.parametrize(
    "committer",
    ["C <c@example.org> 99999999999999999 +0000", "C <c@example.org>", "C <c@example.org> x +0000"],
)
def test_a_commit_without_a_date(git: Git, repo: Repo, committer: str) -> None:
    tree = repo.tree({})
    text = f"tree {tree}\nauthor A <a@example.org> 0 +0000\ncommitter {committer}\n\nm\n".encode()
    commit = repo.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=text)
    with pytest.raises(IntegrityError):
        git.fetch(str(repo.path), commit, None, tick)


def test_a_full_disk_is_an_oserror(git: Git, tmp_path: Path) -> None:
    text = (
        "remote: x\nfatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output"
    )
    with pytest.raises(OSError, match=r"No space left on device: '.*home'"):
        raise git._failed("https://example.org/r", text)
    theirs = git._failed("https://example.org/r", "remote: fatal: No space left on device\nfatal: early EOF")
    assert isinstance(theirs, FetchError)


def test_where_a_server_sends_us_on_to(server: Server, repo: Repo, git: Git, tmp_path: Path) -> None:
    repo.ref(MAIN, repo.commit(FILES))
    there = f"{server.url}/r.git"
    refs = Page(statuses=[301] * 9, headers={"Location": f"{there}/info/refs?service=git-upload-pack"})
    with fileserver.serve() as old:
        url = old.put("/old/info/refs", refs).removesuffix("/info/refs")
        assert MAIN in git.refs(url)
        assert MAIN in git.refs(there)
        assert (git.moved(url), git.moved(there)) == (there, None)
        mirrored = Git(tmp_path / "mirrored", env=ENV, rewrite=lambda _: url, timeout=60)
        assert MAIN in mirrored.refs("https://git.example/r")
        assert mirrored.moved("https://git.example/r") is None  # a mirror's own affair
