"""Development environments: their values, and making, updating and removing one on a small project."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import smallproject
from smallproject import THING_SOURCES, Small, Upstream

from recipes.develop import layout, links, presets, wheels
from recipes.develop.layout import Part
from recipes.errors import LockError, ToolchainError
from recipes.requirements import Requirements, Wheel, parse, render, unsatisfied
from recipes.run import system

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
DEVELOPMENT = """\
development:
  python: ["3.11", "3.12", "3.13"]
  packages: [tiny]
"""
PROGRAM = "import sys\n\ndef main():\n    print('tiny', *sys.argv[1:])\n    return 5\n"

supported = pytest.mark.skipif(
    PYTHON not in ("3.11", "3.12", "3.13"), reason=f"Python {PYTHON} is not locked"
)


def tiny(version: str = "1.0") -> tuple[str, bytes]:
    """Make a wheel with a module, a program, a script, and data: its file name and its bytes."""
    info = f"tiny-{version}.dist-info"
    members = {
        "tiny/__init__.py": PROGRAM,
        "tiny/sub/data.txt": version,
        f"tiny-{version}.data/scripts/old-tiny": "#!python\nimport tiny\ntiny.main()\n",
        f"tiny-{version}.data/data/share/tiny.txt": "shared",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"tiny-{version}-py3-none-any.whl", data.getvalue()


def locked(version: str = "1.0") -> str:
    """Give the lock of a version of the wheel."""
    file, data = tiny(version)
    digest = hashlib.sha256(data).hexdigest()
    platforms = ("linux-64", "linux-aarch64")
    return render(Requirements(tuple(Wheel("tiny", version, file, digest, one) for one in platforms)))


@contextmanager
def developed(upstream: Upstream, place: Path) -> Iterator[Small]:
    """Lay out the small project, with packages to develop with."""
    with smallproject.small(upstream, place) as made:
        made.write("environments/small.yaml", smallproject.SMALL + DEVELOPMENT)
        for variant in ("small", "both"):
            made.write(f"locks/{variant}.development.txt", locked())
        for version in ("1.0", "1.1"):
            made.index.add("tiny", tiny(version))
        yield made


@pytest.fixture
def small(upstream: Upstream, tmp_path: Path) -> Iterator[Small]:
    with developed(upstream, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def stocked(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with all that an environment needs."""
    with developed(upstream, tmp_path_factory.mktemp("stocked")) as made:
        made.run("env", "create", "--variant", "small").ok()
        made.run("env", "remove", "--variant", "small").ok()
        return made.store


@pytest.fixture(scope="module")
def made(upstream: Upstream, stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Give a checkout with an environment, which no test changes."""
    with developed(upstream, tmp_path_factory.mktemp("made")) as made:
        made.warm(stocked)
        made.run("env", "create", "--variant", "small").ok()
        yield made


@pytest.fixture
def env(small: Small, stocked: Path) -> Path:
    """Give an environment of the test's own."""
    small.warm(stocked)
    small.run("env", "create", "--variant", "small").ok()
    return small.root / ".envs/small"


# values


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("numpy/core/a.so", "lib/python3.12/site-packages/numpy/core/a.so"),
        ("numpy.libs/b.so", "lib/python3.12/site-packages/numpy.libs/b.so"),
        ("x-1.dist-info/METADATA", "lib/python3.12/site-packages/x-1.dist-info/METADATA"),
        ("x-1.data/purelib/x/a.py", "lib/python3.12/site-packages/x/a.py"),
        ("x-1.data/platlib/x/a.py", "lib/python3.12/site-packages/x/a.py"),
        ("x-1.data/scripts/x", "bin/x"),
        ("x-1.data/data/share/x", "share/x"),
        ("x-1.data/headers/x.h", "include/site/python3.12/x/x.h"),
        ("x-1.data/other/x", "lib/python3.12/site-packages/x-1.data/other/x"),
    ],
)
def test_where_a_wheels_file_lies(path: str, expected: str) -> None:
    assert wheels.place(path, "3.12", "x") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("[console_scripts]\na = m:f\nB-2=m.n : C.g [extra]\n", ["a", "B-2"]),
        ("[gui_scripts]\na = m:f\n[other]\nb = m:f\n", ["a"]),
        ("[console_scripts]\na = m\n../b = m:f\nc = m:f; import os\n", []),
        ("a = 1\n", []),
        ("[console_scripts\n", []),
    ],
)
def test_the_programs_that_a_wheel_asks_for(text: str, expected: list[str]) -> None:
    assert [name for name, _ in wheels.entry_points(text)] == expected


