"""What this machine can do: each part that a build may use, whether it works, and how to get it if not."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from recipes import hosttools, isolation, process
from recipes.errors import RecipesError, ToolchainError
from recipes.fetch import Fetcher
from recipes.origins import GitOrigin
from recipes.project import Project
from recipes.requirements import Wheel
from recipes.run import system
from recipes.settings import GB, Settings

_ROOM = 5 * GB  # bytes: sources, wheels and one build of TVM
_PATIENCE = 10.0  # seconds that a program may take to say its version


@dataclass(frozen=True)
class Finding:
    """One part: `state` is `works`, `lacks` or `unknown`; `needed` says that no build goes without it.

    `hint` is what would help, where something would.
    """

    part: str
    state: str
    says: str
    hint: str | None = None
    needed: bool = False


def examine(
    env: Mapping[str, str], settings: Settings, fetcher: Fetcher | None, project: Project | None
) -> list[Finding]:
    """Look at each part. Without a fetcher or a project, no origin is asked."""
    looks: list[Callable[[], list[Finding]]] = [
        lambda: [_platform(), _python()],
        lambda: _sandboxes(env),
        lambda: [_store(settings.store), _cache(settings)],
        lambda: [_program(env, "git", "git", "--version", hint="`apt-get install git`")],
        lambda: [_apt(env)],
        lambda: [_host(env)],
        lambda: [_conda(env)],
        lambda: [_program(env, "diffoscope", "diffoscope", "--version", hint="`apt-get install diffoscope`")],
        lambda: _origins(fetcher, project) if fetcher and project else [],
    ]
    with ThreadPoolExecutor(len(looks)) as pool:
        return [one for found in pool.map(lambda look: look(), looks) for one in found]


def can_build(findings: list[Finding]) -> bool:
    """Say whether a build of the default kind can work: all that is needed does, and one sandbox."""
    boxes = [one for one in findings if one.part.startswith("sandbox ")]
    needed = [one for one in findings if one.needed]
    return all(one.state == "works" for one in needed) and any(one.state == "works" for one in boxes)


def _platform() -> Finding:
    try:
        return Finding("platform", "works", f"{system()}, Linux {platform.release()}", needed=True)
    except RecipesError as error:
        return Finding("platform", "lacks", error.message, needed=True)


def _python() -> Finding:
    """Python runs already: what is too old did not get here."""
    return Finding("Python", "works", f"{platform.python_version()} at {sys.executable}", needed=True)


def _sandboxes(env: Mapping[str, str]) -> list[Finding]:
    with tempfile.TemporaryDirectory() as place:
        return [_sandbox(one, env, Path(place)) for one in isolation.ways()]


def _sandbox(one: isolation.Isolation, env: Mapping[str, str], place: Path) -> Finding:
    try:
        why = isolation.refusal(one, env, place)
    except RecipesError as error:  # no loader: not this backend's fault
        why = error.message
    if why is None:
        return Finding(f"sandbox {one.name}", "works", "isolates a process here")
    return Finding(f"sandbox {one.name}", "lacks", why, _how_to_allow(why))


# kernel settings that refuse user namespaces: the file below /proc/sys, the value that does, the remedy
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "`sysctl kernel.unprivileged_userns_clone=1`"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
    ("user/max_user_namespaces", "0", "`sysctl user.max_user_namespaces=15000`"),
)
_CONTAINER = "`docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined …`"


def _how_to_allow(why: str) -> str:
    if why.endswith("is not on PATH"):
        missing = why.partition("`")[2].partition("`")[0]
        package = {"bwrap": "bubblewrap", "hostname": "hostname"}.get(missing, "util-linux")
        return f"`apt-get install {package}`"
    found = [remedy for file, value, remedy in _SWITCHES if _read(Path("/proc/sys", file)) == value]
    inside = any(Path(one).exists() for one in ("/.dockerenv", "/run/.containerenv"))
    return ", ".join(found or [_CONTAINER if inside else "`sysctl -a --pattern userns`"])


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return None


def _store(root: Path) -> Finding:
    there = next(one for one in (root, *root.parents) if one.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "name another with `--store DIR` or RECIPES_STORE"
        return Finding("store", "lacks", f"{root} cannot be written to", hint, needed=True)
    free = shutil.disk_usage(there).free
    says = f"{root}, {free / GB:.1f} GB free on {_file_system(there)}"
    if free < _ROOM:
        return Finding("store", "works", f"{says}: little for a build", "`recipes store gc`", needed=True)
    return Finding("store", "works", says, needed=True)


def _file_system(path: Path) -> str:
    """Name the kind of file system that a path is on."""
    try:
        mounts = Path("/proc/self/mounts").read_bytes()
    except OSError:
        mounts = b""
    return _kind_at(path.resolve(), mounts)


def _kind_at(path: Path, mounts: bytes) -> str:
    """Name the kind of file system at an absolute path, from the text of /proc/self/mounts."""
    best = (b"", "an unknown file system")
    for line in mounts.splitlines():
        _, escaped, kind, *_ = line.split(b" ")
        point = re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), escaped)
        if path.is_relative_to(os.fsdecode(point)) and len(point) >= len(best[0]):
            best = (point, kind.decode("ascii", "replace"))
    return best[1]


def _cache(settings: Settings) -> Finding:
    if not settings.cache_size:
        return Finding("compiler cache", "lacks", "`cache_size: 0` in config.yaml: every build is a full one")
    return Finding(
        "compiler cache", "works", f"{settings.store / 'cache'}, up to {settings.cache_size / GB:g} GB"
    )


def _program(env: Mapping[str, str], part: str, *argv: str, hint: str) -> Finding:
    try:
        ended = process.run(argv, env=env, timeout=_PATIENCE)
    except (RecipesError, OSError) as error:
        return Finding(part, "lacks", str(getattr(error, "message", error)), hint)
    except process.Timeout as slow:
        return Finding(part, "unknown", str(slow))
    said = (ended.out or ended.err).decode(errors="replace").strip().splitlines()
    return Finding(part, "lacks" if ended.code else "works", said[0] if said else f"exit code {ended.code}")


def _apt(env: Mapping[str, str]) -> Finding:
    found = _program(
        env, "apt", "apt-get", "--version", hint="`--origin git` or `--origin pypi` goes without"
    )
    return found if found.state != "works" else Finding("apt", "works", " ".join(found.says.split()[:2]))


def _host(env: Mapping[str, str]) -> Finding:
    try:
        tools = hosttools.find(env)
    except ToolchainError as error:
        return Finding("host compiler", "lacks", error.message, "`apt-get install g++`")
    return Finding("host compiler", "works", f"{tools.digests['version']} at {tools.programs['cc']}")


def _conda(env: Mapping[str, str]) -> Finding:
    for name in ("micromamba", "mamba", "conda"):
        if shutil.which(name, path=env.get("PATH", os.defpath)):
            return _program(env, "conda", name, "--version", hint="")
    return Finding("conda", "lacks", "no micromamba, mamba or conda on PATH: locks need none of them")


def _origins(fetcher: Fetcher, project: Project) -> list[Finding]:
    """Ask one repository of each host that a lock names, and the package index for one wheel."""
    urls = {urlsplit(one).netloc: one for one in _repositories(project)}
    asked: list[Callable[[], Finding]] = [
        *(lambda host=host, url=url: _repository(fetcher, host, url) for host, url in sorted(urls.items())),
        *(lambda wheel=wheel: _index(fetcher, wheel) for wheel in _wheels(project)),
    ]
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        return list(pool.map(lambda ask: ask(), asked))


def _repositories(project: Project) -> Iterator[str]:
    for variant in project.variants():
        try:
            sources = project.lock(variant).sources.values()
        except RecipesError:  # `recipes list` is there to say so
            continue
        yield from (one.git for source in sources for one in source.origins if isinstance(one, GitOrigin))


def _wheels(project: Project) -> list[Wheel]:
    """Choose the wheel to ask the index for: none where nothing is locked."""
    for variant in project.variants():
        try:
            return list(project.toolchain(variant).for_platform(system())[:1])
        except RecipesError:
            continue
    return []


def _repository(fetcher: Fetcher, host: str, url: str) -> Finding:
    why = fetcher.git.answers(url)
    if why is None:
        return Finding(f"origin {host}", "works", f"answers for {url}")
    return Finding(f"origin {host}", "lacks", why, "RECIPES_MIRROR names a mirror, as PREFIX=REPLACEMENT")


def _index(fetcher: Fetcher, wheel: Wheel) -> Finding:
    try:
        fetcher.index.find(wheel.project, wheel.file, wheel.sha256)
    except RecipesError as error:
        return Finding("package index", "lacks", error.message, "`pip config set global.index-url URL`")
    return Finding("package index", "works", f"has {wheel.file}")
