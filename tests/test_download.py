from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fileserver
import pytest
from fileserver import Page, Server

from recipes import download
from recipes.download import HttpSettings, redacted
from recipes.errors import FetchError, IntegrityError, RecipesError

BODY = bytes(range(256)) * 4000  # 1,024,000 bytes: several reads of the network
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()

# Waits are of no use here; the timeout is only ever reached by the test of it.
FAST = HttpSettings(timeout=60, backoff=0)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


class Ticks:
    def __init__(self) -> None:
        self.all: list[tuple[int, int | None]] = []

    def __call__(self, done: int, total: int | None) -> None:
        self.all.append((done, total))


def get(
    url: str,
    dest: Path,
    *,
    sha256: str = SHA256,
    size: int | None = len(BODY),
    settings: HttpSettings = FAST,
    limit: int = download.LIMIT,
) -> Ticks:
    ticks = Ticks()
    download.download(url, dest, sha256=sha256, size=size, settings=settings, tick=ticks, limit=limit)
    return ticks


def refused(kind: type[RecipesError], url: str, dest: Path, **options: object) -> str:
    """Give the message of a download that fails; it leaves no file of the name."""
    with pytest.raises(kind) as caught:
        get(url, dest, **options)  # type: ignore[arg-type]
    assert not dest.exists()
    assert type(caught.value) is kind
    return caught.value.message


def part_of(dest: Path) -> Path:
    return dest.with_name(f"{dest.name}.part")


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_download(server: Server, dest: Path, size: int | None) -> None:
    ticks = get(server.put("/a", Page(BODY)), dest, size=size)
    assert dest.read_bytes() == BODY
    assert not part_of(dest).exists()
    assert ticks.all[0] == (0, len(BODY))
    assert ticks.all[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in ticks.all] == sorted(done for done, _ in ticks.all)


def test_what_is_there_is_not_asked_for(server: Server, dest: Path) -> None:
    dest.write_bytes(BODY)
    get(server.put("/a", Page(b"other")), dest)
    assert server.asked == []


def test_what_is_there_with_another_hash_is_replaced(server: Server, dest: Path) -> None:
    dest.write_bytes(b"damaged")
    get(server.put("/a", Page(BODY)), dest)
    assert dest.read_bytes() == BODY


def test_an_upper_case_hash_and_an_empty_file(server: Server, dest: Path) -> None:
    get(server.put("/a", Page(b"")), dest, sha256=hashlib.sha256(b"").hexdigest().upper(), size=0)
    assert dest.read_bytes() == b""


@pytest.mark.parametrize(
    ("page", "ranges"),
    [
        (Page(BODY, cuts=[1000]), [None, "bytes=1000-"]),
        (Page(BODY, cuts=[1000, 500_000, 1]), [None, "bytes=1000-", "bytes=501000-", "bytes=501001-"]),
        (Page(BODY, cuts=[1000], tag=None), [None, "bytes=1000-"]),
        (Page(BODY, cuts=[1000], tag=None, date="Mon, 27 May 2024 20:40:00 GMT"), [None, "bytes=1000-"]),
        (Page(BODY, cuts=[1000], tag='W/"weak"'), [None, "bytes=1000-"]),
        (Page(BODY, cuts=[1000], unannounced=True), [None, "bytes=1000-"]),
        (Page(BODY, cuts=[1000], ranges=False), [None, "bytes=1000-"]),
        (Page(BODY, cuts=[1000], wrong_start=1), [None, "bytes=1000-", None]),
        (Page(BODY, cuts=[1000], announced=2 * len(BODY)), [None]),
    ],
)
def test_a_transfer_that_is_cut_off_goes_on(
    server: Server, dest: Path, page: Page, ranges: list[str | None]
) -> None:
    url = server.put("/a", replace(page, cuts=list(page.cuts)))
    if page.announced is None:
        get(url, dest)
        assert dest.read_bytes() == BODY
    else:
        assert "does not have its size" in refused(IntegrityError, url, dest)
    assert server.ranges == ranges


def test_only_the_same_version_is_gone_on_with(server: Server, dest: Path) -> None:
    for tag, date, name in (
        ('"one"', None, '"one"'),
        ('"one"', "Mon, 27 May 2024 20:40:00 GMT", '"one"'),
        ('W/"one"', "Mon, 27 May 2024 20:40:00 GMT", "Mon, 27 May 2024 20:40:00 GMT"),
        ('W/"one"', None, None),
    ):
        server.asked.clear()
        get(server.put("/a", Page(BODY, cuts=[1000], tag=tag, date=date)), dest)
        assert [one.headers.get("if-range") for one in server.asked] == [None, name]
        dest.unlink()


