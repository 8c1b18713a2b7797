"""The table of known breakages: read strictly, found in real logs, told before a build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import breakages, logs
from recipes.breakages import Pin, Row
from recipes.dates import moment
from recipes.errors import SpecError
from recipes.located import nearest
from recipes.lock import Lock, LockedSource
from recipes.origins import GitOrigin
from recipes.project import Project

ROOT = Path(__file__).parent.parent
TABLE = Project(ROOT).breakages()
ROWS = {row.id: row for row in TABLE}
LOGS = {path.stem: path.read_bytes() for path in sorted((ROOT / "tests/logs").glob("*.log"))}
OTHER = {"peachpy-without-distutils": "peachpy-without-setuptools"}  # a second log of one row


def found(log: bytes, rows: tuple[Row, ...] = TABLE) -> list[str]:
    return [one.row.id for one in breakages.match(rows, logs.lines([log]))]


# ---- the table and its logs


def test_every_row_has_a_log_and_every_log_a_row() -> None:
    assert {OTHER.get(name, name).removesuffix(".clang") for name in LOGS} == set(ROWS)


def docker(log: bytes) -> bytes:
    """Give a log as `docker build` shows it: prefixed, in colours, with progress that rewrites itself."""
    lines = [b"#12 34.5 \x1b[0m\x1b[1m" + line + b"\x1b[0m\r\n" for line in log.splitlines()]
    return (
        b"#11 DONE 1.0s\n#12 0.1 Get:1 \r#12 0.2 99% [Working]\r"
        + b"".join(lines)
        + b"#12 ERROR: exit code: 1\n"
    )


@pytest.mark.parametrize("name", LOGS)
def test_a_real_log_shows_its_breakage_and_no_other(name: str) -> None:
    expected = [OTHER.get(name, name).removesuffix(".clang")]
    assert found(LOGS[name]) == expected
    assert found(docker(LOGS[name])) == expected
    assert found(LOGS[name].replace("‘".encode(), b"'").replace("’".encode(), b"'")) == expected  # noqa: RUF001


@pytest.mark.parametrize("name", LOGS)
def test_without_the_evidence_a_log_shows_nothing(name: str) -> None:
    """Show that no pattern is so loose as to match the rest of a log."""
    row = ROWS[OTHER.get(name, name).removesuffix(".clang")]
    lines = LOGS[name].splitlines(keepends=True)
    assert found(b"".join(line for line in lines if not re.search(row.patterns[0].encode(), line))) == []


def test_a_log_is_short_and_names_no_machine() -> None:
    for name, log in LOGS.items():
        assert log.count(b"\n") < 60, name
        assert {*re.findall(rb"(?:^|[ '\"`=:(I])/(\w+)", log)} <= {b"build", b"usr", b"toolchain"}, name


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_what_a_row_says(row: Row) -> None:
    commits = re.findall(r"\b[0-9a-f]{7,}\b", f"{row.cause} {row.remedy}")
    assert [one for one in commits if len(one) != 40] == []
    assert [
        bad.commits[0] for bad in row.broken.values() if bad.commits and bad.commits[0] not in commits
    ] == []
    assert row.since is None or f"{row.since:%Y}" in row.cause
    assert all(len(line) <= 110 for line in f"{row.cause}\n{row.remedy}".splitlines())
    options = re.findall(r"`([a-z0-9-]+): \{ref", row.remedy)
    known = Project(ROOT).recipes()
    assert [f"{one}{nearest(one, known)}" for one in options if one not in known] == []


def test_the_message() -> None:
    [match] = breakages.match(TABLE, logs.lines([LOGS["fp16-without-peachpy"]]))
    assert breakages.explain(match, logs.text(match.line)) == (
        "known breakage `fp16-without-peachpy` of fp16, since 2024-05-27\n"
        "  cause     FP16 commit 07ff4fd681127d86a06cb8d369cb96988de402e6 of 2024-05-27, "
        '"Remove PeachPy implementations",\n'
        "            deleted include/fp16/{__init__,avx,avx2}.py, which NNPACK's x86-64 kernel shdotxf.py "
        "imports\n"
        "  evidence  line 22: ModuleNotFoundError: No module named 'fp16.avx'\n"
        "  remedy    in the environment's `sources`: `fp16: {ref: master, before: 2024-05-27T20:40:00Z}`,\n"
        "            or the commit that this gives: `fp16: {ref: 4987f20d48c22694d84bbffa839168596ea027ae}`\n"
        "  see       https://github.com/Maratyszcza/NNPACK/issues/219"
    )
    assert breakages.document(match, "the line") == {
        "id": "fp16-without-peachpy",
        "source": "fp16",
        "since": "2024-05-27T20:42:26Z",
        "cause": ROWS["fp16-without-peachpy"].cause,
        "remedy": ROWS["fp16-without-peachpy"].remedy,
        "see": "https://github.com/Maratyszcza/NNPACK/issues/219",
        "line_number": 22,
        "line": "the line",
    }


# ---- matching

SOME = breakages.parse(
    b"""\
