"""Grades, history and what is told of health, as values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from recipes.health import grade, history, model, sources, telling
from recipes.health.model import (
    Ahead,
    Asked,
    GradedPackage,
    GradedSource,
    Head,
    Health,
    Locked,
    Origin,
    Package,
    Point,
    Source,
    Upstream,
    Variant,
)

TODAY = date(2026, 11, 25)
GIT = "https://git.example/thing"


def when(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WELL = Source(
    "thing",
    GIT,
    "MIT",
    Asked("branch", "main"),
    Locked("a" * 40, when("2026-11-01"), date(2026, 11, 2)),
    Upstream("refs/heads/main", "b" * 40, when("2026-11-20"), behind=3, on_branch=True, archived=False),
    (Origin(GIT, "git", answers=True), Origin("debian thing", "debian", answers=True)),
)
PACKAGE = Package(
    "toolchain", "cmake", "3.31.0", date(2026, 10, 1), "4.0.0", 2, yanked=False, listing="listed"
)


def upstream(**changes: object) -> Source:
    return replace(WELL, upstream=replace(WELL.upstream, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "mark", "reasons"),
    [
        (WELL, "A", []),
        (replace(WELL, upstream=Upstream(unknown="no answer"), origins=()), "A", []),
        (
            replace(WELL, origins=(Origin(GIT, "git", answers=False, why="gone"),)),
            "E",
            ["unreachable: none of its 1 origins has it", f"single-origin: one origin only: {GIT}"],
        ),
        (replace(WELL, origins=(Origin(GIT, "git", None, "silent"),) * 2), "A", []),
        (
            replace(
                WELL, origins=(WELL.origins[0], Origin("debian thing", "debian", answers=False, why="gone"))
            ),
            "B",
            ["silent-origin: without an answer: debian thing (gone)"],
        ),
        (
            replace(WELL, head=Head("fails", "`thing` in phase `build`")),
            "D",
            ["head-breaks: its head breaks the build: `thing` in phase `build`"],
        ),
        (replace(WELL, head=Head("good")), "A", []),
        (
            replace(WELL, ahead=(Ahead("fp16-without-peachpy"), Ahead("other"))),
            "D",
            ["breakage-ahead: known to break ahead: `fp16-without-peachpy`, `other`"],
        ),
        (upstream(archived=True), "D", ["archived: its repository is archived"]),
        (
            upstream(behind=None, on_branch=False),
            "D",
            ["rewritten: the locked commit is not in the history of `main`"],
        ),
        (replace(upstream(behind=None, on_branch=False), asked=Asked("tag", "v1.0")), "A", []),
        (upstream(date=when("2025-11-25")), "A", []),
        (upstream(date=when("2025-11-24")), "C", ["dormant: no commit upstream for 1.0 years"]),
        (upstream(date=when("2023-11-26")), "C", ["dormant: no commit upstream for 3.0 years"]),
        (upstream(date=when("2023-02-01")), "D", ["abandoned: no commit upstream for 3.8 years"]),
        (
            upstream(moved_to="https://git.example/new"),
            "C",
            ["moved: its repository moved to https://git.example/new"],
        ),
        (replace(WELL, asked=Asked("held", "main")), "B", ["held: held back, 3 commits behind"]),
        (
            replace(WELL, locked=replace(WELL.locked, since=date(2026, 5, 1))),
            "B",
            ["stale: 3 commits behind, and locked for 208 days"],
        ),
        (replace(upstream(behind=0), locked=replace(WELL.locked, since=date(2026, 5, 1))), "A", []),
    ],
)
def test_the_grade_of_a_source(facts: Source, mark: str, reasons: Sequence[str]) -> None:
    found, told = grade.source(facts, TODAY)
    assert (found, [f"{one.rule}: {one.text}" for one in told]) == (mark, [*reasons])


@pytest.mark.parametrize(
    ("changes", "mark", "reasons"),
    [
        ({}, "A", []),
        ({"released": None, "newest": None, "newer": None, "yanked": None, "listing": None}, "A", []),
        ({"listing": "withdrawn"}, "E", ["withdrawn: its index does not have it any more"]),
        ({"listing": "another hash"}, "E", ["withdrawn: its index has other bytes"]),
        ({"yanked": True}, "D", ["yanked: yanked"]),
        ({"yanked": "broken"}, "D", ["yanked: yanked: broken"]),
        ({"released": date(2025, 11, 24)}, "B", ["outdated: 1.0 years old, newest 4.0.0"]),
        ({"released": date(2024, 11, 24)}, "C", ["old: 2.0 years old, newest 4.0.0"]),
        ({"released": date(2020, 1, 1), "newer": 0}, "A", []),
    ],
)
def test_the_grade_of_a_package(changes: dict[str, object], mark: str, reasons: Sequence[str]) -> None:
    found, told = grade.package(replace(PACKAGE, **changes), TODAY)  # type: ignore[arg-type]
    assert (found, [f"{one.rule}: {one.text}" for one in told]) == (mark, [*reasons])
    advice = "`recipes lock toolchain`, and a wider range of `cmake` where the spec has a narrow one"
    assert all(one.advice == advice for one in told)


def test_every_rule_is_told() -> None:
    told = grade.rules()
    assert len(told) == len(grade.SOURCES) + len(grade.PACKAGES) + 1
    assert told[0] == ("E", "A source that none of its origins has any more.")
    assert told[-1] == ("A", "Anything else. A variant has the grade of its worst input.")
    assert [mark for mark, _ in told] == sorted((mark for mark, _ in told), reverse=True)


def graded(facts: Source, trend: tuple[Point, ...] = ()) -> GradedSource:
    return GradedSource(facts, *grade.source(facts, TODAY), trend=trend)


def variant(*sources: GradedSource, packages: Sequence[Package] = ()) -> Variant:
    boxed = tuple(GradedPackage(one, *grade.package(one, TODAY)) for one in packages)
    marks = [*(one.grade for one in sources), *(one.grade for one in boxed)]
    return Variant("small", model.worst(marks), sources, boxed)


def test_days_are_kept_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "new/small.jsonl"
    assert history.read(path) == []
    made = variant(graded(WELL))
    history.keep(path, [], made, date(2026, 11, 18))
    history.keep(path, history.read(path), variant(graded(upstream(behind=5))), TODAY)
    history.keep(path, history.read(path), variant(graded(upstream(behind=7))), TODAY)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"date": "2026-11-18", "grade": "A", "sources": {"thing": {"grade": "A", "behind": 3, "origins": 2}}},
        {"date": "2026-11-25", "grade": "A", "sources": {"thing": {"grade": "A", "behind": 7, "origins": 2}}},
    ]
    days = history.read(path)
    assert history.points(days, "thing", TODAY) == (Point(date(2026, 11, 18), "A", 3),)
    assert history.points(days, "other", TODAY) == ()


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'{"date": "soon", "sources": {}}', b'{"date": 3}', b"\xff", b"[" * 100_000],
)
def test_a_line_that_is_no_day_does_not_count(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "small.jsonl"
    good = b'{"date": "2026-11-01", "grade": "B", "sources": {"thing": {"grade": "B"}}}'
    path.write_bytes(good + b"\n" + line + b"\n" + good[:-5])
    days = history.read(path)
    assert [one["date"] for one in days] == ["2026-11-01"]
    assert history.points(days, "thing", TODAY) == (Point(date(2026, 11, 1), "B", None),)


@pytest.mark.parametrize("row", [{"grade": "Z"}, {"grade": None}, 3, {"behind": 1}])
def test_a_source_that_a_day_says_nothing_of(row: object) -> None:
    assert history.points([{"date": "2026-11-01", "sources": {"thing": row}}], "thing", TODAY) == ()


def test_what_is_told() -> None:
    held = replace(
        upstream(behind=29, date=when("2026-06-19")),
        asked=Asked("held", "main"),
        head=Head("fails", "`a | b`"),
    )
    other = replace(WELL, name="x", upstream=Upstream(unknown="no answer"), origins=(WELL.origins[0],))
    made = variant(
        graded(held, (Point(date(2026, 11, 18), "D", 27),)),
        graded(other),
        packages=[
            replace(PACKAGE, yanked="bad"),
            replace(PACKAGE, name="ninja", newer=0, unknown="who knows"),
        ],
    )
    health = Health(TODAY, (made,))
    assert telling.text(health) == (
        "small: grade D\n"
        "\n"
        "grade  source  asked for               locked                   upstream                   "
        "behind                                 origins  licence\n"
        "D      thing   branch main, held back  aaaaaaaaaaaa 2026-11-01  2026-06-19, 0.4 years ago  "
        "29 (+2 since 2026-11-18), head breaks  2 of 2   MIT\n"
        "C      x       branch main, floating   aaaaaaaaaaaa 2026-11-01  unknown                    "
        "                                       1 of 1   MIT\n"
        "\n"
        "not known of x: no answer\n"
        "\n"
        "grade  package  version  released    newest  newer\n"
        "D      cmake    3.31.0   2026-10-01  4.0.0   2\n"
        "\n"
        "packages with nothing that costs a grade: 1; not all is known: who knows\n"
        "\n"
        "D thing: its head breaks the build: `a | b`\n"
        "    `recipes bisect thing` names the commit that does it\n"
        "D thing: held back, 29 commits behind\n"
        "    `recipes refresh --hold-back` lifts it when it builds again\n"
        "D cmake: yanked: bad\n"
        "    `recipes lock toolchain`, and a wider range of `cmake` where the spec has a narrow one\n"
        f"C x: one origin only: {GIT}\n"
        "    add an origin under `also:`: Debian or a package may carry it"
    )
    told = telling.markdown(health)
    assert "| D | thing | branch main, held back | aaaaaaaaaaaa 2026-11-01 |" in told
    assert "- **D** `thing`: `` its head breaks the build: `a | b` ``. `recipes bisect thing` names" in told
    assert told.endswith("- **A**: Anything else. A variant has the grade of its worst input.")
    document = model.document(health)["variants"][0]
    assert document["sources"][0]["trend"] == [{"date": "2026-11-18", "grade": "D", "behind": 27}]
    assert document["sources"][1]["upstream"]["unknown"] == "no answer"


@pytest.mark.parametrize(
    ("sent_to", "moved"),
    [
        (None, None),
        ("https://git.example/thing.git", None),
        ("http://git.example/Thing/", None),
        ("https://git.example/new", "https://git.example/new"),
    ],
)
def test_a_redirect_to_the_same_place_is_no_move(sent_to: str | None, moved: str | None) -> None:
    assert sources._elsewhere(GIT, sent_to) == moved
