"""Provenance: what a statement says, that it follows the standards, and that every store path has one."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import specimen
from google.protobuf import json_format  # type: ignore[import-untyped]
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2  # type: ignore[import-untyped]
from in_toto_attestation.v1 import statement_pb2  # type: ignore[import-untyped]
from in_toto_attestation.v1.statement import Statement  # type: ignore[import-untyped]
from smallproject import Small

from recipes import plan as plans
from recipes import toolchain
from recipes.evidence import provenance, record
from recipes.evidence.provenance import Known
from recipes.plan import Build, Plan
from recipes.store import Store

NAMESPACE = "https://tvm-recipes.invalid"


def planned() -> Plan:
    tools = toolchain.pypi(specimen.toolchain().for_platform("linux-64"), "linux-64", "linux-64")
    return plans.plan(
        specimen.specs(),
        specimen.lock(specimen.LOCK),
        tools,
        target="tvm",
        platform="linux-64",
        system="linux-64",
    )


PLAN = planned()
ORIGINS = {"fp16": "https://example.org/fp16", "tvm": "carrier-1.10.tar.gz of the package index"}
KNOWN = {
    name: Known(specimen.sri(f"nar of {one.label()}"), ORIGINS.get(one.label()))
    for name, one in PLAN.derivations.items()
}
FILES = {"lib/libtvm.so": "ab" * 32, "LICENSE": "cd" * 32}


def made(label: str, **more: Any) -> dict[str, Any]:
    name = next(
        path for path, one in PLAN.derivations.items() if one.label() == label and one.kind != "build"
    )
    return provenance.statement(PLAN, name, KNOWN, {}, **more)


def valid(statement: dict[str, Any]) -> None:
    """Check a statement with in-toto's own library, which refuses fields that the standards do not have."""
    message = json_format.ParseDict(statement, statement_pb2.Statement())
    Statement.copy_from_pb(message).validate()
    predicate = json_format.ParseDict(statement["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.build_type.startswith(f"{NAMESPACE}/")
    assert predicate.run_details.builder.id.startswith(f"{NAMESPACE}/builder/")


def test_the_statement_of_a_build_is_the_golden_file(root: Path) -> None:
    """`REWRITE_GOLDEN=1 pytest tests/test_provenance.py` writes the file again."""
    found = provenance.statement(PLAN, PLAN.target, KNOWN, FILES, sandbox="bubblewrap")
    golden, text = root / "tests/golden/provenance.json", json.dumps(found, indent=2) + "\n"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text
    valid(found)


@pytest.mark.parametrize("name", PLAN.derivations, ids=lambda name: name[33:])
def test_every_statement_follows_the_standards(name: str) -> None:
    valid(provenance.statement(PLAN, name, KNOWN, FILES, sandbox="unshare", layers=["ab" * 32]))


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ({"_type": "x", "subject": [{"name": "a", "digest": {"a": "b"}}]}, "Wrong statement type"),
        ({"_type": provenance.STATEMENT, "subject": []}, "At least one subject required"),
        ({"_type": provenance.STATEMENT, "subject": [{"name": "a"}]}, "At least one digest required"),
        ({"_type": provenance.STATEMENT, "when": "now"}, "no field named"),
    ],
)
def test_what_does_not_follow_them_is_seen(statement: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Exception, match=wrong):
        valid(statement)


def test_a_source_says_where_it_came_from() -> None:
    found = made("fp16")["predicate"]
    [need] = found["buildDefinition"]["resolvedDependencies"]
    assert need["name"] == "fp16"
    assert need["uri"] == "git+https://example.org/fp16@4987f20d48c22694d84bbffa839168596ea027ae"
    assert need["digest"] == {
        "sha256": base64.b64decode(specimen.sri("fp16")[7:]).hex(),
        "gitCommit": "4987f20d48c22694d84bbffa839168596ea027ae",
        "gitTree": "c92cd93f30dc6c10701522d6930d09c67e447a54",
    }
    assert need["annotations"]["origin"] == "https://example.org/fp16"
    assert need["annotations"]["originLocked"] == {"git": "https://example.org/fp16"}
    assert need["annotations"]["swhid"] == [
        "swh:1:dir:c92cd93f30dc6c10701522d6930d09c67e447a54",
        "swh:1:rev:4987f20d48c22694d84bbffa839168596ea027ae",
    ]
    assert need["annotations"]["lock"]["filter"] == {"include": ["LICENSE", "include/**"], "modes": "git"}
    assert found["runDetails"]["builder"]["id"] == f"{NAMESPACE}/builder/fetch/v1"


