import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pydantic
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recipes import located
from recipes.errors import LockError, SpecError
from recipes.located import Strict
from recipes.spec import SPECS, Recipe

KEPT = [
    ("", None),
    ("# only\n", None),
    ("a: 1", {"a": "1"}),
    ("1: a", {"1": "a"}),
    ("null: a", {"null": "a"}),
    ("? a", {"a": None}),
    ("- a\n- [b]", ["a", ["b"]]),
    ("[ON, 1.10, 0x10, 2024-05-27, NULL]", ["ON", "1.10", "0x10", "2024-05-27", "NULL"]),
    ("[null, ~, '', 'null', '~']", [None, None, "", "null", "~"]),
    ("a:", {"a": None}),
    ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ("a: >-\n  x\n  y\n", {"a": "x y"}),
    ("a: 1\r\nb: 2\r\n", {"a": "1", "b": "2"}),
    ("\ufeffa: 1", {"a": "1"}),
    ("%YAML 1.1\n---\na: é\n...\n", {"a": "é"}),
]


@pytest.mark.parametrize(("text", "value"), KEPT)
def test_scalars_stay_text(text: str, value: object) -> None:
    assert located.read(text.encode(), "f.yaml", SpecError).value == value


ESCAPE = "a control character or half of a surrogate pair"
REFUSED = [
    (b"a: 1\na: 2", "f.yaml:2:1: a: duplicate key `a`, first on line 1"),
    (b"x:\n  - {a: 1, a: 2}", "f.yaml:2:12: x[0].a: duplicate key `a`, first on line 2"),
    (b"'1': a\n1: b", "f.yaml:2:1: 1: duplicate key `1`, first on line 1"),
    (b"a:\tb", "f.yaml:1:3: not YAML: found character '\\t' that cannot start any token"),
    (b"a:\n\tb: c", "f.yaml:2:1: not YAML: found character '\\t' that cannot start any token"),
    (b"a: &x 1", "f.yaml:1:4: a: anchors and aliases are not supported"),
    (b"a: &x {}", "f.yaml:1:4: a: anchors and aliases are not supported"),
    (b"a: *x", "f.yaml:1:4: a: anchors and aliases are not supported"),
    (b"*x : a", "f.yaml:1:1: anchors and aliases are not supported"),
    (b"<<: {a: 1}", "f.yaml:1:1: merge keys are not supported"),
    (
        b"a: !!python/object/apply:os.system [x]",
        "f.yaml:1:4: a: tags are not supported: `tag:yaml.org,2002:python/object/apply:os.system`",
    ),
    (b"a: !!str 5", "f.yaml:1:4: a: tags are not supported: `tag:yaml.org,2002:str`"),
    (b"!x a: b", "f.yaml:1:1: tags are not supported: `!x`"),
    (b"- ! 5", "f.yaml:1:3: [0]: tags are not supported: `!`"),
    (b"a: 1\n---\nb: 2", "f.yaml:2:1: another document begins; a file holds one"),
    (b"? [a]\n: b", "f.yaml:1:3: a key is text"),
    (b"a: {? {b: c} : d}", "f.yaml:1:7: a: a key is text"),
    (b"a: \0", "f.yaml:1:4: not text: character U+0000"),
    (b"a: 1\nb: \x1b[0m", "f.yaml:2:4: not text: character U+001B"),
    (b"a: 1\n\xc3\xa9: \xff", "f.yaml:2:4: not UTF-8: byte 0xff"),
    (b"\xff\xfea\0", "f.yaml:1:1: not UTF-8: byte 0xff"),
    (b'a: "\\0"', f"f.yaml:1:4: a: {ESCAPE}"),
    (b'a: "\\e"', f"f.yaml:1:4: a: {ESCAPE}"),
    (b'a: "\\ud800"', f"f.yaml:1:4: a: {ESCAPE}"),
    (b'"\\0": a', f"f.yaml:1:1: {ESCAPE}"),
    (b'a: "\\U00110000"', "f.yaml:1:1: not YAML: chr() arg not in range(0x110000)"),
    (b"a: [", "f.yaml:1:5: not YAML: expected the node content, but found '<stream end>'"),
    (b"a: b: c", "f.yaml:1:5: not YAML: mapping values are not allowed here"),
    (
        b"%YAML 2.0\n---\na",
        "f.yaml:1:1: not YAML: found incompatible YAML document (version 1.* is required)",
    ),
    (b"[" * 10_000, "f.yaml:1:41: nested deeper than 40 levels"),
    (b"{a: " * 10_000, "f.yaml:1:161: nested deeper than 40 levels"),
    (b"a: " + b"x" * (1 << 20), "f.yaml: too large: 1048579 bytes, and at most 1048576 are read"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[str(text[:24]) for text, _ in REFUSED])
@pytest.mark.parametrize("error", [SpecError, LockError])
def test_what_a_file_must_not_hold(text: bytes, message: str, error: type[SpecError | LockError]) -> None:
    with pytest.raises(error) as caught:
        located.read(text, "f.yaml", error)
    assert caught.value.message == message


@pytest.mark.parametrize("digits", ["00110000", "FFFFFFFF"])
def test_an_escape_beyond_unicode_is_an_error_of_the_file(digits: str) -> None:
    with pytest.raises(SpecError, match=r"^f\.yaml:1:1: not YAML: "):
        located.read(f'a: "\\U{digits}"'.encode(), "f.yaml", SpecError)


def test_forty_levels_are_read() -> None:
    value = located.read(b"[" * 40 + b"]" * 40, "f.yaml", SpecError).value
    assert json.dumps(value) == "[" * 40 + "]" * 40


@given(
    st.binary(max_size=60)
    | st.text("ab:- \n\t[]{},&*!?|>'\"%@#~<\\0U9é\ufeff\x85", max_size=60).map(str.encode)
)
def test_any_bytes_give_a_value_or_a_located_error(text: bytes) -> None:
    try:
        found = located.read(text, "f.yaml", SpecError)
    except SpecError as error:
        said = error.message
    else:
        said = "f.yaml:0:0: text"
        json.dumps(found.value, ensure_ascii=False).encode()
    assert re.match(r"f\.yaml:\d+:\d+: \S", said)


DOCUMENT = st.recursive(
    st.none() | st.text(st.characters(exclude_categories=["C"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abé.<~ :", max_size=3).filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(DOCUMENT)
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    assert located.read(yaml.safe_dump(value).encode(), "f.yaml", SpecError).value == value


FOUND = located.read(b"a: 1\nb:\n  - x\n  - c: {d: 2}\n", "f.yaml", SpecError)


@pytest.mark.parametrize(
    ("place", "where", "name"),
    [
        ((), "f.yaml:1:1", ""),
        (("a",), "f.yaml:1:1", "a"),
        (("b",), "f.yaml:2:1", "b"),
        (("b", 0), "f.yaml:3:5", "b[0]"),
        (("b", 1), "f.yaml:4:5", "b[1]"),
        (("b", 1, "c", "d"), "f.yaml:4:9", "b[1].c.d"),
        (("b", 1, "c", "missing"), "f.yaml:4:5", "b[1].c.missing"),
        (("z", 3, "y"), "f.yaml:1:1", "z[3].y"),
    ],
)
def test_a_place_is_where_its_key_stands(place: located.Place, where: str, name: str) -> None:
    assert FOUND.where(place) == where
    assert located.dotted(place) == name


def test_a_value_made_by_hand_stands_at_the_beginning() -> None:
    assert located.Located("f.yaml", {}).where(("a",)) == "f.yaml:1:1"


def read(text: str, file: str = "over.yaml") -> located.Located:
    return located.read(text.encode(), file, SpecError)


BASE = read("x: 1\ny: 2\nlist: [1, 2]\ndeep:\n  a: {p: 1, q: {r: 1}}\n  b: {p: 1}\n", "base.yaml")
LEVELS = {"deep": 2}


@pytest.mark.parametrize(
    ("over", "changed"),
    [
        ("x: 3", {"x": "3"}),
        ("z: 3", {"z": "3"}),
        ("list: [3]", {"list": ["3"]}),
        ("x:", {"x": None}),
        ("deep:", {"deep": None}),
        ("deep: 1", {"deep": "1"}),
        ("x: {a: 1}", {"x": {"a": "1"}}),
        ("deep: {c: {s: 1}}", {"deep": {**BASE.value["deep"], "c": {"s": "1"}}}),
        ("deep: {a: {p: 2}}", {"deep": {"a": {"p": "2", "q": {"r": "1"}}, "b": {"p": "1"}}}),
        ("deep: {a: {q: {s: 2}}}", {"deep": {"a": {"p": "1", "q": {"s": "2"}}, "b": {"p": "1"}}}),
        ("deep: {b: }", {"deep": {**BASE.value["deep"], "b": None}}),
        ("{}", {}),
    ],
)
def test_merging_replaces_a_key_or_goes_as_deep_as_it_is_told(over: str, changed: dict[str, Any]) -> None:
    merged = located.merge(BASE, read(over), LEVELS)
    assert merged.value == {**BASE.value, **changed}
    assert merged.file == "over.yaml"


@pytest.mark.parametrize("over", ["", "- a", "text"])
def test_merging_what_is_no_mapping_leaves_it_to_the_check(over: str) -> None:
    merged = located.merge(BASE, read(over), LEVELS)
    assert merged.value == read(over).value
    assert merged.where(("deep", "a")) == "over.yaml:1:1"


def test_merged_places_name_the_file_that_they_came_from() -> None:
    merged = located.merge(BASE, read("# c\ndeep:\n  a:\n    q: {t: 1}\nlist: [9]\n"), LEVELS)
    assert {place: merged.where(place) for place in merged.marks} == {
        (): "over.yaml:2:1",
        ("x",): "base.yaml:1:1",
        ("y",): "base.yaml:2:1",
        ("list",): "over.yaml:5:1",
        ("list", 0): "over.yaml:5:8",
        ("deep",): "over.yaml:2:1",
        ("deep", "a"): "over.yaml:3:3",
        ("deep", "a", "p"): "base.yaml:5:7",
        ("deep", "a", "q"): "over.yaml:4:5",
        ("deep", "a", "q", "t"): "over.yaml:4:9",
        ("deep", "b"): "base.yaml:6:3",
        ("deep", "b", "p"): "base.yaml:6:7",
    }


class Inner(Strict):
    name: str
    mode: str = "x"


class Outer(Strict):
    inner: Inner
    many: tuple[Inner, ...] = ()
    number: pydantic.PositiveInt = 1


OUTER = [
    ("", "f.yaml:1:1: expected a mapping, got nothing"),
    ("[]", "f.yaml:1:1: expected a mapping, got nothing"),
    ("[a]", "f.yaml:1:1: expected a mapping, got a list"),
    ("{}", "f.yaml:1:1: `inner` is missing"),
    ("a", "f.yaml:1:1: expected a mapping, got `a`"),
    ("inner:", "f.yaml:1:1: inner: expected a mapping, got nothing"),
    ("iner: {}", "f.yaml:1:1: iner: unknown key `iner`, did you mean `inner`?"),
    ("inner: {}", "f.yaml:1:1: inner: `name` is missing"),
    ("inner: {name: [a]}", "f.yaml:1:9: inner.name: expected text, got a list"),
    ("inner: {name: {a: b}}", "f.yaml:1:9: inner.name: expected text, got a mapping"),
    ("inner: {name: a, nmae: b}", "f.yaml:1:18: inner.nmae: unknown key `nmae`, did you mean `name`?"),
    ("inner: {name: a, zzz: b}", "f.yaml:1:18: inner.zzz: unknown key `zzz`"),
    ("inner: {name: a}\nmany: a", "f.yaml:2:1: many: expected a list, got `a`"),
    ("inner: {name: a}\nmany: [a]", "f.yaml:2:8: many[0]: expected a mapping, got `a`"),
    ("inner: {name: a}\nnumber: 0", "f.yaml:2:1: number: input should be greater than 0"),
    (
        "number: x\nmany:\n  - {}\n  - {name: }\n",
        """\
f.yaml:1:1: `inner` is missing
f.yaml:1:1: number: expected a whole number, got `x`
f.yaml:3:5: many[0]: `name` is missing
f.yaml:4:6: many[1].name: expected text, got nothing""",
    ),
]


@pytest.mark.parametrize(("text", "message"), OUTER)
def test_a_wrong_value_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(LockError) as caught:
        located.check(read(text, "f.yaml"), Outer, LockError)
    assert caught.value.message == message


def test_errors_stand_in_the_order_of_the_lines_as_numbers() -> None:
    many = "\n".join(f"  - {{name: [], n{at}: }}" for at in range(12))
    with pytest.raises(SpecError) as caught:
        located.check(read(f"inner: {{name: a}}\nmany:\n{many}", "f.yaml"), Outer, SpecError)
    assert [int(line.split(":")[1]) for line in caught.value.message.splitlines()] == list(range(3, 15))


def test_a_value_cannot_change() -> None:
    with pytest.raises(pydantic.ValidationError):
        Inner(name="a").name = "b"


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("fp61", ["fp16", "nnpack"], ", did you mean `fp16`?"),
        ("zzz", ["fp16"], ""),
        ("a", [], ""),
    ],
)
def test_the_nearest_word_is_offered(word: str, known: list[str], said: str) -> None:
    assert located.nearest(word, known) == said


@pytest.mark.parametrize("kind", SPECS)
def test_the_schemas_in_docs_are_what_the_engine_checks(kind: str, root: Path) -> None:
    kept = (root / f"docs/schemas/{kind}.json").read_text(encoding="utf-8")
    assert kept == json.dumps(located.json_schema(SPECS[kind]), indent=2) + "\n", f"recipes schema {kind}"


def validator(kind: str) -> Any:
    schema = located.json_schema(SPECS[kind])
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("kind", "files"),
    [("environment", "environments/*.yaml"), ("recipe", "recipes/components/*/recipe.yaml")],
)
def test_the_schemas_accept_every_spec_of_the_project(kind: str, files: str, root: Path) -> None:
    checked = 0
    for path in root.glob(files):
        # as an editor reads it: YAML 1.2 has no dates, which PyYAML would make of `before:`
        read = json.dumps(yaml.safe_load(path.read_bytes()), default=str)
        validator(kind).validate(json.loads(read))
        checked += 1
    assert checked


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("environment", "{summary: s, sorces: {}}"),
        ("environment", "{summary: s, sources: {a: {reff: x}}}"),
        ("environment", "{summary: s, platforms: [linux-46]}"),
        ("environment", "{extends: a}"),
        ("recipe", "{summary: s, license: l, source: {ref: x, origins: [{gti: x}]}}"),
        ("recipe", "{summary: s, license: l, source: {ref: x, origins: []}}"),
        ("recipe", "{summary: s}"),
    ],
)
def test_the_schemas_reject_what_the_engine_rejects(kind: str, text: str) -> None:
    assert not validator(kind).is_valid(yaml.safe_load(text))
    with pytest.raises(SpecError):
        located.check(read(text), SPECS[kind], SpecError)


def test_an_editor_may_read_a_ref_as_a_number_and_off_as_false() -> None:
    text = """
        {summary: s, license: l, outputs: {a: src/a}, cmake: {targets: [a], options: {A: OFF, B: 1.10}},
        source: {ref: 1.10, origins: [{pypi: a, version: 2.0, file: a.zip}]}}"""
    validator("recipe").validate(yaml.safe_load(text))
    recipe = located.check(read(text), Recipe, SpecError)
    assert recipe.source
    assert recipe.source.ref == "1.10"
    assert recipe.cmake
    assert recipe.cmake.options == {"A": "OFF", "B": "1.10"}
