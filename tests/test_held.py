"""The block `held:` of an environment: what may be in it, what it means, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import pytest
import specimen
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import held, located, resolvewheels
from recipes.errors import SpecError
from recipes.held import COMMENT, Held, HeldPackage, HeldSource, rewritten
from recipes.requirements import Wheel
from recipes.spec import Environment

ROOT = Path(__file__).resolve().parent.parent
COMMIT, BROKEN = "4987f20d48c22694d84bbffa839168596ea027ae", "07ff4fd681127d86a06cb8d369cb96988de402e6"
WHY = f"{BROKEN} (2024-05-27, Remove PeachPy implementations): `run`: No module named 'fp16.avx'"
SOURCE = HeldSource(commit=COMMIT, broken=BROKEN, why=WHY, retry=date(2026, 12, 9))
PACKAGE = HeldPackage(version="3.31.6", why="4.0 is too new", retry=date(2026, 12, 9))
BOTH = Held(sources={"fp16": SOURCE}, pypi={"cmake": PACKAGE})
BLOCK = f"""\
{COMMENT}
held:
  sources:
    fp16:
      commit: {COMMIT}
      broken: {BROKEN}
      why: "{WHY}"
      retry: 2026-12-09
  pypi:
    cmake: {{version: 3.31.6, why: "4.0 is too new", retry: 2026-12-09}}
