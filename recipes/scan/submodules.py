"""The submodules of a tree, from `.gitmodules`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recipes.scan.findings import Found, Verdict

_SECTION = re.compile(r'\[submodule "(.*)"\]')
_SETTING = re.compile(r"(\w+)\s*=\s*(.*)")
_PINNED = Verdict("pinned", "the commit that the tree's gitlink names")


def read(text: str, file: str) -> Iterator[Found]:
    """Give the submodules; one with a `branch` moves with `git submodule update --remote`."""
    name, line, settings = "", 0, dict[str, tuple[int, str]]()
    for number, raw in enumerate([*text.split("\n"), '[submodule ""]'], start=1):
        stripped = raw.strip()
        if stripped.startswith("["):
            if name:
                yield from _submodule(file, line, name, settings)
            section = _SECTION.fullmatch(stripped)
            name, line, settings = section[1] if section else "", number, {}
        elif setting := _SETTING.fullmatch(stripped):
            settings[setting[1].lower()] = (number, setting[2].strip('"'))


def _submodule(file: str, line: int, name: str, settings: dict[str, tuple[int, str]]) -> Iterator[Found]:
    _, url = settings.get("url", (0, ""))
    at, branch = settings.get("branch", (line, ""))
    if url:
        why = f"`git submodule update --remote` moves it along the branch `{branch}`"
        verdict = Verdict("movable", why) if branch else _PINNED
        asked = url if "://" in url else None
        yield Found(file, at, "submodule", url, verdict, asked, branch or None, name)
