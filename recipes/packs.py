"""Packs of git repositories: whether they still have the bytes that git wrote.

A pack and its index each end with the SHA-1 of all that is before it (gitformat-pack(5)). Git does not look
at it when it reads an object; that it has been read right is seen by its id, once it is needed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

_TRAILER = hashlib.sha1(usedforsecurity=False).digest_size
_ENDINGS = (".pack", ".idx", ".rev", ".bitmap", ".mtimes")
_PIECE = 1 << 20  # bytes that are read at once


def damaged(repository: Path) -> Iterator[Path]:
    """Find the packs, and their indexes, of a bare repository that are not as git wrote them.

    Raises OSError where one cannot be read.
    """
    for path in sorted((repository / "objects/pack").glob("pack-*")):
        if path.suffix in _ENDINGS and not _is_whole(path):
            yield path


def _is_whole(path: Path) -> bool:
    digest = hashlib.sha1(usedforsecurity=False)  # git's, against accidents only
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - _TRAILER
        while left > 0 and (chunk := file.read(min(_PIECE, left))):
            digest.update(chunk)
            left -= len(chunk)
        return file.read() == digest.digest()
