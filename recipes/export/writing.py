"""Write a plan down as a script: what must be looked at for that, in the store."""

from __future__ import annotations

from recipes.export import installscript
from recipes.export.installscript import Trees
from recipes.export.listing import listing
from recipes.plan import Build, Plan, SourceTree
from recipes.realise import Realiser


def script(plan: Plan, realiser: Realiser) -> str:
    """Give the install script of a plan's target. Sources are fetched; nothing is built.

    Where the target is in the store, the script expects those very files in the end. Raises FetchError,
    IntegrityError, and UsageError for what no script can do.
    """
    store = realiser.store
    names = [name for name, one in plan.derivations.items() if isinstance(one, SourceTree)]
    with store.using():
        realiser.fetch(plan, names)
        sources = {name: listing(store.path(name)) for name in names}
        result = listing(store.path(plan.target)) if store.has(plan.target) else None
    return installscript.render(plan, Trees(sources, result))


def components(plan: Plan) -> set[str]:
    """Name the components that a plan builds."""
    return {one.component for one in plan.derivations.values() if isinstance(one, Build)}
