"""Commands that bring inputs in, plan, build, and explain what failed."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from recipes.commands.options import (
    Json,
    Offline,
    OriginKind,
    Override,
    PlatformName,
    Sandbox,
    Target,
    Toolchain,
    Variant,
)
from recipes.errors import UsageError

if TYPE_CHECKING:
    from recipes.plan import Plan
    from recipes.run import Run

app = typer.Typer()


@app.command()
def fetch(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    origin: OriginKind = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
) -> None:
    """Bring every source and wheel of a build into the store, for a build without network."""
    run: Run = ctx.obj()
    planned = run.plan(variant, target, platform, tools=toolchain)
    realiser = run.realiser(origin, offline=False)
    names = planned.fetched()
    realiser.fetch(planned, names)
    run.ccache(variant, realiser.fetcher)
    run.report.line(f"all {len(names)} sources and wheels of `{variant}` are in {realiser.store.root}")


@app.command()
def plan(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    override: Override = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Print the derivations behind a target, in order, and which of them are there."""
    run: Run = ctx.obj()
    store = run.store()
    with store.using() if override else nullcontext():  # an override's source is brought in
        planned = run.plan(variant, target, platform, override or (), tools=toolchain, sandbox=sandbox)
        there = {name: store.has(name) for name in planned.derivations}
    if as_json:
        document = planned.document()
        rows = [{**row, "in_store": there[row["path"]]} for row in document["derivations"]]
        run.report.result(json.dumps({**document, "derivations": rows}, indent=2))
        return
    for name, one in planned.derivations.items():
        run.report.result(f"{'have' if there[name] else one.verb:<6}{one.kind:<7}{name}")


@app.command()
def build(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    origin: OriginKind = None,
    platform: PlatformName = None,
    override: Override = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    offline: Offline = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Compilers at once.")] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep what a failed build leaves, with a script to replay.")
    ] = False,
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Let compilers use nothing of earlier builds, and keep nothing."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Build a variant from its lock, check it, and link it as result-VARIANT."""
    from recipes import storegc

    run: Run = ctx.obj()
    store = run.store()
    with (
        ExitStack() as held
    ):  # gc keeps away from an override's source, and from the result until it is linked
        if override:
            held.enter_context(store.using())
        planned = run.plan(variant, target, platform, override or (), tools=toolchain, sandbox=sandbox)
        again = shlex.join(["recipes", *sys.argv[1:], "--keep-failed"])
        realiser = run.realiser(
            origin,
            offline=offline,
            jobs=jobs,
            keep_failed=keep_failed,
            again=again,
            cache="none" if no_cache else "read" if planned.unlocked else "keep",
            variant=variant,
            sandbox=sandbox,
        )
        held.enter_context(store.using())
        if planned.unlocked:
            run.report.warning(f"this is not what the lock says: {', '.join(planned.unlocked)}")
        for caveat in caveats(planned):
            run.report.warning(caveat)
        there = store.has(planned.target)
        realiser.realise(planned)  # where it is there, that writes only the provenance that may be missing
        info = store.info(planned.target)
        link = run.project().link(result_name(planned, target), store.path(planned.target))
        storegc.add_root(store, link)
    if there:
        run.report.line("nothing to do: it is built")
    path = store.path(planned.target)
    if as_json:
        row = {
            "path": str(path),
            "nar_hash": info.nar_hash,
            "link": str(link),
            "built": not there,
            "unlocked": list(planned.unlocked),
        }
        run.report.result(json.dumps(row, indent=2))
    else:
        run.report.result(f"{path}\n{info.nar_hash}")


@app.command()
def explain(
    ctx: typer.Context,
    logfile: Annotated[
        Path | None, typer.Argument(help="The log of any build; `-` or none for standard input.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which known breakages a log shows, and what helps. Exit code 1 where it shows none."""
    from recipes import breakages, failures, logs

    run: Run = ctx.obj()
    with _opened(logfile) as file:
        start = file.read(failures.CHUNK)
        if why := logs.refusal(start):
            raise UsageError(f"`{logfile or '-'}` is no log: {why}")
        chunks = itertools.chain([start], iter(lambda: file.read(failures.CHUNK), b""))
        seen = failures.look(run.project().breakages(), chunks)
    shown = [(one, logs.text(one.line)) for one in seen.matches]
    if as_json:
        run.report.result(json.dumps([breakages.document(*one) for one in shown], indent=2))
    elif shown:
        run.report.result("\n\n".join(breakages.explain(*one) for one in shown))
    else:
        ends = ["its last lines that matter:", *(f"  {line}" for line in logs.decisive(seen.end))]
        told = f"nothing known matches: {seen.count} lines, and no breakage of recipes/breakages.yaml"
        run.report.result("\n".join([told, *(ends if seen.end else ())]))
    if not shown:
        raise typer.Exit(1)


def _opened(logfile: Path | None) -> AbstractContextManager[BinaryIO]:
    """Open a log, or standard input where that is no terminal."""
    hint = "`recipes explain LOGFILE`, or `COMMAND 2>&1 | recipes explain`"
    if logfile is None or logfile == Path("-"):
        if sys.stdin is None or (logfile is None and sys.stdin.isatty()):
            raise UsageError("no log is given", hint=hint)
        return nullcontext(sys.stdin.buffer)
    try:
        return logfile.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"`{logfile}` cannot be read: {error.strerror}") from error


def caveats(planned: Plan) -> list[str]:
    """Say what is not promised of a build as it was asked for."""
    from recipes.plan import Build

    built = planned.derivations[planned.target]
    assert isinstance(built, Build)  # noqa: S101 - for the type checker
    said = []
    if built.visible:
        said.append(f"built with this machine's {built.host['version']}: elsewhere the bytes are others")
    if built.sandbox == "none":
        said.append(
            "built without a sandbox: it can read and write all that you can, and reach the network; "
            "neither its bytes nor that it leaves nothing running is promised"
        )
    return said


def result_name(planned: Plan, target: str | None) -> str:
    """Name the link to a build in the checkout: `result-VARIANT`, and what else tells it from others."""
    from recipes.run import system

    other = [target] if target else []
    foreign = [planned.platform] if planned.platform != system() else []
    unlocked = ["unlocked"] if planned.unlocked else []
    return "-".join(["result", planned.variant, *other, *planned.instead, *foreign, *unlocked])
