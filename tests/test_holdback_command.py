"""`recipes refresh --hold-back` as a user gives it, on the small project with real repositories."""

from __future__ import annotations

import json
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
    assert "(0 builds in " in again.out or "Builds and passes" not in again.out
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
    moving.small.run("lock", "--check").ok()


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--hold-back", "--dry-run"],
            "`--hold-back` builds what it writes: no `--build` or `--dry-run` with it",
        ),
        (["--budget", "3"], "`--budget` and `--early` go with `--hold-back`"),
        (["--early"], "`--budget` and `--early` go with `--hold-back`"),
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
