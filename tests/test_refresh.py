"""`recipes refresh` on the small project, whose branch moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import condachannel
import pytest
import smallproject
from gitserver import Repo
from smallproject import Small


@pytest.fixture
def moving(tmp_path: Path, fetched: Path) -> Iterator[Small]:
    """Give a checkout with repositories of its own; its locks are what `recipes lock` writes."""
    upstream = smallproject.upstream(tmp_path / "upstream")
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(fetched)
        yield made


def push(small: Small, text: str) -> str:
    """Move the branch that `app` follows."""
    repository = Repo(small.upstream.repositories / "app")
    files = {b"CMakeLists.txt": b"project(app)\n", b"app.c": text.encode()}
    commit = repository.commit(files, small.upstream.commits["app"], when="1716900000 +0000")
    repository.ref("refs/heads/main", commit)
    return commit


def locks(small: Small) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (small.root / "locks").iterdir()}


def test_nothing_has_moved(moving: Small) -> None:
    before = locks(moving)
    times = {path: path.stat().st_mtime_ns for path in (moving.root / "locks").iterdir()}
    ran = moving.run("refresh", "--build", "both").ok()
    assert ran.out == ""
    assert "nothing has moved: the locks are what they would be\n" in ran.err
    assert locks(moving) == before
    assert {path: path.stat().st_mtime_ns for path in (moving.root / "locks").iterdir()} == times
    assert moving.damage() == []


@pytest.mark.sandbox
def test_a_branch_has_moved(moving: Small) -> None:
    old, new = moving.upstream.commits["app"], push(moving, "int app = 5;\n")
    ran = moving.run("refresh", "--build", "both", "--build", "small")
    assert ran.code == 11, ran.shown()
    assert f"commit: {new}\n" in (moving.root / "locks/both.lock.yaml").read_text()
    nar_hash = moving.build("both").ok().out.split()[1]
    assert ran.out.startswith(
        "Everything that floats was resolved anew, by `recipes refresh`.\n\n"
        "| variant | build and check |\n| --- | --- |\n"
        f"| `both` | passed, `{nar_hash}` |\n\n"
        "## both\n\n**app**: "
    )
    assert f"{old[:12]}" in ran.out
    assert "## small" not in ran.out
    moving.run("lock", "--check").ok()
    moving.run("refresh").ok()


def test_only_what_would_move_is_said(moving: Small) -> None:
    new, before = push(moving, "int app = 5;\n"), locks(moving)
    ran = moving.run("refresh", "--dry-run", "--build", "both", "--json")
    assert ran.code == 11, ran.shown()
    said = json.loads(ran.out)
    [row] = said["changed"]
    assert (row["variant"], row["files"]) == ("both", ["locks/both.lock.yaml"])
    assert [(one["name"], one["new"]["commit"]) for one in row["sources"]] == [("app", new)]
    assert said["built"] == []
    assert locks(moving) == before


@pytest.mark.sandbox
def test_a_build_with_the_new_locks_fails(moving: Small) -> None:
    repository = Repo(moving.upstream.repositories / "app")
    commit = repository.commit(
        {b"app.c": b"no CMakeLists.txt\n"}, moving.upstream.commits["app"], when="1716900000 +0000"
    )
    repository.ref("refs/heads/main", commit)
    ran = moving.run("refresh", "--build", "both")
    assert ran.code == 9, ran.shown()
    assert ran.err.endswith(
        "error: the locks are refreshed, and not all builds with them pass: both\n\n"
        "hint: `recipes build --variant both`\n"
    )
    assert "| `both` | **failed**: `app` failed in phase `configure`: exit code 1 |" in ran.out, ran.shown()
    assert f"commit: {commit}\n" in (moving.root / "locks/both.lock.yaml").read_text()


def test_what_cannot_be_resolved_changes_nothing(moving: Small) -> None:
    push(moving, "int app = 5;\n")
    before = locks(moving)
    ran = moving.run("refresh", RECIPES_MIRROR="https://git.example/=http://127.0.0.1:1/").failed(5)
    assert ran.error.startswith("error: nothing is refreshed, as not everything could be resolved")
    assert (ran.out, locks(moving)) == ("", before)


def test_a_lock_that_is_missing_is_made(moving: Small) -> None:
    (moving.root / "locks/both.requirements.txt").unlink()
    ran = moving.run("refresh", "--variant", "both")
    assert ran.code == 11, ran.shown()
    assert "| cmake | - | 3.31.0 | linux-64, linux-aarch64 |" in ran.out
    assert (moving.root / "locks/both.requirements.txt").is_file()


CONDA = f"""
conda:
  channels: ["{condachannel.CHANNEL}"]
  platforms: [linux-64]
  dependencies: [zlib]
"""


def test_conda_packages_are_resolved_anew(small: Small) -> None:
    place = condachannel.make(small.place / "channel", without=["zlib-1.3-h0_0.conda"])
    (small.place / "home/.condarc").write_text(
        f"mirrored_channels:\n  {condachannel.CHANNEL}: [{place.as_uri()}]\n"
    )
    small.write("environments/small.yaml", smallproject.SMALL + CONDA)
    small.run("lock", "--variant", "small", "conda").ok()
    condachannel.make(place)
    ran = small.run("refresh", "--variant", "small", "--dry-run")
    assert ran.code == 11, ran.shown()
    assert "| zlib | 1.2 | 1.3 | linux-64 |" in ran.out
    assert "zlib-1.2" in (small.root / "locks/small.conda-lock.yml").read_text()
    condachannel.make(place, without=["zlib-1.3-h0_0.conda"])
    (place / "noarch/repodata.json").unlink()
    (place / "linux-64/repodata.json").unlink()
    ran = small.run("refresh", "--variant", "small").failed(5)
    assert ran.error.startswith("error: nothing is refreshed, as not everything could be resolved")


@pytest.mark.parametrize("option", ["--variant", "--build"])
def test_a_variant_that_is_not_there(small: Small, option: str) -> None:
    ran = small.run("refresh", option, "smal").failed(2)
    assert ran.error.startswith("error: no variant `smal`")
