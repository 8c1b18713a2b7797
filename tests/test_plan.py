import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import specimen
from hypothesis import given
from hypothesis import strategies as st

from recipes import derivations, toolchain
from recipes import plan as plans
from recipes.derivations import Confinement
from recipes.errors import LockError, SpecError
from recipes.plan import Build, Plan, SourceTree, UnpackedWheel
from recipes.requirements import Wheel
from recipes.spec import Specs
from recipes.store import Store
from recipes.toolchain import HostTools

TVM, LOCK, ENVIRONMENT = specimen.TVM, specimen.LOCK, specimen.ENVIRONMENT


def planned(
    specs: Specs | None = None,
    lock: str = LOCK,
    wheels: tuple[Wheel, ...] | None = None,
    *,
    target: str = "tvm",
    platform: str = "linux-64",
    system: str = "linux-64",
    host: HostTools | None = None,
    sandbox: Confinement = "namespaces",
) -> Plan:
    found = specimen.toolchain().for_platform(system) if wheels is None else wheels
    tools = toolchain.host(found, host, platform, system) if host else toolchain.pypi(found, platform, system)
    asked = {"target": target, "platform": platform, "system": system}
    return plans.plan(specs or specimen.specs(), specimen.lock(lock), tools, **asked, sandbox=sandbox)


HOST = HostTools(
    {"cc": "/usr/bin/gcc-12", "c++": "/usr/bin/g++-12", "ar": "/usr/bin/ar", "ranlib": "/usr/bin/ranlib"},
    ("/bin", "/lib", "/usr"),
    {"cc1": "ab" * 32, "version": "gcc 12.2.0 x86_64-linux-gnu"},
)


PLAN = planned()
BUILD = PLAN.derivations[PLAN.target]


def test_the_plan_is_the_golden_file(root: Path) -> None:
    """Store paths change when this does: raise PLAN_FORMAT where the same build gets another path.

    `REWRITE_GOLDEN=1 pytest tests/test_plan.py` writes the file again.
    """
    golden, text = root / "tests/golden/plan.json", json.dumps(PLAN.document(), indent=2) + "\n"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_inputs_come_before_what_needs_them() -> None:
    seen: set[str] = set()
    for name in PLAN.derivations:
        assert seen.issuperset(PLAN.inputs(name))
        seen.add(name)
    assert list(PLAN.derivations)[-1] == PLAN.target
    assert seen == {PLAN.target, *PLAN.inputs(PLAN.target)}


def test_what_is_fetched_is_all_that_is_not_built() -> None:
    assert [name.split("-", 1)[1] for name in PLAN.fetched()] == [
        "cmake-3.31.10",
        "ninja-1.13.0",
        "ziglang-0.15.2",
        "fp16",
        "tvm",
        "dlpack",
    ]


def test_a_source_as_an_input_is_where_the_build_finds_it() -> None:
    assert isinstance(BUILD, Build)
    assert list(BUILD.inputs) == ["fp16"]
    assert BUILD.inputs["fp16"] in PLAN.fetched()
    assert BUILD.options == {"USE_LLVM": "ON", "FP16_DIR": "/inputs/fp16/include"}
    assert "-DFP16_DIR=/inputs/fp16/include" in BUILD.phases[0].argv


def test_another_processor_is_built_for_with_this_machines_tools() -> None:
    cross = planned(platform="linux-aarch64")
    build = cross.derivations[cross.target]
    assert isinstance(build, Build)
    assert isinstance(BUILD, Build)
    assert (build.platform, build.system, build.tools) == ("linux-aarch64", "linux-64", BUILD.tools)
    assert "-DCMAKE_SYSTEM_PROCESSOR=aarch64" in build.phases[0].argv
    assert "aarch64-linux-gnu" in build.programs["cc"]


def path(**changes: Any) -> str:
    return planned(**changes).target


