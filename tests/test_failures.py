"""What a user is told of a build that fails, how it is run again, and `recipes explain` of any log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import smallproject
from smallproject import PATIENCE, Small, Upstream

from recipes import failures, logs

HERE = Path(__file__).parent
REAL = HERE / "logs"

TABLE = """\
breakages:
  - id: no-luck
    pattern: no such luck
    cause: |
      it ran out of luck in commit
      0123456789012345678901234567890123456789
    since: 2024-05-27
    source: thing
    remedy: "`thing: {ref: v1.0}`"
    evidence: https://git.example/thing/issues/1
  - id: old-thing
    pattern: never said
    cause: "it is old"
    source: thing
    broken:
      thing: {since: "2024-01-01T00:00:00Z"}
    remedy: "`thing: {ref: main}`"
    evidence: https://git.example/thing/issues/2
"""
SAID = """\
known breakage `no-luck` of thing, since 2024-05-27
  cause     it ran out of luck in commit
            0123456789012345678901234567890123456789
  evidence  line {line}: {evidence}
  remedy    `thing: {{ref: v1.0}}`
  see       https://git.example/thing/issues/1
"""
WARNED = """\
warning: `thing` {commit} of 2024-05-27 is known to break
  cause     it is old
  remedy    `thing: {{ref: main}}`
  see       https://git.example/thing/issues/2
