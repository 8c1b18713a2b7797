import pytest
import specimen

from recipes.errors import SpecError
from recipes.spec import SourceChange, Specs, asked

FIRST = b"summary: s\nlicense: l\nsource: {ref: x, origins: [{git: https://a}]}\n"
SOURCE = b"summary: s\nlicense: l\nsource:\n  origins: [{git: https://a}]\n"
PLATFORMS = "expected `linux-64` or `linux-aarch64`"
RELATIVE = "a path is relative, without `.`, `..` or a trailing `/`"
KINDS = "an origin is one of `git`, `pypi`, `debian`, `url`"
ONLY = "a toolchain requirement has a name and versions only"
LINUX_46 = "got `linux-46`, did you mean `linux-64`?"
ONE_SOURCE = "give one of `source` and `source_of`"
NOT_A_REF = "not a name that git allows a branch or a tag to have"
OPTION_NAME = "a CMake option's name has letters, digits and `_` only"
TOGETHER = "`cmake` or `script` goes with `outputs`: what is built, and what of it is kept"
RECIPES = [
    (b"", "recipe.yaml:1:1: expected a mapping, got nothing"),
    (FIRST + b"input: [a]", "recipe.yaml:4:1: input: unknown key `input`, did you mean `inputs`?"),
    (SOURCE, "recipe.yaml:4:3: source.origins: a repository needs a `ref`"),
    (SOURCE + b"  ref:", "recipe.yaml:4:3: source.origins: a repository needs a `ref`"),
    (SOURCE + b"  ref: ''", "recipe.yaml:5:3: source.ref: expected text, got nothing"),
    (SOURCE + b"  ref: --upload-pack=x", f"recipe.yaml:5:3: source.ref: {NOT_A_REF}"),
    (SOURCE + b"  ref: a b", f"recipe.yaml:5:3: source.ref: {NOT_A_REF}"),
    (SOURCE + b"  ref: a..b", f"recipe.yaml:5:3: source.ref: {NOT_A_REF}"),
    (SOURCE + b"  ref: a@{1}", f"recipe.yaml:5:3: source.ref: {NOT_A_REF}"),
    (SOURCE + b"  ref: HEAD~1", f"recipe.yaml:5:3: source.ref: {NOT_A_REF}"),
    (SOURCE + b"  ref: refs/heads/", f"recipe.yaml:5:3: source.ref: {NOT_A_REF}"),
    (
        SOURCE + b"  ref: x\n  modes: gti",
        "recipe.yaml:6:3: source.modes: expected `git` or `plain`, got `gti`, did you mean `git`?",
    ),
    (
        SOURCE + b"  ref: x\n  include: src/**",
        "recipe.yaml:6:3: source.include: expected a list, got `src/**`",
    ),
    (
        SOURCE + b"  ref: x\n  submodules: [a]",
        "recipe.yaml:6:3: source.submodules: expected a mapping, got a list",
    ),
    (SOURCE + b"  ref: x\n  submodules: {../a: {}}", f"recipe.yaml:6:16: source.submodules.../a: {RELATIVE}"),
    (
        SOURCE + b"  ref: x\n  submodules: {a: {also: [{pipy: b}]}}",
        f"recipe.yaml:6:27: source.submodules.a.also[0]: {KINDS}",
    ),
    (
        FIRST + b"cmake: {targets: []}\noutputs: {a: src/a}",
        "recipe.yaml:4:9: cmake.targets: expected at least one, got nothing",
    ),
    (
        FIRST + b"cmake: {options: {USE-X: ON}, targets: [a]}\noutputs: {a: src/a}",
        f"recipe.yaml:4:19: cmake.options.USE-X: {OPTION_NAME}",
    ),
    (
        FIRST + b'cmake: {options: {A: "x\\ny"}, targets: [a]}\noutputs: {a: src/a}',
        "recipe.yaml:4:19: cmake.options.A: a CMake option's value is one line",
    ),
    (
        FIRST + b"cmake: {options: {A: [x]}, targets: [a]}\noutputs: {a: src/a}",
        "recipe.yaml:4:19: cmake.options.A: expected text, got a list",
    ),
    (
        FIRST + b"inputs: [fp16]\ncmake: {options: {A: '{fp61}'}, targets: [a]}\noutputs: {a: src/a}",
        "recipe.yaml:5:19: cmake.options.A: `{fp61}` is not one of the inputs, did you mean `fp16`?",
    ),
    (FIRST + b"cmake: {targets: [a]}", f"recipe.yaml:4:1: cmake: {TOGETHER}"),
    (FIRST + b"outputs: {a: src/a}", f"recipe.yaml:4:1: outputs: {TOGETHER}"),
    (
        FIRST + b"cmake: {targets: [a]}\noutputs: {a: out/a}",
        "recipe.yaml:5:11: outputs.a: an output is found below `src/`, `build/` or `inputs/NAME/`",
    ),
    (FIRST + b"cmake: {targets: [a]}\noutputs: {a: src/../../a}", f"recipe.yaml:5:11: outputs.a: {RELATIVE}"),
    (FIRST + b"cmake: {targets: [a]}\noutputs: {/a: src/a}", f"recipe.yaml:5:11: outputs./a: {RELATIVE}"),
    (FIRST + b"source_of: a", f"recipe.yaml:3:1: source: {ONE_SOURCE}"),
    (b"summary: s\nlicense: l", f"recipe.yaml:1:1: summary: {ONE_SOURCE}"),
    (FIRST + b"script: a.py", f"recipe.yaml:4:1: script: {TOGETHER}"),
    (
        FIRST + b"cmake: {targets: [a]}\nscript: a.py\noutputs: {a: src/a}",
        "recipe.yaml:5:1: script: a component is built by `cmake` or by `script`, not by both",
    ),
    (
        FIRST + b"inputs: [fp16]\nscript: a.py\noutputs: {a: inputs/fp61/a}",
        "recipe.yaml:6:11: outputs.a: `fp61` is not one of the inputs, did you mean `fp16`?",
    ),
    (
        FIRST + b"inputs: [fp16]\nscript: a.py\noutputs: {a: inputs/fp16}",
        "recipe.yaml:6:11: outputs.a: an output is found below `src/`, `build/` or `inputs/NAME/`",
    ),
    (
        FIRST + b"cmake: {platform_options: {linux-46: {}}, targets: [a]}\noutputs: {a: src/a}",
        f"recipe.yaml:4:28: cmake.platform_options.linux-46: {PLATFORMS}, {LINUX_46}",
    ),
    (
        FIRST + b"cmake: {platform_options: {linux-64: {A: '{b}'}}, targets: [a]}\noutputs: {a: src/a}",
        "recipe.yaml:4:39: cmake.platform_options.linux-64.A: `{b}` is not one of the inputs",
    ),
    (
        FIRST + b"cmake: {options: {NNPACK: a}, says: '{NPACK}', targets: [a]}\noutputs: {a: src/a}",
        "recipe.yaml:4:31: cmake.says: `{NPACK}` is not one of the options, did you mean `NNPACK`?",
    ),
    (FIRST + b"check: ../a", f"recipe.yaml:4:1: check: {RELATIVE}"),
]