def test_the_origin_is_the_one_that_was_used() -> None:
    [need] = made("tvm")["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert need["uri"] == "pkg:pypi/carrier@1.10?file_name=carrier-1.10.tar.gz"
    assert need["annotations"]["originLocked"]["pypi"] == "carrier"
    [need] = made("dlpack")["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert need["annotations"]["origin"] == "unrecorded"
    assert "originLocked" not in need["annotations"]


def test_what_is_not_known_is_left_out_or_said() -> None:
    only = {PLAN.target: KNOWN[PLAN.target]}
    found = provenance.statement(PLAN, PLAN.target, only, {})
    assert found["predicate"]["runDetails"]["builder"]["id"] == f"{NAMESPACE}/builder/unrecorded/v1"
    needs = provenance.dependencies(found)
    assert needs.keys() == set(PLAN.inputs(PLAN.target))
    assert all(one["digest"] for one in needs.values())  # a source and a wheel are known by the plan
    valid(found)


def test_a_build_without_a_sandbox_says_so() -> None:
    one = PLAN.derivations[PLAN.target]
    assert isinstance(one, Build)
    bare = dataclasses.replace(one, sandbox="none")
    plan = dataclasses.replace(PLAN, derivations={**PLAN.derivations, PLAN.target: bare})
    found = provenance.statement(plan, PLAN.target, KNOWN, {}, sandbox="bubblewrap")["predicate"]
    assert found["runDetails"]["builder"]["id"] == f"{NAMESPACE}/builder/none/v1"
    assert found["buildDefinition"]["externalParameters"]["sandbox"] == "none"


def test_what_of_the_host_went_in_is_told() -> None:
    one = PLAN.derivations[PLAN.target]
    assert isinstance(one, Build)
    host = dataclasses.replace(one, host={"cc1": "ab" * 32, "version": "gcc 12.2.0"})
    plan = dataclasses.replace(PLAN, derivations={**PLAN.derivations, PLAN.target: host})
    found = provenance.statement(plan, PLAN.target, KNOWN, {})
    valid(found)
    assert found["predicate"]["buildDefinition"]["resolvedDependencies"][-2:] == [
        {"name": "host cc1", "digest": {"sha256": "ab" * 32}},
        {"name": "host version", "annotations": {"said": "gcc 12.2.0"}},
    ]
    assert found["predicate"]["buildDefinition"]["externalParameters"]["toolchain"] == "host"
    assert provenance.dependencies(found).keys() == set(PLAN.inputs(PLAN.target))


def test_a_statement_is_read_as_it_was_written() -> None:
    found = provenance.statement(PLAN, PLAN.target, KNOWN, FILES, sandbox="bubblewrap")
    text = provenance.render(found)
    assert provenance.parse(text) == found
    assert text == provenance.render(json.loads(text))
    assert provenance.derived(found)["identity"] == json.loads(
        json.dumps(PLAN.derivations[PLAN.target].identity())
    )


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[]", b"null", b"\xff", b'{"subject": []}', b'{"subject": [1]}', b"[" * 100_000),
        b'{"subject": [{"name": "a", "digest": {"sha256": 1}}]}',
        b'{"subject": [{"name": "a", "digest": {"sha256": "b"}}], "predicateType": "x"}',
    ],
)
def test_what_is_no_statement_is_none(text: bytes) -> None:
    assert provenance.parse(text) is None


def test_each_file_is_a_subject(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/file").write_bytes(b"content")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "link").symlink_to("empty")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\\")).write_bytes(b"strange")
    found = record.file_hashes(tmp_path)
    assert found == {
        "deep/er/file": hashlib.sha256(b"content").hexdigest(),
        "empty": hashlib.sha256(b"").hexdigest(),
        "\udcff\\": hashlib.sha256(b"strange").hexdigest(),
    }
    subject = provenance.subject(PLAN.target, specimen.sri("x"), found)
    assert [one["name"].removeprefix(PLAN.target) for one in subject] == [
        *("", "/deep/er/file", "/empty", "/\\xff\\"),
    ]
    assert subject[0]["mediaType"] == "application/x-nix-nar"
    json.dumps(subject, ensure_ascii=False).encode()


def test_a_file_by_itself_is_its_own_subject_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert record.file_hashes(tmp_path / "file") == {}


# What follows is built for real.


@pytest.fixture
def warm(small: Small, built: Path) -> Small:
    small.warm(built)
    return small


def statements(store: Path) -> dict[str, dict[str, Any]]:
    found = sorted((store / "provenance").glob("*.json"))
    return {path.name.removesuffix(".json"): json.loads(path.read_bytes()) for path in found}


@pytest.mark.sandbox
def test_every_store_path_has_a_statement_that_is_true(built: Path) -> None:
    found, store = statements(built), Store(built)
    assert found.keys() == {path.name for path in (built / "paths").iterdir()}
    for name, one in found.items():
        valid(one)
        assert one["subject"][0] == {
            "name": name,
            "digest": {"sha256": provenance.hexadecimal(store.info(name).nar_hash)},
            "mediaType": "application/x-nix-nar",
        }
        files = {path for path in store.path(name).rglob("*") if path.is_file() and not path.is_symlink()}
        assert {(each["name"], each["digest"]["sha256"]) for each in one["subject"][1:]} == {
            (f"{name}/{path.relative_to(store.path(name))}", hashlib.sha256(path.read_bytes()).hexdigest())
            for path in files
        }
    builders = {one["predicate"]["runDetails"]["builder"]["id"].split("/")[-2] for one in found.values()}
    assert builders in ({"fetch", "bubblewrap"}, {"fetch", "unshare"})


