"""Downloads: HTTP, HTTPS, `file:` and plain paths, into a file whose hash is known.

What arrives goes to `NAME.part` beside the file; only what has the right hash gets the name. A transfer that
was cut off, in this run or an earlier one, goes on where it ended (RFC 9110, section 14, range requests).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

from recipes import files, flock
from recipes.errors import FetchError, IntegrityError
from recipes.files import PIECE, Tick
from recipes.web import HttpSettings, failure, persist, reason, redacted

if TYPE_CHECKING:
    import httpx2

__all__ = ["LIMIT", "HttpSettings", "download", "read_url", "redacted"]

LIMIT = 8 << 30  # bytes, where neither the caller nor the server says how many there are

_PARTIAL, _NO_SUCH_RANGE = 206, 416

_NOT_THERE = (404, 410)  # what a server says that does not have it


@dataclass(frozen=True)
class _Wanted:
    url: str
    sha256: str
    size: int | None
    limit: int
    settings: HttpSettings
    tick: Tick

    def room(self, announced: int | None) -> int:
        """Say how many bytes may come; raises IntegrityError when other ones are announced."""
        if self.size is not None and announced not in (None, self.size):
            raise IntegrityError(
                f"{redacted(self.url)} does not have its size\n"
                f"  expected  {self.size} bytes\n  actual    {announced} bytes"
            )
        most = next(size for size in (self.size, announced, self.limit) if size is not None)
        if most > self.limit:
            raise self.too_long(self.limit)
        return most

    def too_long(self, room: int) -> IntegrityError:
        return IntegrityError(f"{redacted(self.url)} is longer than it may be\n  limit  {room} bytes")


class _Part:
    """The beginning of a file, on disk, and its hash so far.

    `stitched` says that it comes from more than one answer, `received` counts all that ever arrived, and
    `validator` names the version of the resource that it is of.
    """

    def __init__(self, path: Path) -> None:
        self.length = 0
        self.received = 0
        self.validator: str | None = None
        self.digest = hashlib.sha256()
        self._file = path.open("a+b")
        self._file.seek(0)
        while chunk := self._file.read(PIECE):
            self.digest.update(chunk)
            self.length += len(chunk)
        self.stitched = self.length > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)
        self.length += len(data)
        self.received += len(data)

    def reset(self) -> None:
        self._file.truncate(0)
        self.digest = hashlib.sha256()
        self.length, self.stitched, self.validator = 0, False, None

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def download(
    url: str,
    dest: Path,
    *,
    sha256: str,
    size: int | None,
    settings: HttpSettings,
    tick: Tick,
    limit: int = LIMIT,
) -> None:
    """Bring what a URL names to `dest`, unless it is there; `sha256` is in hex, `size` and `limit` in bytes.

    Makes the directory of `dest`, and beside it `NAME.lock`, which stays, and `NAME.part` for the while.
    Several processes may ask for one file at once: one downloads, the others wait. `tick` is told how many
    bytes are there and how many there will be. Raises IntegrityError for bytes that are not of the hash or
    the size, or longer than allowed, FetchError where the URL gives nothing; then what has arrived is kept.
    """
    wanted = _Wanted(url, sha256.lower(), size, limit, settings, tick)
    part = dest.with_name(f"{dest.name}.part")
    dest.parent.mkdir(parents=True, exist_ok=True)
    with flock.exclusive(dest.with_name(f"{dest.name}.lock")):
        if dest.is_file() and files.sha256(dest) == wanted.sha256:
            return
        try:
            _obtain(wanted, part)
        except IntegrityError:
            part.unlink(missing_ok=True)
            raise
        part.replace(dest)


def _obtain(wanted: _Wanted, path: Path) -> None:
    with _Part(path) as part:
        for _ in range(2):
            _fill(wanted, part)
            if part.digest.hexdigest() == wanted.sha256:
                part.sync()
                return
            if not part.stitched:
                break
            part.reset()  # what an earlier answer left may be what is wrong: ask once for all of it
    raise IntegrityError(
        f"{redacted(wanted.url)} does not have its hash\n"
        f"  expected  sha256:{wanted.sha256}\n  actual    sha256:{part.digest.hexdigest()}"
    )


def _fill(wanted: _Wanted, part: _Part) -> None:
    local = _local(wanted.url)
    if local is not None or part.length > wanted.room(None):
        part.reset()
    if local is not None:
        _drink(_read(local, wanted.url), part, wanted, _size(local))
    elif part.length != wanted.size:
        persist(wanted.url, wanted.settings, lambda http: _receive(http, wanted, part), lambda: part.received)


def _drink(chunks: Iterator[bytes], part: _Part, wanted: _Wanted, announced: int | None) -> None:
    room = wanted.room(announced)
    wanted.tick(part.length, announced)
    for chunk in chunks:
        if part.length + len(chunk) > room:
            raise wanted.too_long(room)
        part.add(chunk)
        wanted.tick(part.length, announced)


def _receive(http: httpx2.Client, wanted: _Wanted, part: _Part) -> None:
    """Ask for what is missing, and take it."""
    import httpx2  # noqa: PLC0415

    start = part.length
    with http.stream("GET", wanted.url, headers=_range(part)) as answer:
        misses = answer.status_code in (_PARTIAL, _NO_SUCH_RANGE) and _starts_at(answer) != start
        if not (start and misses):
            answer.raise_for_status()
            if start and answer.status_code != _PARTIAL:
                part.reset()
            part.stitched = part.length > 0
            part.validator = _validator(answer)
            announced = _announced(answer, part.length)
            _drink(answer.iter_raw(), part, wanted, announced)
            if part.length < (announced or wanted.size or 0):
                raise httpx2.RemoteProtocolError(f"the answer ended after {part.length} bytes")
            return
    part.reset()
    _receive(http, wanted, part)


def _range(part: _Part) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if part.length:
        headers["Range"] = f"bytes={part.length}-"
        if part.validator is not None:
            headers["If-Range"] = part.validator
    return headers


def _starts_at(answer: httpx2.Response) -> int | None:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _announced(answer: httpx2.Response, start: int) -> int | None:
    """Say how long the whole is, by `Content-Range: bytes 5-9/10` or by the length of this answer."""
    whole = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
    if whole:
        return int(whole[1])
    length = answer.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _validator(answer: httpx2.Response) -> str | None:
    """Give what `If-Range` may name (RFC 9110, 13.1.5): a strong entity tag, or else a date."""
    tag: str | None = answer.headers.get("ETag")
    date: str | None = answer.headers.get("Last-Modified")
    return tag if tag and not tag.startswith("W/") else date


def read_url(url: str, settings: HttpSettings, limit: int) -> bytes:
    """Read a small document. Raises FetchError where there is none, or one of more than `limit` bytes."""

    def receive(http: httpx2.Client) -> bytes:
        with http.stream("GET", url) as answer:
            answer.raise_for_status()
            return _gathered(answer.iter_bytes(), url, limit)

    local = _local(url)
    if local is not None:
        return _gathered(_read(local, url), url, limit)
    return persist(url, settings, receive, lambda: 0)


def answers(url: str, settings: HttpSettings) -> tuple[bool | None, str | None]:
    """Say whether a server has what a URL names, without reading it: None where it could not be asked."""

    def ask(http: httpx2.Client) -> tuple[bool | None, str | None]:
        with http.stream("GET", url) as answer:
            if answer.status_code in _NOT_THERE:
                return False, f"HTTP {answer.status_code} {answer.reason_phrase}"
            answer.raise_for_status()
            return True, None

    local = _local(url)
    try:
        if local is not None:
            return (True, None) if local.is_file() else (False, "there is no such file")
        return persist(url, settings, ask, lambda: 0)
    except FetchError as error:
        return None, reason(error)
    except OSError as error:  # a directory that may not be read
        return None, error.strerror or str(error)


def _gathered(chunks: Iterator[bytes], url: str, limit: int) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise FetchError(f"{redacted(url)} is longer than a document may be\n  limit  {limit} bytes")
    return bytes(data)


def _local(url: str) -> Path | None:
    """Give the path that a `file:` URL (RFC 8089) or a plain path names, or None for any other URL."""
    if "://" not in url and not url.startswith("file:"):
        return Path(url)
    found = re.fullmatch(r"file:(?://(?:localhost)?)?(/[^?#]*)(?:#.*)?", url)
    return Path(unquote(found[1], errors="surrogateescape")) if found else None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _read(path: Path, url: str) -> Iterator[bytes]:
    if not path.is_file():
        raise failure(url, "there is no such file")
    try:
        with path.open("rb") as file:
            while chunk := file.read(PIECE):
                yield chunk
    except OSError as error:
        raise failure(url, error.strerror or str(error)) from None
