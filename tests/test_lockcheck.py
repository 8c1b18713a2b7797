from pathlib import Path

import pytest
import specimen

from recipes import lockcheck, lockfiles, locking, requirements
from recipes.errors import LockError, UsageError
from recipes.lock import Lock
from recipes.project import Project
from recipes.report import QUIET, Report
from recipes.requirements import Requirements

LACKING = """\
the locks of `small` do not answer its specs
  source `tvm` asks for ref `v0.23.0`, the lock answers `v0.22.0`
  `cmake` is locked as 3.31.10 for linux-64, and `cmake>4` is asked for
  `cmake` is locked as 3.31.10 for linux-aarch64, and `cmake>4` is asked for"""
OTHER = specimen.ENVIRONMENT.replace(b"v0.22.0", b"v0.23.0").replace(b"cmake<4", b"cmake>4")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name, text in {
        "environments/small.yaml": specimen.ENVIRONMENT,
        "recipes/components/fp16/recipe.yaml": specimen.FP16,
        "recipes/components/tvm/recipe.yaml": specimen.TVM,
        "recipes/components/tvm/smoke.py": specimen.SMOKE,
        "locks/small.lock.yaml": specimen.LOCK.encode(),
        "locks/small.requirements.txt": requirements.render(specimen.toolchain()).encode(),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text)
    return Project(tmp_path)


def test_locks_that_answer_their_specs() -> None:
    lockcheck.satisfied(specimen.specs(), specimen.lock(), specimen.toolchain())


def test_what_the_locks_do_not_answer_is_said_in_sentences() -> None:
    with pytest.raises(LockError) as caught:
        lockcheck.satisfied(specimen.specs(small=OTHER), specimen.lock(), specimen.toolchain())
    assert caught.value.message == LACKING
    assert caught.value.hint == "`recipes lock --variant small`, then read the difference"


HELD = """\
held:
  sources:
    fp16: {commit: %s, why: w, retry: 2026-12-09}
  pypi:
    cmake: {version: %s, why: w, retry: 2026-12-09}
"""
LOCKED = "4987f20d48c22694d84bbffa839168596ea027ae"


def held(commit: str, version: str) -> bytes:
    return specimen.ENVIRONMENT + (HELD % (commit, version)).encode()


def test_what_is_held_back_is_locked_so() -> None:
    specs = specimen.specs(small=held(LOCKED, "3.31.10"))
    lockcheck.satisfied(specs, specimen.lock(), specimen.toolchain())
    specs = specimen.specs(small=held("a" * 40, "3.31.6"))
    with pytest.raises(LockError) as caught:
        lockcheck.satisfied(specs, specimen.lock(), specimen.toolchain())
    assert caught.value.message.splitlines()[1:] == [
        f"  source `fp16` is held back at {'a' * 40}, the lock answers {LOCKED}",
        "  `cmake` is locked as 3.31.10 for linux-64, and `cmake==3.31.6` is asked for",
        "  `cmake` is locked as 3.31.10 for linux-aarch64, and `cmake==3.31.6` is asked for",
    ]
    assert caught.value.hint == "`recipes lock --variant small`, then read the difference"


def test_a_source_without_a_commit_is_not_held_back() -> None:
    lock = specimen.lock(specimen.LOCK.replace(f"    commit: {LOCKED}\n", ""))
    with pytest.raises(LockError) as caught:
        lockcheck.satisfied(specimen.specs(small=held(LOCKED, "3.31.10")), lock, specimen.toolchain())
    assert caught.value.message.splitlines()[1:] == [
        f"  source `fp16` is held back at {LOCKED}, the lock answers no commit"
    ]


def test_empty_locks_answer_nothing() -> None:
    with pytest.raises(LockError) as caught:
        lockcheck.satisfied(specimen.specs(), Lock(sources={}), Requirements())
    assert caught.value.message.splitlines()[1:] == [
        "  source `fp16` is not locked",
        "  source `tvm` is not locked",
        "  `cmake` is not locked",
        "  `ninja` is not locked",
        "  `ziglang` is not locked",
    ]


def test_checking_says_what_is_right(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lockcheck.check(project, ["small"], Report())
    assert capsys.readouterr() == ("", "the locks of `small` answer its specs\n")


def test_checking_goes_on_and_tells_all_that_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "environments/other.yaml").write_bytes(b"summary: other\nextends: small\n")
    (project.root / "environments/third.yaml").write_bytes(b"summary: third\nextends: small\n")
    (project.root / "locks/third.lock.yaml").write_bytes(b"version: 9\n")
    (project.root / "environments/small.yaml").write_bytes(OTHER)
    with pytest.raises(LockError) as caught:
        lockcheck.check(project, ["other", "small", "third"], Report(QUIET))
    assert caught.value.message == (
        "variant `other` is not locked: there is no locks/other.lock.yaml\n"
        f"{LACKING}\n"
        "locks/third.lock.yaml:1:1: another format of lock\n  expected  version: 1\n  actual    version: 9"
    )
    assert caught.value.hint == "`recipes lock`, then read the difference"
    assert capsys.readouterr() == ("", "")


def test_the_projects_own_locks_answer_its_specs(root: Path) -> None:
    own = Project(root)
    lockcheck.check(own, own.variants(), Report(QUIET))


def test_a_lock_that_cannot_be_read_is_locked_anew(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = project.lock_files("small")
    assert locking._old(project, "small", Report()) == (path, specimen.lock())
    path.write_text("<<<<<<< HEAD\n")
    assert locking._old(project, "small", Report(QUIET)) == (path, None)
    path.unlink()
    assert locking._old(project, "small", Report()) == (path, None)
    assert capsys.readouterr().err == (
        "warning: locks/small.lock.yaml:1:1: a conflict of a merge is not resolved: `<<<<<<< HEAD`\n"
        "  locked anew, as if it were not there\n"
    )


@pytest.mark.parametrize(
    ("text", "difference", "said"),
    [
        (specimen.LOCK, "ignored", ("", "locks/small.lock.yaml is up to date\n")),
        ("a\n", "one\n  two", ("locks/small.lock.yaml:\n  one\n    two\n", "")),
        ("a\n", "", ("locks/small.lock.yaml is written anew, to the same effect\n", "")),
    ],
)
def test_what_is_written_is_told(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    text: str,
    difference: str,
    said: tuple[str, str],
) -> None:
    path, _ = project.lock_files("small")
    lockfiles.write(project, path, text, difference, Report())
    assert capsys.readouterr() == said
    assert path.read_text() == text


def test_what_is_named_is_looked_for_before_anything_is_asked(project: Project) -> None:
    (project.root / "environments/other.yaml").write_bytes(b"summary: other\nextends: small\n")
    assert [one.variant for one in locking._having(project, ["small", "other"], ["tvm"])] == [
        "small",
        "other",
    ]
    assert locking._having(project, ["small"], ["toolchain"]) == [project.specs("small")]
    with pytest.raises(UsageError) as caught:
        locking._having(project, ["small"], ["fp16", "tmv"])
    assert caught.value.message == "variant `small` has no source `tmv`, did you mean `tvm`?"
    with pytest.raises(UsageError) as caught:
        locking._having(project, ["small", "other"], ["zzz"])
    assert caught.value.message == "no variant has a source `zzz`"
