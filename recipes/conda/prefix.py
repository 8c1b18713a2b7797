"""Conda packages, brought in by hash and installed: into the store for builds, elsewhere for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from recipes import download, files, process
from recipes.conda.channels import Condarc, without_secrets
from recipes.conda.condalock import BESIDE
from recipes.conda.lockfile import CondaPackage
from recipes.derivations import CondaPrefix
from recipes.errors import FetchError, IntegrityError, RecipesError, ToolchainError
from recipes.fetch import PARALLEL, settle
from recipes.report import Report
from recipes.store import Store
from recipes.web import HttpSettings

LONGEST = 900.0  # seconds that an installation may take
_OF_THE_MOMENT = ("conda-meta", "CACHEDIR.TAG")  # names the cache and the time; no build reads it


@dataclass(frozen=True)
class Installer:
    """What installing needs. `python` is the interpreter that has py-rattler, `env` its environment.

    `condarc` and `rewrite` say where channels are fetched from.
    """

    store: Store
    report: Report
    python: str
    env: Mapping[str, str]
    condarc: Condarc
    rewrite: Callable[[str], str]
    timeout: float
    offline: bool = False

    def add(self, name: str, one: CondaPrefix) -> None:
        """Make a prefix in the store. Raises FetchError, IntegrityError, ToolchainError."""
        with self.store.lock(name), self.store.scratch(name) as place:
            if not self.store.has(name):
                self.install(one.packages, place / "tree", one.platform, one.at)
                for made in _OF_THE_MOMENT:
                    files.remove(place / "tree" / made)
                self.store.add(name, place / "tree", kind=one.kind, origin=_channels(one.packages))

    def install(
        self, packages: Sequence[CondaPackage], target: Path, platform: str, prefix: str | None = None
    ) -> None:
        """Install packages into a directory that is not there yet; `prefix` is written for it into files.

        Raises FetchError, IntegrityError, ToolchainError.
        """
        found = self.archives(packages)
        with (
            self.report.task(f"installing {len(packages)} conda packages"),
            self.store.scratch("conda") as place,
        ):
            asked = {
                "packages": [_named(one, path, place) for one, path in found.items()],
                "target": str(target),
                "prefix": prefix,
                "platform": platform,
                "cache": str(place),
            }
            argv = [self.python, "-P", "-m", "recipes.conda.installer"]
            env = {"PATH": self.env.get("PATH", ""), "PYTHONPATH": BESIDE, "LC_ALL": "C.UTF-8"}
            env |= {"HOME": str(place), "TMPDIR": str(place)}
            try:
                ended = process.run(argv, env=env, stdin=json.dumps(asked).encode(), timeout=LONGEST)
            except process.Timeout as wrong:
                raise _not_installed(f"it took longer than {wrong.seconds:g} seconds") from wrong
        if ended.code:
            said = ended.err.decode(errors="replace").strip()
            raise _not_installed(said or f"exit code {ended.code}")

    def archives(self, packages: Sequence[CondaPackage]) -> dict[CondaPackage, Path]:
        """Bring packages in, each by its hash; the first alone, as a channel that is silent is so for all."""
        missing = [one for one in packages if not self._kept(one)]
        if missing and self.offline:
            names = ", ".join(one.file for one in missing)
            raise FetchError(f"not in the store, and `--offline` allows no other place: {names}")
        for one in missing[:1]:
            self._download(one)
        with ThreadPoolExecutor(PARALLEL) as pool:
            settle([pool.submit(self._download, one) for one in missing[1:]])
        return {one: self.store.archive(one.sha256) for one in packages}

    def _kept(self, one: CondaPackage) -> bool:
        return self.store.has_archive(one.sha256) and self.store.archive_hash(one.sha256) == one.sha256

    def _download(self, one: CondaPackage) -> None:
        failed: list[RecipesError] = []
        for url in self._urls(one):
            try:
                with self.report.task(f"downloading {one.file}", "bytes") as task:
                    download.download(
                        url,
                        self.store.archive(one.sha256),
                        sha256=one.sha256,
                        size=None,
                        settings=self._http(url),
                        tick=task,
                    )
            except (FetchError, IntegrityError) as error:
                failed.append(error)
            else:
                return
        raise _failure(one, failed)

    def _urls(self, one: CondaPackage) -> list[str]:
        """Give where a package is: its channel's mirrors, else its own URL, with the user's credentials."""
        channel, _, rest = one.url.rpartition(f"/{one.subdir}/")
        name = next((key for key in self.condarc.mirrored if channel.endswith(f"/{key}")), channel)
        bases = self.condarc.mirrors(name, channel, self.rewrite)
        return [f"{self.condarc.private(base)}/{one.subdir}/{rest}" for base in bases]

    def _http(self, url: str) -> HttpSettings:
        """Give how to speak to a channel: as conda's settings say, and its users' netrc."""
        verify, parts = self.condarc.ssl_verify, urlsplit(url)
        netrc = Path(self.env.get("NETRC") or Path(self.env.get("HOME", "/"), ".netrc"))
        return HttpSettings(
            cert=verify if isinstance(verify, str) else None,
            trusted_hosts=(parts.netloc.rpartition("@")[2],) if verify is False else (),
            proxy=self.condarc.proxies.get(parts.scheme),
            netrc=str(netrc) if netrc.is_file() else None,
            timeout=self.timeout,
        )


def installer() -> str:
    """Name the program that installs packages, with its version."""
    return f"py-rattler {metadata.version('py-rattler')}"


def _named(one: CondaPackage, archive: Path, place: Path) -> dict[str, str]:
    """Give a package as the installer takes it, with the file name that tells what kind of archive it is."""
    file = place / "files" / one.file
    file.parent.mkdir(exist_ok=True)
    file.symlink_to(archive)
    return {"file": str(file), "url": one.url, "sha256": one.sha256}


def _channels(packages: Sequence[CondaPackage]) -> str:
    return ", ".join(sorted({one.url.rpartition(f"/{one.subdir}/")[0] for one in packages}))


def _not_installed(why: str) -> ToolchainError:
    return ToolchainError(f"the conda packages cannot be installed\n  error  {why}")


def _failure(one: CondaPackage, failed: Sequence[RecipesError]) -> RecipesError:
    """Give what went wrong, without the tokens that the URL of a mirror may have."""
    wrong = [error for error in failed if isinstance(error, IntegrityError)]
    if wrong:
        told = without_secrets(wrong[0].message)
        return IntegrityError(f"conda package `{one.file}` does not match its lock\n{told}")
    host = urlsplit(one.url).netloc
    return FetchError(
        f"the conda channel at {host} cannot be had: {without_secrets(_reason(failed[0]))}",
        hint="the `pypi` toolchain needs package indexes only: the same with `--toolchain pypi`",
    )


def _reason(error: RecipesError) -> str:
    return error.message.splitlines()[-1].strip().removeprefix("reason").strip()