@pytest.mark.sandbox
def test_a_build_names_all_that_it_was_made_from(built: Path) -> None:
    found = statements(built)
    [app] = [one for name, one in found.items() if name.endswith("-app") and "builder/fetch" not in str(one)]
    needs = provenance.dependencies(app)
    assert sorted(one["name"] for one in needs.values()) == [
        *("app", "cmake-3.31.0", "ninja-1.12.0", "thing", "ziglang-0.15.2"),
    ]
    [thing] = [path for path, one in needs.items() if one["name"] == "thing"]
    assert needs[thing]["digest"] == found[thing]["subject"][0]["digest"]
    asked = app["predicate"]["buildDefinition"]["externalParameters"]
    assert (asked["component"], asked["toolchain"]) == ("app", "pypi")
    identity = provenance.derived(app)["identity"]
    assert identity["options"] == {"MODE": "plain", "THING": "/inputs/thing/lib"}
    assert [one["name"] for one in identity["phases"]] == ["configure", "build"]


@pytest.mark.sandbox
def test_the_same_build_elsewhere_has_the_same_statements(small: Small, built: Path) -> None:
    small.build("both").ok()
    assert statements(small.store) == statements(built)
    text = "".join(map(str, statements(small.store).values()))
    assert str(small.place) not in text


@pytest.mark.sandbox
def test_another_origin_is_all_that_differs(small: Small, built: Path) -> None:
    small.run("fetch", "--variant", "small", "--origin", "pypi").ok()
    before = statements(built)
    for name, one in statements(small.store).items():
        if name.endswith(("-thing", "-part", "-deep")):
            [need] = one["predicate"]["buildDefinition"]["resolvedDependencies"]
            assert need["annotations"]["origin"] == "carrier-1.0.tar.gz of the package index"
            assert need["uri"] == "pkg:pypi/carrier@1.0?file_name=carrier-1.0.tar.gz"
            [other] = before[name]["predicate"]["buildDefinition"]["resolvedDependencies"]
            assert other["uri"].startswith("git+https://")
            assert {key: need[key] for key in ("name", "digest")} == {
                key: other[key] for key in ("name", "digest")
            }
            assert one["subject"] == before[name]["subject"]
        else:
            assert one == before[name]


@pytest.mark.sandbox
def test_entries_from_before_get_one_at_the_next_build(warm: Small, built: Path) -> None:
    shutil.rmtree(warm.store / "provenance")
    assert warm.build("both").ok().err == "nothing to do: it is built\n"
    before, now = statements(built), statements(warm.store)
    assert now.keys() == before.keys()
    for name, one in now.items():
        builder = one["predicate"]["runDetails"]["builder"]["id"]
        if builder != f"{NAMESPACE}/builder/unrecorded/v1":
            assert one == before[name]
    assert sum("builder/unrecorded" in str(one) for one in now.values()) == 2  # the builds
    assert warm.damage() == []


@pytest.mark.sandbox
def test_a_build_with_nothing_to_do_leaves_them_alone(warm: Small) -> None:
    def states() -> list[tuple[int, int]]:
        return [
            (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in sorted((warm.store / "provenance").iterdir())
        ]

    before = states()
    warm.build("both").ok()
    assert states() == before


@pytest.mark.sandbox
def test_provenance_as_a_user_sees_it(warm: Small) -> None:
    name = warm.run("store", "path", "--variant", "both").ok().out.strip().rpartition("/")[2]
    path = warm.store / f"provenance/{name}.json"
    shown = warm.run("provenance", "--variant", "both").ok()
    assert json.loads(shown.out) == json.loads(path.read_bytes())
    assert warm.run("provenance", "--variant", "both", "--path").ok().out == f"{path}\n"
    other = json.loads(warm.run("provenance", "--variant", "both", "thing").ok().out)
    assert other["subject"][0]["name"].endswith("-thing")

    path.write_bytes(path.read_bytes()[:-20])
    assert warm.run("provenance", "--variant", "both").failed(1).err == (
        f"error: the provenance of store path `{name}` is damaged\n  file  {path}\n\n"
        f"hint: `rm {path}`; the next `recipes build` writes it again\n"
    )
    path.unlink()
    assert warm.run("provenance", "--variant", "both").failed(2).err == (
        f"error: no provenance of `{name}` is in the store\n  store  {warm.store}\n\n"
        "hint: `recipes build --variant VARIANT [TARGET]` builds what is not there, and records it\n"
    )
    warm.build("both").ok()
    assert path.is_file()


@pytest.mark.sandbox
def test_what_is_forgotten_leaves_no_statement(warm: Small) -> None:
    store = Store(warm.store)
    [name] = [one.name for one in warm.entries("cmake-3.31.0")]
    store.attach(store.signature_path(name), b"{}")
    with store.lock(name):
        store.forget(name)
    assert not store.provenance_path(name).exists()
    assert not store.signature_path(name).exists()
