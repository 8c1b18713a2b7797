from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from indexserver import wheel

from recipes import requirements
from recipes.errors import LockError, SpecError
from recipes.requirements import MARKERS, Requirements, Wheel

HINT = "see what changed: `git log -p x.txt`; lock again: `recipes lock`"


def locked(
    project: str, version: str, where: str = "linux-64", *, sha256: str = "ab" * 32, via: tuple[str, ...] = ()
) -> Wheel:
    file = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
    return Wheel(project, version, file, sha256, where, via)


CMAKE = Wheel(
    "cmake",
    "3.31.10",
    "cmake-3.31.10-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "2f" * 32,
    "linux-64",
)
NINJA = locked("ninja", "1.13.2", "linux-aarch64", sha256="65" * 32)
NEEDED = locked("some-dep", "1.0", sha256="01" * 32, via=("cmake", "ninja"))

TEXT = f"""\
# Written by `recipes lock`; do not edit. Format 1.

# cmake-3.31.10-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
cmake==3.31.10 ; sys_platform == "linux" and platform_machine == "x86_64" \\
    --hash=sha256:{"2f" * 32}

# ninja-1.13.2-py3-none-any.whl
ninja==1.13.2 ; sys_platform == "linux" and platform_machine == "aarch64" \\
    --hash=sha256:{"65" * 32}

# some_dep-1.0-py3-none-any.whl
# via cmake, ninja
some-dep==1.0 ; sys_platform == "linux" and platform_machine == "x86_64" \\
    --hash=sha256:{"01" * 32}
"""


def test_render() -> None:
    assert requirements.render(Requirements((NEEDED, NINJA, CMAKE))) == TEXT


def test_render_nothing() -> None:
    text = "# Written by `recipes lock`; do not edit. Format 1.\n"
    assert requirements.render(Requirements()) == text
    assert requirements.parse(text, "x.txt") == Requirements()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_parse(newline: str) -> None:
    text = TEXT.replace("\n", newline)
    assert requirements.parse(text, "x.txt") == Requirements((CMAKE, NINJA, NEEDED))


VERSIONS = st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}(rc[0-9]{1,3})?(\+[a-z0-9]{1,5})?", fullmatch=True)
PROJECTS = st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9}){0,2}", fullmatch=True)
WHEELS = st.builds(
    locked,
    PROJECTS,
    VERSIONS,
    st.sampled_from(list(MARKERS)),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    via=st.lists(PROJECTS, max_size=3, unique=True).map(lambda names: tuple(sorted(names))),
)
LOCKS = st.lists(WHEELS, max_size=8, unique_by=lambda one: (one.project, one.platform)).map(tuple)
PATIENT = hypothesis.settings(deadline=None, derandomize=True, database=None)


@PATIENT
@hypothesis.given(LOCKS)
def test_what_is_written_is_read_back(wheels: tuple[Wheel, ...]) -> None:
    text = requirements.render(Requirements(wheels))
    found = requirements.parse(text, "x.txt")
    assert sorted(found.wheels, key=repr) == sorted(wheels, key=repr)
    assert requirements.render(found) == text
    assert requirements.render(Requirements(wheels[::-1])) == text


@PATIENT
@hypothesis.given(st.integers(0, len(TEXT) - 2))
def test_a_file_cut_anywhere_is_refused_or_a_whole_lock(length: int) -> None:
    text = TEXT[:length]
    try:
        found = requirements.parse(text, "x.txt")
    except LockError:
        return
    assert requirements.render(found) == text


@PATIENT
@hypothesis.given(st.integers(0, len(TEXT)), st.text(min_size=1, max_size=3), st.integers(0, 3))
def test_a_changed_file_is_refused_or_says_what_it_says(place: int, new: str, over: int) -> None:
    text = TEXT[:place] + new + TEXT[place + over :]
    try:
        found = requirements.parse(text, "x.txt")
    except LockError as wrong:
        assert re.match(r"x\.txt:[0-9]+: ", wrong.message)  # noqa: PT017 - either outcome is right
        return
    assert {one.file for one in found.wheels} == set(re.findall(r"^# (\S+\.whl)", text, re.MULTILINE))


