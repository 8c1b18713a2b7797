"""`recipes lock` and `recipes diff` as a user runs them, on repositories that move."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier

import gitserver
import pytest
import smallproject
import typer.main
from gitserver import Files, Repo, Server
from smallproject import Ran

import cli
from recipes import held, locking
from recipes.errors import RecipesError
from recipes.held import Held, HeldSource
from recipes.lock import HEADER
from recipes.report import Report
from recipes.requirements import Requirements, Wheel, render
from recipes.run import Run

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
GIT = "https://git.example"
NOON = 1716811200  # 2024-05-27T12:00:00Z
MAIN = "refs/heads/main"
RECIPE = """\
summary: one of two
license: MIT
source:
  origins:
    - git: https://git.example/{name}
  ref: main
"""
ENVIRONMENT = """\
summary: both
target: alpha
platforms: [linux-64]
sources:
  alpha:
  beta:
"""


@dataclass
class Lab:
    """A checkout, run in this process, whose components alpha and beta are repositories."""

    place: Path
    capsys: pytest.CaptureFixture[str]
    env: dict[str, str]
    repos: dict[str, Repo] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.place / "checkout"

    @property
    def path(self) -> Path:
        return self.root / "locks/both.lock.yaml"

    def run(self, *argv: str) -> Ran:
        """Run a command, in this process."""
        command = COMMANDS[argv[0]]
        return self._ran(argv, lambda run: command.main([*argv[1:]], standalone_mode=False, obj=lambda: run))

    def lock(self) -> Ran:
        """Lock both sources by name, and so without the toolchain."""
        return self.run("lock", "alpha", "beta")

    def lock_unnamed(self) -> Ran:
        """Lock as without names, less the toolchain: that needs an index."""

        def act(run: Run) -> None:
            locking._sources(run.project(), run.project().specs("both"), None, run.fetcher())

        return self._ran((), act)

    def _ran(self, argv: tuple[str, ...], act: Callable[[Run], object]) -> Ran:
        code = 0
        try:
            act(Run(Report(), self.env, self.root))
        except RecipesError as error:
            Report().error(error)
            code = error.exit_code
        out, err = self.capsys.readouterr()
        return Ran(argv, code, out, err)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, "utf-8")

    def spec(self, **sources: str) -> None:
        """Say what the environment changes of its sources, in YAML."""
        text = ENVIRONMENT
        for name, change in sources.items():
            text = text.replace(f"  {name}:\n", f"  {name}: {change}\n")
        self.write("environments/both.yaml", text)

    def commit(self, repo: str, name: str, minute: int, *parents: str, files: Files | None = None) -> None:
        """Add a commit at a minute after noon, and let main be there."""
        above = (self.ids[one] for one in parents)
        self.ids[name] = commit(self.repos[repo], name, minute, *above, files=files)

    def block(self, name: str) -> str:
        """Give a source's part of the lock."""
        text = self.path.read_text("utf-8")
        start = text.index(f"\n  {name}:\n") + 1
        ends = [at + 1 for line in ("\n  alpha", "\n  beta") if (at := text.find(line, start)) >= 0]
        return text[start : min(ends, default=len(text))]


def commit(repo: Repo, name: str, minute: int, *parents: str, files: Files | None = None) -> str:
    files = {b"f": name.encode()} if files is None else files
    made = repo.commit(files, *parents, when=f"{NOON + 60 * minute} +0000", message=f"make {name}")
    repo.ref(MAIN, made)
    return made


@dataclass(frozen=True)
class Upstream:
    """Repositories alpha and beta, with two commits each: `ids` by name."""

    place: Path
    ids: dict[str, str]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    made = Upstream(tmp_path_factory.mktemp("upstream"), {})
    for name in ("alpha", "beta"):
        repo = Repo(made.place / name)
        made.ids[f"{name}1"] = commit(repo, f"{name}1", 10)
        made.ids[f"{name}2"] = commit(repo, f"{name}2", 20, made.ids[f"{name}1"])
    return made


