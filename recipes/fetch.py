"""Bring locked sources and wheels into the store, from whichever origin has the right bytes."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from recipes import archives, download, gitsays, origins
from recipes.archives import Want
from recipes.debian import Debian, Orig
from recipes.errors import FetchError, IntegrityError, RecipesError
from recipes.git import Git
from recipes.origins import Archive, DebianOrigin, GitOrigin, Kind, Origin, PypiOrigin, file_name
from recipes.plan import SourceTree, UnpackedWheel
from recipes.pypi import Index
from recipes.report import Report, Task
from recipes.settings import Settings
from recipes.store import Store
from recipes.treewriter import TreeWriter

PARALLEL = 8  # transfers at once: enough to hide latency, few enough for a polite client

Wanted: TypeAlias = Mapping[str, SourceTree]  # by the name of the store path
Outcome: TypeAlias = dict[str, RecipesError | None]  # by the same; None where it is in the store now


@dataclass
class Fetcher:
    """What fetching needs: the store, the ways to the outside, and what the user allows.

    `only` forces one kind of origin; `offline` allows none.
    """

    store: Store
    git: Git
    index: Index
    debian: Debian
    settings: Settings
    report: Report
    only: Kind | None = None
    offline: bool = False
    _told: set[str] = field(default_factory=set)
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def sources(self, wanted: Wanted) -> None:
        """Bring sources in, those that are there already excepted.

        Raises IntegrityError where an origin gave other bytes and none gave the right ones, FetchError
        where none could be reached.
        """
        tried: dict[str, list[tuple[Origin, RecipesError]]] = defaultdict(list)
        queues = {
            name: self._allowed(one.origins) for name, one in wanted.items() if not self.store.has(name)
        }
        while any(queues.values()):
            turn = {name: queue.pop(0) for name, queue in queues.items() if queue}
            for name, error in self._turn(turn, wanted).items():
                if error is None:
                    del queues[name]
                else:
                    tried[name].append((turn[name], error))
                    self._tell(wanted[name], turn[name], error, more=bool(queues[name]))
        if queues:
            raise _failure({wanted[name].name: tried[name] for name in queues}, offline=self.offline)

    def wheels(self, wanted: Mapping[str, UnpackedWheel]) -> None:
        """Bring the toolchain's wheels in, unpacked. Raises FetchError, IntegrityError."""
        missing = {name: one for name, one in wanted.items() if not self.store.has(name)}
        if missing and self.offline:
            named = ", ".join(sorted(one.label() for one in missing.values()))
            raise FetchError(f"not in the store, and `--offline` allows no other place: {named}")
        with ThreadPoolExecutor(PARALLEL) as pool:
            all_of_them = [pool.submit(self._wheel, *item) for item in missing.items()]
        settle(all_of_them)

    def archive(self, origin: Archive) -> Path:
        """Bring an archive in, once; give where it is. Raises FetchError, IntegrityError."""
        if origin.sha256 is not None and self._kept(origin.sha256):
            return self.store.archive(origin.sha256)
        if isinstance(origin, DebianOrigin):
            return self._from_debian(origin)
        if isinstance(origin, PypiOrigin):
            found = self.index.find(origin.pypi, origin.file, origin.sha256)
            url, sha256, size, settings = found.url, found.sha256, found.size, found.settings
        else:
            url, sha256, size = self.settings.rewrite(origin.url), origin.sha256, None
            settings = download.HttpSettings(timeout=self.settings.timeout)
        place = self.store.archive(sha256)
        with self.report.task(f"downloading {origin.file}", "bytes") as task:
            download.download(url, place, sha256=sha256, size=size, settings=settings, tick=task)
        return place

    def _kept(self, sha256: str) -> bool:
        """Say whether the store has an archive, with its own bytes: it is read again before it is used."""
        if not self.store.has_archive(sha256):
            return False
        actual = self.store.archive_hash(sha256)
        if actual != sha256 and self.offline:
            raise IntegrityError(
                "an archive in the store has other bytes\n"
                f"  expected  sha256:{sha256}\n  actual    sha256:{actual}",
                hint="`recipes store check --remove`, then the same without `--offline`",
            )
        return actual == sha256  # a damaged one is downloaded anew, over it

    def _from_debian(self, origin: DebianOrigin) -> Path:
        if origin.version is None or origin.sha256 is None:
            raise ValueError(f"{origin.describe()} is not locked")
        file, place = file_name(origin), self.store.archive(origin.sha256)
        orig = Orig(origin.debian, origin.version, file, origin.sha256, origin.suite)
        settings = download.HttpSettings()
        told = self.report.task(f"downloading {file}", "bytes")
        with self.store.scratch("debian") as scratch, told as task:
            came = str(self.debian.download(orig, scratch))
            download.download(came, place, sha256=origin.sha256, size=None, settings=settings, tick=task)
        return place

    def checkout(self, url: str, one: SourceTree, writer: TreeWriter, task: Task) -> None:
        """Write a commit's tree; only the blobs that the filter takes are transferred."""
        if one.commit is None:
            raise FetchError(f"`{one.name}` has no commit to ask a repository for")
        silence = self.git.answers(url)
        if silence is not None:
            raise silent(url, silence)
        self.git.fetch(url, one.commit, one.ref, task)
        for entry in self.git.entries(url, one.commit, one.filter, task):
            writer.take(entry)
        writer.close()

    def _allowed(self, all_of_them: Sequence[Origin]) -> list[Origin]:
        if self.offline:
            return [one for one in all_of_them if self._here(one)]
        return [one for one in all_of_them if self.only in (None, origins.kind(one))]

    def _here(self, origin: Origin) -> bool:
        sha256 = None if isinstance(origin, GitOrigin) else origin.sha256
        return sha256 is not None and self.store.has_archive(sha256)

    def _turn(self, turn: Mapping[str, Origin], wanted: Wanted) -> Outcome:
        """Try one origin for each source: repositories side by side, an archive once for all it holds."""
        jobs: list[Callable[[], Outcome]] = []
        holding: dict[str, list[str]] = defaultdict(list)
        for name, origin in turn.items():
            if isinstance(origin, GitOrigin):
                jobs.append(self._repository(name, origin, wanted[name]))
            else:
                holding[origin.sha256 or file_name(origin)].append(name)
        jobs += [self._carrier({one: turn[one] for one in names}, wanted) for names in holding.values()]
        outcome: Outcome = {}
        with ThreadPoolExecutor(PARALLEL) as pool:
            for one in pool.map(lambda job: job(), jobs):
                outcome.update(one)
        return outcome

    def _repository(self, name: str, origin: GitOrigin, one: SourceTree) -> Callable[[], Outcome]:
        def job() -> Outcome:
            with self.store.lock(name), self.store.scratch(name) as place:
                if self.store.has(name):
                    return {name: None}
                writer = TreeWriter(place / "tree", one.filter, origin.git)
                with self.report.task(f"fetching {one.name} from {origin.git}", "files") as task:
                    self.checkout(origin.git, one, writer, task)
                return {name: self._add(name, one, origin, writer)}

        return lambda: _caught([name], job)

    def _carrier(self, turn: Mapping[str, Origin], wanted: Wanted) -> Callable[[], Outcome]:
        def job() -> Outcome:
            with ExitStack() as stack:
                for name in sorted(turn):  # in one order everywhere: two processes never wait for each other
                    stack.enter_context(self.store.lock(name))
                missing = {name: turn[name] for name in turn if not self.store.has(name)}
                return {**dict.fromkeys(turn), **self._unpack(missing, wanted, stack)}

        return lambda: _caught(list(turn), job)

    def _unpack(self, turn: Mapping[str, Origin], wanted: Wanted, stack: ExitStack) -> Outcome:
        writers: dict[str, TreeWriter] = {}
        wants: list[Want] = []
        carrier: Archive | None = None
        for name, origin in turn.items():
            if not isinstance(origin, GitOrigin):
                carrier = origin
                place = stack.enter_context(self.store.scratch(name))
                writers[name] = TreeWriter(place / "tree", wanted[name].filter, origin.describe())
                wants.append(Want(origin.path or "", writers[name]))
        if carrier is None:
            return {}
        place = self.archive(carrier)
        with self.report.task(f"unpacking {carrier.file}", "files") as task:
            archives.unpack(place, file_name(carrier), wants, task)
        return {name: self._add(name, wanted[name], turn[name], one) for name, one in writers.items()}

    def _add(self, name: str, one: SourceTree, origin: Origin, writer: TreeWriter) -> RecipesError | None:
        try:
            self.store.add(name, writer.root, kind="source", origin=origin.describe(), expected=one.hash)
        except IntegrityError as wrong:
            return wrong
        return None

    def _wheel(self, name: str, one: UnpackedWheel) -> None:
        wheel = one.wheel
        with self.store.lock(name), self.store.scratch(name) as place:
            if self.store.has(name):
                return
            origin = PypiOrigin(
                pypi=wheel.project, version=wheel.version, file=wheel.file, sha256=wheel.sha256
            )
            archive = self.archive(origin)
            writer = TreeWriter(place / "tree", one.filter, wheel.file)
            with self.report.task(f"unpacking {one.label()}", "files") as task:
                archives.unpack(archive, wheel.file, [Want("", writer)], task)
            self.store.add(name, writer.root, kind="wheel", origin=origin.describe())
            archive.unlink(missing_ok=True)  # its whole content is in the store now

    def _tell(self, one: SourceTree, origin: Origin, error: RecipesError, *, more: bool) -> None:
        """Say that an origin is passed over: wrong bytes each time, a silent host once."""
        what = error.message.splitlines()[0]
        text = f"{what}; trying the next origin" if more else what
        if isinstance(error, IntegrityError):
            self.report.warning(f"{origin.describe()} has other bytes for `{one.name}`\n{error.message}")
            return
        with self._telling:
            new = text not in self._told
            self._told.add(text)
        if new:
            self.report.line(text)