def test_a_program_imports_what_it_calls() -> None:
    [(_, text)] = wheels.entry_points("[console_scripts]\nx = m.n:C.g\n")
    assert text.endswith("' '''\nimport sys\nfrom m.n import C\nsys.exit(C.g())\n")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({"a": Part("1", "x")}, {"a": Part("1", "x")}, []),
        ({"a": Part("1", "x")}, {"a": Part("2", "y")}, ["`a` is 1, the lock has 2"]),
        ({"a": Part("1", "x")}, {"a": Part("1", "y")}, ["`a` is another one, of the same version"]),
        ({"a": Part("", "x")}, {"a": Part("", "y")}, ["`a` is another one"]),
        ({}, {"a": Part("2", "y")}, ["`a` is missing (2)"]),
        ({"a": Part("1", "y")}, {}, ["`a` is not asked for any more (1)"]),
        ({"b": Part("", "y")}, {"a": Part("", "y")}, ["`a` is missing", "`b` is not asked for any more"]),
    ],
)
def test_what_is_out_of_date(old: dict[str, Part], new: dict[str, Part], expected: list[str]) -> None:
    assert layout.changes(old, new) == expected


def test_a_python_that_no_packages_are_locked_for() -> None:
    assert layout.python_for([], "3.14", "v") == "3.14"
    assert layout.python_for(["3.11"], "3.11", "v") == "3.11"
    with pytest.raises(LockError) as raised:
        layout.python_for(["3.11", "3.12"], "3.14", "v")
    assert raised.value.message == (
        "the development packages of `v` are not locked for this Python\n"
        "  expected  3.11, 3.12\n  actual    3.14"
    )


def preset_file(*names: str) -> bytes:
    """Give the shape of a presets file with these configure presets."""
    shown = [{"name": name} for name in names]
    vendor = {"tvm-recipes": {"variant": "v"}}
    return json.dumps(
        {"version": 6, "vendor": vendor, "configurePresets": shown, "buildPresets": []}
    ).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", False),
        (b"{}", False),
        (b"[]", False),
        (preset_file(), False),
        (preset_file("v", "mine"), False),
        (preset_file("v").replace(b"tvm-recipes", b"another"), False),
        (preset_file("v"), True),
    ],
)
def test_which_presets_file_is_ours(text: bytes, expected: bool) -> None:
    assert presets.is_ours(text) is expected


