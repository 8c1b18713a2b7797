"""Whether an origin has what is locked now: by asking, without a download of archives."""

from __future__ import annotations

from recipes.download import answers
from recipes.errors import AbsentError, FetchError, one_line
from recipes.fetch import Fetcher
from recipes.health.model import Origin, OriginKind
from recipes.lock import LockedSource
from recipes.origins import DebianOrigin, GitOrigin, PypiOrigin, UrlOrigin
from recipes.web import HttpSettings

_Answer = tuple[bool | None, str | None]


def origins(fetcher: Fetcher, locked: LockedSource) -> tuple[Origin, ...]:
    """Ask every origin of a source. Nobody who could be asked is None, a no is False; never raises."""
    return tuple(_origin(fetcher, one, locked) for one in locked.origins)


def _origin(
    fetcher: Fetcher, one: GitOrigin | PypiOrigin | DebianOrigin | UrlOrigin, locked: LockedSource
) -> Origin:
    kind: OriginKind
    match one:
        case GitOrigin():
            kind, name, (answer, why) = "git", one.git, _git(fetcher, one, locked)
        case PypiOrigin():
            kind, name, (answer, why) = "pypi", f"{one.pypi} {one.version}", _pypi(fetcher, one)
        case DebianOrigin():
            kind, name, (answer, why) = "debian", f"{one.debian} {one.version}", _debian(fetcher, one)
        case UrlOrigin():
            kind, name, (answer, why) = "url", one.url, _url(fetcher, one)
    return Origin(name, kind, answer, None if why is None else one_line(why))


def _git(fetcher: Fetcher, one: GitOrigin, locked: LockedSource) -> _Answer:
    silence = fetcher.git.answers(one.git)
    if silence is not None:
        return None, silence
    try:
        fetcher.git.fetch(one.git, locked.commit or "", locked.resolved, _ignore)
    except AbsentError:
        return False, f"it does not have commit {locked.commit}"
    except FetchError as error:
        return None, error.message.splitlines()[0]
    return True, None


def _pypi(fetcher: Fetcher, one: PypiOrigin) -> _Answer:
    try:
        files, silent = fetcher.index.listed(one.pypi)
    except FetchError as error:
        return None, error.message.splitlines()[0]
    same = [file for file in files if file.file == one.file]
    if any(file.sha256 in (None, one.sha256) for file in same):
        yanked = next((file.yanked for file in same if file.yanked is not None), None)
        return True, None if yanked is None else f"yanked: {yanked}".removesuffix(": ")
    if same:
        return False, f"{one.file} has another hash there"
    return (None, silent[0]) if silent else (False, f"no index has {one.file}")


def _debian(fetcher: Fetcher, one: DebianOrigin) -> _Answer:
    try:
        found = fetcher.debian.find(one.debian, one.version, one.suite)
    except FetchError as error:
        missing = "does not have" in error.message or "no version" in error.message
        return (False if missing else None), error.message.splitlines()[0]
    return (True, None) if found.sha256 == one.sha256 else (False, f"{found.file} has another hash there")


def _url(fetcher: Fetcher, one: UrlOrigin) -> _Answer:
    settings = HttpSettings(timeout=fetcher.settings.timeout)
    return answers(fetcher.settings.rewrite(one.url), settings)


def _ignore(done: int, total: int | None = None) -> None:
    """Show nothing: the caller shows it."""
