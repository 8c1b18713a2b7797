"""What is said of this machine, and of one that has little."""

import json
import os
from pathlib import Path

import pytest
import smallproject
from smallproject import Small

from recipes import doctor
from recipes.doctor import Finding
from recipes.settings import Settings

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def examined(tmp_path: Path, **variables: str) -> dict[str, Finding]:
    found = doctor.examine({**ENV, **variables}, Settings(tmp_path / "store", {}), None, None)
    return {one.part: one for one in found}


PARTS = ["platform", "Python", "sandbox bubblewrap", "sandbox unshare", "store", "compiler cache"]


def test_every_part_is_looked_at(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert list(found) == [*PARTS, "git", "apt", "host compiler", "conda", "diffoscope"]
    assert {one.state for one in found.values()} <= {"works", "lacks", "unknown"}
    assert not (tmp_path / "store").exists()


def test_a_machine_with_no_programs(tmp_path: Path) -> None:
    found = examined(tmp_path, PATH=str(tmp_path))
    assert {name: (one.says, one.hint) for name, one in found.items() if one.state == "lacks"} == {
        "sandbox bubblewrap": ("`bwrap` is not on PATH", "`apt-get install bubblewrap`"),
        "sandbox unshare": ("`setpriv` is not on PATH", "`apt-get install util-linux`"),
        "git": ("`git` is not on PATH", "`apt-get install git`"),
        "apt": ("`apt-get` is not on PATH", "`--origin git` or `--origin pypi` goes without"),
        "host compiler": (
            "the `host` toolchain lacks `ar`, `as`, `g++`, `gcc`, `ld`, `ranlib` on PATH",
            "`apt-get install g++`",
        ),
        "conda": ("no micromamba, mamba or conda on PATH: locks need none of them", None),
        "diffoscope": ("`diffoscope` is not on PATH", "`apt-get install diffoscope`"),
    }
    assert not doctor.can_build(list(found.values()))


GOOD = [
    Finding("platform", "works", "linux-64", needed=True),
    Finding("store", "works", "/s", needed=True),
    Finding("sandbox bubblewrap", "lacks", "no"),
    Finding("sandbox unshare", "works", "yes"),
    Finding("git", "lacks", "no"),
]


@pytest.mark.parametrize(
    ("part", "able"), [(None, True), ("platform", False), ("store", False), ("sandbox unshare", False)]
)
def test_what_a_build_needs(part: str | None, able: bool) -> None:
    found = [Finding(one.part, "lacks", "", needed=one.needed) if one.part == part else one for one in GOOD]
    assert doctor.can_build(found) is able


def test_a_store_that_cannot_be_written_to(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)
    assert doctor._store(tmp_path / "store").state == "lacks"


MOUNTS = b"""\
/dev/a / ext4 rw 0 0
/dev/b /m\\303\\266 btrfs rw 0 0
/dev/c /mnt/\xc3\xb6\\040x xfs rw 0 0
/dev/d /mnt/\xff tmpfs rw 0 0
/dev/e /mnt/a\\134040 vfat rw 0 0
/dev/f /mnt/\xc3\xb6\\040x nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/home", "ext4"),
        (b"/m\xc3\xb6/store", "btrfs"),
        (b"/mnt/\xc3\xb6 x/store", "nfs"),
        (b"/mnt/\xff", "tmpfs"),
        (b"/mnt/\xfe", "ext4"),
        (b"/mnt/a\\040/x", "vfat"),
    ],
)
def test_the_file_system_of_a_path_of_any_bytes(path: bytes, kind: str) -> None:
    assert doctor._kind_at(Path(os.fsdecode(path)), MOUNTS) == kind


def test_no_compiler_cache(tmp_path: Path) -> None:
    said = doctor._cache(Settings(tmp_path, {}, cache_size=0))
    assert (said.state, said.says) == ("lacks", "`cache_size: 0` in config.yaml: every build is a full one")


def test_a_program_that_fails_or_says_nothing(tmp_path: Path) -> None:
    for name, text in (("fails", "echo broken >&2; exit 3"), ("silent", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": str(tmp_path)}
    assert doctor._program(env, "x", "fails", hint="h") == Finding("x", "lacks", "broken")
    assert doctor._program(env, "x", "silent", hint="h") == Finding("x", "works", "exit code 0")


def test_the_command(small: Small) -> None:
    able = smallproject.refusal(small.place) is None
    ran = small.run("doctor", "--offline", "--json")
    assert ran.code == (0 if able else 8), ran.shown()
    told = json.loads(ran.out)
    assert told["can_build"] is able
    assert not [one["part"] for one in told["parts"] if one["part"].startswith("origin")]


def test_origins_are_asked(small: Small) -> None:
    told = json.loads(small.run("doctor", "--json").out)
    states = {one["part"]: one["state"] for one in told["parts"]}
    assert {name: state for name, state in states.items() if "origin" in name or "index" in name} == {
        "origin git.example": "works",
        "origin other.example": "works",
        "package index": "works",
    }
    small.mirror(git="http://127.0.0.1:1")
    rows = small.run("doctor").out.splitlines()
    at = next(number for number, row in enumerate(rows) if "origin git.example" in row)
    assert rows[at].startswith("lacks    origin git.example")
    assert rows[at + 1].strip() == "RECIPES_MIRROR names a mirror, as PREFIX=REPLACEMENT"


def test_a_machine_that_cannot_build(small: Small, tmp_path: Path) -> None:
    failed = small.run("doctor", "--offline", PATH=str(tmp_path)).failed(8)
    assert failed.error == (
        "error: this machine cannot build in a sandbox: no sandbox works\n\n"
        "hint: `recipes build --sandbox=none` builds without one\n"
    )
    assert "lacks    sandbox bubblewrap  `bwrap` is not on PATH\n" in failed.out
