"""A bare repository of ours: git's objects by id, checked against their ids as they are read.

It has no refs, so no name in it can be taken for a commit id, and it has no remote. The second is why
fetching has a repository of its own over the same objects (see `fetching`): `git fetch --filter` makes the
repository it runs in one that fetches each missing object when it is read, and only git 2.44 and later can
be told not to. What that one leaves (locks, a `shallow` file, configuration) is thrown away with it.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import BinaryIO

from recipes import flock, gitsays, history, process
from recipes.errors import IntegrityError
from recipes.history import Step
from recipes.process import Ended
from recipes.tree import to_text

SUBMODULE = "160000"  # git's modes, as `ls-tree` writes them
SYMLINK = "120000"
EXECUTABLE = "100755"

_PASSED = (
    *("PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
_ALWAYS = {
    "LC_ALL": "C.UTF-8",  # what git says is matched in `gitsays`
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",  # also for what a user's `insteadOf` makes of a URL
    "GIT_NO_REPLACE_OBJECTS": "1",
}
# The user's own configuration holds (proxies, credential helpers, `insteadOf`) except in these
_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    # Its warnings (`.git` in a tree, the zero-padded modes of old tools) are errors in a partial fetch, and
    # cannot be turned off there before git 2.44. Ids are checked here, names where they are written.
    "fetch.fsckObjects": "false",
    "fetch.negotiationAlgorithm": "noop",  # we have parts of commits, nothing to offer in return
    "fetch.prune": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",  # a pack appears whole; loose objects would appear one by one
    "gc.auto": "0",
    "http.lowSpeedLimit": "1",
    "init.defaultRefFormat": "files",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "submodule.recurse": "false",
}

_FETCHING = "fetching-"
_COMMITTER = re.compile(rb"committer .*> (\d+) [+-]\d+")


@dataclass(frozen=True)
class Commit:
    """A commit's id, the id of its tree, and when it was committed (UTC)."""

    commit: str
    tree: str
    date: datetime


@dataclass(frozen=True)
class Item:
    """A line of `ls-tree`: mode, object id, and the path as in `recipes.tree`."""

    mode: str
    oid: str
    path: str


@dataclass(frozen=True)
class Object:
    """An object as it is read; its bytes are checked against its id when the last of them has passed."""

    kind: str
    size: int
    chunks: Iterator[bytes]


