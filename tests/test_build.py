"""`recipes fetch`, `plan`, `build` and `store` as a user runs them, on a small project."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import sys
from pathlib import Path

import fileserver
import pytest
import smallproject
from smallproject import Small, ended, go_on, stopped

from recipes.lock import Lock
from recipes.origins import UrlOrigin
from recipes.run import system

DEAD = "http://127.0.0.1:1"  # tcpmux: nobody listens
RECIPE = "recipes/components/thing/recipe.yaml"
NINJA = "/toolchain/ninja/ninja-1.12.0.data/scripts/ninja"
NAR = "sha256-KtDFko+UC5xcgKSVVYLLhWAicn3moPT5KSj8dngb0uo="

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("can_build")]


def test_a_build_from_nothing_and_one_with_nothing_to_do(small: Small) -> None:
    ran = small.build().ok()
    path, nar_hash = ran.out.splitlines()
    assert nar_hash == NAR
    assert [path] == [str(one) for one in small.entries("thing") if (one / "lib").exists()]
    assert (small.root / "result-small").readlink() == Path(path)
    assert {one.relative_to(path).as_posix() for one in Path(path).rglob("*") if one.is_file()} == {
        "lib/libthing.so",
        "share/doc/LICENSE",
    }
    assert Path(path, "lib/libthing.so").read_text() == "int thing = 1;\n#define PART 2\n#define DEEP 3\n"
    phases = [line for line in small.log().splitlines() if not line.startswith("### configure")]
    jobs = len(os.sched_getaffinity(0))
    assert phases == [
        "### compiler cache: empty",
        "-- Configuring done",
        f'### build: ["{NINJA}", "-C", "/build", "-j", "{{jobs}}", "--", "thing"]',
        f"[1/2] compiling with -j {jobs}",
        "[2/2] linking libthing.so",
        "### check",
    ]
    assert small.damage() == []

    asked = [*small.git.requests, *small.index.asked]
    again = small.build().ok()
    assert (again.out, again.err) == (ran.out, "nothing to do: it is built\n")
    assert [*small.git.requests, *small.index.asked] == asked


def test_what_a_build_tells(warm: Small) -> None:
    path = warm.run("store", "path", "--variant", "small").ok().out
    silent = warm.run("--quiet", "build", "--variant", "small", "--jobs", "7").ok()
    assert (silent.out, silent.err) == (f"{path}{NAR}\n", "")
    assert "[1/2] compiling with -j 7\n" in warm.log()
    shown = warm.run("--verbose", "build", "--variant", warm.mode("noise"), "--jobs", "3").failed(9)
    first, _, rest = shown.err.partition("\n")
    assert re.fullmatch(r"thing: compiler cache sha256:[0-9a-f]{64} is used", first)
    assert rest.startswith(
        "thing: configure\n-- Configuring done\nthing: build\n[1/2] compiling with -j 3\n"
        "\ufffd\ufffd is not text\n[1/2] still compiling\n"
        "compilers used a cache; `recipes build --no-cache` builds without\n"
        "error: `thing` failed in phase `build`: exit code 3\n"
    )


def test_a_build_as_json(warm: Small) -> None:
    found = json.loads(warm.build("small", "--json").ok().out)
    mine = {key: found[key] for key in ("path", "nar_hash", "link", "built")}  # there may come more
    assert mine == {
        "path": str((warm.root / "result-small").readlink()),
        "nar_hash": NAR,
        "link": str(warm.root / "result-small"),
        "built": True,
    }
    again = json.loads(warm.build("small", "--json").ok().out)
    assert {key: again[key] for key in mine} == {**mine, "built": False}


def test_a_component_is_built_with_another(warm: Small) -> None:
    ran = warm.build("both").ok()
    assert re.findall(r"^\w+: \w+$", ran.err, re.MULTILINE) == [
        *("thing: configure", "thing: build", "thing: check"),
        *("app: configure", "app: build"),
    ]
    text = (warm.root / "result-both/lib/libapp.so").read_text()
    assert text.splitlines()[:2] == ["int app = 4;", "int thing = 1;"]
    assert text.splitlines()[-1] == "THING=/inputs/thing/lib"

    one = warm.build("both", "thing").ok()
    assert one.err == "nothing to do: it is built\n"
    assert one.out.splitlines()[0] == str((warm.root / "result-both-thing").readlink())
    assert warm.build("small").ok().out == one.out  # the same derivation in two variants


def test_fetched_once_it_is_built_without_network(small: Small) -> None:
    ran = small.run("fetch", "--variant", "small").ok()
    assert ran.err.splitlines()[-1] == f"all 6 sources and wheels of `small` are in {small.store}"
    small.mirror(git=DEAD, other=DEAD)
    built = small.build("small", "--offline", PIP_INDEX_URL=f"{DEAD}/simple/").ok()
    assert built.err == "thing: configure\nthing: build\nthing: check\n"
    assert built.out.splitlines()[1] == NAR


def test_offline_without_what_is_needed(small: Small) -> None:
    ran = small.build("small", "--offline").failed(5)
    assert ran.err == (
        "error: not in the store, and `--offline` allows no other place: "
        "cmake-3.31.0, ninja-1.12.0, ziglang-0.15.2\n"
    )
    assert small.damage() == []
    assert small.git.requests == small.index.asked == []


def test_every_origin_gives_the_same_store_path(small: Small) -> None:
    git = small.build("small", "--origin", "git").ok()
    assert f"/files/{smallproject.SDIST}" not in small.index.asked
    small.git.requests.clear()
    other = small.place / "other"
    pypi = small.build("small", "--origin", "pypi", RECIPES_STORE=str(other)).ok()
    assert pypi.out == git.out.replace(str(small.store), str(other))
    assert small.git.requests == []
    assert small.index.asked.count(f"/files/{smallproject.SDIST}") == 1
    hashes = [_nar_hashes(store) for store in (small.store, other)]
    assert hashes[0] == hashes[1]


def _nar_hashes(store: Path) -> dict[str, str]:
    return {one.stem: json.loads(one.read_text())["nar_hash"] for one in (store / "info").iterdir()}


def test_no_origin_of_the_kind(small: Small) -> None:
    ran = small.build("both", "--origin", "pypi").failed(5)
    assert ran.error == (
        "error: source `app` could not be fetched\n"
        "  it has no origin of the kind that `--origin` asks for\n\n"
        "hint: what was fetched is kept; name a mirror or a git bundle that has the rest in RECIPES_MIRROR\n"
    )
    assert small.damage() == []


def test_a_dead_host_is_told_of_once(small: Small) -> None:
    small.mirror(git=DEAD)  # which has two of the three sources
    ran = small.build().ok()
    passed = [line for line in ran.err.splitlines() if line.endswith("trying the next origin")]
    assert len(passed) == 1
    assert passed[0].startswith("git.example does not answer: ")
    assert ran.out.splitlines()[1] == NAR
    assert {request.split("/")[1] for request in small.git.requests} == {"deep"}
    assert small.index.asked.count(f"/files/{smallproject.SDIST}") == 1


def test_no_origin_answers(small: Small) -> None:
    small.mirror(git=DEAD, other=DEAD)
    ran = small.build("small", "--origin", "git").failed(5)
    lines = ran.error.splitlines()
    assert lines[0] == "error: source `thing` could not be fetched"
    assert lines[1] == "  https://git.example/thing"
    assert lines[2].startswith("    git.example does not answer: ")
    assert [line for line in lines if line.startswith(("error", "source", "hint"))][1:] == [
        "source `thing/3rdparty/part` could not be fetched",
        "source `thing/3rdparty/part/deep` could not be fetched",
        "hint: what was fetched is kept; name a mirror or a git bundle that has the rest in RECIPES_MIRROR",
    ]
    assert small.damage() == []
    small.mirror()
    assert small.build().ok().out.splitlines()[1] == NAR


def test_a_mirror_that_lacks_one_commit(small: Small) -> None:
    small.env["RECIPES_MIRROR"] += f" https://git.example/part={small.git.url}/app"
    ran = small.build().ok()
    commit = small.upstream.commits["part"]
    assert [line for line in ran.err.splitlines() if "trying" in line] == [
        f"`https://git.example/part` has no commit `{commit}`; trying the next origin"
    ]
    assert ran.out.splitlines()[1] == NAR
    kept = {_label(one): json.loads(one.read_text())["origin"] for one in (small.store / "info").iterdir()}
    assert kept["deep"] == "https://other.example/deep"
    assert kept["part"] == "carrier-1.0.tar.gz of the package index"


def test_an_archive_at_a_url(small: Small) -> None:
    sha256 = hashlib.sha256(small.upstream.sdist).hexdigest()
    archive, inside = f"https://files.example/{smallproject.SDIST}", "carrier-1.0/vendored/thing"
    place = f"      path: {inside}\n"
    small.edit(RECIPE, place, f"{place}    - url: {archive}\n      sha256: {sha256}\n{place}")
    sources = small.upstream.lock(*smallproject.THING_SOURCES).sources
    for name, one in sources.items():
        path = f"{inside}{name.removeprefix('thing')}"
        url = UrlOrigin(url=archive, sha256=sha256, path=path)
        sources[name] = one.model_copy(update={"origins": (*one.origins, url)})
    small.lock("small", Lock(sources=sources))
    with fileserver.serve() as server:
        server.put(f"/{smallproject.SDIST}", fileserver.Page(small.upstream.sdist))
        small.mirror(files=server.address)
        assert small.build("small", "--origin", "url").ok().out.splitlines()[1] == NAR
        assert [one.path for one in server.asked] == [f"/{smallproject.SDIST}"]
    assert small.git.requests == []
    assert f"/files/{smallproject.SDIST}" not in small.index.asked


def _label(info: Path) -> str:
    return info.stem.partition("-")[2]


def test_a_plan_says_what_is_there(small: Small) -> None:
    def states(variant: str) -> list[tuple[str, str, str]]:
        lines = small.run("plan", "--variant", variant).ok().out.splitlines()
        return [(*line.split()[:2], line.split()[2][33:]) for line in lines]  # type: ignore[misc]

    fetched = [
        *(("wheel", name) for name in ("cmake-3.31.0", "ninja-1.12.0", "ziglang-0.15.2")),
        *(("source", name) for name in ("thing", "part", "deep")),
    ]
    assert states("small") == [*(("fetch", *one) for one in fetched), ("build", "build", "thing")]
    assert not small.store.exists()
    small.build().ok()
    assert states("both") == [
        *(("have", *one) for one in [*fetched, ("build", "thing")]),
        ("fetch", "source", "app"),
        ("build", "build", "app"),
    ]


def test_a_plan_as_json(warm: Small) -> None:
    found = json.loads(warm.run("plan", "--variant", "both", "--json").ok().out)
    *fetched, thing, source, app = found.pop("derivations")
    assert found == {
        "format": 1,
        "variant": "both",
        "component": "app",
        "platform": system(),
        "target": app["path"],
    }
    assert [one["in_store"] for one in (*fetched, thing, source, app)] == [True] * 6 + [False, True, False]
    assert sorted(thing["needs"]) == sorted(one["path"] for one in fetched)
    assert {*app["needs"]} == {*(one["path"] for one in fetched[:3]), thing["path"], source["path"]}
    for name in (*small_paths(warm), warm.env["HOME"], warm.git.url):
        assert name not in json.dumps([thing, app])


def small_paths(small: Small) -> list[str]:
    return [str(small.place), str(small.store), str(small.root)]


def test_gc_keeps_what_a_result_needs(small: Small) -> None:
    small.build("both").ok()
    small.build("small").ok()
    would = small.run("store", "gc", "--dry-run").ok()
    *shares, total = would.err.splitlines()
    assert re.fullmatch(r"would free \d+\.\d MB, \d+ entries", total)
    assert {one.split()[2] for one in shares} == {"archives", "git", "paths"}
    assert len(small.entries("app")) == 2
    (small.root / "result-both").unlink()
    ran = small.run("--verbose", "store", "gc").ok()
    assert re.fullmatch(r"freed \d+\.\d MB, \d+ entries", ran.err.splitlines()[-1])
    assert [path.name for path in (small.store / "paths").iterdir()] == [
        (small.root / "result-small").readlink().name
    ]
    assert small.build("small").ok().err == "nothing to do: it is built\n"
    checked = small.run("store", "check").ok()
    assert checked.err.splitlines()[-1] == f"{small.store} is clean"


FAILURES = {
    "configure": ("phase `configure`: exit code 1", "  CMake Error: no such luck"),
    "exit": ("phase `build`: exit code 3", "  thing.c:1:5: error: no such luck"),
    "kill": ("phase `build`: exit code 137", None),
    "check": ("phase `check`: exit code 1", "  the library does not load"),
}


@pytest.mark.parametrize("mode", FAILURES)
def test_a_failed_phase(warm: Small, mode: str) -> None:
    how, last = FAILURES[mode]
    ran = warm.build(warm.mode(mode)).failed(9)
    lines = ran.error.splitlines()
    [log] = (warm.store / "logs").iterdir()
    assert lines[0] == f"error: `thing` failed in {how}"
    assert lines[-3:-1] == [f"  log  {log}", ""]
    assert lines[-1].startswith("hint: ")
    assert last in (None, lines[-4])
    assert ran.out == ""
    assert [one for one in warm.entries("thing") if (one / "lib").exists()] == []
    assert not (warm.root / f"result-{mode}").is_symlink()
    assert warm.damage() == []
    assert warm.build().ok().out.splitlines()[1] == NAR


def test_the_end_of_a_long_log_is_shown(warm: Small) -> None:
    lines = warm.build(warm.mode("long")).failed(9).error.splitlines()
    assert lines[1:-3] == [f"  line {number}" for number in range(16, 41)]


def test_what_a_recipe_promises_is_not_there(warm: Small) -> None:
    ran = warm.build(warm.mode("nothing")).failed(9)
    [log] = (warm.store / "logs").iterdir()
    assert ran.error == (
        "error: `thing` did not make what its recipe promises\n"
        "  promised  lib/libthing.so, from build/libthing.so\n\n"
        f"hint: see the end of the log: `less {log}`\n"
    )
    assert warm.damage() == []


def test_for_another_platform(warm: Small) -> None:
    other = next(one for one in ("linux-64", "linux-aarch64") if one != system())
    ran = warm.build("small", "--platform", other).ok()
    assert ran.err == (
        f"thing: configure\nthing: build\nthing: not checked: it is for {other}, this is {system()}\n"
    )
    assert ran.out.splitlines()[0] == str((warm.root / f"result-small-{other}").readlink())
    assert ran.out.splitlines()[0] != warm.build().ok().out.splitlines()[0]


ELSEWHERE = """\
import os, sys
os.umask(0o077)
os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
os.nice(5)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_the_same_bytes_elsewhere(warm: Small, tmp_path: Path) -> None:
    here = warm.build("both", "--jobs", "4").ok().out.splitlines()
    (tmp_path / "another home").mkdir()
    away = {
        "RECIPES_STORE": str(tmp_path / "ein anderer Ort" / "störe"),
        "HOME": str(tmp_path / "another home"),
        "TZ": "Pacific/Chatham",
        "LANG": "de_DE.ISO-8859-1",
        "LC_ALL": "de_DE.ISO-8859-1",
        "USER": "somebody",
        "SOURCE_DATE_EPOCH": "1",
        "CFLAGS": "-O0",
    }
    argv = ["build", "--variant", "both", "--jobs", "1"]
    there = warm.run(*argv, before=[sys.executable, "-c", ELSEWHERE], **away).ok().out.splitlines()
    assert Path(there[0]).name == Path(here[0]).name
    assert there[1] == here[1]
    assert _nar_hashes(Path(away["RECIPES_STORE"])) == _nar_hashes(warm.store)


