"""The search over sets of inputs, locks between two locks, and what is told: as values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.diff import Changed, Difference
from recipes.hashes import sri
from recipes.holdback import mixing, telling
from recipes.holdback.mixing import Input, Locked
from recipes.holdback.outcome import HeldBack, Outcome, Refreshed, Waiting
from recipes.holdback.settle import Settled, settle
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.requirements import Requirements, Wheel


class Builds:
    """A judge: an input that is broken never builds; one that needs others does only with them."""

    def __init__(
        self, broken: Sequence[str] = (), needs: Mapping[str, str] | None = None, most: int | None = None
    ) -> None:
        self.broken, self.needs, self.most = frozenset(broken), needs or {}, most
        self.asked: dict[frozenset[str], bool] = {}

    def __call__(self, moved: frozenset[str]) -> bool | None:
        if moved not in self.asked:
            if self.most is not None and len(self.asked) >= self.most:
                return None
            whole = all(self.needs.get(one, one) in moved for one in moved)
            self.asked[moved] = whole and not moved & self.broken
        return self.asked[moved]


@pytest.mark.parametrize(
    ("inputs", "judge", "found"),
    [
        ("abc", Builds(), Settled(frozenset("abc"))),
        ("abc", Builds("b"), Settled(frozenset("ac"), ("b",))),
        ("abc", Builds("abc"), Settled(frozenset(), ("a", "b", "c"))),
        ("abcdefgh", Builds("ch"), Settled(frozenset("abdefg"), ("c", "h"))),
        ("abc", Builds("c", {"a": "b"}), Settled(frozenset("ab"), ("c",))),  # `a` breaks until `b` is there
        ("abc", Builds("", {"a": "b", "b": "a"}), Settled(frozenset("abc"))),
        ("", Builds(), Settled(frozenset())),
        ("abcd", Builds("d", most=1), Settled(frozenset(), (), tuple("abcd"))),
        ("abcd", Builds("d", most=2), Settled(frozenset("ab"), (), tuple("cd"))),
        ("abcd", Builds("a", most=3), Settled(frozenset(), ("a",), tuple("bcd"))),
    ],
)
def test_what_can_be_taken(inputs: str, judge: Builds, found: Settled) -> None:
    assert settle(tuple(inputs), judge) == found


@given(st.lists(st.booleans(), max_size=20))
def test_each_that_breaks_alone_is_left_out_and_nothing_else(breaks: list[bool]) -> None:
    names = [str(at) for at in range(len(breaks))]
    broken = [name for name, one in zip(names, breaks, strict=True) if one]
    judge = Builds(broken)
    found = settle(names, judge)
    assert found == Settled(frozenset({*names} - {*broken}), tuple(broken))
    steps = math.ceil(math.log2(len(names) + 1)) + 2 if names else 0
    assert len(judge.asked) <= (len(broken) + 1) * max(steps, 1)


@given(st.data(), st.integers(0, 12))
def test_what_is_taken_builds_and_nothing_left_out_can_be_added(data: st.DataObject, count: int) -> None:
    names = [str(at) for at in range(count)]
    some = st.sampled_from(names) if names else st.nothing()
    needs = data.draw(st.dictionaries(some, some))
    judge = Builds(sorted(data.draw(st.sets(some))) if names else (), needs)
    found = settle(names, judge)
    assert found.untried == ()
    assert {*found.moved} | {*found.broken} == {*names}
    assert judge(found.moved)
    assert not any(judge(found.moved | {one}) for one in found.broken)


@given(st.sets(st.integers(0, 9)), st.integers(0, 20))
def test_what_is_taken_when_the_budget_ends_was_judged(broken: set[int], most: int) -> None:
    names = [str(at) for at in range(10)]
    judge = Builds([str(one) for one in broken], most=most)
    found = settle(names, judge)
    assert not found.moved or judge.asked[found.moved]
    assert sorted([*found.moved, *found.broken, *found.untried]) == names


def commit(number: int) -> str:
    return f"{number:040x}"


def source(number: int) -> LockedSource:
    origins = (GitOrigin(git="https://git.example/thing"),)
    return LockedSource(commit=commit(number), hash=sri(bytes([number]) * 32), origins=origins)


def locked(cmake: str = "3.31.0", **sources: int) -> Locked:
    named = {name.replace("__", "/"): source(number) for name, number in sources.items()}
    wheels = [
        Wheel("cmake", cmake, f"cmake-{cmake}-py3-none-any.whl", "0" * 64, platform)
        for platform in ("linux-64", "linux-aarch64")
    ]
    return Locked(Lock(sources=named), Requirements(tuple(wheels)))


OLD, NEW = locked(a=1, b=1, c=1, b__sub=1), locked("4.0.0", a=2, b=2, c=1, b__sub=2, d=1)


def test_what_moved() -> None:
    assert mixing.inputs(OLD, NEW) == (
        Input("source", "a", commit(1), commit(2)),
        Input("source", "b", commit(1), commit(2)),
        Input("package", "cmake", "3.31.0", "4.0.0"),
    )
    assert [one.key for one in mixing.inputs(OLD, NEW)] == ["a", "b", "pypi:cmake"]


@pytest.mark.parametrize(
    ("moved", "found"),
    [
        ((), locked(a=1, b=1, c=1, b__sub=1, d=1)),
        (("a",), locked(a=2, b=1, c=1, b__sub=1, d=1)),
        (("b", "pypi:cmake"), locked("4.0.0", a=1, b=2, c=1, b__sub=2, d=1)),
        (("a", "b", "pypi:cmake"), NEW),
    ],
)
def test_some_as_they_were_and_some_as_they_are(moved: Sequence[str], found: Locked) -> None:
    mixed = mixing.mixed(OLD, NEW, moved)
    assert mixed.sources == found.sources
    assert {*mixed.wheels.wheels} == {*found.wheels.wheels}


def test_a_source_goes_to_a_commit_with_its_submodules() -> None:
    entries = {"b": source(7)}
    assert OLD.at(entries).sources == Lock(sources={"a": source(1), "c": source(1), "b": source(7)})


A = Input("source", "a", commit(1), commit(9))
CMAKE = Input("package", "cmake", "3.31.0", "4.0.0")
DAY = date(2026, 12, 9)


def test_all_is_told() -> None:
    outcome = Outcome(
        "small",
        moved=(Input("source", "b", commit(1), commit(2)),),
        held=(
            HeldBack(A, commit(5), commit(6), f"{commit(6)} (2024-05-27, change `6` @you): fails", DAY),
            HeldBack(CMAKE, "3.31.0", None, "`a` in phase `configure`", DAY),
        ),
        waiting=(Waiting("c", commit(3), "it fails", DAY),),
        lifted=("b", "e"),
        untried=(Input("source", "d", commit(1), commit(2)),),
        unresolved=("source `f` cannot be had",),
        nar_hash="sha256-x",
        spent="the budget of 3 builds is spent",
        builds=3,
        seconds=61.4,
    )
    assert telling.markdown([Refreshed(outcome, Changed("small", ("locks/x",), Difference()))]) == (
        "Everything that floats was resolved anew, by `recipes refresh --hold-back`.\n\n"
        "## small\n\n"
        "Builds and passes its check: `sha256-x` (3 builds in 1 min 1 s). "
        "Stopped early: the budget of 3 builds is spent.\n\n"
        "| input | was | asked for | taken | |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `a` | `000000000000` | `000000000000` | `000000000000` | **held back** until 2026-12-09: "
        f"``` {commit(6)} (2024-05-27, change `6` @you): fails ``` |\n".replace("```", "``")
        + "| `pypi:cmake` | `3.31.0` | `4.0.0` | `3.31.0` | **held back** until 2026-12-09: "
        "`` `a` in phase `configure` `` |\n"
        "| `b` | `000000000000` | `000000000000` | `000000000000` | was held back, and builds again |\n"
        "| `d` | `000000000000` | `000000000000` | `000000000000` | not tried |\n"
        "| `c` | `000000000000` |  | `000000000000` | held back until 2026-12-09: `it fails` |\n"
        "| `e` |  |  |  | no longer held back |\n\n"
        "Not looked up:\n\n```\nsource `f` cannot be had\n```\n\n"
        "Written anew: `locks/x`"
    )
    row = telling.document([Refreshed(outcome)])["variants"][0]
    assert row["held"][0] == {
        "wanted": {"kind": "source", "name": "a", "old": commit(1), "new": commit(9)},
        "at": commit(5),
        "broken": commit(6),
        "why": f"{commit(6)} (2024-05-27, change `6` @you): fails",
        "retry": "2026-12-09",
    }
    assert (row["seconds"], row["files"], row["spec"]) == (61.4, [], False)


def test_a_stranger_cannot_end_a_row() -> None:
    why = "a | b\nc"
    outcome = Outcome("small", held=(HeldBack(A, commit(1), None, why, DAY),), nar_hash="x")
    told = telling.markdown([Refreshed(outcome, spec=True)])
    [row] = [line for line in told.splitlines() if line.startswith("| `a`")]
    assert row.endswith("`a \\| b c` |")


def test_nothing_settled() -> None:
    outcome = Outcome("small", error="what is locked does not build\n  x", builds=1, seconds=3)
    assert telling.markdown([Refreshed(outcome)]).endswith(
        "**Nothing is settled** (1 build in 3 s): the locks stay as they are.\n\n"
        "```\nwhat is locked does not build\n  x\n```"
    )


def test_a_stranger_cannot_end_a_block() -> None:
    outcome = Outcome("small", error="it fails\n  ```` @you", unresolved=("```",))
    told = telling.markdown([Refreshed(outcome)])
    assert "\n\n`````\nit fails\n  ```` @you\n`````\n\n" in told
    assert told.endswith("Not looked up:\n\n````\n```\n````")


def test_nothing_was_tried() -> None:
    outcome = Outcome("small", waiting=(Waiting("c", commit(3), "it fails", DAY),), seconds=1)
    told = telling.markdown([Refreshed(outcome)])
    assert "## small\n\nNothing was tried (0 builds in 1 s): the locks are what they would be.\n\n" in told


def test_a_variant_in_which_nothing_moved_is_not_told() -> None:
    assert not telling.worth(Refreshed(Outcome("small")))
    assert telling.document([Refreshed(Outcome("small"))])["variants"][0]["variant"] == "small"
