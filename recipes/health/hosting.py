"""What GitHub says of a repository, beyond git: whether it is archived, or has moved."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from recipes.download import read_url
from recipes.errors import FetchError, one_line
from recipes.fetch import Fetcher
from recipes.web import HttpSettings

_API = "https://api.github.com/repos/"
_URL = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
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
    name = f"{found[1]}/{found[2]}"
    patience = min(fetcher.settings.timeout, _PATIENCE)
    try:
        text = read_url(fetcher.settings.rewrite(_API + name), HttpSettings(timeout=patience), _MOST)
    except FetchError as error:
        why = one_line(error.message.splitlines()[-1].strip().removeprefix("reason").strip())
        return Hosting(unknown=f"GitHub does not say whether it is archived: {why}")
    return _read(text, name)


def _read(text: bytes, name: str) -> Hosting:
    try:
        found = json.loads(text)
        archived, full = found["archived"], found["full_name"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return Hosting(unknown="GitHub's answer cannot be read")
    if not isinstance(archived, bool) or not isinstance(full, str):
        return Hosting(unknown="GitHub's answer cannot be read")
    moved = re.fullmatch(r"[\w.-]+/[\w.-]+", full) and full.lower() != name.lower()
    return Hosting(archived, f"https://github.com/{full}" if moved else None)
