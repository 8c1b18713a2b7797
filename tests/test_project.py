import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import specimen

from recipes import project as projects
from recipes.errors import LockError, RecipesError, SpecError, UsageError
from recipes.project import Project

Write = Callable[[str, bytes], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: bytes) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)

    return write


@pytest.fixture
def project(tmp_path: Path, write: Write) -> Project:
    write("environments/small.yaml", specimen.ENVIRONMENT)
    write("recipes/components/fp16/recipe.yaml", specimen.FP16)
    write("recipes/components/tvm/recipe.yaml", specimen.TVM)
    write("recipes/components/tvm/smoke.py", specimen.SMOKE)
    return Project(tmp_path)


def test_the_specs_of_a_variant(project: Project) -> None:
    assert project.specs("small") == specimen.specs()
    assert project.recipes() == specimen.specs().recipes


def test_the_projects_own_variants_are_right(root: Path) -> None:
    own = Project(root)
    assert [own.specs(name).variant for name in own.variants()] == own.variants() != []


def test_what_is_no_variant_is_not_listed(project: Project, write: Write) -> None:
    write("environments/.#small.yaml", b"")
    write("environments/small.yaml.orig", b"")
    write("environments/README.md", b"")
    assert project.variants() == ["small"]


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("smal", ", did you mean `small`?"),
        ("Small", ", did you mean `small`?"),
        ("zzz", ""),
        ("", ""),
        ("../small", ", did you mean `small`?"),
        ("/etc/passwd", ""),
        ("a\0b", ""),
    ],
)
def test_a_variant_that_does_not_exist(project: Project, asked: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        project.specs(asked)
    assert caught.value.message == f"no variant `{asked}`{near}".replace("\0", r"\x00")
    assert caught.value.hint == "`recipes list` names them all"


def refused(project: Project, variant: str = "small") -> str:
    with pytest.raises(SpecError) as caught:
        project.specs(variant)
    return caught.value.message


NAME = "is not a name: lower-case letters and digits, joined by `-._`"
SMALL = "environments/small.yaml"
RECIPE = "recipes/components/tvm/recipe.yaml"
EDITS = [
    (SMALL, b"sources:", b"sorces:", f"{SMALL}:4:1: sorces: unknown key `sorces`, did you mean `sources`?"),
    (SMALL, b"target: tvm", b"target: tmv", f"{SMALL}:2:1: target: no component `tmv`, did you mean `tvm`?"),
    (SMALL, b"target: tvm", b"target: zzz", f"{SMALL}:2:1: target: no component `zzz`"),
    (
        SMALL,
        b"  fp16:\n",
        b"  fp61:\n",
        f"{SMALL}:5:3: sources.fp61: no component `fp61`, did you mean `fp16`?",
    ),
    (
        SMALL,
        b"  tvm: {USE",
        b"  tmv: {USE",
        f"{SMALL}:12:3: options.tmv: no component `tmv`, did you mean `tvm`?",
    ),
    (
        SMALL,
        b"  tvm: {USE",
        b"  fp16: {USE",
        f"{SMALL}:12:10: options.fp16.USE_LLVM: nothing is built of `fp16`",
    ),
    (
        SMALL,
        b"LLVM: ON",
        b"LLVM: '{fp61}'",
        f"{SMALL}:12:9: options.tvm.USE_LLVM: `{{fp61}}` is not one of the inputs, did you mean `fp16`?",
    ),
    (SMALL, b"  fp16:\n", b"", f"{SMALL}:4:1: sources: `fp16` is missing, and `tvm` is built with it"),
    (
        SMALL,
        b"  tvm:\n    ref",
        b"  fp16:\n    ref",
        f"{SMALL}:6:3: sources.fp16: duplicate key `fp16`, first on line 5",
    ),
    (SMALL, b"target: tvm", b"target: fp16", None),
    (SMALL, b"target: tvm", b"toolchain: host\ntarget: tvm", None),
    (
        SMALL,
        b"target: tvm",
        b"target: tvm\ntoolchain: conda\nconda: {channels: [c], dependencies: [d]}",
        None,
    ),
    (
        SMALL,
        b"target: tvm",
        b"target: tvm\ntoolchain: conda",
        f"{SMALL}:3:1: toolchain: `conda` builds with the packages of a `conda` block, and there is none",
    ),
    (
        RECIPE,
        b"license",
        b"licence",
        f"{RECIPE}:2:1: licence: unknown key `licence`, did you mean `license`?",
    ),
    (
        RECIPE,
        b"[fp16]",
        b"[fp16, fp61]",
        f"{RECIPE}:9:16: inputs[1]: no component `fp61`, did you mean `fp16`?",
    ),
    (RECIPE, b"smoke.py", b"smoke", f"{RECIPE}:17:1: check: no file `smoke` beside the recipe"),
    (RECIPE, b"[fp16]", b"[fp16, tvm]", f"{RECIPE}:9:1: inputs: a component is built with itself: tvm → tvm"),
    (
        "recipes/components/tvm/smoke.py",
        b"works",
        b"wor\nks\xff",
        "recipes/components/tvm/smoke.py:2: not UTF-8",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), EDITS)
def test_what_does_not_fit_together_is_named_with_its_place(
    project: Project, file: str, old: bytes, new: bytes, message: str | None
) -> None:
    path = project.root / file
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))
    if message is None:
        assert project.specs("small")
    else:
        assert refused(project) == message


