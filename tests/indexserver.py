"""A package index on 127.0.0.1: PEP 503 pages as HTML, PEP 691 pages as JSON, files, and misbehaviour."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

JSON = "application/vnd.pypi.simple.v1+json"
Behaviour = Literal["right", "hang", "cut-off", "not-found"] | int | bytes


def wheel(
    project: str,
    version: str,
    *,
    tags: str = "py3-none-any",
    needs: Sequence[str] = (),
    content: str = "",
) -> tuple[str, bytes]:
    """Make a wheel: its file name and its bytes, the same each time; `content` makes another of that name."""
    name = project.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in needs)
    members = {
        f"{name}.py": f"{content}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tags}\n",
    }
    members[f"{info}/RECORD"] = _record(members) + f"{info}/RECORD,,\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-{tags}.whl", data.getvalue()


def _record(members: dict[str, str]) -> str:
    def row(path: str, text: str) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        return f"{path},sha256={digest},{len(text.encode())}\n"

    return "".join(row(path, text) for path, text in members.items())


@dataclass
class Listing:
    """How a project's page lists a file: `sha256` is what it claims, None nothing.

    `yanked` may be the reason; `uploaded` is a moment, which only pages of JSON have.
    """

    file: str
    data: bytes
    sha256: str | None
    yanked: bool | str = False
    url: str | None = None
    requires: str | None = None
    uploaded: object = None


@dataclass
class Server:
    """An index. `behaviour` is how its pages are answered, `json` whether as JSON, `redirect` where else."""

    root: str = ""
    json: bool = False
    redirect: str | None = None
    behaviour: Behaviour = "right"
    login: tuple[str, str] | None = None
    projects: dict[str, list[Listing]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The index's URL, as pip takes it."""
        return f"{self.root}/simple/"

    def add(self, project: str, file: tuple[str, bytes], *, sha256: str | None = "right") -> Listing:
        """List a file; `sha256` is `right`, a lie, or None for none."""
        name, data = file
        claimed = hashlib.sha256(data).hexdigest() if sha256 == "right" else sha256
        listing = Listing(name, data, claimed)
        self.projects.setdefault(project, []).append(listing)
        return listing

    def page(self, project: str) -> bytes:
        """Give the page of a project: PEP 691 JSON or PEP 503 HTML."""
        return (_json(self.projects[project]) if self.json else _html(self.projects[project])).encode()


def _json(files: Sequence[Listing]) -> str:
    listed = [
        {
            "filename": one.file,
            "url": one.url or f"../../files/{one.file}",
            "hashes": {} if one.sha256 is None else {"sha256": one.sha256},
            "size": len(one.data),
            "yanked": one.yanked,
            "requires-python": one.requires,
            "upload-time": one.uploaded,
        }
        for one in files
    ]
    return json.dumps({"meta": {"api-version": "1.1"}, "files": listed})


def _html(files: Sequence[Listing]) -> str:
    def anchor(one: Listing) -> str:
        fragment = "" if one.sha256 is None else f"#sha256={one.sha256}"
        yanked = " data-yanked" if one.yanked is True else ""
        yanked = f' data-yanked="{html.escape(one.yanked)}"' if isinstance(one.yanked, str) else yanked
        requires = f' data-requires-python="{html.escape(one.requires)}"' if one.requires else ""
        url = one.url or f"../../files/{one.file}"
        return f'<a href="{html.escape(url + fragment)}"{yanked}{requires}>{one.file}</a>\n'

    return f"<!DOCTYPE html><html><body>{''.join(map(anchor, files))}</body></html>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_GET(self) -> None:
        index: Server = self.server.index  # type: ignore[attr-defined]
        index.asked.append(self.path)
        path = urlsplit(self.path).path  # of a whole URL, where this server is asked as a proxy
        if not self._may_enter(index):
            self._answer(401, "text/plain", b"", {"WWW-Authenticate": 'Basic realm="tests"'})
        elif path.startswith("/simple/"):
            self._page(index, path.split("/")[2])
        else:
            self._file(index, path.rpartition("/")[2])

    def _may_enter(self, index: Server) -> bool:
        given = self.headers.get("Authorization", "")
        return index.login is None or given == (
            "Basic " + base64.b64encode(":".join(index.login).encode()).decode()
        )

    def _page(self, index: Server, project: str) -> None:
        kind = JSON if index.json else "text/html; charset=utf-8"
        if index.behaviour == "hang":
            index.over.wait()
            self.close_connection = True
        elif index.redirect is not None:
            self._answer(302, "text/plain", b"", {"Location": index.redirect})
        elif isinstance(index.behaviour, int):
            self._answer(index.behaviour, kind, b"")
        elif isinstance(index.behaviour, bytes):
            self._answer(200, kind, index.behaviour)
        elif project not in index.projects:
            self._answer(404, "text/plain", b"")
        else:
            page = index.page(project)
            self._answer(200, kind, page, cut_off=index.behaviour == "cut-off")

    def _file(self, index: Server, name: str) -> None:
        found = [one.data for files in index.projects.values() for one in files if one.file == name]
        self._answer(200 if found else 404, "application/octet-stream", found[0] if found else b"")

    def _answer(
        self,
        status: int,
        kind: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        cut_off: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) + cut_off))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = self.close_connection or cut_off

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """Run an index until the block ends; requests that hang end with it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        index = Server(root=f"http://127.0.0.1:{server.server_address[1]}")
        server.index = index  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield index
        finally:
            index.over.set()
            server.shutdown()
            thread.join()
