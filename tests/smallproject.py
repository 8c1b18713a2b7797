"""A small project that is built for real in a second: repositories, a package index, a toolchain of scripts.

`thing` has a submodule, and that has one on another host; `app` is built with `thing`. Each source of `thing`
is also in the sdist `carrier`. The toolchain's programs are shell scripts that use builtins only, as a
sandbox has nothing else; the option MODE makes them fail. Ids and hashes are the same each time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

import gitserver
import indexserver
from gitserver import Repo

from recipes import files, isolation, storecheck
from recipes.errors import SandboxError
from recipes.lock import Lock, LockedSource, render
from recipes.origins import GitOrigin, Origin, PypiOrigin
from recipes.requirements import Requirements, Wheel
from recipes.requirements import render as render_requirements
from recipes.store import Store

CLI = Path(__file__).resolve().parent.parent / "cli.py"
DATE = "2024-05-27T20:38:41Z"
Popen: TypeAlias = subprocess.Popen[str]

PATIENCE = 300  # seconds until a test gives up on something that has to happen

GIT, OTHER = "https://git.example", "https://other.example"
_SLOW = re.compile(r"^.*: (done in \d+:\d\d|.*, \d+:\d\d so far)\n", re.MULTILINE)  # said on a busy machine
SDIST = "carrier-1.0.tar.gz"

CMAKE = r"""#!/bin/sh
set -eu
[ "$*" != "${*#-S /src -B /build -G Ninja }" ] || { echo "not asked as agreed: $*"; exit 2; }
mode=plain compiler=none; : > /build/rules
for word in "$@"; do
    case $word in
    -DMODE=*) mode=${word#-DMODE=} ;;
    -DCMAKE_C_COMPILER=*) compiler=${word#*=} ;;
    -DCOLOUR=*|-DTHING=*) printf '%s\n' "${word#-D}" >> /build/rules ;;
    esac
