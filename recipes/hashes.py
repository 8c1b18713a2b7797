"""Hashes: SHA-256 in SRI form, Nix's NAR serialisation of a tree, git's object ids.

NAR is the format of Nix (Dolstra, "The Purely Functional Software Deployment Model", figure 5.2), so
`nix hash path --type sha256` on a store path prints the same hash. No I/O here: a tree is a mapping of
names (`str` as in `recipes.tree`), and files hand over their bytes as an iterable.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from recipes.tree import to_bytes

NIX_BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"  # Nix leaves out e, o, u and t


@dataclass(frozen=True)
class File:
    """A regular file: its size in bytes, its owner's executable bit, its bytes."""

    size: int
    chunks: Iterable[bytes]
    executable: bool = False


@dataclass(frozen=True)
class Link:
    """A symbolic link and where it points, dangling or not."""

    target: str


@dataclass(frozen=True)
class Directory:
    """A directory: nodes by name."""

    children: Mapping[str, Node] = field(default_factory=dict)


Node: TypeAlias = "File | Link | Directory"


def sri(digest: bytes) -> str:
    """Write a SHA-256 digest (32 bytes) as a Subresource Integrity string, `sha256-BASE64=`."""
    return f"sha256-{base64.b64encode(digest).decode()}"


def is_sri(text: str) -> bool:
    """Say whether `text` is a SHA-256 SRI string as `sri` writes it: base64 has several for some bytes."""
    try:
        decoded = base64.b64decode(text.removeprefix("sha256-"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(decoded) == hashlib.sha256().digest_size and text == sri(decoded)


def store_hash(text: str) -> str:
    """Hash canonical text, or a path as in `recipes.tree`, into the 32 characters that begin a name.

    A store path's name begins so; it is 160 bits of the SHA-256.
    """
    digest = hashlib.sha256(to_bytes(text)).digest()[:20]
    number = int.from_bytes(digest, "big")
    return "".join(NIX_BASE32[(number >> shift) & 31] for shift in range(155, -1, -5))


def nar_hash(node: Node) -> str:
    """Give the SRI hash of a tree's NAR serialisation."""
    return nar_hash_and_size(node)[0]


def nar_hash_and_size(node: Node) -> tuple[str, int]:
    """Give the SRI hash of a tree's NAR serialisation and the length of that serialisation in bytes."""
    digest, size = hashlib.sha256(), 0
    for piece in nar(node):
        digest.update(piece)
        size += len(piece)
    return sri(digest.digest()), size


def nar(node: Node) -> Iterator[bytes]:
    """Serialise a tree in Nix's archive format, piece by piece, however deep it is.

    Raises ValueError for a file whose chunks do not add up to its size.
    """
    yield _string(b"nix-archive-1")
    # A list of what is still to be written, last first, in place of recursion: generators nested as deep as
    # the tree would pass each piece through all of them.
    todo: list[Node | bytes] = [node]
    while todo:
        item = todo.pop()
        if isinstance(item, bytes):
            yield item
        elif isinstance(item, File):
            yield from _file(item)
        elif isinstance(item, Link):
            yield _strings(b"(", b"type", b"symlink", b"target", to_bytes(item.target), b")")
        else:
            yield _strings(b"(", b"type", b"directory")
            todo += _directory(item)


def _directory(node: Directory) -> Iterator[Node | bytes]:
    """List what follows the opening of a directory, last first."""
    yield _string(b")")
    for name in sorted(node.children, key=to_bytes, reverse=True):
        yield _string(b")")
        yield node.children[name]
        yield _strings(b"entry", b"(", b"name", to_bytes(name), b"node")


def _file(node: File) -> Iterator[bytes]:
    mark = (b"executable", b"") if node.executable else ()
    yield _strings(b"(", b"type", b"regular", *mark, b"contents") + node.size.to_bytes(8, "little")
    length = 0
    for chunk in node.chunks:
        length += len(chunk)
        yield chunk
    if length != node.size:
        raise ValueError(f"a file said to have {node.size} bytes has {length}")
    yield bytes(-length % 8) + _string(b")")


def _strings(*parts: bytes) -> bytes:
    return b"".join(map(_string, parts))


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


def git_object_id(kind: str, data: bytes) -> str:
    """Give the SHA-1 id that git gives an object of this kind (`blob`, `tree`, `commit`) and content."""
    # SHA-1 is git's name for an object, never our proof of content: that is the NAR hash
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def git_tree_id(node: Directory) -> str:
    """Give the id that git gives a tree: names sorted as if directories ended in `/`, empty ones left out."""
    lines = []
    for name, child in node.children.items():
        mode, digest = _git_entry(child)
        if digest != _EMPTY_TREE:
            order = to_bytes(name) + (b"/" if isinstance(child, Directory) else b"")
            lines.append((order, mode + b" " + to_bytes(name) + b"\0" + bytes.fromhex(digest)))
    return git_object_id("tree", b"".join(line for _, line in sorted(lines)))


_EMPTY_TREE = git_object_id("tree", b"")


def _git_entry(node: Node) -> tuple[bytes, str]:
    if isinstance(node, Directory):
        return b"40000", git_tree_id(node)
    if isinstance(node, Link):
        return b"120000", git_object_id("blob", to_bytes(node.target))
    return b"100755" if node.executable else b"100644", git_object_id("blob", b"".join(node.chunks))
