"""What the refs of a scan name today, asked of their servers: one probe of each host, dead ones told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from recipes import gitsays, giturls
from recipes.errors import FetchError, IntegrityError, SpecError
from recipes.git import Git, Tick
from recipes.scan.findings import Found, Verdict


@dataclass
class Pins:
    """Asks servers; `say` is told, once for each, of those that do not answer."""

    git: Git
    say: Callable[[str], None]

    def fill(self, found: Sequence[Found], tick: Tick) -> tuple[Found, ...]:
        """Give the inputs with the commit that each ref names today, and whether that is a tag or a branch.

        An input whose server does not answer, or that has no such ref, stays as it is.
        """
        urls = {one.url for one in found if one.url and one.verdict.severity in {"floating", "movable"}}
        refs: dict[str, dict[str, str]] = {}
        told: set[str] = set()
        for done, url in enumerate(sorted(urls), start=1):
            refs[url] = self._refs(url, told)
            tick(done, len(urls))
        return tuple(_pinned(one, refs[one.url]) if one.url in refs else one for one in found)

    def _refs(self, url: str, told: set[str]) -> dict[str, str]:
        try:
            return self.git.refs(url)
        except (FetchError, IntegrityError, SpecError) as wrong:
            is_dead = gitsays.is_death(self.git.answers(url)) if isinstance(wrong, FetchError) else False
            who = (giturls.host(url) if is_dead else None) or url
            if who not in told:
                told.add(who)
                self.say(f"no pins from `{giturls.shown(who)}`: {wrong.message.splitlines()[-1].strip()}")
            return {}


def _pinned(found: Found, refs: dict[str, str]) -> Found:
    """Fill in what a server's refs say; what it calls a branch floats, whatever its name looks like."""
    if found.verdict.severity not in {"floating", "movable"} or not refs:
        return found
    if found.ref is None:
        return replace(found, pin=refs.get("HEAD"))
    ref = found.ref.removeprefix("origin/")
    names = [f"refs/tags/{ref}", f"refs/heads/{ref}", ref]
    name = next((one for one in names if one in refs), None)
    if name is None:
        whole = {oid for oid in refs.values() if len(ref) > 6 and oid.startswith(ref.lower())}  # noqa: PLR2004
        return replace(found, pin=whole.pop() if len(whole) == 1 else None)
    return replace(found, pin=refs.get(f"{name}^{{}}", refs[name]), verdict=_verdict(found, name))


def _verdict(found: Found, name: str) -> Verdict:
    if found.kind == "submodule" or name == "HEAD":
        return found.verdict
    if name.startswith("refs/tags/"):
        return Verdict("movable", "a tag")
    return Verdict("floating", found.verdict.why if "no `GIT_TAG`" in found.verdict.why else "a branch")
