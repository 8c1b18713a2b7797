"""A real HTTP server on 127.0.0.1 whose pages misbehave in the ways that a test asks for."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# A self-signed certificate for 127.0.0.1 and localhost, until 2126, with its key: worth nothing elsewhere.
PEM = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgY5Tt8dy3aoAjMK8i
j7utO+XnBcXzfbJg9onH3hcSnLChRANCAASryC+rWyb++WKW4Jv0omx2m7OPEzsa
iRIWPjuJvTp3Jsz4WazFfwjq8uVIQC6Je46skvHGafqAMDiUNywtseO7
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1hIHRlc3Qg
c2VydmVyMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjYwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA1hIHRlc3Qgc2VydmVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEq8gv
q1sm/vliluCb9KJsdpuzjxM7GokSFj47ib06dybM+FmsxX8I6vLlSEAuiXuOrJLx
xmn6gDA4lDcsLbHju6NeMFwwGgYDVR0RBBMwEYcEfwAAAYIJbG9jYWxob3N0MA8G
A1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgKEMB0GA1UdDgQWBBRfAvzqMWqS
EjSxvVK+0gqpBitXUTAKBggqhkjOPQQDAgNHADBEAiBQe483xv3/sqbr9Rnbywje
5sbb5FGSJ/wFbvQIKQFm9QIgNEyLXuGnohiKCCU4cTli+5dJf7prXP9PADUNZe/T
qvg=
-----END CERTIFICATE-----
"""


@dataclass
class Page:
    """What a path answers; lists are used up one request at a time, and then all is well."""

    body: bytes = b""
    ranges: bool = True
    tag: str | None = '"one"'
    date: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)  # how many bytes of an answer are sent
    bodies: list[bytes] = field(default_factory=list)  # other bodies, each for one request
    wrong_start: int = 0  # bytes by which a range begins too late
    announced: int | None = None  # a Content-Length that is not the body's
    unannounced: bool = False  # no Content-Length at all
    endless: bool = False
    hang: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it."""

    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class Server:
    """The pages by path, and what was asked so far."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()

    def put(self, path: str, page: Page) -> str:
        self.pages[path] = page
        return f"{self.address}{path}"

    @property
    def ranges(self) -> list[str | None]:
        return [one.range for one in self.asked]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    files: Server

    def handle_error(self, *_: object) -> None:
        """Keep quiet: clients go away here, and TLS handshakes fail, on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server.files
        server.asked.append(Asked(self.path, {key.lower(): value for key, value in self.headers.items()}))
        page = server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(404, {}, b"")
        elif page.hang:
            server.closing.wait(60)
        elif page.statuses:
            self._answer(page.statuses.pop(0), page.headers, b"")
        else:
            self._page(page)

    def _page(self, page: Page) -> None:
        body = page.bodies.pop(0) if page.bodies else page.body
        status, headers, start = 200, dict(page.headers), self._start(page)
        if start > len(body) or (start and start == len(body)):
            self._answer(416, {"Content-Range": f"bytes */{len(body)}"}, b"")
            return
        if start:
            start += page.wrong_start
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        headers |= {"ETag": page.tag} if page.tag else {}
        headers |= {"Last-Modified": page.date} if page.date else {}
        length = page.announced if page.announced is not None else len(body) - start
        headers |= {} if page.unannounced or page.endless else {"Content-Length": str(length)}
        end = start + page.cuts.pop(0) if page.cuts else len(body)
        self._answer(status, headers, body[start:end])
        while page.endless and not self.server.files.closing.is_set():
            self.wfile.write(bytes(1 << 16))

    def _start(self, page: Page) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, page.tag, page.date)
        return int(found[1]) if found and page.ranges and same else 0

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve(*, pem: Path | None = None, ask_client: bool = False) -> Iterator[Server]:
    """Run a server; over TLS with the certificate in `pem`, and with one asked of the client."""
    with _Http(("127.0.0.1", 0), _Handler) as http:
        if pem is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            if ask_client:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(pem)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        scheme = "http" if pem is None else "https"
        http.files = Server(f"{scheme}://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.files
        finally:
            http.files.closing.set()
            http.shutdown()
            thread.join()
