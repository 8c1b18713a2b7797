"""`recipes bisect` as a user gives it, on the small project with real repositories."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gitserver
import pytest
import smallproject
from gitserver import Repo
from smallproject import Ran, Small, Upstream

from recipes.bisect import make
from recipes.errors import UsageError
from recipes.report import QUIET, Report
from recipes.run import Run

pytestmark = pytest.mark.sandbox

GOOD = smallproject.TREES["thing"]
BAD = {"src/thing.c": b"void thing;\n"}  # fails in phase `check`
BROKEN = {"CMakeLists.txt": None}  # fails in phase `configure`, whatever else there is
FIRST = 6  # the number of the first bad commit of `main`


@dataclass(frozen=True)
class World:
    """The small project's repositories, and the commits of `thing` by branch, oldest first."""

    upstream: Upstream
    lines: dict[str, list[str]]


class Branch:
    """Commits on top of each other, each with the submodule, and with a number in a file that is built."""

    def __init__(self, made: Upstream, base: str) -> None:
        self.repo, self.link = Repo(made.repositories / "thing"), made.commits["part"]
        self.commits = [base]

    def add(self, *changes: Mapping[str, bytes | None], parents: Sequence[str] = ()) -> str:
        number = len(self.commits)
        tree: dict[str, bytes | None] = {**GOOD, "src/number.h": b"%d\n" % number}
        for one in changes:
            tree |= dict(one)
        files: gitserver.Files = {
            **{path.encode(): data for path, data in tree.items() if data is not None},
            b"3rdparty/part": ("160000", self.link.encode()),
        }
        when, message = f"{1716850000 + number * 60} +0000", f"change {number}"
        made = self.repo.commit(files, self.commits[-1], *parents, when=when, message=message)
        self.commits.append(made)
        return made

    def end(self, name: str) -> list[str]:
        self.repo.ref(f"refs/heads/{name}", self.commits[-1])
        return self.commits


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = tmp_path_factory.mktemp("upstream")
    if (why := smallproject.refusal(place)) is not None:
        pytest.skip(why)
    made = smallproject.upstream(place)
    base = made.commits["thing"]
    main, skips, fork = Branch(made, base), Branch(made, base), Branch(made, base)
    side = main.repo.commit({b"CMakeLists.txt": b""}, base, when="1716850010 +0000", message="aside")
    for number in range(1, 10):  # the fourth is a merge; what is merged would not even build
        main.add(BAD if number >= FIRST else {}, parents=[side] if number == 4 else [])
    for number in range(1, 8):  # in the third to the fifth, nothing can be told
        skips.add(BAD if number >= 5 else {}, BROKEN if 3 <= number <= 5 else {})
    fork.add({"src/number.h": b"another\n"})
    alone = main.repo.commit({b"CMakeLists.txt": b""}, when="1716860000 +0000")
    main.repo.ref("refs/heads/alone", alone)
    lines = {
        "main": main.end("main"),
        "skips": skips.end("skips"),
        "fork": fork.end("fork"),
        "alone": [alone],
    }
    return World(made, lines)


