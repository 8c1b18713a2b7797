"""Debian's source packages: found through the signed index of the archives that apt is configured with.

An index that is not signed by a key that counts on this machine is never used. It is kept for a day, one for
each suite that is asked for:

    KEY/lists/   the index as apt keeps it; what has not been verified is in `partial` only
    KEY/updated  empty; its time of modification is when all archives had answered
    KEY.lock     held while the index is made; apt renames into `lists`, so readers hold nothing
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import aptsources, files, flock, hashes
from recipes.apt import SILENCE, Apt, complaints
from recipes.aptsources import Entry, Listed
from recipes.errors import FetchError, IntegrityError

FRESH = 24 * 60 * 60  # seconds for which an index is asked again without asking its archive

# An archive without the suite that was asked for is no trouble: another one may have it.
_NO_SUCH_SUITE = ("does not have a Release file", "no longer has a Release file")


@dataclass(frozen=True)
class Orig:
    """The upstream tarball of a version of a source package; `sha256` is in hexadecimal.

    `suite` is the suite that it is looked for in; None for those that apt is configured with.
    """

    package: str
    version: str
    file: str
    sha256: str
    suite: str | None = None


class Debian:
    """The archives that apt is configured with. Threads and processes may share `root`.

    `root` is a directory of ours for indexes, `env` the user's environment, `timeout` how long, in seconds,
    an archive may be silent. Each index is asked for once a day, and when something is not in it.
    """

    def __init__(
        self,
        root: Path,
        env: Mapping[str, str],
        *,
        timeout: float = 8.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root, self.clock = root, clock
        self.apt = Apt(env, timeout)
        self._asked: dict[str | None, list[str]] = {}  # by suite asked for, once: what apt complained of

    def find(self, package: str, version: str | None = None, suite: str | None = None) -> Orig:
        """Find a version's upstream tarball, the newest version's where none is given.

        Raises FetchError where the index cannot be had, does not have the version, or apt is not here.
        """
        for _, there in self._looks(package, suite):
            for one in there:
                if version in (None, one.version) and one.file and one.sha256:
                    return Orig(package, one.version, one.file, one.sha256, suite)
        raise self._missing(package, version, suite, there)

    def download(self, orig: Orig, scratch: Path) -> Path:
        """Bring a tarball into a private directory, and say where it is.

        Any version of the package that was made from that very tarball will do: suites differ in Debian's
        own part of the version. Raises FetchError as `find`, and where no archive has the file any more;
        IntegrityError where the index, or what an archive gave, has another hash.
        """
        index, version = self._carrier(orig)
        options = ("--quiet", "--download-only", "--tar-only", "--only-source")
        what = f"{orig.package}={version}"
        ended = self.apt.run(index, "apt-get", "source", *options, what, cwd=scratch)
        failed, came = scratch / f"{orig.file}.FAILED", scratch / orig.file
        if failed.is_file():  # apt's name for what is not what the index says
            raise _differs(orig, files.sha256(failed) if failed.stat().st_size else complaints(ended)[0])
        if ended.code or not came.is_file():
            raise FetchError(f"{orig.file} could not be had from apt's archives: {complaints(ended)[0]}")
        if (actual := files.sha256(came)) != orig.sha256:
            raise _differs(orig, actual)
        return came

    def offers(self, orig: Orig) -> tuple[bool | None, str | None]:
        """Say whether the index has a tarball, of any version, and else why not; None where it cannot be had.

        Nothing is downloaded but the index.
        """
        try:
            for _, there in self._looks(orig.package, orig.suite):
                same = [one for one in there if one.file == orig.file]
                if any(one.sha256 == orig.sha256 for one in same):
                    return True, None
        except FetchError as silence:
            return None, silence.message.splitlines()[0]
        if same:
            return False, f"{orig.file} has another hash there"
        silent = self._asked.get(orig.suite)
        return (None, silent[0]) if silent else (False, f"no archive has {orig.file}")

    def _carrier(self, orig: Orig) -> tuple[Path, str]:
        """Find a version that has the tarball, and the index that it is in."""
        for index, there in self._looks(orig.package, orig.suite):
            for one in there:
                if (one.file, one.sha256) == (orig.file, orig.sha256):
                    return index, one.version
        other = next((one for one in there if one.file == orig.file and one.sha256), None)
        if other is not None:
            raise _differs(orig, f"{other.sha256}, by Debian's index")
        raise self._missing(orig.package, orig.version, orig.suite, there)

    def _looks(self, package: str, suite: str | None) -> Iterator[tuple[Path, list[Listed]]]:
        """List a package's versions as the index has them that is kept, then as the one of now has."""
        for again in (False, True):
            if again and suite in self._asked:
                return
            index = self._index(suite, again=again)
            yield index, aptsources.listed(self.apt.show(index, package), package)

    def _index(self, suite: str | None, *, again: bool) -> Path:
        """Give the directory of an index; ask for it where it is old, or `again`, unless that was done."""
        places = self.apt.configured(suite)
        index = self.root / hashes.store_hash(aptsources.render(places))
        self.root.mkdir(parents=True, exist_ok=True)
        with flock.exclusive(index.with_suffix(".lock"), lambda: None):
            if suite not in self._asked and (again or not self._is_fresh(index)):
                self._asked[suite] = self._update(index, places)
            said = self._asked.get(suite, [])
        if not _is_there(index):
            of_suite = f" for suite `{suite}`" if suite else ""
            first, *more = said or ["none of apt's sources has source packages"]
            raise FetchError("\n  ".join([f"{SILENCE}{of_suite}: {first}", *more]))
        return index

    def _is_fresh(self, index: Path) -> bool:
        stamp = index / "updated"
        return stamp.is_file() and 0 <= self.clock() - stamp.stat().st_mtime < FRESH and _is_there(index)

    def _update(self, index: Path, places: Sequence[Entry]) -> list[str]:
        said = self.apt.update(index, places)
        grave = [one for one in said if not any(word in one for word in _NO_SUCH_SUITE)]
        if _is_there(index) and not grave:
            (index / "updated").touch()
            os.utime(index / "updated", (self.clock(),) * 2)
        return grave if _is_there(index) else said

    def _missing(
        self, package: str, version: str | None, suite: str | None, there: Sequence[Listed]
    ) -> FetchError:
        what = f"`{package}`" if version is None else f"`{package}` {version}"
        where = (
            f"suite `{suite}` of Debian's archive" if suite else "the archives that apt is configured with"
        )
        have = ", ".join(one.version if one.file else f"{one.version} (no .orig.tar)" for one in there)
        silent = [f"  silent    {one}" for one in self._asked.get(suite, [])]
        elsewhere = "  nowhere else was asked: Debian's snapshot service is where it is one of apt's sources"
        lines = [f"{what} is not in {where}", f"  there is  {have or 'no version of it'}", *silent, elsewhere]
        return FetchError("\n".join(lines), hint="`man sources.list`")


def _is_there(index: Path) -> bool:
    return any((index / "lists").glob("*_Sources*"))


def _differs(orig: Orig, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{orig.file} of Debian's archive does not have its hash\n"
        f"  expected  {orig.sha256}\n  actual    {actual}"
    )
