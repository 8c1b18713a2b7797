"""Components that a recipe's own Python program makes, and what environments change of recipes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import smallproject
from smallproject import Small, Upstream

pytestmark = pytest.mark.sandbox

RECIPE = """\
summary: what a program makes of the thing's source
license: MIT
source_of: thing
script: make.py
outputs:
  made.txt: build/made.txt
"""
MAKE = """\
import json
import sys
from pathlib import Path

source, out, inputs = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
names = {one.relative_to(source).as_posix() for one in source.rglob("*") if one.is_file()}
lines = [*sorted(names), (source / "src/thing.c").read_text().strip()]
for name, place in inputs.items():
    lines.append(f"{name} {Path(place, 'lib/libthing.so').read_text().splitlines()[0]}")
(out / "made.txt").write_text("\\n".join(lines) + "\\n")
(out / "more").mkdir()
(out / "more/more.txt").write_text("more\\n")
(out / "away").symlink_to("/etc/passwd")
print("[1/1] made")
"""
LOOK = """\
import json
import os
import socket
import sys

def told(call, *args):
    try:
        return repr(call(*args))
    except OSError as error:
        return type(error).__name__

seen = []
for top, below, files in os.walk("/"):
    if top == "/":
        below[:] = set(below) - {"build", "dev", "proc", "python", "src", "sys"}
    seen += [os.path.join(top, one) for one in files]
places = ("/src/x", "/build/x", "/recipe/x", "/x", "/python/x")
written = [one for one in places if told(open, one, "w").startswith("<")]
found = {
    "argv": sys.argv,
    "seen": sorted(seen),
    "there": [one for one in WANTED["paths"] if os.path.lexists(one)],
    "connected": told(socket.create_connection, ("127.0.0.1", WANTED["port"]), 10),
    "environment": dict(os.environ),
    "path": sys.path,
    "modules": sorted(sys.modules),
    "written": written,
}
with open("/build/made.txt", "w") as out:
    json.dump(found, out)
"""


@pytest.fixture
def small(upstream: Upstream, built: Path, tmp_path: Path) -> Iterator[Small]:
    """Give the small project with the component `made`, and a variant whose `made` is built with `thing`."""
    with smallproject.small(upstream, tmp_path) as small:
        small.warm(built)
        script(small, MAKE)
        small.write("recipes/components/made/recipe.yaml", RECIPE)
        variant(small, "with", "inputs:\n  made: [thing]\n")
        yield small


def script(small: Small, text: str) -> None:
    small.write("recipes/components/made/make.py", text)


def variant(small: Small, name: str, more: str) -> None:
    small.write(f"environments/{name}.yaml", f"summary: {name}\nextends: small\n{more}")
    small.lock(name, small.upstream.lock(*smallproject.THING_SOURCES))


def made(small: Small, name: str = "small") -> str:
    return (small.root / f"result-{name}-made/made.txt").read_text()


NAMES = ["3rdparty/part/deep/deep.h", "3rdparty/part/part.h", "CMakeLists.txt", "LICENSE", "src/thing.c"]


def test_what_a_script_is_given(small: Small) -> None:
    ran = small.build("with", "made").ok()
    assert ran.err == "made: run\n"
    lines = made(small, "with").splitlines()
    assert lines[: len(NAMES)] == NAMES  # the source of `thing`, its submodules in place
    assert lines[-2:] == ["int thing = 1;", "thing int thing = 1;"]
    log = next((small.store / "logs").glob("*-made.log")).read_text()
    first, rest = log.split("\n", 1)
    assert first.startswith(
        '### run: ["/python/bin/python3", "-s", "-S", "-B", "/recipe/script.py", "/src", "/build", '
    )
    assert json.loads(json.loads(first.partition(": ")[2])[-1]) == {"thing": "/inputs/thing"}
    assert rest == "[1/1] made\n"
    assert small.damage() == []


def test_a_change_of_the_script_is_another_build(small: Small) -> None:
    first = small.build("small", "made").ok().out
    script(small, MAKE + "# changed\n")
    ran = small.build("small", "made").ok()
    assert ran.err == "made: run\n"
    assert ran.out.splitlines()[0] != first.splitlines()[0]


LINKS = """\
from pathlib import Path

