"""The search, by table and by property; reasons, logs and verdicts as values."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.bisect import budget, log, reason, search, verdict
from recipes.bisect.budget import Budget, Spent
from recipes.bisect.log import Head, Judgement, Log
from recipes.bisect.reason import Reason
from recipes.bisect.search import Mark, Range
from recipes.bisect.verdict import Course
from recipes.errors import UsageError
from recipes.history import Step


def marks(text: str) -> dict[int, Mark]:
    """Read `g..s.b`: good, not judged, skipped, bad."""
    names: dict[str, Mark] = {"g": "good", "b": "bad", "s": "skip"}
    return {at: names[one] for at, one in enumerate(text) if one != "."}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("gb", Range(0, 1)),
        ("g..b", Range(0, 3, (1, 2))),
        ("g.g.b.b", Range(2, 4, (3,))),
        ("g.s.b", Range(0, 4, (1, 3), (2,))),
        ("gssb", Range(0, 3, (), (1, 2))),
        ("gbg.b", Range(2, 4, (3,))),  # mended, and broken again: what is broken now is meant
        ("sgsb", Range(1, 3, (), (2,))),
    ],
)
def test_what_is_left(text: str, left: Range) -> None:
    assert search.narrow(marks(text)) == left


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("gb", 1, []),
        ("g.b", 1, [1]),
        ("g..b", 1, [2]),
        ("g...b", 1, [2]),
        ("g...b", 2, [2, 3]),
        ("g...b", 3, [1, 2, 3]),
        ("g...b", 9, [1, 2, 3]),
        ("gsssb", 1, []),
        ("g....s.....b", 1, [4]),  # not beside the one that was skipped
        ("g...ss.....b", 1, [8]),
    ],
)
def test_what_is_judged_next(text: str, width: int, expected: list[int]) -> None:
    assert search.probes(search.narrow(marks(text)), width) == expected


@pytest.mark.parametrize(
    ("count", "width", "steps"),
    [(1, 1, 0), (2, 1, 1), (3, 1, 2), (30, 1, 5), (33, 1, 6), (9, 2, 2), (10, 2, 3), (13449, 1, 14)],
)
def test_steps(count: int, width: int, steps: int) -> None:
    assert search.steps(count, width) == steps


def searched(last: int, first_bad: int, skips: set[int], width: int) -> tuple[Range, int]:
    known: dict[int, Mark] = {0: "good", last: "bad"}
    count = 0
    while wanted := search.probes(search.narrow(known), width):
        assert not {*wanted} & {*known}
        assert len(wanted) <= width
        for at in wanted:
            known[at] = "skip" if at in skips else "bad" if at >= first_bad else "good"
        count += 1
    return search.narrow(known), count


@given(st.data(), st.integers(1, 400), st.integers(1, 4))
def test_the_first_bad_one_is_found_in_as_few_steps_as_can_be(
    data: st.DataObject, last: int, width: int
) -> None:
    first = data.draw(st.integers(1, last))
    left, count = searched(last, first, set(), width)
    assert left == Range(first - 1, first)
    assert count <= search.steps(last, width)


@given(st.data(), st.integers(1, 200), st.integers(1, 3))
def test_with_skips_the_range_has_the_first_bad_one_and_nothing_that_could_be_told(
    data: st.DataObject, last: int, width: int
) -> None:
    first = data.draw(st.integers(1, last))
    skips = data.draw(st.sets(st.integers(1, last))) - {last}
    left, count = searched(last, first, skips, width)
    assert left.unjudged == ()
    assert left.good < first <= left.bad
    assert set(range(left.good + 1, left.bad)) <= skips
    assert count <= len(skips) + math.log(last, 4 / 3) + 1  # a step that says something leaves 3/4 or less


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Reason("a", "build", "x"), Reason("a", "build", "x"), True),
        (Reason("a", "build", "x"), Reason("a", "check", "x"), False),
        (Reason("a", "build", "x"), Reason("b", "build", "x"), False),
        (Reason("a", "build", "x"), Reason("a", "build", "y"), False),
        (Reason("a", "run", "x", ("k", "l")), Reason("a", "run", "y", ("l",)), True),
        (Reason("a", "run", "x", ("k",)), Reason("a", "run", "x", ("l",)), False),
        (Reason("a", "run", "x", ("k",)), Reason("a", "run", "x"), False),
        (
            Reason("a", "build", "/tmp/x/thing.c:10:5: error: no `y`"),
            Reason("a", "build", "../thing.c:9:41: error: no `y`"),
            True,
        ),
    ],
)
def test_two_failures_are_of_one_kind(one: Reason, other: Reason, *, same: bool) -> None:
    assert one.same(other) is same
    assert other.same(one) is same


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ((), ""),
        (("a", " "), "a"),
        (("FAILED: x", "cc x.c", "x.c:1: error: no", "ninja: stopped"), "x.c:1: error: no"),
        (("Traceback (most recent call last):", "  raise Error", "ImportError: error"), "ImportError: error"),
        (("x" * 300,), "x" * 200),
    ],
)
def test_the_line_that_is_compared(said: tuple[str, ...], line: str) -> None:
    assert reason.decisive(said) == line


def commit(number: int) -> str:
    return f"{number:040x}"


def step(number: int, minutes: int | None = None) -> Step:
    at = number if minutes is None else minutes
    return Step(commit(number), datetime(2024, 5, 27, 13, at, tzinfo=UTC), f"change {number}")


HEAD = Head(
    "fp16", "nnpack", "nnpack-kernels", None, build=True, base="HASH-x", good=commit(0), bad=commit(5)
)
WHY = Reason("nnpack-kernels", "run", "ModuleNotFoundError: fp16.avx", ("fp16-without-peachpy",))
OTHER = Reason("nnpack", "configure", "CMake Error: no")


def judged(*results: tuple[int, Reason | None]) -> Log:
    return Log(
        HEAD,
        tuple(Judgement(commit(at), "failed" if why else "good", f"HASH{at}-x", why) for at, why in results),
    )


FULL = judged((0, None), (5, WHY), (3, WHY), (2, None))


BAD_LINE = "x:2: no line of a log of `recipes bisect`"


def test_a_log_is_read_as_it_was_written() -> None:
    assert log.parse(log.render(FULL), "x") == FULL
    assert log.parse(log.render(FULL)[:-1], "x") == Log(HEAD, FULL.judged[:-1])  # cut off by a kill


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "x: no log of `recipes bisect`: it has no line"),
        (b"\n", None),
        (b"\xff\n", None),
        (b'{"format": 1}\n', "x:1: no line of a log of `recipes bisect`: source: Field required"),
        (log.render(Log(HEAD)).replace(b'"format": 1', b'"format": 2'), None),
        (log.render(Log(HEAD)) + b'{"commit": "abc", "status": "good"}\n', None),
        (
            log.render(Log(HEAD)) + b'{"commit": "%040d", "status": "failed"}\n' % 0,
            f"{BAD_LINE}: Value error, a `reason` goes with `failed`, and only with that",
        ),
        (log.render(Log(HEAD)) + b'{"commit": "%040d", "status": "good", "more": 1}\n' % 0, None),
    ],
)  # fmt: skip
def test_what_is_no_log(text: bytes, message: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        log.parse(text, "x")
    assert message is None or caught.value.message == message


def test_a_log_holds_for_other_ends_only() -> None:
    assert HEAD.differs(replace(HEAD, good=commit(9), bad=commit(8))) is None
    assert HEAD.differs(replace(HEAD, run="true")) == "run"
    assert HEAD.differs(replace(HEAD, base="HASH-y")) == "base"


def test_what_fails_otherwise_than_the_bad_end_is_skipped() -> None:
    line = [step(at) for at in range(6)]
    found = judged((0, None), (5, WHY), (3, OTHER), (2, replace(WHY, line="x")))
    assert found.marks(line) == {0: "good", 2: "bad", 3: "skip", 5: "bad"}
    assert Log(HEAD).add(found.judged[0]).found == {commit(0): found.judged[0]}
    assert found.of_path("HASH3-x") == found.judged[2]
    assert found.of_path("HASH4-x") is None


LINE = tuple(step(at) for at in range(6))
COURSE = Course(LINE, LINE[::-1], "refs/heads/master")


def test_a_verdict_in_words() -> None:
    assert verdict.text(verdict.conclude(FULL, COURSE, 3)) == (
        f"{commit(3)} is the first commit of `fp16` that breaks `nnpack-kernels` of `nnpack`\n"
        "  date      2024-05-27T13:03:00Z\n"
        "  subject   change 3\n"
        "  fails     `nnpack-kernels` in phase `run`: ModuleNotFoundError: fp16.avx\n"
        "  known     breakage `fp16-without-peachpy`\n"
        f"  last good {commit(2)} of 2024-05-27T13:02:00Z: change 2\n"
        f"  spec      fp16: {{ref: {commit(2)}}}\n"
        "  or        fp16: {ref: master, before: 2024-05-27T13:02:00Z}\n"
        "  judged    4 of 6 commits, by 3 builds this time"
    )


WHAT = "`nnpack-kernels` of `nnpack`"


def test_a_verdict_that_is_a_range() -> None:
    found = judged((0, None), (5, WHY), (3, OTHER))
    one = verdict.conclude(found, COURSE, 1, "the budget of 1 build is spent")
    assert not one.settled
    assert verdict.text(one).splitlines()[:8] == [
        f"one of 5 commits of `fp16` is the first that breaks {WHAT}; not yet known which",
        f"  skipped   {commit(3)} change 3",
        f"  not judged{commit(1)} change 1",
        f"  not judged{commit(2)} change 2",
        f"  not judged{commit(4)} change 4",
        f"  bad       {commit(5)} change 5",
        "  fails     `nnpack-kernels` in phase `run`: ModuleNotFoundError: fp16.avx",
        "  known     breakage `fp16-without-peachpy`",
    ]
    document = verdict.document(one)
    assert (document["first_bad"], document["oldest_bad"]["commit"]) == (None, commit(5))
    assert document["stopped"] == "the budget of 1 build is spent"


@pytest.mark.parametrize(
    ("build", "what"), [(True, f"makes {WHAT} fail the command"), (False, "fails the command")]
)
def test_a_verdict_of_a_command(*, build: bool, what: str) -> None:
    found = Log(replace(HEAD, run="true", build=build), FULL.judged)
    first = verdict.text(verdict.conclude(found, COURSE, 0)).splitlines()[0]
    assert first == f"{commit(3)} is the first commit of `fp16` that {what}"


def test_a_date_is_named_only_where_it_names_the_commit() -> None:
    # a later commit has the date of the last good one: `before` would take that one
    line = (step(0), step(1), step(2), step(3, 2), step(4), step(5))
    one = verdict.conclude(FULL, Course(line, line[::-1], "refs/heads/master"), 0)
    assert (one.ref, one.before) == (None, None)
    assert "  or  " not in verdict.text(one)
    assert verdict.document(one)["spec"] == {"ref": {"ref": commit(2)}, "before": None}
    assert verdict.conclude(FULL, replace(COURSE, ref=None), 0).before is None


@pytest.mark.parametrize("text", ["", "-1", "x", "1s", "1.5", "10000000"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UsageError, match=r"^`--budget "):
        Budget(text)


def test_a_budget_of_builds() -> None:
    one = Budget("2")
    one.build()
    one.build()
    with pytest.raises(Spent, match=r"^the budget of 2 builds is spent$"):
        one.build()
    one.check()  # what costs no build may go on


def test_a_budget_of_time() -> None:
    Budget("1h").check()
    with pytest.raises(budget.Spent, match=r"^the budget of 0m is spent$"):
        Budget("0m").build()
    Budget(None).build()
