"""The `store` commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, PlatformName, Target, Variant

if TYPE_CHECKING:
    from recipes.run import Run

app = typer.Typer(no_args_is_help=True, help="Look at the store, check it, free its space.")


@app.command("path")
def store_path(
    ctx: typer.Context, variant: Variant, target: Target = None, platform: PlatformName = None
) -> None:
    """Print where a variant's build is, or would be."""
    run: Run = ctx.obj()
    run.report.result(str(run.store().path(run.plan(variant, target, platform).target)))


@app.command("check")
def store_check(
    ctx: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Take what is damaged out.")] = False,
    as_json: Json = False,
) -> None:
    """Hash everything in the store again, and say what is not as it was added."""
    from recipes import storecheck
    from recipes.errors import IntegrityError

    run: Run = ctx.obj()
    store = run.store()
    with run.report.task("checking the store", "paths") as task:
        problems = storecheck.check(store, task)
    if as_json:
        rows = [{"path": one.name, "problem": one.what} for one in problems]
        run.report.result(json.dumps(rows, indent=2))
    if problems and remove:
        storecheck.remove(store, problems)
        run.report.line(f"removed {len(problems)} damaged entries; the next build brings them back")
    elif problems:
        lines = [f"  {one.name}: {one.what}" for one in problems]
        raise IntegrityError(
            "\n".join([f"the store is damaged: {len(problems)} found", *lines]),
            hint="`recipes store check --remove` takes them out; the next build brings them back",
        )
    else:
        run.report.line(f"{store.root} is clean")


@app.command("gc")
def store_gc(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, only say what.")] = False,
) -> None:
    """Remove everything that no result-VARIANT link needs."""
    from recipes import storegc

    run: Run = ctx.obj()
    removed = storegc.gc(run.store(), dry_run=dry_run)
    for one in removed:
        run.report.detail(f"{one.name}  {one.bytes / 1e6:.1f} MB")
    total = sum(one.bytes for one in removed) / 1e6
    run.report.line(f"{'would free' if dry_run else 'freed'} {total:.1f} MB, {len(removed)} entries")