def test_a_version_that_changes_in_between(server: Server, dest: Path) -> None:
    page = Page(BODY, bodies=[b"another version" * 70_000], cuts=[1000], tag=None)
    get(server.put("/a", page), dest, size=None)
    # the rest was of another version: the hash says so, and all of it is asked for once more
    assert server.ranges == [None, "bytes=1000-", None]
    assert dest.read_bytes() == BODY


def test_the_progress_of_a_transfer_that_is_cut_off(server: Server, dest: Path) -> None:
    ticks = get(server.put("/a", Page(BODY, cuts=[1000])), dest)
    assert ticks.all[:3] == [(0, len(BODY)), (1000, len(BODY)), (1000, len(BODY))]
    assert ticks.all[-1] == (len(BODY), len(BODY))


def test_a_server_that_always_cuts_off(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(BODY, cuts=[10] * 100))
    message = refused(FetchError, url, dest)
    assert message.startswith(f"{url} could not be fetched\n  reason  ")
    assert len(server.asked) == 6
    assert part_of(dest).read_bytes() == BODY[:60]  # for the next run


def test_a_server_that_sends_nothing_is_asked_once(server: Server, dest: Path) -> None:
    message = refused(FetchError, server.put("/a", Page(BODY, cuts=[0] * 100)), dest)
    assert "could not be fetched\n  reason  " in message
    assert len(server.asked) == 1


@pytest.mark.parametrize("left", [1, 1000, len(BODY) - 1])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_what_an_earlier_run_left_is_gone_on_with(
    server: Server, dest: Path, left: int, size: int | None
) -> None:
    part_of(dest).write_bytes(BODY[:left])
    ticks = get(server.put("/a", Page(BODY)), dest, size=size)
    assert server.ranges == [f"bytes={left}-"]
    assert ticks.all[0] == (left, len(BODY))
    assert dest.read_bytes() == BODY


@pytest.mark.parametrize(
    ("left", "size", "ranges"),
    [
        (BODY, len(BODY), []),  # killed just before the rename
        (BODY, None, ["bytes=1024000-", None]),
        (b"torn" + BODY[4:1000], len(BODY), ["bytes=1000-", None]),
        (bytes(len(BODY)), len(BODY), [None]),
        (BODY + b"more", len(BODY), [None]),
        (BODY + b"more", None, ["bytes=1024004-", None]),
    ],
)
def test_what_an_earlier_run_left_may_be_torn(
    server: Server, dest: Path, left: bytes, size: int | None, ranges: list[str | None]
) -> None:
    part_of(dest).write_bytes(left)
    get(server.put("/a", Page(BODY)), dest, size=size)
    assert server.ranges == ranges
    assert dest.read_bytes() == BODY


@pytest.mark.parametrize("left", [b"", BODY[:1000], b"torn"])
def test_wrong_bytes(server: Server, dest: Path, left: bytes) -> None:
    part_of(dest).write_bytes(left)
    lie = BODY[:-1] + b"?"
    url = server.put("/a", Page(lie))
    assert refused(IntegrityError, url, dest) == (
        f"{url} does not have its hash\n"
        f"  expected  sha256:{SHA256}\n  actual    sha256:{hashlib.sha256(lie).hexdigest()}"
    )
    assert not part_of(dest).exists()
    assert server.ranges == ([f"bytes={len(left)}-"] if left else []) + [None]


def test_wrong_bytes_in_answers_that_are_cut_off(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(bytes(len(BODY)), cuts=[1000, len(BODY), 1000]))
    assert "does not have its hash" in refused(IntegrityError, url, dest)
    assert server.ranges == [None, "bytes=1000-", None, "bytes=1000-"]


@pytest.mark.parametrize(
    ("page", "size", "message"),
    [
        (Page(BODY), 5, "does not have its size\n  expected  5 bytes\n  actual    1024000 bytes"),
        (Page(b"12345"), 6, "does not have its size\n  expected  6 bytes\n  actual    5 bytes"),
        (Page(BODY, announced=5), 6, "does not have its size\n  expected  6 bytes\n  actual    5 bytes"),
        (Page(BODY, unannounced=True), 5, "is longer than it may be\n  limit  5 bytes"),
        (Page(endless=True), 5, "is longer than it may be\n  limit  5 bytes"),
        (Page(endless=True), None, "is longer than it may be\n  limit  2000000 bytes"),
        (Page(BODY, announced=2_000_001), None, "is longer than it may be\n  limit  2000000 bytes"),
        (Page(BODY), 2_000_001, "is longer than it may be\n  limit  2000000 bytes"),
    ],
)
def test_sizes(server: Server, dest: Path, page: Page, size: int | None, message: str) -> None:
    url = server.put("/a", page)
    assert refused(IntegrityError, url, dest, size=size, limit=2_000_000) == f"{url} {message}"
    assert not part_of(dest).exists()


