"""`store check`, `repair`, `gc` and `size`, as a user runs them on a small project."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import smallproject
from smallproject import Small, Upstream

from recipes import repair
from recipes.errors import FetchError, VerifyError
from recipes.repair import Outcome, Step
from recipes.store import Store
from recipes.storecheck import Problem

pytestmark = pytest.mark.usefixtures("can_build")


@pytest.fixture
def small(upstream: Upstream, built: Path, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(built)
        shutil.rmtree(made.store / "roots")
        yield made


def hashes(store: Path) -> dict[str, str]:
    return {one.stem: json.loads(one.read_text())["nar_hash"] for one in (store / "info").iterdir()}


def damage(entry: Path) -> None:
    """Flip a bit in the first file of an entry."""
    path = next(one for one in sorted(entry.rglob("*")) if one.is_file())
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    path.chmod(0o444 if path.suffix else 0o555)


def of_kind(store: Path, kind: str) -> dict[str, str]:
    """Give the entries of a kind, by the readable half of their names; of two, the first."""
    infos = sorted((store / "info").iterdir(), reverse=True)
    return {one.stem[33:]: one.stem for one in infos if json.loads(one.read_text())["kind"] == kind}


def test_repair_brings_back_what_is_damaged(small: Small) -> None:
    before = hashes(small.store)
    builds, sources, wheels = (of_kind(small.store, kind) for kind in ("build", "source", "wheel"))
    wheel = wheels["cmake-3.31.0"]
    for name in (builds["thing"], builds["app"], sources["part"], wheel):
        damage(small.store / "paths" / name)
    (small.store / "info" / f"{sources['deep']}.json").write_text("{")
    small.run("store", "check").failed(6)
    dry = small.run("store", "repair", "--dry-run").ok()
    assert set(dry.err.splitlines()) >= {
        f"would fetch      {sources['part']}: it is not what was added",
        f"would fetch      {sources['deep']}: the info is damaged",
        f"would fetch      {wheel}: it is not what was added",
        f"would build      {builds['thing']}: it is not what was added",
        f"would build      {builds['app']}: it is not what was added",
    }
    small.run("store", "check").failed(6)
    ran = small.run("store", "repair", "--json").ok()
    assert {one["path"]: one["nar_hash"] for one in json.loads(ran.out)} == {
        name: before[name] for name in (*builds.values(), sources["part"], sources["deep"], wheel)
    }
    assert ran.err.endswith("repaired 5\n")
    assert hashes(small.store) == before
    assert small.damage() == []
    assert small.run("store", "repair").ok().err.endswith(f"{small.store} is clean\n")


def test_the_statement_of_what_was_fetched_is_written_anew_alone(small: Small) -> None:
    source, wheel = of_kind(small.store, "source")["part"], of_kind(small.store, "wheel")["cmake-3.31.0"]
    build = of_kind(small.store, "build")["thing"]
    places = {name: small.store / f"provenance/{name}.json" for name in (source, wheel, build)}
    before = {name: path.read_bytes() for name, path in places.items()}
    inodes = {name: (small.store / "paths" / name).stat().st_ino for name in places}
    for path in places.values():
        path.chmod(0o644)
        path.write_bytes(b"{}")
    ran = small.run("store", "repair", "--offline").ok()
    why = "its provenance does not have the hash that is beside it"
    fetched = sorted((source, wheel))
    assert ran.err.splitlines()[1:4] == [
        *(f"record     {one}: {why}" for one in fetched),
        f"build      {build}: {why}",
    ]
    assert {name: path.read_bytes() for name, path in places.items()} == before
    now = {name: (small.store / "paths" / name).stat().st_ino for name in places}
    assert [name for name in places if now[name] == inodes[name]] == [source, wheel]
    assert small.damage() == []


def test_repair_takes_out_what_no_plan_has(small: Small) -> None:
    name = of_kind(small.store, "build")["app"]
    damage(small.store / "paths" / name)
    archive = small.store / "archives" / ("a" * 64)
    archive.write_bytes(b"")
    cached = small.store / "cache" / f"{'0' * 32}-thing" / f"{'b' * 64}.tar"
    cached.parent.mkdir()
    cached.write_bytes(b"")
    (small.store / "paths").chmod(0o777)
    (small.root / "environments/both.yaml").unlink()
    ran = small.run("store", "repair").ok()
    assert ran.err.splitlines()[-5:] == [
        "set modes  paths: any user may write to it",
        f"remove     {name}: it is not what was added; no plan of this checkout has it",
        f"remove     archives/{'a' * 64}: its bytes have another SHA-256",
        f"remove     cache/{cached.parent.name}/{cached.name}: its bytes have another SHA-256",
        "repaired 4",
    ]
    assert not (small.store / "paths" / name).exists()
    assert not archive.exists()
    assert not cached.parent.exists()
    assert small.damage() == []


def test_check_says_what_it_does_not_remove(small: Small) -> None:
    (small.store / "archives" / ("a" * 64)).write_bytes(b"")
    (small.store / "paths").chmod(0o777)
    ran = small.run("store", "check", "--remove").failed(6)
    assert ran.error.startswith("error: the store is damaged: 1 found\n  paths: any user may write to it\n")
    assert "removed 1; the next build brings back what it needs\n" in ran.err
    assert not (small.store / "archives" / ("a" * 64)).exists()


def test_repair_sets_modes_in_place(small: Small) -> None:
    name = of_kind(small.store, "build")["thing"]
    entry = small.store / "paths" / name
    inode = entry.stat().st_ino
    (entry / "lib/libthing.so").chmod(0o646)
    ran = small.run("store", "repair").ok()
    assert f"set modes  {name}: a mode is wrong\n" in ran.err
    assert entry.stat().st_ino == inode
    assert small.damage() == []


def test_repair_rebuilds_where_a_result_leads(small: Small) -> None:
    small.build("small").ok()
    name = (small.root / "result-small").readlink().name
    with Store(small.store).lock(name):
        Store(small.store).forget(name)
    small.run("store", "check").failed(6)
    ran = small.run("store", "repair").ok()
    assert f"build      {name}: a link leads to it, and it is not there\n" in ran.err
    assert (small.root / "result-small/lib/libthing.so").exists()
    assert small.damage() == []


def test_repair_without_a_network_says_what_is_needed(small: Small) -> None:
    name = of_kind(small.store, "wheel")["ninja-1.12.0"]
    damage(small.store / "paths" / name)
    ran = small.run("store", "repair", "--offline").failed(5)
    assert ran.error.splitlines() == [
        "error: 1 of 1 could not be repaired",
        f"  {name}",
        "    not in the store, and `--offline` allows no other place: ninja-1.12.0",
        "",
        "hint: `recipes build --variant VARIANT` brings back what it needs; what is damaged is taken out",
    ]
    assert small.damage() == []


def test_repair_reports_a_build_that_is_not_what_it_was(small: Small) -> None:
    variant = small.mode("random")
    small.build(variant).ok()
    name = (small.root / f"result-{variant}").readlink().name
    before = hashes(small.store)[name]
    damage(small.store / "paths" / name)
    ran = small.run("store", "repair").failed(10)
    now = hashes(small.store)[name]
    assert now != before
    assert ran.error.splitlines()[1:5] == [
        f"  {name}",
        f"    store path `{name}` was made again, and is not what it was",
        f"      before  {before}",
        f"      now     {now}",
    ]


def test_an_info_that_was_wrong_is_no_other_build(small: Small) -> None:
    name = of_kind(small.store, "build")["thing"]
    path = small.store / "info" / f"{name}.json"
    info = json.loads(path.read_text())
    del info["checksum"]
    wrong = info | {"nar_hash": f"sha256-{'A' * 43}="}
    path.write_text(f"{json.dumps(wrong, indent=1, sort_keys=True)}\n")
    small.run("store", "repair").ok()
    assert hashes(small.store)[name] == info["nar_hash"]


def test_the_first_failure_gives_the_class() -> None:
    step = Step(Problem("one", "why"), "fetch")
    outcomes = [
        Outcome(step),
        Outcome(step, error=FetchError("no")),
        Outcome(step, error=VerifyError("x\n y")),
    ]
    found = repair.failure(outcomes)
    assert isinstance(found, FetchError)
    assert found.message == "2 of 3 could not be repaired\n  one\n    no\n  one\n    x\n     y"
    assert repair.failure(outcomes[:1]) is None


def test_gc_and_size_as_a_user_sees_them(small: Small) -> None:
    small.build("small").ok()
    size = json.loads(small.run("store", "size", "--json").ok().out)
    assert size["parts"]["paths"]["count"] == len(size["paths"])
    shown = small.run("store", "size", "--entries", "1").ok().out
    assert f"MB  paths  ({len(size['paths'])})" in shown
    assert shown.endswith(f"MB  {size['paths'][0]['path']}\n")
    dry = json.loads(small.run("store", "gc", "--keep-last", "9", "--dry-run", "--json").ok().out)
    builds = of_kind(small.store, "build").values()
    assert not {f"paths/{name}" for name in builds} & {one["path"] for one in dry["paths"]}
    assert not dry["removed"]
    ran = small.run("store", "gc").ok()
    assert "  paths  (8)\n" in ran.err
    assert [one.name for one in (small.store / "paths").iterdir()] == [
        (small.root / "result-small").readlink().name
    ]