HASH = f"    --hash=sha256:{'2f' * 32}"
CMAKE_LINE = 'cmake==3.31.10 ; sys_platform == "linux" and platform_machine == "x86_64" \\'
NO_WHEEL = "`# FILE.whl`, the file name of a wheel"
NO_REQUIREMENT = "`PROJECT==VERSION ; MARKER \\`"
NO_HASH = "`    --hash=sha256:` and 64 hexadecimal digits"
NO_HEADER = "`# Written by `recipes lock`; do not edit. Format 1.`"
NO_MARKER = "the marker of one of linux-64, linux-aarch64, osx-arm64"

REFUSED = [
    # what is replaced, by what, line, expected, actual
    (TEXT, "", 1, NO_HEADER, "the end of the file"),
    (TEXT, "\n", 1, NO_HEADER, "an empty line"),
    (TEXT.splitlines()[0], "cmake==3.31.10", 1, NO_HEADER, "`cmake==3.31.10`"),
    (TEXT.splitlines()[0], "\ufeff" + TEXT.splitlines()[0], 1, NO_HEADER, f"`\\ufeff{TEXT.splitlines()[0]}`"),
    ("1.\n\n# cmake", "1.\n# cmake", 2, "an empty line between two wheels", f"`# {CMAKE.file}`"),
    ("\n\n# ninja", "\n\n\n# ninja", 7, NO_WHEEL, "an empty line"),
    ("\n\n# ninja", "\n\n--index-url https://host/simple\n# ninja", 7, NO_WHEEL, None),
    ("\n\n# ninja", "\n\n-r more.txt\n# ninja", 7, NO_WHEEL, "`-r more.txt`"),
    (f"# {CMAKE.file}", "# a remark", 3, NO_WHEEL, "`# a remark`"),
    (f"# {CMAKE.file}\n", "", 3, NO_WHEEL, f"`{CMAKE_LINE}`"),
    ("cmake==3.31.10 ;", "cmake @ https://host/cmake.whl ;", 4, NO_REQUIREMENT, None),
    ("cmake==3.31.10 ;", "cmake>=3.31.10 ;", 4, NO_REQUIREMENT, None),
    ("cmake==3.31.10 ;", "CMake==3.31.10 ;", 4, NO_REQUIREMENT, None),
    ("cmake==3.31.10 ;", "cmake==3.31.9 ;", 4, f"the project and version of `{CMAKE.file}`", None),
    ("cmake==3.31.10 ;", "ninja==3.31.10 ;", 4, f"the project and version of `{CMAKE.file}`", None),
    ('"x86_64"', '"ppc64le"', 4, NO_MARKER, None),
    ('"linux" and platform_machine == "x86_64"', '"linux"', 4, NO_MARKER, None),
    (f" \\\n{HASH}", "", 4, NO_REQUIREMENT, "`" + CMAKE_LINE[:-2] + "`"),
    (f"{HASH}\n", "", 5, NO_HASH, "an empty line"),
    ("sha256:2f", "sha256:2F", 5, NO_HASH, None),
    ("sha256:2f2f", "sha256:2f", 5, NO_HASH, None),
    ("sha256:2f", "md5:2f", 5, NO_HASH, None),
    (HASH, f"{HASH} \\\n{HASH}", 5, NO_HASH, f"`{HASH} \\`"),
    ("# via cmake, ninja", "# via", 12, "`# via PROJECT, …`", "`# via`"),
    ("01\n", "01", 14, "a newline after the last line", "the end of the file"),
    ("01\n", "0\n", 14, NO_HASH, f"`    --hash=sha256:{'01' * 31}0`"),
    ("01\n", "01\n\n", 16, NO_WHEEL, "the end of the file"),
    (f"    --hash=sha256:{'01' * 32}\n", "", 14, NO_HASH, "the end of the file"),
]


