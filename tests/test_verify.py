"""`recipes verify` as a user runs it, on components that give the same bytes each time, and on others."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fileserver
import pytest
import smallproject
from smallproject import Small, Upstream

from recipes import files, treewriter
from recipes.evidence import record
from recipes.evidence.provenance import hexadecimal

NAR = "sha256-KtDFko+UC5xcgKSVVYLLhWAicn3moPT5KSj8dngb0uo="  # of `thing`

pytestmark = pytest.mark.sandbox

RECIPE = """\
summary: what a program makes
license: MIT
source_of: thing
script: make.py
outputs:
  made: build/made
"""
MAKE = """\
import datetime
import os
import random
import time
import uuid
from pathlib import Path

made = Path("/build/made")
made.mkdir()
{body}
"""
CAUSES = """\
def write(name, text):
    Path(made, name).write_text(f"first line\\n{text}\\nlast line\\n")

names = [f"name{one}" for one in range(40)]
random.SystemRandom().shuffle(names)
[built] = [one.split()[3] for one in open("/proc/self/mountinfo") if one.split()[4] == "/build"]
write("clock.txt", time.time())
write("date.txt", datetime.datetime.now().isoformat())
write("uuid.txt", uuid.uuid4())
write("order.txt", "\\n".join(names))
write("path.txt", f"made in {built}")
write("processors.txt", f"{len(os.sched_getaffinity(0))} processors")
write("same.txt", "always")
Path(made, "random.bin").write_bytes(b"\\0begin\\0" + os.urandom(64) + b"\\0end\\0")
name = str(uuid.uuid4())
Path(made, name).write_text("")
Path(made, "link").symlink_to(name)
packed = b"!<arch>\\n"
for name, text in {"same": "same", "other": f"id {uuid.uuid4()}!"}.items():
    packed += f"{name}/{0:>{27 - len(name)}}{0:<6}{0:<6}{644:<8}{len(text):<10}`\\n{text}".encode()