def test_a_target_that_is_not_among_the_sources(project: Project, write: Write) -> None:
    write(SMALL, b"summary: s\ntarget: tvm\nplatforms: [linux-64]\nsources: {fp16: }\n")
    assert refused(project) == f"{SMALL}:2:1: target: `tvm` is not among the sources"


@pytest.mark.parametrize(
    ("inputs", "chain", "line"),
    [
        ({"a": "a"}, "a → a", "a"),
        ({"a": "b", "b": "a"}, "a → b → a", "a"),
        ({"a": "b", "b": "c", "c": "b"}, "b → c → b", "b"),
    ],
)
def test_a_cycle_of_inputs_is_told_whole(
    project: Project, write: Write, inputs: dict[str, str], chain: str, line: str
) -> None:
    for name, one in inputs.items():
        write(f"recipes/components/{name}/recipe.yaml", specimen.FP16 + f"inputs: [{one}]\n".encode())
    assert refused(project) == (
        f"recipes/components/{line}/recipe.yaml:8:1: inputs: a component is built with itself: {chain}"
    )


def test_many_paths_to_one_component_are_no_cycle_and_take_no_time(project: Project, write: Write) -> None:
    write("recipes/components/c0/recipe.yaml", specimen.FP16)
    for at in range(1, 40):
        inputs = ", ".join(f"c{one}" for one in range(at))
        write(f"recipes/components/c{at}/recipe.yaml", specimen.FP16 + f"inputs: [{inputs}]\n".encode())
    assert project.specs("small")


def test_names_that_would_not_do_in_a_store_path(project: Project, write: Write) -> None:
    write("environments/Big One.yaml", specimen.ENVIRONMENT)
    assert refused(project, "Big One") == f"environments/Big One.yaml: `Big One` {NAME}"
    write("recipes/components/TVM/recipe.yaml", specimen.TVM)
    assert refused(project) == f"recipes/components/TVM/recipe.yaml: `TVM` {NAME}"


PLATFORMS = "expected `linux-64` or `linux-aarch64`"
BIG = "environments/big.yaml"


def test_an_environment_says_only_what_differs_from_another(project: Project, write: Write) -> None:
    text = b"summary: big\nextends: small\nsources: {tvm: {ref: v0.23.0}}\noptions: {tvm: {USE_CUDA: ON}}\n"
    write(BIG, text)
    small, big = project.specs("small"), project.specs("big")
    assert big.environment.summary == "big"
    assert [one.ref for one in big.sources()] == ["master", "v0.23.0"]
    assert [one.origins for one in big.sources()] == [one.origins for one in small.sources()]
    assert big.options("tvm") == {**small.options("tvm"), "USE_CUDA": "ON"}
    assert big.environment.pypi == small.environment.pypi


