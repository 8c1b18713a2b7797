from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import specimen

from recipes import diff
from recipes.diff import Difference, SourceChanged, WheelChanged
from recipes.history import Span, Step
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin, PypiOrigin
from recipes.requirements import Requirements

GIT = "https://example.org/fp16"
OLD, NEW = "4987f20d48c22694d84bbffa839168596ea027ae", "07ff4fd68112" + "0" * 28
WHEN = datetime(2024, 5, 27, 22, 0, 5, tzinfo=UTC)
MOVED: dict[str, Any] = {"commit": NEW, "date": "2024-05-28T00:00:00Z", "hash": specimen.sri("moved")}


def source(**changes: Any) -> LockedSource:
    """Give a source that is locked, or that with changes."""
    values = {
        "ref": "master", "resolved": "refs/heads/master", "commit": OLD, "date": "2024-05-27T20:38:41Z",
        "tree": "c9" * 20, "include": ["a"], "hash": specimen.sri("fp16"), "origins": [GitOrigin(git=GIT)],
    }  # fmt: skip
    return LockedSource.model_validate({**values, **changes})


def lock(**sources: LockedSource | None) -> Lock:
    return Lock(sources={name: one for name, one in sources.items() if one is not None})


def shown(old: LockedSource | None, new: LockedSource | None, span: Span | str = "not asked") -> str:
    """Write the difference of two locks of `fp16`."""
    known = {(GIT, OLD, NEW): span}
    return diff.text(Difference(diff.compare(lock(fp16=old), lock(fp16=new), known)))


def steps(count: int) -> tuple[Step, ...]:
    return tuple(Step(f"{at:040x}", WHEN, f"step {at}") for at in range(count, 0, -1))


PLAIN = source()
ARCHIVE = PypiOrigin(pypi="carrier", version="1.10", file="c.tar.gz", sha256="ab" * 32)
CASES: dict[str, tuple[LockedSource | None, LockedSource | None, str]] = {
    "nothing": (PLAIN, source(), ""),
    "new": (None, PLAIN, "fp16: new, 4987f20d48c2 (2024-05-27)"),
    "gone": (PLAIN, None, "fp16: gone, was 4987f20d48c2 (2024-05-27)"),
    "no commit": (
        None,
        source(commit=None, date=None, tree=None, ref=None, resolved=None),
        f"fp16: new, {specimen.sri('fp16')[:19]}",
    ),
    "no date": (None, source(date=None), "fp16: new, 4987f20d48c2"),
    "moved": (
        PLAIN,
        source(**MOVED),
        (
            "fp16: 4987f20d48c2 (2024-05-27) → 07ff4fd68112 (2024-05-28)\n"
            "  the commits between are not known: not asked"
        ),
    ),
    "moved to the same content": (
        PLAIN,
        source(commit=NEW),
        (
            "fp16: 4987f20d48c2 (2024-05-27) → 07ff4fd68112 (2024-05-27)\n"
            "  what is taken is the same\n"
            "  the commits between are not known: not asked"
        ),
    ),
    "ref": (PLAIN, source(ref="main"), "fp16: 4987f20d48c2 (2024-05-27)\n  ref `master` → `main`"),
    "another kind of ref": (
        PLAIN,
        source(resolved="refs/tags/master"),
        "fp16: 4987f20d48c2 (2024-05-27)\n  found as `refs/heads/master` → `refs/tags/master`",
    ),
    "before": (
        PLAIN,
        source(before="2024-05-27T22:40:00+02:00"),
        "fp16: 4987f20d48c2 (2024-05-27)\n  before none → `2024-05-27T20:40:00Z`",
    ),
    "filter": (
        source(include=["a", "b"], strip="x"),
        source(include=["a", "c"], exclude=["d"], modes="plain", hash=specimen.sri("other")),
        (
            "fp16: 4987f20d48c2 (2024-05-27)\n  include - `b`, + `c`\n  exclude + `d`\n  strip `x` → none\n"
            f"  modes `git` → `plain`\n  content `{specimen.sri('fp16')}` → `{specimen.sri('other')}`"
        ),
    ),
    "order": (
        source(include=["a", "b"], origins=[GitOrigin(git=GIT), ARCHIVE]),
        source(include=["b", "a"], origins=[ARCHIVE, GitOrigin(git=GIT)]),
        (
            "fp16: 4987f20d48c2 (2024-05-27)\n  include: the same in another order\n"
            "  origin: the same in another order"
        ),
    ),
    "origins": (
        source(origins=[GitOrigin(git=GIT), ARCHIVE]),
        source(origins=[GitOrigin(git=GIT), ARCHIVE.model_copy(update={"path": "p"})]),
        (
            "fp16: 4987f20d48c2 (2024-05-27)\n"
            f"  origin - `pypi carrier version 1.10 file c.tar.gz sha256 {'ab' * 32}`,"
            f" + `pypi carrier version 1.10 file c.tar.gz sha256 {'ab' * 32} path p`"
        ),
    ),
    "what was not known": (
        source(tree=None, date=None),
        PLAIN,
        (
            "fp16: 4987f20d48c2 → 4987f20d48c2 (2024-05-27)\n"
            f"  tree none → `{'c9' * 20}`\n  date none → `2024-05-27T20:38:41Z`"
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_said(name: str) -> None:
    old, new, text = CASES[name]
    assert shown(old, new) == text


def test_every_field_of_a_lock_has_its_words() -> None:
    told = {"ref", "before", "resolved", "commit", "date", "tree", "include", "exclude", "strip", "modes"}
    assert set(LockedSource.model_fields) == told | {"hash", "origins"}


HEAD = "fp16: 4987f20d48c2 (2024-05-27) → 07ff4fd68112 (2024-05-28)\n"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(), ""),
        (
            Span(forward=(Step(NEW, WHEN, "Remove PeachPy"),)),
            "  1 commit forward\n    07ff4fd68112 2024-05-27 Remove PeachPy",
        ),
        (
            Span(back=(*steps(2), Step(NEW, WHEN, ""))),
            (
                f"  3 commits back\n    {'0' * 12} 2024-05-27 step 2\n    {'0' * 12} 2024-05-27 step 1\n"
                "    07ff4fd68112 2024-05-27"
            ),
        ),
        (
            Span(forward=steps(1), back=steps(1)),
            (
                f"  1 commit forward\n    {'0' * 12} 2024-05-27 step 1\n"
                f"  1 commit back\n    {'0' * 12} 2024-05-27 step 1"
            ),
        ),
        ("h does not answer", "  the commits between are not known: h does not answer"),
    ],
)
def test_the_commits_between_are_listed(span: Span | str, text: str) -> None:
    assert shown(PLAIN, source(**MOVED), span) == (HEAD + text).rstrip("\n")


