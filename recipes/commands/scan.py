"""The `scan` command: what floats in any source tree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import AnyVariant, Json
from recipes.errors import UsageError

if TYPE_CHECKING:
    from recipes.run import Run
    from recipes.scan.findings import Scan

app = typer.Typer()

LOOSE = 1  # the exit code where an input is not pinned


@app.command()
def scan(
    ctx: typer.Context,
    place: Annotated[
        str, typer.Argument(metavar="PATH|URL", help="A directory, a file, or a git repository.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- CMAKE ARGUMENTS", help="With --prove, more arguments of cmake."),
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Of a repository: a branch, a tag or a whole commit id.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="List what is pinned, too.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask what branches and tags name today.")
    ] = False,
    fix_plan: Annotated[
        bool, typer.Option("--fix-plan", help="Draft specs that lock what CMake downloads.")
    ] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Configure the tree without a network: what is still downloaded?")
    ] = False,
    variant: AnyVariant = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """List what a source tree brings in that is not pinned: in CMake files, scripts, Dockerfiles, workflows.

    Exit code 0 when everything is pinned, 1 when something is not.
    """
    from recipes.scan import fixplan, telling

    if as_markdown + as_json > 1:
        raise UsageError("`--json` and `--markdown` exclude each other")
    run: Run = ctx.obj()
    if prove:
        _prove(run, place, settings or [], variant, as_json=as_json)
        return
    if settings or variant:
        raise UsageError("`--variant` and arguments of cmake go with `--prove`")
    commit, found = _scanned(run, place, ref, offline=offline)
    plan = fixplan.draft(found) if fix_plan else None
    if as_json:
        document = telling.document(found, everything=everything, commit=commit)
        run.report.result(json.dumps(document | ({"fix_plan": plan} if plan else {}), indent=2))
    elif plan is not None:
        run.report.result(plan)
    elif as_markdown:
        run.report.result(telling.markdown(found, everything=everything))
    else:
        run.report.result(telling.text(found, everything=everything))
    if telling.is_loose(found):
        raise typer.Exit(LOOSE)


def _prove(run: Run, place: str, settings: list[str], variant: str | None, *, as_json: bool) -> None:
    from recipes.scan import prove

    tree = run.directory / place
    if not (tree / "CMakeLists.txt").is_file():
        raise UsageError(f"`{place}` has no CMakeLists.txt to configure")
    plan = run.plan(variant or run.project().variants()[0], None, None)
    proof = prove.prove(tree.resolve(), plan, run.realiser(None, offline=False), settings)
    if as_json:
        run.report.result(json.dumps({"exit_code": proof.code, "attempts": list(proof.attempts)}, indent=2))
    elif proof.attempts:
        told = "\n".join(f"  {line}" for line in proof.attempts)
        run.report.result(f"configured without a network, it tries to download:\n{told}")
    else:
        run.report.result("configures without a network, and tries to download nothing")
    if proof.attempts:
        raise typer.Exit(LOOSE)


def _scanned(run: Run, place: str, ref: str | None, *, offline: bool) -> tuple[str | None, Scan]:
    from recipes.git import Git
    from recipes.scan import reading, walk
    from recipes.scan.findings import is_remote
    from recipes.scan.pins import Pins

    chosen = run.settings()
    git = Git(chosen.store / "git", rewrite=chosen.rewrite, timeout=chosen.timeout, env=run.environ)
    if is_remote(place) or place.startswith("file://"):
        if offline:
            raise UsageError(f"`--offline`, and `{place}` is a repository to fetch")
        with run.report.task(f"reading {place}", "objects") as tick:
            commit, files = walk.commit(git, place, ref, tick)
        found = reading.read(files)
    else:
        if ref:
            raise UsageError("`--ref` goes with the URL of a repository, and this is a path")
        tree = walk.Walk(run.directory / place)
        commit, found = None, reading.read(tree, tree.unread)
    if offline:
        return commit, found
    with run.report.task("asking what refs name today", "repositories") as tick:
        return commit, replace(found, found=Pins(git, run.report.warning).fill(found.found, tick))
