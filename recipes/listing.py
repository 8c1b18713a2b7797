"""What package indexes list: the links on their pages, and the search through them for one file.

Pages are HTML as in PEP 503 or JSON as in PEP 691; an index is a server or a directory. Import this module
late: httpx2 and unearth take a tenth of a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urljoin, urlsplit

import httpx2
from packaging.utils import canonicalize_name
from unearth import Link, PackageFinder
from unearth.collector import IndexHTMLParser, is_secure_origin
from unearth.fetchers import Fetcher, PyPIClient

from recipes.errors import FetchError, IntegrityError
from recipes.pipconfig import IndexSettings

LARGEST = 64 << 20  # bytes of a page, unpacked: far more than any project needs
SLOWEST = 12  # times the client's timeout: how long a page may take in all

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_ARCHIVES = (".whl", ".zip", ".gz", ".bz2", ".xz", ".tgz", ".zst")


class Silent(Exception):  # noqa: N818 - what happened, not whose error it is
    """An index does not answer, or with something that is no page; the message says which."""


class Unreachable(Silent):
    """An index does not answer at all, whatever it is asked for."""


@dataclass(frozen=True)
class Source:
    """A place where files are looked for: an index, with a page for each project, or pip's find-links."""

    url: str
    kind: Literal["index", "links"]

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without credentials."""
        return shown(self.url)

    @property
    def local(self) -> Path | None:
        """The path, where it is on this machine."""
        if urlsplit(self.url).scheme in ("http", "https"):
            return None
        return Link(self.url).file_path if self.url.startswith("file:") else Path(self.url)


@dataclass(frozen=True)
class Listed:
    """A file as a page lists it; what the page leaves out is None.

    `yanked` is the reason why nobody should take it, empty where the page gives none (PEP 592); `requires`
    are the versions of Python that it is for, as the page has them; `uploaded` is a day in UTC, which only
    pages of JSON have (PEP 700).
    """

    url: str
    file: str
    sha256: str | None = None
    size: int | None = None
    yanked: str | None = None
    requires: str | None = None
    uploaded: date | None = None


def shown(url: str) -> str:
    """Give a URL without the credentials in it."""
    return Link(url).redacted if "@" in url else url


def file_name(url: str) -> str:
    """Give the name of the file that a URL ends in."""
    return Link(url).filename


def authorised(url: str, settings: IndexSettings) -> str:
    """Put the credentials that pip has in the URL of a place into a URL of the same server."""
    parts = urlsplit(url)
    for place in map(urlsplit, (*settings.index_urls, *settings.extra, *settings.find_links)):
        _, given, host = place.netloc.rpartition("@")
        if given and (place.scheme, host) == (parts.scheme, parts.netloc):
            return parts._replace(netloc=place.netloc).geturl()
    return url


def sources(settings: IndexSettings, home: str) -> list[Source]:
    """Give the places to ask, in order, without the directories of find-links that do not exist."""
    links = [f"{home}{url[1:]}" if url.startswith("~/") else url for url in settings.find_links]
    found = [Source(url, "links") for url in links]
    indexes = settings.index_urls or (PackageFinder().sources[0]["url"],)  # unearth's default is pip's
    if not settings.no_index:
        found += [Source(url, "index") for url in (*indexes, *settings.extra)]
    return [one for one in found if one.kind == "index" or one.local is None or one.local.exists()]


def files(client: PyPIClient, source: Source, project: str) -> list[Listed]:
    """Give what a source lists for a project: of find-links everything, of an index that project's page.

    Yanked files and those for other Pythons are listed like all others. Raises Silent.
    """
    path = source.local
    if source.kind == "links":
        return _links(client, source.url) if path is None else list(_below(client, path))
    if path is not None:
        return _page(client, (path.absolute() / canonicalize_name(project) / "index.html").as_uri())
    return _page(client, f"{source.url.rstrip('/')}/{canonicalize_name(project)}/")


def _links(client: PyPIClient, url: str) -> list[Listed]:
    link = Link(url)
    if link.filename.endswith(_ARCHIVES):
        return [_from_link(link)]
    return _page(client, url)


def _below(client: PyPIClient, path: Path) -> Iterator[Listed]:
    try:
        found = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as wrong:
        raise Silent(wrong.strerror or str(wrong)) from wrong
    for one in found:
        if one.suffix in (".html", ".htm"):
            yield from _page(client, one.absolute().as_uri())
        else:
            yield Listed(one.absolute().as_uri(), one.name)


def _page(client: PyPIClient, url: str) -> list[Listed]:
    # unearth's protocol of a client is narrower than unearth's own client, as mypy reads it
    if not is_secure_origin(cast("Fetcher", client), Link(url)):
        raise Silent("neither https nor a trusted host of pip's")
    try:
        with client.stream("GET", url, headers={"Accept": _ACCEPT}) as response:
            return [] if response.status_code in (404, 410) else _listed(response, client)
    except (httpx2.ConnectError, httpx2.TimeoutException) as wrong:
        raise Unreachable(str(wrong) or type(wrong).__name__) from wrong
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as wrong:
        raise Silent(str(wrong) or type(wrong).__name__) from wrong
    except (ValueError, LookupError, RecursionError) as wrong:  # bytes that are no text, no JSON, no URL
        raise Silent(f"its page cannot be read: {wrong}") from wrong


def _listed(response: httpx2.Response, client: PyPIClient) -> list[Listed]:
    if response.status_code != httpx2.codes.OK:
        raise Silent(f"answers with HTTP status {response.status_code}")
    base, kind = str(response.url), response.headers.get("Content-Type", "").lower()
    content = _content(response, SLOWEST * (client.timeout.read or 1))
    if "json" in kind:
        found = list(_json(json.loads(content), base))
    elif "html" in kind:
        found = list(_html(content.decode(response.charset_encoding or "utf-8"), base))
    else:
        raise Silent(f"sends `{kind}`, no page of an index")
    schemes = ("http", "https", "file") if base.startswith("file:") else ("http", "https")
    return [one for one in found if urlsplit(one.url).scheme in schemes]


def _content(response: httpx2.Response, seconds: float) -> bytes:
    content, end = bytearray(), time.monotonic() + seconds
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > LARGEST:
            raise Silent(f"its page has more than {LARGEST >> 20} MiB")
        if time.monotonic() > end:
            raise Silent(f"its page takes longer than {seconds:g} s")
    return bytes(content)


def _json(page: Any, base: str) -> Iterable[Listed]:
    listed = page.get("files") if isinstance(page, dict) else None
    if not isinstance(listed, list):
        raise ValueError("JSON without a list of files")  # noqa: TRY004 - a server's bytes, not a caller's
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("url"), str):
            url = urljoin(base, one["url"])
            hashes, size, file = one.get("hashes"), one.get("size"), one.get("filename")
            sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
            yield Listed(
                url,
                file if isinstance(file, str) else Link(url).filename,
                sha256.lower() if isinstance(sha256, str) else None,
                size if isinstance(size, int) else None,
                _reason(one.get("yanked")),
                _text(one.get("requires-python")),
                _day(one.get("upload-time")),
            )


def _reason(yanked: Any) -> str | None:
    """Read PEP 691's `yanked`: a reason, or true where there is none to give."""
    return (yanked if isinstance(yanked, str) else "") if yanked else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _day(moment: Any) -> date | None:
    try:
        return date.fromisoformat(moment[:10]) if isinstance(moment, str) else None
    except ValueError:
        return None