@pytest.mark.parametrize(("old", "new", "line", "expected", "actual"), REFUSED)
def test_anything_else_is_refused(old: str, new: str, line: int, expected: str, actual: str | None) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1) if old != "01\n" else new.join(TEXT.rsplit(old, 1))
    with pytest.raises(LockError) as raised:
        requirements.parse(text, "x.txt")
    actual = f"`{text.splitlines()[line - 1]}`" if actual is None else actual
    message = f"x.txt:{line}: not what `recipes lock` writes\n  expected  {expected}\n  actual    {actual}"
    assert (raised.value.message, raised.value.hint) == (message, HINT)


def test_a_project_twice_on_a_platform_is_refused() -> None:
    twice = requirements.render(Requirements((CMAKE, locked("cmake", "4.0"))))
    with pytest.raises(LockError) as raised:
        requirements.parse(twice, "x.txt")
    assert raised.value.message == (
        "x.txt:7: not what `recipes lock` writes\n"
        "  expected  `cmake` once for linux-64\n"
        "  actual    `# cmake-4.0-py3-none-any.whl`"
    )


def test_another_format_is_refused() -> None:
    with pytest.raises(LockError) as raised:
        requirements.parse(TEXT.replace("Format 1.", "Format 2."), "x.txt")
    assert raised.value.message == (
        "x.txt:1: written by a newer tvm-recipes\n  expected  format 1\n  actual    format 2"
    )
    assert raised.value.hint == "install that version, or lock again: `recipes lock`"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"platform": "win-64"}, "`win-64` is not one of the platforms linux-64, linux-aarch64, osx-arm64"),
        ({"sha256": "2F" * 32}, "a SHA-256 is 64 lower-case hexadecimal digits"),
        ({"project": "CMake"}, "a project's name is lower-case letters and digits, joined by single dashes"),
        ({"via": ("a b",)}, "a project's name is lower-case letters and digits, joined by single dashes"),
        ({"file": "x.whl"}, "'x.whl' is not the name of a wheel of cmake '3.31.10'"),
        ({"file": f"{CMAKE.file}\n-r x"}, f"{CMAKE.file + chr(10) + '-r x'!r} is not the name of"),
        ({"version": "3.31.10\n"}, f"{CMAKE.file!r} is not the name of a wheel of cmake '3.31.10\\n'"),
        ({"version": "?"}, f"{CMAKE.file!r} is not the name of a wheel of cmake '?'"),
    ],
)
def test_a_wheel_is_checked_when_it_is_made(change: dict[str, str], message: str) -> None:
    values = {**CMAKE.__dict__, **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        Wheel(**values)


def test_wheels_of_a_platform() -> None:
    lock = Requirements((NEEDED, NINJA, CMAKE))
    assert lock.for_platform("linux-64") == (CMAKE, NEEDED)
    assert lock.for_platform("linux-aarch64") == (NINJA,)
    assert lock.for_platform("osx-arm64") == ()


def test_digest() -> None:
    lock = Requirements((NEEDED, NINJA, CMAKE))
    assert lock.digest("linux-64") == "sha256-y47GW1UMmqOWsduX2bFTxIcyv/4ShaeG0+VQAyDIrR0="
    same = Requirements((CMAKE, locked("some-dep", "1.0", sha256="01" * 32)))
    assert same.digest("linux-64") == lock.digest("linux-64")
    for other in (CMAKE, NINJA), (CMAKE, locked("some-dep", "1.0")):
        assert Requirements(other).digest("linux-64") != lock.digest("linux-64")


BOTH = ("linux-64", "linux-aarch64")
ONLY = "a toolchain requirement has a name and versions only"
LOCKED = (
    locked("cmake", "3.31.10"),
    locked("cmake", "4.0", "linux-aarch64"),
    locked("ninja", "1.13.2"),
    locked("dep", "1", via=("cmake",)),
    locked("zig-lang", "0.15rc1"),
    locked("zig-lang", "0.15rc1", "linux-aarch64"),
)


@pytest.mark.parametrize(
    ("asked", "platforms", "sentences"),
    [
        (["cmake>=3.26", "ninja", "Zig_Lang"], ("linux-64",), ["wheels are locked for linux-aarch64,"]),
        (["cmake", "ninja", "zig.lang>=0.15rc1"], BOTH, ["`ninja` has no locked wheel for linux-aarch64"]),
        (
            ["cmake>=3.26", "cmake<4", "zig-lang>0.1"],
            BOTH,
            [
                "`cmake` is locked as 4.0 for linux-aarch64, and `cmake<4` is asked for",
                "`ninja` is locked, and",
            ],
        ),
        (["make", "ninja", "cmake", "zig-lang"], BOTH, ["`make` is not locked", "`ninja` has no locked"]),
        ([], (), ["`cmake` is", "`ninja` is", "`zig-lang` is", "wheels are locked", "wheels are locked"]),
    ],
)
def test_unsatisfied(asked: list[str], platforms: tuple[str, ...], sentences: list[str]) -> None:
    found = requirements.unsatisfied(Requirements(LOCKED), asked, platforms)
    assert len(found) == len(sentences)
    assert all(one.startswith(start) for one, start in zip(found, sentences, strict=True)), found


def test_unsatisfied_in_full() -> None:
    lock = Requirements((locked("ninja", "1.2"), locked("cmake", "3.5", "osx-arm64")))
    assert requirements.unsatisfied(lock, ["ninja>=2", "zig"], ["linux-64"]) == [
        "`ninja` is locked as 1.2 for linux-64, and `ninja>=2` is asked for",
        "`zig` is not locked",
        "`cmake` is locked, and no toolchain asks for it",
        "wheels are locked for osx-arm64, and no spec asks for that platform",
    ]


def test_a_lock_that_answers() -> None:
    lock = Requirements((CMAKE, locked("cmake", "3.30", "linux-aarch64")))
    assert requirements.unsatisfied(lock, ["cmake>=3.26,<4"], BOTH) == []
    assert requirements.unsatisfied(Requirements(), [], BOTH) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cmake=>3", "`cmake=>3` is not a requirement such as `cmake>=3.26,<4`"),
        ("", "`` is not a requirement such as `cmake>=3.26,<4`"),
        ("--index-url=x", "`--index-url=x` is not a requirement such as `cmake>=3.26,<4`"),
        ("cmake @ https://host/cmake.whl", f"{ONLY}: `cmake @ https://host/cmake.whl`"),
        ("cmake; os_name == 'nt'", f"{ONLY}: `cmake; os_name == 'nt'`"),
        ("cmake[doc]", f"{ONLY}: `cmake[doc]`"),
        (f"cmake>={'9' * 5000}", "a requirement has at most 1000 characters, and this one 5007"),
    ],
)
def test_what_cannot_be_asked(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        requirements.unsatisfied(Requirements(), [text], BOTH)
    assert raised.value.message == message


HERE = {
    ("linux", "x86_64"): "linux-64",
    ("linux", "aarch64"): "linux-aarch64",
    ("darwin", "arm64"): "osx-arm64",
}


@pytest.mark.skipif((sys.platform, platform.machine()) not in HERE, reason="a platform that is never locked")
def test_pip_reads_the_file(tmp_path: Path) -> None:
    here = HERE[sys.platform, platform.machine()]
    (tmp_path / "wheels").mkdir()
    made = []
    for name, needs in ("tiny", ["tiny-dep"]), ("tiny-dep", []):
        file, data = wheel(name, "1.0", needs=needs)
        (tmp_path / "wheels" / file).write_bytes(data)
        made.append(Wheel(name, "1.0", file, hashlib.sha256(data).hexdigest(), here))
    others = [locked("elsewhere", "2.0", name) for name in MARKERS if name != here]
    text = requirements.render(Requirements((made[0], Wheel(*_fields(made[1]), ("tiny",)), *others)))
    path = tmp_path / "lock.txt"
    path.write_text(text)
    done = pip_dry_run(path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Would install tiny-1.0 tiny-dep-1.0"), done

    path.write_text(text.replace(made[0].sha256, "0" * 64))
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in pip_dry_run(path).stderr


def _fields(one: Wheel) -> tuple[str, str, str, str, str]:
    return one.project, one.version, one.file, one.sha256, one.platform


def pip_dry_run(path: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-index"]
    argv += ["--find-links", str(path.parent / "wheels"), "--require-hashes", "-r", str(path)]
    env = {"PATH": os.defpath, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, cwd=path.parent)
