"""`--override` as a user gives it, on the small project; and how its words are read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import gitserver
import pytest
import smallproject
import specimen
from gitserver import Repo
from smallproject import Ran, Small, Upstream

from recipes import override, process
from recipes.errors import UsageError

NEXT = {  # of `thing`, on its branch `next`: changed, and with a newer `part`
    **smallproject.TREES["thing"],
    "src/thing.c": b"int thing = 20;\n",
}
PART = {**smallproject.TREES["part"], "part.h": b"#define PART 20\n"}
TEXT = "int thing = 20;\n#define PART 20\n#define DEEP 3\n"
LOCKED = "int thing = 1;\n#define PART 2\n#define DEEP 3\n"

pytestmark = pytest.mark.sandbox


def _files(tree: Mapping[str, bytes]) -> dict[bytes, bytes | tuple[str, bytes]]:
    return {path.encode(): data for path, data in tree.items()}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    """Give the small project's repositories, with branches `next` that the lock does not name."""
    place = tmp_path_factory.mktemp("upstream")
    if (why := smallproject.refusal(place)) is not None:
        pytest.skip(why)
    made = smallproject.upstream(place)
    part, thing = Repo(place / "git/part"), Repo(place / "git/thing")
    deep = ("160000", made.commits["deep"].encode())
    newer = part.commit({**_files(PART), b"deep": deep}, made.commits["part"], when="1716850000 +0000")
    part.ref("refs/heads/next", newer)
    link = ("160000", newer.encode())
    tip = thing.commit(
        {**_files(NEXT), b"3rdparty/part": link}, made.commits["thing"], when="1716860000 +0000"
    )
    thing.ref("refs/heads/next", tip)
    bare = thing.commit(_files({"CMakeLists.txt": b""}), when="1716870000 +0000")
    thing.ref("refs/heads/bare", bare)
    return made


@pytest.fixture(scope="module")
def built(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with the locked build."""
    with smallproject.small(upstream, tmp_path_factory.mktemp("built")) as made:
        made.build().ok()
        return made.store


@pytest.fixture
def small(upstream: Upstream, built: Path, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(built)
        yield made


@pytest.fixture(scope="module")
def clone(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkout of `thing` on its branch `next`, with its submodules."""
    place = tmp_path_factory.mktemp("clone") / "thing"
    other = f"url.{upstream.repositories}/.insteadOf=https://other.example/"
    argv = ["git", "-c", "protocol.file.allow=always", "-c", other, "clone", "--quiet", "--branch", "next"]
    argv += ["--recurse-submodules", str(upstream.repositories / "thing"), str(place)]
    ended = process.run(argv, env=gitserver.ENV, timeout=300)
    assert ended.code == 0, ended
    return place


@pytest.fixture
def mine(clone: Path, small: Small) -> Path:
    """Give a checkout of one's own beside the project."""
    return Path(shutil.copytree(clone, small.place / "mine", symlinks=True))


def commit(upstream: Upstream, ref: str, repository: str = "thing") -> str:
    return Repo(upstream.repositories / repository).git("rev-parse", ref)


def library(small: Small, link: str = "result-small-unlocked") -> str:
    return (small.root / link / "lib/libthing.so").read_text()


def told(ran: Ran) -> list[str]:
    """Give what a command told, without what it read from where."""
    return [line for line in ran.err.splitlines() if not line.startswith("reading ")]


def locks(small: Small) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in (small.root / "locks").iterdir()}


def sources(small: Small, ran: Ran) -> dict[str, set[str]]:
    """Give the files of each source of a plan, which are in the store."""
    rows = json.loads(ran.ok().out)["derivations"]
    places = {row["name"]: small.store / "paths" / row["path"] for row in rows if row["kind"] == "source"}
    return {name: files(place) for name, place in places.items()}


def files(place: Path) -> set[str]:
    return {one.relative_to(place).as_posix() for one in place.rglob("*") if not one.is_dir()}


def plan(small: Small, *words: str) -> Ran:
    given = (part for word in words for part in ("--override", word))
    return small.run("plan", "--variant", "small", "--json", *given)


THING_FILES = {
    "thing": {"CMakeLists.txt", "LICENSE", "src/thing.c"},
    "thing/3rdparty/part": {"part.h"},
    "thing/3rdparty/part/deep": {"deep.h"},
}