done
[ -x "$compiler" ] && [ -f /src/CMakeLists.txt ]
[ "$mode" != configure ] || { echo "CMake Error: no such luck"; exit 1; }
printf '%s\n' "$mode" > /build/mode
echo "-- Configuring done"
"""

NINJA = r"""#!/bin/sh
set -eu
copy() { while IFS= read -r line; do printf '%s\n' "$line"; done < "$1"; }
list() {
    for one in "$1"/* "$1"/.[!.]*; do
        case $one in /proc|/dev|/sys) continue ;; esac
        if [ -d "$one" ] && [ ! -L "$one" ]; then list "$one"
        elif [ -e "$one" ] || [ -L "$one" ]; then printf '%s\n' "$one"; fi
    done
}
[ "$1 $2 $3 $5" = "-C /build -j --" ]
jobs=$4 target=$6
mode=$(copy /build/mode)
printf '[1/2] compiling with -j %s\n' "$jobs"
case $mode in
exit) echo "thing.c:1:5: error: no such luck" >&2; exit 3 ;;
kill) kill -KILL $$ ;;
stop) kill -STOP $$ ;;
nothing) exit 0 ;;
noise) printf '\377\376 is not text\r[1/2] still compiling\n'; exit 3 ;;
long) count=0; while [ $count -lt 40 ]; do count=$((count + 1)); echo "line $count"; done; exit 3 ;;
full) while :; do printf '%08192d' 1; done > /build/full ;;
esac
{
    case $target in
    thing) copy /src/src/thing.c; copy /src/3rdparty/part/part.h; copy /src/3rdparty/part/deep/deep.h ;;
    app) copy /src/app.c; copy /inputs/thing/lib/libthing.so ;;
    esac
    copy /build/rules
    case $mode in
    random) copy /proc/sys/kernel/random/uuid ;;
    look) echo "--- files"; list ""; echo "--- variables"; export -p ;;
    esac
} > "/build/lib$target.so"
printf '[2/2] linking lib%s.so\n' "$target"
"""

CHECK = """\
import json, os, signal, sys
from pathlib import Path

mode = json.loads(sys.argv[2])["MODE"]
if "int thing" not in Path(sys.argv[1], "lib/libthing.so").read_text() or mode == "check":
    sys.exit("the library does not load")
if mode == "check-stop":
    os.kill(os.getpid(), signal.SIGSTOP)
"""

THING = """\
summary: a thing
license: MIT
source:
  origins:
    - git: https://git.example/thing
    - pypi: carrier
      version: "1.0"
      file: carrier-1.0.tar.gz
      path: carrier-1.0/vendored/thing
  ref: main
  include: [CMakeLists.txt, LICENSE, "src/**"]
  submodules:
    3rdparty/part: {include: [part.h]}
    3rdparty/part/deep: {include: [deep.h]}
cmake:
  options:
    MODE: plain
  targets: [thing]
outputs:
  lib/libthing.so: build/libthing.so
  share/doc/LICENSE: src/LICENSE
check: check.py
"""

APP = """\
summary: what is built with the thing
license: MIT
source:
  origins:
    - git: https://git.example/app
  ref: main
inputs: [thing]
cmake:
  options:
    MODE: plain
    THING: "{thing}/lib"
  targets: [app]
outputs:
  lib/libapp.so: build/libapp.so
"""

SMALL = """\
summary: the thing alone
target: thing
platforms: [linux-64, linux-aarch64]
sources:
  thing: {ref: v1.0}
pypi:
  - cmake>=3.26,<4
  - ninja>=1.11
  - ziglang
"""

BOTH = """\
summary: the thing and the app
extends: small
target: app
sources:
  app:
"""

TREES: Mapping[str, Mapping[str, bytes]] = {
    "thing": {
        "CMakeLists.txt": b"project(thing)\n",
        "LICENSE": b"do as you like\n",
        "src/thing.c": b"int thing = 1;\n",
        "tests/unused.c": b"not taken\n",
        ".gitmodules": b'[submodule "p"]\n\tpath = 3rdparty/part\n\turl = ../part\n',
    },
    "part": {
        "part.h": b"#define PART 2\n",
        "README": b"not taken\n",
        ".gitmodules": b'[submodule "d"]\n\tpath = deep\n\turl = https://other.example/deep\n',
    },
    "deep": {"deep.h": b"#define DEEP 3\n"},
    "app": {"CMakeLists.txt": b"project(app)\n", "app.c": b"int app = 4;\n"},
}
TAKEN: Mapping[str, tuple[str, ...]] = {
    "thing": ("CMakeLists.txt", "LICENSE", "src/**"),
    "part": ("part.h",),
    "deep": ("deep.h",),
    "app": (),
}
NAMES = {"thing": "thing", "thing/3rdparty/part": "part", "thing/3rdparty/part/deep": "deep", "app": "app"}
PLACES = {"thing": "", "part": "3rdparty/part/", "deep": "3rdparty/part/deep/"}


@dataclass(frozen=True)
class Upstream:
    """What the world has to offer, made once: `commits` by repository, `wheels` by project."""

    repositories: Path
    commits: Mapping[str, str]
    trees: Mapping[str, str]
    hashes: Mapping[str, str]
    wheels: Mapping[str, tuple[str, bytes]]
    sdist: bytes

    def lock(self, *names: str, sdist: bytes | None = None, file: str = SDIST) -> Lock:
        """Give the lock of these sources; `sdist` is what their origin on the index is said to be."""
        sha256 = hashlib.sha256(self.sdist if sdist is None else sdist).hexdigest()
        return Lock(sources={name: self._locked(name, sha256, file) for name in names})

    def _locked(self, name: str, sha256: str, file: str) -> LockedSource:
        short = NAMES[name]
        host = OTHER if short == "deep" else GIT
        places: list[Origin] = [GitOrigin(git=f"{host}/{short}")]
        if short in PLACES:
            path = f"carrier-1.0/vendored/thing/{PLACES[short]}".rstrip("/")
            places.append(PypiOrigin(pypi="carrier", version="1.0", file=file, sha256=sha256, path=path))
        asked = {"thing": ("v1.0", "refs/tags/v1.0"), "app": ("main", "refs/heads/main")}
        ref, resolved = asked.get(name, (None, None))
        return LockedSource(
            ref=ref,
            resolved=resolved,
            commit=self.commits[short],
            date=DATE,
            tree=self.trees[short],
            include=TAKEN[short],
            hash=self.hashes[short],
            origins=tuple(places),
        )

    def requirements(self) -> str:
        """Give the toolchain's lock."""
        return render_requirements(
            Requirements(
                tuple(
                    Wheel(project, file.split("-")[1], file, hashlib.sha256(data).hexdigest(), platform)
                    for project, (file, data) in self.wheels.items()
                    for platform in ("linux-64", "linux-aarch64")
                )
            )
        )


def upstream(place: Path) -> Upstream:
    """Make the repositories below `place`, and the index's files."""
    commits: dict[str, str] = {}
    for name, links in {
        "deep": {},
        "part": {b"deep": "deep"},
        "thing": {b"3rdparty/part": "part"},
        "app": {},
    }.items():
        repository = Repo(place / "git" / name)
        inside = {path: ("160000", commits[to].encode()) for path, to in links.items()}
        tree = {path.encode(): data for path, data in TREES[name].items()}
        commits[name] = repository.commit({**tree, **inside}, when="1716842321 +0000")
        repository.ref("refs/heads/main", commits[name])
        repository.ref("refs/tags/v1.0", commits[name])
    git = {name: Repo(place / "git" / name) for name in commits}
    trees = {name: one.git("rev-parse", f"{commits[name]}^{{tree}}") for name, one in git.items()}
    hashes = {name: _hash(place / "trees" / name, name) for name in commits}
    return Upstream(place / "git", commits, trees, hashes, _wheels(), sdist())


def _hash(place: Path, name: str) -> str:
    for path, data in TREES[name].items():
        if not TAKEN[name] or any(path == one or path.startswith(one.rstrip("*")) for one in TAKEN[name]):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)
            (place / path).chmod(0o644)
    return files.tree_hash(place)[0]


def sdist(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Make the source archive, with more members behind those that it ought to have."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, below in PLACES.items():
            for path, text in TREES[name].items():
                _add(archive, *member(f"carrier-1.0/vendored/thing/{below}{path}", text))
        _add(archive, *member("carrier-1.0/padding", random.Random(0).randbytes(200_000)))
        for info, text in more:
            _add(archive, info, text)
    return gzip.compress(data.getvalue(), mtime=0)


def member(path: str, text: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    """Make an archive's member."""
    info = tarfile.TarInfo(path)
    info.size = len(text)
    return info, text


def _add(archive: tarfile.TarFile, info: tarfile.TarInfo, text: bytes) -> None:
    archive.addfile(info, io.BytesIO(text))


def _wheels() -> dict[str, tuple[str, bytes]]:
    scripts = {
        "cmake": ("3.31.0", "cmake/data/bin/cmake", CMAKE),
        "ninja": ("1.12.0", "ninja-1.12.0.data/scripts/ninja", NINJA),
        "ziglang": ("0.15.2", "ziglang/zig", "#!/bin/sh\nexit 1\n"),
    }
    return {name: (f"{name}-{one[0]}-py3-none-any.whl", wheel(name, *one)) for name, one in scripts.items()}


def wheel(project: str, version: str, path: str, script: str) -> bytes:
    """Make a wheel that holds a program."""
    info = f"{project}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
    tag = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in {path: script, f"{info}/METADATA": metadata, f"{info}/WHEEL": tag}.items():
            one = zipfile.ZipInfo(name)
            one.create_system, one.external_attr = 3, (0o100755 if name == path else 0o100644) << 16
            archive.writestr(one, text)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
    return data.getvalue()


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    def ok(self) -> Self:
        """Fail the test unless the command succeeded."""
        assert self.code == 0, self.shown()
        return self

    def failed(self, code: int) -> Self:
        """Fail the test unless the command ended with this code, one error and no traceback."""
        assert self.code == code, self.shown()
        assert [line[:7] for line in self.err.splitlines()].count("error: ") == 1, self.shown()
        assert "Traceback" not in self.err, self.shown()
        return self

    @property
    def error(self) -> str:
        """The error, without what was told before it."""
        return self.err[f"\n{self.err}".index("\nerror: ") :]

    def shown(self) -> str:
        """Give all of it, for a test that fails."""
        return f"{self.argv} ended with {self.code}\n--- out\n{self.out}--- err\n{self.err}"


@dataclass
class Small:
    """A checkout with a store and a home of its own, and the servers that it asks."""

    place: Path
    upstream: Upstream
    git: gitserver.Server
    index: indexserver.Server
    env: dict[str, str] = field(default_factory=dict)
    started: list[Popen] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.place / "checkout"

    @property
    def store(self) -> Path:
        """The store."""
        return self.place / "store"

    def run(self, *argv: str, before: Sequence[str] = (), **variables: str) -> Ran:
        """Run a command to its end."""
        return ended(self.start(*argv, before=before, **variables))

    def start(self, *argv: str, before: Sequence[str] = (), **variables: str) -> Popen:
        """Start a command; `before` is the argv of what becomes it."""
        process = subprocess.Popen(
            [*before, sys.executable, str(CLI), *argv],
            env=self.env | variables, cwd=self.root, text=True, encoding="utf-8", errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        return process

    def build(self, variant: str = "small", *argv: str, **variables: str) -> Ran:
        """Build a variant."""
        return self.run("build", "--variant", variant, *argv, **variables)

    def damage(self) -> list[str]:
        """Say what the store's own check finds, and what was left in its place for private directories."""
        left = [f"tmp/{path.name} was left" for path in (self.store / "tmp").iterdir()]
        return left + problems(self.store)

    def write(self, path: str, text: str) -> None:
        """Write a file of the checkout."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, "utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the checkout, at each place that reads so."""
        text = (self.root / path).read_text("utf-8")
        assert old in text
        self.write(path, text.replace(old, new))

    def lock(self, variant: str, lock: Lock) -> None:
        """Write a variant's locks."""
        self.write(f"locks/{variant}.lock.yaml", render(lock))
        self.write(f"locks/{variant}.requirements.txt", self.upstream.requirements())

    def mode(self, mode: str) -> str:
        """Make a variant that is built in a mode of the toolchain's; it has the mode's name."""
        self.write(
            f"environments/{mode}.yaml",
            f"summary: {mode}\nextends: small\noptions:\n  thing: {{MODE: {mode}}}\n",
        )
        self.lock(mode, self.upstream.lock(*THING_SOURCES))
        return mode

    def configure(self, text: str) -> None:
        """Write the user's configuration file."""
        place = self.place / "home/.config/tvm-recipes"
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.yaml").write_text(text)

    def mirror(self, **hosts: str) -> None:
        """Say where `git`, `other` and `files` (of `.example`) are."""
        default = {"git": self.git.url, "other": self.git.url}
        self.env["RECIPES_MIRROR"] = " ".join(
            f"https://{name}.example/={url}/" for name, url in (default | hosts).items()
        )

    def warm(self, store: Path) -> None:
        """Start with a copy of another store."""
        shutil.copytree(store, self.store, symlinks=True)

    def log(self) -> str:
        """Give the log of the only build so far."""
        [log] = (self.store / "logs").iterdir()
        return log.read_text("utf-8", "replace")

    def entries(self, label: str) -> list[Path]:
        """Give the store paths that end in `-LABEL`."""
        return sorted(path for path in (self.store / "paths").iterdir() if path.name[33:] == label)


def problems(store: Path) -> list[str]:
    """Say what a store's own check finds."""
    return [f"{one.name}: {one.what}" for one in storecheck.check(Store(store))]


def ended(process: Popen) -> Ran:
    """Wait for a command's end."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        _end([process])
    assert isinstance(process.args, list)
    return Ran(tuple(map(str, process.args)), process.returncode, out, _SLOW.sub("", err))


THING_SOURCES = ("thing", "thing/3rdparty/part", "thing/3rdparty/part/deep")


@contextmanager
def small(upstream: Upstream, place: Path) -> Iterator[Small]:
    """Lay a checkout out below `place` and serve what it needs."""
    with ExitStack() as stack:
        git = stack.enter_context(gitserver.serving(upstream.repositories))
        index = stack.enter_context(indexserver.serve())
        for project, file in upstream.wheels.items():
            index.add(project, file)
        index.add("carrier", (SDIST, upstream.sdist))
        made = Small(place, upstream, git, index)
        made.env = environment(place, index.url)
        made.mirror()
        made.configure(f"timeout: {PATIENCE}\n")  # a busy machine is not a dead server
        for path, text in {
            "environments/small.yaml": SMALL,
            "environments/both.yaml": BOTH,
            "recipes/components/thing/recipe.yaml": THING,
            "recipes/components/thing/check.py": CHECK,
            "recipes/components/app/recipe.yaml": APP,
        }.items():
            made.write(path, text)
        made.lock("small", upstream.lock(*THING_SOURCES))
        made.lock("both", upstream.lock("app", *THING_SOURCES))
        try:
            yield made
        finally:
            _end(made.started)


def _end(processes: Sequence[Popen]) -> None:
    """End what a test that failed has left, and close its pipes."""
    for one in processes:
        with one:
            one.kill()


def environment(place: Path, index: str) -> dict[str, str]:
    """Give the environment of a user who has configured nothing but the index."""
    (place / "home").mkdir(exist_ok=True)
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place / "home"),
        "LANG": "C.UTF-8",
        "RECIPES_STORE": str(place / "store"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index,
        "PIP_DEFAULT_TIMEOUT": str(PATIENCE),
        "GIT_CONFIG_NOSYSTEM": "1",
        **coverage,
    }


def refusal(place: Path) -> str | None:
    """Say why nothing can be built on this machine; None where it can."""
    try:
        isolation.choose({"PATH": os.environ["PATH"]}, place)
    except SandboxError as error:
        return error.message
    return None


@dataclass(frozen=True)
class Process:
    """A process by its number and its start, as numbers are used again."""

    pid: int
    started: str

    def state(self) -> str:
        """Give its state: one letter as in proc(5), `gone` when it has ended."""
        found = _stat(self.pid)
        return found[0] if found and found[19] == self.started and found[0] != "Z" else "gone"


def family(leader: int) -> list[Process]:
    """Find a process and all that descend from it."""
    stats = {int(one.name): _stat(int(one.name)) for one in Path("/proc").iterdir() if one.name.isdigit()}
    found = [leader]
    for pid in found:
        found += [child for child, stat in stats.items() if stat and int(stat[1]) == pid]
    return [Process(pid, stat[19]) for pid in found if (stat := stats.get(pid))]


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def stopped(leader: int) -> tuple[Process, list[Process]]:
    """Wait until one of a process's family has stopped itself; give that one, and the whole family."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = family(leader)
        still = [one for one in found if one.state() == "T"]
        if still:
            return still[0], found
        time.sleep(0.02)
    raise AssertionError("nothing stopped")


def go_on(process: Process) -> None:
    """Let a stopped process go on."""
    os.kill(process.pid, signal.SIGCONT)


def are_gone(processes: list[Process]) -> bool:
    """Wait until all have ended: what is killed takes a moment to die."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if all(one.state() == "gone" for one in processes):
            return True
        time.sleep(0.02)
    return False
