"""How things are named for others: package URLs, SPDX's VCS locations, SWHIDs, and URIs of our own."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from recipes.conda.lockfile import CondaPackage
from recipes.origins import Archive, DebianOrigin, GitOrigin, Origin, PypiOrigin, UrlOrigin, file_name
from recipes.plan import SourceTree
from recipes.requirements import Wheel

# The project has no address of its own: `.invalid` (RFC 2606) leads nowhere and is nobody else's.
NAMESPACE = "https://tvm-recipes.invalid"

_EXPRESSION = re.compile(
    r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*)*"
)
_GITHUB = re.compile(r"https://github\.com/([^/]+)/([^/]+?)(?:\.git)?/?")


def purl(kind: str, *names: str, version: str | None = None, **qualifiers: str) -> str:
    """Write a package URL, `pkg:KIND/NAME/NAME@VERSION?QUALIFIER=…` (ECMA-427)."""
    path = "/".join(_quoted(one) for one in (kind, *names))
    after = f"@{_quoted(version)}" if version else ""
    pairs = "&".join(f"{key}={_quoted(value, '/')}" for key, value in sorted(qualifiers.items()))
    return f"pkg:{path}{after}" + (f"?{pairs}" if pairs else "")


def _quoted(text: str, safe: str = "") -> str:
    return quote(text, safe=f"{safe}:")  # a colon is never encoded in a package URL


def wheel_purl(wheel: Wheel) -> str:
    """Name a wheel; the file is told, as a project's wheels of one version differ by platform."""
    return purl("pypi", wheel.project, version=wheel.version, file_name=wheel.file)


def conda_purl(package: CondaPackage) -> str:
    """Name a conda package; the channel is left out, as any mirror serves."""
    return purl("conda", package.name, version=package.version, build=package.build, subdir=package.subdir)


def archive_purl(origin: Archive) -> str:
    """Name an archive: a file of a project on the package index, a Debian source package, or a URL."""
    if isinstance(origin, PypiOrigin):
        return purl("pypi", origin.pypi, version=origin.version, file_name=origin.file)
    if isinstance(origin, DebianOrigin):
        return purl("deb", "debian", origin.debian, version=origin.version, arch="source")
    checksum = f"sha256:{origin.sha256}"
    return purl("generic", file_name(origin), download_url=origin.url, checksum=checksum)


def source_purl(source: SourceTree) -> str:
    """Name a source: by its repository and commit where it has them, else by its first archive."""
    repositories = [one.git for one in source.origins if isinstance(one, GitOrigin)]
    if source.commit and repositories:
        if found := _GITHUB.fullmatch(repositories[0]):
            return purl("github", found[1].lower(), found[2].lower(), version=source.commit)
        located = vcs_location(repositories[0], source.commit)
        return purl("generic", source.label(), version=source.commit, vcs_url=located)
    archives = [one for one in source.origins if not isinstance(one, GitOrigin)]
    return archive_purl(archives[0]) if archives else purl("generic", source.label(), version=source.commit)


def vcs_location(url: str, commit: str) -> str:
    """Write where a commit is: `git+https://…@COMMIT`, as SPDX 2.3 does (7.7.1)."""
    return f"{url if urlsplit(url).scheme == 'git' else f'git+{url}'}@{commit}"


def location(origin: Origin, commit: str | None) -> str:
    """Name what an origin gave: a commit's VCS location, a package URL, or a URL."""
    if isinstance(origin, GitOrigin):
        return vcs_location(origin.git, commit) if commit else f"git+{origin.git}"
    return origin.url if isinstance(origin, UrlOrigin) else archive_purl(origin)


def swhids(commit: str | None, tree: str | None) -> tuple[str, ...]:
    """Give the Software Heritage ids (ISO/IEC 18670) of a commit's directory and of the commit."""
    kinds = {"dir": tree, "rev": commit}
    return tuple(f"swh:1:{kind}:{one}" for kind, one in kinds.items() if one)


def is_expression(licence: str) -> bool:
    """Say whether a licence is written as an SPDX expression; whether its ids exist is not looked up."""
    return _EXPRESSION.fullmatch(licence) is not None
