"""Git's names, as rules: which URLs are asked, which host they are on, what a relative one means, and
which refs a name may stand for.
"""  # noqa: D205

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from recipes.errors import SpecError

_ID = re.compile(r"[0-9a-f]{40}")
_ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")
_URL = re.compile(
    r"(?:https?|ssh|git|file)://[^\x00-\x20-][^\x00-\x20]*"
    r"|/[^\x00-\x1f]*"
    r"|[\w.][\w.-]*@[\w.][\w.-]*:(?!:)[^\x00-\x20-][^\x00-\x20]*"
)
_NOT_IN_A_REF = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{")  # git-check-ref-format(1)
_PASSWORD = re.compile(r"(?<=//)[^/@\s:]*:[^/@\s]*@")


def is_commit_id(text: str) -> bool:
    """Say whether a text is a whole commit id: 40 hexadecimal digits, lower case."""
    return _ID.fullmatch(text) is not None


def usable(url: str) -> str:
    """Give the URL back. Raises SpecError for one that git would take for an option or for a command."""
    if _URL.fullmatch(url) is None:
        raise SpecError(
            f"`{shown(url)}` is not a URL of a git repository",
            hint="a URL begins with https://, http://, ssh://, git:// or file://, or is an absolute path",
        )
    return url


def shown(text: str) -> str:
    """Give a text as it may be shown: without the passwords in its URLs."""
    return _PASSWORD.sub("", text)


def host(url: str) -> str | None:
    """Give what answers for a URL (scheme, host and port), or None for a path on this machine."""
    if url.startswith(("/", "file://")):
        return None
    if "://" in url:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}"
    return url.partition(":")[0]


def absolute(url: str, parent: str) -> str:
    """Resolve a submodule's URL against its parent's, as `relative_url` of git's remote.c does."""
    base, joint = parent.rstrip("/"), "/"
    if not url.startswith(("./", "../")):
        return url
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        if step == "..":
            slash, colon = base.rfind("/"), base.rfind(":")
            joint = "/" if slash >= 0 else ":"
            base = base[: slash if slash >= 0 else max(colon, 0)]
    return f"{base}{joint}{url}".rstrip("/")


def no_option(text: str, parent: str) -> str:
    """Give a submodule's path or URL back. Raises SpecError where it begins with `-` (CVE-2018-17456)."""
    if text.startswith("-"):
        raise SpecError(
            f"`.gitmodules` of `{shown(parent)}` has a name that begins with `-`\n  name  {text!r}"
        )
    return text


def full_names(ref: str) -> list[str]:
    """Give the full refs that a name may stand for, in the order to try. Raises SpecError for no name."""
    if not ref or _NOT_IN_A_REF.search(ref):
        raise SpecError(
            f"`{ref}` cannot be the name of a branch or tag", hint="see `git check-ref-format --help`"
        )
    # A tag first: apache/tvm has a branch of each release's name, too, and that one moves
    return [ref] if ref.startswith("refs/") else [f"refs/tags/{ref}", f"refs/heads/{ref}"]


def unknown(url: str, ref: str, refs: Mapping[str, str]) -> SpecError:
    """Say that a repository has no such ref, and what was probably meant; `refs` is what it has."""
    url = shown(url)
    if _ABBREVIATED.fullmatch(ref):
        tips = sorted({oid for oid in refs.values() if oid.startswith(ref)})
        meant = " or ".join(f"`{oid}`" for oid in tips)
        return SpecError(
            f"`{ref}` is no branch or tag of `{url}`, and a commit is named by all 40 digits of its id",
            hint=f"write {meant}" if tips else "`git rev-parse " + ref + "` in a clone gives all of them",
        )
    names = {name.removeprefix("refs/tags/").removeprefix("refs/heads/") for name in refs if "^" not in name}
    near = difflib.get_close_matches(ref, sorted(names), n=3)
    meant = " or ".join(f"`{name}`" for name in near)
    return SpecError(
        f"`{url}` has no branch or tag `{ref}`",
        hint=f"did you mean {meant}" if near else f"`git ls-remote {url}` lists what it has",
    )
