"""Any bytes, read: success or an error that names the file; and laws of what is written and read back.

docs/fuzzing.md says what is promised; the targets are in fuzztargets.py.
"""

from __future__ import annotations

import importlib.util
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import fuzztargets
import pytest
from fuzztargets import TARGETS, grown
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from recipes import aptsources, breakages, files, gitsays, hashes, logs, treewriter
from recipes.errors import SpecError
from recipes.hashes import Directory, File, Link, Node
from recipes.tree import Entry, Filter, to_bytes
from recipes.treewriter import TreeWriter

RUNS = {"specs": 4000, "lock": 4000, "wheels": 20_000, "archive": 5000, "tree": 3000}

changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 40), st.binary(max_size=12)), max_size=4
)


def changed(seed: bytes, some: list[tuple[float, int, bytes]]) -> bytes:
    """Replace parts of a sound input, each from a place on, so many bytes, by others."""
    for where, length, new in some:
        at = int(where * len(seed))
        seed = seed[:at] + new + seed[at + length :]
    return seed


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_sound_inputs(name: str) -> None:
    for seed in fuzztargets.seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=60)
@given(data=st.data(), some=changes)
def test_changed_inputs(name: str, data: st.DataObject, some: list[tuple[float, int, bytes]]) -> None:
    TARGETS[name](changed(data.draw(st.sampled_from(fuzztargets.seeds(name))), some))


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=40)
@given(st.binary(max_size=600))
@example(b"")
@example(b"\n")
@example(b"\xff" * 600)
@example(bytes(600))
def test_any_bytes(name: str, raw: bytes) -> None:
    TARGETS[name](raw)


# what was a traceback once, in the form that the targets take
LOCKED = fuzztargets.seeds("wheels")[0]
FOUND = [
    ("wheels", re.sub(rb"3\.\d+\.\d+", b"9" * 5000, LOCKED)),  # Python makes no number of 4301 digits
    ("wheels", re.sub(rb"-py3", b"-" + b"9" * 5000 + b"-py3", LOCKED)),
]


@pytest.mark.parametrize(("name", "raw"), FOUND)
def test_what_was_found(name: str, raw: bytes) -> None:
    TARGETS[name](raw)


MARKUP = st.sampled_from(
    ["\x1b[", "\x1b]", "fatal: ", "remote: ", "error: ", "\r", "\n", " ", ":", "_", "9" * 50, "~"]
)
SAID = st.lists(MARKUP | st.text(max_size=8), max_size=40).map("".join)


@given(SAID)
@example("9" * 5000)
@example("Package: a\nVersion: " + "9" * 5000)
def test_what_other_programs_say(said: str) -> None:
    aptsources.order(said)
    aptsources.listed(f"Package: a\nVersion: {said}\nChecksums-Sha256:\n {said}\n{said}", "a")
    aptsources.entries({"a.list": said, "a.sources": said}, None)
    assert gitsays.reason(said).isprintable()
    assert gitsays.absent(said) is None
    found = [logs.text(line) for line in logs.lines([said.encode("utf-8", "replace")])]
    assert len(logs.decisive(found)) <= 25


@given(SAID)
def test_a_table_of_breakages(said: str) -> None:
    try:
        breakages.parse(f"breakages:\n  - {said}\n".encode(), "x.yaml")
    except SpecError as error:
        fuzztargets.expected(error, "x.yaml")


# ---- laws

NAMES = st.one_of(
    st.sampled_from(
        ["a", "A", "b", "é", "e\u0301", "a.b", "a b", "a\nb", "-x", "\udcff", "ß", "SS", "\u202e"]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=5),
).filter(lambda name: name not in (".", "..", ".git"))
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.builds(lambda data, bit: File(len(data), [data], bit), st.binary(max_size=40), st.booleans()),
    st.builds(Link, NAMES),
)
TREES: st.SearchStrategy[Node] = st.recursive(
    LEAVES, lambda below: st.dictionaries(NAMES, below, min_size=1, max_size=4).map(Directory), max_leaves=12
)