OTHER = specimen.sri("another")
WHEELS = specimen.toolchain().for_platform("linux-64")
CHANGES: dict[str, dict[str, Any]] = {
    "an option of the recipe": {"specs": specimen.specs(tvm=TVM.replace(b"/include", b"/inc"))},
    "an option's name": {"specs": specimen.specs(tvm=TVM.replace(b"FP16_DIR", b"FP16"))},
    "an option of the environment": {"specs": specimen.specs(small=ENVIRONMENT.replace(b"ON", b"OFF"))},
    "a target": {"specs": specimen.specs(tvm=TVM.replace(b"targets: [tvm]", b"targets: [tvm, a]"))},
    "an output": {"specs": specimen.specs(tvm=TVM.replace(b"lib/", b"lib64/"))},
    "where an output is": {"specs": specimen.specs(tvm=TVM.replace(b"build/lib", b"build/a/lib"))},
    "the text of the check": {"specs": specimen.specs(smoke=b"print(1)")},
    "no check": {"specs": specimen.specs(tvm=TVM.replace(b"check: smoke.py\n", b""))},
    "no input": {"specs": specimen.specs(tvm=TVM.replace(b"[fp16]", b"[]").replace(b"{fp16}", b""))},
    "the source": {"lock": LOCK.replace(specimen.sri("tvm"), OTHER)},
    "a submodule": {"lock": LOCK.replace(specimen.sri("dlpack"), OTHER)},
    "where a submodule is put": {"lock": LOCK.replace("tvm/3rdparty/dlpack:\n", "tvm/dlpack:\n")},
    "an input's source": {"lock": LOCK.replace(specimen.sri("fp16"), OTHER)},
    "the newest commit's date": {"lock": LOCK.replace("2025-10-21T", "2025-10-22T")},
    "a wheel's bytes": {"wheels": (*WHEELS[:2], dataclasses.replace(WHEELS[2], sha256="0" * 64))},
    "a tool's version": {"wheels": (*WHEELS[:2], specimen.wheel("ziglang", "0.15.3"))},
    "the host's compiler": {"host": HOST},
    "another compiler of the host's": {"host": dataclasses.replace(HOST, digests={"cc1": "cd" * 32})},
    "another place of the host's compiler": {"host": dataclasses.replace(HOST, visible=("/opt/gcc", "/usr"))},
    "no sandbox": {"sandbox": "none"},
    "the host's compiler without a sandbox": {"host": HOST, "sandbox": "none"},
    "the platform": {"platform": "linux-aarch64"},
    "the machine": {"system": "linux-aarch64"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_what_a_build_depends_on_is_in_its_path(changes: dict[str, Any]) -> None:
    assert path(**changes) != PLAN.target


def test_all_those_paths_differ() -> None:
    assert len({path(**changes) for changes in CHANGES.values()}) == len(CHANGES)


SAME: dict[str, dict[str, Any]] = {
    "one more wheel": {"wheels": (*WHEELS, specimen.wheel("zlib", "1"))},
    "the recipe's summary and license": {
        "specs": specimen.specs(tvm=TVM.replace(b"compiler", b"x").replace(b"Apache-2.0", b"MIT"))
    },
    "the reason for a ref": {"specs": specimen.specs(small=ENVIRONMENT.replace(b"the newest", b"why not"))},
    "the environment's summary": {"specs": specimen.specs(small=ENVIRONMENT.replace(b"small\n", b"large\n"))},
    "the requirements of the toolchain": {
        "specs": specimen.specs(small=ENVIRONMENT.replace(b"cmake<4", b"cmake<5"))
    },
    "the ref": {"lock": LOCK.replace("v0.22.0", "v0.22.1")},
    "the commit": {"lock": LOCK.replace("9dbf3f22ff6f", "000000000000")},
    "the tree's id": {"lock": LOCK.replace("2b0b9b6c0e2f", "000000000000")},
    "an origin": {"lock": LOCK.replace("example.org", "example.com")},
    "how many origins": {"lock": LOCK.replace("    - git: https://example.org/dlpack\n", "")},
    "an archive's hash": {"lock": LOCK.replace("ab" * 32, "cd" * 32)},
    "the filter that gave the same bytes": {"lock": LOCK.replace("    - include/**\n", "    - include\n")},
    "an older date of a submodule": {"lock": LOCK.replace("2024-11-15", "2023-11-15")},
    "a wheel's file name": {
        "wheels": (dataclasses.replace(WHEELS[0], file="cmake-3.31.10-py2-none-any.whl"), *WHEELS[1:])
    },
    "who needs a wheel": {"wheels": (dataclasses.replace(WHEELS[0], via=("zlib",)), *WHEELS[1:])},
    "a component that is no input": {"specs": specimen.specs(fp16=specimen.FP16.replace(b"MIT", b"BSD"))},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_what_a_build_does_not_depend_on_is_not_in_its_path(changes: dict[str, Any]) -> None:
    assert path(**changes) == PLAN.target
    assert planned(**changes).derivations.keys() == PLAN.derivations.keys()


@pytest.mark.parametrize("changes", [*CHANGES.values(), *SAME.values()], ids=[*CHANGES, *SAME])
def test_the_changes_above_are_changes(changes: dict[str, Any]) -> None:
    whole = {
        "specs": specimen.specs(),
        "lock": LOCK,
        "wheels": WHEELS,
        "platform": "linux-64",
        "system": "linux-64",
    }
    assert {**whole, **changes} != whole


MADE = b"""\
summary: s
license: l
source_of: tvm
inputs: [fp16]
script: make.py
outputs: {a: build/a}
"""


def with_script(text: bytes = b"pass\n", made: bytes = MADE, more: bytes = b"") -> Specs:
    plain = specimen.specs(tvm=TVM.replace(b"inputs: [fp16]", b"inputs: [fp16, made]" + more))
    recipes = {**plain.recipes, "made": specimen.recipe(made)}
    return Specs("small", plain.environment, recipes, {**plain.files, "made/make.py": text})


def script_of(plan: Plan) -> Build:
    (found,) = [
        one for one in plan.derivations.values() if isinstance(one, Build) and one.component == "made"
    ]
    return found


def test_a_script_is_run_once_for_all_platforms_and_toolchains() -> None:
    plan = planned(with_script())
    build, target = script_of(plan), plan.derivations[plan.target]
    python = ("/python/bin/python3", "-s", "-S", "-B", "/recipe/script.py", "/src", "/build")
    assert build.phases == (plans.Phase("run", (*python, '{"fp16": "/inputs/fp16"}')),)
    assert (build.platform, build.system, build.tools, build.programs) == ("any", "any", {}, {})
    assert build.files == {"script.py": "pass\n"}
    assert isinstance(target, Build)
    assert build.sources == target.sources
    assert target.inputs["made"] == plans.path_name(build)
    assert script_of(planned(with_script(), platform="linux-aarch64", system="linux-aarch64")) == build


@pytest.mark.parametrize(
    "changes",
    [
        {"specs": with_script(b"pass")},
        {"specs": with_script(made=MADE.replace(b"build/a", b"build/b"))},
        {"specs": with_script(), "lock": LOCK.replace(specimen.sri("tvm"), OTHER)},
        {"specs": with_script(), "lock": LOCK.replace(specimen.sri("fp16"), OTHER)},
    ],
)
def test_what_a_script_is_run_on_is_in_the_paths(changes: dict[str, Any]) -> None:
    before, after = planned(with_script()), planned(**changes)
    assert plans.path_name(script_of(before)) != plans.path_name(script_of(after))
    assert before.target != after.target


def test_what_configuring_must_say_is_filled_in_with_the_options() -> None:
    says = TVM.replace(b"  targets", b"  says: LLVM is {USE_LLVM}, {FP16_DIR} {\n  targets")
    plan = planned(specimen.specs(tvm=says))
    build = plan.derivations[plan.target]
    assert isinstance(build, Build)
    assert build.phases[0].says == "LLVM is ON, /inputs/fp16/include {"
    assert plan.target != PLAN.target


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(Build)])
def test_every_field_of_a_build_is_in_its_path(name: str) -> None:
    assert isinstance(BUILD, Build)
    value = getattr(BUILD, name)
    other: Any = "other"
    if isinstance(value, dict):
        other = {"a": "b"}
    elif isinstance(value, tuple):
        other = () if value else ("/usr",)
    assert plans.path_name(dataclasses.replace(BUILD, **{name: other})) != plans.path_name(BUILD)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5), st.randoms())