@pytest.mark.parametrize(
    ("count", "shown_of_it", "rest"), [(50, 50, ""), (51, 50, "and 1 more"), (163, 50, "and 113 more")]
)
def test_at_most_fifty_commits_are_listed(count: int, shown_of_it: int, rest: str) -> None:
    found = shown(PLAIN, source(**MOVED), Span(forward=steps(count))).splitlines()
    assert found[1] == f"  {count} commits forward"
    assert [line for line in found[2:] if "step" in line][-1].endswith(f"step {count - shown_of_it + 1}")
    assert [line.strip() for line in found[2:] if "step" not in line] == [rest] * bool(rest)


def test_the_commits_to_ask_for() -> None:
    part = {"resolved": None, "ref": None, "origins": [GitOrigin(git="https://example.org/part")]}
    moved = {"commit": NEW, "resolved": "refs/heads/main"}
    old = lock(
        a=PLAIN, b=PLAIN, same=PLAIN, gone=PLAIN, none=source(commit=None), archive=source(origins=[ARCHIVE]),
        **{"a/part": source(**part)},
    )  # fmt: skip
    new = lock(
        a=source(**moved), b=source(**moved), same=PLAIN, new=PLAIN, none=source(commit=NEW),
        archive=source(origins=[ARCHIVE], commit=NEW), **{"a/part": source(**part, commit=NEW)},
    )  # fmt: skip
    assert diff.moves(old, new) == {
        (GIT, OLD, NEW): "refs/heads/main",
        ("https://example.org/part", OLD, NEW): None,
    }


def test_an_archive_in_place_of_a_repository_is_still_asked_for_its_commits() -> None:
    archive = source(commit=NEW, origins=[ARCHIVE])
    assert [*diff.moves(lock(fp16=PLAIN), lock(fp16=archive))] == [(GIT, OLD, NEW)]


def test_a_repository_that_moved_is_asked_at_its_new_place() -> None:
    moved = source(commit=NEW, origins=[GitOrigin(git="https://example.net/fp16")])
    assert [*diff.moves(lock(fp16=PLAIN), lock(fp16=moved))] == [("https://example.net/fp16", OLD, NEW)]


def test_nobody_was_asked() -> None:
    [one] = diff.compare(lock(fp16=PLAIN), lock(fp16=source(**MOVED)), {})
    assert one.span == "nobody was asked"


