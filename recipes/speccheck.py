"""Rules that join an environment with the recipes it names: names, dates, what is held back, inputs, options.

Whatever is wrong is a SpecError with file, line and place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from recipes import held, located
from recipes.asking import asked_for
from recipes.errors import SpecError, one_line
from recipes.giturls import is_commit_id
from recipes.located import Located, Place
from recipes.origins import GitOrigin
from recipes.spec import NAME, Environment, Recipe, SourceChange, asked, unfilled


def file_name(file: str, text: str) -> None:
    """Look that a spec's file has a name that a variant or a component may have."""
    if not NAME.fullmatch(text):
        raise SpecError(f"{file}: `{text}` is not a name: lower-case letters and digits, joined by `-._`")


def named(found: Located, environment: Environment, recipes: Mapping[str, Recipe]) -> None:
    """Check what an environment says by itself, given the recipes as they are written."""
    _names(found, environment, recipes)
    _dates(found, environment, recipes)
    _toolchain(found, environment)
    _held(found, environment, recipes)


def joined(
    found: Located,
    environment: Environment,
    recipes: Mapping[str, Recipe],
    where: Callable[[str, str], str],
) -> None:
    """Check an environment with the recipes that it has adapted.

    `where` says where it is written that one component is built with another.
    """
    _cycles(recipes, where)
    _closure(found, environment, recipes)
    _options(found, environment, recipes)


def _toolchain(found: Located, environment: Environment) -> None:
    if environment.toolchain == "conda" and environment.conda is None:
        wrong = "`conda` builds with the packages of a `conda` block, and there is none"
        raise SpecError(f"{found.where(('toolchain',))}: toolchain: {wrong}")


def _names(found: Located, environment: Environment, recipes: Mapping[str, Recipe]) -> None:
    named: list[tuple[Place, str]] = [(("target",), environment.target)]
    named += [(("sources", name), name) for name in environment.sources]
    named += [(("options", name), name) for name in environment.options]
    named += [(("outputs", name), name) for name in environment.outputs]
    if environment.development:
        imports = enumerate(environment.development.imports)
        named += [(("development", "imports", at), name) for at, name in imports]
    for name, more in environment.inputs.items():
        named += [(("inputs", name), name), *((("inputs", name, at), one) for at, one in enumerate(more))]
    components(found, named, recipes)
    for name in environment.sources:
        if owner := recipes[name].source_of:
            where = found.where(("sources", name))
            raise SpecError(f"{where}: sources.{name}: it has the source of `{owner}`, and none of its own")


def _dates(found: Located, environment: Environment, recipes: Mapping[str, Recipe]) -> None:
    for name, change in environment.sources.items():
        base = recipes[name].source
        if base is None or change is None or change.before is None:
            continue
        source = asked(name, base, change)
        if source.ref and (is_commit_id(source.ref) or source.ref.startswith("refs/tags/")):
            wrong = f"only a branch has dates, and `ref` is `{source.ref}`"
        elif not any(isinstance(one, GitOrigin) for one in source.origins):
            wrong = "only a repository has dates, and the source has none among its origins"
        else:
            continue
        raise SpecError(f"{found.where(('sources', name, 'before'))}: sources.{name}.before: {wrong}")


def _held(found: Located, environment: Environment, recipes: Mapping[str, Recipe]) -> None:
    said: dict[Place, str | None] = {
        (held.KEY, "sources", name): _held_source(name, environment, recipes)
        for name in environment.held.sources
    }
    said |= {(held.KEY, "pypi", name): _held_package(name, environment) for name in environment.held.pypi}
    for place, wrong in said.items():
        if wrong is not None:
            raise SpecError(f"{found.where(place)}: {located.dotted(place)}: {wrong}")


def _held_source(name: str, environment: Environment, recipes: Mapping[str, Recipe]) -> str | None:
    known = environment.sources
    base = recipes[name].source if name in known else None
    if base is None:
        return f"no source `{one_line(name)}`{located.nearest(name, known)}"
    source = asked(name, base, known[name] or SourceChange())
    if source.ref is None or not any(isinstance(one, GitOrigin) for one in source.origins):
        return "it follows no branch: take it out of `held`"
    if is_commit_id(source.ref) or source.ref.startswith("refs/tags/"):
        return f"only a branch is held back, and `ref` is `{source.ref}`: take it out of `held`"
    return None


def _held_package(name: str, environment: Environment) -> str | None:
    wanted = {held.project(text): text for text in environment.pypi}
    if name not in wanted:
        return f"`pypi` does not ask for `{one_line(name)}`{located.nearest(name, wanted)}"
    version = environment.held.pypi[name].version
    for text in environment.pypi:
        if held.project(text) == name and not asked_for(text).specifier.contains(version, prereleases=True):
            return f"`pypi` asks for `{text}`, which {version} is not: take it out of `held`"
    return None


def components(found: Located, named: Iterable[tuple[Place, str]], known: Collection[str]) -> None:
    """Look that there is a component for each name, wherever it stands."""
    for place, name in named:
        if name not in known:
            near = located.nearest(name, known)
            raise SpecError(
                f"{found.where(place)}: {located.dotted(place)}: no component `{one_line(name)}`{near}"
            )


def _closure(found: Located, environment: Environment, recipes: Mapping[str, Recipe]) -> None:
    where, known = found.where(("sources",)), environment.sources
    if environment.target not in known:
        near = located.nearest(environment.target, known)
        raise SpecError(
            f"{found.where(('target',))}: target: `{environment.target}` is not among the sources{near}"
        )
    users = {name: name for name in known}
    queue = list(known)
    for name in queue:  # grows while it is read: all that is reachable, each once
        owner = recipes[name].source_of or name
        if owner not in known:
            raise SpecError(f"{where}: sources: `{owner}` is missing, and `{users[name]}` is built with it")
        new = [needed for needed in recipes[name].inputs if needed not in users]
        users |= dict.fromkeys(new, name)
        queue += new


def _options(found: Located, environment: Environment, recipes: Mapping[str, Recipe]) -> None:
    for component, options in environment.options.items():
        for name, value in options.items():
            place = ("options", component, name)
            if recipes[component].script:
                wrong: str | None = f"`{component}` is built by a script, not by CMake"
            elif recipes[component].cmake is None:
                wrong = f"nothing is built of `{component}`"
            else:
                wrong = unfilled(value, recipes[component].inputs)
            if wrong:
                raise SpecError(f"{found.where(place)}: {located.dotted(place)}: {wrong}")


def _cycles(recipes: Mapping[str, Recipe], where: Callable[[str, str], str]) -> None:
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            cycle = (*above[above.index(name) :], name)
            chain = " → ".join(cycle)
            raise SpecError(f"{where(*cycle[:2])}: a component is built with itself: {chain}")
        if name not in done:
            for one in recipes[name].inputs:
                visit(one, (*above, name))
            done.add(name)

    for name in recipes:
        visit(name, ())