EXTENDING = [
    (b"extends: smal", f"{BIG}:1:1: extends: no environment `smal`, did you mean `small`?"),
    (b"extends: ../small", f"{BIG}:1:1: extends: no environment `../small`, did you mean `small`?"),
    (b"extends: big", f"{BIG}:1:1: extends: `big` extends itself: big → big"),
    (b"extends: [small]", None),
    (
        b"extends: small\nsources: {tvm: {reff: x}}",
        f"{BIG}:2:17: sources.tvm.reff: unknown key `reff`, did you mean `ref`?",
    ),
    (
        b"extends: small\nsources: {tmv: {ref: x}}",
        f"{BIG}:2:11: sources.tmv: no component `tmv`, did you mean `tvm`?",
    ),
    (b"extends: small\nsources: [tvm]", f"{BIG}:2:1: sources: expected a mapping, got a list"),
    (
        b"extends: small\nplatforms: [linux]",
        f"{BIG}:2:13: platforms[0]: {PLATFORMS}, got `linux`, did you mean `linux-64`?",
    ),
    (b"extends: small\nsumary: s", f"{BIG}:2:1: sumary: unknown key `sumary`, did you mean `summary`?"),
    (b"extends: small\ntarget: zzz", f"{BIG}:2:1: target: no component `zzz`"),
]


@pytest.mark.parametrize(("text", "message"), EXTENDING)
def test_an_error_in_an_extending_environment_is_in_its_own_file(
    project: Project, write: Write, text: bytes, message: str | None
) -> None:
    write(BIG, text)
    found = refused(project, "big")
    assert (
        found == message
        if message
        else f"{BIG}:1:1: extends: expected text, got a list" in found.splitlines()
    )


def test_an_error_in_what_is_extended_is_in_that_file(project: Project, write: Write) -> None:
    write(BIG, b"summary: big\nextends: small\nsources: {tvm: {ref: x}}\n")
    write(SMALL, specimen.ENVIRONMENT.replace(b"why:", b"wyh:"))
    assert refused(project, "big") == f"{SMALL}:8:5: sources.tvm.wyh: unknown key `wyh`, did you mean `why`?"


def test_environments_that_extend_each_other(project: Project, write: Write) -> None:
    write("environments/a.yaml", b"extends: b\n")
    write("environments/b.yaml", b"extends: c\n")
    write("environments/c.yaml", b"summary: c\nextends: b\n")
    assert refused(project, "a") == "environments/c.yaml:2:1: extends: `b` extends itself: a → b → c → b"
    assert refused(project, "c") == "environments/b.yaml:1:1: extends: `c` extends itself: c → b → c"


def test_a_chain_may_have_any_length(project: Project, write: Write) -> None:
    last = "small"
    for number in range(2000):
        name = f"e{number}"
        write(f"environments/{name}.yaml", f"summary: {number}\nextends: {last}\n".encode())
        last = name
    assert project.specs(last).environment.sources == project.specs("small").environment.sources
    assert project.specs(last).environment.summary == "1999"
    write(SMALL, b"extends: e1999\n")
    assert refused(project, "small").startswith(
        "environments/e0.yaml:2:1: extends: `small` extends itself: small"
    )


BEFORE = b"summary: s\nextends: small\nsources: {%s: {ref: %s, before: 2024-05-27T20:40:00Z}}\n"
DATES = [
    (b"fp16", b"refs/tags/v1", "only a branch has dates, and `ref` is `refs/tags/v1`"),
    (b"fp16", b"a" * 40, f"only a branch has dates, and `ref` is `{'a' * 40}`"),
    (b"packed", b"x", "only a repository has dates, and the source has none among its origins"),
]


