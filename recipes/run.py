"""One run of the program: its checkout, settings, store, and what fetches and builds, made when asked for."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from recipes import breakages, lockcheck, project, settings, toolchain
from recipes.errors import FetchError, LockError, SandboxError, UsageError
from recipes.located import nearest
from recipes.origins import KINDS, Kind
from recipes.project import Project
from recipes.report import Report
from recipes.settings import Choice
from recipes.spec import Specs
from recipes.store import Store
from recipes.toolchain import Toolchain

if TYPE_CHECKING:
    from recipes.breakages import Pin
    from recipes.compilercache import CompilerCache, Use
    from recipes.conda.condalock import Locker
    from recipes.conda.lockfile import CondaPackage
    from recipes.conda.prefix import Installer
    from recipes.fetch import Fetcher
    from recipes.plan import Plan
    from recipes.realise import Realiser
    from recipes.requirements import Wheel

_SYSTEMS = {("linux", "x86_64"): "linux-64", ("linux", "aarch64"): "linux-aarch64"}


@dataclass(frozen=True)
class Run:
    """What a command starts from: the terminal, the process's environment and directory, global options."""

    report: Report
    environ: Mapping[str, str]
    directory: Path
    project_at: Path | None = None
    store_at: Path | None = None

    def project(self) -> Project:
        """Find the checkout."""
        return project.find(self.directory / (self.project_at or ""))

    def settings(self) -> settings.Settings:
        """Read the user's settings."""
        return settings.load(self.environ, self.directory / self.store_at if self.store_at else None)

    def store(self) -> Store:
        """Open the store."""
        return Store(self.settings().store)

    def fetcher(self, only: str | None = None, *, offline: bool = False) -> Fetcher:
        """Make what brings things in; `only` is the one kind of origin that is allowed."""
        from recipes.debian import Debian
        from recipes.fetch import Fetcher
        from recipes.git import Git
        from recipes.pypi import Index

        if only is not None:
            look_up("kind of origin", only, KINDS)
        chosen = self.settings()
        git = Git(chosen.store / "git", rewrite=chosen.rewrite, timeout=chosen.timeout, env=self.environ)
        index = Index(sys.executable, self.environ, patience=chosen.timeout)
        debian = Debian(chosen.store / "apt", self.environ, timeout=chosen.timeout)
        return Fetcher(
            Store(chosen.store),
            git,
            index,
            debian,
            chosen,
            self.report,
            cast("Kind | None", only),
            offline,
        )

    def locker(self, program: str | None = None) -> Locker:
        """Make what locks conda environments; `program` is a solver to use in place of ours."""
        from recipes.conda import condarc
        from recipes.conda.condalock import Locker

        found, mirrors = condarc.read(self.environ), self.settings().mirrors
        return Locker(sys.executable, self.environ, found, mirrors, program=program)

    def realiser(
        self,
        only: str | None,
        *,
        offline: bool,
        jobs: int | None = None,
        keep_failed: bool = False,
        again: str | None = None,
        cache: Use = "none",
        variant: str | None = None,
        sandbox: str | None = None,
    ) -> Realiser:
        """Make what builds; `jobs` is how many compilers run at once, one a processor without it.

        With `keep_failed`, what a failed build leaves stays; `again` is the command that asks for that.
        `cache` says what builds do with what compilers kept of earlier ones, `sandbox` what isolates them.
        """
        from recipes.builder import Builder
        from recipes.realise import Realiser

        fetcher = self.fetcher(only, offline=offline)
        count = jobs or len(os.sched_getaffinity(0))
        table = self.project().breakages()
        builder = Builder(fetcher.store, self.report, self.environ, count, table, keep_failed, again)
        builder.cache = self._cache(cache, self.ccache(variant, fetcher) if cache != "none" else None)
        return Realiser(fetcher, builder, self.installer(offline=offline), self.sandbox(sandbox))

    def installer(self, *, offline: bool = False) -> Installer:
        """Make what installs conda packages."""
        from recipes.conda import condarc
        from recipes.conda.prefix import Installer

        chosen = self.settings()
        return Installer(
            self.store(),
            self.report,
            sys.executable,
            self.environ,
            condarc.read(self.environ),
            chosen.rewrite,
            chosen.timeout,
            offline,
        )

    def ccache(self, variant: str | None, fetcher: Fetcher) -> str | None:
        """Bring in the ccache of a variant's toolchain, which is no part of a build; give its store path."""
        from recipes.derivations import UnpackedWheel, path_name

        wheels = self.project().toolchain(variant).for_platform(system()) if variant else ()
        found = [UnpackedWheel(one) for one in wheels if one.project == toolchain.CCACHE]
        named = {path_name(one): one for one in found}
        try:
            fetcher.wheels(named)
        except FetchError as error:
            self.report.line(f"building without ccache: {error.message.splitlines()[0]}")
            return None
        return next(iter(named), None)

    def _cache(self, use: Use, ccache: str | None) -> CompilerCache | None:
        from recipes.compilercache import CompilerCache

        chosen = self.settings()
        if use == "none" or not chosen.cache_size:
            return None
        return CompilerCache(chosen.store / "cache", chosen.cache_size, self.report, use == "read", ccache)

    def plan(
        self,
        variant: str,
        target: str | None,
        platform: str | None,
        overrides: Sequence[str] = (),
        *,
        tools: str | None = None,
        sandbox: str | None = None,
    ) -> Plan:
        """Read specs and locks, look that they agree, and plan. Nothing reads them after this.

        `overrides` are words such as `fp16=master`; with them, the plan is not the lock's. `tools` is a
        kind of toolchain in place of the environment's, `sandbox` one in place of the user's setting.
        """
        from recipes import override, plan

        found = self.project()
        specs = found.specs(variant)
        locked, requirements = found.lock(variant), found.toolchain(variant)
        lockcheck.satisfied(specs, locked, requirements)
        changed = override.parse(overrides, specs, self.directory, self.environ.get("HOME"))
        if changed:
            locked = override.apply(specs, locked, changed, self.fetcher(), self.environ)
        wheels = requirements.for_platform(system())
        options = {name: specs.options(name, platform or system()) for name in specs.recipes}
        self._warn(found, breakages.pins(locked, {one.project: one.version for one in wheels}, options))
        on = _platform(specs, platform or system())
        kind = _kind(specs, tools)
        confined = self.sandbox(sandbox) != "none"
        planned = plan.plan(
            specs,
            locked,
            self._toolchain(kind, specs, wheels, on),
            target=_target(specs, target),
            platform=on,
            system=system(),
            sandbox="namespaces" if confined else "none",
        )
        unlocked = tuple(f"{name}={value}" for name, value in changed.items())
        instead = () if kind == specs.environment.toolchain else (kind,)
        return replace(planned, unlocked=unlocked, instead=instead if confined else (*instead, "unconfined"))

    def sandbox(self, asked: str | None = None) -> Choice:
        """Say how builds are isolated: as asked, else as the user's settings say."""
        if asked is None:
            return self.settings().sandbox
        look_up("sandbox", asked, settings.SANDBOXES)
        return cast("Choice", asked)

    def _toolchain(self, kind: toolchain.Kind, specs: Specs, wheels: Sequence[Wheel], on: str) -> Toolchain:
        from recipes import hosttools

        match kind:
            case "pypi":
                return toolchain.pypi(wheels, on, system())
            case "host":
                return toolchain.host(wheels, hosttools.find(self.environ), on, system())
            case "conda":
                from recipes.conda import prefix

                return toolchain.conda(self.conda(specs, system()), on, system(), prefix.installer())

    def conda(self, specs: Specs, platform: str) -> tuple[CondaPackage, ...]:
        """Give a variant's locked conda packages. Raises LockError, also where its spec asks for none."""
        locked = lockcheck.answered(specs, self.project())
        if locked is None:
            raise LockError(
                f"`{specs.variant}` has no conda environment: its spec has no `conda:`",
                hint="the same with `--toolchain pypi`",
            )
        return locked.for_platform(platform)

    def _warn(self, found: Project, pins: Mapping[str, Pin]) -> None:
        for warning in breakages.known_bad(found.breakages(), pins):
            self.report.warning(warning)


def system() -> str:
    """Name this machine's platform as conda does. Raises SandboxError where nothing can be built."""
    found = _SYSTEMS.get((sys.platform, platform.machine()))
    if found is None:
        machine = f"{sys.platform} on {platform.machine()}"
        raise SandboxError(f"nothing can be built on {machine}: Linux on x86-64 or aarch64 is needed")
    return found


def _kind(specs: Specs, asked: str | None) -> toolchain.Kind:
    if asked is not None:
        look_up("toolchain", asked, get_args(toolchain.Kind))
    return cast("toolchain.Kind", asked or specs.environment.toolchain)


def _target(specs: Specs, target: str | None) -> str:
    if target is not None:
        locked = [name for name in specs.recipes if specs.owner(name) in specs.environment.sources]
        look_up(f"component of `{specs.variant}`", target, locked)
    return target or specs.environment.target


def _platform(specs: Specs, platform: str) -> str:
    look_up(f"platform of `{specs.variant}`", platform, specs.environment.platforms)
    return platform


def look_up(what: str, name: str, known: Collection[str]) -> None:
    """Raise UsageError for a name that is not known."""
    if name not in known:
        raise UsageError(f"no {what} `{name}`{nearest(name, known)}", hint=f"there is {', '.join(known)}")