def test_links_merge_and_never_replace(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one / "a/b", two / "a/c", two / "a/d/e"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    (two / "a/to-d").symlink_to("d")
    links.lay(one, tmp_path / "all")
    links.lay(two, tmp_path / "all")
    assert sorted(links.paths(tmp_path / "all")) == ["a/b", "a/c", "a/d/e", "a/to-d"]
    assert (tmp_path / "all/a/d/e").readlink() == two / "a/d/e"
    with pytest.raises(ToolchainError, match="two files for one place\n  place  a/b"):
        links.lay(one, tmp_path / "all")


# making one


@supported
def test_an_environment_from_nothing(small: Small) -> None:
    ran = small.run("env", "create", "--variant", "small").ok()
    env = small.root / ".envs/small"
    assert ran.out == f"{env}\n"
    assert {path.name for path in env.iterdir()} == {
        *("bin", "cache", "environment.json", "etc", "lib", "pyvenv.cfg", "result", "roots", "share"),
        *("src", "tools"),
    }
    assert (env / "src/thing/3rdparty/part/deep/deep.h").read_text() == "#define DEEP 3\n"
    assert (env / "share/tiny.txt").read_text() == "shared"
    assert not (env / "src/thing/src/thing.c").resolve().stat().st_mode & 0o222
    assert not os.path.lexists(small.root / ".envs/.small.recipes-new")
    assert small.damage() == []

    asked = [*small.git.requests, *small.index.asked]
    again = small.run("env", "create", "--variant", "small").ok()
    assert (again.out, again.err) == (ran.out, "nothing to do: it is there and up to date\n")
    assert [*small.git.requests, *small.index.asked] == asked


@supported
def test_its_python_has_the_packages_and_nothing_else(made: Small) -> None:
    env = made.root / ".envs/small"
    code = "import sys, tiny; print(tiny.__file__, sys.prefix); import importlib.metadata as m; "
    code += "print([one.name for one in m.distributions()])"
    clean = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    out = subprocess.run(
        [env / "bin/python", "-P", "-c", code], env=clean, capture_output=True, text=True, check=True
    ).stdout
    site = env / wheels.site(PYTHON)
    assert out.splitlines() == [f"{site}/tiny/__init__.py {env}", "['tiny']"]
    for program, code_ in (("tiny", 5), ("old-tiny", 0)):
        ended = subprocess.run(
            [env / "bin" / program, "a b"], env=clean, capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (code_, "tiny a b\n", "")


@supported
def test_its_programs_are_the_sandboxes_at_other_places(made: Small) -> None:
    env = made.root / ".envs/small"
    zig = f"{env}/tools/ziglang/ziglang/zig"
    target = "x86_64" if system() == "linux-64" else "aarch64"
    texts = {
        name: (env / "bin" / name).read_text().splitlines()[-1] for name in ("cc", "c++", "ar", "ranlib")
    }
    assert texts == {
        "cc": f'exec {zig} cc -target {target}-linux-gnu.2.28 "$@"',
        "c++": f'exec {zig} c++ -target {target}-linux-gnu.2.28 "$@"',
        "ar": f'exec {zig} ar "$@"',
        "ranlib": f'exec {zig} ranlib "$@"',
    }
    assert (env / "bin/cmake").resolve().read_text() == smallproject.CMAKE


@supported
def test_the_preset_is_the_builds(made: Small) -> None:
    env = made.root / ".envs/small"
    document = json.loads((env / "src/thing/CMakeUserPresets.json").read_text())
    [preset] = document["configurePresets"]
    assert (preset["name"], preset["binaryDir"]) == ("small", "${sourceDir}/build-small")
    assert preset["cacheVariables"] == {
        "CMAKE_AR": f"{env}/bin/ar",
        "CMAKE_ASM_COMPILER": f"{env}/bin/cc",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_COMPILER": f"{env}/bin/c++",
        "CMAKE_CXX_FLAGS": "-g0",
        "CMAKE_C_COMPILER": f"{env}/bin/cc",
        "CMAKE_C_FLAGS": "-g0",
        "CMAKE_EXE_LINKER_FLAGS": "-s",
        "CMAKE_MAKE_PROGRAM": f"{env}/tools/ninja/ninja-1.12.0.data/scripts/ninja",
        "CMAKE_RANLIB": f"{env}/bin/ranlib",
        "CMAKE_SHARED_LINKER_FLAGS": "-s",
        "MODE": "plain",
    }
    assert document["buildPresets"][0]["targets"] == ["thing"]
    planned = json.loads(made.run("plan", "--variant", "small", "--json").ok().out)["derivations"][-1]
    sandboxed = {word[2:].partition("=")[0] for word in planned["phases"][0]["argv"] if word[:2] == "-D"}
    only_there = {"CMAKE_INSTALL_PREFIX", "CMAKE_INSTALL_RPATH", "CMAKE_BUILD_WITH_INSTALL_RPATH"}
    assert sandboxed - only_there == {*preset["cacheVariables"]}


@supported
def test_an_option_that_names_an_input_leads_to_where_it_will_be(small: Small, stocked: Path) -> None:
    small.warm(stocked)
    env = Path(small.run("env", "create", "--variant", "both").ok().out.strip())
    preset = json.loads((env / "src/app/CMakeUserPresets.json").read_text())["configurePresets"][0]
    assert preset["cacheVariables"]["THING"] == f"{env}/inputs/thing/lib"
    assert not (env / "inputs/thing").exists()
    path = small.run("store", "path", "--variant", "both", "thing").ok().out.strip()
    assert os.path.realpath(env / "inputs/thing") == os.path.realpath(path)


@supported
def test_plain_ninja_builds_beside_the_build_directory(made: Small, tmp_path: Path) -> None:
    shown = tmp_path / "ninja"
    shown.write_text("#!/bin/sh\nprintf '%s ' \"$@\"\n")
    shown.chmod(0o755)
    text = (made.root / ".envs/small/bin/ninja").read_text()
    program = tmp_path / "bin-ninja"
    program.write_text(re.sub(r"exec \S+", f"exec {shown}", text))

    def said(place: Path, *words: str) -> str:
        done = subprocess.run(["sh", program, *words], cwd=place, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    checkout = tmp_path / "checkout"
    (checkout / "build-small").mkdir(parents=True)
    assert said(checkout, "-n") == "-n"
    (checkout / "build-small/build.ninja").touch()
    assert said(checkout) == "-C build-small thing"
    assert said(checkout, "-n", "all") == "-C build-small -n all"
    assert said(checkout / "build-small") == ""


# what an environment is now


@supported
def test_a_lock_that_has_moved(small: Small, env: Path) -> None:
    (env / "cache/zig").mkdir()
    (env / "cache/thing/old").touch()
    assert small.run("env", "list").ok().out == f"small  up to date  {env}\n"
    small.write("locks/small.development.txt", locked("1.1"))
    said = "  `tiny` is 1.0, the lock has 1.1"
    assert small.run("env", "list").ok().out == f"small  out of date  {env}\n{said}\n"
    [row] = json.loads(small.run("env", "list", "--json").ok().out)
    named = {"name": "small", "variant": "small", "path": str(env)}
    assert row == {**named, "state": "out of date", "changes": [said.strip()]}
    refused = small.run("env", "create", "--variant", "small").failed(2)
    assert refused.error == (
        f"error: {env} is out of date\n{said}\n\nhint: `recipes env update --variant small` makes it anew\n"
    )
    assert said in small.run("env", "update", "--variant", "small").ok().err
    assert (env / wheels.site(PYTHON) / "tiny/sub/data.txt").read_text() == "1.1"
    assert (env / "cache/zig").is_dir()
    assert not (env / "cache/thing/old").exists()
    assert small.run("env", "update", "--variant", "small").ok().err == "nothing to do: it is up to date\n"


@supported
def test_a_persons_files_stay(small: Small, env: Path) -> None:
    (env / "notes.txt").write_text("mine")
    (env / "bin/cc").write_text("#!/bin/sh\n")
    (env / wheels.site(PYTHON) / "tiny/__pycache__").mkdir()
    (env / wheels.site(PYTHON) / "mine").symlink_to("/usr")
    small.write("locks/small.development.txt", locked("1.1"))
    for command in ("update", "remove"):
        refused = small.run("env", command, "--variant", "small").failed(2)
        assert refused.error == (
            f"error: {env} has files that are not the environment's\n  bin/cc\n"
            f"  {wheels.site(PYTHON)}/mine\n  notes.txt\n\nhint: move them out of it, then the same again\n"
        )
    assert (env / "notes.txt").read_text() == "mine"


@supported
def test_a_directory_that_is_no_environment(small: Small) -> None:
    place = small.place / "mine"
    place.mkdir()
    (place / "file").touch()
    for command in ("create", "remove"):
        refused = small.run("env", command, "--variant", "small", "--path", str(place)).failed(2)
        assert refused.error == (
            f"error: {place} is no environment, and it is not empty\n\n"
            "hint: name another directory with `--path DIR`\n"
        )
    assert not small.store.joinpath("paths").exists()
    refused = small.run("env", "remove", "--variant", "small").failed(2)
    assert refused.error == (
        f"error: no environment in {small.root}/.envs/small\n\nhint: `recipes env list` names them all\n"
    )


@supported
def test_one_in_another_place(small: Small, stocked: Path) -> None:
    small.warm(stocked)
    place = small.place / "else where"
    small.run("env", "create", "--variant", "small", "--path", str(place)).ok()
    assert small.run("env", "list").ok().out == f"small  up to date  {place}\n"
    ended = subprocess.run([place / "bin/tiny"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (5, "tiny\n")
    small.run("env", "remove", "--variant", "small").ok()  # found by the checkout's link
    assert small.run("env", "list").ok().out == ""
    assert not place.exists()


@supported
def test_half_made(small: Small, env: Path) -> None:
    record = env / "environment.json"
    for leave in (
        lambda: env.rename(env.parent / ".small.recipes-new"),
        lambda: env.rename(env.parent / ".small.recipes-old"),
        record.unlink,
        lambda: record.write_text('{"format": 1, "variant"'),
    ):
        leave()
        assert small.run("env", "list").ok().out == f"small  half made  {env}\n"
        small.run("env", "create", "--variant", "small").ok()
        assert small.run("env", "list").ok().out == f"small  up to date  {env}\n"
        assert [path.name for path in env.parent.iterdir()] == ["small"]


@supported
def test_gc_keeps_what_an_environment_needs(small: Small, env: Path) -> None:
    small.run("store", "gc").ok()
    assert small.run("env", "list").ok().out == f"small  up to date  {env}\n"
    assert all(path.exists() for path in (env / "tools").iterdir())
    small.run("env", "remove", "--variant", "small").ok()
    small.run("store", "gc").ok()
    assert list((small.store / "paths").iterdir()) == []


@supported
def test_damage_in_the_store_is_seen(small: Small, stocked: Path) -> None:
    small.warm(stocked)
    [path] = small.entries("tiny-1.0")
    (path / "tiny/sub").chmod(0o755)
    (path / "tiny/sub/data.txt").chmod(0o644)
    (path / "tiny/sub/data.txt").write_text("evil")
    ran = small.run("env", "create", "--variant", "small").failed(6)
    assert ran.error.startswith(f"error: store path `{path.name}` is not what was added\n")
    assert not os.path.lexists(small.root / ".envs/small")


@supported
def test_toolchains_that_make_none(small: Small) -> None:
    ran = small.run("env", "create", "--variant", "small", "--toolchain", "host").failed(2)
    assert ran.error == (
        "error: toolchain `host` makes no development environments\n\n"
        "hint: there is pypi, conda: `--toolchain pypi`\n"
    )


def test_the_toolchain_of_the_spec_is_taken(small: Small) -> None:
    small.write(
        "environments/small.yaml", f"{(small.root / 'environments/small.yaml').read_text()}toolchain: host\n"
    )
    for argv in (("env", "create"), ("shell",)):
        ran = small.run(*argv, "--variant", "small").failed(2)
        assert ran.error.startswith("error: toolchain `host` makes no development environments\n")


@supported
def test_an_environment_of_another_toolchain(small: Small, env: Path) -> None:
    for argv in (("env", "create"), ("shell",)):
        ran = small.run(*argv, "--variant", "small", "--toolchain", "conda").failed(2)
        assert ran.error == (
            f"error: {env} has another toolchain\n  expected  conda\n  actual    pypi\n\n"
            "hint: `recipes env remove --variant small` first, or another directory: `--path DIR`\n"
        )


# the lock of packages


@pytest.mark.slow  # pip runs for each platform and Python
def test_packages_are_locked_for_each_python(small: Small) -> None:
    small.run("lock", "--variant", "small", "development").ok()
    text = (small.root / "locks/small.development.txt").read_text()
    assert text == locked("1.1")


def test_a_lock_that_does_not_answer(small: Small) -> None:
    small.run("lock", "--check", "--variant", "small").ok()
    small.edit("environments/small.yaml", "packages: [tiny]", "packages: [tiny>=2, more]")
    ran = small.run("lock", "--check", "--variant", "small").failed(4)
    places = [(on, python) for on in ("linux-64", "linux-aarch64") for python in ("3.11", "3.12", "3.13")]
    wrong = [
        f"  development: `tiny` is locked as 1.0 for {on} and Python {python}, and `tiny>=2` is asked for"
        for on, python in places
    ]
    assert ran.error.splitlines() == [
        "error: the locks of `small` do not answer its specs",
        *wrong,
        "  development: `more` is not locked",
        "",
        "hint: `recipes lock`, then read the difference",
    ]


def test_a_variant_without_development_needs_no_lock(small: Small) -> None:
    small.write("environments/bare.yaml", smallproject.SMALL)
    small.lock("bare", small.upstream.lock(*THING_SOURCES))
    small.run("lock", "--check", "--variant", "bare").ok()
    small.write("locks/bare.development.txt", locked())
    ran = small.run("lock", "--check", "--variant", "bare").failed(4)
    assert "development: `tiny` is locked, and no toolchain asks for it" in ran.error


# what can be imported

MODULE = """\
summary: a module
license: MIT
source_of: thing
script: copy.py
outputs:
  python/thing: build/thing
"""
COPY = """\
import sys
from pathlib import Path
from typing import Any

(Path(sys.argv[2]) / "thing").mkdir()
(Path(sys.argv[2]) / "thing/__init__.py").write_text("WHO = 'made by a script'\\n")
"""


@supported
@pytest.mark.sandbox
@pytest.mark.usefixtures("can_build")
def test_what_a_script_makes_can_be_imported(small: Small, stocked: Path) -> None:
    small.warm(stocked)
    small.write("recipes/components/module/recipe.yaml", MODULE)
    small.write("recipes/components/module/copy.py", COPY)
    small.write("environments/small.yaml", f"{smallproject.SMALL}{DEVELOPMENT}  imports: [module]\n")
    ran = small.run(
        "shell", "--variant", "small", "--", "python", "-c", "import thing; print(thing.WHO)"
    ).ok()
    assert ran.out == "made by a script\n"


def test_what_is_imported_is_a_component(small: Small) -> None:
    small.write("environments/small.yaml", f"{smallproject.SMALL}{DEVELOPMENT}  imports: [thin]\n")
    ran = small.run("show", "small").failed(3)
    assert ran.error == (
        "error: environments/small.yaml:13:13: development.imports[0]: no component `thin`, "
        "did you mean `thing`?\n"
    )


# TVM's Python package, from an archive that has it changed


@pytest.fixture(scope="module")
def restore(root: Path) -> dict[str, Any]:
    """Give the names of the recipe's script."""
    return runpy.run_path(str(root / "recipes/components/tvm-python/restore.py"))


def test_what_was_changed_is_put_back(restore: dict[str, Any]) -> None:
    theirs = [f"{one}\n" for one in "aXXcdfY"]
    hunks = ["2,2 +2 @@\n+b\n", "5,0 +5,1 @@\n+e\n", "7 +6,0 @@\n"]
    assert "".join(restore["restored"](theirs, [f"-{one}" for one in hunks])) == "a\nb\nc\nd\ne\nf\n"


def test_a_trees_id_is_gits(restore: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git")
    for name, text in {"a/b.py": "x", "a.py": "y", "a0": "z"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755 if name == "a0" else 0o644)
    found = restore["tree_id"](tmp_path).hex()
    clean = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}

    def git(*words: str) -> str:
        argv = ["git", "-c", "core.autocrlf=false", "-c", "core.fileMode=true", *words]
        return subprocess.run(
            argv, cwd=tmp_path, env=clean, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    assert git("write-tree") == found


def test_a_tree_of_a_repository_is_taken_as_it_is(restore: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "src/python/tvm").mkdir(parents=True)
    (tmp_path / "src/python/tvm/base.py").write_text("mine\n")
    (tmp_path / "build").mkdir()
    script = Path(str(restore["__file__"]))
    argv = [sys.executable, "-S", "-B", str(script), str(tmp_path / "src"), str(tmp_path / "build"), "{}"]
    subprocess.run(argv, check=True, env={"PATH": os.defpath})
    assert (tmp_path / "build/tvm/base.py").read_text() == "mine\n"


# wheels for one version of Python


def for_python(python: str) -> Wheel:
    """Give a locked wheel."""
    file = f"tiny-1.0-cp{python.replace('.', '')}-none-any.whl" if python else "tiny-1.0-py3-none-any.whl"
    return Wheel("tiny", "1.0", file, "0" * 64, "linux-64", python=python)


def test_wheels_by_python_are_written_and_read_in_order() -> None:
    both = Requirements((for_python("3.13"), for_python("3.9")))
    text = render(both)
    assert [line.partition(" and python")[2] for line in text.splitlines() if line[:4] == "tiny"] == [
        f'_version == "{one}" \\' for one in ("3.9", "3.13")
    ]
    assert parse(text, "x.txt") == Requirements((for_python("3.9"), for_python("3.13")))
    assert both.for_python("linux-64", "3.13") == (for_python("3.13"),)
    assert both.for_python("linux-64", "3.14") == ()
    assert both.for_python("linux-aarch64", "3.13") == ()


@pytest.mark.parametrize("pythons", [("", "3.12"), ("3.12", "3.12")])
def test_two_wheels_that_one_python_would_use(pythons: tuple[str, str]) -> None:
    text = render(Requirements(tuple(map(for_python, pythons))))
    with pytest.raises(LockError, match="expected  `tiny` once for linux-64"):
        parse(text, "x.txt")


def test_a_python_that_nobody_asks_for() -> None:
    found = unsatisfied(Requirements((for_python("3.12"),)), ["tiny"], ["linux-64"], ["3.13"])
    assert found == [
        "`tiny` has no locked wheel for linux-64 and Python 3.13",
        "wheels are locked for Python 3.12, and no spec asks for that",
    ]
    with pytest.raises(ValueError, match="'four' is not a version of Python"):
        for_python("four")
