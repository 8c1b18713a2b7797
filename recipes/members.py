"""What an archive may hold: the rules that tar and zip share, and how much of it there may be."""

from __future__ import annotations

import errno
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from recipes import tree
from recipes.errors import IntegrityError

LONGEST_METADATA = 1 << 20  # bytes of one extended header or link target: no path is near it

# All that gzip, bz2, lzma, tarfile and zipfile were seen to raise for bytes that are not what they should
# be; zipfile's NotImplementedError is a RuntimeError, a name that is not UTF-8 a ValueError.
_DAMAGE: tuple[type[Exception], ...] = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,
    RuntimeError,
    OverflowError,
    LookupError,
)


@dataclass(frozen=True)
class Limits:
    """How much one archive may hold: unpacked bytes (for a tar with its headers) and members."""

    unpacked: int = 16 << 30
    members: int = 1_000_000


class Tally:
    """Counts what came out of an archive and stops a bomb; raises IntegrityError past a limit."""

    def __init__(self, origin: str, limits: Limits) -> None:
        self._origin = origin
        self._limits = limits
        self._bytes = 0
        self._members = 0

    def add_bytes(self, count: int) -> None:
        """Count unpacked bytes."""
        self._bytes += count
        if self._bytes > self._limits.unpacked:
            raise self._too_much(f"{self._limits.unpacked} bytes")

    def add_members(self, count: int) -> None:
        """Count members of any kind."""
        self._members += count
        if self._members > self._limits.members:
            raise self._too_much(f"{self._limits.members} members")

    def _too_much(self, limit: str) -> IntegrityError:
        return IntegrityError(f"{self._origin} unpacks to more than is allowed\n  limit  {limit}")


@contextmanager
def damage(origin: str, *more: type[Exception]) -> Iterator[None]:
    """Turn whatever a library raises for damaged bytes into an IntegrityError that names the archive.

    `more` are further exceptions that mean damage. An OSError of the operating system passes: a disk that
    fails is not the archive's fault.
    """
    try:
        yield
    except (*_DAMAGE, *more) as error:
        _damaged(origin, error)
    except OSError as error:
        # gzip and bz2 raise OSError without a number; EINVAL is zipfile seeking to before the beginning
        if error.errno not in (None, errno.EINVAL):
            raise
        _damaged(origin, error)


def _damaged(origin: str, error: Exception) -> NoReturn:
    reason = str(error) or type(error).__name__
    raise IntegrityError(f"{origin} is damaged, or no archive of its kind\n  reason  {reason}") from None


def too_short(origin: str) -> IntegrityError:
    """Make the error for an archive that ends before its end."""
    return IntegrityError(f"{origin} is damaged, or no archive of its kind\n  reason  it ends too soon")


def refuse(origin: str, name: str, kind: str) -> NoReturn:
    """Refuse a member that is neither a file, a directory nor a symbolic link. Raises IntegrityError."""
    raise IntegrityError(
        f"{origin} has a member of a kind that is not allowed\n  name  {name!r}\n  kind  {kind}"
    )


def clean(name: str, origin: str) -> str:
    """Give a member's path: without `./` before it or `/` after it.

    Raises IntegrityError for what `tree.check_name` refuses.
    """
    while name.startswith("./"):
        name = name[2:]
    name = name.removesuffix("/")
    tree.check_name(name, origin)
    return name


def is_top(name: str) -> bool:
    """Say whether a name is that of the top itself, `.` or `./`: many tars begin with it."""
    return name.rstrip("/") == "."
