"""The command that says how well what builds are made from is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands import options
from recipes.commands.options import Json, Output, variants
from recipes.errors import UsageError, VerifyError

if TYPE_CHECKING:
    from recipes.run import Run

app = typer.Typer()


@app.command()
def health(
    ctx: typer.Context,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", "-V", help="A variant to look at; all without.", autocompletion=variants),
    ] = None,
    heads: Annotated[
        bool, typer.Option("--try", help="Build with each source's head in place of the locked commit.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="N", help="With --try: at most N builds, or a time: `30m`, `2h`.")
    ] = None,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write a page that needs nothing beside it.")] = False,
    output: Output = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where earlier days are kept, or `none`; `.health/` without."),
    ] = None,
    fail_below: Annotated[
        str | None, typer.Option(metavar="GRADE", help="Exit code 10 where a variant is worse: A to D.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Say what costs a grade, and do no more.")] = False,
) -> None:
    """Tell the age, origins and prospects of everything that variants have locked, with a grade."""
    from datetime import UTC, datetime

    from recipes.bisect.budget import Budget
    from recipes.health import grade, make, model, page, telling
    from recipes.health import history as kept
    from recipes.run import look_up

    run: Run = ctx.obj()
    if rules:
        run.report.result(telling.rules())
        return
    if sum((as_json, markdown, html)) > 1:
        raise UsageError("one of `--json`, `--markdown` and `--html`")
    if budget is not None and not heads:
        raise UsageError("`--budget` goes with `--try`")
    if fail_below is not None:
        look_up("grade", fail_below, model.GRADES)
    known = run.project().variants()
    for name in variant or ():
        look_up("variant", name, known)
    place = None if history == "none" else run.directory / (history or run.project().root / kept.PLACE)
    wanted = make.Wanted(
        list(dict.fromkeys(variant or known)),
        datetime.now(UTC).date(),
        Budget(budget) if heads else None,
        place,
    )
    found = make.health(run, wanted)
    if as_json:
        text = json.dumps(model.document(found), indent=2)
    elif html:
        text = page.html(model.document(found), grade.rules())
    else:
        text = telling.markdown(found) if markdown else telling.text(found)
    if output is None:
        run.report.result(text)
    else:
        options.write(run.directory / output, f"{text.rstrip()}\n".encode())
    worse = [one.name for one in found.variants if fail_below is not None and one.grade > fail_below]
    if worse:
        raise VerifyError(
            f"below grade {fail_below}: {', '.join(worse)}", hint="`recipes health --rules` says why"
        )
