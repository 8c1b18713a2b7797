"""Commands that verify what was built: by building it again elsewhere, or against what others published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Json, PlatformName, Sandbox, Target, Toolchain, Variant
from recipes.errors import UsageError

if TYPE_CHECKING:
    from recipes.plan import Plan
    from recipes.realise import Realiser
    from recipes.run import Run
    from recipes.verify.published import Published

app = typer.Typer()


@app.command()
def verify(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    every: Annotated[
        bool, typer.Option("--all", help="Verify all that the target is built with, too.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(help="Compare with a published hash or provenance instead.", metavar="HASH|FILE|URL"),
    ] = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep both outputs where they are the same, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build again in a differing world and compare to the byte; exit code 10 where the bytes differ."""
    run: Run = ctx.obj()
    if against is not None and (every or keep):
        raise UsageError("`--against` compares one result, and builds nothing again: no `--all`, no `--keep`")
    planned = run.plan(variant, target, platform, tools=toolchain, sandbox=sandbox)
    realiser = run.realiser(None, offline=False, sandbox=sandbox)
    if against is not None:
        _against(run, realiser, planned, against, as_json=as_json)
        return
    _again(run, realiser, planned, every=every, keep=keep, as_json=as_json)


def _again(run: Run, realiser: Realiser, planned: Plan, *, every: bool, keep: bool, as_json: bool) -> None:
    from recipes.derivations import Build
    from recipes.verify import outcome
    from recipes.verify.rebuild import Verifier

    builds = [name for name, one in planned.derivations.items() if isinstance(one, Build)]
    verifier = Verifier(realiser, run.project().root, keep)
    outcomes = verifier.verify(planned, builds if every else [planned.target])
    built = [one for one in outcomes if one.seconds is not None]
    if as_json:
        run.report.result(json.dumps([one.document() for one in outcomes], indent=2))
    else:
        run.report.result("\n".join(one.line() for one in built))
        run.report.line(outcome.summary(outcomes))
    for one in built:
        if one.same and one.kept:
            run.report.line(f"kept {one.kept}")
    if (error := outcome.error(outcomes)) is not None:
        raise error


def _against(run: Run, realiser: Realiser, planned: Plan, word: str, *, as_json: bool) -> None:
    from recipes import files
    from recipes.evidence import record
    from recipes.verify import published

    said = _published(run, word, planned.target)
    with realiser.store.using():
        realiser.realise(planned)
        path = realiser.store.path(planned.target)
        here, _ = files.tree_hash(path)
        published.compare(said, planned.target, here, record.file_hashes(path) if said.files else {})
    if as_json:
        row = {"path": planned.target, "nar_hash": here, "published": said.nar_hash, "where": said.where}
        run.report.result(json.dumps(row, indent=2))
    else:
        run.report.result(f"same     {planned.target}  {here}  as published by {said.where}")


def _published(run: Run, word: str, name: str) -> Published:
    from recipes import download
    from recipes.verify import published

    if published.is_hash(word):
        return published.read(word.encode(), "the hash", name)
    url = word if "://" in word else str(run.directory / word)
    if "://" not in word and not Path(url).is_file():
        raise UsageError(f"`{word}` is no SHA-256, no file and no URL")
    data = download.read_url(url, download.HttpSettings(timeout=run.settings().timeout), published.LIMIT)
    return published.read(data, download.redacted(word), name)


@app.command("verify-again", hidden=True)
def verify_again(ctx: typer.Context) -> None:
    """Do what `recipes verify` asks of a process of its own."""
    import sys

    from recipes.verify import again

    run: Run = ctx.obj()
    job = again.Job.model_validate_json(sys.stdin.buffer.read())
    again.do(job, run.realiser(None, offline=True).builder)