def settle(ended: Iterable[Future[Any]]) -> None:
    """Raise what jobs failed with: the first error, but a full disk before all that it may have caused."""
    errors = [error for one in ended if (error := one.exception()) is not None]
    for error in sorted(errors, key=lambda one: not isinstance(one, OSError)):
        raise error


def silent(url: str, why: str) -> FetchError:
    """Give the error of a repository that does not answer: the same for all on one host that is dead."""
    reason = re.sub(r"^unable to access '[^']*': ", "", why)
    if not gitsays.is_death(why):
        return FetchError(f"`{url}` cannot be read: {reason}")
    return FetchError(f"{urlsplit(url).netloc or url} does not answer: {reason}")


def _caught(names: Iterable[str], job: Callable[[], Outcome]) -> Outcome:
    try:
        return job()
    except (FetchError, IntegrityError) as error:
        return dict.fromkeys(names, error)


def _failure(
    tried: Mapping[str, Sequence[tuple[Origin, RecipesError]]], *, offline: bool
) -> FetchError | IntegrityError:
    wrong = any(isinstance(error, IntegrityError) for them in tried.values() for _, error in them)
    lines = []
    for name in sorted(tried):
        lines.append(f"source `{name}` " + ("does not match its lock" if wrong else "could not be fetched"))
        for origin, error in tried[name]:
            lines.append(f"  {origin.describe()}")
            lines += [f"    {line.strip()}" for line in error.message.splitlines()]
        if not tried[name]:
            lines.append(
                "  not in the store, and `--offline` allows no other place"
                if offline
                else "  it has no origin of the kind that `--origin` asks for"
            )
    kind = IntegrityError if wrong else FetchError
    return kind(
        "\n".join(lines),
        hint="what was fetched is kept; name a mirror or a git bundle that has the rest in RECIPES_MIRROR",
    )
