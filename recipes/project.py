"""The checkout: finds its root, reads its YAML once, writes its locks. Nothing else touches it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from recipes import breakages, files, held, located, lock, requirements, speccheck
from recipes.breakages import Row
from recipes.conda import lockfile
from recipes.conda.lockfile import CondaLock
from recipes.errors import LockError, SpecError, UsageError, one_line
from recipes.evidence import trust
from recipes.located import Located, Place
from recipes.lock import Lock
from recipes.requirements import Requirements
from recipes.spec import Environment, Recipe, Specs, adapted

# `extends:` merges these key by key, that many levels deep: by source and field, by component and option
_MERGED = {"sources": 2, "options": 2, "outputs": 2, "inputs": 1, "development": 1}
_PROGRAMS = ("check", "script")  # the keys of a recipe that name a file beside it


@dataclass(frozen=True)
class Project:
    """A checkout with specs and locks; every path in a message is relative to `root`."""

    root: Path

    def variants(self) -> list[str]:
        """Name the variants: one file each in environments/."""
        # `.#NAME.yaml` is an editor's
        return sorted(path.stem for path in (self.root / "environments").glob("[!.]*.yaml"))

    def spec_file(self, variant: str) -> Path:
        """Give where a variant's environment is."""
        return self.root / "environments" / f"{variant}.yaml"

    def specs(self, variant: str) -> Specs:
        """Read and check a variant's environment and every recipe it names.

        Raises UsageError for a variant that does not exist, SpecError for anything wrong in a spec.
        """
        found = self._environment(variant)
        environment = located.check(found, Environment, SpecError)
        recipes = self.recipes()
        speccheck.named(found, environment, recipes)
        recipes = {name: adapted(name, recipe, environment) for name, recipe in recipes.items()}
        where = functools.partial(self._input, found, environment)
        speccheck.joined(found, environment, recipes, where)
        return Specs(variant, environment, recipes, self._files(recipes))

    def recipes(self) -> dict[str, Recipe]:
        """Read every component's recipe."""
        return {name: self._recipe(name) for name in self._components()}

    def _environment(self, variant: str) -> Located:
        """Read an environment, laid over all that it extends."""
        found, *over = reversed(self._chain(variant))
        for one in over:
            found = located.merge(_inherited(found), one, _MERGED)
        return found

    def _chain(self, variant: str) -> list[Located]:
        """Read an environment, the one that it extends, and so on to the end."""
        known = self.variants()
        if variant not in known:
            near = located.nearest(variant, known)
            raise UsageError(f"no variant `{variant}`{near}", hint="`recipes list` names them all")
        names, read = [variant], list[Located]()
        while True:
            found = self._read(self.spec_file(names[-1]))
            speccheck.file_name(found.file, names[-1])
            read.append(found)
            base = _base(found, names, known)
            if base is None:
                return read
            names.append(base)

    def _components(self) -> list[str]:
        return sorted(path.parent.name for path in (self.root / "recipes/components").glob("*/recipe.yaml"))

    def _input(self, found: Located, environment: Environment, user: str, needed: str) -> str:
        """Say where it is written that a component is built with another."""
        if needed in environment.inputs.get(user, ()):
            return f"{found.where(('inputs', user))}: inputs.{user}"
        return f"{self._recipe_file(user).where(('inputs',))}: inputs"

    def _recipe_file(self, name: str) -> Located:
        return self._read(self.root / "recipes/components" / name / "recipe.yaml")

    def _recipe(self, name: str) -> Recipe:
        found = self._recipe_file(name)
        speccheck.file_name(found.file, name)
        recipe = _as_recipe((self.root / found.file).read_bytes(), found.file)
        named: list[tuple[Place, str]] = [(("inputs", at), one) for at, one in enumerate(recipe.inputs)]
        named += [(("source_of",), recipe.source_of)] if recipe.source_of else []
        speccheck.components(found, named, self._components())
        for key in _PROGRAMS:
            program = getattr(recipe, key)
            if program and not (self.root / "recipes/components" / name / program).is_file():
                raise SpecError(f"{found.where((key,))}: {key}: no file `{program}` beside the recipe")
        return recipe

    def _files(self, recipes: dict[str, Recipe]) -> dict[str, bytes]:
        named = [
            f"{name}/{program}"
            for name, recipe in recipes.items()
            for program in (getattr(recipe, key) for key in _PROGRAMS)
            if program
        ]
        return {name: self._program(self.root / "recipes/components" / name) for name in named}

    def _program(self, path: Path) -> bytes:
        text = path.read_bytes()
        try:
            text.decode()
        except UnicodeDecodeError as wrong:
            line = text.count(b"\n", 0, wrong.start) + 1
            raise SpecError(f"{path.relative_to(self.root)}:{line}: not UTF-8") from wrong
        return text

    def _read(self, path: Path) -> Located:
        return _spec(path.read_bytes(), path.relative_to(self.root).as_posix())

    def breakages(self) -> tuple[Row, ...]:
        """Read the table of known breakages; none where there is no table. Raises SpecError."""
        path = self.root / "recipes/breakages.yaml"
        if not path.is_file():
            return ()
        return breakages.parse(path.read_bytes(), path.relative_to(self.root).as_posix())

    def trust(self) -> dict[str, str]:
        """Read the list of trusted keys, by name; none where there is no list. Raises SpecError."""
        path = self.root / trust.FILE
        return trust.parse(path.read_bytes(), trust.FILE) if path.is_file() else {}

    def lock_files(self, variant: str) -> tuple[Path, Path]:
        """Give where a variant's source lock and toolchain lock are."""
        locks = self.root / "locks"
        return locks / f"{variant}.lock.yaml", locks / f"{variant}.requirements.txt"

    def locks(self, variant: str) -> tuple[Path, ...]:
        """Give where all locks of a variant are, or would be."""
        return (*self.lock_files(variant), self.development_file(variant), self.conda_lock_file(variant))

    def lock(self, variant: str) -> Lock:
        """Read a variant's source lock. Raises LockError, also when there is none."""
        path, _ = self.lock_files(variant)
        return lock.parse(self._lock_bytes(path, variant), path.relative_to(self.root).as_posix())

    def toolchain(self, variant: str) -> Requirements:
        """Read a variant's toolchain lock. Raises LockError, also when there is none."""
        return self._wheels(self.lock_files(variant)[1], variant)

    def _wheels(self, path: Path, variant: str) -> Requirements:
        name = path.relative_to(self.root).as_posix()
        try:
            return requirements.parse(self._lock_bytes(path, variant).decode(), name)
        except UnicodeDecodeError as wrong:
            raise LockError(
                f"{name}: not UTF-8: byte {wrong.start}",
                hint=f"see what changed: `git log -p {name}`; lock again: `recipes lock`",
            ) from wrong

    def development_file(self, variant: str) -> Path:
        """Give where the lock of a variant's development packages is."""
        return self.root / "locks" / f"{variant}.development.txt"

    def development(self, variant: str) -> Requirements:
        """Read the lock of a variant's development packages. Raises LockError, also when there is none."""
        return self._wheels(self.development_file(variant), variant)

    def conda_lock_file(self, variant: str) -> Path:
        """Give where the lock of a variant's conda environment is."""
        return self.root / "locks" / f"{variant}.conda-lock.yml"

    def conda_lock(self, variant: str) -> CondaLock:
        """Read the lock of a variant's conda environment. Raises LockError, also when there is none."""
        path = self.conda_lock_file(variant)
        return lockfile.parse(self._lock_bytes(path, variant), path.relative_to(self.root).as_posix())

    def _lock_bytes(self, path: Path, variant: str) -> bytes:
        if not path.is_file():
            raise LockError(
                f"variant `{variant}` is not locked: there is no {path.relative_to(self.root)}",
                hint=f"`recipes lock --variant {variant}`",
            )
        return path.read_bytes()

    def link(self, name: str, path: Path) -> Path:
        """Make or move a link in the checkout's top directory; give it.

        Raises UsageError where something that is no link has its name.
        """
        link = self.root / name
        if link.exists() and not link.is_symlink():
            raise UsageError(f"{link} is in the way: it is no link", hint=f"`mv {link} {link}.old`")
        aside = self.root / f".{name}.new"
        while not link.is_symlink() or link.readlink() != path:
            # another build of the same, which ends at the same moment, makes and moves this one, too
            with suppress(FileExistsError, FileNotFoundError):
                aside.unlink(missing_ok=True)
                aside.symlink_to(path)
                aside.replace(link)
            self.root.stat()  # FileNotFoundError where the checkout itself is gone: no try would succeed
        return link

    def write(self, path: Path, text: str) -> bool:
        """Write a lock where it differs from what is there; say whether it did. Never half of it."""
        if path.is_file() and path.read_bytes() == text.encode():
            return False
        path.parent.mkdir(exist_ok=True)
        files.write_atomic(path, text.encode())
        return True