breakages:
  - {id: one, pattern: 'a+b', cause: c, source: s, remedy: r, evidence: https://a.example}
  - {id: both, all: [left, 'right|(?i:RECHTS)'], cause: c, source: s, remedy: r, evidence: https://a.example}
""",
    "table.yaml",
)


@pytest.mark.parametrize(
    ("lines", "matches"),
    [
        ([], []),
        ([b"nothing"], []),
        ([b"", b"xaab", b"ab"], [("one", 2, b"xaab")]),
        ([b"left"], []),
        ([b"right", b"ab", b"left", b"left"], [("one", 2, b"ab"), ("both", 3, b"left")]),
        ([b"left and reCHts", b"ab"], [("both", 1, b"left and reCHts"), ("one", 2, b"ab")]),
        ([b"\xffab\xff"], [("one", 1, b"\xffab\xff")]),
    ],
)
def test_match(lines: list[bytes], matches: list[tuple[str, int, bytes]]) -> None:
    assert [(one.row.id, one.line_number, one.line) for one in breakages.match(SOME, lines)] == matches
    assert breakages.match((), lines) == []


def test_lines_are_not_kept() -> None:
    def endless() -> Iterator[bytes]:
        yield from (b"%d" % number for number in range(100_000))
        yield b"ab"

    assert [one.line_number for one in breakages.match(SOME, endless())] == [100_001]


# ---- a table that is wrong

GOOD = "id: one, pattern: a, cause: c, source: s, remedy: r, evidence: https://a.example"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD.replace("pattern", "patern"), "unknown key `patern`, did you mean `pattern`?"),
        (GOOD.replace("pattern: a, ", ""), "breakages[0].id: either `pattern` or `all`"),
        (f"{GOOD}, all: [a, b]", "breakages[0].pattern: either `pattern` or `all`"),
        (
            GOOD.replace("pattern: a", "all: [a]"),
            "breakages[0].all: one pattern is a `pattern`; `all` has several",
        ),
        (GOOD.replace("pattern: a", "pattern: 'a('"), "pattern: not a regular expression: missing )"),
        (GOOD.replace("pattern: a", "pattern: '(a)'"), "no groups to capture and no flags"),
        (GOOD.replace("pattern: a", "pattern: '(?i)a'"), "no groups to capture and no flags"),
        (
            GOOD.replace("pattern: a", "pattern: 'a*'"),
            "breakages[0].pattern: the pattern matches an empty line",
        ),
        (GOOD.replace("cause: c, ", ""), "`cause` is missing"),
        (GOOD.replace("https:", "http:"), "evidence: "),
        (f"{GOOD}, since: 2024-05-27T12:00:00", "2024-05-27T12:00:00Z"),
        (f"{GOOD}, since: yesterday", "since: "),
        (f"{GOOD}, broken: {{fp16: {{commits: [07ff4fd]}}}}", "a git object id is 40 lower-case"),
        (
            f"{GOOD}, broken: {{cmake: {{versions: new}}}}",
            "`new` is not a range of versions such as `>=4,<5`",
        ),
    ],
)
def test_a_wrong_row_is_named_by_its_line(row: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        breakages.parse(f"breakages:\n  - {{{row}}}\n".encode(), "recipes/breakages.yaml")
    assert raised.value.message.startswith("recipes/breakages.yaml:2:")
    assert message in raised.value.message


def test_two_rows_of_one_id() -> None:
    with pytest.raises(SpecError) as raised:
        breakages.parse(f"breakages:\n  - {{{GOOD}}}\n  - {{{GOOD}}}\n".encode(), "a.yaml")
    assert raised.value.message == "a.yaml:3:6: breakages[1].id: another row has the id `one`"


def test_a_project_without_a_table(tmp_path: Path) -> None:
    assert Project(tmp_path).breakages() == ()


# ---- before a build

FP16_MASTER = Pin("782eea126dc5c755827be751a099eb01826175cf", moment("2026-06-19T17:21:15-07:00"))
NNPACK = Pin("70a77f485e8b934224f3a79efd8edcd84cd377b8", moment("2023-02-01T15:35:35-08:00"))
POOL = Pin("43edadc654d6283b4b6e45ba09a853181ae8e850", moment("2022-11-17T23:21:03-08:00"))
OLD_POOL = Pin("13da0b4c21d17f94150713366420baaf1b5a46f4", moment("2018-10-08T00:19:36-07:00"))
CPUINFO = Pin("3dc310302210c1891ffcfb12ae67b11a3ad3a150", moment("2023-01-17T18:11:35-08:00"))
TVM_19 = Pin("c4dc0c29ff81ddae688da24625a603da3b4a2c0e", moment("2025-01-20T00:00:00Z"))


@pytest.mark.parametrize(
    ("pins", "ids"),
    [
        ({}, []),
        ({"fp16": FP16_MASTER}, ["fp16-without-peachpy", "fp16-without-psimd"]),
        ({"fp16": Pin("4987f20d48c22694d84bbffa839168596ea027ae", moment("2024-05-27T13:38:41-07:00"))}, []),
        ({"fp16": Pin("07ff4fd681127d86a06cb8d369cb96988de402e6")}, ["fp16-without-peachpy"]),
        ({"fp16": Pin("0" * 40, moment("2024-05-27T13:42:26-07:00"))}, ["fp16-without-peachpy"]),
        ({"fp16": Pin("0" * 40)}, []),  # nothing is known of it
        ({"other": FP16_MASTER}, []),
        ({"nnpack": NNPACK, "pthreadpool": POOL}, []),
        ({"nnpack": NNPACK, "pthreadpool": OLD_POOL}, ["pthreadpool-without-parallelize"]),
        ({"pthreadpool": OLD_POOL}, []),
        ({"cpuinfo": CPUINFO, "tvm-runtime": TVM_19}, []),
        (
            {"cpuinfo": CPUINFO, "tvm-runtime": Pin("0" * 40, moment("2023-07-01T00:00:00Z"))},
            ["cpuinfo-without-clog"],
        ),
        ({"nnpack": NNPACK, "cmake": Pin(version="3.31.10")}, []),
        ({"nnpack": NNPACK, "cmake": Pin(version="4.0.0rc1")}, []),
        ({"nnpack": NNPACK, "cmake": Pin(version="4.1")}, ["cmake-4"]),
        ({"cmake": Pin(version="4.1")}, []),
        (
            {"nnpack": Pin(options={"CMAKE_POLICY_VERSION_MINIMUM": "3.5"}), "cmake": Pin(version="4.1")},
            [],
        ),
        (
            {
                "tvm-runtime/3rdparty/tvm-ffi": Pin("0" * 40, moment("2026-08-01T00:00:00Z")),
                "cmake": Pin(version="3.25.1"),
            },
            ["cmake-too-old"],
        ),
    ],
)
def test_pins_that_are_known_bad(pins: dict[str, Pin], ids: list[str]) -> None:
    said = breakages.known_bad(TABLE, pins)
    assert [one.splitlines()[-1].removeprefix("  see       ") for one in said] == [
        ROWS[one].evidence for one in ids
    ]


def test_what_is_said_of_a_bad_pin() -> None:
    [said] = breakages.known_bad(TABLE, {"pthreadpool": OLD_POOL, "nnpack": NNPACK})
    assert said.startswith(
        "`pthreadpool` 13da0b4c21d17f94150713366420baaf1b5a46f4 of 2018-10-08 with `nnpack` "
        "70a77f485e8b934224f3a79efd8edcd84cd377b8 of 2023-02-01 is known to break, since 2020-04-12\n"
        "  cause     NNPACK since commit a10d5ae99f7e8691bd41fd92950c70d5432dda0c of 2020-04-12, "
    )
    [said] = breakages.known_bad(TABLE, {"nnpack": Pin(), "cmake": Pin(version="4.1")})
    assert said.startswith("`nnpack` as locked with `cmake` 4.1 is known to break, since 2025-03-28\n")


def test_the_pins_of_a_lock() -> None:
    origins = (GitOrigin(git="https://git.example/a"),)
    nar = "sha256-KtDFko+UC5xcgKSVVYLLhWAicn3moPT5KSj8dngb0uo="
    dated = LockedSource(commit="1" * 40, date="2024-01-01T00:00:00Z", hash=nar, origins=origins)
    lock = Lock(sources={"a": dated, "a/b": LockedSource(commit="2" * 40, hash=nar, origins=origins)})
    assert breakages.pins(lock, {"cmake": "3.31"}, {"a": {"X": "ON"}}) == {
        "cmake": Pin(version="3.31"),
        "a": Pin("1" * 40, moment("2024-01-01T00:00:00Z"), options={"X": "ON"}),
        "a/b": Pin("2" * 40),
    }


@pytest.mark.parametrize("variant", Project(ROOT).variants())
def test_no_lock_of_this_project_is_known_bad(variant: str) -> None:
    project = Project(ROOT)
    sources, tools = project.lock_files(variant)
    if not (sources.is_file() and tools.is_file()):
        pytest.skip(f"`{variant}` is not locked")
    specs = project.specs(variant)
    for platform in specs.environment.platforms:
        versions = {one.project: one.version for one in project.toolchain(variant).for_platform(platform)}
        options = {name: specs.options(name, platform) for name in specs.recipes}
        assert breakages.known_bad(TABLE, breakages.pins(project.lock(variant), versions, options)) == []
