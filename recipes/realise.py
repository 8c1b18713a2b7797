"""Make a plan's store paths exist: there already, or fetched, or built in the sandbox and checked."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter

from recipes import compilercache, isolation
from recipes.builder import Builder
from recipes.conda.prefix import Installer
from recipes.derivations import CondaPrefix
from recipes.errors import BuildError
from recipes.evidence import record
from recipes.fetch import Fetcher, settle
from recipes.infos import Info
from recipes.isolation import Isolation
from recipes.plan import Build, Plan, SourceTree, UnpackedWheel
from recipes.report import Report
from recipes.settings import Choice
from recipes.store import Store


@dataclass
class Realiser:
    """What realising needs: what brings inputs in, what builds, and what is asked to isolate builds."""

    fetcher: Fetcher
    builder: Builder
    installer: Installer
    sandbox: Choice = "auto"

    @property
    def store(self) -> Store:
        """Give the store that all goes to."""
        return self.builder.store

    @property
    def report(self) -> Report:
        """Give the terminal."""
        return self.builder.report

    def realise(self, plan: Plan) -> Info:
        """Make the plan's target exist; give what the store knows of it.

        Raises FetchError, IntegrityError, SandboxError, BuildError.
        """
        with self.store.using(lambda: self.report.line("waiting for `recipes store gc`")):
            builds = self._missing_builds(plan)
            if builds:
                self.fetch(plan, sorted({need for name in builds for need in plan.inputs(name)}))
                self._build_all(plan, builds)
            record.missing(self.store, plan, plan.derivations)
            return self.store.info(plan.target)

    def fetch(self, plan: Plan, names: list[str]) -> None:
        """Bring the sources, wheels and conda packages among these store paths in."""
        nodes = {name: plan.derivations[name] for name in names}
        wheels = {name: one for name, one in nodes.items() if isinstance(one, UnpackedWheel)}
        sources = {name: one for name, one in nodes.items() if isinstance(one, SourceTree)}
        prefixes = {name: one for name, one in nodes.items() if isinstance(one, CondaPrefix)}
        with self.store.using(), ThreadPoolExecutor(3) as pool:
            all_of_them = [
                pool.submit(self.fetcher.wheels, wheels),
                pool.submit(self.fetcher.sources, sources),
                *(pool.submit(self.installer.add, *one) for one in prefixes.items()),
            ]
        settle(all_of_them)
        record.missing(self.store, plan, names)

    def _missing_builds(self, plan: Plan) -> list[str]:
        """Give the builds that the target needs and the store lacks."""
        found: list[str] = []
        queue = [plan.target]
        while queue:
            name = queue.pop()
            if name not in found and isinstance(plan.derivations[name], Build) and not self.store.has(name):
                found.append(name)
                queue += plan.inputs(name)
        return found

    def _build_all(self, plan: Plan, names: list[str]) -> None:
        confined = [name for name in names if getattr(plan.derivations[name], "sandbox", None) != "none"]
        chosen = self._isolation() if confined else isolation.NONE
        order = TopologicalSorter({name: set(plan.inputs(name)) & set(names) for name in names})
        order.prepare()
        running: dict[Future[None], str] = {}
        stop = threading.Event()
        with ThreadPoolExecutor(len(names)) as pool:
            try:
                while order.is_active():
                    for name in order.get_ready():
                        running[pool.submit(self._build, plan, name, chosen, stop)] = name
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        done.result()
                        order.done(running.pop(done))
            except BaseException:
                stop.set()  # the pool waits for the others
                raise

    def _isolation(self) -> Isolation:
        with self.store.scratch("probe") as place:
            return isolation.choose(self.builder.env, place, self.sandbox)

    def _build(self, plan: Plan, name: str, chosen: Isolation, stop: threading.Event) -> None:
        build = plan.derivations[name]
        assert isinstance(build, Build)  # noqa: S101 - for the type checker
        chosen = isolation.NONE if build.sandbox == "none" else chosen
        with self.store.lock(name, waiting=lambda: self.report.line(f"waiting for another build of {name}")):
            if self.store.has(name):
                return
            for one in plan.inputs(name):
                self.store.verify(one)
            with self.store.scratch(name, keep=(BuildError,) if self.builder.keep_failed else ()) as place:
                result = self.builder.build(place, build, chosen, self.store.log_path(name), stop)
                self.store.add(name, result, kind="build")
            layers = compilercache.used(self.store.log_path(name))
            record.record(self.store, plan, name, sandbox=chosen.name, layers=layers)