def _base(found: Located, names: Sequence[str], known: Sequence[str]) -> str | None:
    """Name what an environment extends, which is none of `names`, by which it was come to."""
    base = found.value.get("extends") if isinstance(found.value, dict) else None
    if not isinstance(base, str):
        return None
    where = found.where(("extends",))
    if base in names:
        raise SpecError(f"{where}: extends: `{base}` extends itself: {' → '.join((*names, base))}")
    if base not in known:
        near = located.nearest(base, known)
        raise SpecError(f"{where}: extends: no environment `{one_line(base)}`{near}")
    return base


def _inherited(base: Located) -> Located:
    """Leave out what a variant holds back: another one may well be built with it."""
    if not isinstance(base.value, dict):
        return base
    return replace(base, value={key: value for key, value in base.value.items() if key != held.KEY})


@functools.lru_cache(maxsize=256)  # every variant reads all recipes, and the bases of the one it extends
def _spec(text: bytes, file: str) -> Located:
    return located.read(text, file, SpecError)


@functools.lru_cache(maxsize=256)  # and each of them is checked for every variant
def _as_recipe(text: bytes, file: str) -> Recipe:
    return located.check(_spec(text, file), Recipe, SpecError)


def find(start: Path) -> Project:
    """Find the checkout that a directory lies in. Raises UsageError where there is none."""
    for place in (start, *start.parents):
        if (place / "environments").is_dir() and (place / "recipes/components").is_dir():
            return Project(place)
    raise UsageError(
        f"no project in {start} or above: no `environments/` with `recipes/components/` beside it",
        hint="go to a checkout, or name one with `--project DIR`",
    )
