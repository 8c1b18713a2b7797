"""The client that talks to package indexes, with all that pip is told: certificates, proxies, credentials.

Transport to files and credentials (in a URL, netrc, keyring) are unearth's. Import this module late.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import PyPIClient

from recipes.errors import FetchError
from recipes.pipconfig import IndexSettings

# unearth warns of what is reported here as an error, and of URLs that may hold credentials
logging.getLogger("unearth").addHandler(logging.NullHandler())


def client(settings: IndexSettings, env: Mapping[str, str], patience: float) -> PyPIClient:
    """Make the client for all places; threads may share it. Raises FetchError for unusable settings.

    A server may be silent for `patience` seconds, or for pip's `timeout` where that is set. Nothing is
    read from the process's environment but NETRC.
    """
    route = _Route(settings, env)
    return PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        transport=route,
        mounts={f"all://{host}": route for host in settings.trusted_hosts},
        auth=MultiDomainBasicAuth(prompting=False, index_urls=(*settings.index_urls, *settings.extra)),
        timeout=httpx2.Timeout(settings.timeout or patience, connect=patience),
        event_hooks={"response": [_stay_remote]},
        follow_redirects=True,
        trust_env=False,
    )


def _stay_remote(response: httpx2.Response) -> None:
    """Refuse a server's redirect to a file of this machine."""
    if response.headers.get("Location", "").strip().lower().startswith("file:"):
        raise httpx2.UnsupportedProtocol("redirects to a file of this machine", request=response.request)


class _Route(httpx2.BaseTransport):
    """Sends each request directly or through a proxy, to a host that is checked or trusted unchecked."""

    def __init__(self, settings: IndexSettings, env: Mapping[str, str]) -> None:
        self.trusted = {urlsplit(f"//{host}").hostname for host in settings.trusted_hosts}
        self.direct = "" if settings.proxy else _variable(env, "no_proxy")
        self.proxies = {scheme: _proxy(settings, env, scheme) for scheme in ("http", "https")}
        checked = _certificates(settings, env)
        contexts = {False: checked, True: _unchecked(settings)} if self.trusted else {False: checked}
        self.ways = {
            (trust, proxy): _transport(context, proxy)
            for trust, context in contexts.items()
            for proxy in {"", *self.proxies.values()}
        }

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        proxy = "" if _is_direct(host, self.direct) else self.proxies.get(request.url.scheme, "")
        return self.ways[host in self.trusted, proxy].handle_request(request)

    def close(self) -> None:
        for one in self.ways.values():
            one.close()


def _is_direct(host: str, no_proxy: str) -> bool:
    """Say whether `no_proxy` names a host, a domain around it, or `*`."""
    names = [one.strip().lower().lstrip(".") for one in no_proxy.split(",")]
    return any(one in ("*", host) or host.endswith(f".{one}") for one in names if one)


def _transport(context: ssl.SSLContext, proxy: str) -> httpx2.HTTPTransport:
    try:
        return httpx2.HTTPTransport(verify=context, proxy=proxy or None, retries=1, trust_env=False)
    except (ValueError, ImportError, httpx2.InvalidURL) as wrong:
        kind = urlsplit(proxy).scheme
        raise FetchError(
            f"pip's proxy, of the kind `{kind}`, cannot be used\n  only `http`, `https` and `socks5` can",
            hint="`pip config get global.proxy`; `env | grep -i proxy`",
        ) from wrong


def _proxy(settings: IndexSettings, env: Mapping[str, str], scheme: str) -> str:
    named = settings.proxy or _variable(env, f"{scheme}_proxy") or _variable(env, "all_proxy")
    return named if not named or "://" in named else f"http://{named}"


def _variable(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or env.get(name.upper()) or ""


def _certificates(settings: IndexSettings, env: Mapping[str, str]) -> ssl.SSLContext:
    """Choose the authorities as pip does: its own setting, then the variables, then the system's."""
    bundle = settings.cert or env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE")
    file, directory = env.get("SSL_CERT_FILE"), env.get("SSL_CERT_DIR")
    if bundle:
        file, directory = (None, bundle) if Path(bundle).is_dir() else (bundle, None)
    if not file and not directory:
        return _with_client(httpx2.create_ssl_context(trust_env=False), settings)
    try:
        return _with_client(ssl.create_default_context(cafile=file, capath=directory), settings)
    except OSError as wrong:
        raise FetchError(
            f"certificates cannot be read from `{file or directory}`: {wrong.strerror or wrong}",
            hint="`pip config get global.cert`; `env | grep -e CERT -e BUNDLE`",
        ) from wrong


def _unchecked(settings: IndexSettings) -> ssl.SSLContext:
    return _with_client(httpx2.create_ssl_context(verify=False, trust_env=False), settings)


def _with_client(context: ssl.SSLContext, settings: IndexSettings) -> ssl.SSLContext:
    if settings.client_cert:
        try:
            context.load_cert_chain(settings.client_cert)
        except OSError as wrong:
            raise FetchError(
                f"pip's client certificate `{settings.client_cert}` cannot be read",
                hint="`pip config get global.client-cert`",
            ) from wrong
    return context
