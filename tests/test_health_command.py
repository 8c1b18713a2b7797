"""`recipes health` as a user gives it, on the small project with real repositories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import smallproject
from gitserver import ENV, Repo
from smallproject import Ran, Small

from recipes import process

LATER = "1716900000 +0000"


@pytest.fixture
def moving(tmp_path: Path, fetched: Path) -> Iterator[Small]:
    """Give a checkout with repositories of its own."""
    upstream = smallproject.upstream(tmp_path / "upstream")
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(fetched)
        made.env["RECIPES_MIRROR"] += " https://api.github.com/=http://127.0.0.1:1/"
        yield made


def push(small: Small, files: dict[bytes, bytes], *, name: str = "app") -> str:
    repository = Repo(small.upstream.repositories / name)
    commit = repository.commit(files, small.upstream.commits[name], when=LATER, message="a | `change`")
    repository.ref("refs/heads/main", commit)
    return commit


GOOD = {b"CMakeLists.txt": b"project(app)\n", b"app.c": b"int app = 5;\n"}


def health(small: Small, *words: str, variant: str = "both") -> Ran:
    return small.run("health", "--variant", variant, *words)


def facts(ran: Ran) -> dict[str, Any]:
    [found] = json.loads(ran.ok().out)["variants"]
    assert found["variant"] == "both"
    return {one["name"]: one for one in found["sources"]}


def test_what_is_known_of_sources(moving: Small) -> None:
    commit = push(moving, GOOD)
    found = facts(health(moving, "--json"))
    assert list(found) == ["app", "thing", "thing/3rdparty/part", "thing/3rdparty/part/deep"]
    app = found["app"]
    assert app["asked"] == {"kind": "branch", "ref": "main", "before": None}
    assert (app["repository"], app["licence"]) == ("https://git.example/app", "MIT")
    assert app["locked"]["commit"] == moving.upstream.commits["app"]
    upstream = app["upstream"]
    assert (upstream["branch"], upstream["commit"]) == ("refs/heads/main", commit)
    assert (upstream["date"], upstream["behind"]) == ("2024-05-28T12:40:00Z", 1)
    assert (upstream["on_branch"], upstream["archived"], upstream["moved_to"]) == (True, None, None)
    assert app["origins"] == [
        {"origin": "https://git.example/app", "kind": "git", "answers": True, "why": None}
    ]
    assert {one["rule"] for one in app["reasons"]} >= {"single-origin"}
    assert app["head"] == {"status": "not tried", "reason": None}
    assert found["thing"]["asked"]["kind"] == "tag"
    assert found["thing/3rdparty/part"]["asked"]["kind"] == "submodule"
    assert [one["answers"] for one in found["thing"]["origins"]] == [True, True]


def test_the_lock_in_git_and_earlier_days(moving: Small) -> None:
    for argv in (["init", "-q"], ["add", "locks"], ["commit", "-qm", "locks"]):
        env = {**ENV, "GIT_COMMITTER_DATE": "2025-01-02T00:00:00Z", "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z"}
        process.run(["git", "-c", "user.name=a", "-c", "user.email=b", *argv], env=env, cwd=moving.root)
    push(moving, GOOD)
    place = moving.root / ".health/both.jsonl"
    place.parent.mkdir()
    earlier = {"date": "2025-02-03", "grade": "A", "sources": {"app": {"grade": "A", "behind": 0}}}
    place.write_text(f"{json.dumps(earlier)}\n")
    ran = health(moving).ok()
    assert "1 (+1 since 2025-02-03)" in ran.out
    app = facts(health(moving, "--json"))["app"]
    assert app["locked"]["since"] == "2025-01-02"
    assert "stale" in {one["rule"] for one in app["reasons"]}
    assert app["trend"] == [{"date": "2025-02-03", "grade": "A", "behind": 0}]
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    assert len(lines) == 2
    assert lines[1]["sources"]["app"]["behind"] == 1
    before = place.read_bytes()
    health(moving, "--history", "none").ok()
    assert place.read_bytes() == before
    health(moving, "--history", "days").ok()
    [elsewhere] = moving.root.rglob("days/both.jsonl")
    assert json.loads(elsewhere.read_text())["date"] in {f"{datetime.now(UTC).date()}", lines[1]["date"]}


@pytest.mark.sandbox
def test_heads_are_tried(moving: Small) -> None:
    push(moving, {b"app.c": b"no CMakeLists.txt\n"})
    app = facts(health(moving, "--json", "--try"))["app"]
    assert app["head"] == {"status": "fails", "reason": "`app` in phase `configure`"}
    assert (app["grade"], app["reasons"][0]["rule"]) == ("D", "head-breaks")
    app = facts(health(moving, "--json", "--try", "--budget", "0"))["app"]
    assert app["head"] == {"status": "not tried", "reason": "the budget of 0 builds is spent"}
    push(moving, GOOD)
    assert facts(health(moving, "--json", "--try"))["app"]["head"]["status"] == "good"


def test_a_branch_that_was_rewritten(moving: Small) -> None:
    repository = Repo(moving.upstream.repositories / "app")
    repository.ref("refs/heads/main", repository.commit(GOOD, when=LATER))
    app = facts(health(moving, "--json"))["app"]
    assert (app["upstream"]["behind"], app["upstream"]["on_branch"]) == (None, False)
    assert "the locked commit is not in the history of `main`" in {one["text"] for one in app["reasons"]}


def test_nothing_answers(moving: Small) -> None:
    moving.env["RECIPES_MIRROR"] = " ".join(
        f"https://{host}/=http://127.0.0.1:1/" for host in ("git.example", "other.example", "api.github.com")
    )
    found = facts(health(moving, "--json"))
    assert found["app"]["upstream"]["date"] is None
    assert "127.0.0.1" in found["app"]["upstream"]["unknown"]
    assert found["app"]["origins"][0]["answers"] is None
    assert found["app"]["licence"] == "MIT"
    assert "unknown" in health(moving).ok().out


def test_a_page_and_markdown(moving: Small) -> None:
    push(moving, GOOD)
    health(moving, "--html", "--output", "page.html").ok()
    page = (moving.root / "page.html").read_text()
    HTMLParser().feed(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "A source that none of its origins has any more." in page
    told = health(moving, "--markdown").ok().out
    assert told.startswith("## both: ")
    assert "| app | branch main, floating |" in told


def test_the_grade_can_end_a_job(moving: Small) -> None:
    health(moving, "--fail-below", "E").ok()
    ran = health(moving, "--fail-below", "A").failed(10)
    assert ran.error == "error: below grade A: both\n\nhint: `recipes health --rules` says why\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--html"], "one of `--json`, `--markdown` and `--html`"),
        (["--budget", "3"], "`--budget` goes with `--try`"),
        (["--fail-below", "Z"], "no grade `Z`"),
        (["--variant", "bth"], "no variant `bth`, did you mean `both`?"),
    ],
)
def test_what_cannot_be_asked(small: Small, words: list[str], message: str) -> None:
    assert small.run("health", *words).failed(2).error.splitlines()[0] == f"error: {message}"


def test_the_rules(small: Small) -> None:
    told = small.run("health", "--rules").ok().out
    assert told.startswith("E  A source that none of its origins has any more.\n")
