"""The `store` commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, Offline, PlatformName, Sandbox, Target, Toolchain, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recipes.repair import Outcome
    from recipes.run import Run
    from recipes.storecheck import Problem
    from recipes.storesize import Size

app = typer.Typer(no_args_is_help=True, help="Look at the store, check and repair it, free its space.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, only say what would be done.")]


@app.command("path")
def store_path(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
) -> None:
    """Print where a variant's build is, or would be."""
    run: Run = ctx.obj()
    planned = run.plan(variant, target, platform, tools=toolchain, sandbox=sandbox)
    run.report.result(str(run.store().path(planned.target)))


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
    problems = _checked(run)
    if as_json:
        rows = [{"path": one.name, "kind": one.kind, "problem": one.what} for one in problems]
        run.report.result(json.dumps(rows, indent=2))
    if problems and remove:
        left = storecheck.remove(run.store(), problems)
        run.report.line(f"removed {len(problems) - len(left)}; the next build brings back what it needs")
        problems = left
    elif not problems:
        run.report.line(f"{run.store().root} is clean")
    if problems:
        lines = [f"  {one.name}: {one.what}" for one in problems]
        raise IntegrityError(
            "\n".join([f"the store is damaged: {len(problems)} found", *lines]), hint="`recipes store repair`"
        )


@app.command("repair")
def store_repair(
    ctx: typer.Context, dry_run: DryRun = False, offline: Offline = False, as_json: Json = False
) -> None:
    """Check the store, and fetch or build what is damaged again; what no plan knows is taken out."""
    from recipes import repair

    run: Run = ctx.obj()
    problems = _checked(run)
    if not problems:
        run.report.line(f"{run.store().root} is clean")
    steps = repair.steps(problems, run) if problems else []
    for step in steps:
        run.report.line(f"{'would ' if dry_run else ''}{step.text()}")
    outcomes: list[Outcome] = [repair.Outcome(step) for step in steps]
    if steps and not dry_run:
        outcomes = list(repair.perform(steps, run.realiser(None, offline=offline)))
    if as_json:
        run.report.result(json.dumps([_row(one) for one in outcomes], indent=2))
    if error := repair.failure(outcomes):
        raise error
    if steps and not dry_run:
        run.report.line(f"repaired {len(steps)}")


def _checked(run: Run) -> Sequence[Problem]:
    from recipes import storecheck

    with run.report.task("checking the store", "things") as task:
        return storecheck.check(run.store(), task)


def _row(one: Outcome) -> dict[str, str | None]:
    return {
        "path": one.step.problem.name,
        "kind": one.step.problem.kind,
        "problem": one.step.problem.what,
        "repair": one.step.verb,
        "nar_hash": one.nar_hash,
        "error": one.error.message if one.error else None,
    }


@app.command("gc")
def store_gc(
    ctx: typer.Context,
    dry_run: DryRun = False,
    keep_last: Annotated[
        int, typer.Option("--keep-last", metavar="N", min=0, help="Keep the last N builds, too.")
    ] = 0,
    cache: Annotated[bool, typer.Option("--cache", help="Drop the compiler cache, too.")] = False,
    as_json: Json = False,
) -> None:
    """Remove everything that no result link, no development environment and no kept build needs."""
    from recipes import storegc

    run: Run = ctx.obj()
    removed = storegc.gc(run.store(), last=keep_last, cache=cache, dry_run=dry_run)
    for one in removed:
        run.report.detail(f"{one.name}  {one.bytes / 1e6:.1f} MB")
    by_part = storegc.by_part(removed)
    if as_json:
        rows = [{"path": one.name, "bytes": one.bytes} for one in removed]
        parts = {one.name: {"count": one.count, "bytes": one.bytes} for one in by_part}
        run.report.result(json.dumps({"removed": not dry_run, "parts": parts, "paths": rows}, indent=2))
        return
    for line in _table(by_part):
        run.report.line(line)
    total = sum(one.bytes for one in removed) / 1e6
    run.report.line(f"{'would free' if dry_run else 'freed'} {total:.1f} MB, {len(removed)} entries")


@app.command("size")
def store_size(
    ctx: typer.Context,
    count: Annotated[int, typer.Option("--entries", metavar="N", min=0, help="How many to list.")] = 10,
    as_json: Json = False,
) -> None:
    """Say what the parts of the store and its largest store paths take on the disk."""
    from recipes import storesize

    run: Run = ctx.obj()
    store = run.store()
    store.directory.check()
    parts, entries = storesize.parts(store), storesize.entries(store)[:count]
    if as_json:
        rows = {
            "parts": {one.name: {"count": one.count, "bytes": one.bytes} for one in parts},
            "paths": [{"path": one.name, "bytes": one.bytes} for one in entries],
        }
        run.report.result(json.dumps(rows, indent=2))
        return
    run.report.result("\n".join(_table([one for one in parts if one.count])))
    run.report.result(f"{sum(one.bytes for one in parts) / 1e6:>10.1f} MB  in all")
    if entries:
        run.report.result("\n".join(["", *(f"{one.bytes / 1e6:>10.1f} MB  {one.name}" for one in entries)]))


def _table(parts: Sequence[Size]) -> list[str]:
    return [f"{one.bytes / 1e6:>10.1f} MB  {one.name}  ({one.count})" for one in parts]