@pytest.mark.parametrize(("text", "message"), RECIPES)
def test_what_is_wrong_in_a_recipe_is_named_with_its_place(text: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        specimen.recipe(text)
    assert caught.value.message == message


ENTRY = b"summary: s\ntarget: t\nplatforms: [linux-64]\n"
WHOLE = ENTRY + b"sources: {t: }\n"
ENVIRONMENTS = [
    (b"- a", "small.yaml:1:1: expected a mapping, got a list"),
    (ENTRY, "small.yaml:1:1: `sources` is missing"),
    (ENTRY + b"sources:", "small.yaml:4:1: sources: expected a mapping, got nothing"),
    (ENTRY + b"sources: {}", "small.yaml:4:1: sources: expected at least one, got nothing"),
    (ENTRY + b"sources: [t]", "small.yaml:4:1: sources: expected a mapping, got a list"),
    (ENTRY + b"sources: {t: v1}", "small.yaml:4:11: sources.t: expected a mapping, got `v1`"),
    (
        ENTRY + b"sources: {t: {reff: v1}}",
        "small.yaml:4:15: sources.t.reff: unknown key `reff`, did you mean `ref`?",
    ),
    (ENTRY + b"sources: {t: {ref: -x}}", f"small.yaml:4:15: sources.t.ref: {NOT_A_REF}"),
    (
        ENTRY + b"sources: {t: {origins: []}}",
        "small.yaml:4:15: sources.t.origins: expected at least one, got nothing",
    ),
    (
        ENTRY + b"sources: {t: {also: [{gti: x}]}}",
        f"small.yaml:4:22: sources.t.also[0]: {KINDS}, did you mean `git`?",
    ),
    (WHOLE + b"sumary: x", "small.yaml:5:1: sumary: unknown key `sumary`, did you mean `summary`?"),
    (
        WHOLE + b"toolchain: conad",
        "small.yaml:5:1: toolchain: expected `pypi` or `conda` or `host`, got `conad`, did you mean `conda`?",
    ),
    (
        WHOLE.replace(b"[linux-64]", b"[linux-46]"),
        f"small.yaml:3:13: platforms[0]: {PLATFORMS}, got `linux-46`, did you mean `linux-64`?",
    ),
    (WHOLE.replace(b"[linux-64]", b"[]"), "small.yaml:3:1: platforms: expected at least one, got nothing"),
    (WHOLE.replace(b"[linux-64]", b"linux-64"), "small.yaml:3:1: platforms: expected a list, got `linux-64`"),
    (WHOLE + b"options: {t: }", "small.yaml:5:11: options.t: expected a mapping, got nothing"),
    (WHOLE + b"options: {t: {A B: x}}", f"small.yaml:5:15: options.t.A B: {OPTION_NAME}"),
    (
        WHOLE + b"pypi: [cmake=4]",
        "small.yaml:5:8: pypi[0]: `cmake=4` is not a requirement such as `cmake>=3.26,<4`",
    ),
    (WHOLE + b"pypi: ['cmake[x]']", f"small.yaml:5:8: pypi[0]: {ONLY}: `cmake[x]`"),
    (WHOLE + b"pypi: ['cmake @ https://a']", f"small.yaml:5:8: pypi[0]: {ONLY}: `cmake @ https://a`"),
    (
        WHOLE + b"pypi: [ninja, cmake; os_name=='x']",
        f"small.yaml:5:15: pypi[1]: {ONLY}: `cmake; os_name=='x'`",
    ),
]


@pytest.mark.parametrize(("text", "message"), ENVIRONMENTS)
def test_what_is_wrong_in_an_environment_is_named_with_its_place(text: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        specimen.environment(text)
    assert caught.value.message == message


@pytest.mark.parametrize("ref", ["main", "v0.22.0", "1.10", "refs/tags/v1", "feature/a-b", "a" * 40, "é"])
def test_what_git_allows_as_a_name_is_a_ref(ref: str) -> None:
    source = specimen.recipe(SOURCE + f"  ref: {ref}".encode()).source
    assert source
    assert source.ref == ref


def test_the_environment_lies_over_the_recipes() -> None:
    fp16, tvm = specimen.specs().sources()
    assert (fp16.name, fp16.ref, fp16.taken.include) == ("fp16", "master", ("LICENSE", "include/**"))
    assert [one.describe() for one in fp16.origins] == ["https://example.org/fp16"]
    assert (tvm.name, tvm.ref) == ("tvm", "v0.22.0")
    assert [one.describe() for one in tvm.origins] == [
        "https://example.org/tvm",
        "carrier-1.10.tar.gz of the package index",
    ]
    assert list(tvm.submodules) == ["3rdparty/dlpack"]


def test_an_environments_options_win() -> None:
    specs = specimen.specs()
    assert specs.options("tvm") == {"USE_LLVM": "ON", "FP16_DIR": "{fp16}/include"}
    assert specs.options("fp16") == {}


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"ref": "v1"}, "ref", "v1"),
        ({"include": ["x"]}, "taken.include", ("x",)),
        ({"include": []}, "taken.include", ()),
        ({"exclude": ["x"]}, "taken.exclude", ("x",)),
        ({"strip": "x"}, "taken.strip", "x"),
        ({"modes": "plain"}, "taken.modes", "plain"),
        ({"submodules": {}}, "submodules", {}),
        (
            {"origins": [{"git": "https://b"}], "also": [{"git": "https://c"}]},
            "origins",
            ("https://b", "https://c"),
        ),
        ({"also": [{"git": "https://c"}]}, "origins", ("https://a", "https://c")),
        ({"why": "x"}, "ref", "x"),
    ],
)
def test_what_an_environment_says_replaces_the_recipes_own(
    change: dict[str, object], field: str, value: object
) -> None:
    base = specimen.recipe(SOURCE + b"  ref: x\n  include: [a, b]\n  submodules: {s: {}}\n").source
    assert base
    plain, changed = asked("a", base, SourceChange()), asked("a", base, SourceChange.model_validate(change))
    found = {
        "ref": changed.ref,
        "origins": tuple(one.describe() for one in changed.origins),
        "submodules": changed.submodules,
        **{f"taken.{name}": one for name, one in changed.taken.model_dump().items()},
    }
    assert found[field] == value
    assert (changed == plain) == (change == {"why": "x"})


