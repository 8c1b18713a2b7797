"""What pip is told about package indexes, read from pip itself, so that one configuration serves both.

Specs and locks name no index. Whoever has a mirror has told pip of it already, in its configuration
files or in PIP_* variables; `pip config list` prints what they come to.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from recipes import process
from recipes.errors import ToolchainError

_SECTIONS = ("global", "download", "install", ":env:")  # as pip: each overrides those before it
_TRUE = ("1", "on", "t", "true", "y", "yes")

_BASE = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "NETRC"),
    *("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_CACHE_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")  # in either case


@dataclass(frozen=True)
class IndexSettings:
    """Where files are looked for, and how those places are talked to.

    Without `index_urls`, pip's own default is asked, and with `no_index` only `find_links`: directories,
    and pages that list files. `cert` is a file or directory of PEM certificates, `client_cert` a PEM file
    with key and certificate, `timeout` is in seconds (None: pip's default). URLs may hold credentials,
    and so are left out of the repr.
    """

    index_urls: tuple[str, ...] = field(default=(), repr=False)
    extra: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float | None = None


def index_settings(config_list: str) -> IndexSettings:
    """Parse what `pip config list` prints: lines `SECTION.KEY='VALUE'`, the value as Python's repr.

    pip ignores an empty value, and splits one that may be many at white space; so is done here.
    """
    values = _values(config_list)
    return IndexSettings(
        index_urls=_many(values.get("index-url")),
        extra=_many(values.get("extra-index-url")),
        find_links=_many(values.get("find-links")),
        no_index=values.get("no-index", "").lower() in _TRUE,
        trusted_hosts=_many(values.get("trusted-host")),
        cert=values.get("cert"),
        client_cert=values.get("client-cert"),
        proxy=values.get("proxy"),
        timeout=_seconds(values.get("timeout") or values.get("default-timeout")),
    )


def _values(config_list: str) -> dict[str, str]:
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for line in config_list.splitlines():
        key, _, literal = line.partition("=")
        section, _, name = key.rpartition(".")
        value = _text(literal)
        if section in sections and value:
            sections[section][name] = value
    return {name: value for section in _SECTIONS for name, value in sections[section].items()}


def _text(literal: str) -> str:
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        return ""
    return value if isinstance(value, str) else ""


def _many(value: str | None) -> tuple[str, ...]:
    return tuple((value or "").split())


def _seconds(value: str | None) -> float | None:
    try:
        return max(float(value), 0.1) if value else None
    except ValueError:
        return None


def read_settings(python: str, env: Mapping[str, str]) -> IndexSettings:
    """Ask the pip of a Python interpreter. Raises ToolchainError where it has none."""
    told = {name: value for name, value in env.items() if name.startswith("PIP_")}
    # with PIP_QUIET, or `quiet` in a configuration file, `pip config list` prints nothing
    loud = {"PIP_QUIET": "0", "PIP_VERBOSE": "0"}
    ended = process.run(pip(python, "config", "list"), env=_taken(env) | told | loud)
    if ended.code:
        raise failure("pip cannot read its configuration", python, ended)
    return index_settings(ended.out.decode(errors="replace"))


def pip(python: str, *arguments: str) -> list[str]:
    """Give the argv that runs pip; -P keeps a `pip` in the working directory from being it."""
    return [python, "-P", "-m", "pip", *arguments]


def failure(what: str, python: str, ended: process.Ended) -> ToolchainError:
    """Make the error of a pip that failed, with its last lines that say why."""
    said = ended.err.decode(errors="replace").strip().splitlines()
    if any(line.endswith("No module named pip") for line in said):
        return ToolchainError(f"`{python}` has no pip", hint=f"`{python} -m ensurepip`")
    errors = [line for line in said if line.startswith("ERROR: ")] or said or [f"exit code {ended.code}"]
    return ToolchainError("\n".join([what, *(f"  {line.removeprefix('ERROR: ')}" for line in errors[-5:])]))


def environment(settings: IndexSettings, env: Mapping[str, str], timeout: float) -> dict[str, str]:
    """Give the environment of a pip that resolves: these settings and nothing else.

    pip has many more, and some would change a lock (`constraint`, `pre`, `no-deps`, `requirement`) or
    keep pip from running (`require-virtualenv`, `user`); so it reads no configuration and no other PIP_*.
    In variables, not in the argv, where every user of the machine could read credentials.
    """
    told = {
        "INDEX_URL": " ".join(settings.index_urls),
        "EXTRA_INDEX_URL": " ".join(settings.extra),
        "FIND_LINKS": " ".join(settings.find_links),
        "NO_INDEX": "1" if settings.no_index else "",
        "TRUSTED_HOST": " ".join(settings.trusted_hosts),
        "CERT": settings.cert or "",
        "CLIENT_CERT": settings.client_cert or "",
        "PROXY": settings.proxy or "",
        "TIMEOUT": f"{timeout:g}",
        "RETRIES": "1",
        "CONFIG_FILE": os.devnull,
    }
    return _taken(env) | {f"PIP_{name}": value for name, value in told.items() if value}


def _taken(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name in _BASE or name.lower() in _PROXIES}
