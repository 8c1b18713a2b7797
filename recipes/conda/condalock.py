"""conda-lock, run as a program: it promises no library, and takes a second to import.

Its solver is `recipes.conda.solver` unless another is named: conda, mamba or micromamba.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import process
from recipes.conda import lockfile
from recipes.conda.block import Conda, environment_yml, name_of
from recipes.conda.channels import UNREACHABLE, Condarc, without_secrets
from recipes.conda.lockfile import CondaLock
from recipes.errors import FetchError, RecipesError, ToolchainError, UsageError

LONGEST = 900.0  # seconds for all platforms: a channel's index can have hundreds of megabytes
_SOURCE, _LOCK = "environment.yml", "conda-lock.yml"
_BASE = (
    *("PATH", "HOME", "LANG", "NETRC", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("RATTLER_AUTH_FILE", "RATTLER_CACHE_DIR", "MAMBA_ROOT_PREFIX"),
    *("CONDARC", "CONDA_PREFIX", "CONDA_CHANNEL_ALIAS", "CONDA_SSL_VERIFY"),
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")  # in either case
_FAILED = re.compile(
    r"Could not lock the environment for platform (\S+?):?\s(.*?)(?=\n    Command: |\nTraceback |\Z)",
    re.DOTALL,
)
_WRAPPER = """#!/bin/sh
exec {} "$CONDA_SUBDIR" "$@"
"""

#: Where the programs that come with this package are found as modules.
BESIDE = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True)
class Locker:
    """What locks conda environments.

    `python` is an interpreter that has conda-lock and rattler. `mirrors` maps prefixes of URLs to what stands
    in their place; `program` is the solver to use in place of ours. `timeout` is how long a server may take
    to answer a request, in seconds.
    """

    python: str
    env: Mapping[str, str]
    condarc: Condarc
    mirrors: Mapping[str, str]
    timeout: float = 60.0
    program: str | None = None

    def lock(self, asked: Conda, old: bytes | None = None, move: Sequence[str] = ()) -> str:
        """Solve for all platforms; give the text of the lock.

        With `move`, all else stays as the lock `old` has it, which must answer the spec. Raises
        ToolchainError where nothing can be found, with the solver's explanation, FetchError where a channel
        could not be reached, UsageError for packages to move that are not locked, and for what `program`
        cannot do.
        """
        if self.program and asked.before:
            raise UsageError(f"`{self.program}` cannot leave out what is newer than `before` of the spec")
        before = lockfile.parse(old, "the lock") if old is not None and move else None
        if before:
            self._check_move(before, asked, move)
        with tempfile.TemporaryDirectory(prefix="recipes-conda-") as made:
            place = Path(made)
            (place / _SOURCE).write_text(environment_yml(asked), "utf-8")
            if before and old and self.program:
                (place / _LOCK).write_bytes(old)
            argv = self._argv(place, asked, before, move)
            return self._run(argv, place, asked)

    def _check_move(self, old: CondaLock, asked: Conda, move: Sequence[str]) -> None:
        names = {one.name for one in old.packages}
        if self.program:  # conda-lock updates what the spec names, and ends with a KeyError for all else
            names &= {name_of(text) for platform in asked.platforms for text in asked.asked(platform)}
        for name in move:
            if name not in names:
                raise UsageError(f"no package `{name}` is locked that can be moved alone")

    def _argv(self, place: Path, asked: Conda, old: CondaLock | None, move: Sequence[str]) -> list[str]:
        argv = [self.python, "-P", "-m", "conda_lock", "lock", "--log-level", "ERROR"]
        argv += ["--file", _SOURCE, "--lockfile", _LOCK]
        if self.program:
            argv += ["--conda", self.program]
            if old:  # a platform without the package would be solved for anew
                having = {one.platform for one in old.packages if one.name in move}
                argv += [f"--update={name}" for name in move] + [
                    f"--platform={one}" for one in sorted(having)
                ]
            return argv
        return [*argv, "--conda", str(self._solver(place, asked, old, move))]

    def _solver(self, place: Path, asked: Conda, old: CondaLock | None, move: Sequence[str]) -> Path:
        """Write the program that conda-lock is given for conda, and what it is told besides."""
        settings = {
            **self.channels(),
            "before": int(asked.before.timestamp() * 1000) if asked.before else None,
            "keep": _kept(old, move) if old else {},
        }
        (place / "settings.json").write_text(json.dumps(settings))  # the directory is for this user only
        program = place / "solver"
        words = [self.python, "-P", "-m", "recipes.conda.solver", str(place / "settings.json")]
        program.write_bytes(os.fsencode(_WRAPPER.format(shlex.join(words))))  # paths are bytes in any locale
        program.chmod(0o700)
        return program

    def channels(self) -> dict[str, Any]:
        """Give, as JSON values, where channels are and how they are asked."""
        return {
            "condarc": self.condarc.document(),
            "mirrors": dict(self.mirrors),
            "timeout": int(self.timeout),
            "certificates": bool(_certificates(self.condarc, self.env)),
        }

    def _run(self, argv: Sequence[str], place: Path, asked: Conda) -> str:
        try:
            ended = process.run(argv, env=self.environment(place), cwd=place, timeout=LONGEST)
        except process.Timeout as wrong:
            raise FetchError(f"the channels took longer than {wrong.seconds:g} seconds") from wrong
        said = without_secrets(ended.err.decode(errors="replace"))
        if ended.code:
            raise _failure(said, ended.code)
        try:
            return lockfile.finished((place / _LOCK).read_bytes(), asked)
        except (ValueError, OSError) as wrong:
            raise ToolchainError(f"conda-lock wrote no lock that can be used\n  {wrong}") from wrong

    def environment(self, place: Path) -> dict[str, str]:
        """Give the environment: nothing in it changes what is found, as CONDA_OVERRIDE_GLIBC would."""
        told = {key: value for key, value in self.env.items() if key in _BASE or key.lower() in _PROXIES}
        told |= {"SSL_CERT_FILE": found} if (found := _certificates(self.condarc, self.env)) else {}
        return told | {
            "PYTHONPATH": BESIDE,
            "PYTHONWARNINGS": "ignore",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(place),
        }


def _certificates(condarc: Condarc, env: Mapping[str, str]) -> str | None:
    named = condarc.ssl_verify if isinstance(condarc.ssl_verify, str) else None
    return named or env.get("SSL_CERT_FILE") or env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE")


def _kept(old: CondaLock, move: Sequence[str]) -> dict[str, list[str]]:
    return {
        platform: [
            f'{one.name}[version="=={one.version}",build="{one.build}"]'
            for one in old.for_platform(platform)
            if one.name not in move
        ]
        for platform in old.platforms
    }


def _failure(said: str, code: int) -> RecipesError:
    found = _FAILED.search(said)
    if not found:
        last = said.strip().splitlines()[-1:] or [f"exit code {code}"]
        return ToolchainError(f"conda-lock failed\n  {last[0]}")
    platform, why = found[1].rstrip(":"), found[2].strip()
    if why.startswith(UNREACHABLE):
        return FetchError(f"{why.removeprefix(UNREACHABLE)}")
    lines = [f"  {line}" for line in why.splitlines() if line.strip()]
    return ToolchainError("\n".join([f"no conda environment can be found for {platform}", *lines]))