def entries(node: Node, path: str = "") -> list[Entry]:
    if isinstance(node, Link):
        return [Entry(path, "symlink", target=node.target)]
    if isinstance(node, File):
        return [Entry(path, "file", node.size, node.executable, node.chunks)]
    return [
        one
        for name, child in node.children.items()
        for one in entries(child, f"{path}/{name}" if path else name)
    ]


def leaves(some: list[Entry]) -> list[tuple[str, Node]]:
    return [(one.path, fuzztargets._leaf(one)) for one in some]


@settings(max_examples=60)
@given(st.dictionaries(NAMES, TREES, max_size=4).map(Directory))
def test_a_tree_hashes_the_same_in_memory_on_disk_and_copied(node: Directory) -> None:
    place = fuzztargets.scratch("law")
    writer = TreeWriter(place / "root", Filter(), "law")
    assert all(writer.take(one) for one in entries(node))
    fuzztargets._same(place, node)
    treewriter.copy_tree(place / "copy", place / "again")  # a copy of a copy is the same
    assert files.tree_hash(place / "again") == files.tree_hash(place / "copy")
    files.remove(place)


GLOBS = st.sampled_from(["*", "**", "a", "a/**", "/b", "*.b", "**/a", "a*/", "é", "!a", "[ab]", "b/a"])
PATHS = st.lists(st.sampled_from(["a", "b", "a.b", "é", "ab"]), min_size=1, max_size=4).map("/".join)
FILTERS = st.builds(
    Filter,
    include=st.lists(GLOBS, max_size=2).map(tuple),
    exclude=st.lists(GLOBS, max_size=2).map(tuple),
    strip=st.sampled_from(["", "a", "a/b"]),
    modes=st.sampled_from(["git", "plain"]),
)


@given(FILTERS, PATHS)
def test_a_filter_moves_by_its_prefix_and_only_by_it(one: Filter, path: str) -> None:
    place = one.place(path)
    assert place is None or path == (f"{one.strip}/{place}" if one.strip else place)


@given(FILTERS, PATHS)
def test_a_filter_that_takes_less_takes_nothing_else(one: Filter, path: str) -> None:
    everything = Filter(strip=one.strip).place(path)
    assert one.place(path) in (None, everything)
    without = Filter(one.include, (), one.strip)
    assert Filter(one.include, ("**",), one.strip).place(path) is None
    assert (
        one.place(path) is None
        or any(one_glob.startswith("!") for one_glob in one.exclude)
        or (without.place(path) is not None)
    )


@given(FILTERS, PATHS)
def test_taking_twice_takes_the_same(one: Filter, path: str) -> None:
    place = one.place(path)
    assume(place is not None)
    assert place is not None
    again = Filter(one.include, one.exclude, "", one.modes)
    assert again.place(place) == place
    assert one.mode(one.mode(True)) == one.mode(True)
    assert not one.mode(False)


@given(st.lists(st.tuples(PATHS, LEAVES), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter(some: list[tuple[str, Node]], chance: object) -> None:
    found: dict[str, Node] = {}
    for path, leaf in some:
        if not any(f"{path}/".startswith(f"{one}/") or f"{one}/".startswith(f"{path}/") for one in found):
            found[path] = leaf
    other = list(reversed(found.items()))
    assert hashes.nar_hash(grown([*found.items()])) == hashes.nar_hash(grown(other))
    assert sorted(to_bytes(path) for path in found) == sorted(to_bytes(path) for path, _ in other)


# ---- coverage-guided


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_coverage_guided_fuzzer_finds_nothing(name: str, tmp_path: Path, root: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris, which there is for Linux on x86-64")
    program = root / "tests" / "fuzz" / f"{name}.py"
    options = [f"-runs={RUNS[name]}", "-seed=1", "-max_len=4096", "-timeout=60", "-rss_limit_mb=2048"]
    done = subprocess.run(
        [sys.executable, program, *options, f"-artifact_prefix={tmp_path}/", tmp_path / "corpus"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (110, 110)),
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    assert f"Done {RUNS[name]} runs" in done.stderr.decode(errors="replace")