def test_a_shorter_length_than_there_is_ends_the_answer(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(BODY, announced=5))
    get(url, dest, sha256=hashlib.sha256(BODY[:5]).hexdigest(), size=None)
    assert dest.read_bytes() == BODY[:5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 304])
def test_a_status_that_is_final(server: Server, dest: Path, status: int) -> None:
    part_of(dest).write_bytes(BODY[:10])
    url = server.put("/a", Page(BODY, statuses=[status] * 9))
    assert refused(FetchError, url, dest).startswith(f"{url} could not be fetched\n  reason  HTTP {status} ")
    assert len(server.asked) == 1
    assert part_of(dest).read_bytes() == BODY[:10]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server: Server, dest: Path, status: int) -> None:
    get(server.put("/a", Page(BODY, statuses=[status, status])), dest)
    assert dest.read_bytes() == BODY
    assert len(server.asked) == 3


def test_a_server_in_trouble_is_not_asked_for_ever(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(BODY, statuses=[503] * 9))
    assert (
        refused(FetchError, url, dest)
        == f"{url} could not be fetched\n  reason  HTTP 503 Service Unavailable"
    )
    assert len(server.asked) == 3


def test_a_server_that_refuses_every_range(server: Server, dest: Path) -> None:
    part_of(dest).write_bytes(BODY[:10])
    url = server.put("/a", Page(BODY, statuses=[416] * 9))
    assert refused(FetchError, url, dest).endswith("reason  HTTP 416 Requested Range Not Satisfiable")
    assert server.ranges == ["bytes=10-", None]


def test_a_silent_server(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(hang=True))
    message = refused(FetchError, url, dest, settings=replace(FAST, timeout=0.05))
    assert message == f"{url} could not be fetched\n  reason  no answer within 0.05 seconds"


def test_nobody_listens(dest: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        shown = url.replace("\0", "\\x00")
    assert refused(FetchError, url, dest).startswith(f"{shown} could not be fetched\n  reason  ")


def test_a_redirect(server: Server, dest: Path) -> None:
    server.put("/b", Page(BODY, cuts=[1000]))
    get(server.put("/a", Page(statuses=[302, 302], headers={"Location": "/b"})), dest)
    assert [(one.path, one.range) for one in server.asked] == [
        ("/a", None),
        ("/b", None),
        ("/a", "bytes=1000-"),
        ("/b", "bytes=1000-"),
    ]


def test_a_redirect_without_end(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(statuses=[302] * 99, headers={"Location": "/a"}))
    assert "redirects" in refused(FetchError, url, dest)


def test_an_encoding_of_the_content_is_not_undone(server: Server, dest: Path) -> None:
    get(server.put("/a", Page(BODY, headers={"Content-Encoding": "gzip"})), dest)
    assert dest.read_bytes() == BODY
    assert server.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/a",
        "file://elsewhere/a",
        "http:///a",
        "http://127.0.0.1:port/a",
        "http://127.0.0.1:99999/a",
        "http://exa mple/a",
        "http://a..b/",
        f"http://{'a' * 300}/",
        "http://[::1/a",
        "http://127.0.0.1/\0",
        "://",
    ],
)
def test_what_is_no_url_for_us(dest: Path, url: str) -> None:
    shown = url.replace("\0", "\\x00")
    assert refused(FetchError, url, dest).startswith(f"{shown} could not be fetched\n  reason  ")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a@1/b", "https://example.org/a@1/b"),
        ("https://example.org:8443/a@1", "https://example.org:8443/a@1"),
        ("https://user:pass@example.org/a", "https://***@example.org/a"),
        ("https://token@example.org", "https://***@example.org"),
        ("https://user:p@ss@example.org/a@1", "https://***@example.org/a@1"),
        ("https://user:pa/ss@example.org/a", "https://***@example.org/a"),
        ("http://[::1]:80/a@1", "http://[::1]:80/a@1"),
        ("https://example.org/a?token=secret&b=#sha256=1", "https://example.org/a?token=***&b=***#sha256=1"),
        ("https://example.org/a?b", "https://example.org/a?b"),
        ("/a/b", "/a/b"),
        ("file:///a@b", "file:///a@b"),
        ("", ""),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    "page",
    [
        Page(b"lie"),
        Page(b"longer", unannounced=True),
        Page(statuses=[404]),
        Page(statuses=[302] * 99, headers={"Location": "/a?key=hidden"}),
        Page(statuses=[302], headers={"Location": "ftp://user:hidden@127.0.0.1/"}),
        Page(statuses=[302], headers={"Location": "http://user:hidden@127.0.0.1:x/"}),
    ],
)
def test_credentials_are_used_and_not_told(server: Server, dest: Path, page: Page) -> None:
    url = server.put("/a", page).replace("//", "//user:hidden@") + "?key=hidden"
    with pytest.raises(RecipesError) as caught:
        get(url, dest, size=3)
    assert "hidden" not in str(caught.value)
    assert caught.value.message.startswith(f"{server.address.replace('//', '//***@')}/a?key=*** ")
    assert server.asked[0].headers["authorization"] == "Basic dXNlcjpoaWRkZW4="
    assert server.asked[0].path == "/a?key=hidden"


