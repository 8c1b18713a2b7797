from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from indexserver import JSON, Server, serve, wheel

from recipes import indexclient, listing, pipconfig
from recipes.errors import FetchError, IntegrityError, SpecError, ToolchainError
from recipes.listing import Source
from recipes.pipconfig import IndexSettings, index_settings
from recipes.pypi import Index
from recipes.requirements import Wheel

SDIST = ("tiny-1.0.tar.gz", b"bytes of a source archive")
SHA256 = hashlib.sha256(SDIST[1]).hexdigest()
OTHER = "0" * 64


def nothing(done: int, total: int | None) -> None:
    pass


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as index:
        yield index


@pytest.fixture
def open_indexes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Ways:
    """Makes indexes whose user has no configuration but what a test gives."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.stack, self.home = stack, home
        self.env = {"PATH": os.defpath, "HOME": str(home), "PIP_CONFIG_FILE": os.devnull}

    def to(self, *urls: str, **settings: object) -> Index:
        """Make an index with these settings, without asking pip for them."""
        given = IndexSettings(index_urls=urls[:1], extra=urls[1:], **settings)  # type: ignore[arg-type]
        return self._closed(Index(sys.executable, self.env, settings=given, patience=5))

    def by_pip(self, python: str = sys.executable, **variables: str) -> Index:
        """Make an index that asks pip for its settings."""
        return self._closed(Index(python, {**self.env, **variables}, patience=5))

    def _closed(self, index: Index) -> Index:
        self.stack.callback(index.close)
        return index


@pytest.fixture
def ways(open_indexes: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ways:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("NETRC", str(home / ".netrc"))  # unearth reads it from the process's environment
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # that must not matter: `env` says what does
    return Ways(open_indexes, home)


# pip's configuration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", IndexSettings()),
        ("global.index-url='https://host/simple'\n", IndexSettings(index_urls=("https://host/simple",))),
        (
            "global.extra-index-url='https://one/ file:///two'\nglobal.find-links='\\n/a\\n/b'",
            IndexSettings(extra=("https://one/", "file:///two"), find_links=("/a", "/b")),
        ),
        (
            ":env:.index-url='e'\ndownload.index-url='d'\nglobal.index-url='g'\ninstall.index-url='i'",
            IndexSettings(index_urls=("e",)),
        ),
        (
            "download.index-url='d'\nglobal.index-url='g'\ninstall.index-url='i'",
            IndexSettings(index_urls=("i",)),
        ),
        ("download.proxy='d'\nglobal.proxy='g'", IndexSettings(proxy="d")),
        ("wheel.proxy='w'\nglobal.index-url=''", IndexSettings()),
        (":env:.index-url=''\nglobal.index-url='g'", IndexSettings(index_urls=("g",))),
        ("global.no-index='True'", IndexSettings(no_index=True)),
        (":env:.no-index='0'\nglobal.no-index='yes'", IndexSettings()),
        ("global.cert='/c a.pem'\nglobal.client-cert='/k'", IndexSettings(cert="/c a.pem", client_cert="/k")),
        ("global.trusted-host='a b:8080'", IndexSettings(trusted_hosts=("a", "b:8080"))),
        (":env:.default-timeout='180'", IndexSettings(timeout=180.0)),
        ("global.timeout='7'\n:env:.default-timeout='180'", IndexSettings(timeout=7.0)),
        ("global.timeout='soon'", IndexSettings()),
        ("nonsense\nglobal.proxy=open('x')\nglobal.cert=3\nglobal.cert='", IndexSettings()),
    ],
)
def test_index_settings(text: str, expected: IndexSettings) -> None:
    assert index_settings(text) == expected


def test_settings_are_those_of_pip_and_are_read_once(ways: Ways, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://me:secret@host/simple\nquiet = 1\n[install]\ncert = /c\n")
    index = ways.by_pip(PIP_CONFIG_FILE=str(file), PIP_QUIET="2", PIP_EXTRA_INDEX_URL="https://b https://c")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: index.settings, range(4)))
    assert all(one is found[0] for one in found)
    assert found[0].index_urls == ("https://me:secret@host/simple",)
    assert (found[0].extra, found[0].cert) == (("https://b", "https://c"), "/c")
    assert "secret" not in repr(found[0])


def without_pip(place: Path) -> str:
    """Make a program that says what a Python without pip says."""
    place.write_text(f'#!/bin/sh\necho "{place}: No module named pip" >&2\nexit 1\n')
    place.chmod(0o755)
    return str(place)


def test_a_python_without_pip(ways: Ways, tmp_path: Path) -> None:
    python = without_pip(tmp_path / "python")
    with pytest.raises(ToolchainError) as raised:
        ways.by_pip(python).find("tiny", "tiny-1.0.tar.gz", None)
    assert (raised.value.message, raised.value.hint) == (f"`{python}` has no pip", f"`{python} -m ensurepip`")


def test_pip_says_why_its_configuration_cannot_be_read(ways: Ways, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global\n")
    with pytest.raises(ToolchainError, match=r"(?s)^pip cannot read its configuration\n  .*pip\.conf"):
        _ = ways.by_pip(PIP_CONFIG_FILE=str(file)).settings


def test_a_resolving_pip_is_told_nothing_else() -> None:
    settings = IndexSettings(("https://a",), ("https://b", "https://c"), no_index=True, proxy="p", cert="/c")
    env = {
        "PATH": "/bin",
        "PIP_CONSTRAINT": "x",
        "PIP_PRE": "1",
        "https_proxy": "q",
        "SECRET": "s",
        "HOME": "/h",
    }
    assert pipconfig.environment(settings, env, 8.0) == {
        "PATH": "/bin",
        "HOME": "/h",
        "https_proxy": "q",
        "PIP_INDEX_URL": "https://a",
        "PIP_EXTRA_INDEX_URL": "https://b https://c",
        "PIP_NO_INDEX": "1",
        "PIP_CERT": "/c",
        "PIP_PROXY": "p",
        "PIP_TIMEOUT": "8",
        "PIP_RETRIES": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }


# finding


@pytest.mark.parametrize("as_json", [False, True], ids=["html", "json"])
@pytest.mark.parametrize(
    ("file", "sha256"), [(SDIST[0], SHA256), (SDIST[0], None), (None, SHA256), ("renamed.tar.gz", SHA256)]
)
def test_find(server: Server, ways: Ways, as_json: bool, file: str | None, sha256: str | None) -> None:
    server.json = as_json
    server.add("tiny-thing", wheel("tiny", "1.0"))
    server.add("tiny-thing", SDIST).yanked = True
    found = ways.to(server.url).find("Tiny_Thing", file, sha256)
    assert (found.url, found.file, found.sha256) == (f"{server.root}/files/{SDIST[0]}", SDIST[0], SHA256)
    assert found.size == (len(SDIST[1]) if as_json else None)
    assert (found.origin, found.settings.timeout) == (server.url, 5)
    assert server.asked == ["/simple/tiny-thing/"]


def test_find_wants_a_name_or_a_hash(ways: Ways) -> None:
    with pytest.raises(ValueError, match="by its name or by its hash"):
        ways.to("http://127.0.0.1:1/").find("tiny", None, None)


@pytest.mark.parametrize("as_json", [False, True], ids=["html", "json"])
def test_a_file_listed_without_hash(server: Server, ways: Ways, as_json: bool) -> None:
    server.json = as_json
    server.add("tiny", SDIST, sha256=None)
    index = ways.to(server.url)
    assert index.find("tiny", SDIST[0], OTHER).sha256 == OTHER  # whoever downloads it checks it
    assert index.find("tiny", SDIST[0], None).sha256 == SHA256
    server.projects["tiny"][0].url = "../../elsewhere"
    server.projects["tiny"][0].file = "gone"
    name = "gone" if as_json else "elsewhere"
    with pytest.raises(FetchError, match=rf"^`{name}` is listed, but answered with status 404$"):
        index.find("tiny", name, None)


def test_the_right_hash_wins_over_order_and_over_no_hash(server: Server, ways: Ways) -> None:
    with serve() as second, serve() as third:
        server.add("tiny", SDIST, sha256=OTHER)
        second.add("tiny", SDIST, sha256=None)
        third.add("tiny", SDIST)
        index = ways.to(server.url, second.url, third.url)
        assert index.find("tiny", SDIST[0], SHA256).origin == third.url
        assert index.find("tiny", SDIST[0], None).origin == server.url
        assert ways.to(server.url, second.url).find("tiny", SDIST[0], SHA256).origin == second.url


def test_another_hash_is_an_integrity_error(server: Server, ways: Ways) -> None:
    server.add("tiny", SDIST, sha256=OTHER)
    with serve() as second:
        second.add("tiny", SDIST, sha256="1" * 64)
        with pytest.raises(IntegrityError) as raised:
            ways.to(server.url, second.url).find("tiny", SDIST[0], SHA256)
    assert raised.value.message == (
        f"`{SDIST[0]}` of `tiny` has another hash on the package index\n"
        f"  expected  {SHA256}\n"
        f"  actual    {OTHER}\n  origin    {server.url}\n"
        f"  actual    {'1' * 64}\n  origin    {second.url}"
    )


def test_no_index_has_it(server: Server, ways: Ways) -> None:
    server.add("tiny", SDIST)
    index = ways.to(server.url, server.url)
    with pytest.raises(FetchError) as raised:
        index.find("tiny", "tiny-2.0.tar.gz", None)
    assert raised.value.message == (
        "`tiny-2.0.tar.gz` of `tiny` is on none of the 2 package indexes\n"
        f"  {server.url}  does not have it\n  {server.url}  does not have it"
    )
    assert raised.value.hint == "`pip config list` shows where pip looks"
    with pytest.raises(FetchError, match=f"^a file of `large` with SHA-256 {OTHER} is on none of the 2 pack"):
        index.find("large", None, OTHER)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Give a port that is taken, and that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


REFUSED = f"[Errno {errno.ECONNREFUSED}] Connection refused"

SILENT = [
    (500, "answers with HTTP status 500"),
    (403, "answers with HTTP status 403"),
    ("cut-off", "peer closed connection without sending complete message body"),
    (b"<a href='http://[bad/'>x</a>", "its page cannot be read: Invalid IPv6 URL"),
    (b"\xff\xfe", "its page cannot be read: 'utf-8' codec can't decode byte 0xff"),
]


@pytest.mark.parametrize(("behaviour", "why"), SILENT)
def test_an_index_that_gives_no_page(server: Server, ways: Ways, behaviour: int | bytes, why: str) -> None:
    server.add("tiny", SDIST)
    server.behaviour = behaviour
    with pytest.raises(FetchError) as raised:
        ways.to(server.url).find("tiny", SDIST[0], SHA256)
    first, line = raised.value.message.splitlines()
    assert first == f"no package index can be reached for `{SDIST[0]}` of `tiny`"
    assert line.startswith(f"  {server.url}  {why}")


@pytest.mark.parametrize(
    "page", [b"{", b"[]", b"{}", b'{"files": 3}', b"[" * 100_000, b'{"files": [{"url": "http://[/"}]}']
)
def test_json_that_is_no_page(server: Server, ways: Ways, page: bytes) -> None:
    server.json, server.behaviour = True, page
    with pytest.raises(FetchError, match=r"(?s)^no package index.*  its page cannot be read: "):
        ways.to(server.url).find("tiny", SDIST[0], SHA256)


def test_json_with_odd_files_is_read_as_far_as_it_goes(server: Server, ways: Ways) -> None:
    odd = [3, {}, {"url": 3}, {"url": "x/a.zip", "filename": 3, "hashes": 3, "size": "3"}]
    good = {"url": "x/b.zip", "hashes": {"sha256": SHA256.upper()}, "size": 3}
    server.json, server.behaviour = True, json.dumps({"files": [*odd, good]}).encode()
    found = ways.to(server.url).find("tiny", "b.zip", SHA256)
    assert (found.url, found.size) == (f"{server.url}tiny/x/b.zip", 3)


def test_a_page_of_another_kind(server: Server, ways: Ways) -> None:
    server.add("tiny", SDIST)
    with pytest.raises(listing.Silent, match=r"^sends `application/octet-stream`, no page of an index$"):
        listing.files(ways.to("x").client, Source(f"{server.root}/files/{SDIST[0]}?", "index"), "")
    assert JSON in listing._ACCEPT


def test_a_page_without_end(server: Server, ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add("tiny", SDIST)
    monkeypatch.setattr(listing, "LARGEST", 10)
    with pytest.raises(FetchError, match="its page has more than 0 MiB"):
        ways.to(server.url).find("tiny", SDIST[0], SHA256)
    monkeypatch.setattr(listing, "LARGEST", 1000)
    monkeypatch.setattr(listing, "SLOWEST", -1)
    with pytest.raises(FetchError, match="its page takes longer than -5 s"):
        ways.to(server.url).find("tiny", SDIST[0], SHA256)


def test_an_index_that_hangs_is_passed_over(
    server: Server, ways: Ways, closed_port: int, tmp_path: Path
) -> None:
    server.behaviour = "hang"
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "index.html").write_text(f'<a href="{SDIST[0]}#sha256={SHA256}">x</a>')
    dead, last = f"http://127.0.0.1:{closed_port}/", tmp_path.as_uri()
    index = ways.to(server.url, dead, last, timeout=0.1)
    assert index.find("tiny", SDIST[0], SHA256).origin == last
    with pytest.raises(FetchError) as raised:
        index.find("tiny", "x.tar.gz", None)
    assert raised.value.message == (
        "`x.tar.gz` of `tiny` is not on the one package index of 3 that answers\n"
        f"  {server.url}  timed out\n  {dead}  {REFUSED}\n  {last}  does not have it"
    )


def test_credentials_are_used_and_never_shown(server: Server, ways: Ways) -> None:
    server.login = ("user", "secret")
    server.add("tiny", SDIST)
    url = server.url.replace("://", "://user:secret@")
    found = ways.to(url).find("tiny", SDIST[0], SHA256)
    assert found.url == f"{server.root}/files/{SDIST[0]}".replace("://", "://user:secret@")
    assert "secret" not in repr(found)
    assert found.origin == server.url.replace("://", "://***@")
    with pytest.raises(FetchError) as raised:
        ways.to(url).find("tiny", "x", None)
    assert "secret" not in str(raised.value)


def test_credentials_of_netrc(server: Server, ways: Ways) -> None:
    server.login = ("user", "secret")
    server.add("tiny", SDIST)
    with pytest.raises(FetchError, match="answers with HTTP status 401"):
        ways.to(server.url).find("tiny", SDIST[0], SHA256)
    netrc = ways.home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    netrc.chmod(0o600)
    found = ways.to(server.url).find("tiny", SDIST[0], SHA256)
    assert (found.origin, found.settings.netrc) == (server.url, str(netrc))


def test_credentials_go_to_their_own_server_only() -> None:
    settings = IndexSettings(index_urls=("https://user:secret@host/simple",))
    assert listing.authorised("https://host/f", settings) == "https://user:secret@host/f"
    for url in (
        "http://host/f",
        "https://host:8080/f",
        "https://other/f",
        "https://me:mine@host/f",
        "file:///f",
    ):
        assert listing.authorised(url, settings) == url


def test_links_to_files_of_this_machine_are_not_taken_from_a_server(server: Server, ways: Ways) -> None:
    server.add("tiny", SDIST).url = "file:///etc/passwd"
    server.add("tiny", SDIST).url = "ftp://host/x"
    with pytest.raises(FetchError, match="is not on the package index"):
        ways.to(server.url).find("tiny", "passwd", None)


def test_redirects(server: Server, ways: Ways) -> None:
    with serve() as second:
        second.add("tiny", SDIST)
        server.redirect = f"{second.url}tiny/"
        assert ways.to(server.url).find("tiny", SDIST[0], None).url == f"{second.root}/files/{SDIST[0]}"
    server.redirect = "file:///etc/passwd"
    with pytest.raises(FetchError, match="redirects to a file of this machine"):
        ways.to(server.url).find("tiny", SDIST[0], None)


def test_an_index_in_files(ways: Ways, tmp_path: Path) -> None:
    project = tmp_path / "simple" / "tiny"
    project.mkdir(parents=True)
    (project / "index.html").write_text(f'<a href="{SDIST[0]}#sha256={SHA256}">x</a>')
    (project / SDIST[0]).write_bytes(SDIST[1])
    for url in (tmp_path / "simple").as_uri(), str(tmp_path / "simple"):
        index = ways.to((tmp_path / "missing").as_uri(), url)
        assert index.find("Tiny", SDIST[0], SHA256).url == (project / SDIST[0]).as_uri()
        with pytest.raises(FetchError, match="is on none of the 2 package indexes"):
            index.find("large", SDIST[0], None)


def test_find_links(server: Server, ways: Ways, tmp_path: Path) -> None:
    server.add("tiny", SDIST)
    directory = ways.home / "wheels"
    directory.mkdir()
    (directory / "local.zip").write_bytes(SDIST[1])
    (directory / "more.html").write_text('<a href="listed.zip#sha256=' + OTHER + '">x</a>')
    remote = f"{server.root}/files/{SDIST[0]}"
    given = (
        "~/wheels",
        str(tmp_path / "missing"),
        str(directory / "local.zip"),
        remote,
        f"{server.url}tiny/",
    )
    index = ways.to(find_links=given, no_index=True)
    local = index.find("any", "local.zip", None)
    assert (local.url, local.sha256) == ((directory / "local.zip").as_uri(), SHA256)
    assert index.find("any", "listed.zip", None).sha256 == OTHER
    assert index.find("any", SDIST[0], SHA256).origin == f"{server.url}tiny/"
    assert ways.to(find_links=(given[3],), no_index=True).find("any", SDIST[0], SHA256).url == remote
    with pytest.raises(FetchError, match="is on none of the 4 package indexes"):
        index.find("any", "x", None)


def test_a_directory_that_cannot_be_read(ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read any directory
    with pytest.raises(FetchError, match=r"can be reached for `x` of `tiny`\n  .*  Permission denied\n"):
        ways.to(find_links=(str(tmp_path),), no_index=True).find("tiny", "x", None)


def test_nowhere_to_look(ways: Ways, tmp_path: Path) -> None:
    index = ways.to("https://host/", no_index=True, find_links=(str(tmp_path / "missing"),))
    with pytest.raises(FetchError) as raised:
        index.find("tiny", SDIST[0], None)
    assert raised.value.message == (
        "pip is configured to ask no index (`no-index`), and has no `find-links` that exists"
    )


def test_without_configuration_one_index_is_asked() -> None:
    (source,) = listing.sources(IndexSettings(), "/")
    assert (source.kind, source.url.startswith("https://"), source.local) == ("index", True, None)


def test_only_https_and_trusted_hosts_are_asked(ways: Ways) -> None:
    with pytest.raises(FetchError, match=r"http://host\.invalid/  neither https nor a trusted host of pip's"):
        ways.to("http://host.invalid/").find("tiny", SDIST[0], None)


def test_proxies(server: Server, ways: Ways) -> None:
    server.add("tiny", SDIST)
    for named in {"proxy": server.root}, {"proxy": server.root.removeprefix("http://")}:
        index = ways.to("http://host.invalid/simple/", trusted_hosts=("host.invalid",), **named)
        assert index.find("tiny", SDIST[0], SHA256).origin == "http://host.invalid/simple/"
    ways.env |= {"http_proxy": server.root, "NO_PROXY": "example.org, .127.0.0.1"}
    index = ways.to("http://host.invalid/simple/", server.url, trusted_hosts=("host.invalid",))
    index.find("tiny", SDIST[0], SHA256)
    with pytest.raises(FetchError):
        index.find("tiny", "x", None)
    assert [path for path in server.asked if path.startswith("http")] == [
        "http://host.invalid/simple/tiny/" for _ in range(4)
    ]
    assert "/simple/tiny/" in server.asked  # asked directly, as NO_PROXY says


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("host.org", "", False),
        ("host.org", "*", True),
        ("host.org", "a, HOST.org", True),
        ("www.host.org", ".host.org", True),
        ("www.host.org", "host.org", True),
        ("wwwhost.org", "host.org", False),
        ("host.org", "www.host.org,,", False),
    ],
)
def test_no_proxy(host: str, no_proxy: str, direct: bool) -> None:
    assert indexclient._is_direct(host, no_proxy) is direct


def test_a_proxy_of_an_unknown_kind(ways: Ways) -> None:
    with pytest.raises(FetchError) as raised:
        ways.to("https://host/", proxy="gopher://user:secret@host").find("tiny", SDIST[0], None)
    assert raised.value.message.startswith("pip's proxy, of the kind `gopher`, cannot be used\n")


@pytest.mark.parametrize(
    ("settings", "variable", "first"),
    [
        ({"cert": "/missing"}, "", "certificates cannot be read from `/missing`: No such file or directory"),
        ({}, "REQUESTS_CA_BUNDLE", "certificates cannot be read from `/missing`: No such file or directory"),
        ({}, "SSL_CERT_FILE", "certificates cannot be read from `/missing`: No such file or directory"),
        ({"client_cert": "/missing"}, "", "pip's client certificate `/missing` cannot be read"),
    ],
)
def test_certificates_that_are_not_there(
    ways: Ways, settings: dict[str, str], variable: str, first: str
) -> None:
    ways.env |= {variable: "/missing"} if variable else {}
    with pytest.raises(FetchError) as raised:
        _ = ways.to("https://host/", **settings).client
    assert raised.value.message == first


def test_certificates_may_be_a_directory(ways: Ways, tmp_path: Path) -> None:
    context = indexclient._certificates(IndexSettings(cert=str(tmp_path)), {})
    assert (context.verify_mode, context.get_ca_certs()) == (ssl.CERT_REQUIRED, [])
    assert indexclient._unchecked(IndexSettings()).verify_mode == ssl.CERT_NONE


def test_threads_share_an_index(server: Server, ways: Ways) -> None:
    for number in range(8):
        server.add(f"tiny{number}", SDIST)
    index, together = ways.to(server.url), threading.Barrier(8)

    def find(number: int) -> str:
        together.wait()
        return index.find(f"tiny{number}", SDIST[0], None).sha256

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(find, range(8))) == {SHA256}


# resolving


def add(server: Server, *file: str, needs: tuple[str, ...] = (), tags: str = "py3-none-any") -> Wheel:
    project, version = file
    made = wheel(project, version, needs=needs, tags=tags)
    server.add(project, made)
    return Wheel(project, version, made[0], hashlib.sha256(made[1]).hexdigest(), "linux-64")


@pytest.mark.parametrize("as_json", [False, True], ids=["html", "json"])
def test_resolve(server: Server, ways: Ways, tmp_path: Path, as_json: bool) -> None:
    server.json = as_json
    best = add(server, "tiny", "3.1", needs=("tiny-dep>=1",), tags="py3-none-manylinux_2_17_x86_64")
    add(server, "tiny", "3.1", tags="py3-none-manylinux_2_17_aarch64")
    add(server, "tiny", "3.2", tags="py3-none-macosx_11_0_arm64")
    add(server, "tiny", "3.3", tags="py3-none-manylinux_2_39_x86_64")
    add(server, "tiny", "3.4rc1")
    add(server, "tiny", "4.0")
    server.add("tiny", ("tiny-3.5.tar.gz", b"not to be built"))
    dependency = add(server, "tiny-dep", "1.0")
    other = add(server, "other", "2", needs=("tiny_dep",))
    constraint = tmp_path / "constraint.txt"
    constraint.write_text("tiny<3\n")
    index = ways.by_pip(
        PIP_INDEX_URL=server.url, PIP_CONSTRAINT=str(constraint), PIP_PRE="1", PIP_NO_DEPS="1"
    )
    ticks: list[tuple[int, int | None]] = []
    found = index.resolve(["tiny<4,>=3", "other"], "linux-64", lambda *far: ticks.append(far))
    needed = Wheel(**{**dependency.__dict__, "via": ("other", "tiny")})
    assert found == (other, best, needed)
    assert ticks == [(0, None), (3, 3)]


def test_resolve_for_other_platforms(server: Server, ways: Ways) -> None:
    for tags in "manylinux2014_aarch64", "macosx_11_0_universal2", "manylinux1_x86_64":
        add(server, "tiny", "1.0", tags=f"py3-none-{tags}")
    index = ways.to(server.url)
    found = [index.resolve(["tiny"], name, nothing)[0] for name in ("linux-aarch64", "osx-arm64")]
    assert [(one.platform, one.file) for one in found] == [
        ("linux-aarch64", "tiny-1.0-py3-none-manylinux2014_aarch64.whl"),
        ("osx-arm64", "tiny-1.0-py3-none-macosx_11_0_universal2.whl"),
    ]


def test_resolve_from_a_directory(ways: Ways, tmp_path: Path) -> None:
    file, data = wheel("tiny", "1.0")
    (tmp_path / file).write_bytes(data)
    (found,) = ways.to(find_links=(str(tmp_path),), no_index=True).resolve(["tiny"], "linux-64", nothing)
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_what_cannot_be_resolved(server: Server, ways: Ways) -> None:
    add(server, "tiny", "1.0")
    with pytest.raises(ToolchainError) as raised:
        ways.to(server.url).resolve(["tiny>=2"], "linux-64", nothing)
    assert raised.value.message == (
        "pip cannot resolve the toolchain for linux-64\n"
        "  Could not find a version that satisfies the requirement tiny>=2 (from versions: 1.0)\n"
        "  No matching distribution found for tiny>=2"
    )


def test_resolve_without_an_index(ways: Ways, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    with pytest.raises(FetchError) as raised:
        ways.to(url).resolve(["tiny"], "linux-64", nothing)
    assert raised.value.message == (f"package index {url} cannot be reached\n  {REFUSED}")


def test_a_lock_does_not_depend_on_which_index_was_up(server: Server, ways: Ways, closed_port: int) -> None:
    add(server, "tiny", "1.0")
    with pytest.raises(FetchError, match=f"^package index http://127.0.0.1:{closed_port}/ cannot be reached"):
        ways.to(server.url, f"http://127.0.0.1:{closed_port}/").resolve(["tiny"], "linux-64", nothing)


@pytest.mark.parametrize(
    ("asked", "platform", "error", "first"),
    [
        (["tiny"], "win-64", ToolchainError, "no wheels can be locked for `win-64`"),
        (["-r x"], "linux-64", SpecError, "`-r x` is not a requirement"),
        (
            ["tiny @ https://host/x.whl"],
            "linux-64",
            SpecError,
            "a toolchain requirement has a name and versions only: `tiny @",
        ),
    ],
)
def test_what_cannot_be_asked(
    ways: Ways, asked: list[str], platform: str, error: type[Exception], first: str
) -> None:
    with pytest.raises(error) as raised:
        ways.to("https://host/").resolve(asked, platform, nothing)
    assert str(raised.value).startswith(first)


def test_nothing_is_resolved_for_nothing(ways: Ways) -> None:
    assert ways.to("https://host/").resolve([], "linux-64", nothing) == ()


def report(url: str, **archive: object) -> str:
    """Write what pip reports of one wheel."""
    place = {"url": url, "archive_info": archive}
    item = {"metadata": {"name": "Tiny", "version": "1.0"}, "requested": True, "download_info": place}
    return json.dumps({"install": [item]})


def pip_that_reports(place: Path, text: str) -> str:
    """Make a program that is called like Python, and whose pip reports this."""
    place.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    place.chmod(0o755)
    return str(place)


UNUSABLE = "pip's report for linux-64 cannot be used\n "
REPORTS = [
    ("not JSON", "pip's report is not JSON"),
    ("{}", f"{UNUSABLE} 'install'"),
    ("[]", f"{UNUSABLE} list indices must be"),
    (
        report("https://host/tiny-2-py3-none-any.whl", hashes={"sha256": OTHER}),
        f"{UNUSABLE} 'tiny-2-py3-none-any.whl' is not the name of a wheel of tiny '1.0'",
    ),
    (
        report("https://host/tiny-1.0-py3-none-any.whl%0Aevil", hashes={"sha256": OTHER}),
        f"{UNUSABLE} 'tiny-1.0-py3-none-any.whl\\nevil' is not the name of a wheel of tiny '1.0'",
    ),
]


@pytest.mark.parametrize(("text", "message"), REPORTS)
def test_a_pip_that_reports_otherwise(ways: Ways, tmp_path: Path, text: str, message: str) -> None:
    program = pip_that_reports(tmp_path / "python", text)
    index = Index(program, ways.env, settings=IndexSettings())
    with pytest.raises(ToolchainError) as raised:
        index.resolve(["tiny"], "linux-64", nothing)
    assert raised.value.message.startswith(message)
    assert raised.value.hint == f"`{program} -m pip install --upgrade pip`"


def test_a_wheel_that_is_reported_without_its_sha256(server: Server, ways: Ways, tmp_path: Path) -> None:
    made = add(server, "tiny", "1.0")
    program = pip_that_reports(tmp_path / "python", report(f"{server.root}/files/{made.file}"))
    with Index(program, ways.env, settings=IndexSettings()) as index:
        assert index.resolve(["tiny"], "linux-64", nothing) == (made,)


def test_a_file_that_cannot_be_read_for_its_hash(ways: Ways, tmp_path: Path, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/tiny-1.0-py3-none-any.whl"
    program = pip_that_reports(tmp_path / "python", report(url))
    with Index(program, ways.env, settings=IndexSettings()) as index, pytest.raises(FetchError) as raised:
        index.resolve(["tiny"], "linux-64", nothing)
    first = "`tiny-1.0-py3-none-any.whl` is listed, but cannot be read"
    assert raised.value.message == f"{first}: {REFUSED}"


# the real thing


@pytest.mark.network
@pytest.mark.parametrize("platform", ["linux-64", "linux-aarch64"])
def test_the_toolchain_resolves(platform: str) -> None:
    with Index(sys.executable, os.environ) as index:
        found = index.resolve(["cmake>=3.26,<4", "ninja", "ziglang==0.15.2"], platform, nothing)
    assert [(one.project, one.platform, one.via) for one in found] == [
        (name, platform, ()) for name in ("cmake", "ninja", "ziglang")
    ]
    assert found[2].version == "0.15.2"


@pytest.mark.network
def test_the_carrier_of_tvm_is_found() -> None:
    sha256 = "cb487cead81959b3c257b3eed5f4bce43f32b9bbc107560b1ae7bb905cf2b542"
    with Index(sys.executable, os.environ) as index:
        assert index.find("tilelang", "tilelang-0.1.7.tar.gz", None).sha256 == sha256
