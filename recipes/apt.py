"""Apt's own programs on a state of ours: the one place that runs them.

So mirrors, proxies, credentials and keys are those that the machine has set for apt, but `/var/lib/apt` is
neither read nor written, and neither root nor a `deb-src` line is needed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recipes import aptsources, files, process
from recipes.aptsources import Entry
from recipes.errors import FetchError, ToolchainError
from recipes.web import redacted

SILENCE = "Debian's archive cannot be asked"

# What a machine hooks to an update is meant for the machine's own state. Only a file can clear a list.
_CLEAR = b"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
_SETTINGS = {
    "Dir::State::lists": "lists/",
    "Dir::State::status": "/dev/null",
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "Dir::Etc::sourcelist": "/dev/null",
    "APT::Sandbox::User": "root",  # only root would change to another, who cannot write here
    "APT::Update::Error-Mode": "any",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
    "Acquire::GzipIndexes": "true",
    "Acquire::PDiffs": "false",  # a day's index is quicker than the differences to it
    "Acquire::Retries": "0",
}


class Apt:
    """Apt as it is set up on this machine; `timeout` is how long, in seconds, an archive may be silent.

    An `index` is a directory that `update` made; several processes may read one while one updates it.
    Every method raises FetchError where apt is not installed.
    """

    def __init__(self, env: Mapping[str, str], timeout: float) -> None:
        self.env = {**env, "LC_ALL": "C", "LANGUAGE": "C"}  # what apt says is read
        self.timeout = max(1, round(timeout))

    def configured(self, suite: str | None) -> list[Entry]:
        """Say where source packages are, by the files that apt itself would read; see `aptsources.entries`.

        Raises FetchError where that is nowhere.
        """
        asked = ("one", "Dir::Etc::sourcelist/f", "more", "Dir::Etc::sourceparts/d")
        shown = self._run(["apt-config", "shell", *asked]).out.decode("utf-8", "surrogateescape")
        named = dict(one.split("=", 1) for one in shlex.split(shown))
        more = Path(named.get("more", "/dev/null"))
        paths = [Path(named.get("one", "/dev/null")), *more.glob("*.list"), *more.glob("*.sources")]
        texts = {os.fspath(one): text for one in paths if (text := _read(one)) is not None}
        places = aptsources.entries(texts, suite)
        if not places:
            raise FetchError(f"{SILENCE}: no source of apt's has the component `{aptsources.COMPONENT}`")
        return places

    def update(self, index: Path, places: Sequence[Entry]) -> list[str]:
        """Ask archives for their indexes, and give what apt complains of; it keeps only what is signed."""
        for part in ("lists/partial", "cache/archives/partial", "sources"):
            (index / part).mkdir(parents=True, exist_ok=True)
        index.chmod(0o700)  # apt's sources may hold credentials
        files.write_atomic(index / "clear.conf", _CLEAR)
        text = aptsources.render(places).encode()
        files.write_atomic(index / "sources/machine.sources", text, mode=0o600)
        ended = self.run(index, "apt-get", "update", "--quiet=2")
        return complaints(ended) if ended.code else []

    def show(self, index: Path, package: str) -> str:
        """Give the paragraphs of a source package, of every version that is there."""
        ended = self.run(index, "apt-cache", "showsrc", "--only-source", package)
        return ended.out.decode("utf-8", "replace")

    def run(self, index: Path, program: str, *argv: str, cwd: Path | None = None) -> process.Ended:
        """Run one of apt's programs on an index."""
        settings = ("-c", os.fspath(index / "clear.conf"), *self._settings(index))
        return self._run([program, *settings, *argv], cwd)

    def _settings(self, index: Path) -> Iterator[str]:
        own = {
            "Dir::State": os.fspath(index),
            "Dir::Cache": os.fspath(index / "cache"),
            "Dir::Etc::sourceparts": os.fspath(index / "sources"),
            "Acquire::http::Timeout": str(self.timeout),
            "Acquire::https::Timeout": str(self.timeout),
        }
        for name, value in {**own, **_SETTINGS}.items():
            yield from ("-o", f"{name}={value}")

    def _run(self, argv: Sequence[str], cwd: Path | None = None) -> process.Ended:
        try:
            return process.run(argv, env=self.env, cwd=cwd)
        except ToolchainError as missing:
            raise FetchError(f"{SILENCE}: {missing.message}") from None


def complaints(ended: process.Ended) -> list[str]:
    """Say what apt complained of, at least its exit code, the most telling first."""
    said = [redacted(one) for one in aptsources.complaints(ended.err)]
    return said or [f"`{ended.argv[0]}` ended with code {ended.code}"]


def _read(path: Path) -> str | None:
    """Read a file of apt's sources; one that only root may read says nothing to others."""
    try:
        return path.read_text("utf-8", "replace") if path.is_file() else None
    except PermissionError:
        return None