def test_an_override_wins_over_what_is_held_back(small: Small, upstream: Upstream) -> None:
    small.edit("environments/small.yaml", "{ref: v1.0}", "{ref: next}")
    held = (
        f"held:\n  sources:\n    thing: {{commit: {upstream.commits['thing']}, why: w, retry: 2026-12-09}}\n"
    )
    small.write("environments/small.yaml", (small.root / "environments/small.yaml").read_text() + held)
    small.edit(
        "locks/small.lock.yaml",
        "ref: v1.0\n    resolved: refs/tags/v1.0",
        "ref: next\n    resolved: refs/heads/next",
    )
    small.run("lock", "--variant", "small", "--check").ok()
    locked = text(small, plan(small))
    assert locked == "int thing = 1;\n"
    assert text(small, plan(small, "thing=main")) == locked
    assert text(small, plan(small, "thing=next")) == "int thing = 20;\n"
    assert text(small, plan(small, f"thing={commit(upstream, 'next')}")) == "int thing = 20;\n"


def text(small: Small, ran: Ran) -> str:
    """Give the source of `thing` that is planned with."""
    rows = json.loads(ran.ok().out)["derivations"]
    places = {row["name"]: str(row["path"]) for row in rows if row["kind"] == "source"}
    return (small.store / "paths" / places["thing"] / "src/thing.c").read_text()


def test_a_branch(small: Small) -> None:
    before = locks(small)
    locked = small.build().ok().out.splitlines()
    ran = small.build("small", "--override", "thing=next").ok()
    assert told(ran) == [
        "warning: this is not what the lock says: thing=next",
        *("thing: configure", "thing: build", "thing: check"),
    ]
    assert library(small) == TEXT
    path, nar_hash = ran.out.splitlines()
    assert (small.root / "result-small-unlocked").readlink() == Path(path)
    assert path != locked[0]
    assert nar_hash != locked[1]
    assert locks(small) == before

    again = small.build().ok()
    assert (again.out.splitlines(), again.err) == (locked, "nothing to do: it is built\n")
    assert library(small, "result-small") == LOCKED
    assert (
        small.run("lock", "--variant", "small", "--check").ok().err.startswith("the locks of `small` answer")
    )
    assert small.damage() == []


def test_a_branch_its_commit_and_a_clean_checkout_are_one_build(
    small: Small, mine: Path, upstream: Upstream
) -> None:
    tip = commit(upstream, "next")
    first = json.loads(small.build("small", "--override", "thing=next", "--json").ok().out)
    ran = small.build("small", "--override", f"thing={tip}", "--json").ok()
    assert told(ran) == [
        f"warning: this is not what the lock says: thing={tip}",
        "nothing to do: it is built",
    ]
    second = json.loads(ran.out)
    ran = small.build("small", "--override", "thing=../mine", "--json").ok()
    there = f"{small.root}/../mine"
    assert told(ran) == [
        f"`thing` is taken from {there}, at {tip}, as committed",
        f"warning: this is not what the lock says: thing={there}",
        "nothing to do: it is built",
    ]
    third = json.loads(ran.out)
    assert first == {
        "path": first["path"],
        "nar_hash": first["nar_hash"],
        "link": str(small.root / "result-small-unlocked"),
        "built": True,
        "unlocked": ["thing=next"],
    }
    assert second == {**first, "built": False, "unlocked": [f"thing={tip}"]}
    assert third == {**first, "built": False, "unlocked": [f"thing={there}"]}


def test_what_is_not_overridden_says_so_in_json(small: Small) -> None:
    found = json.loads(small.build("small", "--json").ok().out)
    assert (found["unlocked"], found["link"]) == ([], str(small.root / "result-small"))


def test_a_change_that_is_not_committed_is_built(small: Small, mine: Path, upstream: Upstream) -> None:
    (mine / "src/thing.c").write_text("int thing = 300;\n")
    (mine / "3rdparty/part/part.h").write_text("#define PART 300\n")
    before = locks(small)
    ran = small.build("small", "--override", f"thing={mine}").ok()
    assert ran.err.splitlines()[:2] == [
        f"`thing` is taken from {mine}, at {commit(upstream, 'next')}, with uncommitted changes",
        f"warning: this is not what the lock says: thing={mine}",
    ]
    assert library(small) == "int thing = 300;\n#define PART 300\n#define DEEP 3\n"
    first = ran.out.splitlines()[0]
    (mine / "src/thing.c").write_text("int thing = 301;\n")
    assert small.build("small", "--override", f"thing={mine}").ok().out.splitlines()[0] != first
    assert library(small).startswith("int thing = 301;\n")
    assert locks(small) == before
    assert small.damage() == []