def _html(text: str, base: str) -> Iterable[Listed]:
    page = IndexHTMLParser()
    page.feed(text)
    place = urljoin(base, page.base_url or "")
    for anchor in page.anchors:
        href = anchor.get("href")
        if href is not None:
            found = _from_link(Link(urljoin(place, href)))
            # the attribute may have no value (PEP 592); unearth and pip take such a file for a good one
            yanked = (anchor["data-yanked"] or "") if "data-yanked" in anchor else None
            yield replace(found, yanked=yanked, requires=_text(anchor.get("data-requires-python")))


def _from_link(link: Link) -> Listed:
    sha256 = (link.hash_option or {}).get("sha256", [None])[0]
    return Listed(link.url_without_fragment, link.filename, sha256.lower() if sha256 else None)


@dataclass
class Search:
    """What is looked for, and what the places asked so far said."""

    project: str
    file: str | None
    sha256: str | None
    found: tuple[Source, Listed] | None = None
    unhashed: tuple[Source, Listed] | None = None
    wrong: list[tuple[Source, Listed]] = field(default_factory=list)
    said: list[tuple[Source, str]] = field(default_factory=list)
    silent: int = 0

    @property
    def what(self) -> str:
        """The file, as messages name it."""
        if self.file is not None:
            return f"`{self.file}` of `{self.project}`"
        return f"a file of `{self.project}` with SHA-256 {self.sha256}"

    def look(self, source: Source, files: Sequence[Listed]) -> None:
        """Take note of the files that fit: the right hash under any name, or else the right name."""
        named = [one for one in files if one.file == self.file]
        right = [one for one in [*named, *files] if one.sha256 is not None and one.sha256 == self.sha256]
        if self.sha256 is None:
            right = [one for one in named if one.sha256 is not None]
        if right:
            self.found = source, right[0]
        self.unhashed = self.unhashed or next(((source, one) for one in named if one.sha256 is None), None)
        self.wrong += [(source, one) for one in named if one.sha256 is not None]
        self.said.append((source, "does not have it"))

    def fitting(self) -> tuple[Source, Listed]:
        """Give the best that was listed. Raises IntegrityError, FetchError."""
        best = self.found or self.unhashed
        if best is not None:
            return best
        if self.wrong:
            raise self._other_hashes()
        raise self._nowhere()

    def _other_hashes(self) -> IntegrityError:
        lines = [f"{self.what} has another hash on the package index", f"  expected  {self.sha256}"]
        for source, one in self.wrong:
            lines += [f"  actual    {one.sha256}", f"  origin    {source.shown}"]
        return IntegrityError("\n".join(lines), hint="nothing was downloaded; see `git log -p locks`")

    def _nowhere(self) -> FetchError:
        asked, answered = len(self.said), len(self.said) - self.silent
        among = "" if answered == asked else f" of {asked} that answer{'s' if answered == 1 else ''}"
        first = f"{self.what} is on none of the {answered} package indexes{among}"
        if answered == 1:
            first = f"{self.what} is not on the {'one ' if among else ''}package index{among}"
        if not answered:
            first = f"no package index can be reached for {self.what}"
        lines = [f"  {source.shown}  {what}" for source, what in self.said]
        return FetchError("\n".join([first, *lines]), hint="`pip config list` shows where pip looks")

    def keep_silence(self, source: Source, why: str) -> None:
        """Take note of a place that does not answer."""
        self.said.append((source, why))
        self.silent += 1
