"""The command that looks at the machine."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json
from recipes.errors import RecipesError, SandboxError

if TYPE_CHECKING:
    from recipes.doctor import Finding
    from recipes.project import Project
    from recipes.run import Run

app = typer.Typer()


@app.command()
def doctor(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no origin.")] = False,
    as_json: Json = False,
) -> None:
    """Say what this machine can do, and how to get the rest. Exit code 8 where it cannot build."""
    from recipes import doctor as examination

    run: Run = ctx.obj()
    fetcher = None if offline else run.fetcher()
    found = examination.examine(run.environ, run.settings(), fetcher, None if offline else _project(run))
    able = examination.can_build(found)
    if as_json:
        rows = [dataclasses.asdict(one) for one in found]
        run.report.result(json.dumps({"can_build": able, "parts": rows}, indent=2))
    else:
        run.report.result("\n".join(_rows(found)))
    if not able:
        lacking = sorted(one.part for one in found if one.needed and one.state != "works")
        raise SandboxError(
            f"this machine cannot build in a sandbox: {', '.join(lacking) or 'no sandbox works'}",
            hint="`recipes build --sandbox=none` builds without one",
        )


def _project(run: Run) -> Project | None:
    try:
        return run.project()
    except RecipesError:
        return None  # it may be run outside a checkout


def _rows(found: list[Finding]) -> list[str]:
    width = max(len(one.part) for one in found)
    rows = []
    for one in found:
        rows.append(f"{one.state:<8} {one.part:<{width}}  {one.says.splitlines()[0]}")
        if one.hint and one.state != "works":
            rows.append(f"{'':<8} {'':<{width}}  {one.hint}")
    return rows
