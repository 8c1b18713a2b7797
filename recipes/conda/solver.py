"""A solver that conda-lock takes for conda: `conda-lock lock --conda PROGRAM`, on py-rattler.

A program of its own, `python -m recipes.conda.solver SETTINGS PLATFORM …`, with conda's own arguments behind
that: `--version`, and `create --dry-run --json --channel C … SPEC …`. It answers in conda's JSON. SETTINGS is
a JSON file: `condarc`, `mirrors` (prefixes of URLs to their replacements), `before` (milliseconds since
1970), `keep` (by platform, constraints on what is locked already), `timeout` (seconds), and `certificates`
(whether the system's are trusted in place of those that rattler brings).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rattler
from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError

from recipes.conda.channels import UNREACHABLE, Condarc, public, without_secrets
from recipes.settings import Settings


class Refused(Exception):  # noqa: N818 - what happened
    """Nothing was solved; the message is for people."""


@dataclass(frozen=True)
class Place:
    """A channel: `url` is what a lock names, `asked` is where it was found to answer."""

    url: str
    asked: str


def main(argv: Sequence[str]) -> int:
    """Answer one call; give the exit code."""
    settings, platform, *rest = argv
    if "--version" in rest:
        _say("conda 24.1.0")
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["create"])
    parser.add_argument("--channel", action="append", default=[])
    parser.add_argument("specs", nargs="*")
    for option in ("--dry-run", "--json", "--override-channels"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--prefix")
    told = parser.parse_intermixed_args(rest)
    try:
        values = json.loads(Path(settings).read_bytes())
        found = asyncio.run(_solve(values, platform, told.channel, told.specs))
    except Refused as wrong:
        _say(json.dumps({"success": False, "message": str(wrong)}))
        return 1
    except Exception as wrong:  # noqa: BLE001 - conda-lock passes on a message, and of a traceback nothing
        _say(json.dumps({"success": False, "message": f"{type(wrong).__name__}: {wrong}"}))
        return 1
    _say(
        json.dumps(
            {"success": True, "actions": {"FETCH": found, "LINK": [{"name": one["name"]} for one in found]}}
        )
    )
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def _solve(
    values: Mapping[str, Any], platform: str, channels: Sequence[str], specs: Sequence[str]
) -> list[dict[str, Any]]:
    condarc = Condarc.of(values["condarc"])
    gateway = open_gateway(values, condarc)
    *given, last = channels
    # conda-lock's own channel of virtual packages comes last: a directory below its temporary one
    places = [await find_place(gateway, condarc, values["mirrors"], one, platform) for one in given]
    before = datetime.fromtimestamp(values["before"] / 1000, UTC) if values["before"] is not None else None
    try:
        records = await rattler.solve(
            [rattler.Channel(one.asked) for one in places],
            [rattler.MatchSpec(one) for one in specs],
            gateway,
            [rattler.Subdir(platform), rattler.Subdir("noarch")],
            virtual_packages=_virtual(last, platform),
            constraints=[rattler.MatchSpec(one) for one in values["keep"].get(platform, ())],
            exclude_newer=before,
            channel_relations="disabled",
        )
    except (SolverError, InvalidMatchSpecError) as wrong:
        raise Refused(str(wrong).removeprefix("Cannot solve the request because of: ").strip()) from wrong
    except GatewayError as wrong:
        raise Refused(f"{UNREACHABLE}the index of a channel cannot be read\n  {_last(wrong)}") from wrong
    return sorted((_fetched(one, places) for one in records), key=lambda one: str(one["name"]))


def _last(wrong: Exception) -> str:
    """Give the innermost of rattler's reasons, without credentials that a URL in it may have."""
    line = [one.removeprefix("Caused by: ").strip() for one in str(wrong).splitlines() if one.strip()][-1]
    return without_secrets(line)


def open_gateway(values: Mapping[str, Any], condarc: Condarc) -> rattler.Gateway:
    """Make what reads channels, with the `certificates` and the `timeout` of these settings."""
    lines = ["tls-no-verify = true"] if condarc.ssl_verify is False else []
    lines += ['tls-root-certs = "system"'] if values["certificates"] else []
    if condarc.proxies:
        lines += ["[proxy-config]", *(f"{name} = {json.dumps(url)}" for name, url in condarc.proxies.items())]
    config = rattler.Config.from_toml("\n".join(lines))
    client = rattler.networking.Client.from_config(config, max_retries=1, timeout=values["timeout"])
    return rattler.Gateway(client=client)


async def find_place(
    gateway: rattler.Gateway, condarc: Condarc, mirrors: Mapping[str, str], channel: str, platform: str
) -> Place:
    """Find the first place that answers for a channel. Raises Refused, with each place that does not."""
    url, places = channel_urls(condarc, mirrors, channel)
    why: list[str] = []
    subdirs = [rattler.Subdir(platform), rattler.Subdir("noarch")]
    for asked in places:
        try:
            await gateway.names([rattler.Channel(asked)], subdirs)
        except GatewayError as wrong:
            why.append(f"  {public(asked)}  {_last(wrong)}")
        else:
            return Place(public(url), asked)
    raise Refused("\n".join([f"{UNREACHABLE}channel `{public(channel)}` cannot be reached", *why]))


def channel_urls(condarc: Condarc, mirrors: Mapping[str, str], channel: str) -> tuple[str, tuple[str, ...]]:
    """Give the URL that a channel's name stands for, and those that are asked in its place, in order."""
    url = condarc.url(channel, rattler.Channel("a").base_url.removesuffix("a/"))
    return url, condarc.mirrors(channel, url, Settings(Path(), mirrors).rewrite)


def _virtual(channel: str, platform: str) -> list[rattler.GenericVirtualPackage]:
    place = Path(channel.removeprefix("file://")) / platform / "repodata.json"
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(one["name"]),
            rattler.Version(one["version"]),
            rattler.package.build_string.BuildString.new_unchecked(one["build"]),
        )
        for one in json.loads(place.read_bytes())["packages"].values()
    ]


def _fetched(record: rattler.RepoDataRecord, places: Sequence[Place]) -> dict[str, Any]:
    url = _url(record.url, places)
    if record.sha256 is None:
        raise Refused(f"the channel has no SHA-256 of {record.file_name}, and nothing is locked without")
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "channel": url.rpartition("/")[0],
        "url": url,
        "fn": record.file_name,
        "md5": record.md5.hex() if record.md5 else "",
        "sha256": record.sha256.hex(),
        "depends": record.depends,
        "constrains": record.constrains,
        "subdir": record.subdir,
    }


def _url(url: str, places: Sequence[Place]) -> str:
    """Give a package's URL as its channel's own, wherever the index came from."""
    for place in places:
        for base in (place.asked, public(place.asked), place.url):
            if url.startswith(f"{base}/"):
                return f"{place.url}{url.removeprefix(base)}"
    if any(place.asked == place.url for place in places):
        return public(url)  # a channel may keep its packages elsewhere, and say so (CEP 15); a mirror may not
    raise Refused(f"a mirror names packages that are not its channel's\n  url  {public(url)}")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # a process that ends the ordinary way after py-rattler has been awaited crashes every second time
    # (PyO3/pyo3-async-runtimes#40)
    os._exit(code)
