"""The `refresh` command, for the workflow that keeps locks honest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, variants
from recipes.errors import BuildError, UsageError

if TYPE_CHECKING:
    from recipes.run import Run

app = typer.Typer()

CHANGED = 11  # the exit code where something changed, and all that was to be built was


@app.command()
def refresh(
    ctx: typer.Context,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", "-V", help="A variant to resolve; all without.", autocompletion=variants),
    ] = None,
    build: Annotated[
        list[str] | None,
        typer.Option("--build", help="A variant to build and check, where its locks changed."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write no lock and build nothing, only say what differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Resolve everything anew, write the locks that differ, and print that as Markdown.

    Exit code 0 when nothing changed, 11 when something did, 9 when it did and a build with it failed.
    """
    from recipes import refresh
    from recipes.located import nearest

    run: Run = ctx.obj()
    known = run.project().variants()
    for name in build or ():
        if name not in known:
            raise UsageError(
                f"no variant `{name}`{nearest(name, known)}", hint="`recipes list` names them all"
            )
    chosen = variant or known
    changed = refresh.refresh(run, chosen, run.fetcher(), write=not dry_run)
    moved = {one.variant for one in changed}
    built = refresh.build(run, [] if dry_run else [one for one in build or () if one in moved])
    if as_json:
        run.report.result(json.dumps(refresh.document(changed, built), indent=2))
    elif changed:
        run.report.result(refresh.markdown(changed, built))
    else:
        run.report.line("nothing has moved: the locks are what they would be")
    failed = [one.variant for one in built if one.error is not None]
    if failed:
        raise BuildError(
            f"the locks are refreshed, and not all builds with them pass: {', '.join(failed)}",
            hint=f"`recipes build --variant {failed[0]}`",
        )
    if changed:
        raise typer.Exit(CHANGED)