def test_wheels_that_changed_alike_are_one() -> None:
    both = ("linux-64", "linux-aarch64")
    cmake = [specimen.wheel("cmake", "3.31.10", on) for on in both]
    newer = [specimen.wheel("cmake", "4.0", on) for on in both]
    ninja = specimen.wheel("ninja", "1.13.0")
    old = Requirements((*cmake, ninja, specimen.wheel("six", "1.16"), specimen.wheel("same", "1")))
    new = Requirements(
        (
            *newer, replace(ninja, sha256="ab" * 32), specimen.wheel("zig", "0.15"),
            replace(specimen.wheel("same", "1"), via=("cmake",)),
        )
    )  # fmt: skip
    changed = diff.wheels(old, new)
    assert changed == (
        WheelChanged("cmake", "3.31.10", "4.0", both),
        WheelChanged("ninja", "1.13.0", "1.13.0", ("linux-64",)),
        WheelChanged("six", "1.16", None, ("linux-64",)),
        WheelChanged("zig", None, "0.15", ("linux-64",)),
    )
    assert diff.text(Difference(wheels=changed)).splitlines() == [
        "cmake: 3.31.10 → 4.0 for linux-64, linux-aarch64",
        "ninja: 1.13.0, another file for linux-64",
        "six: gone, was 1.16 for linux-64",
        "zig: new, 0.15 for linux-64",
    ]


BOTH = Difference(
    (
        SourceChanged(
            "fp16",
            source(include=[]),
            source(include=[], **MOVED, before="2024-05-28T00:00:00Z"),
            ("before none → `2024-05-28T00:00:00Z`",),
            Span(
                forward=(Step(NEW, WHEN, "Fix #1 for @you"), Step(OLD, WHEN, "Use `x` | **y**")),
                back=(Step(OLD, WHEN, ""),),
            ),
        ),
        SourceChanged("psimd", None, source()),
        SourceChanged("tvm", source(), source(**MOVED), (), "h does not answer"),
    ),
    (
        WheelChanged("cmake", "3.31.10", "4.0", ("linux-64", "linux-aarch64")),
        WheelChanged("zig", None, "0.15", ("linux-64",)),
    ),
)

MARKDOWN = """\
**fp16**: 4987f20d48c2 (2024-05-27) → 07ff4fd68112 (2024-05-28)

- before none → `2024-05-28T00:00:00Z`
- 2 commits forward
  - 07ff4fd68112 2024-05-27 `Fix #1 for @you`
  - 4987f20d48c2 2024-05-27 `` Use `x` | **y** ``
- 1 commit back
  - 4987f20d48c2 2024-05-27

**psimd**: new, 4987f20d48c2 (2024-05-27)

**tvm**: 4987f20d48c2 (2024-05-27) → 07ff4fd68112 (2024-05-28)

- the commits between are not known: h does not answer

| package | old | new | platforms |
| --- | --- | --- | --- |
| cmake | 3.31.10 | 4.0 | linux-64, linux-aarch64 |
| zig | - | 0.15 | linux-64 |"""


def test_markdown_for_a_pull_request() -> None:
    assert diff.markdown(BOTH) == MARKDOWN
    many = Difference((replace(BOTH.sources[0], span=Span(forward=steps(52))),))
    assert diff.markdown(many).splitlines()[-1] == "  - and 2 more"


def test_json_has_all_of_it() -> None:
    old = {
        "ref": "master", "resolved": "refs/heads/master", "commit": OLD, "date": "2024-05-27T20:38:41Z",
        "tree": "c9" * 20, "hash": specimen.sri("fp16"), "origins": [{"git": GIT}],
    }  # fmt: skip
    when = "2024-05-27T22:00:05Z"
    found = json.loads(json.dumps(diff.document(BOTH)))
    assert found["sources"][0] == {
        "name": "fp16",
        "old": old,
        "new": {**old, **MOVED, "before": "2024-05-28T00:00:00Z"},
        "notes": ["before none → `2024-05-28T00:00:00Z`"],
        "commits": {
            "forward": [
                {"commit": NEW, "date": when, "subject": "Fix #1 for @you"},
                {"commit": OLD, "date": when, "subject": "Use `x` | **y**"},
            ],
            "back": [{"commit": OLD, "date": when, "subject": ""}],
        },
    }
    assert found["sources"][1]["old"] is None
    assert found["sources"][1]["commits"] == {"forward": [], "back": []}
    assert (found["sources"][2]["commits"], found["sources"][2]["commits_unknown"]) == (
        None,
        "h does not answer",
    )
    assert found["packages"] == [
        {"name": "cmake", "old": "3.31.10", "new": "4.0", "platforms": ["linux-64", "linux-aarch64"]},
        {"name": "zig", "old": None, "new": "0.15", "platforms": ["linux-64"]},
    ]
    many = Difference((replace(BOTH.sources[0], span=Span(forward=steps(60))),))
    assert len(diff.document(many)["sources"][0]["commits"]["forward"]) == 60


def test_no_difference_is_nothing() -> None:
    assert diff.compare(lock(fp16=PLAIN), lock(fp16=source()), {}) == ()
    assert diff.wheels(specimen.toolchain(), specimen.toolchain()) == ()
    assert (diff.text(Difference()), diff.markdown(Difference())) == ("", "")
    assert diff.document(Difference()) == {"sources": [], "packages": []}
