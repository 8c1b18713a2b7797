from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import gitserver
import pytest
from gitserver import Repo, Server

from recipes import githistory
from recipes.errors import FetchError, SpecError, UsageError
from recipes.git import Git, Resolved
from recipes.history import Step
from recipes.tree import Filter

ENV = {"PATH": os.environ["PATH"], "no_proxy": "*"}
MAIN = "refs/heads/main"
NOON = 1716811200  # 2024-05-27T12:00:00Z


def tick(done: int, total: int | None = None) -> None:
    pass


def at(minute: int) -> datetime:
    return datetime.fromtimestamp(NOON + 60 * minute, UTC)


class Line:
    """A repository whose commits are named, and made at minutes after noon."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.ids: dict[str, str] = {}

    def add(self, name: str, minute: int, *parents: str, authored: int | None = None) -> str:
        written = f"{NOON + 60 * (minute if authored is None else authored)} +0200"
        made = self.repo.commit(
            {b"f": name.encode()}, *(self.ids[one] for one in parents),
            when=f"{NOON + 60 * minute} -0700", authored=written, message=f"make {name}\n\nbecause",
        )  # fmt: skip
        self.ids[name] = made
        self.repo.ref(MAIN, made)
        return made

    def row(self, *minutes: int) -> list[str]:
        names = [f"c{place}" for place in range(len(minutes))]
        return [
            self.add(one, minute, *names[:place][-1:])
            for place, (one, minute) in enumerate(zip(names, minutes, strict=True))
        ]

    def step(self, name: str, minute: int) -> Step:
        return Step(self.ids[name], at(minute), f"make {name}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "srv").mkdir()
    with gitserver.serving(tmp_path / "srv") as one:
        yield one


@pytest.fixture
def git(tmp_path: Path) -> Git:
    (tmp_path / "user").mkdir()
    return Git(tmp_path / "home", env={**ENV, "HOME": str(tmp_path / "user")}, timeout=60)


@pytest.fixture
def line(server: Server) -> Line:
    return Line(Repo(server.root / "r.git"))


def url(line: Line) -> str:
    return str(line.repo.path)


def before(git: Git, place: str, minute: int, ref: str = "main") -> str:
    branch = git.resolve(place, ref)
    found = githistory.before(git, place, branch, at(minute), tick)
    assert found.ref == branch.ref
    return found.commit


# Where a branch was


def test_the_committers_date_counts(git: Git, line: Line) -> None:
    line.add("old", 10, authored=90)
    line.add("new", 30, "old", authored=0)
    assert [before(git, url(line), minute) for minute in (10, 29, 30)] == [
        line.ids["old"], line.ids["old"], line.ids["new"],
    ]  # fmt: skip


def test_a_later_merge_changes_nothing(git: Git, line: Line) -> None:
    line.add("first", 10)
    line.add("side", 15, "first")
    line.add("second", 20, "first")
    expected = [line.ids[name] for name in ("first", "first", "second")]
    assert [before(git, url(line), minute) for minute in (14, 16, 25)] == expected
    line.add("merge", 30, "second", "side")
    assert [before(git, url(line), minute) for minute in (14, 16, 25)] == expected
    assert before(git, url(line), 30) == line.ids["merge"]


def test_dates_that_are_not_in_order(git: Git, line: Line) -> None:
    ids = line.row(10, 50, 30, 60, 20)
    assert [before(git, url(line), minute) for minute in (10, 40, 50, 59, 60)] == [
        ids[0], ids[0], ids[2], ids[2], ids[4],
    ]  # fmt: skip


def test_the_last_commit_of_a_second(git: Git, line: Line) -> None:
    ids = line.row(10, 10, 10, 11)
    assert before(git, url(line), 10) == ids[2]


def test_in_order_it_is_what_git_itself_finds(git: Git, line: Line) -> None:
    line.row(10, 20, 20, 30)
    line.add("side", 12, "c0")
    line.add("merge", 40, "c3", "side")
    for minute in (10, 11, 20, 29, 30, 45):
        argv = ["rev-list", "-1", "--first-parent", f"--before={NOON + 60 * minute}", "main"]
        assert before(git, url(line), minute) == line.repo.git(*argv)


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("v0", [True, False])
def test_what_was_found_can_be_read(server: Server, git: Git, filters: bool, v0: bool) -> None:
    line = Line(Repo(server.root / "r.git", filters=filters))
    line.row(10, 20, 30)
    server.v0, place = v0, f"{server.url}/r.git"
    commit = before(git, place, 25)
    assert commit == line.ids["c1"]
    assert git.fetch(place, commit, MAIN, tick).date == at(20)
    assert [b"".join(one.chunks) for one in git.entries(place, commit, Filter(), tick)] == [b"c1"]


def test_only_commits_are_transferred(server: Server, git: Git, line: Line) -> None:
    line.row(10, 20)
    place = f"{server.url}/r.git"
    commit = before(git, place, 15)
    tree, blob = (line.repo.git("rev-parse", f"{commit}{what}") for what in ("^{tree}", ":f"))
    assert git._kept(place).missing([commit, tree, blob]) == [tree, blob]


def test_history_is_brought_though_the_commit_is_there(server: Server, git: Git, line: Line) -> None:
    ids = line.row(10, 20, 30)
    place = f"{server.url}/r.git"
    git.fetch(place, ids[2], "main", tick)
    assert before(git, place, 15) == ids[0]


def test_history_is_brought_once(server: Server, git: Git, line: Line) -> None:
    line.row(10, 20, 30)
    place = f"{server.url}/r.git"
    before(git, place, 15)
    asked = len(server.wants)
    assert before(git, place, 25) == line.ids["c1"]
    line.add("new", 40, "c2")
    assert len(server.wants) == asked
    assert before(git, place, 45) == line.ids["new"]
    assert len(server.wants) == asked + 1


def test_a_date_before_the_first_commit(git: Git, line: Line) -> None:
    first = line.row(10, 20)[0]
    with pytest.raises(SpecError) as caught:
        before(git, url(line), 9)
    assert caught.value.message == (
        f"`refs/heads/main` of `{url(line)}` begins later than the date asked for\n"
        f"  asked     2024-05-27T12:09:00Z\n  first     2024-05-27T12:10:00Z {first}"
    )


def test_only_a_branch_was_anywhere(git: Git, line: Line) -> None:
    commit = line.row(10)[0]
    line.repo.tag("v1", commit)
    for ref, name in (("v1", "refs/tags/v1"), (commit, commit)):
        with pytest.raises(SpecError) as caught:
            before(git, url(line), 10, ref)
        assert str(caught.value) == (
            f"`{name}` of `{url(line)}` is no branch: it is the same at any date\n\nhint: leave `before` out"
        )


@pytest.mark.parametrize("v0", [True, False])
def test_a_shallow_server(server: Server, git: Git, line: Line, v0: bool) -> None:
    ids = line.row(10, 20, 30)
    (line.repo.path / "shallow").write_text(f"{ids[1]}\n")
    server.v0, place = v0, f"{server.url}/r.git"
    with pytest.raises(FetchError) as caught:
        before(git, place, 25)
    assert str(caught.value) == f"`{place}` is shallow: it does not have what led to its commits"
    assert [b"".join(one.chunks) for one in git.entries(place, ids[2], Filter(), tick)] == [b"c2"]
    (line.repo.path / "shallow").unlink()
    assert before(git, place, 25) == ids[1]


# What lies between


def test_the_commits_between(git: Git, line: Line) -> None:
    line.row(10, 20)
    line.add("side", 25, "c0")
    line.add("merge", 30, "c1", "side")
    line.add("last", 40, "merge")
    found = githistory.span(git, url(line), line.ids["c0"], line.ids["last"], tick=tick)
    assert found.forward == (line.step("last", 40), line.step("merge", 30), line.step("c1", 20))
    assert found.back == ()
    back = githistory.span(git, url(line), line.ids["last"], line.ids["c0"], tick=tick)
    assert (back.forward, back.back) == ((), found.forward)
    none = githistory.span(git, url(line), line.ids["last"], line.ids["last"], tick=tick)
    assert (none.forward, none.back) == ((), ())


@pytest.mark.parametrize("v0", [True, False])
def test_two_branches_of_one_history(server: Server, git: Git, line: Line, v0: bool) -> None:
    line.add("root", 10)
    line.add("left", 20, "root")
    line.repo.ref("refs/heads/left", line.ids["left"])
    line.add("right", 30, "root")
    server.v0, place = v0, f"{server.url}/r.git"
    git.fetch(place, line.ids["left"], "left", tick)
    found = githistory.span(git, place, line.ids["left"], line.ids["right"], ref=MAIN, tick=tick)
    assert found.forward == (line.step("right", 30),)
    assert found.back == (line.step("left", 20),)


def test_histories_without_a_common_commit(git: Git, line: Line) -> None:
    line.add("one", 10)
    line.repo.ref("refs/heads/one", line.ids["one"])
    line.add("two", 20)
    found = githistory.span(git, url(line), line.ids["one"], line.ids["two"], tick=tick)
    assert (len(found.forward), len(found.back)) == (1, 1)


def test_a_commit_that_the_server_has_no_more(server: Server, git: Git, line: Line) -> None:
    old = line.row(10, 20)[1]
    place = f"{server.url}/r.git"
    git.fetch(place, old, "main", tick)
    line.add("rewritten", 30, "c0")
    (line.repo.path / "objects" / old[:2] / old[2:]).unlink()
    with pytest.raises(FetchError) as caught:
        githistory.span(git, place, old, line.ids["rewritten"], ref=MAIN, tick=tick)
    assert str(caught.value) == f"`{place}` has no commit `{old}`"


def test_configuration_does_not_change_what_is_listed(git: Git, line: Line, tmp_path: Path) -> None:
    line.row(10)
    new = line.repo.commit({}, line.ids["c0"], when=f"{NOON} +0000", message="é #1 @you\nand more\n\nbody")
    (tmp_path / "user" / ".gitconfig").write_text(
        "[i18n]\n\tlogOutputEncoding = latin1\n[format]\n\tpretty = raw\n[color]\n\tui = always\n"
        "[log]\n\tshowSignature = true\n\tdate = raw\n\tmailmap = true\n[core]\n\tabbrev = 4\n"
    )
    found = githistory.span(git, url(line), line.ids["c0"], new, tick=tick)
    assert [one.subject for one in found.forward] == ["é #1 @you and more"]


# Old files of a checkout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    project = root / "deep/project"
    (project / "locks").mkdir(parents=True)
    env = {**gitserver.ENV, "HOME": str(root)}
    (root / ".gitattributes").write_text("* ident text eol=crlf\n")
    subprocess.run(
        ["git", "init", "--quiet", "--template=", "--initial-branch=main", root], env=env, check=True
    )
    for text in ("one\n", "two $Id$\n"):
        (project / "locks/a.yaml").write_text(text)
        subprocess.run(["git", "add", "."], cwd=root, env=env, check=True, capture_output=True)
        subprocess.run(["git", "commit", "--quiet", "-m", text], cwd=root, env=env, check=True)
    (project / "locks/a.yaml").write_text("three\n")
    return project


@pytest.mark.parametrize(
    ("revision", "text"),
    [("HEAD~1", b"one\n"), ("HEAD", b"two $Id$\n"), ("main", b"two $Id$\n"), ("@", b"two $Id$\n")],
)
def test_a_file_as_it_was(checkout: Path, revision: str, text: bytes) -> None:
    env = {**ENV, "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere"}
    assert githistory.show(checkout, revision, "locks/a.yaml", env) == text


@pytest.mark.parametrize(
    ("revision", "path", "message"),
    [
        ("HEAD", "locks/b.yaml", "revision `HEAD` has no `locks/b.yaml`"),
        ("HEAD", "locks", "revision `HEAD` has no `locks`"),
        ("none", "locks/a.yaml", "no revision `none` in {root}"),
        ("HEAD~9", "locks/a.yaml", "no revision `HEAD~9` in {root}"),
        ("--all", "locks/a.yaml", "no revision `--all` in {root}"),
        ("", "locks/a.yaml", "no revision `` in {root}"),
        ("HEAD:deep", "locks/a.yaml", "no revision `HEAD:deep` in {root}"),
    ],
)
def test_a_file_that_was_not_there(checkout: Path, revision: str, path: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        githistory.show(checkout, revision, path, ENV)
    assert caught.value.message.splitlines()[0] == message.format(root=checkout)


def test_no_checkout_of_git(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        githistory.show(tmp_path, "HEAD", "locks/a.yaml", ENV)
    assert caught.value.message.startswith(
        f"no revision `HEAD` in {tmp_path}\n  git says  not a git repository"
    )


def test_a_resolved_branch_is_not_asked_for_again(server: Server, git: Git, line: Line) -> None:
    first, second = line.row(10, 20)
    place = f"{server.url}/r.git"
    assert githistory.before(git, place, Resolved(first, MAIN), at(90), tick) == Resolved(first, MAIN)
    assert githistory.before(git, place, Resolved(second, MAIN), at(90), tick) == Resolved(second, MAIN)
