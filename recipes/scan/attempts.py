"""What the log of a CMake run tells of downloads that were tried, as cmake, git and curl word them."""

from __future__ import annotations

import re

_ATTEMPT = re.compile(
    r"could not find git for clone|Cloning into|Could(?: not|n't) resolve host|Failed to clone"
    r"|Performing download step|Failed to connect to|[Nn]etwork is unreachable|name resolution"
    r"|error: downloading '|Each download failed|Downloading \S+ (?:\(|to )|CPM: Adding package"
    r"|[Dd]ownloading\.\.\."
)


def told(log: str) -> tuple[str, ...]:
    """Give the lines that tell of a download, each once, in their order."""
    lines = (line.strip() for line in log.splitlines())
    return tuple(dict.fromkeys(line for line in lines if _ATTEMPT.search(line)))