"""


@pytest.fixture
def small(upstream: Upstream, tmp_path: Path) -> Iterator[Small]:
    with smallproject.small(upstream, tmp_path) as made:
        made.write("recipes/breakages.yaml", TABLE)
        yield made


@pytest.fixture
def builds(small: Small, fetched: Path) -> Small:
    small.warm(fetched)
    return small


# ---- a phase that fails


@pytest.mark.sandbox
def test_a_failure_is_explained_and_run_again(builds: Small) -> None:
    mode = builds.mode("exit")
    ran = builds.build(mode, "--keep-failed").failed(9)
    assert WARNED.format(commit=builds.upstream.commits["thing"]) in ran.err
    [log] = (builds.store / "logs").iterdir()
    [kept] = (builds.store / "tmp").iterdir()
    evidence = SAID.format(line=6, evidence="thing.c:1:5: error: no such luck")
    assert ran.error == (
        "error: `thing` failed in phase `build`: exit code 3\n"
        "  [1/2] compiling with -j {jobs}\n"
        "  thing.c:1:5: error: no such luck\n"
        f"  log  {log}\n\n{evidence}\n"
        f"hint: `sh {kept}/replay.sh` runs the phase again, "
        f"`sh {kept}/replay.sh /bin/sh` is a shell in its place\n"
    ).replace("{jobs}", str(len(os.sched_getaffinity(0))))

    again = _replay(kept)
    assert (again.returncode, again.stderr) == (3, "thing.c:1:5: error: no such luck\n")
    assert again.stdout.startswith("[1/2] compiling with -j ")
    shell = 'echo "$PATH $SOURCE_DATE_EPOCH ${SECRET-none} $PWD"; [ -f /build/mode ] && : > /build/made'
    inside = _replay(kept, "/bin/sh", "-c", shell, SECRET="1")
    assert (inside.returncode, inside.stdout) == (0, "/toolchain/bin:/bin 1716842321 none /build\n")
    assert (kept / "build/made").exists()

    assert builds.run("store", "gc").ok().err.splitlines()[-1].startswith("freed ")
    assert not kept.exists()


def _replay(kept: Path, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(kept / "replay.sh"), *argv],
        env={"PATH": os.environ["PATH"], **variables}, cwd="/", text=True, capture_output=True,
        timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.sandbox
def test_a_check_that_fails_is_run_again(builds: Small) -> None:
    ran = builds.build(builds.mode("check"), "--keep-failed").failed(9)
    [kept] = (builds.store / "tmp").iterdir()
    assert f"`sh {kept}/replay.sh` runs the phase again" in ran.error
    again = _replay(kept)
    assert (again.returncode, again.stderr) == (1, "the library does not load\n")


@pytest.mark.sandbox
def test_without_the_flag_nothing_is_left(builds: Small) -> None:
    variant = builds.mode("configure")
    ran = builds.run("--quiet", "build", "--variant", variant, "thing", "--jobs", "2").failed(9)
    assert builds.damage() == []
    assert ran.error.endswith(
        f"hint: `recipes --quiet build --variant {variant} thing --jobs 2 --keep-failed` keeps the build's "
        "directory, and a script in it that runs the phase again\n"
    )
    assert "  CMake Error: no such luck\n  log  " in ran.error
    assert SAID.format(line=3, evidence="CMake Error: no such luck") in ran.error


@pytest.mark.sandbox
def test_a_build_that_is_not_failing_leaves_nothing(builds: Small) -> None:
    builds.build("small", "--keep-failed").ok()
    assert builds.damage() == []


@pytest.mark.sandbox
def test_what_must_be_said_and_was_not_is_explained(builds: Small) -> None:
    variant = builds.mode("plain")
    builds.edit(
        "recipes/components/thing/recipe.yaml", "  targets: [thing]", "  says: never\n  targets: [thing]"
    )
    builds.edit("recipes/breakages.yaml", "pattern: no such luck", "pattern: Configuring done")
    ran = builds.build(variant, "--keep-failed").failed(9)
    [kept] = (builds.store / "tmp").iterdir()
    assert ran.error.startswith(
        "error: `thing` did not say what its recipe expects in phase `configure`\n"
        "  expected  never\n  log       "
    )
    assert SAID.format(line=3, evidence="-- Configuring done") in ran.error
    assert _replay(kept).returncode == 0


def test_a_plan_warns_of_what_is_known_bad(small: Small) -> None:
    ran = small.run("--quiet", "plan", "--variant", "small").ok()
    assert ran.err == WARNED.format(commit=small.upstream.commits["thing"])


def test_a_table_that_is_wrong(small: Small) -> None:
    small.edit("recipes/breakages.yaml", "pattern: never said", "patern: never said")
    ran = small.run("plan", "--variant", "small").failed(3)
    assert ran.err == (
        "error: recipes/breakages.yaml:12:5: breakages[1].patern: "
        "unknown key `patern`, did you mean `pattern`?\n"
    )


# ---- any log


def explain(*argv: str, log: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(smallproject.CLI), "--project", str(HERE.parent), "explain", *argv],
        input=log, capture_output=True, timeout=PATIENCE, check=False, cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"},
    )  # fmt: skip


def test_a_log_is_explained() -> None:
    ran = explain(str(REAL / "fp16-without-peachpy.log"))
    assert (ran.returncode, ran.stderr) == (0, b"")
    lines = ran.stdout.decode().splitlines()
    assert lines[0] == "known breakage `fp16-without-peachpy` of fp16, since 2024-05-27"
    assert "  evidence  line 22: ModuleNotFoundError: No module named 'fp16.avx'" in lines


def test_standard_input_is_explained_as_json() -> None:
    parts = [b"#9 0.1 Reading lists...\r#9 0.2 \x1b[1mdone\x1b[0m\r\n"]
    parts += [
        b"#9 34.5 " + line + b"\n" for line in (REAL / "fp16-without-psimd.log").read_bytes().splitlines()
    ]
    parts += [(REAL / "cmake-4.log").read_bytes()]
    for argv in (("--json",), ("-", "--json")):
        ran = explain(*argv, log=b"".join(parts))
        assert (ran.returncode, ran.stderr) == (0, b"")
        found = json.loads(ran.stdout)
        assert [one["id"] for one in found] == ["fp16-without-psimd", "cmake-4"]
        assert found[0]["line_number"] == 8
        assert found[0]["line"].endswith(": fatal error: fp16/psimd.h: No such file or directory")


def test_nothing_known_matches() -> None:
    ran = explain(log=b"fine\n" * 3 + b"CMake Error at a:\n  unheard of\n\n-- Configuring incomplete\n")
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert ran.stdout.decode() == (
        "nothing known matches: 7 lines, and no breakage of recipes/breakages.yaml\n"
        "its last lines that matter:\n  CMake Error at a:\n    unheard of\n"
    )
    ran = explain("--json")
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, b"[]\n", b"")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("missing.log", None, "cannot be read: No such file or directory"),
        ("library.so", b"\x7fELF\2\1\1\0", "is no log: it is binary"),
        ("build.log.gz", b"\x1f\x8b\x08\0", "is no log: it is compressed: `zcat FILE | recipes explain`"),
    ],
)
def test_what_is_no_log(tmp_path: Path, name: str, data: bytes | None, why: str) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    ran = explain(str(path))
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.decode() == f"error: `{path}` {why}\n"


def test_a_terminal_is_no_log() -> None:
    leader, follower = os.openpty()
    with open(leader, "rb"), open(follower, "rb") as terminal:  # noqa: PTH123 - descriptors
        ran = subprocess.run(
            [sys.executable, str(smallproject.CLI), "--project", str(HERE.parent), "explain"],
            stdin=terminal, capture_output=True, timeout=PATIENCE, check=False, text=True,
        )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[0] == "error: no log is given"


def test_a_large_log_takes_little_memory() -> None:
    def chunks() -> Iterator[bytes]:
        yield from (b"x" * (1 << 20) for _ in range(8))  # one line
        yield b"\n"
        yield from (b"y" * 60_000 + b"\n" for _ in range(300))

    tracemalloc.start()
    try:
        seen = failures.look((), chunks())
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert seen.count == (8 << 20) // logs.LONGEST + 300