out = Path("/build")
(out / "real/sub").mkdir(parents=True)
(out / "real/file").write_text("file\\n")
(out / "real/sub/up").symlink_to("../file")
(out / "all").symlink_to("real")
(out / "one").symlink_to("real/file")
(out / "made.txt").write_text("made\\n")
"""


def test_an_output_that_is_a_link_is_what_it_leads_to(small: Small) -> None:
    variant(small, "links", "outputs:\n  made: {all: build/all, one: build/one}\n")
    script(small, LINKS)
    small.build("links", "made").ok()
    result = small.root / "result-links-made"
    assert [one for one in (result / "all", result / "one") if one.is_symlink()] == []
    assert (result / "one").read_text() == (result / "all/file").read_text() == "file\n"
    assert (result / "all/sub/up").readlink() == Path("../file")
    assert (result / "all/sub/up").read_text() == "file\n"
    assert small.damage() == []


@pytest.mark.parametrize("target", ["gone", "../../../made.txt", "/build/made.txt", "up"])
def test_a_link_to_nothing_is_no_result(small: Small, target: str) -> None:
    variant(small, "links", "outputs:\n  made: {all: build/all}\n")
    script(small, f"{LINKS}(out / 'real/sub/up').unlink()\n(out / 'real/sub/up').symlink_to({target!r})\n")
    ran = small.build("links", "made").failed(9)
    assert ran.error.splitlines()[:3] == [
        "error: `made` made a symbolic link that leads out of its outputs, or nowhere",
        "  link    all/sub/up",
        f"  target  {target}",
    ]
    assert small.damage() == []


ORDER = "# é\nimport sys\nopen('/build/made.txt', 'w').write(str({*'abcdefghijklmnop'}))\n"


def test_the_caller_s_surroundings_change_nothing(small: Small, tmp_path: Path) -> None:
    script(small, ORDER)  # strings hash by a seed
    here = small.build("with", "made").ok().out.splitlines()
    surroundings = {
        "PYTHONHASHSEED": "77",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",  # with the locale C, text files are ASCII then
        "PYTHONDONTWRITEBYTECODE": "",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "USER": "somebody",
    }
    store = tmp_path / "another store"
    shutil.copytree(small.store, store, symlinks=True)
    for kept in ("paths", "info"):
        for one in (store / kept).glob("*-made*"):
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    there = small.build("with", "made", RECIPES_STORE=str(store), **surroundings).ok()
    assert there.err == "made: run\n"
    path, nar_hash = there.out.splitlines()
    assert Path(path).is_relative_to(store)
    assert (Path(path).name, nar_hash) == (Path(here[0]).name, here[1])


SEEN = re.compile(
    r"/bin/sh|/etc/(group|hosts|passwd)|/recipe/script\.py"
    r"|/.*/lib[^/]*\.so[.\d]*|(/usr)?/lib(64)?/([^/]+/)?ld-linux[^/]*"  # what the interpreter is linked with
)


def test_what_a_script_sees(small: Small) -> None:
    secret = small.place / "home/secret"
    secret.write_text("")
    paths = [str(secret), str(small.store), "/etc/shadow", "/usr/include", "/usr/bin/env", sys.executable]
    wanted = {"paths": paths, "port": small.git.server_address[1]}
    script(small, f"WANTED = {wanted!r}\n{LOOK}")
    small.build("small", "made", SECRET="1", PYTHONPATH=str(small.place), PYTHONSTARTUP="x").ok()
    found: dict[str, Any] = json.loads(made(small))
    assert found["argv"] == ["/recipe/script.py", "/src", "/build", "{}"]
    assert [one for one in found["seen"] if not SEEN.fullmatch(one)] == []
    assert {"/bin/sh", "/etc/passwd", "/recipe/script.py"} <= {*found["seen"]}
    assert found["there"] == []
    assert found["connected"] in ("ConnectionRefusedError", "OSError")  # loopback may be down
    assert not found["environment"].keys() & {"SECRET", "PYTHONPATH", "PYTHONSTARTUP"}
    assert found["environment"]["PYTHONHASHSEED"] == "0"
    assert found["environment"]["SOURCE_DATE_EPOCH"] == "1716842321"
    assert [one for one in found["path"] if not one.startswith(("/python/lib/", "/recipe"))] == []
    assert [one for one in found["path"] if "site-packages" in one] == []
    assert not {"site", "sitecustomize", "usercustomize"} & {*found["modules"]}
    assert found["written"] == ["/src/x", "/build/x"]


def test_a_script_that_fails(small: Small) -> None:
    script(small, "def main():\n    print('begun')\n    import no_such_module\n\n\nmain()\n")
    ran = small.build("small", "made")
    assert ran.code == 9, ran.shown()
    [log] = (small.store / "logs").glob("*-made.log")
    lines = ran.error.splitlines()
    assert lines[0] == "error: `made` failed in phase `run`: exit code 1"
    shown = [line.strip() for line in lines]
    for line in (
        "Traceback (most recent call last):",
        'File "/recipe/script.py", line 3, in main',
        "ModuleNotFoundError: No module named 'no_such_module'",
    ):
        assert line in shown
    assert f"  log  {log}" in lines
    assert not (small.root / "result-small-made").is_symlink()
    assert small.damage() == []


ENDS = {
    "sys.exit('no such luck')": ("exit code 1", "  no such luck"),
    "sys.exit(3)": ("exit code 3", None),
    "os.kill(os.getpid(), 9)": ("exit code 137", None),
}


@pytest.mark.parametrize("end", ENDS)
def test_how_a_script_ends(small: Small, end: str) -> None:
    how, said = ENDS[end]
    script(small, f"import os, sys\n{end}\n")
    lines = small.build("small", "made").failed(9).error.splitlines()
    assert lines[0] == f"error: `made` failed in phase `run`: {how}"
    assert said is None or said in lines


def test_a_script_that_makes_nothing(small: Small) -> None:
    script(small, "pass\n")
    ran = small.build("small", "made").failed(9)
    assert ran.error.splitlines()[:2] == [
        "error: `made` did not make what its recipe promises",
        "  promised  made.txt, from build/made.txt",
    ]


def test_one_build_for_two_variants(small: Small) -> None:
    variant(small, "other", "options:\n  thing: {COLOUR: red}\n")
    first = small.build("small", "made").ok().out
    again = small.build("other", "made").ok()
    assert (again.out, again.err) == (first, "nothing to do: it is built\n")
    lines = small.run("plan", "--variant", "other", "made").ok().out.splitlines()
    assert {line.split()[0] for line in lines} == {"have"}


def test_it_is_one_build_for_all_platforms(small: Small) -> None:
    first = small.build("small", "made", "--platform", "linux-64").ok().out
    again = small.build("small", "made", "--platform", "linux-aarch64").ok()
    assert (again.out, again.err) == (first, "nothing to do: it is built\n")


def test_outputs_that_an_environment_changes(small: Small) -> None:
    more = "outputs:\n  made:\n    made.txt:\n    all: build/more\n    lib: inputs/thing/lib\n"
    variant(small, "changed", f"inputs:\n  made: [thing]\n{more}")
    small.build("changed", "made").ok()
    place = small.root / "result-changed-made"
    found = sorted(one.relative_to(place).as_posix() for one in place.rglob("*") if one.is_file())
    assert found == ["all/more.txt", "lib/libthing.so"]


def test_an_output_that_leads_out(small: Small) -> None:
    variant(small, "away", "outputs:\n  made: {away: build/away}\n")
    ran = small.build("away", "made").failed(9)
    assert ran.error.splitlines()[1] == "  promised  away, from build/away"


def test_options_that_an_environment_adds(small: Small) -> None:
    variant(small, "red", "options:\n  thing: {COLOUR: red, THING: x}\n")
    small.build("red").ok()
    assert (small.root / "result-red/lib/libthing.so").read_text().splitlines()[-2:] == [
        "COLOUR=red",
        "THING=x",
    ]
    variant(small, "wrong", "options:\n  made: {COLOUR: red}\n")
    ran = small.build("wrong", "made").failed(3)
    where = "environments/wrong.yaml:4:10: options.made.COLOUR"
    assert ran.error == f"error: {where}: `made` is built by a script, not by CMake\n"


def test_what_configuring_must_say(small: Small) -> None:
    recipe = "recipes/components/thing/recipe.yaml"
    small.edit(recipe, "cmake:\n", "cmake:\n  says: -- Configuring done\n")
    small.build().ok()
    small.edit(recipe, "-- Configuring done", "the mode is {MODE}")
    ran = small.build().failed(9)
    log = (
        small.store
        / "logs"
        / f"{Path(small.run('store', 'path', '--variant', 'small').ok().out.strip()).name}.log"
    )
    assert ran.error.splitlines()[:3] == [
        "error: `thing` did not say what its recipe expects in phase `configure`",
        "  expected  the mode is plain",
        f"  log       {log}",
    ]
    assert "### build" not in log.read_text()
    assert small.damage() == []


def _other_pythons() -> Iterator[str]:
    """Find one Python of each other version, on PATH or beside the one that runs this (pyenv, uv)."""
    beside = Path(sys.base_prefix).parent
    for minor in {*range(11, 16)} - {sys.version_info.minor}:
        name = f"python3.{minor}"
        for program in (shutil.which(name), *sorted(beside.glob(f"*/bin/{name}"))):
            if program and _runs(str(program)):
                yield str(program)
                break


def _runs(program: str) -> bool:
    return subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0


def test_another_python_makes_the_same(small: Small, tmp_path: Path) -> None:
    """Run the script as the sandbox does, with each other Python there is.

    A script has to see to it itself: its Python is no input, and the order of a set is another in some.
    """
    others = [*_other_pythons()]
    if not others:
        pytest.skip("there is no second Python")
    small.build("small", "made").ok()
    rows = json.loads(small.run("plan", "--variant", "small", "--json", "made").ok().out)["derivations"]
    source = tmp_path / "source"
    for row in rows:
        if row["kind"] == "source":
            below = row["name"].removeprefix("thing").lstrip("/")
            shutil.copytree(small.store / "paths" / row["path"], source / below, dirs_exist_ok=True)
    program = small.root / "recipes/components/made/make.py"
    for number, other in enumerate(others):
        out = tmp_path / str(number)
        out.mkdir()
        argv = [other, "-s", "-S", "-B", str(program), str(source), str(out), "{}"]
        subprocess.run(argv, env={"PYTHONHASHSEED": "0"}, check=True, capture_output=True)
        assert (out / "made.txt").read_text() == made(small), other