@pytest.mark.parametrize(("name", "ref", "message"), DATES)
def test_only_a_branch_of_a_repository_has_dates(
    project: Project, write: Write, name: bytes, ref: bytes, message: str
) -> None:
    packed = specimen.FP16.replace(b"git: https://example.org/fp16", b"debian: fp16")
    write("recipes/components/packed/recipe.yaml", packed)
    write(BIG, BEFORE % (name, ref))
    place = 21 + len(name) + len(ref)
    assert refused(project, "big") == f"{BIG}:3:{place}: sources.{name.decode()}.before: {message}"


def test_a_branch_at_a_moment(project: Project, write: Write) -> None:
    write(BIG, BEFORE % (b"fp16", b"master"))
    (fp16, _) = project.specs("big").sources()
    assert str(fp16.before) == "2024-05-27 20:40:00+00:00"


COMMIT = "4987f20d48c22694d84bbffa839168596ea027ae"
REST = "why: w, retry: 2026-12-09"
TAKE_OUT = "take it out of `held`"
HELD = [
    ("sources: {fp16: %s}", "", None),
    ("sources: {fp16: %s}", "{ref: main, before: 2024-05-27T20:40:00Z}", None),
    ("sources: {fp61: %s}", "", "sources.fp61: no source `fp61`, did you mean `fp16`?"),
    ("sources: {packed: %s}", "", "sources.packed: no source `packed`"),
    (
        "sources: {fp16: %s}",
        f"{{ref: {'a' * 40}}}",
        f"sources.fp16: only a branch is held back, and `ref` is `{'a' * 40}`: {TAKE_OUT}",
    ),
    (
        "sources: {fp16: %s}",
        "{ref: refs/tags/v1}",
        f"sources.fp16: only a branch is held back, and `ref` is `refs/tags/v1`: {TAKE_OUT}",
    ),
    (
        "sources: {fp16: %s}",
        "{origins: [{debian: fp16}]}",
        f"sources.fp16: it follows no branch: {TAKE_OUT}",
    ),
    (f"pypi: {{cmake: {{version: 3.31.6, {REST}}}}}", "", None),
    (
        f"pypi: {{cmkae: {{version: 3.31.6, {REST}}}}}",
        "",
        "pypi.cmkae: `pypi` does not ask for `cmkae`, did you mean `cmake`?",
    ),
    (
        f"pypi: {{cmake: {{version: 4.0, {REST}}}}}",
        "",
        f"pypi.cmake: `pypi` asks for `cmake<4`, which 4.0 is not: {TAKE_OUT}",
    ),
    (
        "pypi: {cmake: {version: 3.32rc1, why: w, retry: 2026-12-09}}",
        "",
        None,
    ),
]


@pytest.mark.parametrize(("block", "change", "message"), HELD)
def test_what_is_held_back_is_asked_for_and_moves(
    project: Project, write: Write, block: str, change: str, message: str | None
) -> None:
    write("recipes/components/packed/recipe.yaml", specimen.FP16)
    one = f"{{commit: {COMMIT}, {REST}}}"
    text = f"summary: s\nextends: small\nsources: {{fp16: {change}}}\nheld:\n  {block.replace('%s', one)}\n"
    write(BIG, text.encode())
    if message is None:
        assert not project.specs("big").environment.held.empty
    else:
        column = 13 if "sources" in block else 10
        assert refused(project, "big") == f"{BIG}:5:{column}: held.{message}"


def test_what_an_environment_holds_back_is_its_own(project: Project, write: Write) -> None:
    one = f"held:\n  sources:\n    fp16: {{commit: {COMMIT}, {REST}}}\n"
    write(SMALL, specimen.ENVIRONMENT + one.encode())
    write(BIG, b"summary: big\nextends: small\n")
    write(
        "environments/huge.yaml",
        f"summary: huge\nextends: big\nheld: {{pypi: {{cmake: {{version: 3.31.6, {REST}}}}}}}\n".encode(),
    )
    assert project.specs("small").environment.held.names == ("fp16",)
    assert [one.held for one in project.specs("big").sources()] == [None, None]
    assert project.specs("huge").environment.held.names == ("pypi:cmake",)
    assert [one.held for one in project.specs("huge").sources()] == [None, None]


