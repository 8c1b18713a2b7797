"""Commands that write locks and compare them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, variants
from recipes.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from recipes.run import Run

app = typer.Typer()


@app.command()
def lock(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="Sources, `toolchain`, `development` or `conda`; all without."
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option("--variant", "-V", help="One variant; all without.", autocompletion=variants),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the locks answer the specs.")
    ] = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="Lock branches as of a date, in another file.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="The file to write with `--at`.")] = None,
    update: Annotated[
        list[str] | None,
        typer.Option("--update", metavar="PACKAGE", help="Move this conda package, and nothing else."),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option("--solver", metavar="PROGRAM", help="Solve with this conda, mamba or micromamba."),
    ] = None,
) -> None:
    """Freeze everything that floats into locks/.

    With `--at DATE` each branch is taken as it was then (a day: at its end in UTC). That lock does not answer
    the specs: it is written to `--output`, else to locks/VARIANT@MOMENT.lock.yaml, for `recipes diff`, and
    the variant's own locks stay as they are.
    """
    run: Run = ctx.obj()
    if check and names:
        raise UsageError("`--check` looks at whole locks, and takes no sources")
    if (at is not None and (check or names)) or (output and at is None):
        raise UsageError("`--at` takes neither `--check` nor sources, and `--output` goes with `--at`")
    if update and (names or check or at is not None):
        raise UsageError("`--update` moves conda packages, and takes neither sources nor other modes")
    project = run.project()
    chosen = [variant] if variant else project.variants()
    if check:
        from recipes import lockcheck

        lockcheck.check(project, chosen, run.report)
        return
    from recipes import locking
    from recipes.conda import locking as conda

    if update:
        conda.Environments(project, run.locker(solver), run.report).move(chosen, update)
    elif at is not None:
        target = run.directory / output if output else None
        locking.lock_at(project, chosen, _date(at), target, run.fetcher())
    else:
        locker = run.locker(solver) if not names or locking.CONDA in names else None
        locking.lock(project, chosen, names or [], run.fetcher(), locker)


def _date(text: str) -> datetime:
    from recipes import dates

    try:
        return dates.moment_or_day(text)
    except ValueError as wrong:
        raise UsageError(f"`--at {text}`: {wrong}") from wrong


@app.command("diff")
def diff_locks(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(help="A lock file, a variant, or with `--variant` a git revision.")],
    new: Annotated[
        str | None, typer.Argument(help="The same; with `--variant`, its lock as it is now without this.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option("--variant", "-V", help="Compare revisions of its lock.", autocompletion=variants),
    ] = None,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Say what differs between two locks: sources by the commits between, packages by version.

    OLD and NEW are two lock files, two variants, or two git revisions of one lock: `recipes diff --variant
    nnpack HEAD~1 HEAD`, or `recipes diff HEAD~1:nnpack HEAD:nnpack`.
    """
    from recipes import compare, diff

    run: Run = ctx.obj()
    if as_json and as_markdown:
        raise UsageError("`--json` and `--markdown` exclude each other")
    sides = compare.Sides(run.project(), run.directory, run.environ)
    if new is None and variant is None:
        raise UsageError(
            "`recipes diff` compares two", hint="`recipes diff OLD NEW`, `recipes diff -V NAME HEAD`"
        )
    before = sides.find(old, variant)
    after = sides.find(new, variant) if new is not None else sides.variant(variant or "")
    asks = diff.moves(before.lock, after.lock)  # only then repositories in the store are read, or made
    with run.store().using() if asks else nullcontext():
        found = compare.difference(before, after, run.fetcher().git, run.report)
    if as_json:
        run.report.result(json.dumps(diff.document(found), indent=2))
    elif found == diff.Difference():
        run.report.line("no difference")
    else:
        run.report.result(diff.markdown(found) if as_markdown else diff.text(found))
