"""Lines of logs, and the lines among them that say why a build failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes import logs

HERE = Path(__file__).parent / "logs"


def said(name: str) -> list[str]:
    return [logs.text(line) for line in logs.lines([(HERE / f"{name}.log").read_bytes()])]


# ---- lines


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([], []),
        ([b""], []),
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a\nb"], [b"a", b"b"]),
        ([b"a\r\nb\rc\n"], [b"a", b"b", b"c"]),
        ([b"a\r", b"\nb"], [b"a", b"b"]),
        ([b"a\r"], [b"a"]),
        ([b"a\n\n\nb"], [b"a", b"", b"", b"b"]),
        ([b"fp1", b"6.a", b"vx\n"], [b"fp16.avx"]),
        ([b"\xff\x00\n"], [b"\xff\x00"]),
        ([b"x" * (logs.LONGEST + 1)], [b"x" * logs.LONGEST, b"x"]),
        ([b"\x1b[01m\x1b[Ka.c:1:\x1b[m\x1b[K \x1b[01;31m\x1b[Kerror: \x1b[m\x1b[Kb\n"], [b"a.c:1: error: b"]),
        ([b"\x1b]8;;https://a.example\x1b\\a\x1b]8;;\x07\n"], [b"a"]),
    ],
)
def test_lines(chunks: list[bytes], found: list[bytes]) -> None:
    assert list(logs.lines(chunks)) == found


@given(st.lists(st.binary(max_size=9).map(lambda some: some.replace(b"\x1b", b"\r").replace(b"x", b"\n"))))
def test_where_a_log_is_cut_into_chunks_does_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert list(logs.lines(chunks)) == list(logs.lines([whole])) == whole.splitlines()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain", "plain"),
        (b"  indented  ", "  indented"),
        (b"#12 34.56 from docker", "from docker"),
        (b"#12 CACHED", "CACHED"),
        (b"2024-06-06T12:00:00.000Z #12 34.5 both", "both"),
        (b"[2024-06-06T12:00:00.000Z] from Jenkins", "from Jenkins"),
        (b"#include <a.h>", "#include <a.h>"),
        (b"\xff is not text", "\ufffd is not text"),
    ],
)
def test_what_is_shown_of_a_line(line: bytes, shown: str) -> None:
    assert logs.text(line) == shown


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (b"", None),
        (b"-- The C compiler identification is GNU 12.2.0\n", None),
        (b"\x1b[31mred\xff\n", None),
        (b"\x7fELF\x02\x01\x01\0\0", "it is binary"),
        (b"\x1f\x8b\x08\0", "it is compressed: `zcat FILE | recipes explain`"),
        (b"\xff\xfea\0\n\0", "it is UTF-16: `iconv -f UTF-16 -t UTF-8 FILE | recipes explain`"),
    ],
)
def test_what_is_no_log(start: bytes, why: str | None) -> None:
    assert logs.refusal(start) == why


# ---- the lines that matter, of real logs

KERNEL = "src/x86_64-fma/blas/shdotxf.py.o"
DOWNLOAD = "/build/nnpack-build/deps/cpuinfo-download"
DECISIVE = {
    "fp16-without-peachpy": (
        18,
        f"FAILED: [code=1] {KERNEL} /build/nnpack-build/{KERNEL}",
        "ModuleNotFoundError: No module named 'fp16.avx'",
    ),
    "fp16-without-psimd": (
        6,
        "FAILED: [code=1] CMakeFiles/nnpack.dir/src/psimd/blas/shdotxf.c.o",
        "compilation terminated.",
    ),
    "fp16-without-psimd.clang": (
        4,
        "src/psimd/blas/shdotxf.c:5:10: fatal error: 'fp16/psimd.h' file not found",
        "1 error generated.",
    ),
    "cmake-4": (
        8,
        "CMake Error at CMakeLists.txt:1 (CMAKE_MINIMUM_REQUIRED):",
        "  Or, add -DCMAKE_POLICY_VERSION_MINIMUM=3.5 to try configuring anyway.",
    ),
    "cpuinfo-without-master": (
        10,
        f"CMake Error at {DOWNLOAD}/cpuinfo-prefix/tmp/cpuinfo-gitclone.cmake:61 (message):",
        "  does not contain a CMakeLists.txt file.",
    ),
    "cpuinfo-without-clog": (
        5,
        "CMake Error: The following variables are used in this project, but they are set to NOTFOUND.",
        '    linked by target "tvm_runtime" in directory /build/tvm',
    ),
    "pthreadpool-without-parallelize": (
        18,
        "FAILED: [code=1] CMakeFiles/nnpack.dir/src/pooling-output.c.o",
        "      |                                   ^",
    ),
    "setuptools-without-pkg-resources": (
        24,
        "Traceback (most recent call last):",
        "ModuleNotFoundError: No module named 'pkg_resources'",
    ),
    "pthreadpool-deprecated": (
        25,
        "In file included from include/nnpack.h:7,",
        "/build/pthreadpool/include/pthreadpool.h:178:29: note: declared here",
    ),
}


@pytest.mark.parametrize("name", DECISIVE)
def test_the_lines_that_matter_of_a_real_log(name: str) -> None:
    lines = logs.decisive(said(name))
    assert (len(lines), lines[0], lines[-1]) == DECISIVE[name]


def test_of_parallel_steps_only_the_first_that_failed_is_shown() -> None:
    lines = said("pthreadpool-without-parallelize")
    assert sum(line.startswith("FAILED: ") for line in lines) == 2
    assert not any("softmax-output" in line for line in logs.decisive(lines))


# ---- and of made-up ones

NINJA = [
    "[1/9] CC a.o",
    "FAILED: a.o ",
    "cc -c a.c",
    "a.c:1: warning: odd",
    "[2/9] CC b.o",
    "b.c: error: late",
]
CHAINED = [
    *("Traceback (most recent call last):", "  unrelated", "OSError: handled", "-- going on"),
    *("Traceback (most recent call last):", "  one", "KeyError: 'a'", ""),
    *("During handling of the above exception, another exception occurred:", ""),
    *("Traceback (most recent call last):", "  two", "ValueError: b"),
]


@pytest.mark.parametrize(
    ("lines", "most", "found"),
    [
        ([], 5, []),
        (["one", "two", "three"], 2, ["two", "three"]),
        (NINJA, 9, NINJA[1:4]),
        (["FAILED: a.o"], 5, ["FAILED: a.o"]),
        (
            ["FAILED: a", "cc", *["noise"] * 9, "a.c:1: error: x", *["more"] * 9, "end"],
            6,
            ["FAILED: a", "cc", "noise", "noise", "a.c:1: error: x", "more"],
        ),
        (
            ["FAILED: a", "run", *["noise"] * 9, "KeyError: 1"],
            4,
            ["FAILED: a", "run", "noise", "KeyError: 1"],
        ),
        (
            [
                "CMake Warning: a",
                "CMake Error at b:",
                "  c",
                "",
                "-- Configuring incomplete",
                "CMake Error: d",
                "",
            ],
            9,
            ["CMake Error at b:", "  c", "", "CMake Error: d"],
        ),
        (
            [
                "cc a.c",
                "cc b.c",
                "a.c:1: error: x",
                "cc c.c",
                "make[1]: *** [Makefile:2: a.o] Error 1",
                "make: *** all",
            ],
            9,
            ["cc a.c", "cc b.c", "a.c:1: error: x", "cc c.c", "make[1]: *** [Makefile:2: a.o] Error 1"],
        ),
        (["a", "b", "c", "make: *** [d] Error 2", "e"], 2, ["c", "make: *** [d] Error 2"]),
        (CHAINED, 99, CHAINED[4:]),
        (CHAINED, 3, [CHAINED[4], *CHAINED[-2:]]),
        ([*CHAINED, "[7/9] PeachPy a.py", "[8/9] PeachPy b.py"], 99, CHAINED[4:]),
        (["a", "b", "c", "fatal: error: d", "e", "f"], 4, ["b", "c", "fatal: error: d", "e"]),
        (["warned: no errors", "0 errors", "done"], 9, ["warned: no errors", "0 errors", "done"]),
        (["x" * 999], 9, ["x" * 300 + " …"]),
    ],
)
def test_the_lines_that_matter(lines: list[str], most: int, found: list[str]) -> None:
    assert logs.decisive(lines, most) == found


@given(st.lists(st.sampled_from([*NINJA, *CHAINED, "CMake Error: a", "make: *** b", ""])), st.integers(3, 30))
def test_there_are_never_more_lines_than_asked_for_nor_others(lines: list[str], most: int) -> None:
    found = logs.decisive(lines, most)
    assert len(found) <= most
    assert set(found) <= set(lines)
    assert bool(found) or not any(lines)
