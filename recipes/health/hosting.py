"""What GitHub says of a repository, beyond git: whether it is archived, or has moved.

Asked without a token, as GitHub allows 60 times an hour ("Rate limits for the REST API" in its docs).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from recipes.download import read_url
from recipes.errors import FetchError, one_line
from recipes.fetch import Fetcher
from recipes.web import HttpSettings, reason

_API = "https://api.github.com/repos/"
_URL = re.compile(r"https://github\.com/([A-Za-z0-9-]+/[A-Za-z0-9_.-]+?)(?:\.git)?/?")
_NAME = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9_.-]+")
_MOST = 1 << 20  # bytes; an answer has 7 KB
_PATIENCE = 10.0  # seconds at most: nothing is built from what is said here


@dataclass(frozen=True)
class Hosting:
    """What the host says; None for what is not known, and `unknown` says why."""

    archived: bool | None = None
    moved_to: str | None = None
    unknown: str | None = None


def ask(fetcher: Fetcher, url: str) -> Hosting:
    """Ask for a repository on GitHub; of other hosts nothing is known. Never raises."""
    found = _URL.fullmatch(url)
    if found is None:
        return Hosting()
    if fetcher.offline:
        return _unknown("not asked: `--offline`")
    settings = HttpSettings(timeout=min(fetcher.settings.timeout, _PATIENCE))
    try:
        text = read_url(fetcher.settings.rewrite(_API + found[1]), settings, _MOST)
    except FetchError as error:
        return _unknown(one_line(reason(error)))
    return _read(text, found[1])


def _read(text: bytes, name: str) -> Hosting:
    """Read the answer: https://docs.github.com/en/rest/repos/repos#get-a-repository."""
    try:
        found = json.loads(text)
        archived, full = found["archived"], found["full_name"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return _unknown("its answer cannot be read")
    if not isinstance(archived, bool) or not isinstance(full, str) or not _NAME.fullmatch(full):
        return _unknown("its answer cannot be read")
    moved = full.lower() != name.lower()
    return Hosting(archived, f"https://github.com/{full}" if moved else None)


def _unknown(why: str) -> Hosting:
    return Hosting(unknown=f"GitHub does not say whether it is archived: {why}")