def test_another_target_and_two_overrides(small: Small) -> None:
    ran = small.build("both", "--override", "thing=next", "--override", "app=v1.0", "--override", "app=v1.0")
    assert told(ran.ok())[0] == "warning: this is not what the lock says: thing=next, app=v1.0"
    assert (
        (small.root / "result-both-unlocked/lib/libapp.so")
        .read_text()
        .startswith("int app = 4;\nint thing = 20;")
    )
    only = small.build("both", "thing", "--override", "thing=next").ok()
    assert only.err.endswith("\nnothing to do: it is built\n")
    assert (small.root / "result-both-thing-unlocked").readlink() == Path(only.out.splitlines()[0])


def test_a_new_file_is_taken_and_an_ignored_one_is_not(small: Small, mine: Path) -> None:
    for path in ("src/new.c", "src/old.o", "unused.c", "3rdparty/part/more.h"):
        (mine / path).write_text("")
    (mine / ".git/info/exclude").write_text("*.o\n")
    found = sources(small, plan(small, "thing=../mine"))
    assert found == {**THING_FILES, "thing": {*THING_FILES["thing"], "src/new.c"}}


BREAKAGES = """\
breakages:
  - {{id: worse, pattern: no such luck, cause: it got worse, source: thing, remedy: go back,
     evidence: "https://example.org", broken: {{thing: {{commits: [{tip}]}}}}}}
"""


def test_what_is_known_to_break_is_told_before(small: Small, mine: Path, upstream: Upstream) -> None:
    tip = commit(upstream, "next")
    small.write("recipes/breakages.yaml", BREAKAGES.format(tip=tip))
    warning = f"warning: `thing` {tip} of 2024-05-28 is known to break\n"
    assert warning not in plan(small).ok().err
    for word in ("thing=next", f"thing={mine}"):
        assert warning in plan(small, word).ok().err
    (mine / "src/thing.c").write_text("int thing = 300;\n")  # perhaps mended
    assert warning not in plan(small, f"thing={mine}").ok().err


def test_a_checkout_without_its_submodules(small: Small, mine: Path) -> None:
    shutil.rmtree(mine / "3rdparty/part")
    (mine / "3rdparty/part").mkdir()
    ran = plan(small, f"thing={mine}").failed(2)
    assert ran.error == (
        f"error: submodule `3rdparty/part` of {mine} is not checked out\n\n"
        f"hint: `git -C {mine} submodule update --init --recursive`\n"
    )


def test_a_path_below_the_home_directory(small: Small, mine: Path) -> None:
    mine.rename(small.place / "home/mine")
    ran = plan(small, "thing=~/mine")
    assert sources(small, ran) == THING_FILES
    assert f"`thing` is taken from {small.place}/home/mine, at " in ran.err


def test_a_path_is_relative_to_where_one_is(small: Small, mine: Path) -> None:
    below = small.root / "environments"
    argv = ["env", f"--chdir={below}"]
    ran = small.run("plan", "--variant", "small", "--json", "--override", "thing=../../mine", before=argv)
    assert sources(small, ran) == THING_FILES


def test_paths_that_are_no_checkout(small: Small) -> None:
    missing, plain = small.place / "missing", small.place / "home"
    assert plan(small, f"thing={missing}").failed(2).error == f"error: {missing} is not a directory\n"
    said = plan(small, f"thing={plain}").failed(2).error.splitlines()
    assert said[0] == f"error: {plain} is not a git checkout that can be read"


def test_what_there_is_no_ref_of(small: Small, upstream: Upstream) -> None:
    tip = commit(upstream, "next")
    url = "https://git.example/thing"
    assert plan(small, f"thing={tip[:9]}").failed(2).error == (
        f"error: source `thing`: `{tip[:9]}` is no branch or tag of `{url}`, "
        f"and a commit is named by all 40 digits of its id\n\nhint: write `{tip}`\n"
    )
    assert plan(small, "thing=nxt").failed(2).error == (
        f"error: source `thing`: `{url}` has no branch or tag `nxt`\n\nhint: did you mean `next`\n"
    )
    assert plan(small, "thing=a b").failed(2).error.splitlines()[0] == (
        "error: `--override thing=a b`: `a b` cannot be the name of a branch or tag"
    )
    absent = "0" * 39 + "1"
    ran = plan(small, f"thing={absent}").failed(5)
    assert f"`{url}` has no commit `{absent}`" in ran.error