"""
SPEC = specimen.ENVIRONMENT.decode()


# What may be in it


def test_an_environment_with_a_block() -> None:
    found = specimen.environment((SPEC + BLOCK).encode())
    assert found.held == BOTH
    assert found.held.names == ("fp16", "pypi:cmake")
    assert (found.held.empty, specimen.environment().held.empty) == (False, True)
    assert specimen.environment().held == Held()


def test_a_source_knows_its_commit() -> None:
    specs = specimen.specs(small=(SPEC + BLOCK).encode())
    assert [(one.name, one.ref, one.held) for one in specs.sources()] == [
        ("fp16", "master", COMMIT),
        ("tvm", "v0.22.0", None),
    ]
    assert [one.held for one in specimen.specs().sources()] == [None, None]


ONE = f"{{commit: {COMMIT}, why: w, retry: 2026-12-09}}"
AT = "small.yaml:14:"
OBJECT = "a git object id is 40 lower-case hexadecimal digits"
DAY = "a day is written as in ISO 8601: `2026-12-09`"
WRONG = [
    ("", "1: held: expected a mapping, got nothing"),
    ("[fp16]", "1: held: expected a mapping, got a list"),
    ("{source: {}}", "8: held.source: unknown key `source`, did you mean `sources`?"),
    ("{sources: {fp16: }}", "18: held.sources.fp16: expected a mapping, got nothing"),
    ("{sources: {fp16: {why: w, retry: 2026-12-09}}}", "18: held.sources.fp16: `commit` is missing"),
    ("{pypi: {cmake: {version: 1, why: w}}}", "15: held.pypi.cmake: `retry` is missing"),
    *(
        (f"{{sources: {{fp16: {ONE.replace(old, new)}}}}}", f"{column}: held.sources.fp16.{message}")
        for old, new, column, message in [
            ("why: w", "why: ", 75, "why: expected text, got nothing"),
            ("why: w", "why: w, whi: w", 83, "whi: unknown key `whi`, did you mean `why`?"),
            ("why: w", "why: w, broken: abc", 83, f"broken: {OBJECT}"),
            (COMMIT, COMMIT[:12], 25, f"commit: {OBJECT}"),
            (COMMIT, COMMIT.upper(), 25, f"commit: {OBJECT}"),
            (COMMIT, "master", 25, f"commit: {OBJECT}"),
            ("2026-12-09", "tomorrow", 83, f"retry: {DAY}"),
            ("2026-12-09", "2026-02-30", 83, f"retry: {DAY}"),
            ("2026-12-09", "20261209", 83, f"retry: {DAY}"),
            ("2026-12-09", "2026-12-09T00:00:00Z", 83, f"retry: {DAY}"),
            ("2026-12-09", "", 83, f"retry: {DAY}"),
        ]
    ),
    *(
        (f"{{pypi: {{cmake: {{version: {version}, why: w, retry: 2026-12-09}}}}}}", f"23: {message}")
        for version, message in [
            ("new", "held.pypi.cmake.version: `new` is not a version such as `3.31.6`"),
            ("3.*", "held.pypi.cmake.version: `3.*` is not a version such as `3.31.6`"),
            ("' 3.1'", "held.pypi.cmake.version: ` 3.1` is written as `3.1`"),
        ]
    ),
    (
        "{pypi: {CMake_x: {version: 3.1, why: w, retry: 2026-12-09}}}",
        "15: held.pypi.CMake_x: `CMake_x` is written as `cmake-x`",
    ),
]


@pytest.mark.parametrize(("block", "message"), WRONG)
def test_what_is_wrong_in_a_block_is_named_with_its_place(block: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        specimen.environment(f"{SPEC}held: {block}\n".encode())
    assert caught.value.message == f"{AT}{message}"


@pytest.mark.parametrize("version", ["9" * 5000, f"1.0+{'a' * 2000}"])
def test_a_version_without_an_end_is_none(version: str) -> None:
    with pytest.raises(ValueError, match="is not a version such as"):
        HeldPackage(version=version, why="w", retry=date(2026, 12, 9))


def test_a_moment_is_no_day() -> None:
    with pytest.raises(ValueError, match=re.escape(DAY)):
        HeldPackage(version="1", why="w", retry=datetime(2026, 12, 9))  # noqa: DTZ001 - that is the point


# What it means


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (("cmake<4", "ninja"), ("cmake==3.31.6", "ninja")),
        (("CMake>=3.26,<4",), ("cmake==3.31.6",)),
        (("cmake>=3.26", "ninja", "cmake<4"), ("cmake==3.31.6", "ninja")),
        (("ninja",), ("ninja",)),
        ((), ()),
    ],
)
def test_a_package_is_asked_for_at_its_version(asked: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert BOTH.requirements(asked) == wanted
    assert Held().requirements(asked) == asked


def test_the_toolchain_is_resolved_with_what_is_held_back() -> None:
    seen = []

    def resolve(asked: Sequence[str], platform: str) -> Iterator[Wheel]:
        seen.append((platform, tuple(asked)))
        return iter([specimen.wheel("cmake", "3.31.6", platform)])

    environment = specimen.environment((SPEC + BLOCK).encode())
    found = resolvewheels.toolchain(environment, resolve)
    assert [one.version for one in found.wheels] == ["3.31.6", "3.31.6"]
    wanted = ("cmake==3.31.6", "ninja", "ziglang")
    assert sorted(seen) == [("linux-64", wanted), ("linux-aarch64", wanted)]
    assert environment.pypi == ("cmake<4", "ninja", "ziglang")


def test_it_is_told_in_a_line() -> None:
    assert held.told("fp16", SOURCE) == f"`fp16` is held back at 4987f20d48c2 until 2026-12-09: {WHY}"
    two = PACKAGE.model_copy(update={"why": "4.0\nis \x1b[1mnew"})
    told = r"`cmake` is held back at 3.31.6 until 2026-12-09: 4.0\nis \x1b[1mnew"
    assert held.told("cmake", two) == told


# How it is written


def test_a_block_is_added_at_the_end() -> None:
    assert rewritten(SPEC, BOTH) == SPEC + BLOCK
    assert rewritten(SPEC, Held()) == SPEC
    assert rewritten(SPEC + BLOCK, BOTH) == SPEC + BLOCK
    assert rewritten(SPEC + BLOCK, Held()) == SPEC
    assert rewritten(f"{SPEC}\n\n# an end\n", BOTH) == f"{SPEC}\n\n# an end\n{BLOCK}"


def test_it_is_known_beforehand_whether_a_block_can_be_written() -> None:
    held.check_writable(SPEC, "small.yaml", SOURCE.retry)
    held.check_writable(SPEC + BLOCK, "small.yaml", SOURCE.retry)
    with pytest.raises(SpecError) as caught:
        held.check_writable(f"{SPEC}note: |\n  no end", "small.yaml", SOURCE.retry)
    assert caught.value.message == "small.yaml: `held` cannot be written: something else in it would change"


def test_each_line_of_a_block_ends_as_the_file_does() -> None:
    crlf = SPEC.replace("\n", "\r\n")
    block = BLOCK.replace("\n", "\r\n")
    assert rewritten(crlf, BOTH) == crlf + block
    assert rewritten(crlf + block, Held()) == crlf
    assert rewritten(SPEC[:-1], BOTH) == SPEC + BLOCK[:-1]
    assert rewritten(SPEC + BLOCK[:-1], Held()) == SPEC[:-1]
    assert rewritten(crlf[:-2], BOTH) == crlf + block[:-2]
    assert rewritten(f"{SPEC}{BLOCK}# x", Held()) == f"{SPEC}# x"


BARE = BLOCK.partition("\n")[2]
ABOVE, BELOW = "# mine\na: 1\n", "\n  # mine, too\n\nb: {held: {c: 2}}\n"
PLACES = {
    "above a key": (f"{ABOVE}{BLOCK}b: 1\n", f"{ABOVE}%sb: 1\n"),
    "first": (f"{BLOCK}b: 1\n", "%sb: 1\n"),
    "with a byte order mark": (f"\ufeff{BLOCK}b: 1\n", "\ufeff%sb: 1\n"),
    "behind a mark of the document": (f"---\n{BLOCK}b: 1\n", "---\n%sb: 1\n"),
    "comments and lines around it": (f"{ABOVE}\n{BLOCK}{BELOW}", f"{ABOVE}\n%s{BELOW}"),
    "without its comment": (f"{ABOVE}{BARE}{BELOW}", f"{ABOVE}%s{BELOW}"),
    "with a person's comment in between": (
        f"{ABOVE}{COMMENT}  \n# mine\n{BARE}{BELOW}",
        f"{ABOVE}# mine\n%s{BELOW}",
    ),
    "with a comment of its own": (f"{ABOVE}# old words\n{BARE}", f"{ABOVE}# old words\n%s"),
    "comments within": (f"{ABOVE}{BARE.replace('  pypi', '  # within' + chr(10) + '  pypi')}", f"{ABOVE}%s"),
    "in flow style": (f"{ABOVE}held: {{sources: {{fp16: {ONE}\n}}\n}} # x\n{BELOW}", f"{ABOVE}%s{BELOW}"),
    "empty": (f"{ABOVE}held:\n{BELOW}", f"{ABOVE}%s{BELOW}"),
    "no longer right": (f"{ABOVE}held: [a]\n", f"{ABOVE}%s"),
    "in quotes": (f'{ABOVE}"held" : [a]\n{BELOW}', f"{ABOVE}%s{BELOW}"),
    "not in comments, texts and keys below": (
        "# held:\na: |\n  held: x\n\n  # held\nb:\n  held: {sources: 1}\nheldback: 1\n'x held:': 1\n",
        "# held:\na: |\n  held: x\n\n  # held\nb:\n  held: {sources: 1}\nheldback: 1\n'x held:': 1\n%s",
    ),
    "a text that goes on": ("a: one\n  two\nb: >+\n  three\n\n\n", "a: one\n  two\nb: >+\n  three\n\n\n%s"),
    "a comment like ours elsewhere": (f"{COMMENT}\na: 1\n", f"{COMMENT}\na: 1\n%s"),
    "ends of several kinds": ("a: 1\n# \u2028b: 2\r\nc: 3\r", "a: 1\n# \u2028b: 2\r\nc: 3\r%s"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_block_stays_where_it_is(name: str) -> None:
    text, wanted = PLACES[name]
    assert rewritten(text, BOTH) == wanted % BLOCK
    assert rewritten(text, Held()) == wanted % ""
    assert rewritten(wanted % BLOCK, Held()) == wanted % ""


def test_of_a_file_with_ends_of_several_kinds_none_is_left_over() -> None:
    assert rewritten("a: 1\nb: 2\r\nheld: {}", Held()) == "a: 1\nb: 2"
    assert rewritten("a: 1\r\nb: 2\nheld: {}", Held()) == "a: 1\r\nb: 2"


def test_nothing_is_left_of_a_file_with_nothing_else() -> None:
    assert rewritten(BLOCK, Held()) == ""
    assert rewritten("held: {}", BOTH) == BLOCK[:-1]


CANNOT = "x.yaml: `held` cannot be written: "
LINES = "its keys are not each at the beginning of a line"
REFUSED = [
    ("", f"{CANNOT}it is no mapping with keys"),
    ("# nothing\n", f"{CANNOT}it is no mapping with keys"),
    ("{}\n", f"{CANNOT}it is no mapping with keys"),
    ("- a\n", f"{CANNOT}it is no mapping with keys"),
    ("text\n", f"{CANNOT}it is no mapping with keys"),
    ("{summary: s, held: {}}\n", f"{CANNOT}{LINES}"),
    ("{\nsummary: s,\nheld: {}}\n", f"{CANNOT}{LINES}"),
    ("  a: 1\n  b: 2\n", f"{CANNOT}{LINES}"),
    ("? a\n: 1\n", f"{CANNOT}{LINES}"),
    ("a: 1\n...\n", f"{CANNOT}a line `...` ends it before the file's end"),
    ("a: 1\n... # end\n", f"{CANNOT}a line `...` ends it before the file's end"),
    ("a: |\n  text", f"{CANNOT}something else in it would change"),
    ("a: 1\n---\nb: 2\n", "x.yaml:2:1: another document begins; a file holds one"),
    ("a: 1\na: 2\n", "x.yaml:2:1: a: duplicate key `a`, first on line 1"),
    ("held: {}\nheld: {}\n", "x.yaml:2:1: held: duplicate key `held`, first on line 1"),
    ("a: [\n", "x.yaml:2:1: not YAML: expected the node content, but found '<stream end>'"),
    ("a: &b 1\n", "x.yaml:1:4: a: anchors and aliases are not supported"),
    ("a: \ud800\n", "x.yaml:1:4: not UTF-8: byte 0xed"),
    ("a: \x1b\n", "x.yaml:1:4: not text: character U+001B"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_edited_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        rewritten(text, BOTH, "x.yaml")
    assert caught.value.message == message
    if message.startswith(CANNOT):
        hint = "write each key at the beginning of a line of its own, and end the last line"
        assert caught.value.hint == hint


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\x85", "\ud800"])
def test_a_reason_that_no_spec_may_hold_is_refused(letter: str) -> None:
    one = PACKAGE.model_copy(update={"why": f"a{letter}b"})
    with pytest.raises(SpecError) as caught:
        rewritten("a: 1\n", Held(pypi={"cmake": one}), "x.yaml")
    wrong = "a control character or half of a surrogate pair"
    assert caught.value.message == f"x.yaml:5:35: held.pypi.cmake.why: {wrong}"


ODD = [
    "",
    " ",
    ": ",
    " #",
    "'",
    '"',
    "\\",
    "\\u0000",
    "a\tb\nc",
    "\u2028\ufeff",
    "é 🎉 ﷽",
    "x" * 3000,
    "{%s}",
    "- a",
]
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20) | st.sampled_from(ODD)
IDS = st.binary(min_size=20, max_size=20).map(bytes.hex)
COMPONENTS = st.from_regex("[a-z0-9]{1,3}([._-][a-z0-9]{1,3}){0,2}", fullmatch=True)
ODD_KEYS = TEXTS.filter(lambda name: name != "<<" and len(name) < 300 and not re.search("[\n\t]", name))
NAMES = COMPONENTS | ODD_KEYS | st.sampled_from(["null", "1.0", "~"])
DAYS = st.dates()
VERSIONS = st.sampled_from(
    ["3.31.6", "1", "1!2.0", "2024.08.01", "1.0rc1", "1.0.post2.dev3", "1.0+local.7", "v4", "1.0-1"]
)
SOURCES = st.builds(HeldSource, commit=IDS, broken=st.none() | IDS, why=TEXTS, retry=DAYS)
PACKAGES = st.builds(HeldPackage, version=VERSIONS, why=TEXTS, retry=DAYS)
PROJECTS = st.from_regex("[a-z0-9]{1,4}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
HELD = st.builds(
    Held,
    sources=st.dictionaries(NAMES, SOURCES, max_size=3),
    pypi=st.dictionaries(PROJECTS, PACKAGES, max_size=2),
)
OWN = [
    rewritten(path.read_bytes().decode(), Held()) for path in sorted((ROOT / "environments").glob("*.yaml"))
]
MINE = st.sampled_from(["", "\n", "# mine\n", "\n  # mine\n\n", "# held:\n"])


def parts(text: str) -> list[str]:
    """Cut a spec before each of its keys, and at its end."""
    return [*re.split(r"^(?=[a-z]+:)", text, flags=re.MULTILINE)]


@settings(max_examples=100)
@given(st.data(), st.sampled_from(OWN), HELD, HELD)
def test_everything_else_stays_as_it_is_wherever_the_block_stands(
    data: st.DataObject, text: str, old: Held, new: Held
) -> None:
    crlf, whole = data.draw(st.booleans()), data.draw(st.booleans())
    cut = parts(text)
    at = data.draw(st.integers(1, len(cut)))
    above = "".join(cut[:at]) + (data.draw(MINE) if at < len(cut) else "")
    below = data.draw(MINE) + "".join(cut[at:])

    def laid(one: Held) -> str:
        block = rewritten("a: 1\n", one).removeprefix("a: 1\n")
        made = f"{above}{block}{below}"
        made = made if whole else made[:-1]
        return made.replace("\n", "\r\n") if crlf else made

    if old.empty and below:  # there is no block to find: it comes at the end
        added = rewritten(laid(old), new)
        assert added.startswith(laid(old))
        assert rewritten(added, old) == laid(old)
    else:
        assert rewritten(laid(old), new) == laid(new)
    found = located.read(laid(new).encode(), "f", SpecError).value
    assert found.pop("held", {}) == plain(new)
    assert found == located.read(text.encode(), "f", SpecError).value


def plain(one: Held) -> dict[str, object]:
    """Give what a block has as YAML's values."""
    found = one.model_dump(mode="json", exclude_none=True)
    return {key: value for key, value in found.items() if value}


@settings(max_examples=60)
@given(HELD)
def test_what_is_written_is_read_again(one: Held) -> None:
    text = rewritten(SPEC, one).encode()
    assert located.check(located.read(text, "f", SpecError), Environment, SpecError).held == one