def test_two_builds_of_what_is_random_differ(warm: Small) -> None:
    """Show that the test before this one can fail."""
    variant = warm.mode("random")
    first = warm.build(variant).ok().out.splitlines()
    (warm.root / f"result-{variant}").unlink()
    warm.run("store", "gc").ok()
    again = warm.build(variant).ok().out.splitlines()
    assert (first[0] == again[0], first[1] == again[1]) == (True, False)


ALLOWED = re.compile(
    r"/bin/sh|(/usr)?/lib(64)?/([^/]+/)?(ld-linux[^/]*|lib[^/]*)\.so\.\d+"  # what runs /bin/sh
    r"|/etc/(passwd|group|hosts)"
    r"|/(src|build|cache)/.+"
    r"|/toolchain/(bin/[a-z+]+|(cmake|ninja|ziglang)/.+)"
)


def test_a_build_sees_nothing_of_the_host(warm: Small, tmp_path: Path) -> None:
    warm.build(warm.mode("look"), SECRET="1", CC="gcc", CPATH="/usr/include").ok()
    text = (warm.root / "result-look/lib/libthing.so").read_text()
    files, variables = text.partition("--- files\n")[2].split("--- variables\n")
    assert [line for line in files.splitlines() if not ALLOWED.fullmatch(line)] == []
    assert {"/bin/sh", "/src/src/thing.c", "/toolchain/ziglang/ziglang/zig"} <= {*files.splitlines()}
    exported = dict(re.findall(r"""^export (\w+)=["']?(.*?)["']?$""", variables, re.MULTILINE))
    assert exported.keys() - {"OLDPWD", "SHLVL", "_"} == {  # bash's own
        *("HOME", "LC_ALL", "NINJA_STATUS", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"),
        *("SOURCE_DATE_EPOCH", "TZ", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"),
    }
    assert exported["SOURCE_DATE_EPOCH"] == "1716842321"
    assert str(tmp_path) not in text


def test_two_builds_of_one_thing_at_once(warm: Small) -> None:
    variant = warm.mode("stop")
    first = warm.start("build", "--variant", variant)
    compiler, _ = stopped(first.pid)
    second = warm.start("build", "--variant", variant)
    assert second.stderr is not None
    assert select.select([second.stderr], [], [], smallproject.PATIENCE)[0]
    line = second.stderr.readline()
    assert re.fullmatch(r"waiting for another build of \w{32}-thing\n", line)
    go_on(compiler)
    built, waited = ended(first).ok(), ended(second).ok()
    assert built.out == waited.out
    assert built.err == "thing: configure\nthing: build\nthing: check\n"
    assert waited.err == ""  # after the line that was read
    assert warm.log().count("### build") == 1
    assert warm.damage() == []
