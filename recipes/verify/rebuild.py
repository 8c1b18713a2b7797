"""Verify store paths: hash what was fetched again, build what was built again elsewhere, and compare."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from recipes import files, isolation, process
from recipes.derivations import Build, Derivation
from recipes.errors import SandboxError, ToolchainError
from recipes.fetch import settle
from recipes.isolation import Isolation
from recipes.plan import Plan
from recipes.realise import Realiser
from recipes.report import Report
from recipes.store import Store
from recipes.verify import again, differences, keep, world
from recipes.verify.causes import World
from recipes.verify.outcome import Outcome
from recipes.verify.world import DIRECTORY, Another

_AT_ONCE = 2  # second builds: each has nearly all processors, and waits for little else


@dataclass(frozen=True)
class Verifier:
    """What verifying needs: what makes a plan's store paths exist, and where outputs are kept.

    `root` is the checkout. With `keep_same`, outputs are kept that do not differ, too.
    """

    realiser: Realiser
    root: Path
    keep_same: bool = False

    @property
    def store(self) -> Store:
        """Give the store."""
        return self.realiser.store

    @property
    def report(self) -> Report:
        """Give the terminal."""
        return self.realiser.report

    def verify(self, plan: Plan, names: Sequence[str]) -> list[Outcome]:
        """Verify these builds of a plan, and all that they need directly; give how each came out, in order.

        What is missing is fetched and built first. Raises what that does, IntegrityError for an input that is
        not what was added, and BuildError where the second build fails.
        """
        with self.store.using(lambda: self.report.line("waiting for `recipes store gc`")):
            self._realise(plan, names)
            needed = sorted({need for name in names for need in plan.inputs(name)})
            hashed = self._hashed(needed)
            elsewhere = self._another(_is_confined(plan.derivations[names[0]]))
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                running = [pool.submit(self._again, plan, name, elsewhere) for name in names]
            settle(running)
            kept_apart = [hashed[name] for name in needed if not isinstance(plan.derivations[name], Build)]
            return [*kept_apart, *(one.result() for one in running)]

    def _realise(self, plan: Plan, names: Sequence[str]) -> None:
        """Make what is built, and all that building it needs, exist."""
        needed = {need for name in names for need in plan.inputs(name)}
        self.realiser.fetch(plan, sorted(needed & {*plan.fetched()}))
        for name in (one for one in plan.derivations if one in needed or one in names):
            if isinstance(plan.derivations[name], Build) and not self.store.has(name):
                self.realiser.realise(replace(plan, target=name))

    def _hashed(self, names: Sequence[str]) -> Mapping[str, Outcome]:
        """Hash store paths again."""
        found = {}
        with self.report.task("hashing what is built from", "paths") as task:
            for done, name in enumerate(names):
                task(done, len(names))
                self.store.verify(name)
                info = self.store.info(name)
                found[name] = Outcome(name, info.kind, info.nar_hash, info.nar_hash)
        return found

    def _another(self, confined: bool) -> Another:
        env = self.realiser.builder.env
        processors, jobs = world.processors(tuple(os.sched_getaffinity(0)))
        with self.store.scratch("probe") as place:
            changed = world.environment(env, str(place), again.module_path())
            if confined:
                usual = isolation.choose(env, place, self.realiser.sandbox)
                prefix, chosen = _elsewhere(usual, changed, place)
            else:
                usual, prefix, chosen = isolation.NONE, (), isolation.NONE
        made = Another(prefix, chosen.name, changed, processors, jobs)
        self.report.line(made.told(usual.name))
        return made

    def _again(self, plan: Plan, name: str, elsewhere: Another) -> Outcome:
        build = plan.derivations[name]
        assert isinstance(build, Build)  # noqa: S101 - for the type checker
        with self.store.scratch(name) as scratch:
            place, home, log = scratch / DIRECTORY, scratch / "home", scratch / "log"
            place.mkdir()
            home.mkdir()
            here = replace(elsewhere, env={**elsewhere.env, "HOME": str(home), "TMPDIR": str(home)})
            job = again.job(build, place, log, here)
            began = time.time()
            command = again.argv(self.store.root, self.root)
            result = again.start(job, here, command, scratch, self.report)
            worlds = self._worlds(name, elsewhere, scratch, began)
            return self._compared(plan, name, result, log, worlds)

    def _worlds(self, name: str, elsewhere: Another, scratch: Path, began: float) -> tuple[World, World]:
        """Give what is known of both builds; of the first, only what its log and this machine tell."""
        log = self.store.log_path(name)
        ended = log.stat().st_mtime if log.is_file() else None
        count = len(os.sched_getaffinity(0))
        first = World((str(self.store.root),), (), count, self.realiser.builder.jobs, ended=ended)
        names = (world.HOST, world.USER) if elsewhere.prefix else (world.USER,)
        second = World((str(scratch),), names, len(elsewhere.processors), elsewhere.jobs, began, time.time())
        return first, second

    def _compared(
        self, plan: Plan, name: str, result: Path, log: Path, worlds: tuple[World, World]
    ) -> Outcome:
        info, second = self.store.info(name), files.tree_hash(result)[0]
        took = (worlds[1].ended or 0) - (worlds[1].began or 0)
        outcome = Outcome(name, "build", info.nar_hash, second, took)
        self.store.verify(name)  # what its info says is what it has
        if not outcome.same:
            sides = files.read_tree(self.store.path(name)), files.read_tree(result)
            outcome = replace(outcome, differences=tuple(differences.compare(*sides, worlds)))
        if outcome.same and not self.keep_same:
            return outcome
        kept = keep.Kept(self.root / f"verify-{plan.variant}", self.realiser.builder.env, self.report)
        return replace(outcome, kept=str(kept.keep(outcome, self.store.path(name), result, log)))


def _is_confined(build: Derivation) -> bool:
    """Say whether a build is isolated: all of a plan are, or none."""
    return isinstance(build, Build) and build.sandbox != "none"


def _elsewhere(usual: Isolation, env: Mapping[str, str], place: Path) -> tuple[tuple[str, ...], Isolation]:
    """Choose a sandbox, another than the usual one where that works, and whether to be someone else."""
    others = sorted(isolation.ways(), key=lambda one: one.name == usual.name)
    for chosen in others:
        for prefix in (world.someone(), ()):
            if _works(prefix, chosen, env, place):
                return prefix, chosen
    raise SandboxError("no sandbox works in another environment than this one", hint="`recipes doctor`")


def _works(prefix: tuple[str, ...], chosen: Isolation, env: Mapping[str, str], place: Path) -> bool:
    """Try a sandbox from where the second build will start it, and that Python runs there."""
    there = Isolation(chosen.name, lambda box, argv, root: [*prefix, *chosen.enter(box, argv, root)])
    python = [*prefix, sys.executable, "-P", "-c", "import recipes"]
    try:
        runs = process.run(python, env=env, timeout=60).code == 0
    except (ToolchainError, process.Timeout):
        return False
    return runs and isolation.refusal(there, env, place) is None