@pytest.fixture
def lab(upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    shutil.copytree(upstream.place, tmp_path / "srv")
    env = smallproject.environment(tmp_path, "http://127.0.0.1:1")
    env["RECIPES_MIRROR"] = f"{GIT}/={tmp_path}/srv/"
    made = Lab(tmp_path, capsys, env, ids=dict(upstream.ids))
    for name in ("alpha", "beta"):
        made.repos[name] = Repo(tmp_path / "srv" / name)
        made.write(f"recipes/components/{name}/recipe.yaml", RECIPE.format(name=name))
    made.spec()
    made.write("locks/both.requirements.txt", render(Requirements()))
    return made


@contextmanager
def served(lab: Lab) -> Iterator[Server]:
    """Serve the repositories over HTTP for as long as the block lasts."""
    with gitserver.serving(lab.place / "srv") as server:
        lab.env["RECIPES_MIRROR"] = f"{GIT}/={server.url}/"
        yield server


def short(lab: Lab, name: str, day: str = "2024-05-27") -> str:
    return f"{lab.ids[name][:12]} ({day})"


# What is locked, and what is said of it


def test_everything_is_locked_once(lab: Lab) -> None:
    ran = lab.lock().ok()
    assert ran.out == (
        f"locks/both.lock.yaml:\n  alpha: new, {short(lab, 'alpha2')}\n  beta: new, {short(lab, 'beta2')}\n"
    )
    assert lab.path.read_text().startswith(f"{HEADER}version: 1\nsources:\n  alpha:\n    ref: main\n")
    again = lab.lock().ok()
    assert again.out == ""
    assert again.err.endswith("locks/both.lock.yaml is up to date\n")
    assert lab.run("lock", "--check").ok().err == "the locks of `both` answer its specs\n"


def test_one_source_is_locked_and_nothing_else_changes(lab: Lab) -> None:
    lab.lock().ok()
    lab.path.write_text(lab.path.read_text() + "  old:\n" + lab.block("beta").partition("\n")[2])
    before = lab.path.read_text()
    alpha, beta = lab.block("alpha"), lab.block("beta")
    lab.commit("alpha", "alpha3", 30, "alpha2")
    lab.commit("beta", "beta3", 30, "beta2")
    with served(lab) as server:
        ran = lab.run("lock", "alpha").ok()
    assert ran.out == (
        f"locks/both.lock.yaml:\n  alpha: {short(lab, 'alpha2')} → {short(lab, 'alpha3')}\n"
        f"    1 commit forward\n      {lab.ids['alpha3'][:12]} 2024-05-27 make alpha3\n"
    )
    assert lab.path.read_text() == before.replace(alpha, lab.block("alpha"))
    assert lab.block("beta") == beta
    assert [one for one in server.requests if "alpha" in one]
    assert not [one for one in server.requests if "beta" in one]


def test_a_source_that_is_not_locked_is_locked_by_its_name_only(lab: Lab) -> None:
    lab.lock().ok()
    whole, beta = lab.path.read_text(), lab.block("beta")
    lab.path.write_text(whole.replace(beta, ""))
    assert "up to date" in lab.run("lock", "alpha").ok().err
    lab.run("lock", "beta").ok()
    assert lab.path.read_text() == whole


def test_without_a_lock_everything_is_locked(lab: Lab) -> None:
    lab.run("lock", "alpha").ok()
    assert f"commit: {lab.ids['beta2']}\n" in lab.block("beta")


def test_a_source_is_locked_in_the_variants_that_have_it(lab: Lab) -> None:
    lab.write("environments/one.yaml", ENVIRONMENT.replace("  beta:\n", ""))
    assert "locks/one.lock.yaml" not in lab.run("lock", "beta").ok().out
    assert lab.run("lock", "gamma").failed(2).error == "error: no variant has a source `gamma`\n"
    ran = lab.run("lock", "--variant", "one", "alhpa").failed(2)
    assert ran.error == "error: variant `one` has no source `alhpa`, did you mean `alpha`?\n"


def test_what_was_rewritten_is_shown_both_ways(lab: Lab) -> None:
    lab.lock().ok()
    lab.commit("alpha", "alpha2b", 25, "alpha1")
    lab.repos["alpha"].ref("refs/heads/kept", lab.ids["alpha2"])
    assert lab.run("lock", "alpha").ok().out.splitlines()[2:] == [
        "    1 commit forward",
        f"      {lab.ids['alpha2b'][:12]} 2024-05-27 make alpha2b",
        "    1 commit back",
        f"      {lab.ids['alpha2'][:12]} 2024-05-27 make alpha2",
    ]


# Refs


def test_a_tag_goes_before_a_branch_and_is_peeled(lab: Lab) -> None:
    lab.repos["alpha"].tag("v1", lab.ids["alpha1"])
    lab.repos["alpha"].ref("refs/heads/v1", lab.ids["alpha2"])
    lab.spec(alpha="{ref: v1}", beta="{ref: refs/heads/main}")
    lab.lock().ok()
    assert f"    resolved: refs/tags/v1\n    commit: {lab.ids['alpha1']}\n" in lab.block("alpha")
    assert f"    resolved: refs/heads/main\n    commit: {lab.ids['beta2']}\n" in lab.block("beta")
    lab.spec(alpha="{ref: refs/heads/v1}")
    lab.run("lock", "alpha").ok()
    assert f"    resolved: refs/heads/v1\n    commit: {lab.ids['alpha2']}\n" in lab.block("alpha")


def test_a_commit_is_named_in_full(lab: Lab) -> None:
    lab.spec(alpha=f"{{ref: {lab.ids['alpha2'][:9]}}}")
    assert lab.lock().failed(3).error == (
        f"error: source `alpha`: `{lab.ids['alpha2'][:9]}` is no branch or tag of `{GIT}/alpha`,"
        f" and a commit is named by all 40 digits of its id\n\nhint: write `{lab.ids['alpha2']}`\n"
    )
    lab.spec(alpha=f"{{ref: {lab.ids['alpha1']}}}")
    lab.lock().ok()
    assert f"    commit: {lab.ids['alpha1']}\n" in lab.block("alpha")
    assert "resolved" not in lab.block("alpha")


def test_a_ref_that_vanished(lab: Lab) -> None:
    lab.lock().ok()
    before = lab.path.read_text()
    lab.repos["alpha"].git("branch", "-m", "main", "trunk")
    assert lab.lock().failed(3).error == (
        f"error: source `alpha`: `{GIT}/alpha` has no branch or tag `main`\n"
        f"  locked    {lab.ids['alpha2']}\n\n"
        f"hint: `git ls-remote {GIT}/alpha` lists what it has\n"
    )
    assert lab.path.read_text() == before


@pytest.mark.parametrize("gone", [False, True])
def test_a_moved_tag_is_followed_only_when_it_is_named(lab: Lab, gone: bool) -> None:
    lab.repos["alpha"].ref("refs/tags/v1", lab.ids["alpha1"])
    lab.spec(alpha="{ref: v1}")
    lab.lock().ok()
    before = lab.path.read_text()
    lab.repos["alpha"].ref("refs/heads/v1" if gone else "refs/tags/v1", lab.ids["alpha2"])
    if gone:
        lab.repos["alpha"].git("tag", "-d", "v1")
    what = "is gone, and a branch has its name" if gone else "was moved"
    warning = (
        f"warning: tag `v1` of {GIT}/alpha {what}\n"
        f"  locked    {lab.ids['alpha1']}\n  now       {lab.ids['alpha2']}\n"
    )
    assert "warning" not in lab.run("lock", "beta").ok().err
    ran = lab.lock_unnamed().ok()
    assert warning + "  the lock is kept; `recipes lock alpha` takes the new one\n" in ran.err
    assert lab.path.read_text() == before
    lab.spec(alpha="{ref: v1, exclude: [g]}")
    lab.lock_unnamed().ok()
    assert f"    commit: {lab.ids['alpha1']}\n" in lab.block("alpha")
    assert lab.run("lock", "--check").code == 0
    named = lab.run("lock", "alpha").ok()
    assert warning in named.err
    assert "the lock is kept" not in named.err
    assert f"    commit: {lab.ids['alpha2']}\n" in lab.block("alpha")


# Dates


def test_a_branch_before_a_date(lab: Lab) -> None:
    lab.spec(alpha="{before: 2024-05-27T14:19:59+02:00}")
    lab.lock().ok()
    assert lab.block("alpha").splitlines()[1:6] == [
        "    ref: main",
        "    before: '2024-05-27T12:19:59Z'",
        "    resolved: refs/heads/main",
        f"    commit: {lab.ids['alpha1']}",
        "    date: '2024-05-27T12:10:00Z'",
    ]
    assert f"    commit: {lab.ids['beta2']}\n" in lab.block("beta")
    lab.run("lock", "--check").ok()
    lab.commit("alpha", "side", 15, "alpha1")
    lab.commit("alpha", "merge", 30, "alpha2", "side")
    assert lab.lock().ok().out == ""

    lab.spec(alpha="{before: 2024-05-27T12:20:00Z}")
    assert lab.run("lock", "--check").failed(4).error.splitlines()[1] == (
        "  source `alpha` asks for before 2024-05-27T12:20:00Z, the lock answers before 2024-05-27T12:19:59Z"
    )
    assert lab.lock().ok().out.splitlines()[1:4] == [
        f"  alpha: {short(lab, 'alpha1')} → {short(lab, 'alpha2')}",
        "    before `2024-05-27T12:19:59Z` → `2024-05-27T12:20:00Z`",
        "    1 commit forward",
    ]
    lab.spec()
    assert lab.run("lock", "--check").failed(4).error.splitlines()[1] == (
        "  source `alpha` asks for no date, the lock answers before 2024-05-27T12:20:00Z"
    )


PLACE = "environments/both.yaml:5:{column}: sources.alpha.before: "
DATES: dict[str, tuple[str, str]] = {
    "naive": (
        "{{before: 2024-05-27}}",
        PLACE.format(column=11) + "`2024-05-27` has no time zone: for UTC write `2024-05-27T00:00:00Z`\n",
    ),
    "no date": (
        "{{before: tomorrow}}",
        PLACE.format(column=11)
        + "a date is written as in ISO 8601, with its time zone: `2024-05-27T20:40:00Z`\n",
    ),
    "a list": (
        "{{before: [2024-05-27T12:00:00Z]}}",
        PLACE.format(column=11)
        + "a date is written as in ISO 8601, with its time zone: `2024-05-27T20:40:00Z`\n",
    ),
    "commit": (
        "{{before: 2024-05-27T12:00:00Z, ref: {alpha1}}}",
        PLACE.format(column=11) + "only a branch has dates, and `ref` is `{alpha1}`\n",
    ),
    "tag by its full name": (
        "{{ref: refs/tags/v1, before: 2024-05-27T12:00:00Z}}",
        PLACE.format(column=30) + "only a branch has dates, and `ref` is `refs/tags/v1`\n",
    ),
    "tag": (
        "{{ref: v1, before: 2024-05-27T12:00:00Z}}",
        (
            "source `alpha`: `refs/tags/v1` of `https://git.example/alpha` is no branch:"
            " it is the same at any date\n\nhint: leave `before` out\n"
        ),
    ),
    "too early": (
        "{{before: 2024-05-27T12:00:00Z}}",
        (
            "source `alpha`: `refs/heads/main` of `https://git.example/alpha` begins later than the date"
            " asked for\n  asked     2024-05-27T12:00:00Z\n  first     2024-05-27T12:10:00Z {alpha1}\n"
        ),
    ),
    "no repository": (
        "{{before: 2024-05-27T12:00:00Z, origins: [{{pypi: a, version: 1, file: a.zip}}]}}",
        PLACE.format(column=11) + "only a repository has dates, and the source has none among its origins\n",
    ),
}


@pytest.mark.parametrize("name", DATES)
def test_dates_that_make_no_sense(lab: Lab, name: str) -> None:
    change, message = DATES[name]
    lab.repos["alpha"].ref("refs/tags/v1", lab.ids["alpha1"])
    lab.spec(alpha=change.format(**lab.ids))
    assert lab.lock().failed(3).error == "error: " + message.format(**lab.ids)
    assert not lab.path.exists()


def test_a_shallow_repository(lab: Lab) -> None:
    (lab.repos["alpha"].path / "shallow").write_text(lab.ids["alpha2"] + "\n")
    lab.spec(alpha="{before: 2024-05-27T12:19:59Z}")
    assert lab.lock().failed(5).error == (
        f"error: `{GIT}/alpha` is shallow: it does not have what led to its commits\n"
    )
    lab.spec()
    lab.lock().ok()


# Held back


def hold(lab: Lab, commit: str, name: str = "alpha") -> None:
    """Hold a source back, at the name of a commit or at an id."""
    path = lab.root / "environments/both.yaml"
    one = HeldSource(commit=lab.ids.get(commit, commit), why="2 fails: # \n it", retry=date(2026, 12, 9))
    path.write_text(held.rewritten(path.read_text(), Held(sources={name: one})))


def told(lab: Lab, commit: str) -> str:
    return f"`alpha` is held back at {lab.ids[commit][:12]} until 2026-12-09: 2 fails: # \\n it\n"


def test_a_source_that_is_held_back_stays_though_its_branch_moves_on(lab: Lab) -> None:
    hold(lab, "alpha1")
    ran = lab.lock().ok()
    assert told(lab, "alpha1") in ran.err
    assert "warning" not in ran.err
    assert lab.block("alpha").splitlines()[1:4] == [
        "    ref: main",
        f"    resolved: {MAIN}",
        f"    commit: {lab.ids['alpha1']}",
    ]
    assert f"    commit: {lab.ids['beta2']}\n" in lab.block("beta")
    lab.run("lock", "--check").ok()
    lab.commit("alpha", "alpha3", 30, "alpha2")
    again = lab.lock_unnamed().ok()
    assert (again.out, told(lab, "alpha1") in again.err) == ("", True)
    assert "held back" not in lab.run("lock", "beta").ok().err


def test_what_is_no_longer_held_back_moves_with_the_next_lock(lab: Lab) -> None:
    plain = (lab.root / "environments/both.yaml").read_text()
    hold(lab, "alpha1")
    lab.lock().ok()
    lab.write("environments/both.yaml", plain)
    lab.run("lock", "--check").ok()
    assert f"  alpha: {short(lab, 'alpha1')} → {short(lab, 'alpha2')}\n" in lab.run("lock", "alpha").ok().out


def test_a_lock_with_another_commit_than_the_one_held_back(lab: Lab) -> None:
    lab.lock().ok()
    hold(lab, "alpha1")
    assert lab.run("lock", "--check").failed(4).error.splitlines()[1] == (
        f"  source `alpha` is held back at {lab.ids['alpha1']}, the lock answers {lab.ids['alpha2']}"
    )
    assert f"  alpha: {short(lab, 'alpha2')} → {short(lab, 'alpha1')}\n" in lab.run("lock", "alpha").ok().out
    lab.run("lock", "--check").ok()


def test_what_was_asked_stays_beside_what_is_held_back(lab: Lab) -> None:
    lab.commit("alpha", "alpha3", 30, "alpha2")
    lab.spec(alpha="{before: 2024-05-27T12:25:00Z}")
    hold(lab, "alpha1")
    lab.lock().ok()
    assert lab.block("alpha").splitlines()[1:5] == [
        "    ref: main",
        "    before: '2024-05-27T12:25:00Z'",
        f"    resolved: {MAIN}",
        f"    commit: {lab.ids['alpha1']}",
    ]
    lab.run("lock", "--check").ok()


def test_a_commit_that_a_rewritten_branch_left_behind_is_still_held(lab: Lab) -> None:
    lab.commit("alpha", "alpha2b", 25, "alpha1")
    lab.repos["alpha"].ref("refs/heads/kept", lab.ids["alpha2"])
    hold(lab, "alpha2")
    lab.lock().ok()
    assert f"    commit: {lab.ids['alpha2']}\n" in lab.block("alpha")


LIFT = "hint: take `alpha` out of `held` in the environment, then `recipes lock alpha`\n"


def test_a_commit_that_the_repository_does_not_have_cannot_be_held(lab: Lab) -> None:
    lab.lock().ok()
    before = lab.path.read_text()
    hold(lab, "a" * 40)
    error = (
        f"error: source `alpha`: held back at a commit that `{GIT}/alpha` does not have\n"
        f"  held      {'a' * 40}\n  now       {lab.ids['alpha2']}\n  locked    {lab.ids['alpha2']}\n\n{LIFT}"
    )
    assert lab.lock().failed(3).error == error
    with served(lab):
        assert lab.lock().failed(3).error == error
    assert lab.path.read_text() == before


def test_a_tag_cannot_be_held_back(lab: Lab) -> None:
    lab.repos["alpha"].ref("refs/tags/v1", lab.ids["alpha2"])
    lab.spec(alpha="{ref: v1}")
    hold(lab, "alpha1")
    wrong = f"`refs/tags/v1` of `{GIT}/alpha` is no branch, and cannot be held back"
    assert lab.lock().failed(3).error == f"error: source `alpha`: {wrong}\n\n{LIFT}"
    assert not lab.path.exists()


def test_a_repository_out_of_reach_keeps_what_is_locked(lab: Lab) -> None:
    lab.lock().ok()
    before = lab.path.read_text()
    hold(lab, "alpha1")
    lab.repos["alpha"].path.rename(lab.place / "away")
    lab.lock().failed(5)
    assert lab.path.read_text() == before


def test_another_moment_has_nothing_held_back(lab: Lab) -> None:
    hold(lab, "alpha1")
    ran = lab.run("lock", "--at", "2024-05-27T12:25:00Z", "--output", "at").ok()
    assert "held back" not in ran.err
    assert f"    commit: {lab.ids['alpha2']}\n" in (lab.root / "at").read_text()


# As of a date


def test_all_branches_as_of_a_date(lab: Lab) -> None:
    lab.repos["beta"].ref("refs/tags/v1", lab.ids["beta2"])
    lab.spec(beta="{ref: v1}")
    lab.lock().ok()
    before = lab.path.read_text()
    ran = lab.run("lock", "--at", "2024-05-27T12:15:00Z").ok()
    assert ran.out == (
        "locks/both@2024-05-27T121500Z.lock.yaml:\n"
        f"  alpha: {short(lab, 'alpha2')} → {short(lab, 'alpha1')}\n"
        "    before none → `2024-05-27T12:15:00Z`\n"
        f"    1 commit back\n      {lab.ids['alpha2'][:12]} 2024-05-27 make alpha2\n"
    )
    written = (lab.root / "locks/both@2024-05-27T121500Z.lock.yaml").read_text()
    assert (
        f"    before: '2024-05-27T12:15:00Z'\n    resolved: {MAIN}\n    commit: {lab.ids['alpha1']}"
        in written
    )
    assert written.endswith(lab.block("beta"))
    assert lab.path.read_text() == before
    lab.run("lock", "--check").ok()
    assert lab.run("lock", "--at", "2024-05-27T12:15:00Z").ok().err.endswith("is up to date\n")
    named = lab.run("diff", "both", "both@2024-05-27T121500Z").ok().out
    assert named.splitlines()[0] == f"alpha: {short(lab, 'alpha2')} → {short(lab, 'alpha1')}"


def test_a_date_in_the_specs_holds_where_it_is_the_earlier(lab: Lab) -> None:
    lab.spec(alpha="{before: 2024-05-27T12:15:00Z}", beta="{before: 2024-05-27T12:25:00Z}")
    lab.run("lock", "--at", "2024-05-27T12:19:00Z", "--output", "../at.lock.yaml").ok()
    written = (lab.place / "at.lock.yaml").read_text()
    assert [line.strip() for line in written.splitlines() if "before" in line] == [
        "before: '2024-05-27T12:15:00Z'", "before: '2024-05-27T12:19:00Z'",
    ]  # fmt: skip
    assert f"commit: {lab.ids['beta1']}\n" in written
    assert not lab.path.exists()


def test_a_day_is_taken_to_its_end(lab: Lab) -> None:
    lab.run("lock", "--at", "2024-05-27", "--output", "at").ok()
    again = lab.run("lock", "--at", "2024-05-28", "--output", "at").ok()
    assert again.out.startswith("at:\n  alpha: new, ")
    assert (lab.root / "at").read_text().count("before: '2024-05-28T23:59:59Z'\n") == 2
    lab.run("lock", "--at", "2024-05-27", "--output", "at").ok()
    assert (lab.root / "at").read_text().count("before: '2024-05-27T23:59:59Z'\n") == 2
    lab.spec(alpha=f"{{ref: {lab.ids['alpha1']}}}", beta=f"{{ref: {lab.ids['beta1']}}}")
    lab.lock().ok()
    same = lab.run("lock", "--at", "2024-05-27", "--output", "at").ok()
    assert same.out == "at:\n  no difference from the lock of `both`\n"
    lab.spec()
    failed = lab.run("lock", "--at", "2024-05-26", "--output", "early").failed(3)
    assert "  asked     2024-05-26T23:59:59Z\n" in failed.error
    assert not (lab.root / "early").exists()


def test_as_of_a_date_nothing_keeps_its_lock(lab: Lab) -> None:
    lab.lock().ok()
    lab.repos["beta"].path.rename(lab.place / "away")
    lab.run("lock", "--at", "2024-05-27").failed(5)
    assert [path.name for path in lab.path.parent.glob("*@*")] == []


def test_dates_on_the_command_line_that_make_no_sense(lab: Lab) -> None:
    lab.write("environments/one.yaml", ENVIRONMENT.replace("  beta:\n", ""))
    together = "`--at` takes neither `--check` nor sources, and `--output` goes with `--at`"
    form = "a date is written as in ISO 8601, with its time zone: `2024-05-27T20:40:00Z`"
    naive = "`2024-05-27T12:00` has no time zone: for UTC write `2024-05-27T12:00:00Z`"
    for argv, message in {
        "--at 2024-05-27 alpha": together,
        "--at 2024-05-27 --check": together,
        "--output x": together,
        "--at 2024-05": f"`--at 2024-05`: {form}",
        "--at 2024-05-27T12:00": f"`--at 2024-05-27T12:00`: {naive}",
        "--at 2024-05-27 --output x": "`--output` is one file, and there are several variants",
    }.items():
        ran = lab.run("lock", *argv.split()).failed(2)
        assert (argv, ran.error.splitlines()[0]) == (argv, f"error: {message}")


# Repositories


def test_a_repository_that_is_gone_keeps_its_lock(lab: Lab) -> None:
    lab.lock().ok()
    lab.commit("beta", "beta3", 30, "beta2")
    lab.repos["alpha"].path.rename(lab.place / "away")
    before = lab.block("alpha")
    ran = lab.lock().failed(5)
    assert ran.out.startswith(f"locks/both.lock.yaml:\n  beta: {short(lab, 'beta2')}")
    lines = ran.error.splitlines()
    assert lines[0] == "error: not everything could be resolved; what could not keeps its lock"
    assert lines[1] == (
        f"`{GIT}/alpha` cannot be read: '{lab.place}/srv/alpha' does not appear to be a git repository"
    )
    assert lab.block("alpha") == before


@contextmanager
def redirecting(to: str) -> Iterator[str]:
    """Serve nothing but redirects."""

    class Moved(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(301)
            self.send_header("Location", to + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with serving(Moved) as url:
        yield url


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client may have gone."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_redirect_is_followed_and_not_locked(lab: Lab) -> None:
    with served(lab) as server, redirecting(server.url) as url:
        lab.env["RECIPES_MIRROR"] = f"{GIT}/={url}/"
        lab.spec(alpha="{before: 2024-05-27T12:15:00Z}")
        lab.lock().ok()
    assert lab.block("alpha").endswith(f"    origins:\n    - git: {GIT}/alpha\n")
    assert f"commit: {lab.ids['alpha1']}\n" in lab.block("alpha")


def test_repositories_are_asked_at_once(lab: Lab) -> None:
    together = Barrier(2)

    class Waiting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            together.wait(60)  # or a BrokenBarrierError: then nobody is answered
            self.send_error(500)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with serving(Waiting) as one, serving(Waiting) as two:
        lab.env["RECIPES_MIRROR"] = f"{GIT}/alpha={one}/alpha {GIT}/beta={two}/beta"
        lab.write("../home/.config/tvm-recipes/config.yaml", "timeout: 60\n")
        lab.lock().failed(5)
    assert not together.broken


def test_submodules_beside_their_parent_and_nowhere(lab: Lab) -> None:
    modules = b'[submodule "p"]\n\tpath = part\n\turl = {}\n'
    link = ("160000", lab.ids["beta1"].encode())
    lab.spec(alpha="{submodules: {part: {}}}")
    for place in (b"../beta", b"../nowhere"):
        files: Files = {b".gitmodules": modules.replace(b"{}", place), b"part": link}
        lab.commit("alpha", "with part", 30, "alpha2", files=files)
        if place == b"../beta":
            lab.lock().ok()
            assert f"    commit: {lab.ids['beta1']}\n" in lab.block("alpha/part")
            assert lab.block("alpha/part").endswith(f"    - git: {GIT}/beta\n")
            lab.path.unlink()
    error = lab.lock().failed(5).error
    assert error.splitlines()[0] == "error: submodule `alpha/part` cannot be had"
    assert error.splitlines()[1].startswith(f"  `{GIT}/nowhere` cannot be read: ")


def test_a_submodule_at_a_commit_that_is_nowhere(lab: Lab) -> None:
    files: Files = {
        b".gitmodules": b'[submodule "p"]\n\tpath = part\n\turl = ../beta\n',
        b"part": ("160000", b"12" * 20),
    }
    lab.commit("alpha", "with part", 30, "alpha2", files=files)
    lab.spec(alpha="{submodules: {part: {}}}")
    assert lab.lock().failed(5).error == (
        f"error: submodule `alpha/part` cannot be had\n  `{GIT}/beta` has no commit `{'12' * 20}`\n"
    )


# The `diff` command


@pytest.fixture
def moved(lab: Lab) -> Lab:
    """Give a checkout with two revisions of its lock, and a third that is not committed."""
    (lab.root / ".gitignore").write_text("*.txt.new\n")
    env = {**gitserver.ENV, "HOME": str(lab.place)}
    subprocess.run(["git", "init", "--quiet", "--template=", lab.root], env=env, check=True)
    for minute, name in ((30, "alpha3"), (40, "alpha4")):
        lab.lock().ok()
        subprocess.run(["git", "add", "."], cwd=lab.root, env=env, check=True)
        subprocess.run(["git", "commit", "--quiet", "-m", "lock"], cwd=lab.root, env=env, check=True)
        lab.commit("alpha", name, minute, f"alpha{int(name[-1]) - 1}")
    lab.lock().ok()
    return lab


def test_two_locks_are_compared(moved: Lab) -> None:
    for argv, (old, new) in {
        "--variant both HEAD~1 HEAD": ("alpha2", "alpha3"),
        "-V both HEAD~1: HEAD:": ("alpha2", "alpha3"),
        "-V both HEAD": ("alpha3", "alpha4"),
        "HEAD~1:both both": ("alpha2", "alpha4"),
        "HEAD:locks/both.lock.yaml locks/both.lock.yaml": ("alpha3", "alpha4"),
        "-V both locks/both.lock.yaml HEAD~1": ("alpha4", "alpha2"),
    }.items():
        out = moved.run("diff", *argv.split()).ok().out
        assert (argv, out.splitlines()[0]) == (argv, f"alpha: {short(moved, old)} → {short(moved, new)}")
        assert "beta" not in out


def test_what_is_printed(moved: Lab) -> None:
    whole = ["diff", "HEAD~1:both", "both"]
    text = (
        f"alpha: {short(moved, 'alpha2')} → {short(moved, 'alpha4')}\n  2 commits forward\n"
        f"    {moved.ids['alpha4'][:12]} 2024-05-27 make alpha4\n"
        f"    {moved.ids['alpha3'][:12]} 2024-05-27 make alpha3\n"
    )
    assert moved.run(*whole).ok().out == text
    assert moved.run(*whole, "--markdown").ok().out.splitlines()[:4] == [
        f"**alpha**: {short(moved, 'alpha2')} → {short(moved, 'alpha4')}", "", "- 2 commits forward",
        f"  - {moved.ids['alpha4'][:12]} 2024-05-27 `make alpha4`",
    ]  # fmt: skip
    [source] = json.loads(moved.run(*whole, "--json").ok().out)["sources"]
    assert [one["subject"] for one in source["commits"]["forward"]] == ["make alpha4", "make alpha3"]
    same = moved.run("diff", "both", "both").ok()
    assert (same.out, same.err) == ("", "no difference\n")
    assert json.loads(moved.run("diff", "both", "both", "--json").ok().out) == {"sources": [], "packages": []}


def test_a_repository_that_is_not_in_reach(moved: Lab) -> None:
    moved.repos["alpha"].path.rename(moved.place / "away")
    known = moved.run("diff", "-V", "both", "HEAD~1", "HEAD").ok().out
    assert known.endswith(f"{moved.ids['alpha3'][:12]} 2024-05-27 make alpha3\n")
    moved.env["RECIPES_STORE"] = str(moved.place / "empty")
    lines = moved.run("diff", "-V", "both", "HEAD~1", "HEAD").ok().out.splitlines()
    assert lines[0] == f"alpha: {short(moved, 'alpha2')} → {short(moved, 'alpha3')}"
    assert lines[1].startswith(f"  the commits between are not known: `{GIT}/alpha` cannot be read, asked ")
    assert len(lines) == 2


def test_a_lock_without_a_toolchain_beside_it(moved: Lab) -> None:
    (moved.place / "elsewhere").mkdir()
    other = moved.place / "elsewhere/it.lock.yaml"
    other.write_bytes(moved.path.read_bytes())
    ran = moved.run("diff", "both", str(other)).ok()
    assert ran.err == f"`{other}` has no toolchain beside it: packages are not compared\nno difference\n"
    assert moved.run("diff", str(other), str(other)).ok().err == "no difference\n"
    env = {**gitserver.ENV, "HOME": str(moved.place)}
    subprocess.run(["git", "rm", "-q", "locks/both.requirements.txt"], cwd=moved.root, env=env, check=True)
    subprocess.run(["git", "commit", "-q", "-m", "x"], cwd=moved.root, env=env, check=True)
    ran = moved.run("diff", "HEAD~1:both", "HEAD:both").ok()
    assert ran.err.startswith("`HEAD:locks/both.lock.yaml` has no toolchain beside it")


def test_packages_are_compared(moved: Lab) -> None:
    name = "six-1.17.0-py2.py3-none-any.whl"
    six = Wheel("six", "1.17.0", name, "ab" * 32, "linux-64")
    moved.write("locks/both.requirements.txt", render(Requirements((six,))))
    out = moved.run("diff", "-V", "both", "HEAD").ok().out
    assert out.endswith("make alpha4\nsix: new, 1.17.0 for linux-64\n")
    (moved.root / "locks/both.requirements.txt").write_bytes(b"# \xff\n")
    failed = moved.run("diff", "-V", "both", "HEAD").failed(4)
    assert failed.error == "error: the wheels of both: not UTF-8: byte 2\n"


def test_development_packages_are_compared(moved: Lab) -> None:
    def lock(version: str) -> None:
        name = f"six-{version}-py2.py3-none-any.whl"
        six = Wheel("six", version, name, "ab" * 32, "linux-64")
        moved.write("locks/both.development.txt", render(Requirements((six,))))

    lock("1.16.0")
    ran = moved.run("diff", "-V", "both", "HEAD").ok()
    lacking = "`HEAD:locks/both.lock.yaml` has no development packages beside it: packages are not compared"
    assert lacking in ran.err.splitlines()
    env = {**gitserver.ENV, "HOME": str(moved.place)}
    for argv in (["add", "locks/both.development.txt"], ["commit", "-q", "-m", "development"]):
        subprocess.run(["git", *argv], cwd=moved.root, env=env, check=True)
    lock("1.17.0")
    out = moved.run("diff", "-V", "both", "HEAD").ok().out
    assert out.endswith("\nsix: 1.16.0 → 1.17.0 for linux-64\n")


def test_what_cannot_be_compared(moved: Lab) -> None:
    moved.write("locks/broken.lock.yaml", "version: 1")
    for argv, (code, message) in {
        "both bothe": (2, "`bothe` is no lock file and no locked variant, did you mean `both`?"),
        "HEAD both": (2, "`HEAD` is no lock file and no locked variant"),
        "HEAD:both ./absent.lock.yaml": (2, "`./absent.lock.yaml` is no lock file and no locked variant"),
        "both": (2, "`recipes diff` compares two"),
        "both both --json --markdown": (2, "`--json` and `--markdown` exclude each other"),
        "-V both HEAD~9": (2, f"no revision `HEAD~9` in {moved.root}"),
        "-V none HEAD": (2, "revision `HEAD` has no `locks/none.lock.yaml`"),
        "broken both": (4, "broken: cut off: there is no newline at its end"),
    }.items():
        ran = moved.run("diff", *argv.split()).failed(code)
        assert (argv, ran.error.splitlines()[0]) == (argv, f"error: {message}")