@pytest.fixture(scope="module")
def built(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with the locked build."""
    with smallproject.small(world.upstream, tmp_path_factory.mktemp("built")) as made:
        made.build().ok()
        return made.store


@pytest.fixture
def small(world: World, built: Path, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(world.upstream, tmp_path) as made:
        made.warm(built)
        yield made


@pytest.fixture(scope="module")
def one(world: World, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Give a project that several tests ask, one after another."""
    with smallproject.small(world.upstream, tmp_path_factory.mktemp("one")) as made:
        made.warm(built)
        yield made


def bisect(small: Small, *words: str, source: str = "thing") -> Ran:
    return small.run("bisect", source, "--variant", "small", *words)


def told(ran: Ran) -> list[str]:
    """Give what was told of commits and of the log."""
    return [
        line
        for line in ran.err.splitlines()
        if not line.startswith(("reading ", "thing: ", "building without", "compilers used"))
    ]


def test_the_first_bad_commit_of_a_branch(small: Small, world: World) -> None:
    line = world.lines["main"]
    ran = bisect(small).ok()
    assert ran.out.splitlines() == [
        f"{line[FIRST]} is the first commit of `thing` that breaks `thing` of `small`",
        "  date      2024-05-27T22:52:40Z",
        "  subject   change 6",
        "  fails     `thing` in phase `check`: the library does not load",
        f"  last good {line[FIRST - 1]} of 2024-05-27T22:51:40Z: change 5",
        f"  spec      thing: {{ref: {line[FIRST - 1]}}}",
        "  or        thing: {ref: main, before: 2024-05-27T22:51:40Z}",
        "  judged    5 of 10 commits, by 4 builds this time",  # the first end is in the store
    ]
    assert told(ran)[:3] == [
        f"{line[0][:12]} is good (a commit)",
        f"{line[9][:12]} fails: `thing` in phase `check`: the library does not load (change 9)",
        "commits left to judge: 8, in about 4 steps",
    ]

    log = small.root / ".bisect/small.thing.thing.jsonl"
    again = bisect(small, "--json", "--budget", "0").ok()
    found = json.loads(again.out)
    assert (found["first_bad"]["commit"], found["builds"], found["judged"]) == (line[FIRST], 0, 5)
    assert told(again) == [f"going on from {log}; commits judged so far: 5"]

    kept = small.place / "kept.jsonl"
    kept.write_bytes(log.read_bytes())
    log.unlink()
    replayed = bisect(small, "--replay", str(kept), "--budget", "0").ok()
    assert replayed.out == ran.out.replace("4 builds", "0 builds")
    other = bisect(small, "--run", "true", "--replay", str(kept)).failed(2)
    assert other.error == (
        f"error: {kept} is the log of another bisection: `run` differs\n  asked     true\n  log       None\n"
    )
    log.write_bytes(kept.read_bytes())
    small.edit("recipes/components/thing/recipe.yaml", "MODE: plain", "MODE: look")
    anew = bisect(small, "--budget", "0").failed(1)
    assert anew.error == "error: the budget of 0 builds is spent, and the ends are not judged yet\n"
    assert told(anew)[0] == f"specs or locks have changed since {log} was written: begun anew"


@pytest.mark.slow
def test_a_budget_leaves_a_range_and_a_rerun_goes_on(small: Small, world: World) -> None:
    line = world.lines["main"]
    part = bisect(small, "--budget", "3", "--good", line[4][:10], "--bad", "main")
    assert part.code == 1, part.shown()
    assert part.out.splitlines()[0].startswith("one of 3 commits of `thing` is the first that breaks")
    assert part.out.splitlines()[-1] == "  stopped   the budget of 3 builds is spent"
    whole = bisect(small, "--good", line[4][:10], "--jobs", "2", "--json").ok()
    assert json.loads(whole.out)["first_bad"]["commit"] == line[FIRST]


def test_commits_that_fail_otherwise_are_skipped(small: Small, world: World) -> None:
    line = world.lines["skips"]
    ran = bisect(small, "--bad", "skips")
    assert ran.code == 1, ran.shown()
    assert ran.out.splitlines()[:5] == [
        "one of 4 commits of `thing` is the first that breaks `thing` of `small`; not yet known which",
        f"  skipped   {line[3]} change 3",
        f"  skipped   {line[4]} change 4",
        f"  skipped   {line[5]} change 5",
        f"  bad       {line[6]} change 6",
    ]


COMMAND = """
echo x >> calls
[ ! -e armed ] || [ $(wc -l < calls) -lt 4 ] || kill -{signal} $PPID
grep -q 'int thing' "$RECIPES_SOURCE/src/thing.c" || exit 1
"""


@pytest.mark.parametrize("signal", ["KILL", pytest.param("INT", marks=pytest.mark.slow)])
def test_what_was_judged_outlives_an_end(small: Small, world: World, signal: str) -> None:
    command = COMMAND.replace("{signal}", signal)
    words = ("--run", command, "--no-build", "--repeat", "1")
    small.write("armed", "")
    killed = bisect(small, *words)  # two ends, one step, and in the second
    assert killed.code in (130, -9), killed.shown()
    assert len((small.root / "calls").read_text().splitlines()) == 4
    (small.root / "armed").unlink()
    ran = bisect(small, *words, "--json").ok()
    assert "commits judged so far: 3" in ran.err
    assert json.loads(ran.out)["first_bad"]["commit"] == world.lines["main"][FIRST]
    assert len((small.root / "calls").read_text().splitlines()) == 4 + json.loads(ran.out)["judged"] - 3


def test_a_command_judges_what_was_built(small: Small, world: World) -> None:
    command = 'read -r number < "$RECIPES_SOURCE/src/number.h" && cp "$RECIPES_RESULT"/lib/* . || number=0; '
    ran = bisect(
        small, "--bad", world.lines["main"][5], "--run", f"{command} [ $number -lt 2 ]", "--json"
    ).ok()
    assert json.loads(ran.out)["first_bad"]["commit"] == world.lines["main"][2]
    assert json.loads(ran.out)["fails"]["phase"] == "command"
    assert (small.root / "libthing.so").read_bytes().startswith(b"int thing")


def test_a_judge_that_is_not_steady(small: Small, world: World) -> None:
    ran = bisect(small, "--no-build", "--run", "[ ! -e seen ] && : > seen").failed(10)
    assert ran.error == (
        f"error: the judge is not steady: commit {world.lines['main'][0]} of `thing` was judged twice\n"
        "  first     is good\n  then      fails: `thing` in phase `command`\n\n"
        "hint: a judge must always say the same of one commit\n"
    )


def test_a_branch_that_was_rewritten(small: Small, world: World) -> None:
    fork, main = world.lines["fork"][-1], world.lines["main"]
    ran = bisect(small, "--good", fork, "--json").ok()
    assert told(ran)[:2] == [
        f"warning: {fork} of `thing` did not lead to {main[-1]}: the branch was rewritten, or there are two",
        f"  the good commit is what both come from: {main[0]}",
    ]
    found = json.loads(ran.out)
    assert (found["first_bad"]["commit"], found["rewritten"]) == (main[FIRST], fork)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"good": "{6}", "bad": "{8}"}, "the good commit {6} of `thing` is bad\n  fails     "),
        ({"bad": "{1}"}, "the bad commit {1} of `thing` is good: `thing` of `small` does not break"),
        ({"bad": "{0}"}, "no commits between the two of `https://git.example/thing`: they are the same"),
        (
            {"good": "{2}", "bad": "{1}"},
            "no commits between the two of `https://git.example/thing`: the bad one led to the good one",
        ),
        (
            {"bad": "alone"},
            "two commits of `https://git.example/thing` share no history\n  good      {0}\n",
        ),
        ({"bad": "nothing"}, "`https://git.example/thing` has no branch or tag `nothing`"),
        ({"budget": "x"}, "`--budget x` is no number of builds, and no time such as `30m` or `2h`"),
        ({"build": False}, "`--no-build` leaves nothing that judges\n\nhint: add `--run COMMAND`"),
        ({"build": False, "command": "exit 125"}, "the good commit {0} of `thing` cannot be judged"),
        (
            {"build": False, "command": "exit 128"},
            "`--run exit 128` gives no judgement of {0}: exit code 128\n\nhint: 0 is good, 125 skips",
        ),
        ({"replay": Path("no.jsonl")}, "`no.jsonl` cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_searched(one: Small, world: World, asked: dict[str, Any], message: str) -> None:
    line = world.lines["main"]
    given: dict[str, Any] = {
        key: value.format(*line) if isinstance(value, str) else value for key, value in asked.items()
    }
    with pytest.raises(UsageError) as caught:
        make.bisect(Run(Report(QUIET), one.env, one.root), make.Asked("thing", "small", **given))
    assert str(caught.value).startswith(message.format(*line))


def test_a_source_that_is_not_there(small: Small) -> None:
    ran = bisect(small, source="thin").failed(2)
    assert ran.error == (
        "error: variant `small` has no source `thin`, did you mean `thing`?\n\nhint: there is thing\n"
    )
    other = small.run("bisect", "app", "--variant", "both", "thing").failed(2)
    assert other.error == "error: `thing` of `both` is not made from `app`\n"


def test_a_damaged_log(small: Small) -> None:
    small.write(".bisect/small.thing.thing.jsonl", "{}\n")
    log = small.root / ".bisect/small.thing.thing.jsonl"
    ran = bisect(small).failed(2)
    assert ran.error.startswith(
        f"error: {log}:1: no line of a log of `recipes bisect`: source: Field required"
    )
    assert ran.error.endswith(f"hint: `rm {log}`\n")
