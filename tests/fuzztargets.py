"""What a fuzzer feeds bytes to: each target takes any bytes and raises where a promise is broken.

The promises are in docs/fuzzing.md. The targets are run by tests/test_fuzz.py, on bytes that Hypothesis
makes, and by the programs in tests/fuzz, on bytes that a coverage-guided fuzzer makes.
"""

from __future__ import annotations

import atexit
import bz2
import functools
import gzip
import io
import lzma
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import specimen

from recipes import archives, files, hashes, requirements, treewriter
from recipes import lock as locks
from recipes.errors import IntegrityError, RecipesError
from recipes.hashes import Directory, File, Link, Node
from recipes.members import Limits
from recipes.project import Project
from recipes.tree import Entry, Filter, to_bytes, to_text
from recipes.treewriter import TreeWriter

LIMITS = Limits(unpacked=1 << 20, members=200)
BOTH = ("linux-64", "linux-aarch64")
Target = Callable[[bytes], None]


@functools.cache
def _top() -> Path:
    """Make a directory that lasts as long as this process, in memory where there is such a place."""
    memory = "/dev/shm"
    made = Path(tempfile.mkdtemp(prefix="recipes-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))
    atexit.register(files.remove, made)
    return made


def scratch(of: str) -> Path:
    """Give an empty directory of this process."""
    place = _top() / of
    files.remove(place)
    place.mkdir(0o755)
    return place


def expected(error: RecipesError, name: str) -> None:
    """See that an error names the file in its first line, and holds nothing that a terminal obeys."""
    first, *_ = error.message.split("\n")
    assert name in first, error.message
    assert all(one.isprintable() or one in "\n\t" for one in str(error)), error.message


# ---- YAML


def specs(data: bytes) -> None:
    """Read an environment (first byte even) or a recipe, in a project of which the other half is sound."""
    place = scratch("specs")
    is_recipe = bool(data[:1]) and data[0] % 2 == 1
    parts = {
        "environments/small.yaml": specimen.ENVIRONMENT,
        "recipes/components/fp16/recipe.yaml": specimen.FP16,
        "recipes/components/tvm/recipe.yaml": specimen.TVM,
        "recipes/components/tvm/smoke.py": specimen.SMOKE,
    }
    name = "recipes/components/tvm/recipe.yaml" if is_recipe else "environments/small.yaml"
    for path, text in {**parts, name: data[1:]}.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(text)
    try:
        found = Project(place).specs("small")
    except RecipesError as error:
        # what does not fit together is told of either file
        expected(error, name if f"{name}:" in error.message else ".yaml:")
    else:
        list(found.sources())
        [found.options(component, one) for component in found.recipes for one in (None, *BOTH)]
    finally:
        files.remove(place)


def lock(data: bytes) -> None:
    """Read a lock; what is read can be written, compared and dated."""
    try:
        found = locks.parse(data, "x.lock.yaml")
    except RecipesError as error:
        return expected(error, "x.lock.yaml")
    assert locks.parse(locks.render(found).encode(), "x.lock.yaml") == found
    locks.unsatisfied(found, list(specimen.specs().sources()))
    assert all(found.epoch(name) is not None for name in found.sources)
    return None


def wheels(data: bytes) -> None:
    """Read the lock of a toolchain; what is read can be written, hashed and compared."""
    try:
        found = requirements.parse(data.decode(errors="replace"), "x.txt")
    except RecipesError as error:
        return expected(error, "x.txt")
    assert requirements.parse(requirements.render(found), "x.txt") == found
    requirements.unsatisfied(found, ["cmake>=3.26,<4", "ninja"], BOTH)
    assert all(hashes.is_sri(found.digest(platform)) for platform in BOTH)
    return None


# ---- archives

KINDS: Mapping[str, Callable[[bytes], bytes]] = {
    "x.tar": bytes,
    "x.tar.gz": gzip.compress,
    "x.tar.bz2": bz2.compress,
    "x.tar.xz": lambda data: lzma.compress(data, preset=0),
    "x.tar.zst": bytes,
    "x.zip": bytes,
    "x.whl": bytes,
}
COMPRESS, SUM = 0x40, 0x80  # bits of the first byte: the bytes are to be compressed, headers' sums made right


def archive(data: bytes) -> None:
    """Unpack an archive whose kind is in the first byte; nothing is written but below its directory."""
    place = scratch("archive")
    first = data[0] if data else 0
    name = sorted(KINDS)[first % len(KINDS)]
    body = _summed(data[1:]) if first & SUM else data[1:]
    (place / name).write_bytes(KINDS[name](body) if first & COMPRESS else body)
    (place / "canary").write_bytes(b"alive")
    try:
        unpacked(place / name, place / "root")
    except IntegrityError as error:
        expected(error, name)
    finally:
        _is_unharmed(place, name)
        files.remove(place)


def unpacked(path: Path, root: Path) -> None:
    """Unpack, and see that what is on disk has the hash of what was in the archive."""
    writer = TreeWriter(root, Filter(), path.name)
    archives.unpack(path, path.name, [archives.Want("", writer)], lambda *_: None, limits=LIMITS)
    taken = list(_taken(archives.entries(path, path.name, limits=LIMITS)))
    assert files.tree_hash(root) == hashes.nar_hash_and_size(grown(taken))


def _taken(entries: Iterator[Entry]) -> Iterator[tuple[str, Node]]:
    for one in entries:
        data = b"".join(one.chunks)
        if ".git" not in one.path.split("/"):
            file = File(len(data), [data], one.executable)
            yield one.path, Link(one.target) if one.kind == "symlink" else file


def grown(leaves: list[tuple[str, Node]]) -> Directory:
    """Make a tree of its leaves by path."""
    top: dict[str, Node] = {}
    for path, leaf in leaves:
        *parents, name = path.split("/")
        at = top
        for parent in parents:
            below = at.setdefault(parent, Directory({}))
            assert isinstance(below, Directory)
            assert isinstance(below.children, dict)
            at = below.children
        at[name] = leaf
    return Directory(top)


def _is_unharmed(place: Path, name: str) -> None:
    assert {one.name for one in place.iterdir()} <= {name, "canary", "root"}
    assert (place / "canary").read_bytes() == b"alive"
    for folder, directories, names in os.walk(place / "root"):
        for one in (Path(folder, name) for name in (*directories, *names)):
            assert not one.is_symlink() or one.resolve().is_relative_to(place / "root"), one


def _summed(data: bytes) -> bytes:
    """Make right the check sum of each tar header: no fuzzer guesses it."""
    blocks = bytearray(data)
    for start in range(0, len(data) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            total = sum(blocks[start : start + 512])
            blocks[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(blocks)


# ---- trees


def tree(data: bytes) -> None:
    """Make a tree of bytes; its NAR can be read back, and it hashes the same on disk as in memory."""
    place = scratch("tree")
    writer = TreeWriter(place / "root", Filter(), "the fuzzer")
    leaves = []
    for entry in _entries(data):
        try:
            writer.take(entry)
        except IntegrityError as error:
            expected(error, "the fuzzer")
            break
        leaves.append((entry.path, _leaf(entry)))
    else:
        _same(place, grown([one for one in leaves if ".git" not in one[0].split("/")]))
    files.remove(place)


def _entries(data: bytes) -> Iterator[Entry]:
    r"""Take lines apart: a first byte that tells the kind, a path, `\0`, a content or a link's target."""
    for line in data.split(b"\n"):
        path, _, content = line[1:].partition(b"\0")
        if line[:1] == b"l":
            yield Entry(to_text(path), "symlink", target=to_text(content))
        elif line:
            yield Entry(to_text(path), "file", len(content), line[:1] == b"x", [content])


def _leaf(entry: Entry) -> Node:
    if entry.kind == "symlink":
        return Link(entry.target)
    return File(entry.size, list(entry.chunks), entry.executable)


def _same(place: Path, node: Directory) -> None:
    nar = b"".join(hashes.nar(node))
    assert read_nar(nar) == _plain(node)
    assert files.tree_hash(place / "root") == (hashes.nar_hash(node), len(nar))
    treewriter.copy_tree(place / "root", place / "copy")
    assert files.tree_hash(place / "copy") == files.tree_hash(place / "root")


def _plain(node: Node) -> object:
    if isinstance(node, File):
        return node.executable, b"".join(node.chunks)
    if isinstance(node, Link):
        return to_bytes(node.target)
    return {to_bytes(name): _plain(child) for name, child in node.children.items()}


def read_nar(data: bytes) -> object:
    """Read a NAR as Nix's `parseDump` does: a dict, a link's target, or a file's executable bit and bytes."""
    stream = io.BytesIO(data)
    _words(stream, b"nix-archive-1")
    found = _node(stream)
    assert not stream.read()
    return found


def _string(stream: io.BytesIO) -> bytes:
    size = int.from_bytes(stream.read(8), "little")
    found = stream.read(size)
    assert len(found) == size
    assert stream.read(-size % 8) == bytes(-size % 8)
    return found


def _words(stream: io.BytesIO, *words: bytes) -> None:
    assert [_string(stream) for _ in words] == [*words]


def _node(stream: io.BytesIO) -> object:
    _words(stream, b"(", b"type")
    kind = _string(stream)
    if kind == b"symlink":
        _words(stream, b"target")
        target = _string(stream)
        _words(stream, b")")
        return target
    if kind == b"regular":
        word = _string(stream)
        if executable := word == b"executable":
            _words(stream, b"", b"contents")
        content = _string(stream)
        _words(stream, b")")
        return executable, content
    assert kind == b"directory"
    return _directory(stream)


def _directory(stream: io.BytesIO) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    while (word := _string(stream)) == b"entry":
        _words(stream, b"(", b"name")
        name = _string(stream)
        assert not found or name > max(found)  # sorted, no name twice
        _words(stream, b"node")
        found[name] = _node(stream)
        _words(stream, b")")
    assert word == b")"
    return found


# ---- what a fuzzer begins with

TARGETS: Mapping[str, Target] = {
    "specs": specs,
    "lock": lock,
    "wheels": wheels,
    "archive": archive,
    "tree": tree,
}


def seeds(target: str) -> list[bytes]:
    """Give a few small inputs of a target that are sound: a fuzzer changes them."""
    made: Mapping[str, Callable[[], list[bytes]]] = {
        "specs": lambda: [b"\0" + specimen.ENVIRONMENT, b"\1" + specimen.TVM, b"\1" + specimen.FP16],
        "lock": lambda: [specimen.LOCK.encode()],
        "wheels": lambda: [requirements.render(specimen.toolchain()).encode()],
        "archive": _archives,
        "tree": lambda: [b"fa/b\0text\nxa/run\0#!\nla/c\0b\nf\xff\0"],
    }
    return made[target]()


def _archives() -> list[bytes]:
    tars = [_tar(form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("top/a", b"text" * 50)
        made.writestr("top/é/b", b"")
    by_kind = {name: number for number, name in enumerate(sorted(KINDS))}
    tarred = [bytes([number | COMPRESS | SUM]) + tars[0] for name, number in by_kind.items() if "tar" in name]
    return [*tarred, bytes([by_kind["x.tar"] | SUM]) + tars[1], bytes([by_kind["x.zip"]]) + out.getvalue()]


def _tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for name, kind, target in (
            ("top/a", tarfile.REGTYPE, ""),
            ("top/é", tarfile.SYMTYPE, "a"),
            ("top/" + "long/" * 30 + "b", tarfile.LNKTYPE, "top/a"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 4 if kind == tarfile.REGTYPE else 0
            made.addfile(info, io.BytesIO(b"text"[: info.size]))
    return out.getvalue()[:4096].rstrip(b"\0").ljust(4096, b"\0") + bytes(1024)
