"""What git and curl say on standard error, by what it means; in English, as `LC_ALL=C.UTF-8` has it."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from recipes.giturls import shown

_DEAD = re.compile(
    r"resolve host|onnection (?:refused|reset|timed out|closed)|ailed to connect|ouldn't connect|No route"
    r"|unreachable|timed out|too slow|mpty reply|SSL|TLS|certificate|error: 5\d\d|hung up|early EOF"
)
_CUT_OFF = re.compile(r"early EOF|RPC failed|unexpected disconnect|hung up|too slow|timed out")
_DAMAGED = re.compile(r"fsck error|bad object|corrupt|COLLISION|inflate|unresolved deltas|did not send all")
REFUSED = re.compile(r"not our ref|unadvertised object|want \S+ not valid|find remote ref|no such remote ref")
_ABSENT = re.compile("not our ref ([0-9a-f]{40})")
_NO_REPOSITORY = re.compile(  # GitHub asks who it is that asks for a repository that is not there
    r"^repository .*not found|could not read Username|not (?:appear to be )?a git repository"
    r"|does not exist|error: 4(?:04|10)"
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_ECHO = re.compile(  # says only that something went wrong before
    r"fatal: (?:fetch-pack: invalid index-pack output|Could not read from remote|the remote end hung up)"
    r"|Please make sure|and the repository exists|remote: (?:Enumerating|Counting|Compressing|Total)|\s*$"
)


def check_disk(text: str, place: Path) -> None:
    """Raise the OSError that git met on our own disk, at `place`; what a server says of its disk is none."""
    for number in _FULL:
        if re.search(f"^(?!remote:).*{os.strerror(number)}", text, re.MULTILINE):
            raise OSError(number, os.strerror(number), str(place))


def absent(text: str) -> str | None:
    """Give the commit that a server which hands out any commit says that it does not have."""
    found = _ABSENT.search(text)
    return found and found[1]


def is_damage(text: str) -> bool:
    """Say whether objects came that are not what they should be, rather than too few bytes of them."""
    return _DAMAGED.search(text) is not None and _CUT_OFF.search(text) is None


def is_death(reason: str | None) -> bool:
    """Say whether a reason holds for a whole host; what is quoted in it is a URL, and could say anything."""
    return reason is not None and _DEAD.search(re.sub(r"'[^']*'", "", reason)) is not None


def is_absence(reason: str) -> bool:
    """Say whether a host's answer is that it has no such repository, or shows it to nobody like us."""
    return _NO_REPOSITORY.search(re.sub(r"'[^']*'", "", reason)) is not None


def reason(text: str) -> str:
    """Pick the line that says most from what git said: a broken transfer, else the last telling `fatal:`."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if not _ECHO.match(line)]
    broken = [line for line in lines if "RPC failed" in line]
    fatal = [line for line in lines if line.startswith("fatal: ")]
    said = (broken or fatal or lines or ["nothing"])[-1].removeprefix("fatal: ").removeprefix("error: ")
    # These may be a server's words: no terminal codes
    return "".join(letter for letter in shown(said).rstrip(".") if letter.isprintable())
