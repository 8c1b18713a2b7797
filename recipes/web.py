"""HTTP: one way to ask a server, with its settings, its retries, and errors that hide credentials."""

from __future__ import annotations

import functools
import itertools
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from recipes.errors import FetchError

if TYPE_CHECKING:
    import httpx2

_RESUMED = 5  # times that a transfer is taken up again after it was cut off
_ASKED_AGAIN = 2  # times that a server in trouble is asked again
_IN_TROUBLE = (429, 500, 502, 503, 504)

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class HttpSettings:
    """How to speak HTTP; what is not named here (proxies, certificates) httpx takes from the environment.

    `cert` is a file or a directory of certificates to trust in place of the system's, `client_cert` a PEM
    file with certificate and key. The certificates of `trusted_hosts` (`HOST` or `HOST:PORT`) are not looked
    at. `netrc` is a file of credentials for hosts whose URL has none. `timeout` is for a connection or a
    silence, `backoff` for the first wait before another try (it doubles each time), in seconds.
    """

    cert: str | None = None
    client_cert: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = None
    netrc: str | None = None
    timeout: float = 15.0
    backoff: float = 0.2


def redacted(url: str) -> str:
    """Write a URL for people: credentials before the host and values in the query are left out."""
    # the second form is a password with a `/` in it that should have been %2F
    without_user = re.sub(r"(?<!/)//(?:[^/?#]*|[^/?#:\[@]*:(?!\d*/)[^@]*)@", "//***@", url)
    return re.sub(r"(?<=[?&])([^=&#]*)=[^&#]*", r"\1=***", without_user)


def persist(
    url: str,
    settings: HttpSettings,
    attempt: Callable[[httpx2.Client], _Value],
    received: Callable[[], int],
) -> _Value:
    """Attempt something with a client; again while `received` grows or the server is in trouble.

    Raises FetchError with the URL, redacted, and the last reason.
    """
    import httpx2  # noqa: PLC0415 - 60 ms that only a download should cost

    for tries in itertools.count():
        before = received()
        try:
            with _client(url, settings) as http:
                return attempt(http)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            if not _worth_trying_again(error, tries, progressed=received() > before):
                raise failure(url, _reason(error, settings)) from None
        time.sleep(settings.backoff * 2**tries)
    raise AssertionError  # pragma: no cover - the loop has no end


def failure(url: str, reason: str) -> FetchError:
    """Make the error for a URL that gave nothing."""
    return FetchError(f"{redacted(url)} could not be fetched\n  reason  {reason}")


def reason(error: FetchError) -> str:
    """Give the reason out of an error of `failure`; of another one, its first line."""
    first, _, rest = error.message.partition("\n")
    return rest.partition("  reason  ")[2] or first


def _worth_trying_again(error: Exception, tries: int, *, progressed: bool) -> bool:
    import httpx2  # noqa: PLC0415

    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code in _IN_TROUBLE and tries < _ASKED_AGAIN
    return isinstance(error, httpx2.TransportError) and progressed and tries < _RESUMED


def _reason(error: Exception, settings: HttpSettings) -> str:
    import httpx2  # noqa: PLC0415

    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}"
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer within {settings.timeout:g} seconds"
    if not isinstance(error, httpx2.HTTPError):
        return "this is not a valid URL"  # httpx quotes the part it stumbled over: maybe a password
    return redacted(str(error)) or type(error).__name__


def _client(url: str, settings: HttpSettings) -> httpx2.Client:
    import httpx2  # noqa: PLC0415

    try:
        context = _context(settings.cert, settings.client_cert)
        return httpx2.Client(
            verify=context,
            proxy=settings.proxy,
            mounts={f"https://{host}": _unverified(settings) for host in settings.trusted_hosts},
            auth=_auth(url, settings),
            timeout=settings.timeout,
            follow_redirects=True,
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:  # a file or a proxy that is none
        raise failure(url, redacted(f"the settings for HTTP cannot be used: {error}")) from None


@functools.cache
def _context(cert: str | None, client_cert: str | None) -> ssl.SSLContext:
    """Load certificates: some 20 ms, so once."""
    import httpx2  # noqa: PLC0415

    if cert is None:
        context = httpx2.create_ssl_context()
    else:
        directory = Path(cert).is_dir()
        context = ssl.create_default_context(
            cafile=None if directory else cert, capath=cert if directory else None
        )
    if client_cert is not None:
        context.load_cert_chain(client_cert)
    return context


def _unverified(settings: HttpSettings) -> httpx2.HTTPTransport:
    import httpx2  # noqa: PLC0415

    context = httpx2.create_ssl_context(verify=False)
    if settings.client_cert is not None:
        context.load_cert_chain(settings.client_cert)
    return httpx2.HTTPTransport(verify=context, proxy=settings.proxy)


def _auth(url: str, settings: HttpSettings) -> httpx2.NetRCAuth | None:
    """Credentials of the netrc file, unless the URL brings its own."""
    import httpx2  # noqa: PLC0415

    if settings.netrc is None or "@" in url.partition("//")[2].partition("/")[0]:
        return None
    return httpx2.NetRCAuth(settings.netrc)
