"""`recipes refresh --hold-back` as a user gives it, on the small project with real repositories."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gitserver
import pytest
import smallproject
import yaml
from gitserver import Repo
from smallproject import Ran, Small, Upstream

pytestmark = pytest.mark.sandbox

GOOD = smallproject.TREES["thing"]
BAD = {"src/thing.c": b"void thing;\n"}  # fails in phase `check`
GOES_WITH = "`--budget`, `--early` and `--retry-after` go with `--hold-back`"
FIRST = 4  # the number of the first bad commit of `thing`
WHY = "`thing` in phase `check`: the library does not load"

MOVING = """\
# what a person wrote
summary: all from the branches
extends: small
target: app
sources:
  thing: {ref: main, origins: [{git: https://git.example/thing}]}
  app: {ref: main}
"""


def push(made: Upstream, name: str, files: Mapping[str, bytes], number: int, *parents: str) -> str:
    """Put a commit on a branch `main`."""
    repository = Repo(made.repositories / name)
    tree: gitserver.Files = {path.encode(): data for path, data in files.items()}
    if name == "thing":
        tree = {**tree, b"3rdparty/part": ("160000", made.commits["part"].encode())}
    when = f"{1716850000 + number * 60} +0000"
    commit = repository.commit(tree, *parents, when=when, message=f"change {number}")
    repository.ref("refs/heads/main", commit)
    return commit


class Moving:
    """The small project with a variant that follows branches, locked before they move."""

    def __init__(self, small: Small) -> None:
        self.small, self.upstream = small, small.upstream
        self.thing, self.app = [self.upstream.commits["thing"]], [self.upstream.commits["app"]]
        small.write("environments/moving.yaml", MOVING)
        small.run("lock", "--variant", "moving").ok()

    def move_thing(self, *, good: bool = True) -> str:
        number = len(self.thing)
        files = {**GOOD, **({} if good else BAD), "src/number.h": b"%d\n" % number}
        self.thing.append(push(self.upstream, "thing", files, number, self.thing[-1]))
        return self.thing[-1]

    def move_app(self, text: bytes = b"int app = 5;\n") -> str:
        files = {**smallproject.TREES["app"], "app.c": text}
        self.app.append(push(self.upstream, "app", files, len(self.app), self.app[-1]))
        return self.app[-1]

    def break_thing(self) -> None:
        for number in range(1, 8):
            self.move_thing(good=number < FIRST)

    def stop_checks(self) -> None:
        """Make the check of `thing` stop itself, each time."""
        options = "target: app\noptions: {thing: {MODE: check-stop}}\n"
        self.small.edit("environments/moving.yaml", "target: app\n", options)

    def refresh(self, *words: str) -> Ran:
        return self.small.run("refresh", "--hold-back", "--variant", "moving", *words)

    def changed(self, *words: str) -> Ran:
        ran = self.refresh(*words)
        assert ran.code == 11, ran.shown()
        return ran

    @property
    def spec(self) -> str:
        return (self.small.root / "environments/moving.yaml").read_text()

    def locked(self, name: str) -> str:
        found = yaml.safe_load((self.small.root / "locks/moving.lock.yaml").read_text())
        commit: str = found["sources"][name]["commit"]
        return commit

    def state(self) -> dict[Path, bytes]:
        places = [*(self.small.root / "locks").iterdir(), *(self.small.root / "environments").iterdir()]
        return {path: path.read_bytes() for path in places}


@pytest.fixture
def moving(tmp_path: Path, fetched: Path) -> Iterator[Moving]:
    if (why := smallproject.refusal(tmp_path)) is not None:
        pytest.skip(why)
    upstream = smallproject.upstream(tmp_path / "upstream")
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(fetched)
        yield Moving(made)


def day(days: int) -> str:
    return f"{datetime.now(UTC).date() + timedelta(days=days)}"


def test_what_breaks_is_held_back_and_lifted_when_it_builds_again(moving: Moving) -> None:
    moving.small.build("moving").ok()
    moving.break_thing()
    app = moving.move_app()
    before = day(14)
    ran = moving.changed()
    held, broken = moving.thing[FIRST - 1], moving.thing[FIRST]
    assert (moving.locked("thing"), moving.locked("app")) == (held, app)
    why = f"{broken} (2024-05-27, change {FIRST}): {WHY}"
    assert day(14) in moving.spec or before in moving.spec  # midnight may pass
    assert moving.spec.replace(day(14), "DAY").replace(before, "DAY") == MOVING + (
        "# held back by `recipes refresh --hold-back`, which writes this block and lifts what builds again\n"
        "held:\n"
        "  sources:\n"
        "    thing:\n"
        f"      commit: {held}\n"
        f"      broken: {broken}\n"
        f'      why: "{why}"\n'
        "      retry: DAY\n"
    )
    old = [one[:12] for one in (moving.thing[0], moving.thing[-1], held)]
    places = " | ".join(f"`{one}`" for one in old)
    assert f"| `thing` | {places} | **held back** until {before}: `` {why} `` |\n" in ran.out, ran.shown()
    assert f"| `app` | `{moving.app[0][:12]}` | `{app[:12]}` | `{app[:12]}` |  |\n" in ran.out
    nar_hash = moving.small.build("moving", "--offline").ok().out.split()[1]
    assert f"Builds and passes its check: `{nar_hash}` (" in ran.out
    moving.small.run("lock", "--check").ok()
    assert moving.small.damage() == []

    # nothing moves: what is held back is not tried before its day, and stays, whatever is locked anew
    state = moving.state()
    again = moving.refresh().ok()
    assert f"| `thing` | `{held[:12]}` |  | `{held[:12]}` | held back until " in again.out
    assert "\n\nNothing was tried (0 builds in " in again.out
    assert "Builds and passes" not in again.out
    moving.small.run("lock", "--variant", "moving").ok()
    assert moving.state() == state

    # mended upstream, and tried
    mended = moving.move_thing()
    lifted = moving.changed("--early", "--json")
    assert (moving.spec, moving.locked("thing")) == (MOVING, mended)
    [row] = json.loads(lifted.out)["variants"]
    assert (row["lifted"], row["held"], row["waiting"], row["spec"]) == (["thing"], [], [], True)
    assert [one["name"] for one in row["moved"]] == ["thing"]
    assert row["builds"] == 1


def test_its_day_has_come(moving: Moving) -> None:
    moving.break_thing()
    moving.changed("--retry-after", "0")
    state = moving.state()
    assert f"retry: {day(0)}" in moving.spec
    ran = moving.refresh("--retry-after", "0").ok()  # tried again, to the same end
    assert moving.state() == state
    assert f"| `thing` | `{moving.thing[FIRST - 1][:12]}` | `{moving.thing[-1][:12]}` |" in ran.out


def test_all_that_moved_builds(moving: Moving) -> None:
    thing, app = moving.move_thing(), moving.move_app()
    ran = moving.changed("--budget", "2")  # the thing and the app are one build of the variant
    assert (moving.spec, moving.locked("thing"), moving.locked("app")) == (MOVING, thing, app)
    assert "moving: with app, thing moved: builds\n" in ran.err
    assert "(1 build in " in ran.out


def test_a_package_is_held_back(moving: Moving) -> None:
    wheel = smallproject.wheel(
        "cmake", "3.31.9", "cmake/data/bin/cmake", "#!/bin/sh\necho CMake Error: no\nexit 1\n"
    )
    moving.small.index.add("cmake", ("cmake-3.31.9-py3-none-any.whl", wheel))
    app = moving.move_app()
    ran = moving.changed()
    assert moving.locked("app") == app
    requirements = (moving.small.root / "locks/moving.requirements.txt").read_text()
    assert ("cmake==3.31.0 " in requirements, "3.31.9" in requirements) == (True, False)
    assert "| `pypi:cmake` | `3.31.0` | `3.31.9` | `3.31.0` | **held back** until " in ran.out
    assert (
        '    cmake: {version: 3.31.0, why: "`thing` in phase `configure`: CMake Error: no", ' in moving.spec
    )
    moving.small.run("lock", "--check").ok()
    moving.small.run("lock", "--variant", "moving").ok()
    assert (moving.small.root / "locks/moving.requirements.txt").read_text() == requirements


@pytest.mark.parametrize("budget", ["0", "1"])
def test_the_budget_ends_before_anything_is_settled(moving: Moving, budget: str) -> None:
    moving.break_thing()
    state = moving.state()
    ran = moving.refresh("--budget", budget).failed(9)
    assert (
        ran.error
        == "error: not settled, and left as it was: moving\n\nhint: `recipes build --variant moving`\n"
    )
    many = "builds" if budget == "0" else "build"
    assert f"```\nthe budget of {budget} {many} is spent, and nothing is settled yet\n```" in ran.out
    assert moving.state() == state


def test_the_budget_ends_on_the_way(moving: Moving) -> None:
    moving.small.build("moving").ok()
    moving.break_thing()
    app = moving.move_app()
    ran = moving.changed("--budget", "2")  # all together, the app alone; none for the commits
    assert (moving.locked("app"), moving.locked("thing")) == (app, moving.thing[0])
    assert f"commit: {moving.thing[0]}\n" in moving.spec
    assert "its commits were not searched: the budget of 2 builds is spent" in ran.out
    assert "Stopped early: the budget of 2 builds is spent" in ran.out
    assert f"retry: {day(0)}\n" in moving.spec
    moving.small.run("lock", "--check").ok()
    moving.changed()  # goes on, without being told to
    assert moving.locked("thing") == moving.thing[FIRST - 1]
    assert f"retry: {day(0)}\n" not in moving.spec


def test_what_is_locked_does_not_build(moving: Moving) -> None:
    moving.small.write("recipes/components/thing/check.py", "import sys\nsys.exit('never')\n")
    moving.move_app()
    state = moving.state()
    ran = moving.refresh().failed(9)
    assert "what is locked does not build, and neither does all that moved\n" in ran.out
    assert (
        "  locked    `thing` in phase `check`: never\n  moved     `thing` in phase `check`: never\n"
        in ran.out
    )
    assert moving.state() == state


def test_nothing_was_locked_and_nothing_builds(moving: Moving) -> None:
    for name in ("lock.yaml", "requirements.txt"):
        (moving.small.root / f"locks/moving.{name}").unlink()
    moving.break_thing()
    ran = moving.refresh().failed(9)
    assert f"```\nit does not build, and nothing that moved could be held back\n  {WHY}\n```" in ran.out


def test_nothing_was_locked_and_a_repository_does_not_answer(moving: Moving) -> None:
    (moving.small.root / "locks/moving.lock.yaml").unlink()
    (moving.upstream.repositories / "thing").rename(moving.upstream.repositories / "thing.aside")
    ran = moving.refresh().failed(9)
    assert "```\n`https://git.example/thing` cannot be read\n" in ran.out
    assert not (moving.small.root / "locks/moving.lock.yaml").exists()


def test_a_branch_that_is_gone_keeps_one_variant_only(moving: Moving) -> None:
    Repo(moving.upstream.repositories / "thing").git("branch", "-m", "main", "trunk")
    app = moving.move_app()
    before = moving.locked("app")
    ran = moving.small.run("refresh", "--hold-back").failed(9)
    assert ran.error.startswith("error: not settled, and left as it was: moving\n")
    assert (moving.locked("app"), f"`{app[:12]}` | `{app[:12]}` |" in ran.out) == (before, True)
    told = ran.out.partition("## moving\n\n")[2]
    assert "```\nsource `thing`: `https://git.example/thing` has no branch or tag `main`\n" in told
    assert "hint: `git ls-remote https://git.example/thing` lists what it has\n```" in told


FLOW = "{extends: small, summary: all, target: app, sources: {thing: {ref: main}, app: {ref: main}}}\n"
UNENDED = MOVING.replace("summary: all from the branches\n", "") + "summary: |\n  all"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (FLOW, "its keys are not each at the beginning of a line"),
        (UNENDED, "something else in it would change"),
    ],
)
def test_a_spec_that_cannot_be_rewritten_is_found_before_any_build(
    moving: Moving, spec: str, why: str
) -> None:
    moving.move_app()
    moving.small.write("environments/moving.yaml", spec)
    state = moving.state()
    ran = moving.small.run("refresh", "--hold-back").failed(3)  # `both` comes first
    assert ran.error.startswith(f"error: environments/moving.yaml: `held` cannot be written: {why}\n")
    assert ("builds" in ran.err, ran.out, moving.state()) == (False, "", state)


def test_a_spec_that_is_changed_meanwhile(moving: Moving) -> None:
    moving.stop_checks()
    moving.move_app()
    locks = {path: data for path, data in moving.state().items() if path.parent.name == "locks"}
    process = moving.small.start("refresh", "--hold-back", "--variant", "moving")
    stopped, _ = smallproject.stopped(process.pid)
    moving.small.edit("environments/moving.yaml", "app: {ref: main}", "app: {ref: v1.0}")
    spec = moving.spec
    smallproject.go_on(stopped)
    ran = smallproject.ended(process).failed(9)
    assert "```\nenvironments/moving.yaml was changed meanwhile\n```" in ran.out
    assert moving.spec == spec
    assert all(path.read_bytes() == data for path, data in locks.items())


def test_what_was_written_before_an_error_is_told(moving: Moving) -> None:
    app = moving.move_app()
    moving.move_thing()
    origins = ", origins: [{git: https://git.example/thing}]"
    moving.small.edit("environments/moving.yaml", origins, "")  # then the sdist, which does not move, is one
    ran = moving.small.run("refresh", "--hold-back", "--json").failed(6)
    assert ran.error.startswith("error: the origins of `thing` disagree; nothing is locked\n")
    [row] = json.loads(ran.out)["variants"]
    assert (row["variant"], row["files"]) == ("both", ["locks/both.lock.yaml"])
    assert app in (moving.small.root / "locks/both.lock.yaml").read_text()


def test_a_build_that_fails_once(moving: Moving) -> None:
    moving.stop_checks()
    commit = moving.move_thing()
    process = moving.small.start("refresh", "--hold-back", "--variant", "moving")
    for number in (signal.SIGKILL, signal.SIGCONT, signal.SIGCONT):  # the new one, the old one, the new one
        stopped, _ = smallproject.stopped(process.pid)
        os.kill(stopped.pid, number)
        assert smallproject.are_gone([stopped])
    ran = smallproject.ended(process)
    assert (ran.code, moving.locked("thing")) == (11, commit), ran.shown()
    assert "held:" not in moving.spec


def test_a_package_without_its_program_is_held_back(moving: Moving) -> None:
    wheel = smallproject.wheel("cmake", "3.31.9", "cmake/moved/cmake", "#!/bin/sh\n")
    moving.small.index.add("cmake", ("cmake-3.31.9-py3-none-any.whl", wheel))
    ran = moving.changed()
    why = "`toolchain` in phase `start`: `cmake-3.31.9` has no `cmake/data/bin/cmake`"
    assert (
        f"| `pypi:cmake` | `3.31.0` | `3.31.9` | `3.31.0` | **held back** until {day(14)}: `` {why} `` |"
        in (ran.out)
    )


def test_a_source_from_elsewhere(moving: Moving) -> None:
    """The commit that is locked is in no repository that the spec names now."""
    moving.small.build("moving").ok()
    (moving.upstream.repositories / "thing").rename(moving.upstream.repositories / "before")
    commit = push(moving.upstream, "thing", GOOD, 1)
    moving.small.edit("environments/moving.yaml", "https://git.example/thing", "https://other.example/thing")
    moving.changed()
    assert moving.locked("thing") == commit


def test_a_repository_that_does_not_answer(moving: Moving) -> None:
    app = moving.move_app()
    aside = moving.upstream.repositories / "thing.aside"
    (moving.upstream.repositories / "thing").rename(aside)
    ran = moving.changed()
    assert (moving.locked("app"), moving.locked("thing")) == (app, moving.thing[0])
    assert "Not looked up:\n\n```\n" in ran.out
    assert "https://git.example/thing" in ran.out


def test_a_branch_that_was_rewritten(moving: Moving) -> None:
    moving.small.build("moving").ok()
    push(moving.upstream, "thing", {**GOOD, **BAD}, 1)
    ran = moving.changed()
    assert moving.locked("thing") == moving.thing[0]
    assert (
        "its commits were not searched: two commits of `https://git.example/thing` share no history"
        in ran.out
    )


def test_a_rewritten_branch_takes_nothing_back(moving: Moving) -> None:
    moving.move_thing()
    locked = moving.move_thing()
    moving.changed()
    push(moving.upstream, "thing", {**GOOD, **BAD}, 3, moving.thing[1])
    moving.changed()
    assert moving.locked("thing") == locked
    assert f"commit: {locked}\n" in moving.spec


def test_locks_that_cannot_be_written(moving: Moving) -> None:
    moving.break_thing()
    locks = moving.small.root / "locks"
    locks.chmod(0o555)
    if os.access(locks, os.W_OK):
        pytest.skip("root writes where it may not")
    moving.refresh().failed(1)
    locks.chmod(0o755)
    ran = moving.small.run("lock", "--check").failed(4)
    assert f"source `thing` is held back at {moving.thing[FIRST - 1]}, the lock answers " in ran.error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--hold-back", "--dry-run"],
            "`--hold-back` builds what it writes: no `--build` or `--dry-run` with it",
        ),
        (["--budget", "3"], GOES_WITH),
        (["--early"], GOES_WITH),
        (["--retry-after", "3"], GOES_WITH),
        (
            ["--hold-back", "--budget", "soon"],
            "`--budget soon` is no number of builds, and no time such as `30m` or `2h`",
        ),
        (["--hold-back", "--variant", "smal"], "no variant `smal`, did you mean `small`?"),
    ],
)
def test_what_cannot_be_asked(small: Small, words: list[str], message: str) -> None:
    ran = small.run("refresh", *words).failed(2)
    assert ran.error.splitlines()[0] == f"error: {message}"
