"""The world that a second build runs in, and how it differs from the first's. Pure.

What does not differ, because nothing here can change it: the kernel, the kind of processor, the clock (which
only goes on), the order in which the file system itself lists a directory, and the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: A directory's name that is longer than usual, and has characters that a careless script would trip over.
DIRECTORY = "elsewhere,a=longer+name~with@other%characters^in{it}"

HOST, USER = "another-host", "someone-else"
UMASK = 0o077
_UID, _GID = 54321, 54322
_ZONES = ("Pacific/Chatham", "America/St_Johns")  # neither a whole number of hours from UTC
_LOCALES = ("tr_TR.UTF-8", "de_DE.ISO-8859-1")  # where `i` has no upper case `I`, and one that is not UTF-8

# The first namespace has the right to give the host a name, the second is that of an ordinary user.
_AS_SOMEONE = ("unshare", "--user", "--map-root-user", "--uts", "--", "/bin/sh", "-euc")
_SCRIPT = f"""\
hostname {HOST}
exec unshare --user --map-user={_UID} --map-group={_GID} -- "$@"
"""


@dataclass(frozen=True)
class Another:
    """A world to build in: what a process starts with and is told.

    `prefix` is the argv in front of the process's own; `processors` are those it may use, `jobs` how many
    compilers run at once, `isolation` names the sandbox, `env` is the whole environment.
    """

    prefix: tuple[str, ...]
    isolation: str
    env: Mapping[str, str]
    processors: tuple[int, ...]
    jobs: int
    umask: int = UMASK

    def told(self, usual: str) -> str:
        """Say how it differs, for a person; `usual` is the sandbox that builds use here."""
        same = "without a sandbox" if usual == "none" else f"in {usual}, as no other sandbox works"
        sandbox = same if self.isolation == usual else f"in {self.isolation}"
        someone = "another user and host name" if self.prefix else "the same user and host name"
        count = len(self.processors)
        return (
            f"building again {sandbox}; {someone}; {count} processor{'s' if count > 1 else ''}, "
            f"{self.jobs} job{'s' if self.jobs > 1 else ''}; TZ {self.env['TZ']}, "
            f"locale {self.env['LC_ALL']}, umask {self.umask:04o}; sources laid out in reverse; no cache"
        )


def someone() -> tuple[str, ...]:
    """Give the argv in front of a command that runs it as another user, on a host of another name."""
    return (*_AS_SOMEONE, _SCRIPT, "sh")


def environment(usual: Mapping[str, str], home: str, path: Sequence[str]) -> dict[str, str]:
    """Give another environment than the usual one, with which Python finds the same modules (`path`)."""
    kept = {
        key: value
        for key, value in usual.items()
        if not key.startswith(("LC_", "PYTHON", "RECIPES_")) and key not in ("LANG", "LANGUAGE")
    }
    zone = next(one for one in _ZONES if one != usual.get("TZ"))
    locale = next(one for one in _LOCALES if one != usual.get("LC_ALL"))
    home_and_user = {"HOME": home, "USER": USER, "LOGNAME": USER, "TMPDIR": home}
    return {**kept, **home_and_user, "TZ": zone, "LC_ALL": locale, "PYTHONPATH": ":".join(path)}


def processors(usual: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Choose other processors than the usual ones, and another number of jobs.

    One fewer, so that a build of an hour does not take a day; where there is one only, two jobs share it.
    """
    fewer = tuple(sorted(usual))[:-1]
    return (fewer, len(fewer)) if fewer else (tuple(usual), 2)
