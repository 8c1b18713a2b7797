"""Git repositories for tests: built object by object, always with the same ids, and served over HTTP.

`Repo` makes a bare repository. `Server` puts `git http-backend` behind a server on 127.0.0.1 that keeps
what it was asked and, when told to, hangs, fails, cuts its answers off or damages them.
"""

from __future__ import annotations

import gzip
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from recipes import process

Fault = Literal["hang", "500", "404", "cut", "damage"]
Files = Mapping[bytes, bytes | tuple[str, bytes]]  # content, or mode (`ls-tree`'s) and content or commit id

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org",
}  # fmt: skip


class Repo:
    """A bare repository at `path`, built with plumbing only."""

    def __init__(self, path: Path, *, filters: bool = True) -> None:
        self.path = path
        self.git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(path), inside=False)
        self.git("config", "uploadpack.allowFilter", str(filters).lower())

    def git(self, *argv: str, stdin: bytes = b"", env: Mapping[str, str] = ENV, inside: bool = True) -> str:
        place = {"GIT_DIR": str(self.path)} if inside else {}
        ended = process.run(["git", *argv], env={**env, **place}, stdin=stdin, timeout=300)
        assert ended.code == 0, ended
        return ended.out.decode().strip()

    def blob(self, data: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=data)

    def tree(self, files: Files) -> str:
        lines, below = [], dict[bytes, dict[bytes, bytes | tuple[str, bytes]]]()
        for path, what in files.items():
            top, _, rest = path.partition(b"/")
            if rest:
                below.setdefault(top, {})[rest] = what
                continue
            mode, data = what if isinstance(what, tuple) else ("100644", what)
            kind, oid = ("commit", data.decode()) if mode == "160000" else ("blob", self.blob(data))
            lines.append(f"{mode} {kind} {oid}\t".encode() + top)
        lines += [f"040000 tree {self.tree(inner)}\t".encode() + top for top, inner in below.items()]
        return self.git("mktree", "-z", "--missing", stdin=b"".join(line + b"\0" for line in lines))

    def commit(
        self,
        files: Files,
        *parents: str,
        when: str = "1716842321 +0200",
        authored: str | None = None,
        message: str = "a commit",
    ) -> str:
        env = {**ENV, "GIT_AUTHOR_DATE": authored or when, "GIT_COMMITTER_DATE": when}
        argv = ["commit-tree", "-m", message, *(part for one in parents for part in ("-p", one))]
        return self.git(*argv, self.tree(files), env=env)

    def ref(self, name: str, oid: str) -> None:
        self.git("update-ref", name, oid)

    def tag(self, name: str, oid: str) -> None:
        """Make an annotated tag."""
        env = {**ENV, "GIT_COMMITTER_DATE": "1716842321 +0000"}
        self.git("tag", "--annotate", "--no-sign", "-m", "a tag", name, oid, env=env)


class Server(ThreadingHTTPServer):
    """Serves what is below `root`; `fault` befalls all requests, or with `packs_only` those for packs."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.fault: Fault | None = None
        self.packs_only = False
        self.v0 = False
        self.requests: list[str] = []  # method and path
        self.wants: list[list[str]] = []  # of each request for a pack
        self.hanging = threading.Event()  # a request has come that will get no answer
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed or time out are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet: `requests` has it."""

    def _answer(self, body: bytes) -> None:
        plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        wants = re.findall(r"want ([0-9a-f]{40})", plain.decode("latin-1"))
        self.server.requests.append(f"{self.command} {self.path}")
        if wants:
            self.server.wants.append(wants)
        fault = self.server.fault if wants or not self.server.packs_only else None
        if fault == "hang":
            self.server.hanging.set()
            self.server.closing.wait(60)
        elif fault in {"500", "404"}:
            self._send(int(fault), [], b"")
        else:
            head, _, content = self._backend(body).partition(b"\r\n\r\n")
            self._send(200, [line.split(": ", 1) for line in head.decode().splitlines()], content, fault)

    def _backend(self, body: bytes) -> bytes:
        path, _, query = self.path.partition("?")
        env = {
            **ENV,
            "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": "" if self.server.v0 else self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        return process.run(["git", "http-backend"], env=env, stdin=body, timeout=300).out

    def _send(
        self, code: int, headers: Sequence[Sequence[str]], content: bytes, fault: str | None = None
    ) -> None:
        for name, value in headers:
            code = int(value.split()[0]) if name == "Status" else code
        self.send_response(code)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        at = content.find(b"PACK")
        if fault == "cut":
            content = content[: at + 20]
        elif fault == "damage" and at >= 0:
            content = content[: at + 20] + bytes([content[at + 20] ^ 0xFF]) + content[at + 21 :]
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(content)


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    server = Server(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