@pytest.mark.parametrize("url", ["http://user:hid/den@127.0.0.1/a", "http://user:hid@den:x@127.0.0.1:p/a"])
def test_credentials_are_not_told_of_what_is_no_url(dest: Path, url: str) -> None:
    message = refused(FetchError, url, dest)
    assert "hid" not in message
    assert "den" not in message


def test_netrc(server: Server, tmp_path: Path) -> None:
    netrc = tmp_path / "credentials"
    netrc.write_text("machine 127.0.0.1 login user password hidden\n")
    settings = replace(FAST, netrc=str(netrc))
    url = server.put("/a", Page(BODY))
    get(url, tmp_path / "one", settings=settings)
    get(url.replace("//", "//other:x@"), tmp_path / "two", settings=settings)
    assert [one.headers["authorization"] for one in server.asked] == [
        "Basic dXNlcjpoaWRkZW4=",
        "Basic b3RoZXI6eA==",
    ]


def test_a_proxy(server: Server, dest: Path) -> None:
    server.put("http://example.invalid/a", Page(BODY))
    get("http://example.invalid/a", dest, settings=replace(FAST, proxy=server.address))
    assert [one.path for one in server.asked] == ["http://example.invalid/a"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (HttpSettings(cert="/none.pem"), "No such file or directory"),
        (HttpSettings(client_cert="/none.pem"), "No such file or directory"),
        (HttpSettings(netrc="/none"), "No such file or directory"),
        (HttpSettings(proxy="gopher://127.0.0.1"), "gopher"),
        (HttpSettings(proxy="http://user:hidden@127.0.0.1:x"), "Invalid port"),
    ],
)
def test_settings_that_cannot_be_used(dest: Path, settings: HttpSettings, reason: str) -> None:
    message = refused(FetchError, "http://127.0.0.1/a", dest, settings=settings)
    assert message.startswith(
        "http://127.0.0.1/a could not be fetched\n  reason  the settings for HTTP cannot"
    )
    assert reason in message
    assert "hidden" not in message


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    path.write_text(fileserver.PEM)
    return path


def test_certificates(dest: Path, pem: Path) -> None:
    with fileserver.serve(pem=pem) as server:
        url = server.put("/a", Page(BODY))
        assert "CERTIFICATE_VERIFY_FAILED" in refused(FetchError, url, dest)
        others = replace(FAST, trusted_hosts=("localhost", "127.0.0.1:1"))
        assert "CERTIFICATE_VERIFY_FAILED" in refused(FetchError, url, dest, settings=others)
        for trust in (
            replace(FAST, cert=str(pem)),
            replace(FAST, trusted_hosts=("127.0.0.1",)),
            replace(FAST, trusted_hosts=(server.address.removeprefix("https://"),)),
        ):
            get(url, dest, settings=trust)
            dest.unlink()


def test_a_directory_of_certificates(dest: Path, pem: Path, tmp_path: Path) -> None:
    with fileserver.serve(pem=pem) as server:
        (tmp_path / "empty").mkdir()
        url = server.put("/a", Page(BODY))
        settings = replace(FAST, cert=str(tmp_path / "empty"))
        assert "CERTIFICATE_VERIFY_FAILED" in refused(FetchError, url, dest, settings=settings)


