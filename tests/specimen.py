"""A small variant: two components, one built with the other, and all that a plan of it needs."""

import hashlib

from recipes import hashes, located
from recipes import lock as locks
from recipes.errors import SpecError
from recipes.lock import Lock
from recipes.requirements import Requirements, Wheel
from recipes.spec import Environment, Recipe, Specs

FP16 = b"""\
summary: half-precision conversions
license: MIT
source:
  origins:
    - git: https://example.org/fp16
  ref: master
  include: [LICENSE, "include/**"]
"""
TVM = b"""\
summary: the compiler
license: Apache-2.0
source:
  origins:
    - git: https://example.org/tvm
  ref: main
  submodules:
    3rdparty/dlpack: {include: ["include/**"]}
inputs: [fp16]
cmake:
  options:
    USE_LLVM: OFF
    FP16_DIR: "{fp16}/include"
  targets: [tvm]
outputs:
  lib/libtvm.so: build/libtvm.so
check: smoke.py
"""
ENVIRONMENT = b"""\
summary: the compiler, small
target: tvm
platforms: [linux-64, linux-aarch64]
sources:
  fp16:
  tvm:
    ref: v0.22.0
    why: the newest
    also:
      - {pypi: carrier, version: 1.10, file: carrier-1.10.tar.gz, path: carrier-1.10/tvm}
options:
  tvm: {USE_LLVM: ON}
pypi: [cmake<4, ninja, ziglang]
"""
SMOKE = b"print('it works')\n"


def sri(text: str) -> str:
    return hashes.sri(text.encode().ljust(32)[:32])


LOCK = f"""\
{locks.HEADER}version: 1
sources:
  fp16:
    ref: master
    resolved: refs/heads/master
    commit: 4987f20d48c22694d84bbffa839168596ea027ae
    date: '2024-05-27T20:38:41Z'
    tree: c92cd93f30dc6c10701522d6930d09c67e447a54
    include:
    - LICENSE
    - include/**
    hash: {sri("fp16")}
    origins:
    - git: https://example.org/fp16
  tvm:
    ref: v0.22.0
    resolved: refs/tags/v0.22.0
    commit: 9dbf3f22ff6f44962472f9af310fda368ca85ef2
    date: '2025-10-21T00:29:17Z'
    tree: 2b0b9b6c0e2f2ed0b0d1f4bf2d1a0b1c2d3e4f50
    hash: {sri("tvm")}
    origins:
    - git: https://example.org/tvm
    - pypi: carrier
      version: '1.10'
      file: carrier-1.10.tar.gz
      sha256: {"ab" * 32}
      path: carrier-1.10/tvm
  tvm/3rdparty/dlpack:
    commit: 3ea601bb413074c49a77c4ce3218bc08f8c4703c
    date: '2024-11-15T19:43:34Z'
    include:
    - include/**
    hash: {sri("dlpack")}
    origins:
    - git: https://example.org/dlpack
    - pypi: carrier
      version: '1.10'
      file: carrier-1.10.tar.gz
      sha256: {"ab" * 32}
      path: carrier-1.10/tvm/3rdparty/dlpack
"""


def environment(text: bytes = ENVIRONMENT) -> Environment:
    return located.check(located.read(text, "small.yaml", SpecError), Environment, SpecError)


def recipe(text: bytes) -> Recipe:
    return located.check(located.read(text, "recipe.yaml", SpecError), Recipe, SpecError)


def specs(*, small: bytes = ENVIRONMENT, tvm: bytes = TVM, fp16: bytes = FP16, smoke: bytes = SMOKE) -> Specs:
    recipes = {"fp16": recipe(fp16), "tvm": recipe(tvm)}
    return Specs("small", environment(small), recipes, {"tvm/smoke.py": smoke})


def lock(text: str = LOCK) -> Lock:
    return locks.parse(text.encode(), "small.lock.yaml")


def wheel(project: str, version: str, platform: str = "linux-64", sha256: str | None = None) -> Wheel:
    digest = sha256 or hashlib.sha256(f"{project}{version}{platform}".encode()).hexdigest()
    return Wheel(project, version, f"{project}-{version}-py3-none-any.whl", digest, platform)


def toolchain() -> Requirements:
    versions = {"cmake": "3.31.10", "ninja": "1.13.0", "ziglang": "0.15.2"}
    platforms = ("linux-64", "linux-aarch64")
    return Requirements(tuple(wheel(*one, platform) for one in versions.items() for platform in platforms))
