"""Read hostile inputs with little memory and CPU time: `python limited.py PLACE`, for tests/test_hostile.py.

PLACE holds one directory for each case: `kind`, `name`, and `input`. What became of each is printed as a line
of JSON, so that those before a hang or a crash are known.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipes import archives, files, located, requirements
from recipes import lock as locks
from recipes.archives import Want
from recipes.errors import RecipesError, SpecError
from recipes.members import Limits
from recipes.tree import Filter
from recipes.treewriter import TreeWriter

MEMORY = 1 << 30  # bytes of address space; the interpreter with what it imports takes a quarter of it
CPU = 30  # seconds for all
LIMITS = Limits(unpacked=8 << 20, members=10_000)


def spec(place: Path, name: str) -> object:
    """Read YAML."""
    return located.read((place / "input").read_bytes(), name, SpecError).value


def lock(place: Path, name: str) -> object:
    """Read a lock of sources: how many there are."""
    return len(locks.parse((place / "input").read_bytes(), name).sources)


def wheels(place: Path, name: str) -> object:
    """Read a lock of a toolchain: how many wheels there are."""
    return len(requirements.parse((place / "input").read_bytes().decode(), name).wheels)


def archive(place: Path, name: str) -> object:
    """Unpack an archive: how many files and links were written; nothing is anywhere else."""
    root = place / "top" / "root"
    writer = TreeWriter(root, Filter(), name)
    try:
        archives.unpack(place / "input", name, [Want("", writer)], lambda *_: None, limits=LIMITS)
    finally:
        assert os.listdir(place / "top") == ["root"]  # noqa: PTH208
        assert sorted(one.name for one in place.iterdir()) == ["input", "kind", "name", "top"]
        files.remove(root)
    return writer.count


READERS: dict[str, Callable[[Path, str], object]] = {
    "spec": spec,
    "lock": lock,
    "wheels": wheels,
    "archive": archive,
}


def main(top: Path) -> None:
    """Read every case."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    for place in sorted(top.iterdir()):
        kind, name = (place / "kind").read_text(), (place / "name").read_text()
        try:
            outcome = READERS[kind](place, name)
        except RecipesError as error:
            outcome = f"{type(error).__name__}: {error.message}"
        except BaseException as error:  # noqa: BLE001 - what should not be is an outcome, too
            outcome = f"a traceback: {error!r}"
        sys.stdout.write(json.dumps([place.name, outcome]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