def test_a_client_certificate(dest: Path, pem: Path) -> None:
    with fileserver.serve(pem=pem, ask_client=True) as server:
        url = server.put("/a", Page(BODY))
        refused(FetchError, url, dest, settings=replace(FAST, cert=str(pem)))
        for trust in (
            replace(FAST, cert=str(pem), client_cert=str(pem)),
            replace(FAST, trusted_hosts=("127.0.0.1",), client_cert=str(pem)),
        ):
            get(url, dest, settings=trust)
            dest.unlink()


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "file:{}", "file://{}#sha256=1"])
def test_local_files(tmp_path: Path, dest: Path, form: str) -> None:
    place = tmp_path / "a%20b é"
    place.write_bytes(BODY)
    part_of(dest).write_bytes(b"left by an earlier run")
    url = form.format(str(place).replace("%", "%25") if form.startswith("file") else place)
    ticks = get(url, dest)
    assert dest.read_bytes() == BODY
    assert ticks.all[-1] == (len(BODY), len(BODY))


def test_local_files_that_are_wrong(tmp_path: Path, dest: Path) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"other")
    assert refused(IntegrityError, str(place), dest, size=None) == (
        f"{place} does not have its hash\n  expected  sha256:{SHA256}\n  actual    sha256:{OTHER}"
    )
    assert "does not have its size" in refused(IntegrityError, str(place), dest)
    assert "is longer than it may be" in refused(IntegrityError, str(place), dest, size=None, limit=4)
    for url in (f"{place}/below", str(tmp_path), f"file://{tmp_path}/none", f"{tmp_path}/a\0"):
        shown = url.replace("\0", "\\x00")
        assert refused(FetchError, url, dest) == (
            f"{shown} could not be fetched\n  reason  there is no such file"
        )


@pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file that even root cannot read: Linux's /proc/self/mem"
)
def test_a_local_file_that_cannot_be_read(dest: Path) -> None:
    assert refused(FetchError, "/proc/self/mem", dest, size=None) == (
        "/proc/self/mem could not be fetched\n  reason  Input/output error"
    )


def together(*jobs: Callable[[], object]) -> list[BaseException]:
    errors: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - asserted on by the caller
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_threads_that_want_one_file_download_it_once(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(BODY, cuts=[1000]))
    assert together(*[lambda: get(url, dest)] * 5) == []
    assert server.ranges == [None, "bytes=1000-"]
    assert dest.read_bytes() == BODY


def test_processes_that_want_one_file_download_it_once(server: Server, dest: Path) -> None:
    url = server.put("/a", Page(BODY))
    code = (
        "import sys; from pathlib import Path; from recipes import download as d; "
        "d.download(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], size=None, "
        "settings=d.HttpSettings(), tick=lambda done, total: None)"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(Path(download.__file__).parents[1]), *sys.path])}
    argv = [sys.executable, "-c", code, url, str(dest), SHA256]
    running = [subprocess.Popen(argv, env=env) for _ in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0]
    assert len(server.asked) == 1
    assert dest.read_bytes() == BODY


def test_a_download_that_is_interrupted_leaves_its_part(server: Server, dest: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    url = server.put("/a", Page(BODY))
    with pytest.raises(KeyboardInterrupt):
        download.download(url, dest, sha256=SHA256, size=None, settings=FAST, tick=interrupt)
    left = part_of(dest).read_bytes()
    assert left == BODY[: len(left)]
    assert len(left) > 1000
    get(url, dest)
    assert dest.read_bytes() == BODY


def test_nothing_can_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="File exists"):
        get(server.put("/a", Page(BODY)), tmp_path / "file" / "below")


def test_the_directory_is_made(server: Server, tmp_path: Path) -> None:
    get(server.put("/a", Page(BODY)), tmp_path / "new" / "file")
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == ["file", "file.lock"]


def test_read_url(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"{}")
    assert download.read_url(server.put("/a", Page(b"{}", statuses=[500])), FAST, 2) == b"{}"
    assert download.read_url(f"file://{tmp_path}/a", FAST, 2) == b"{}"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (Page(b"123456"), "is longer than a document may be\n  limit  5 bytes"),
        (Page(endless=True), "is longer than a document may be\n  limit  5 bytes"),
        (Page(statuses=[404]), "could not be fetched\n  reason  HTTP 404 Not Found"),
        (Page(b"no gzip", headers={"Content-Encoding": "gzip"}), "could not be fetched\n  reason  Error -3"),
    ],
)
def test_read_url_that_fails(server: Server, page: Page, message: str) -> None:
    url = server.put("/a", page)
    with pytest.raises(FetchError) as caught:
        download.read_url(url, FAST, 5)
    assert caught.value.message.startswith(f"{url} {message}")


def test_read_url_of_a_file_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123456")
    with pytest.raises(FetchError, match="is longer than a document may be"):
        download.read_url(str(tmp_path / "a"), FAST, 5)
