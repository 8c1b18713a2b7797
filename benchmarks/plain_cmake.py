"""Compare the CPU time of `recipes build` with that of plain cmake and ninja on the same inputs.

Prints a table; benchmarks/README.md says how to run it and what is counted.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.treewriter import copy_tree

ROOT = Path(__file__).resolve().parent.parent
RECIPES = Path(sys.executable).with_name("recipes")
MOST = 1.05  # the ratio that sandbox, hashing, check and adding may cost
READ_BY_THE_ENGINE = ("environments", "locks", "recipes/components")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
INSIDE = re.compile(r"(?<![\w./])/(toolchain|src|build|cache)\b")  # the sandbox's own directories

Env = Mapping[str, str]


@dataclass
class Round:
    """CPU seconds of one round."""

    fetch: float = 0.0
    recipes: float = 0.0
    plain: float = 0.0


@dataclass(frozen=True)
class Recipes:
    """`recipes` on a copy of the checkout, so that no `result-…` link of the checkout moves."""

    place: Path
    variant: str
    spent: Round = field(default_factory=Round)

    @property
    def store(self) -> Path:
        """The store of this round."""
        return self.place / "store"

    def copy_project(self) -> None:
        """Copy what the engine reads."""
        for part in READ_BY_THE_ENGINE:
            shutil.copytree(ROOT / part, self.place / "project" / part)

    def argv(self, command: str, *options: str) -> list[str]:
        """Give the argv of a command."""
        places = ("--store", str(self.store), "--project", str(self.place / "project"))
        return [str(RECIPES), "--quiet", *places, command, "--variant", self.variant, *options]

    def plan(self) -> dict[str, Any]:
        """Give the plan."""
        ended = subprocess.run(self.argv("plan", "--json"), check=True, stdout=subprocess.PIPE)
        plan: dict[str, Any] = json.loads(ended.stdout)
        return plan


def become_subreaper() -> None:
    """Adopt descendants whose parents end before them, so that their CPU time is counted here."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def cpu() -> float:
    """Give the user and system seconds of all children that were waited for, with their descendants."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def reap() -> None:
    """Wait for what was adopted."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def spent(argvs: Sequence[Sequence[str]], env: Env | None = None) -> float:
    """Run commands one after another; give the CPU seconds they took. Their output goes to a file."""
    before = cpu()
    for argv in argvs:
        with tempfile.TemporaryFile() as out:
            code = subprocess.run(argv, env=env, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
            if code:
                out.seek(0)
                sys.exit(f"{out.read().decode(errors='replace')}\n{argv[0]} ended with exit code {code}")
        reap()
    return cpu() - before


def lay_out(plan: Mapping[str, Any], store: Path, place: Path) -> tuple[list[list[str]], dict[str, str]]:
    """Lay the target's inputs out as the sandbox would, below a directory; give phases and environment."""
    build = next(one for one in plan["derivations"] if one["path"] == plan["target"])
    if build["inputs"]:
        sys.exit("only a variant whose target has no inputs can be compared")
    for below, name in sorted(build["sources"].items()):
        copy_tree(store / "paths" / name, place / "src" / below)
    for made in ("build", "cache", "toolchain/bin"):
        (place / made).mkdir(parents=True)
    for tool, name in build["tools"].items():
        (place / "toolchain" / tool).symlink_to(store / "paths" / name)
    for program, text in build["programs"].items():
        written = place / "toolchain/bin" / program
        written.write_text(moved(text, place))
        written.chmod(0o755)
    env = {name: moved(value, place) for name, value in build["env"].items()}
    return [[moved(word, place) for word in phase["argv"]] for phase in build["phases"]], env


def moved(text: str, place: Path) -> str:
    """Write a word of the plan for a build outside the sandbox."""
    text = text.replace("{jobs}", str(len(os.sched_getaffinity(0))))
    return INSIDE.sub(lambda found: f"{place}{found.group()}", text)


def measure(variant: str, *, recipes_first: bool) -> Round:
    """Do one round in a directory that is removed again."""
    with tempfile.TemporaryDirectory(prefix="recipes-benchmark-", ignore_cleanup_errors=True) as name:
        ours = Recipes(Path(name), variant)
        ours.copy_project()
        ours.spent.fetch = spent([ours.argv("fetch")])
        phases, env = lay_out(ours.plan(), ours.store, ours.place / "plain")
        for side in ("recipes", "plain") if recipes_first else ("plain", "recipes"):
            if side == "recipes":
                ours.spent.recipes = spent([ours.argv("build", "--offline", "--no-cache")])
            else:
                ours.spent.plain = spent(phases, env)
        subprocess.run(["chmod", "-R", "u+w", name], check=True)
        return ours.spent


def table(rounds: Sequence[Round]) -> str:
    """Write the figures for people."""
    rows = ["round   fetch  recipes build  plain cmake  ratio  with fetch"]
    named = [*((str(at), one) for at, one in enumerate(rounds, 1)), ("all", of(sum, rounds))]
    for name, one in [*named, ("least", of(min, rounds))]:
        ratio, whole = one.recipes / one.plain, (one.fetch + one.recipes) / one.plain
        rows.append(f"{name:<5}{one.fetch:8.1f}{one.recipes:15.1f}{one.plain:13.1f}{ratio:7.3f}{whole:12.3f}")
    return "\n".join(rows)


def of(choose: Callable[[Iterable[float]], float], rounds: Sequence[Round]) -> Round:
    """Give one round from all: their sum, or the least of each figure."""
    return Round(*(choose(getattr(one, key) for one in rounds) for key in ("fetch", "recipes", "plain")))


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("-n", "--rounds", type=int, default=1, metavar="N")
    asked.add_argument("--variant", default="no-nnpack")
    given = asked.parse_args()
    become_subreaper()
    rounds = [measure(given.variant, recipes_first=at % 2 == 0) for at in range(given.rounds)]
    print("CPU seconds, user and system, of all processes")
    print(table(rounds))
    least = of(min, rounds)
    ratio = least.recipes / least.plain
    print(f"ratio of the least {ratio:.3f}, at most {MOST} allowed: {'yes' if ratio <= MOST else 'NO'}")
    sys.exit(ratio > MOST)


if __name__ == "__main__":
    main()
