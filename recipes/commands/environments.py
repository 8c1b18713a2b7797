"""Commands for development environments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recipes.commands.options import Json, Variant
from recipes.errors import RecipesError, UsageError

if TYPE_CHECKING:
    from recipes.develop.prefixes import Found
    from recipes.run import Run

app = typer.Typer(no_args_is_help=True, help="Make development environments from the locks.")
shells = typer.Typer()

At = Annotated[
    Path | None, typer.Option("--path", help="Its directory; .envs/VARIANT without.", metavar="DIR")
]
Toolchain = Annotated[
    str | None, typer.Option("--toolchain", help="Where its tools come from: pypi or conda.")
]
Checkout = Annotated[
    Path | None, typer.Option("--tvm", help="The checkout of TVM to work on.", metavar="DIR")
]


@app.command()
def create(ctx: typer.Context, variant: Variant, toolchain: Toolchain = None, path: At = None) -> None:
    """Make a variant's environment from its locks, every file by hash."""
    from recipes.develop import enter, prefixes

    run: Run = ctx.obj()
    prefix = enter.prefix_of(run, variant, path)
    used = enter.chosen(run, variant, prefix, toolchain)
    one = used.wanted(run, variant, prefix)
    if prefixes.read(prefix) is None:
        used.make(run, one)
    elif changes := used.changes(one):
        raise enter.outdated(run, variant, prefix, changes)
    else:
        run.report.line("nothing to do: it is there and up to date")
    run.report.result(str(prefix))


@app.command("list")
def list_environments(ctx: typer.Context, as_json: Json = False) -> None:
    """List the checkout's environments, and say which are out of date, and why."""
    from recipes.develop import prefixes

    run: Run = ctx.obj()
    rows = [_row(run, one) for one in prefixes.listed(run.project().root)]
    if as_json:
        run.report.result(json.dumps(rows, indent=2))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        lines = [f"{row['name']:<{width}}  {row['state']}  {row['path']}"]
        run.report.result("\n".join([*lines, *(f"  {change}" for change in row["changes"])]))


def _row(run: Run, one: Found) -> dict[str, Any]:
    from recipes.develop import enter

    changes: list[str] = []
    state: str = one.state
    if one.record is not None:
        try:
            used = enter.provider(one.record.toolchain)
            changes = list(used.changes(used.wanted(run, one.record.variant, one.prefix)))
        except RecipesError as error:  # its variant is gone, or not locked
            changes = error.message.splitlines()
        state = "out of date" if changes else "up to date"
    variant = one.record.variant if one.record else None
    return {"name": one.name, "variant": variant, "path": str(one.prefix), "state": state, "changes": changes}


@app.command()
def update(ctx: typer.Context, variant: Variant, path: At = None) -> None:
    """Make an environment anew where its locks have changed."""
    from recipes.develop import enter, prefixes

    run: Run = ctx.obj()
    prefix = enter.prefix_of(run, variant, path)
    made = prefixes.read(prefix)
    if made is None and prefixes.state(prefix) != "half made":
        raise UsageError(
            f"no environment in {prefix}",
            hint=f"make one: {enter.command(run, 'create', variant, prefix)}",
        )
    used = enter.chosen(run, variant, prefix)
    one = used.wanted(run, variant, prefix)
    changes = used.changes(one)
    for change in changes:
        run.report.line(f"  {change}")
    if changes:
        used.make(run, one)
    else:
        run.report.line("nothing to do: it is up to date")
    run.report.result(str(prefix))


@app.command()
def remove(ctx: typer.Context, variant: Variant, path: At = None) -> None:
    """Remove an environment; files of yours in it are not removed, but named."""
    from recipes.develop import enter, prefixes

    run: Run = ctx.obj()
    prefix = enter.prefix_of(run, variant, path)
    if prefixes.state(prefix) == "none":
        raise UsageError(f"no environment in {prefix}", hint="`recipes env list` names them all")
    prefixes.check_free(prefix)
    prefixes.remove(prefix)
    prefixes.unlink(run.project().root, prefix)
    run.report.line(f"removed {prefix}; what only it needed, `recipes store gc` removes")


@app.command()
def preset(
    ctx: typer.Context,
    variant: Variant,
    tvm: Checkout = None,
    path: At = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print it, write nothing.")] = False,
) -> None:
    """Write CMakeUserPresets.json in a checkout of TVM, for `cmake --preset VARIANT`."""
    from recipes.develop import enter, presets

    run: Run = ctx.obj()
    place = enter.checkout(run, tvm)
    if place is None and not only_print:
        raise UsageError("no checkout of TVM is named", hint="name one with `--tvm DIR`")
    _, one = enter.ready(run, variant, enter.prefix_of(run, variant, path))
    if only_print or place is None:
        run.report.result(presets.text(one.layout, str(one.prefix)).rstrip("\n"))
    elif enter.write_preset(one, place):
        run.report.result(f"{place / presets.FILE}: `cmake --preset {variant}`, then `ninja`")
    else:
        run.report.line(f"{place / presets.FILE} is up to date")


@app.command()
def export(
    ctx: typer.Context,
    variant: Variant,
    kind: Annotated[
        str,
        typer.Option("--format", help="requirements, direnv, devcontainer, environment.yml or explicit."),
    ],
    platform: Annotated[str | None, typer.Option("--platform", metavar="PLATFORM")] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", help="devcontainer: the base, by digest.", metavar="NAME@sha256:…"),
    ] = None,
    path: At = None,
) -> None:
    """Print a variant's environment in another program's format."""
    from recipes.develop import exporting

    run: Run = ctx.obj()
    run.report.result(
        exporting.export(run, exporting.Asked(variant, kind, platform, image, path)).rstrip("\n")
    )


@shells.command(context_settings={"ignore_unknown_options": True})
def shell(
    ctx: typer.Context,
    variant: Variant,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND]...", help="What to run; your shell without.")
    ] = None,
    tvm: Checkout = None,
    toolchain: Toolchain = None,
    path: At = None,
) -> None:
    """Enter a variant's environment, made where it is missing, or run a command in it."""
    from recipes import process
    from recipes.develop import activation, enter

    run: Run = ctx.obj()
    prefix = enter.prefix_of(run, variant, path)
    used, one = enter.ready(run, variant, prefix, toolchain)
    env = {**run.environ, **used.variables(run, one, enter.checkout(run, tvm), run.environ)}
    argv = list(command or [])
    if not argv:
        argv, more = activation.interactive(run.environ.get("SHELL") or "/bin/sh", str(prefix), run.environ)
        env |= {**more, "RECIPES_PATH": env["PATH"]}
    process.replace(argv, env)