def test_what_is_wrong_with_what_another_holds_back_is_not_a_variants_fault(
    project: Project, write: Write
) -> None:
    write(SMALL, specimen.ENVIRONMENT + b"held: {sources: {zzz: }}\n")
    write(BIG, b"summary: big\nextends: small\n")
    assert project.specs("big").environment.held.empty
    assert refused(project) == f"{SMALL}:14:18: held.sources.zzz: expected a mapping, got nothing"


MADE = b"summary: s\nlicense: l\nsource_of: tvm\ninputs: [fp16]\nscript: make.py\noutputs: {a: build/a}\n"


def test_a_component_made_of_anothers_source(project: Project, write: Write) -> None:
    write("recipes/components/made/recipe.yaml", MADE)
    write("recipes/components/made/make.py", b"pass\n")
    write(BIG, b"summary: s\nextends: small\ninputs: {tvm: [made]}\n")
    specs = project.specs("big")
    assert specs.recipes["tvm"].inputs == ("fp16", "made")
    assert specs.files["made/make.py"] == b"pass\n"
    assert [one.name for one in specs.sources()] == ["fp16", "tvm"]


MADE_AT = "recipes/components/made/recipe.yaml"
MADE_WRONG = [
    (
        MADE,
        b"extends: small\nsources: {made: }",
        f"{BIG}:2:11: sources.made: it has the source of `tvm`, and none of its own",
    ),
    (
        MADE,
        b"extends: small\ninputs: {tvm: [mad]}",
        f"{BIG}:2:16: inputs.tvm[0]: no component `mad`, did you mean `made`?",
    ),
    (
        MADE,
        b"extends: small\ninputs: {tmv: [made]}",
        f"{BIG}:2:10: inputs.tmv: no component `tmv`, did you mean `tvm`?",
    ),
    (
        MADE.replace(b"[fp16]", b"[tvm]"),
        b"extends: small\ninputs: {tvm: [made]}",
        f"{MADE_AT}:4:1: inputs: a component is built with itself: made → tvm → made",
    ),
    (
        MADE.replace(b": tvm", b": tmv"),
        b"extends: small",
        "recipes/components/made/recipe.yaml:3:1: source_of: no component `tmv`, did you mean `tvm`?",
    ),
    (
        MADE.replace(b"make.py", b"mk.py"),
        b"extends: small",
        "recipes/components/made/recipe.yaml:5:1: script: no file `mk.py` beside the recipe",
    ),
    (
        MADE,
        b"target: made\nsummary: s\nplatforms: [linux-64]\nsources: {tvm: , fp16: }",
        f"{BIG}:1:1: target: `made` is not among the sources",
    ),
]


@pytest.mark.parametrize(("made", "text", "message"), MADE_WRONG)
def test_what_is_wrong_with_a_component_made_of_anothers_source(
    project: Project, write: Write, made: bytes, text: bytes, message: str
) -> None:
    write("recipes/components/made/recipe.yaml", made)
    write("recipes/components/made/make.py", b"pass\n")
    write(BIG, text)
    assert refused(project, "big") == message


def test_an_environment_that_closes_a_cycle_is_told_of_it(project: Project, write: Write) -> None:
    write(BIG, b"summary: s\nextends: small\ninputs: {fp16: [tvm]}\n")
    assert refused(project, "big") == (
        f"{BIG}:3:10: inputs.fp16: a component is built with itself: fp16 → tvm → fp16"
    )


def test_the_locks_of_a_variant(project: Project, write: Write) -> None:
    write("locks/small.lock.yaml", specimen.LOCK.encode())
    write("locks/small.requirements.txt", b"# Written by `recipes lock`; do not edit. Format 1.\n")
    assert project.lock("small") == specimen.lock()
    assert project.toolchain("small").wheels == ()
    assert [path.name for path in project.lock_files("small")] == [
        "small.lock.yaml",
        "small.requirements.txt",
    ]


