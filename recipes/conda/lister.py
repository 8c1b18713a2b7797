"""The program that says what channels have of packages, on py-rattler: `python -m recipes.conda.lister`.

Standard input is JSON: `condarc`, `mirrors`, `timeout` and `certificates` as for `recipes.conda.solver`;
`patience`, seconds in which a server has to take a connection; `channels`, their names in order; `platforms`,
each with its locked packages: `name`, `version`, `build`, `file`, `sha256`. Standard output is JSON: by
platform `unknown`, why nothing is known, or `packages`, in the order of the question: `listing` (as
`recipes.health.model` has it), `timestamp` (milliseconds since 1970, or null) and `newer`, the versions after
the locked one, ascending, that the locked Python can use.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import rattler
from rattler.exceptions import GatewayError, InvalidMatchSpecError
from rattler.package.build_string import BuildString

from recipes.conda.channels import UNREACHABLE, Condarc, public, without_secrets
from recipes.conda.solver import Place, Refused, channel_urls, find_place, open_gateway

# conda has no rule for what a pre-release is. The `a` of `2026a` and `1.1.1a` is none.
_UNFINISHED = re.compile(r"(?i)(dev|alpha|beta|pre|rc)|[0-9._-][abc][0-9]")
_PYTHON = ("python", "python_abi")  # what the packages of one Python name among their dependencies


async def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer for all platforms; of one that cannot be read, why."""
    condarc = Condarc.of(asked["condarc"])
    gateway = open_gateway(asked, condarc)
    found: dict[str, Any] = {}
    reason = None
    for platform, locked in asked["platforms"].items():
        try:
            if reason is None:  # a channel that is out of reach is so for every platform
                _check_reach(asked, condarc)
                places = [
                    await find_place(gateway, condarc, asked["mirrors"], one, platform)
                    for one in asked["channels"]
                ]
                found[platform] = {"packages": await _packages(gateway, places, platform, locked)}
                continue
        except (Refused, GatewayError) as wrong:
            reason = without_secrets(" ".join(str(wrong).removeprefix(UNREACHABLE).split()))
        found[platform] = {"unknown": reason}
    return found


def _check_reach(asked: Mapping[str, Any], condarc: Condarc) -> None:
    """Raise Refused where no server of a channel takes a connection.

    `timeout` is for whole requests, an index may have a hundred megabytes, and a server that is not there
    may not take as long. What is behind a proxy is not tried.
    """
    if condarc.proxies or urllib.request.getproxies():
        return
    for channel in asked["channels"]:
        urls = channel_urls(condarc, asked["mirrors"], channel)[1]
        why = [_silence(one, asked["patience"]) for one in urls]
        if all(why):
            raise Refused(f"channel `{public(channel)}` cannot be reached: {'; '.join(filter(None, why))}")


def _silence(url: str, patience: float) -> str | None:
    """Try to connect to the server of a URL; say why that cannot be done."""
    parts = urlsplit(url)
    ports = {"http": 80, "https": 443}
    if parts.scheme not in ports:
        return None
    try:
        socket.create_connection((parts.hostname, parts.port or ports[parts.scheme]), patience).close()
    except (OSError, ValueError) as wrong:
        return f"{public(url)}: {getattr(wrong, 'strerror', None) or wrong}"
    return None


async def _packages(
    gateway: rattler.Gateway, places: Sequence[Place], platform: str, locked: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    subdirs = [rattler.Subdir(platform), rattler.Subdir("noarch")]
    names = sorted({one["name"] for one in locked})
    by_channel = []
    for one in places:
        found = await gateway.query(
            [one.asked], subdirs, names, recursive=False, channel_relations="disabled"
        )
        by_channel.append([it for of_subdir in found for it in of_subdir])
    python = [_record(one) for one in locked if one["name"] in _PYTHON]
    return [
        _told(one, [[it for it in them if it.name.normalized == one["name"]] for them in by_channel], python)
        for one in locked
    ]


def _record(one: Mapping[str, str]) -> rattler.PackageRecord:
    return rattler.PackageRecord(one["name"], one["version"], BuildString.new_unchecked(one["build"]), 0, "")


def _told(
    locked: Mapping[str, str],
    by_channel: Sequence[Sequence[rattler.RepoDataRecord]],
    python: Sequence[rattler.PackageRecord],
) -> dict[str, Any]:
    same = [it for them in by_channel for it in them if it.file_name == locked["file"]]
    right = [it for it in same if it.sha256 is None or it.sha256.hex() == locked["sha256"]]
    listing = "listed" if right else "another hash" if same else "withdrawn"
    at = right[0].timestamp if right else None
    first = next((them for them in by_channel if them), ())  # as solvers do: the first that has the name
    fitting = [it for it in first if _fits(it.depends, python) and _is_same_python(it, locked)]
    return {
        "listing": listing,
        "timestamp": None if at is None else int(at.timestamp() * 1000),
        "newer": _newer(locked["version"], {str(it.version) for it in fitting}),
    }


def _newer(version: str, versions: set[str]) -> list[str]:
    start = rattler.Version(version)
    found = {rattler.Version(one) for one in versions if not _UNFINISHED.search(one)}
    return [str(one) for one in sorted(one for one in found if one > start)]


def _is_same_python(one: rattler.RepoDataRecord, locked: Mapping[str, str]) -> bool:
    """Say whether Python itself stays of one minor version; true of all else."""
    minor = rattler.Version(locked["version"]).as_major_minor()
    return locked["name"] not in _PYTHON or rattler.Version(str(one.version)).as_major_minor() == minor


def _fits(depends: Sequence[str], python: Sequence[rattler.PackageRecord]) -> bool:
    """Say whether a package can be used with the locked Python."""
    for text in depends:
        name = text.partition(" ")[0]
        try:
            spec = rattler.MatchSpec(text) if name in _PYTHON else None
        except InvalidMatchSpecError:
            return False
        if spec and not all(spec.matches(one) for one in python if one.name.normalized == name):
            return False
    return True


def main() -> int:
    """Answer what standard input asks; give the exit code."""
    try:
        found = asyncio.run(answer(json.load(sys.stdin)))
    except Exception as wrong:  # noqa: BLE001 - py-rattler raises what it likes, and all of it is told
        sys.stderr.write(f"{without_secrets(' '.join(str(wrong).split()))}\n")
        return 1
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # a process that ends the ordinary way after py-rattler has been awaited crashes every second time
    # (PyO3/pyo3-async-runtimes#40)
    os._exit(code)