def test_the_order_of_a_mapping_is_not_in_the_path(mapping: dict[str, str], random: Any) -> None:
    assert isinstance(BUILD, Build)
    items = list(mapping.items())
    random.shuffle(items)
    one, other = (dataclasses.replace(BUILD, env=env) for env in (mapping, dict(items)))
    assert plans.path_name(one) == plans.path_name(other)


def test_another_format_gives_every_derivation_another_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivations, "PLAN_FORMAT", plans.PLAN_FORMAT + 1)
    assert PLAN.derivations.keys().isdisjoint(planned().derivations)


def test_a_source_and_a_wheel_of_one_hash_have_different_paths() -> None:
    source = next(one for one in PLAN.derivations.values() if isinstance(one, SourceTree))
    wheel = UnpackedWheel(dataclasses.replace(WHEELS[0], sha256="0" * 64))
    renamed = dataclasses.replace(source, name="cmake-3.31.10", hash="0" * 64)
    assert plans.path_name(renamed) != plans.path_name(wheel)


def test_two_components_of_one_tree_have_a_path_each() -> None:
    source = next(one for one in PLAN.derivations.values() if isinstance(one, SourceTree))
    other = dataclasses.replace(source, name="another")
    assert plans.path_name(other).endswith("-another")
    assert plans.path_name(other) != plans.path_name(source)


