"""Whether an origin has what is locked now: by asking, without a download of archives.

True: it says so. False: it says that it does not. None: nobody could be asked, or the answer is no answer.
"""

from __future__ import annotations

from typing import TypeAlias

from recipes import gitsays
from recipes.debian import Orig
from recipes.download import answers
from recipes.errors import FetchError, RecipesError, one_line
from recipes.fetch import Fetcher
from recipes.health.model import Origin, OriginKind
from recipes.lock import LockedSource
from recipes.origins import DebianOrigin, GitOrigin, PypiOrigin, UrlOrigin, file_name
from recipes.origins import Origin as Place
from recipes.web import HttpSettings

_Answer: TypeAlias = tuple[bool | None, str | None]  # with the reason where it is no plain yes


def origins(fetcher: Fetcher, locked: LockedSource) -> tuple[Origin, ...]:
    """Ask every origin of a source, in the lock's order. Threads may share the fetcher.

    No server's answer or silence raises anything. A git server is asked for the commit itself, whatever the
    store has; an index and an archive whether they list the file with its hash; a URL whether it is there.
    """
    return tuple(_origin(fetcher, one, locked) for one in locked.origins)


def _origin(fetcher: Fetcher, one: Place, locked: LockedSource) -> Origin:
    name, kind = _named(one)
    if fetcher.offline:
        return Origin(name, kind, None, "not asked: `--offline`")
    try:
        answer, why = _ask(fetcher, one, locked)
    except RecipesError as error:
        answer, why = None, _reason(error)
    return Origin(name, kind, answer, None if why is None else one_line(why))


def _named(one: Place) -> tuple[str, OriginKind]:
    match one:
        case GitOrigin():
            return one.git, "git"
        case PypiOrigin():
            return f"{one.pypi} {one.version}", "pypi"
        case DebianOrigin():
            return f"{one.debian} {one.version}", "debian"
        case UrlOrigin():
            return one.url, "url"


def _ask(fetcher: Fetcher, one: Place, locked: LockedSource) -> _Answer:
    match one:
        case GitOrigin():
            return _git(fetcher, one.git, locked)
        case PypiOrigin():
            return _pypi(fetcher, one)
        case DebianOrigin():
            orig = Orig(one.debian, one.version or "", file_name(one), one.sha256 or "", one.suite)
            return fetcher.debian.offers(orig)
        case UrlOrigin():
            settings = HttpSettings(timeout=fetcher.settings.timeout)
            return answers(fetcher.settings.rewrite(one.url), settings)


def _git(fetcher: Fetcher, url: str, locked: LockedSource) -> _Answer:
    if locked.commit is None:
        return None, "no commit is locked"
    silence = fetcher.git.answers(url)
    if silence is not None:
        return (False if gitsays.is_absence(silence) else None), silence
    with fetcher.store.scratch("asked") as place:
        there = fetcher.git.has(url, locked.commit, locked.resolved, place)
    return (True, None) if there else (False, f"it does not have commit {locked.commit}")


def _pypi(fetcher: Fetcher, one: PypiOrigin) -> _Answer:
    files, silent = fetcher.index.listed(one.pypi)
    named = [file for file in files if file.file == one.file]
    fitting = [file for file in files if file.sha256 == one.sha256]  # under whatever name, as fetching has it
    if fitting or any(file.sha256 is None for file in named):
        return True, _but([file.yanked for file in fitting]) if fitting else "it is listed without a hash"
    if named:
        return False, f"{one.file} has another hash there"
    return (None, silent[0]) if silent else (False, f"no index has {one.file}")


def _but(yanked: list[str | None]) -> str | None:
    """Say that a file is withdrawn, with the reason if there is one; None where a place still offers it."""
    if None in yanked:
        return None
    return f"yanked: {yanked[0]}" if yanked[0] else "yanked"


def _reason(error: RecipesError) -> str:
    """Make one line of an error, with what git said if it is git's."""
    first = error.message.splitlines()[0]
    said = error.message.partition("\n  git says  ")[2]
    return f"{first}: {said}" if said and isinstance(error, FetchError) else first
