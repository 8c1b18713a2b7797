"""The package index: the only module that asks one.

Which index that is, pip's configuration says (`recipes.pipconfig`). Files are found by name or hash;
wheels for a platform are resolved by pip itself, which downloads none of them where the index serves
their metadata.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import canonicalize_name

from recipes import pipconfig, process
from recipes.asking import asked_for
from recipes.errors import FetchError, ToolchainError
from recipes.files import Tick
from recipes.pipconfig import IndexSettings
from recipes.requirements import Wheel
from recipes.web import HttpSettings

if TYPE_CHECKING:
    from unearth.fetchers import PyPIClient

    from recipes.listing import Listed, Source

PYTHON = "3.11"  # a toolchain's wheels hold programs and fit any Python; pip has to be told of one

TAGS: Mapping[str, tuple[str, ...]] = {
    "linux-64": tuple(
        f"manylinux{glibc}_x86_64" for glibc in ("_2_28", "_2_17", "2014", "_2_12", "2010", "_2_5", "1")
    ),
    "linux-aarch64": tuple(f"manylinux{glibc}_aarch64" for glibc in ("_2_28", "_2_17", "2014")),
    "osx-arm64": tuple(
        f"macosx_{version}_0_{machine}"
        for version in range(14, 10, -1)
        for machine in ("arm64", "universal2")
    ),
}
"""Conda's name of a platform → the wheel tags that it can use (PEP 600; PEP 425), best first."""


@dataclass(frozen=True)
class Found:
    """A file on an index, and how to get it.

    `url` is http, https or file, and may hold credentials; what may be shown is `origin`, the place that
    lists it. `sha256`, in hex, is what the file has to have; `size` its bytes, where the place says so.
    """

    url: str = field(repr=False)
    file: str
    sha256: str
    size: int | None
    origin: str
    settings: HttpSettings = field(repr=False)


