"""A build without a sandbox: where its paths go, and a whole build of the small project."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
import smallproject
from smallproject import Small, Upstream

from recipes import bare
from recipes.sandbox import Bind, Sandbox

REAL = {
    "/src": "/w/src",
    "/build": "/w/b d",
    "/toolchain/cmake": "/store/1-cmake",
    "/toolchain/bin": "/w/bin",
    "/python/bin/python3": "/usr/bin/python3.11",
    "/tmp": "/w/tmp",
}


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("/src", "/w/src"),
        ("/src/", "/w/src/"),
        ("/src/a/src", "/w/src/a/src"),
        ("-DX=/src/a;/build", "-DX=/w/src/a;/w/b d"),
        ("-I/src/include", "-I/w/src/include"),
        ("-L/build", "-L/w/b d"),
        ("/toolchain/bin:/bin", "/w/bin:/bin"),
        ("/toolchain/cmake/cmake/data/bin/cmake", "/store/1-cmake/cmake/data/bin/cmake"),
        ('{"a": "/build/x"}', '{"a": "/w/b d/x"}'),
        ("/python/bin/python3", "/usr/bin/python3.11"),
        ("/usr/src", "/usr/src"),
        ("/srcs /src-1 /src.d", "/srcs /src-1 /src.d"),
        ("src/src", "src/src"),
        ("./src", "./src"),
        ("https://build/src", "https://build/src"),
        ("/toolchain", "/toolchain"),
        ("", ""),
    ],
)
def test_a_path_is_rewritten_where_it_begins(text: str, here: str) -> None:
    assert bare.rewrite(text, REAL) == here


def test_nothing_is_rewritten_without_places() -> None:
    assert bare.rewrite("/src", {}) == "/src"


def test_a_compilers_wrapper_maps_places_back() -> None:
    text = '#!/bin/sh\nset -- "$@" -x\nexec /toolchain/cmake/cc "$@"\n'
    assert bare.program("c++", text, REAL) == (
        "#!/bin/sh\nset -- \"$@\" -x\nexec /store/1-cmake/cc '-ffile-prefix-map=/w/b d=/build'"
        ' -ffile-prefix-map=/w/src=/src "$@"\n'
    )
    assert bare.program("ar", text, REAL) == text.replace("/toolchain/cmake", "/store/1-cmake")
    assert bare.program("cc", "exec /build/cc\n", {"/build": "/w/b d"}).startswith("exec '/w/b d'/cc\n")


def test_what_a_sandbox_has_of_the_host_is_no_place() -> None:
    binds = (Bind("/usr/bin/dash", "/bin/sh"), Bind("/w/etc", "/etc"), Bind("/w/src", "/src", writable=True))
    assert bare.places(Sandbox(binds, "/", ())) == {"/src": "/w/src"}


def test_the_command_has_the_environment_and_directory_of_the_sandbox(tmp_path: Path) -> None:
    place = tmp_path / "with = and 'quotes"
    place.mkdir()
    box = Sandbox((Bind(str(place), "/build"),), "/build", (("A", "/build/a"), ("PATH", "/usr/bin:/bin")))
    argv = bare.argv(box, ["/bin/sh", "-c", 'pwd; env; echo "$1"', "sh", "/build/x y"])
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"OTHER": "1"})
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == (str(place), f"{place}/x y")
    told = {line.partition("=")[0] for line in lines[1:-1]}
    assert f"A={place}/a" in lines
    assert "OTHER" not in told


@pytest.fixture(scope="module")
def anywhere(upstream: Upstream) -> Upstream:
    """Give a toolchain that works in the places that it is told."""
    cmake = smallproject.CMAKE.replace("set -eu\n", "set -eu\nsrc=$2 build=$4\n")
    cmake = cmake.replace("-S /src -B /build -G", "-S $2 -B $4 -G").replace("/src/", "$src/")
    cmake = cmake.replace("/build/", "$build/").replace(
        'echo "-- Conf', 'printf \'%s\\n\' "$src" > $build/src; echo "-- Conf'
    )
    ninja = smallproject.NINJA.replace('"-C /build -j --" ]', '"-C $2 -j --" ]\nbuild=$2').replace(
        "mode=$(copy /build/mode)", "mode=$(copy $build/mode) src=$(copy $build/src)"
    )
    ninja = ninja.replace("/src/", "$src/").replace("/build/", "$build/")
    wheels = {
        "cmake": smallproject.wheel("cmake", "3.31.0", "cmake/data/bin/cmake", cmake),
        "ninja": smallproject.wheel("ninja", "1.12.0", "ninja-1.12.0.data/scripts/ninja", ninja),
    }
    files = {name: (upstream.wheels[name][0], data) for name, data in wheels.items()}
    return dataclasses.replace(upstream, wheels={**upstream.wheels, **files})


WARNED = "warning: built without a sandbox: it can read and write all that you can, and reach the network"


def test_a_build_without_a_sandbox(anywhere: Upstream, tmp_path: Path) -> None:
    with smallproject.small(anywhere, tmp_path) as small:
        ran = small.build("small", "--sandbox=none").ok()
        assert WARNED in ran.err
        path = Path(ran.out.splitlines()[0])
        assert (path / "lib/libthing.so").read_text().startswith("int thing = 1;\n")
        assert (small.root / "result-small-unconfined").readlink() == path
        assert not (small.root / "result-small").exists()
        assert small.damage() == []
        told = small.run("store", "path", "--variant", "small", RECIPES_SANDBOX="none").ok().out
        assert told == f"{path}\n"
        assert small.run("store", "path", "--variant", "small").ok().out != told


def test_its_failure_can_be_replayed(anywhere: Upstream, tmp_path: Path) -> None:
    with smallproject.small(anywhere, tmp_path) as small:
        failed = small.build(small.mode("exit"), "--sandbox=none", "--keep-failed").failed(9)
        assert "thing.c:1:5: error: no such luck" in failed.err
        [script] = (small.store / "tmp").glob("*/replay.sh")
        again = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
        assert (again.returncode, again.stderr) == (3, "thing.c:1:5: error: no such luck\n")


def test_the_plan_says_so(small: Small) -> None:
    planned = [
        json.loads(small.run("plan", "--variant", "small", "--json", *more).ok().out)["derivations"][-1]
        for more in ((), ("--sandbox", "unshare"), ("--sandbox=none",))
    ]
    assert [one["sandbox"] for one in planned] == ["namespaces", "namespaces", "none"]
    assert planned[0] == planned[1] != planned[2]


@pytest.mark.parametrize(
    ("argv", "variables", "message"),
    [
        (("--sandbox", "bwrp"), {}, "no sandbox `bwrp`"),
        ((), {"RECIPES_SANDBOX": "x"}, "RECIPES_SANDBOX: `x` is none of auto, bubblewrap, unshare, none"),
        (("--toolchain", "clang"), {}, "no toolchain `clang`"),
    ],
)
def test_a_wrong_choice(small: Small, argv: tuple[str, ...], variables: dict[str, str], message: str) -> None:
    assert message in small.run("plan", "--variant", "small", *argv, **variables).failed(2).err


def test_where_no_sandbox_works_it_is_said_what_to_do(small: Small, tmp_path: Path) -> None:
    small.run("fetch", "--variant", "small").ok()
    failed = small.build(PATH=str(tmp_path)).failed(8)
    assert failed.error == (
        "error: this machine lets no build be isolated\n"
        "  bubblewrap  `bwrap` is not on PATH\n"
        "  unshare     `setpriv` is not on PATH\n\n"
        "hint: `recipes doctor` says how to allow it; with `--sandbox=none` a build is not isolated at all\n"
    )
