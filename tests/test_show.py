import json

import specimen

from recipes import show

TEXT = f"""\
small: the compiler, small
target     tvm
toolchain  pypi: cmake<4, ninja, ziglang
platforms  linux-64, linux-aarch64

fp16: half-precision conversions (MIT)
  ref      master
  origin   https://example.org/fp16
  locked   .  4987f20d48c22694d84bbffa839168596ea027ae  {specimen.sri("fp16")}

tvm: the compiler (Apache-2.0)
  ref      v0.22.0
  origin   https://example.org/tvm
  origin   carrier-1.10.tar.gz of the package index
  option   USE_LLVM=ON
  option   FP16_DIR={{fp16}}/include
  locked   .  9dbf3f22ff6f44962472f9af310fda368ca85ef2  {specimen.sri("tvm")}
  locked   3rdparty/dlpack  3ea601bb413074c49a77c4ce3218bc08f8c4703c  {specimen.sri("dlpack")}"""


def test_a_variant_as_text() -> None:
    assert show.text(specimen.specs(), specimen.lock()) == TEXT


def test_a_variant_that_is_not_locked_says_nothing_of_its_lock() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("  locked")]
    assert show.text(specimen.specs(), None).splitlines() == lines


def test_a_source_without_a_commit() -> None:
    text = specimen.LOCK.replace("    commit: 4987f20d48c22694d84bbffa839168596ea027ae\n", "")
    shown = show.text(specimen.specs(), specimen.lock(text))
    assert f"  locked   .  -  {specimen.sri('fp16')}\n" in shown


HELD = """\
held:
  sources:
    fp16: {commit: 4987f20d48c22694d84bbffa839168596ea027ae, why: "x: y", retry: 2026-12-09}
  pypi:
    cmake: {version: 3.31.10, why: w, retry: 2026-12-10}
"""


def test_what_is_held_back_is_shown() -> None:
    specs = specimen.specs(small=specimen.ENVIRONMENT + HELD.encode())
    package = "held       cmake 3.31.10 until 2026-12-10: w\n"
    source = "  held     4987f20d48c2 until 2026-12-09: x: y\n"
    text = TEXT.replace("platforms", f"{package}platforms")
    text = text.replace("  ref      master\n", f"  ref      master\n{source}")
    assert show.text(specs, specimen.lock()) == text
    assert json.loads(json.dumps(show.document(specs, None)))["held"] == {
        "sources": {
            "fp16": {
                "commit": "4987f20d48c22694d84bbffa839168596ea027ae",
                "broken": None,
                "why": "x: y",
                "retry": "2026-12-09",
            }
        },
        "pypi": {"cmake": {"version": "3.31.10", "why": "w", "retry": "2026-12-10"}},
    }
    assert show.document(specimen.specs(), None)["held"] == {"sources": {}, "pypi": {}}


def test_a_variant_as_json() -> None:
    found = show.document(specimen.specs(), specimen.lock())
    assert json.loads(json.dumps(found)) == found
    assert {key: found[key] for key in ("variant", "target", "platforms")} == {
        "variant": "small",
        "target": "tvm",
        "platforms": ["linux-64", "linux-aarch64"],
    }
    assert found["sources"][0] == {
        "name": "fp16",
        "summary": "half-precision conversions",
        "license": "MIT",
        "ref": "master",
        "inputs": [],
        "options": {},
        "origins": ["https://example.org/fp16"],
        "locked": {".": {"commit": "4987f20d48c22694d84bbffa839168596ea027ae", "hash": specimen.sri("fp16")}},
    }
    assert list(found["sources"][1]["locked"]) == [".", "3rdparty/dlpack"]