def test_a_commit_without_the_submodules_that_are_wanted(small: Small, upstream: Upstream) -> None:
    tip = commit(upstream, "bare")
    ran = plan(small, "thing=bare").failed(5)
    assert ran.error == (
        f"error: `thing` has no submodule at `3rdparty/part` in commit {tip}\n\n"
        "hint: name the submodules of this version in the environment, under `submodules:`\n"
    )


def test_a_server_that_does_not_answer(small: Small) -> None:
    small.env["RECIPES_MIRROR"] = "https://git.example/=http://127.0.0.1:1/"
    ran = small.build("small", "--override", "thing=next").failed(5)
    assert "does not answer" in ran.error
    assert not (small.root / "result-small-unlocked").is_symlink()


def test_the_server_is_not_asked_for_what_is_not_overridden(small: Small, mine: Path) -> None:
    small.env["RECIPES_MIRROR"] = "https://git.example/=http://127.0.0.1:1/"
    small.build("small", "--override", f"thing={mine}").ok()
    assert library(small) == TEXT


def test_words_that_are_refused(small: Small) -> None:
    ran = plan(small, "thing=next", "thing=main").failed(2)
    assert ran.error == "error: two overrides contradict: `thing=next` and `thing=main`\n"
    ran = plan(small, "thin=next").failed(2)
    assert ran.error.startswith(
        "error: `--override thin=next`: variant `small` has no source `thin`, did you mean `thing`?\n"
    )
    assert small.git.requests == []


HERE = Path("/here")
READ: dict[tuple[str, ...], dict[str, Path | str]] = {
    (): {},
    ("fp16=master",): {"fp16": "master"},
    ("fp16=v1.0=2",): {"fp16": "v1.0=2"},
    ("fp16=feature/x", "tvm=main"): {"fp16": "feature/x", "tvm": "main"},
    ("fp16=master", "fp16=master"): {"fp16": "master"},
    ("fp16=.",): {"fp16": HERE},
    ("fp16=./FP16",): {"fp16": HERE / "FP16"},
    ("fp16=../FP16",): {"fp16": HERE / "../FP16"},
    ("fp16=/src/FP16",): {"fp16": Path("/src/FP16")},
    ("fp16=~",): {"fp16": Path("/home/me")},
    ("fp16=~/src/~x",): {"fp16": Path("/home/me/src/~x")},
    ("fp16=./FP16", "fp16=/here/FP16"): {"fp16": HERE / "FP16"},
}
REFUSED = {
    ("fp16",): "`--override fp16` is not SOURCE=REF or SOURCE=PATH",
    ("fp16=",): "`--override fp16=` is not SOURCE=REF or SOURCE=PATH",
    ("",): "`--override ` is not SOURCE=REF or SOURCE=PATH",
    ("=master",): "`--override =master`: variant `small` has no source ``",
    ("fp61=master",): "`--override fp61=master`: variant `small` has no source `fp61`, did you mean `fp16`?",
    ("tvm/3rdparty/dlpack=main",): (
        "`--override tvm/3rdparty/dlpack=main`: variant `small` has no source `tvm/3rdparty/dlpack`"
    ),
    ("fp16=a", "tvm=b", "fp16=c"): "two overrides contradict: `fp16=a` and `fp16=c`",
    ("fp16=main", "fp16=./main"): "two overrides contradict: `fp16=main` and `fp16=/here/main`",
    ("fp16=~you/FP16",): (
        "`--override fp16=~you/FP16`: of home directories, only `~/` is known\n\nhint: write the path in full"
    ),
}


def _parse(words: tuple[str, ...], home: str | None = "/home/me") -> dict[str, Path | str]:
    return override.parse(words, specimen.specs(), HERE, home)


@pytest.mark.parametrize("words", READ, ids=" ".join)
def test_words(words: tuple[str, ...]) -> None:
    assert _parse(words) == READ[words]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_words_that_say_nothing(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        _parse(words)
    assert str(caught.value) == REFUSED[words]


@pytest.mark.parametrize("home", [None, ""])
def test_no_home(home: str | None) -> None:
    with pytest.raises(UsageError, match=r"^`--override fp16=~/FP16`: HOME is not set\n"):
        _parse(("fp16=~/FP16",), home)
    assert _parse(("fp16=./FP16",), home) == {"fp16": HERE / "FP16"}


def test_the_environment_is_the_caller_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HOME", "/elsewhere")
    assert _parse(("fp16=~/FP16",)) == {"fp16": Path("/home/me/FP16")}