def test_a_platforms_options_lie_between_the_recipes_and_the_environments() -> None:
    platforms = b"  platform_options: {linux-64: {USE_LLVM: a, ARCH: x86-64}, linux-aarch64: {ARCH: neon}}\n"
    specs = specimen.specs(tvm=specimen.TVM.replace(b"  targets", platforms + b"  targets"))
    assert specs.options("tvm", "linux-64") == {
        "USE_LLVM": "ON",
        "FP16_DIR": "{fp16}/include",
        "ARCH": "x86-64",
    }
    assert specs.options("tvm", "linux-aarch64")["ARCH"] == "neon"
    assert "ARCH" not in specs.options("tvm")


def test_what_is_made_of_anothers_source_has_none_to_ask_for() -> None:
    plain = specimen.specs()
    made = specimen.recipe(b"summary: s\nlicense: l\nsource_of: tvm\n")
    sources = {**plain.environment.sources, "made": None}
    environment = plain.environment.model_copy(update={"sources": sources})
    specs = Specs("small", environment, {**plain.recipes, "made": made}, {})
    assert [one.name for one in specs.sources()] == ["fp16", "tvm"]
    assert (specs.owner("made"), specs.owner("tvm")) == ("tvm", "tvm")
    assert not made.built


def test_the_filter_of_what_is_taken() -> None:
    (source, _) = specimen.specs().sources()
    taken = source.taken.filter()
    assert (taken.place("include/a.h"), taken.place("src/a.c")) == ("include/a.h", None)


@pytest.mark.parametrize("value", ["", "OFF", "${VAR}", "{fp16}/x;{nnpack}", "{A}", "$<IF:1,{,}>", "{}"])
def test_what_an_options_value_may_hold(value: str) -> None:
    text = TEMPLATE % value.encode()
    recipe = specimen.recipe(text)
    assert recipe.cmake
    assert recipe.cmake.options == {"A": value}


TEMPLATE = FIRST + b"inputs: [fp16, nnpack]\ncmake: {options: {A: '%s'}, targets: [a]}\noutputs: {a: src/a}"