READ: list[tuple[str, Callable[[Project], object]]] = [
    ("locks/small.lock.yaml", lambda project: project.lock("small")),
    ("locks/small.requirements.txt", lambda project: project.toolchain("small")),
]


@pytest.mark.parametrize(("file", "read"), READ)
def test_a_variant_that_is_not_locked(project: Project, file: str, read: Callable[[Project], object]) -> None:
    with pytest.raises(LockError) as caught:
        read(project)
    assert caught.value.message == f"variant `small` is not locked: there is no {file}"
    assert caught.value.hint == "`recipes lock --variant small`"


@pytest.mark.parametrize(("file", "read"), READ)
@pytest.mark.parametrize("text", [b"", b"\xff\n", b"a\n", b"\0", b"<<<<<<< HEAD\n"])
def test_a_damaged_lock_is_named(
    project: Project, write: Write, file: str, read: Callable[[Project], object], text: bytes
) -> None:
    write(file, text)
    with pytest.raises(LockError) as caught:
        read(project)
    assert caught.value.message.startswith(f"{file}:")
    assert caught.value.hint == f"see what changed: `git log -p {file}`; lock again: `recipes lock`"


def test_a_lock_is_written_only_where_it_differs(project: Project) -> None:
    path, _ = project.lock_files("small")
    assert project.write(path, "a\n")
    before = path.stat()
    assert not project.write(path, "a\n")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert project.write(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    assert [one.name for one in path.parent.iterdir()] == ["small.lock.yaml"]


def test_the_link_to_a_result_is_made_kept_and_moved(project: Project) -> None:
    one, other = project.root / "one", project.root / "other"
    link = project.link("result-small", one)
    inode = link.lstat().st_ino
    assert (link, link.readlink()) == (project.root / "result-small", one)
    project.link("result-small", one)
    assert link.lstat().st_ino == inode
    project.link("result-small", other)
    assert link.readlink() == other


def test_a_checkout_that_vanishes_has_no_link(project: Project) -> None:
    shutil.rmtree(project.root)
    with pytest.raises(FileNotFoundError):
        project.link("result-small", Path("/nowhere"))


def test_a_link_that_was_left_half_made_is_in_nobodys_way(project: Project) -> None:
    (project.root / ".result-small.new").symlink_to("nowhere")
    assert project.link("result-small", project.root).readlink() == project.root
    assert not (project.root / ".result-small.new").is_symlink()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_a_file_of_the_users_is_not_replaced_by_a_link(
    project: Project, make: Callable[[Path], None]
) -> None:
    make(project.root / "result-small")
    with pytest.raises(UsageError) as caught:
        project.link("result-small", project.root)
    link = project.root / "result-small"
    assert caught.value.message == f"{link} is in the way: it is no link"
    assert caught.value.hint == f"`mv {link} {link}.old`"


def test_the_checkout_is_found_from_anywhere_in_it(project: Project) -> None:
    for place in (project.root, project.root / "environments", project.root / "recipes/components/tvm"):
        assert projects.find(place) == project


def test_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    with pytest.raises(UsageError) as caught:
        projects.find(tmp_path)
    assert caught.value.message == (
        f"no project in {tmp_path} or above: no `environments/` with `recipes/components/` beside it"
    )
    assert caught.value.hint == "go to a checkout, or name one with `--project DIR`"


def test_no_file_at_all_ends_in_a_traceback(project: Project, write: Write) -> None:
    for text in (b"", b"\0", b"\xff", b"a", b"- a", b"{}", b"a: [", b"extends: small", b"extends: {}"):
        for file in (SMALL, RECIPE):
            before = (project.root / file).read_bytes()
            write(file, text)
            with pytest.raises(RecipesError) as caught:
                project.specs("small")
            assert caught.value.message.startswith(f"{file}:")
            write(file, before)
