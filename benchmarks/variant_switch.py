"""Compare the CPU time of a clean build with that of the same build after another variant was built.

Prints a table; benchmarks/README.md says how to run it and what is counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from plain_cmake import Recipes, become_subreaper, spent

from recipes.errors import StoreError
from recipes.store import Store
from recipes.treewriter import copy_tree

LIMIT = 0.15  # of a clean build


@dataclass(frozen=True)
class Built:
    """CPU seconds of one build, and the NAR hash of its result."""

    seconds: float
    nar_hash: str


def prepare(one: Recipes, seed: Path | None) -> None:
    """Bring all inputs into the store: from the seed what that has, the rest as `recipes fetch` does."""
    plan = one.plan()
    names = [row["path"] for row in plan["derivations"] if row["path"] != plan["target"]]
    for name in names if seed else ():
        copy(Store(Path(str(seed))), one.store, name)
    subprocess.run(one.argv("fetch"), check=True)


def copy(seed: Store, store: Path, name: str) -> None:
    """Copy an entry from store to store, if it is there; what it is is checked when it is used."""
    try:
        info = seed.info(name)
    except StoreError:
        return
    into = Store(store)
    with into.lock(name), into.scratch(name) as place:
        copy_tree(seed.path(name), place / "copy")
        into.add(name, place / "copy", kind=info.kind, origin=info.origin, expected=info.nar_hash)


def build(one: Recipes, *options: str) -> Built:
    """Build a variant whose inputs are there."""
    seconds = spent([one.argv("build", "--offline", *options)])
    said = subprocess.run(one.argv("build", "--offline", "--json"), check=True, stdout=subprocess.PIPE)
    return Built(seconds, json.loads(said.stdout)["nar_hash"])


def measure(place: Path, first: str, second: str, seed: Path | None) -> tuple[Built, Built, Built]:
    """Give the clean build of the second variant, the build of the first, and the second after it."""
    clean, before, after = (
        Recipes(place / "clean", second),
        Recipes(place / "switch", first),
        Recipes(place / "switch", second),
    )
    for one in (clean, before):
        one.copy_project()
    for one in (clean, before, after):
        prepare(one, seed)
    return build(clean, "--no-cache"), build(before), build(after)


def report(names: tuple[str, str], built: tuple[Built, Built, Built], store: Path) -> bool:
    """Print what was measured; say whether it is as promised."""
    clean, before, after = built
    ratio = after.seconds / clean.seconds
    size = sum(one.stat().st_size for one in (store / "cache").rglob("*.tar"))
    print("CPU seconds, user and system, of all processes")
    print(f"{names[1]}, clean, without cache   {clean.seconds:8.1f}  {clean.nar_hash}")
    print(f"{names[0]}, clean, fills the cache {before.seconds:8.1f}  {before.nar_hash}")
    print(f"{names[1]}, after it               {after.seconds:8.1f}  {after.nar_hash}")
    print(f"ratio {ratio:.3f}, at most {LIMIT} is promised; the cache has {size / 1e6:.1f} MB")
    if clean.nar_hash != after.nar_hash:
        print("the bytes differ")
    return clean.nar_hash == after.nar_hash and ratio <= LIMIT


def main() -> None:
    """Measure and print; exit code 1 where it is not as promised."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("--first", default="nnpack", metavar="VARIANT")
    asked.add_argument("--second", default="no-nnpack-v0.19", metavar="VARIANT")
    asked.add_argument("--seed", type=Path, metavar="STORE", help="take inputs from here where it has them")
    given = asked.parse_args()
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="recipes-benchmark-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        names = (given.first, given.second)
        good = report(names, measure(place, *names, given.seed), place / "switch/store")
        subprocess.run(["chmod", "-R", "u+w", name], check=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