@pytest.mark.parametrize("project", ["cmake", "ninja", "ziglang"])
def test_a_toolchain_without_a_program_is_an_error_of_the_lock(project: str) -> None:
    wheels = tuple(one for one in WHEELS if one.project != project)
    with pytest.raises(LockError) as caught:
        planned(wheels=wheels)
    assert caught.value.message == f"the locked toolchain has no `{project}` for linux-64"


def test_nothing_is_built_of_a_source() -> None:
    with pytest.raises(SpecError) as caught:
        planned(target="fp16")
    assert caught.value.message == "`fp16` is a source: nothing is built of it"


def diamond(inputs: dict[str, list[str]]) -> Specs:
    base = specimen.recipe(specimen.FP16)
    recipes = {name: base.model_copy(update={"inputs": tuple(them)}) for name, them in inputs.items()}
    return Specs("small", specimen.environment(), recipes, {})


@pytest.mark.parametrize(
    ("inputs", "order"),
    [
        ({"a": []}, ["a"]),
        ({"a": ["b"], "b": []}, ["b", "a"]),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ["d", "b", "c", "a"]),
        ({"a": ["c", "b"], "b": ["c"], "c": []}, ["c", "b", "a"]),
        ({"a": ["b"], "b": [], "z": []}, ["b", "a"]),
        ({"a": ["b", "b"], "b": []}, ["b", "a"]),
    ],
)
def test_a_component_comes_once_and_after_its_inputs(inputs: dict[str, list[str]], order: list[str]) -> None:
    assert list(plans.order(diamond(inputs), "a")) == order


def test_a_cycle_ends_here_too() -> None:
    assert list(plans.order(diamond({"a": ["b"], "b": ["a"]}), "a")) == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("tvm/3rdparty/dlpack", "dlpack"),
        ("tvm/a b", "a-b"),
        ("tvm/ä~x", "--x"),
        ("tvm/" + "x" * 300, "x" * 190),
        ("tvm/", "source"),
    ],
)
def test_a_directory_of_any_name_has_a_store_path(name: str, label: str) -> None:
    source = next(one for one in PLAN.derivations.values() if isinstance(one, SourceTree))
    path = plans.path_name(dataclasses.replace(source, name=name))
    assert path[33:] == label
    assert Store(Path("/s")).path(path) == Path("/s/paths", path)


def test_of_the_host_nothing_is_named_where_nothing_is_used() -> None:
    assert not {"visible", "host"} & BUILD.identity().keys()
    with_host = planned(host=HOST)
    target = with_host.derivations[with_host.target]
    assert isinstance(target, Build)
    assert target.identity()["host"] == dict(HOST.digests)
    assert [row.get("visible") for row in with_host.document()["derivations"]][-1] == HOST.visible
