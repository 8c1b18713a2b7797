"""Commands that read specs and change nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, variants
from recipes.errors import UsageError

if TYPE_CHECKING:
    from recipes.lock import Lock
    from recipes.project import Project
    from recipes.run import Run

app = typer.Typer()


@app.command("list")
def list_variants(ctx: typer.Context, as_json: Json = False) -> None:
    """List the variants."""
    run: Run = ctx.obj()
    project = run.project()
    found = {name: project.specs(name).environment for name in project.variants()}
    if as_json:
        rows = [
            {"variant": name, "target": one.target, "summary": one.summary, "held": list(one.held.names)}
            for name, one in found.items()
        ]
        run.report.result(json.dumps(rows, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, one in found.items():
        back = f" (held back: {', '.join(one.held.names)})" if one.held.names else ""
        run.report.result(f"{name:<{width}}  {one.summary}{back}")


@app.command()
def show(
    ctx: typer.Context,
    variant: Annotated[str, typer.Argument(autocompletion=variants)],
    as_json: Json = False,
) -> None:
    """Show what a variant is made of."""
    from recipes import show

    run: Run = ctx.obj()
    project = run.project()
    specs = project.specs(variant)
    locked = _lock_or_none(project, variant)
    if as_json:
        run.report.result(json.dumps(show.document(specs, locked), indent=2))
    else:
        run.report.result(show.text(specs, locked))


@app.command()
def schema(ctx: typer.Context, kind: Annotated[str, typer.Argument(help="environment or recipe")]) -> None:
    """Print the JSON Schema of a kind of spec, for editors."""
    from recipes.located import json_schema, nearest
    from recipes.spec import SPECS

    run: Run = ctx.obj()
    if kind not in SPECS:
        raise UsageError(f"no kind of spec `{kind}`{nearest(kind, SPECS)}: one of {', '.join(SPECS)}")
    run.report.result(json.dumps(json_schema(SPECS[kind]), indent=2))


def _lock_or_none(project: Project, variant: str) -> Lock | None:
    lock, _ = project.lock_files(variant)
    return project.lock(variant) if lock.is_file() else None
