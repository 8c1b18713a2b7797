"""The `refresh` command, for the workflow that keeps locks honest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, variants
from recipes.errors import BuildError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recipes.holdback.outcome import Refreshed
    from recipes.run import Run

app = typer.Typer()

CHANGED = 11  # the exit code where something changed, and all that was to be built was
DAYS = 14  # until what broke is tried again


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
    hold_back: Annotated[
        bool,
        typer.Option("--hold-back", help="Take each input only as far as the variant builds with it."),
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(help="With --hold-back: as many builds at most, or as long: `8`, `90m`, `2h`."),
    ] = None,
    retry_after: Annotated[
        int | None,
        typer.Option(
            min=0, max=3650, help="With --hold-back: days until what broke is tried again, 14 without."
        ),
    ] = None,
    early: Annotated[
        bool, typer.Option("--early", help="With --hold-back: try again before that day, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Resolve everything anew, write the locks that differ, and print that as Markdown.

    Exit code 0 when nothing changed, 11 when something did, 9 when a build failed: one that `--build` asks
    for, or with `--hold-back` what is locked and what is new alike.
    """
    run: Run = ctx.obj()
    chosen = _known(run, variant) or run.project().variants()
    if hold_back:
        if build or dry_run:
            raise UsageError("`--hold-back` builds what it writes: no `--build` or `--dry-run` with it")
        days = DAYS if retry_after is None else retry_after
        _hold_back(run, chosen, (budget, days, early), as_json=as_json)
    else:
        if budget is not None or early or retry_after is not None:
            raise UsageError("`--budget`, `--early` and `--retry-after` go with `--hold-back`")
        _refresh(run, chosen, _known(run, build), write=not dry_run, as_json=as_json)


def _known(run: Run, names: list[str] | None) -> list[str]:
    from recipes.located import nearest

    known = run.project().variants()
    for name in names or ():
        if name not in known:
            raise UsageError(
                f"no variant `{name}`{nearest(name, known)}", hint="`recipes list` names them all"
            )
    return list(dict.fromkeys(names or ()))


def _refresh(run: Run, chosen: list[str], build: list[str], *, write: bool, as_json: bool) -> None:
    from recipes import refresh

    changed = refresh.refresh(run, chosen, run.fetcher(), write=write)
    moved = {one.variant for one in changed}
    built = refresh.build(run, [one for one in build if write and one in moved])
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


def _hold_back(run: Run, chosen: list[str], asked: tuple[str | None, int, bool], *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from recipes.bisect.budget import Budget
    from recipes.holdback import make
    from recipes.holdback.search import Terms

    budget, days, early = asked
    terms = Terms(Budget(budget), datetime.now(UTC).date(), days, early)
    done: list[Refreshed] = []
    try:
        done.extend(make.hold_back(run, chosen, run.fetcher(), terms))
    finally:  # what is written is told, whatever ends the rest
        _tell(run, done, as_json=as_json)
    failed = [one.outcome.variant for one in done if one.outcome.error is not None]
    if failed:
        raise BuildError(
            f"not settled, and left as it was: {', '.join(failed)}",
            hint=f"`recipes build --variant {failed[0]}`",
        )
    if any(one.wrote for one in done):
        raise typer.Exit(CHANGED)


def _tell(run: Run, done: Sequence[Refreshed], *, as_json: bool) -> None:
    from recipes.holdback import telling

    if as_json:
        run.report.result(json.dumps(telling.document(done), indent=2))
    elif any(map(telling.worth, done)):
        run.report.result(telling.markdown(done))
    elif done:
        run.report.line("nothing has moved: the locks are what they would be")