class Index:
    """All places that pip is configured to look in. Threads may share it.

    `python` is the interpreter whose pip is asked, `env` the user's environment; `patience` is how long,
    in seconds, a place may be silent, unless pip's own `timeout` is set. `settings` are read from pip, late,
    where they are not given.
    """

    def __init__(
        self,
        python: str,
        env: Mapping[str, str],
        *,
        patience: float = 8.0,
        settings: IndexSettings | None = None,
    ) -> None:
        self.python, self.env, self.patience = python, env, patience
        self._lock = threading.RLock()
        self._settings = settings
        self._client: PyPIClient | None = None
        self._dead: dict[Source, str] = {}

    @property
    def settings(self) -> IndexSettings:
        """What pip is told, read once. Raises ToolchainError without a pip."""
        with self._lock:
            if self._settings is None:
                self._settings = pipconfig.read_settings(self.python, self.env)
            return self._settings

    @property
    def client(self) -> PyPIClient:
        """The client for all places, made once. Raises FetchError for unusable settings, ToolchainError."""
        from recipes import indexclient  # noqa: PLC0415 - httpx2 and unearth take 100 ms

        with self._lock:
            if self._client is None:
                self._client = indexclient.client(self.settings, self.env, self.patience)
            return self._client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections that are kept open."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def find(self, project: str, file: str | None, sha256: str | None) -> Found:
        """Find a file by its name, its SHA-256 or both; the first place with the right hash wins.

        A file that is listed without a hash is taken where no place lists the right one; then, and where
        `sha256` is not given, the file is read for it. Raises IntegrityError where the name is listed with
        other hashes only, FetchError where no place has it or none could be reached, ToolchainError.
        """
        from recipes import listing  # noqa: PLC0415 - see `client`

        if file is None and sha256 is None:
            raise ValueError("a file is found by its name or by its hash")
        search = listing.Search(project, file, sha256)
        for source in self._sources():
            try:
                search.look(source, listing.files(self.client, source, project))
            except listing.Silent as why:
                search.keep_silence(source, str(why))
            if search.found:
                break
        source, found = search.fitting()
        digest = sha256 or found.sha256 or self._digest(found.url, found.file)
        url = listing.authorised(found.url, self.settings)
        return Found(url, found.file, digest, found.size, source.shown, self._http())

    def listed(self, project: str) -> tuple[list[Listed], list[str]]:
        """Give all files that the places list for a project, and of each place that is silent, why.

        A place that does not answer at all is not asked for another project. Raises FetchError where there
        is no place to ask or pip's settings cannot be used, ToolchainError.
        """
        from recipes import listing  # noqa: PLC0415 - see `client`

        files: list[Listed] = []
        silent: list[str] = []
        for source in self._sources():
            try:
                files += [] if source in self._dead else listing.files(self.client, source, project)
            except listing.Unreachable as why:
                self._dead[source] = str(why)
            except listing.Silent as why:
                silent.append(f"package index {source.shown} cannot be read: {why}")
            if source in self._dead:
                silent.append(f"package index {source.shown} cannot be reached: {self._dead[source]}")
        return files, silent

    def _http(self) -> HttpSettings:
        netrc = Path(self.env.get("NETRC") or Path(self.env.get("HOME", "/"), ".netrc"))
        return HttpSettings(
            cert=self.settings.cert,
            client_cert=self.settings.client_cert,
            trusted_hosts=self.settings.trusted_hosts,
            proxy=self.settings.proxy,
            netrc=str(netrc) if netrc.is_file() else None,
            timeout=self.settings.timeout or self.patience,
        )

    def _sources(self) -> list[Source]:
        from recipes import listing  # noqa: PLC0415 - see `client`

        found = listing.sources(self.settings, self.env.get("HOME", "/"))
        if not found:
            raise FetchError(
                "pip is configured to ask no index (`no-index`), and has no `find-links` that exists",
                hint=f"`{self.python} -m pip config list`",
            )
        return found

    def _digest(self, url: str, file: str) -> str:
        """Hash a file that is listed without its SHA-256."""
        import httpx2  # noqa: PLC0415 - see `client`

        digest = hashlib.sha256()
        try:
            with self.client.stream("GET", url) as response:
                if response.status_code != httpx2.codes.OK:
                    raise FetchError(f"`{file}` is listed, but answered with status {response.status_code}")
                for chunk in response.iter_raw():
                    digest.update(chunk)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as wrong:
            raise FetchError(f"`{file}` is listed, but cannot be read: {wrong}") from wrong
        return digest.hexdigest()

    def resolve(
        self, asked: Sequence[str], platform: str, tick: Tick, python: str | None = None
    ) -> tuple[Wheel, ...]:
        """Resolve requirements (PEP 508, without marker and URL) to wheels, with all that those need.

        `python` is the version of Python that the wheels are for, None for a toolchain; they do not say so
        (`Wheel.python`). pip reads markers of dependencies for the machine and the Python that it runs on,
        not for `platform` and `python`: they must not depend on those. Raises ToolchainError where nothing
        satisfies them or pip fails, FetchError where an index could not be reached, so that what is locked
        never depends on that; SpecError.
        """
        requirements = sorted(str(asked_for(text)) for text in asked)
        if platform not in TAGS:
            raise ToolchainError(f"no wheels can be locked for `{platform}`\n  only for  {', '.join(TAGS)}")
        if not requirements:
            return ()
        tick(0, None)
        wheels = self._wheels(self._report(requirements, platform, python), platform)
        tick(len(wheels), len(wheels))
        return wheels

    def _report(self, requirements: Sequence[str], platform: str, python: str | None) -> Any:
        env = pipconfig.environment(self.settings, self.env, self.settings.timeout or self.patience)
        with tempfile.TemporaryDirectory(prefix="recipes-pip-") as target:
            ended = process.run(
                _pip_install(self.python, target, platform, python or PYTHON, requirements), env=env
            )
        if ended.code or b"Retrying (" in ended.err:
            self._check_reach([asked_for(one).name for one in requirements])
        if ended.code:
            what = (
                f"packages for {platform} and Python {python}" if python else f"the toolchain for {platform}"
            )
            raise pipconfig.failure(f"pip cannot resolve {what}", self.python, ended)
        try:
            return json.loads(ended.out)
        except ValueError as wrong:
            raise ToolchainError("pip's report is not JSON", hint=_UPGRADE.format(self.python)) from wrong

    def _check_reach(self, projects: Sequence[str]) -> None:
        """Raise FetchError where an index is silent: pip would go on with what the others have."""
        from recipes import listing  # noqa: PLC0415 - see `client`

        for source in self._sources():
            try:
                listing.files(self.client, source, projects[0])
            except listing.Silent as why:
                raise FetchError(f"package index {source.shown} cannot be reached\n  {why}") from why

    def _wheels(self, report: Any, platform: str) -> tuple[Wheel, ...]:
        try:
            items = report["install"]
            needs = {_name(item): item["metadata"].get("requires_dist", []) for item in items}
            wheels = [self._wheel(item, needs, platform) for item in items]
        except (LookupError, TypeError, AttributeError, ValueError) as wrong:
            raise ToolchainError(
                f"pip's report for {platform} cannot be used\n  {wrong}", hint=_UPGRADE.format(self.python)
            ) from wrong
        return tuple(sorted(wheels, key=lambda one: one.project))

    def _wheel(self, item: Any, needs: Mapping[str, Sequence[str]], platform: str) -> Wheel:
        from packaging.requirements import Requirement  # noqa: PLC0415 - 20 ms

        from recipes.listing import file_name  # noqa: PLC0415 - see `client`

        name, place = _name(item), item["download_info"]
        file = file_name(place["url"])
        sha256 = place["archive_info"].get("hashes", {}).get("sha256") or self._digest(place["url"], file)
        users = [
            user for user, texts in needs.items() if name in {_normal(Requirement(one)) for one in texts}
        ]
        via = () if item["requested"] else tuple(sorted(users))
        return Wheel(name, item["metadata"]["version"], file, sha256, platform, via)


_UPGRADE = "`{} -m pip install --upgrade pip`"


def _name(item: Any) -> str:
    return canonicalize_name(item["metadata"]["name"])


def _normal(requirement: Any) -> str:
    return canonicalize_name(requirement.name)


def _pip_install(
    program: str, target: str, platform: str, python: str, requirements: Sequence[str]
) -> list[str]:
    options = ["--dry-run", "--ignore-installed", "--no-input", "--quiet", "--disable-pip-version-check"]
    options += ["--only-binary", ":all:", "--target", target, "--python-version", python]
    options += ["--implementation", "cp", *(f"--platform={tag}" for tag in TAGS[platform])]
    return pipconfig.pip(program, "install", *options, "--report", "-", "--", *requirements)
