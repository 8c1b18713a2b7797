"""`recipes why` and `recipes why-rebuild`: the shortest ways through a plan, and what changed, in words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import smallproject
import specimen
from smallproject import Small, Upstream

from recipes import plan as plans
from recipes import toolchain
from recipes.errors import UsageError
from recipes.evidence import chains, changes, provenance
from recipes.evidence.changes import Change
from recipes.evidence.provenance import Known, Statement
from recipes.plan import Build, Derivation, Phase, Plan, SourceTree, path_name
from recipes.requirements import Wheel
from recipes.tree import Filter


def specimen_plan(*wheels: Wheel) -> Plan:
    tools = {one.project: one for one in specimen.toolchain().for_platform("linux-64")}
    tools |= {one.project: one for one in wheels}
    return plans.plan(
        specimen.specs(),
        specimen.lock(specimen.LOCK),
        toolchain.pypi([*tools.values()], "linux-64", "linux-64"),
        target="tvm",
        platform="linux-64",
        system="linux-64",
    )


PLAN = specimen_plan()


def target(plan: Plan) -> Build:
    one = plan.derivations[plan.target]
    assert isinstance(one, Build)
    return one


BUILD = target(PLAN)


def commit(label: str) -> str:
    one = PLAN.derivations[PATHS["source", label]]
    assert isinstance(one, SourceTree)
    return str(one.commit)


PATHS = {(one.kind, one.label()): path for path, one in PLAN.derivations.items()}
FP16, CMAKE = PATHS["source", "fp16"], PATHS["wheel", "cmake-3.31.10"]


def diamond() -> Plan:
    """Make a plan in which `d` is reached through `b` and through `c`, and `e` by a longer way, too."""
    found: dict[str, Derivation] = {}

    def build(name: str, **inputs: str) -> str:
        one = dataclasses.replace(BUILD, component=name, inputs=inputs, sources={}, tools={})
        found[path_name(one)] = one
        return path_name(one)

    e = build("e")
    d = build("d", e=e)
    b, c = build("b", d=d), build("c", d=d)
    a = build("a", b=b, c=c, e=e)
    return Plan("diamond", "a", "linux-64", a, found)


def named(plan: Plan) -> dict[str, str]:
    return {one.label(): path for path, one in plan.derivations.items()}


@pytest.mark.parametrize(
    ("word", "path"),
    [
        *(("tvm", PLAN.target), ("fp16", FP16), ("cmake", CMAKE), (FP16, FP16)),
        ("tvm/3rdparty/dlpack", PATHS["source", "dlpack"]),
        (PATHS["source", "tvm"], PATHS["source", "tvm"]),
    ],
)
def test_what_a_word_names(word: str, path: str) -> None:
    assert chains.resolve(PLAN, word) == path


def test_a_word_that_names_nothing() -> None:
    with pytest.raises(UsageError) as caught:
        chains.resolve(PLAN, "fp61")
    assert caught.value.message == f"nothing of `{PLAN.variant}` has the name `fp61`, did you mean `fp16`?"
    assert caught.value.hint == f"`recipes plan --variant {PLAN.variant}` names all that is in it"


@pytest.mark.parametrize(
    ("end", "lines"),
    [
        (PLAN.target, [PLAN.target]),
        (FP16, [PLAN.target, f"  input fp16: {FP16}"]),
        (CMAKE, [PLAN.target, f"  tool cmake: {CMAKE}"]),
        (
            PATHS["source", "dlpack"],
            [PLAN.target, f"  source tvm/3rdparty/dlpack: {PATHS['source', 'dlpack']}"],
        ),
    ],
    ids=["itself", "input", "tool", "source"],
)
def test_one_step(end: str, lines: list[str]) -> None:
    assert chains.text(chains.shortest(PLAN, PLAN.target, end)).splitlines() == lines


def test_all_shortest_ways_are_told_and_no_longer_ones() -> None:
    plan = diamond()
    path = named(plan)
    assert chains.text(chains.shortest(plan, path["a"], path["d"])) == (
        f"{path['a']}\n  input b: {path['b']}\n    input d: {path['d']}\n\n"
        f"{path['a']}\n  input c: {path['c']}\n    input d: {path['d']}"
    )
    assert chains.text(chains.shortest(plan, path["a"], path["e"])) == f"{path['a']}\n  input e: {path['e']}"


def test_there_may_be_no_way() -> None:
    plan = diamond()
    path = named(plan)
    assert chains.shortest(plan, path["b"], path["c"]) == []
    assert chains.none(plan, path["b"], path["c"]) == f"{path['b']} does not depend on {path['c']}"
    assert chains.none(plan, path["d"], path["a"]) == (
        f"{path['d']} does not depend on {path['a']}: it is the other way round"
    )


def statement_of(plan: Plan, path: str) -> Statement:
    known = {name: Known(specimen.sri(one.label())) for name, one in plan.derivations.items()}
    return provenance.statement(plan, path, known, {})


def told(new: Build, old: Build = BUILD) -> list[str]:
    """Say what differs between two builds, with the derivations of the specimen behind both."""
    before = Plan("x", "tvm", "linux-64", path_name(old), {**PLAN.derivations, path_name(old): old})
    after = Plan("x", "tvm", "linux-64", path_name(new), {**PLAN.derivations, path_name(new): new})
    made = statement_of(before, before.target)
    found = changes.between(made, after, after.target, lambda _path: None)
    return [line for one in found for line in one.lines("")]


def changed(**fields: Any) -> Build:
    return dataclasses.replace(BUILD, **fields)


def argv(**options: str) -> tuple[Phase, ...]:
    """Give the phases as they are with other options."""
    return tuple(
        dataclasses.replace(
            phase,
            argv=tuple(
                f"-D{word[2:].split('=')[0]}={options[word[2:].split('=')[0]]}"
                if word[2:].split("=")[0] in options
                else word
                for word in phase.argv
            ),
        )
        for phase in BUILD.phases
    )


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (changed(), []),
        (
            changed(options={**BUILD.options, "USE_LLVM": "OFF"}, phases=argv(USE_LLVM="OFF")),
            ["option USE_LLVM: ON → OFF"],
        ),
        (
            changed(options={"USE_LLVM": "ON", "NEW": "1"}),
            ["option FP16_DIR: removed: /inputs/fp16/include", "option NEW: added: 1"],
        ),
        (
            changed(env={**BUILD.env, "SOURCE_DATE_EPOCH": "1", "X": "y"}),
            ["variable SOURCE_DATE_EPOCH: 1761006557 → 1", "variable X: added: y"],
        ),
        (changed(platform="linux-aarch64"), ["platform: linux-64 → linux-aarch64"]),
        (changed(sandbox="none"), ["sandbox: namespaces → none"]),
        (changed(outputs={"lib/x": "build/x"}), [
            "output lib/libtvm.so: removed: build/libtvm.so", "output lib/x: added: build/x",
        ]),
        (changed(host={"cc": "sha256-x"}), ["host cc: added: sha256-x"]),
        (changed(inputs={}), [f"input fp16: removed: {commit('fp16')}"]),
        (
            changed(sources={"": FP16}),
            [
                f"source fp16: {commit('tvm')} → {commit('fp16')}",
                f"source 3rdparty/dlpack: removed: {commit('dlpack')}",
            ],
        ),
        (changed(tools={"cmake": CMAKE}), [
            "tool ninja: removed: ninja-1.13.0", "tool ziglang: removed: ziglang-0.15.2",
        ]),
        (
            changed(phases=(dataclasses.replace(BUILD.phases[0], says="hello"), *BUILD.phases[1:])),
            ["phase configure has to say: added: hello"],
        ),
        (changed(phases=BUILD.phases[:1]), [f"phase build: removed: {' '.join(BUILD.phases[1].argv)}"]),
        (
            changed(phases=argv(CMAKE_C_FLAGS="-g0 -O3")),
            ["phase configure: -DCMAKE_C_FLAGS=-g0 → -DCMAKE_C_FLAGS=-g0 -O3"],
        ),
    ],
)  # fmt: skip
def test_what_changed_is_told(new: Build, lines: list[str]) -> None:
    assert told(new) == lines


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"check": "import sys\n"}, "check: 1 lines, sha256-"),
        ({"check": None}, "check: removed: 1 lines, sha256-"),
        ({"programs": {**BUILD.programs, "cc": "#!/bin/sh\n"}}, "program cc: 2 lines, sha256-"),
        ({"files": {"script.py": "x"}}, "file script.py: added: 1 lines, sha256-"),
    ],
)
def test_long_texts_are_told_by_their_hash(fields: dict[str, Any], what: str) -> None:
    [line] = told(changed(**fields))
    assert line.startswith(what)


def test_another_plan_format_is_told() -> None:
    made = statement_of(PLAN, PLAN.target)
    provenance.derived(made)["planFormat"] = 0
    found = changes.between(made, PLAN, PLAN.target, lambda _path: None)
    assert found == (Change("plan format", "0", str(plans.PLAN_FORMAT)),)


def test_another_tool_is_told() -> None:
    wheel = Wheel("cmake", "3.31.11", "cmake-3.31.11-py3-none-any.whl", "ab" * 32, "linux-64")
    other = specimen_plan(wheel)
    found = changes.between(statement_of(PLAN, PLAN.target), other, other.target, lambda _path: None)
    assert found == (Change("tool cmake", "cmake-3.31.10", "cmake-3.31.11"),)


def test_what_changed_in_an_input_is_told_below_it() -> None:
    before, after = diamond(), diamond()
    found: dict[str, Derivation] = {}
    new: dict[str, str] = {}
    for path, one in after.derivations.items():
        assert isinstance(one, Build)
        options = {"NEW": "1"} if one.component == "e" else one.options
        inputs = {name: new[old] for name, old in one.inputs.items()}
        made = dataclasses.replace(one, options=options, inputs=inputs)
        new[path] = path_name(made)
        found[new[path]] = made
    plan = Plan("diamond", "a", "linux-64", new[after.target], found)
    earlier = {path: statement_of(before, path) for path in before.derivations}
    told = changes.between(earlier[before.target], plan, plan.target, earlier.get)
    lines = [line for one in told for line in one.lines("")]
    old, now = named(before), named(plan)
    assert lines[:3] == [
        f"input b: {old['b']} → {now['b']}",
        f"  input d: {old['d']} → {now['d']}",
        f"    input e: {old['e']} → {now['e']}",
    ]
    assert lines[3:6] == [
        "      option FP16_DIR: removed: /inputs/fp16/include",
        "      option NEW: added: 1",
        "      option USE_LLVM: removed: ON",
    ]
    assert [line for line in lines if not line.startswith(" ")] == [
        f"input {name}: {old[name]} → {now[name]}" for name in "bce"
    ]
    assert json.loads(json.dumps([one.document() for one in told]))[0]["below"][0]["what"] == "input d"
    assert changes.between(earlier[before.target], plan, plan.target, lambda _path: None)[0].below == ()


def test_a_source_that_was_not_recorded_is_told_by_its_path() -> None:
    made = statement_of(PLAN, PLAN.target)
    made["predicate"]["buildDefinition"]["resolvedDependencies"] = []
    other = dataclasses.replace(BUILD, sources={"": FP16})
    plan = Plan("x", "tvm", "linux-64", path_name(other), {**PLAN.derivations, path_name(other): other})
    found = changes.between(made, plan, plan.target, lambda _path: None)
    assert found[0].old == BUILD.sources[""]


def test_a_source_without_a_commit_is_told_by_its_hash() -> None:
    tree = SourceTree("fp16", specimen.sri("another"), None, None, Filter(), ())
    other = dataclasses.replace(BUILD, inputs={"fp16": path_name(tree)})
    plan = Plan(
        "x",
        "tvm",
        "linux-64",
        path_name(other),
        {**PLAN.derivations, path_name(tree): tree, path_name(other): other},
    )
    [change] = changes.between(statement_of(PLAN, PLAN.target), plan, plan.target, lambda _path: None)
    assert (change.old, change.new) == ("4987f20d48c22694d84bbffa839168596ea027ae", specimen.sri("another"))


# What follows is built for real.


@pytest.fixture
def warm(upstream: Upstream, built: Path, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(built)
        yield made


def plan_of(small: Small, variant: str) -> dict[tuple[str, str], str]:
    rows = json.loads(small.run("plan", "--variant", variant, "--json").ok().out)["derivations"]
    return {(one["kind"], one["path"][33:]): one["path"] for one in rows}


@pytest.mark.sandbox
def test_why_as_a_user_sees_it(warm: Small) -> None:
    path = plan_of(warm, "both")
    app, thing, deep = path["build", "app"], path["build", "thing"], path["source", "deep"]
    way = f"{app}\n  input thing: {thing}\n    source thing/3rdparty/part/deep: {deep}\n"
    assert warm.run("why", "app", "thing/3rdparty/part/deep", "--variant", "both").ok().out == way
    assert warm.run("why", app, deep).ok().out == way  # without a variant: the first that has both
    no = warm.run("why", "thing", "app", "--variant", "both")
    assert (no.code, no.out) == (1, f"{thing} does not depend on {app}: it is the other way round\n")
    found = json.loads(warm.run("why", "app", "thing", "--variant", "both", "--json").ok().out)
    assert found == {
        "variant": "both",
        "ways": [[{"role": "", "path": app}, {"role": "input thing", "path": thing}]],
    }
    assert warm.run("why", "app", "thong", "--variant", "both").failed(2).err == (
        "error: nothing of `both` has the name `thong`, did you mean `thing`?\n\n"
        "hint: `recipes plan --variant both` names all that is in it\n"
    )
    assert warm.run("why", "app", "x").failed(2).err == (
        "error: no variant has both `app` and `x`\n\nhint: name one with `--variant`\n"
    )


@pytest.mark.sandbox
def test_why_rebuild_as_a_user_sees_it(warm: Small) -> None:
    path = plan_of(warm, "both")
    app, thing = path["build", "app"], path["build", "thing"]
    warm.build("both").ok()
    same = warm.run("why-rebuild", "--variant", "both").ok()
    assert same.out == f"{app}: nothing changed since its last build\n"

    warm.edit(
        "recipes/components/thing/recipe.yaml", "    MODE: plain\n", "    MODE: plain\n    COLOUR: blue\n"
    )
    now = plan_of(warm, "both")
    told = warm.run("why-rebuild", "--variant", "both").ok()
    assert told.out.splitlines() == [
        f"{app} → {now['build', 'app']}",
        f"  input thing: {thing} → {now['build', 'thing']}",
        "    option COLOUR: added: blue",
    ]
    found = json.loads(warm.run("why-rebuild", "--variant", "both", "--json").ok().out)
    assert (found["old"], found["new"]) == (app, now["build", "app"])
    assert found["changes"][0]["below"] == [
        {"what": "option COLOUR", "old": None, "new": "blue", "below": []}
    ]
    # without a link, it is compared with what was recorded last
    part = warm.run("why-rebuild", "--variant", "both", "thing").ok()
    assert part.out == f"{thing} → {now['build', 'thing']}\n  option COLOUR: added: blue\n"


@pytest.mark.sandbox
def test_why_rebuild_without_an_earlier_build(warm: Small) -> None:
    for path in (warm.store / "provenance").iterdir():
        path.unlink()
    app = plan_of(warm, "both")["build", "app"]
    told = warm.run("why-rebuild", "--variant", "both").ok()
    assert told.out == f"{app}: no earlier build of it is recorded\n"
    link = warm.root / "result-both"
    link.symlink_to("/nowhere/else")
    assert warm.run("why-rebuild", "--variant", "both").ok().out == told.out
