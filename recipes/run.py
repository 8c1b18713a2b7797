"""One run of the program: its checkout, settings, store, and what fetches and builds, made when asked for."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from recipes import breakages, locking, override, plan, project, settings
from recipes.breakages import Pin
from recipes.builder import Builder
from recipes.debian import Debian
from recipes.errors import SandboxError, UsageError
from recipes.fetch import Fetcher
from recipes.git import Git
from recipes.located import nearest
from recipes.origins import KINDS, Kind
from recipes.plan import Plan
from recipes.project import Project
from recipes.pypi import Index
from recipes.realise import Realiser
from recipes.report import Report
from recipes.spec import Specs
from recipes.store import Store

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
        if only is not None:
            _known("kind of origin", only, KINDS)
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

    def realiser(
        self,
        only: str | None,
        *,
        offline: bool,
        jobs: int | None = None,
        keep_failed: bool = False,
        again: str | None = None,
    ) -> Realiser:
        """Make what builds; `jobs` is how many compilers run at once, one a processor without it.

        With `keep_failed`, what a failed build leaves stays; `again` is the command that asks for that.
        """
        fetcher = self.fetcher(only, offline=offline)
        count = jobs or len(os.sched_getaffinity(0))
        table = self.project().breakages()
        builder = Builder(fetcher.store, self.report, self.environ, count, table, keep_failed, again)
        return Realiser(fetcher, builder)

    def plan(
        self, variant: str, target: str | None, platform: str | None, overrides: Sequence[str] = ()
    ) -> Plan:
        """Read specs and locks, look that they agree, and plan. Nothing reads them after this.

        `overrides` are words such as `fp16=master`; with them, the plan is not the lock's.
        """
        found = self.project()
        specs = found.specs(variant)
        locked, toolchain = found.lock(variant), found.toolchain(variant)
        locking.satisfied(specs, locked, toolchain)
        changed = override.parse(overrides, specs, self.directory, self.environ.get("HOME"))
        if changed:
            locked = override.apply(specs, locked, changed, self.fetcher(), self.environ)
        wheels = toolchain.for_platform(system())
        options = {name: specs.options(name, platform or system()) for name in specs.recipes}
        self._warn(found, breakages.pins(locked, {one.project: one.version for one in wheels}, options))
        planned = plan.plan(
            specs,
            locked,
            wheels,
            target=_target(specs, target),
            platform=_platform(specs, platform or system()),
            system=system(),
        )
        return replace(planned, unlocked=tuple(f"{name}={value}" for name, value in changed.items()))

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


def _target(specs: Specs, target: str | None) -> str:
    if target is not None:
        locked = [name for name in specs.recipes if specs.owner(name) in specs.environment.sources]
        _known(f"component of `{specs.variant}`", target, locked)
    return target or specs.environment.target


def _platform(specs: Specs, platform: str) -> str:
    _known(f"platform of `{specs.variant}`", platform, specs.environment.platforms)
    return platform


def _known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UsageError(f"no {what} `{name}`{nearest(name, known)}", hint=f"there is {', '.join(known)}")