Path(made, "packed.a").write_bytes(packed)
"""


@pytest.fixture
def small(upstream: Upstream, built: Path, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(built)
        yield made


def verify(small: Small, *argv: str, variant: str = "small", **variables: str) -> smallproject.Ran:
    return small.run("verify", "--variant", variant, *argv, **variables)


def script(small: Small, body: str) -> None:
    """Make a variant `made` with a component of the same name that is what a program makes."""
    small.write("recipes/components/made/recipe.yaml", RECIPE)
    small.write("recipes/components/made/make.py", MAKE.replace("{body}", body))
    small.write("environments/made.yaml", "summary: made\nextends: small\n")
    small.lock("made", small.upstream.lock(*smallproject.THING_SOURCES))


def rows(ran: smallproject.Ran) -> dict[str, dict[str, Any]]:
    """Give the rows of `--json` by the label of the store path."""
    return {row["path"][33:]: row for row in json.loads(ran.out)}


def test_what_is_the_same_each_time(small: Small) -> None:
    ran = verify(small).ok()
    [thing] = [one.name for one in small.entries("thing") if (one / "lib").exists()]
    assert re.fullmatch(rf"same     {thing}  {re.escape(NAR)}  \d+\.\d s\n", ran.out)
    lines = ran.err.splitlines()
    assert lines[0] == "hashing what is built from"
    assert re.fullmatch(
        r"building again in \w+(?:, as no other sandbox works)?; (?:the same|another) user and host name; "
        r"\d+ processors?, \d+ jobs?; TZ Pacific/Chatham, locale tr_TR\.UTF-8, umask 0077; "
        r"sources laid out in reverse; no cache",
        lines[1],
    )
    assert lines[2:] == [
        "thing: again",
        "1 of 1 build gave the same bytes again; 6 inputs from outside have their hashes",
    ]
    assert small.damage() == []
    assert not list(small.root.glob("verify-*"))


def test_all_of_a_closure_as_json(small: Small) -> None:
    found = [
        (row["path"][33:], row["kind"], row["same"])
        for row in json.loads(verify(small, "--all", "--json", variant="both").ok().out)
    ]
    assert [one for one in found if one[1] == "build"] == [("thing", "build", True), ("app", "build", True)]
    assert sorted(one for one in found if one[1] != "build") == [
        *(("app", "source", True), ("cmake-3.31.0", "wheel", True), ("deep", "source", True)),
        *(("ninja-1.12.0", "wheel", True), ("part", "source", True), ("thing", "source", True)),
        ("ziglang-0.15.2", "wheel", True),
    ]
    assert small.damage() == []


def test_each_difference_is_found_with_its_cause(small: Small) -> None:
    script(small, CAUSES)
    ran = verify(small, "made", "--json", variant="made", TZ="Pacific/Chatham").failed(10)
    row = rows(ran)["made"]
    assert not row["same"]
    assert row["nar_hash"] != row["again"]
    whats = Counter(one["what"] for one in row["differences"])
    causes = {
        one["path"].removeprefix("made/"): [cause.partition(":")[0] for cause in one["pieces"][0]["causes"]]
        for one in row["differences"]
        if one["what"] == "content"
    }
    if os.sched_getaffinity(0) != {min(os.sched_getaffinity(0))}:  # there is no other number but one
        assert causes.pop("processors.txt") == ["the number of processors"]
    assert causes == {
        "clock.txt": ["a time"],
        "date.txt": ["a date or time"],
        "uuid.txt": ["an id"],
        "order.txt": ["an order"],
        "path.txt": ["a path"],
        "random.bin": ["random bytes"],
        "packed.a": ["an id"],
    }
    del whats["content"]
    assert whats == {"link": 1, "only in the first": 1, "only in the second": 1}
    [packed] = [one for one in row["differences"] if one["path"] == "made/packed.a"]
    assert [one["name"] for one in packed["pieces"]] == ["other"]
    assert small.damage() == []

    kept = Path(row["kept"])
    assert kept == small.root / "verify-made" / row["path"]
    sides = [(kept / name / "made/uuid.txt").read_text() for name in ("first", "second")]
    assert sides[0] == (small.store / "paths" / row["path"] / "made/uuid.txt").read_text() != sides[1]
    assert {stat.S_IMODE((kept / name).stat().st_mode) for name in ("first", "second")} == {0o555}
    report = (kept / "report.txt").read_text()
    assert report.startswith(f"store path `{row['path']}` came out different when it was built again\n")
    assert "    from byte 11 in line 2" in report
    assert (kept / "log").read_text().startswith("### run: ")

    shown = ran.error.splitlines()
    assert shown[0] == f"error: store path `{row['path']}` came out different when it was built again"
    assert shown[1:3] == [f"  expected  {row['nar_hash']}", f"  actual    {row['again']}"]
    assert shown[-1] == f"hint: `less {kept}/report.txt` has all of it; `first` and `second` lie beside it"


def test_outputs_are_kept_on_request(small: Small) -> None:
    ran = verify(small, "--keep").ok()
    [kept] = (small.root / "verify-small").iterdir()
    assert ran.err.splitlines()[-1] == f"kept {kept}"
    assert sorted(one.name for one in kept.iterdir()) == ["first", "log", "second"]
    assert files.tree_hash(kept / "first") == files.tree_hash(kept / "second")


def test_a_build_that_fails_the_second_time(small: Small) -> None:
    script(small, "pass")
    small.build("made", "made").ok()
    [made] = small.entries("made")
    log = small.store / "logs" / f"{made.name}.log"
    before = log.read_text()
    script(small, 'raise SystemExit("no such luck")')
    planned = json.loads(small.run("plan", "--variant", "made", "made", "--json").ok().out)
    other = planned["target"]
    shutil.copytree(made, small.store / "paths" / other, symlinks=True)
    info = json.loads((small.store / "info" / f"{made.name}.json").read_text())
    info = {key: value for key, value in info.items() if key != "checksum"} | {"name": other}
    (small.store / "info" / f"{other}.json").write_text(f"{json.dumps(info, indent=1, sort_keys=True)}\n")
    ran = verify(small, "made", variant="made").failed(9)
    assert ran.error.startswith(
        "error: when it was built again, `made` failed in phase `run`: exit code 1\n  no such luck\n"
    )
    assert log.read_text() == before
    assert small.damage() == []


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGKILL, -9)]
)
def test_a_verify_that_is_killed_leaves_nothing_running_and_a_clean_store(
    small: Small, number: signal.Signals, code: int
) -> None:
    variant = small.mode("stop")
    first = small.start("build", "--variant", variant)
    smallproject.go_on(smallproject.stopped(first.pid)[0])
    smallproject.ended(first).ok()
    second = small.start("verify", "--variant", variant)
    _, family = smallproject.stopped(second.pid)
    second.send_signal(number)
    assert smallproject.ended(second).code == code
    assert smallproject.are_gone(family)
    assert smallproject.problems(small.store) == []
    assert not list(small.root.glob("verify-*"))
    small.run("store", "gc").ok()
    assert list((small.store / "tmp").iterdir()) == []


def against(small: Small, word: str) -> smallproject.Ran:
    return verify(small, "--against", word)


def test_against_what_is_published(small: Small) -> None:
    [thing] = [one for one in small.entries("thing") if (one / "lib").exists()]
    digests = {"": hexadecimal(NAR), **{f"/{path}": one for path, one in record.file_hashes(thing).items()}}
    statement = {
        "subject": [{"name": f"{thing.name}{one}", "digest": {"sha256": digests[one]}} for one in digests]
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    small.write("signed.json", json.dumps({"payload": payload, "payloadType": "x", "signatures": []}))
    lie = json.loads(json.dumps(statement))
    lie["subject"][0]["digest"]["sha256"] = lie["subject"][1]["digest"]["sha256"] = "0" * 64
    del lie["subject"][2]
    with fileserver.serve() as server:
        server.pages["/said.json"] = fileserver.Page(json.dumps(statement).encode())
        server.pages["/lie.json"] = fileserver.Page(json.dumps(lie).encode())
        for word in (NAR, "signed.json", f"{server.address}/said.json"):
            where = "the hash" if word == NAR else word
            assert against(small, word).ok().out == f"same     {thing.name}  {NAR}  as published by {where}\n"
        lied = against(small, f"{server.address}/lie.json").failed(10)
    zeros = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    start = (
        f"error: store path `{thing.name}` is not what is published\n  published  {zeros}\n"
        f"  here       {NAR}\n"
    )
    assert lied.error == (
        f"{start}  lib/libthing.so: other bytes\n  share/doc/LICENSE: only here\n\n"
        "hint: `recipes verify` without `--against` says whether it is the same each time on this machine; "
        "`diffoscope` needs both results to tell more\n"
    )
    assert against(small, zeros).failed(10).error == (
        f"{start}\nhint: a hash does not tell what differs: its provenance tells which files; "
        "`recipes verify` without `--against` says whether it is the same each time on this machine\n"
    )
    assert small.damage() == []


def test_against_what_is_no_publication(small: Small) -> None:
    small.write("nothing.json", '{"subject": []}')
    assert against(small, "nothing.json").failed(2).error == (
        "error: `nothing.json` is no hash and no provenance\n"
        "  expected  a hash, an in-toto statement, or a DSSE envelope with one\n"
    )
    assert against(small, "sha256-short").failed(2).error == (
        "error: `sha256-short` is no SHA-256, no file and no URL\n"
    )
    assert verify(small, "--against", NAR, "--all").failed(2).error == (
        "error: `--against` compares one result, and builds nothing again: no `--all`, no `--keep`\n"
    )


def test_sources_are_laid_out_in_the_other_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "a", "c/e", "c/d"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    made: list[str] = []
    copy = treewriter._copy_one

    def copied(path: bytes, info: os.stat_result, place: bytes) -> None:
        made.append(Path(os.fsdecode(path)).name)
        copy(path, info, place)

    monkeypatch.setattr(treewriter, "_copy_one", copied)
    treewriter.copy_tree(tmp_path / "tree", tmp_path / "one")
    treewriter.copy_tree(tmp_path / "tree", tmp_path / "two", backwards=True)
    assert made == ["tree", "a", "b", "c", "d", "e", "tree", "c", "e", "d", "b", "a"]
