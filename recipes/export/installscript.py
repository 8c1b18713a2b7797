"""A plan as a shell script: the same sources by the same hashes, the same phases, the same bytes.

The script needs no part of this project. Nothing in it floats: git sources by commit, archives and wheels by
SHA-256, and each source tree by the digest of its listing (`recipes.export.listing`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recipes import cmake, toolchain
from recipes.errors import UsageError
from recipes.export.prelude import PRELUDE
from recipes.origins import GitOrigin, PypiOrigin, UrlOrigin
from recipes.plan import Build, Plan, SourceTree, UnpackedWheel
from recipes.tree import Filter

_PLACES = ("/src", "/build", "/cache", "/toolchain", "/inputs", "/recipe", "/python")


@dataclass(frozen=True)
class Listing:
    """A tree's digest in hexadecimal, and what is in it: `644`, `755` or `link`, by path."""

    digest: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Trees:
    """The listing of each source, by store path name, and of the result where it is known."""

    sources: Mapping[str, Listing]
    result: Listing | None = None


def render(plan: Plan, trees: Trees) -> str:
    """Give the script. Raises UsageError for a source that neither git, a URL nor a package index has."""
    target = plan.derivations[plan.target]
    if not isinstance(target, Build) or target.sandbox != "namespaces" or target.visible:
        raise UsageError("only a build in a sandbox, and without the host's compiler, can be a script")
    filled = {
        "COMPONENT": plan.component,
        "VARIANT": plan.variant,
        "PLATFORM": plan.platform,
        "PLACES": " ".join(_PLACES),
        "BUILD": cmake.BUILD,
        "PYTHON": toolchain.PYTHON,
    }
    text = PRELUDE
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    return "\n".join([text, *_derivations(plan, trees), *_end(plan, trees)])


def _derivations(plan: Plan, trees: Trees) -> Iterator[str]:
    for name, one in plan.derivations.items():
        if isinstance(one, SourceTree):
            yield _source(name, one, trees.sources[name])
        elif isinstance(one, UnpackedWheel):
            wheel = one.wheel
            words = ("from_index", wheel.project, wheel.file, wheel.sha256)
            yield f'{shlex.join(words)}\nunpack "$archive" "$results/{name}"\n'
        elif isinstance(one, Build):
            yield "\n".join([*_build(name, one), ""])
        else:
            raise UsageError(f"a script cannot make `{name}`: only the `pypi` toolchain can be written down")


def _source(name: str, one: SourceTree, listing: Listing) -> str:
    origin = _origin(one)
    below = f"/{one.filter.strip}" if one.filter.strip else ""
    match origin:
        case GitOrigin():
            fetch = shlex.join(["from_git", one.name, origin.git, one.commit or ""])
            tree = f'"$work/tree"{below}'
        case PypiOrigin():
            fetch = shlex.join(["from_index", origin.pypi, origin.file or "", origin.sha256 or ""])
            tree = f'"$work/tree"/{shlex.quote(origin.path or "")}{below}'
        case _:
            fetch = shlex.join(["from_url", one.name, origin.url, origin.sha256 or ""])
            tree = f'"$work/tree"/{shlex.quote(origin.path or "")}{below}'
    unpack = [] if isinstance(origin, GitOrigin) else ['unpack "$archive" "$work/tree"']
    whole = one.filter == Filter(modes="git") and isinstance(origin, GitOrigin)
    take = f'take {tree} "$results/{name}" {listing.digest}'
    if not whole:
        lines = "".join(f"{mode} {path}\n" for mode, path in listing.entries)
        take = f"{take} listed <<'EOF'\n{lines}EOF"
    return "\n".join([fetch, *unpack, take, ""])


def _origin(one: SourceTree) -> GitOrigin | UrlOrigin | PypiOrigin:
    """Choose the origin that a script fetches from: git, else an archive that any mirror has."""
    order = (GitOrigin, UrlOrigin, PypiOrigin)
    found = [origin for origin in one.origins if isinstance(origin, order)]
    if found:
        return min(found, key=lambda origin: order.index(type(origin)))
    raise UsageError(f"a script cannot fetch `{one.name}`: neither git, a URL nor a package index has it")


def _build(name: str, one: Build) -> Iterator[str]:
    yield f"# --- {one.component}"
    yield f"result=$results/{name}"
    yield 'rm -rf "$result" && mkdir -p "$result"'
    yield "fresh /src /build /cache /inputs /recipe /toolchain"
    for below, source in sorted(one.sources.items()):
        yield f'mkdir -p /src/{below} && cp -RP "$results/{source}/." /src/{below}'
    for directory, named in (("inputs", one.inputs), ("toolchain", one.tools)):
        yield from (f'cp -RP "$results/{path}" /{directory}/{below}' for below, path in named.items())
    yield "mkdir -p /toolchain/bin"
    for program, text in one.programs.items():
        yield f"cat >/toolchain/bin/{program} <<'EOF'\n{text}EOF\nchmod 755 /toolchain/bin/{program}"
    for file, text in one.files.items():
        yield f"cat >/recipe/{file} <<'END OF {file}'\n{text.rstrip()}\nEND OF {file}"
    env = shlex.join(f"{key}={value}" for key, value in sorted(one.env.items()))
    for phase in one.phases:
        argv = shlex.join(phase.argv).replace(shlex.quote(cmake.JOBS), '"$jobs"')
        title = shlex.quote(f"{one.component}: {phase.name}")
        yield f"phase {title} {shlex.quote(phase.says or '')} \\\n    {env} \\\n    {argv}"
    for target, left in one.outputs.items():
        yield shlex.join(["output", f"/{left}", target])


def _end(plan: Plan, trees: Trees) -> Iterator[str]:
    if trees.result is not None:
        yield f'expect "{plan.component}" {trees.result.digest} "$(digest "$result")"'
    yield 'mkdir -p "${prefix%/*}" && cp -RP "$result" "$prefix"'
    yield '(cd "$prefix" && find . -type f -exec sha256sum {} + | sort -k 2)'
    yield 'say "$prefix has it"\n'
