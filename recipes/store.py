"""The store: the directory of results, and the only owner of it.

    version              the format of what follows: 1
    paths/HASH-NAME      an entry: a read-only file or directory
    info/HASH-NAME.json  what is known of it (`Info`); an entry is valid when both are there
    archives/SHA256      downloaded archives, by the SHA-256 of their bytes in hexadecimal
    logs/HASH-NAME.log   the log of the newest build of an entry, whether it went well or not
    provenance/          statements on entries, `HASH-NAME.json`, signed ones `HASH-NAME.dsse.json`, and
                         beside each `….sha256` with its hash, as sha256sum(1) writes it
    cache/               what compilers keep between builds
    git/                 repositories that sources are fetched through
    apt/                 indexes of Debian's archive
    roots/               symbolic links to the links that keep entries from `storegc.gc`
    tmp/                 private directories of running processes
    locks/               empty files to flock(2): `store`, shared by all who use it, and one an entry

A process may be killed anywhere: an entry's info is written after its path is in place and removed before
it, so that what is half done is not valid, and is replaced by the next `add` or removed by the next gc.
The same holds for a power cut: the whole file system is synced before the info is written, and the info
and its directory after that (docs/adr/0007-crash-only-store.md has the figures).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes import durable, files, flock, infos
from recipes.errors import IntegrityError, StoreError
from recipes.infos import Info
from recipes.storedir import StoreDirectory

# Nix's alphabet, and a length that leaves room for `.json` and the like in a file name of 255 bytes.
_NAME = re.compile(r"[0-9abcdfghijklmnpqrsvwxyz]{32}-[A-Za-z0-9+._-]{1,190}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
STATEMENTS = (".json", ".dsse.json")  # how the names of provenance end
SUM = ".sha256"
BESIDE = (*STATEMENTS, *(f"{one}{SUM}" for one in STATEMENTS))  # all that provenance/ has of one entry
_LABEL = re.compile(r"[A-Za-z0-9+_][A-Za-z0-9+._-]*")


class Store:
    """A store in a directory, which is made when something is first written to it.

    An object may be used by several threads, and a directory by several processes, at once. Names are
    `HASH-NAME`; StoreError for any other, so that none leads out of the directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = StoreDirectory(root)

    def path(self, name: str) -> Path:
        """Say where an entry is, or would be."""
        return self.root / "paths" / checked(name)

    def log_path(self, name: str) -> Path:
        """Say where the log of an entry's build is, or would be; it may be there without the entry."""
        return self.root / "logs" / f"{checked(name)}.log"

    def archive(self, sha256: str) -> Path:
        """Say where the archive with this SHA-256 (64 hexadecimal digits) is, or would be."""
        if not _SHA256.fullmatch(sha256):
            raise StoreError(f"`{sha256}` is not a SHA-256 in hexadecimal")
        return self.root / "archives" / sha256

    def has_archive(self, sha256: str) -> bool:
        """Say whether an archive is there. It is not read."""
        return self.archive(sha256).is_file()

    def archive_hash(self, sha256: str) -> str:
        """Hash an archive that is there again: the SHA-256 of its bytes, in hexadecimal digits."""
        return files.sha256(self.archive(sha256))

    def has(self, name: str) -> bool:
        """Say whether an entry is there and whole, as far as two calls of stat tell."""
        path = self.path(name)
        self.directory.check()
        return self.info_path(name).is_file() and os.path.lexists(path)

    def info(self, name: str) -> Info:
        """Read what is known of an entry. Raises StoreError when it is not there, or its info is damaged."""
        self.directory.check()
        try:
            return infos.parse(self.info_path(name).read_bytes())
        except FileNotFoundError:
            raise StoreError(f"store path `{name}` is not there\n  store  {self.root}") from None
        except ValueError as error:
            where = self.info_path(name)
            raise StoreError(
                f"the info of store path `{name}` is damaged\n  file   {where}\n  error  {infos.why(error)}",
                hint="`recipes store repair`",
            ) from None

    def info_path(self, name: str) -> Path:
        """Say where the info of an entry is, or would be."""
        return self.root / "info" / f"{checked(name)}.json"

    def provenance_path(self, name: str) -> Path:
        """Say where the statement of what an entry was made from is, or would be."""
        return self.root / "provenance" / f"{checked(name)}{STATEMENTS[0]}"

    def signature_path(self, name: str) -> Path:
        """Say where that statement is as it was signed, or would be."""
        return self.root / "provenance" / f"{checked(name)}{STATEMENTS[1]}"

    def attach(self, path: Path, data: bytes) -> None:
        """Write what `provenance_path` or `signature_path` gave: the old bytes or the new, never a part.

        The caller holds the entry's lock. Where a kill comes between, the new bytes have no hash beside them.
        """
        self.directory.prepare()
        beside = path.with_name(f"{path.name}{SUM}")
        files.remove(beside)
        files.write_atomic(path, data)
        files.write_atomic(beside, sum_line(path.name, data))

    @contextmanager
    def lock(self, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the right to make or remove an entry, against all other threads and processes.

        Calls `waiting` once if it has to wait. The lock ends with the process. Not reentrant.
        """
        once = functools.cache(waiting)
        path = self.root / "locks" / checked(name)
        with self.using(once), flock.exclusive(path, once):
            yield

    @contextmanager
    def using(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep gc away: nothing is removed meanwhile. `lock` and `scratch` do so, too.

        For a whole run, between the look at what is there and the use of it. Several may do so at once.
        """
        self.directory.prepare()
        with flock.shared(self.root / "locks" / "store", waiting):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the store for oneself. Raises StoreError when anyone is using it."""

        def refuse() -> None:
            raise StoreError(f"the store is in use by another process\n  store  {self.root}")

        self.directory.prepare()
        with flock.exclusive(self.root / "locks" / "store", refuse):
            yield

    @contextmanager
    def scratch(self, label: str, keep: tuple[type[Exception], ...] = ()) -> Iterator[Path]:
        """Give a new private directory on the store's file system, removed at the end.

        `label` begins its name. What a killed process leaves, gc removes; so it does what stays because an
        error of `keep` ended the block.
        """
        if not _LABEL.fullmatch(label):
            raise StoreError(f"`{label}` is not a name for a directory")
        with self.using():
            place = Path(tempfile.mkdtemp(prefix=f"{label[:64]}-", dir=self.root / "tmp"))
            try:
                yield place
            except BaseException as error:
                if not isinstance(error, keep):
                    files.remove(place)
                raise
            files.remove(place)

    def add(
        self,
        name: str,
        tree: Path,
        *,
        kind: str,
        references: Iterable[str] = (),
        origin: str | None = None,
        expected: str | None = None,
    ) -> Info:
        """Move a tree into the store; the caller holds `lock(name)` and made it in a `scratch`.

        An entry that is there already is left as it is. Raises IntegrityError when the tree (or that
        entry) does not have the `expected` NAR hash; then nothing is added.
        """
        needed = tuple(sorted({checked(one) for one in references}))
        if self.has(name):
            info = self.info(name)
            _compare(name, expected, info.nar_hash)
            return info
        self.directory.prepare()
        nar_hash, nar_size = files.tree_hash(tree)
        _compare(name, expected, nar_hash)
        info = Info(
            name=name,
            nar_hash=nar_hash,
            nar_size=nar_size,
            references=needed,
            kind=kind,
            origin=origin and origin.encode("utf-8", "replace").decode(),  # JSON has no lone surrogates
            log=self.log_path(name).is_file(),
        )
        self.forget_statements(name)  # a killed process left them: they may speak of other bytes
        self._move(tree, self.path(name))
        durable.sync_file_system(self.root / "paths")
        files.write_atomic(self.info_path(name), infos.written(info))
        durable.sync_directory(self.root / "info")
        return info

    def _move(self, tree: Path, path: Path) -> None:
        files.remove(path)  # without an info, it is what a killed process left
        files.make_read_only(tree)
        if tree.is_dir() and not tree.is_symlink():
            # a user may not rename a read-only directory into another one: its `..` changes
            tree.chmod(0o755)
            tree.rename(path)
            path.chmod(0o555)
        else:
            tree.rename(path)

    def forget(self, name: str) -> None:
        """Remove an entry and its provenance, whole or damaged; the caller holds `lock(name)`.

        None there is fine.
        """
        files.remove(self.info_path(name))
        durable.sync_directory(self.root / "info")
        files.remove(self.path(name))
        self.forget_statements(name)

    def forget_statements(self, name: str) -> None:
        """Remove an entry's provenance; the caller holds `lock(name)`. None there is fine."""
        for ending in BESIDE:
            files.remove(self.root / "provenance" / f"{name}{ending}")

    def verify(self, name: str) -> None:
        """Hash an entry again. Raises IntegrityError when it is not what was added, StoreError as `info`."""
        info = self.info(name)
        actual, _ = files.tree_hash(self.path(name))
        if actual != info.nar_hash:
            raise self.changed(name, info.nar_hash, actual)

    def changed(self, name: str, expected: str, actual: str) -> IntegrityError:
        """Give the error of an entry that has another NAR hash than the one it was added with."""
        return IntegrityError(
            f"store path `{name}` is not what was added\n  expected  {expected}\n"
            f"  actual    {actual}\n  path      {self.path(name)}",
            hint="`recipes store repair`",
        )


def is_name(text: str) -> bool:
    """Say whether a text is the name of a store path, `HASH-NAME`."""
    return _NAME.fullmatch(text) is not None


def checked(name: str) -> str:
    """Give the name of a store path back. Raises StoreError when it is none."""
    if not is_name(name):
        raise StoreError(f"`{name}` is not the name of a store path")
    return name


def sum_line(file: str, data: bytes) -> bytes:
    """Give the line that stands beside a statement: `SHA256  FILE`."""
    return f"{hashlib.sha256(data).hexdigest()}  {file}\n".encode()


def _compare(name: str, expected: str | None, actual: str) -> None:
    if expected not in (None, actual):
        raise IntegrityError(
            f"store path `{name}` does not have its hash\n  expected  {expected}\n  actual    {actual}"
        )