def settings(settings: Mapping[str, str], env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write settings as the environment variables by which git takes them, after those in `env`."""
    first = int((env or {}).get("GIT_CONFIG_COUNT", "0"))
    variables = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for place, (key, value) in enumerate(settings.items(), start=first):
        variables |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    return variables


def environment(env: Mapping[str, str], silence: float) -> dict[str, str]:
    """Give git's environment, made of the caller's; `silence` is how many seconds a web server may stall."""
    stall = {"http.lowSpeedTime": str(math.ceil(silence))}
    return {name: env[name] for name in _PASSED if name in env} | _ALWAYS | settings(_SETTINGS | stall)


class Repository:
    """A bare repository at `path` (absolute); `env` is git's environment without the place."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self.path = path
        self.env = {**env, "GIT_DIR": str(path)}

    def make(self) -> None:
        """Make the repository unless it is there; one that a killed process began is begun again."""
        if (self.path / "HEAD").exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock():
            if not (self.path / "HEAD").exists():
                begun = self.path.with_suffix(".new")
                shutil.rmtree(begun, ignore_errors=True)
                _init(begun, self.env)
                begun.rename(self.path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the right to add objects, after clearing away what a killed process left."""
        with self._lock():
            for left in self.path.glob(f"{_FETCHING}*"):
                shutil.rmtree(left, ignore_errors=True)
            for left in self.path.glob("objects/pack/tmp_*"):
                left.unlink(missing_ok=True)
            yield

    @contextmanager
    def fetching(self) -> Iterator[dict[str, str]]:
        """Give the environment of a throw-away repository in which `git fetch` adds to our objects."""
        with TemporaryDirectory(dir=self.path, prefix=_FETCHING) as place:
            _init(Path(place), self.env)
            yield {**self.env, "GIT_DIR": place, "GIT_OBJECT_DIRECTORY": str(self.path / "objects")}

    def items(self, commit: str) -> list[Item] | None:
        """List all files, links and submodules of a commit; None unless it and all its trees are there."""
        ended = self._git("ls-tree", "-r", "-z", "--full-tree", commit)
        return _parsed(ended.out) if ended.code == 0 else None

    def missing(self, oids: Sequence[str]) -> list[str]:
        """Give those of the objects that are not there, each once."""
        asked = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode()
        answers = self._git("cat-file", "--batch-check", stdin=asked).out.decode().splitlines()
        return [line.removesuffix(" missing") for line in answers if line.endswith(" missing")]

    def leads_back(self, commits: Sequence[str]) -> bool:
        """Say whether commits are there with all that came before them; trees need not be."""
        return self._git("rev-list", "--count", *commits).code == 0

    def line(self, commit: str, *without: str) -> list[Step]:
        """List a commit and its first parents, newest first, less all that led to others."""
        hidden = [f"^{one}" for one in without]
        argv = ["rev-list", "--first-parent", "--encoding=UTF-8", history.FORMAT, commit, *hidden]
        return history.parse(self._git(*argv).out)

    def merge_base(self, one: str, other: str) -> str | None:
        """Give the newest commit that led to both; None for histories that share none."""
        return to_text(self._git("merge-base", one, other).out).strip() or None

    def whole(self, start: str) -> str | None:
        """Give the whole id of the one commit whose id begins so; None for none, and for several."""
        ended = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{start}^{{commit}}")
        return to_text(ended.out).strip().rpartition("\n")[2] if ended.code == 0 else None

    def verified(self, commit: str) -> Commit:
        """Read a commit and all its trees. Raises IntegrityError where one is not what its id says."""
        with closing(self.objects([commit])) as objects:
            found = next(objects)
            head = b"".join(found.chunks).partition(b"\n\n")[0].splitlines()
        tree = head[0].removeprefix(b"tree ").decode("ascii", "replace") if head else ""
        if found.kind != "commit":
            raise IntegrityError(f"`{commit}` is a {found.kind}, not a commit")
        trees = _parsed(self._git("ls-tree", "-r", "-d", "-z", "--full-tree", commit).out)
        oids = [tree, *(one.oid for one in trees if one.mode != SUBMODULE)]
        with closing(self.objects(list(dict.fromkeys(oids)))) as objects:
            for _ in objects:
                pass  # being read to its end is what checks an object
        return Commit(commit, tree, _date(commit, head))

    def objects(self, oids: Sequence[str]) -> Generator[Object, None, None]:
        """Read objects in the order asked for; one that has been passed by can no longer be read.

        Raises IntegrityError where one is missing, damaged or not what its id says.
        """
        with TemporaryFile(dir=self.path) as asked, TemporaryFile(dir=self.path) as errors:
            asked.write("".join(f"{oid}\n" for oid in oids).encode())
            asked.seek(0)
            argv = ["git", "cat-file", "--batch", "--buffer"]
            with process.reading(argv, env=self.env, cwd=self.path, stdin=asked, stderr=errors) as out:
                for oid in oids:
                    found = self._object(oid, out)
                    yield found
                    for _ in found.chunks:
                        pass  # what the reader left

    def _object(self, oid: str, out: BinaryIO) -> Object:
        name, _, rest = out.readline().decode("ascii", "replace").rstrip("\n").partition(" ")
        kind, _, size = rest.partition(" ")
        if name != oid or not size.isdecimal():
            raise self._damaged(oid, rest or "unreadable")
        return Object(kind, int(size), self._chunks(oid, kind, int(size), out))

    def _chunks(self, oid: str, kind: str, size: int, out: BinaryIO) -> Iterator[bytes]:
        # SHA-1 is git's name for an object, never our proof of content: that is the NAR hash
        digest, left = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False), size
        while left and (chunk := out.read(min(left, process.CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
        out.read(1)  # the newline after each object
        if left or digest.hexdigest() != oid:
            raise self._damaged(oid, "cut short" if left else digest.hexdigest())

    def _damaged(self, oid: str, actual: str) -> IntegrityError:
        return IntegrityError(
            f"an object in `{self.path}` is damaged\n  expected  {oid}\n  actual    {actual}",
            hint=f"`rm -r {self.path}`, and it is fetched again",
        )

    def _git(self, *argv: str, stdin: bytes = b"") -> Ended:
        return process.run(["git", *argv], env=self.env, cwd=self.path, stdin=stdin)

    def _lock(self) -> AbstractContextManager[None]:
        return flock.exclusive(self.path.with_suffix(".lock"))


def _init(place: Path, env: Mapping[str, str]) -> None:
    argv = ["git", "init", "--quiet", "--bare", "--template=", "--object-format=sha1"]
    ended = process.run(argv, env={**env, "GIT_DIR": str(place)})
    if ended.code != 0:
        said = to_text(ended.err)
        gitsays.check_disk(said, place)
        raise OSError(f"{place} cannot be made: {said.strip()}")


def _parsed(listing: bytes) -> list[Item]:
    items = []
    for line in to_text(listing).split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, _, oid = about.split(" ")
        items.append(Item(mode, oid, path))
    return items


def _date(commit: str, head: Sequence[bytes]) -> datetime:
    found = [match for line in head if (match := _COMMITTER.fullmatch(line))]
    try:
        return datetime.fromtimestamp(int(found[0][1]), UTC)
    except (IndexError, ValueError, OverflowError, OSError):
        raise IntegrityError(f"commit `{commit}` has no date that can be read") from None
