"""The command that finds the commit that breaks a build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, Target, Variant

if TYPE_CHECKING:
    from recipes.run import Run

app = typer.Typer()


@app.command()
def bisect(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="The source whose commits are searched.")],
    variant: Variant,
    target: Target = None,
    good: Annotated[
        str | None, typer.Option("--good", metavar="REV", help="A good commit; the locked one without.")
    ] = None,
    bad: Annotated[
        str | None, typer.Option("--bad", metavar="REV", help="A bad commit; the branch's head without.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--run", metavar="COMMAND", help="Judge by this shell command, once it is built."),
    ] = None,
    no_build: Annotated[
        bool, typer.Option("--no-build", help="With `--run`: judge the source alone.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Commits judged at once.")] = 1,
    repeat: Annotated[
        int | None,
        typer.Option("--repeat", min=1, help="Judge the ends so often; 2 with `--run`, else 1."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="N", help="At most N builds, or a time: `30m`, `2h`.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="LOG", help="Take what this log judged.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find the first commit of a source that breaks a variant.

    Each commit is judged by building the target with it, the rest as it is locked. A rerun goes on where
    this one ended. Exit code 1 where it could not be told down to one commit.
    """
    from recipes.bisect import make, verdict

    run: Run = ctx.obj()
    asked = make.Asked(
        source, variant, target, good, bad, command, not no_build, jobs, repeat, budget, replay
    )
    found = make.bisect(run, asked)
    run.report.result(json.dumps(verdict.document(found), indent=2) if as_json else verdict.text(found))
    if not found.settled:
        raise typer.Exit(1)
