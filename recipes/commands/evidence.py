"""Commands that tell what something was made from, and why."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import (
    AnyVariant,
    Json,
    Output,
    PlatformName,
    Sandbox,
    Target,
    Toolchain,
    Variant,
    write,
)
from recipes.errors import LockError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recipes.plan import Plan
    from recipes.run import Run

app = typer.Typer()


class Format(StrEnum):
    """The standards for bills of materials."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"


@app.command()
def provenance(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    path: Annotated[
        bool, typer.Option("--path", help="Print where it is instead: its bytes as they are signed.")
    ] = False,
) -> None:
    """Print what a build was made from: an in-toto statement with SLSA provenance, as JSON."""
    from recipes.evidence import record

    run: Run = ctx.obj()
    name, store = run.plan(variant, target, platform, tools=toolchain, sandbox=sandbox).target, run.store()
    made = record.read(store, name)
    shown = json.dumps(made, indent=2, ensure_ascii=False)
    run.report.result(str(store.provenance_path(name)) if path else shown)


@app.command()
def sbom(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    form: Annotated[Format, typer.Option("--format", help="The standard to follow.")] = Format.CYCLONEDX,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    output: Output = None,
) -> None:
    """Print the bill of materials of a build: sources, tools, licences. Nothing has to be built."""
    from recipes.evidence import cyclonedx, inventory, spdx

    run: Run = ctx.obj()
    planned = run.plan(variant, target, platform, tools=toolchain, sandbox=sandbox)
    found = inventory.of(run.store(), planned, run.project().specs(variant))
    document = cyclonedx.document(found) if form is Format.CYCLONEDX else spdx.document(found)
    _give(run, json.dumps(document, indent=2, ensure_ascii=False), output)


@app.command()
def why(
    ctx: typer.Context,
    one: Annotated[str, typer.Argument(metavar="A", help="A component, a wheel, or a store path's name.")],
    other: Annotated[str, typer.Argument(metavar="B", help="What it may depend on.")],
    variant: AnyVariant = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Say why A depends on B: the shortest ways. Exit code 1 where it does not."""
    from recipes.evidence import chains

    run: Run = ctx.obj()
    plans = _plans(run, variant, platform, toolchain, sandbox)
    planned, start, end = _found(plans, variant, one, other)
    ways = chains.shortest(planned, start, end)
    if as_json:
        rows = [[{"role": step.role, "path": step.path} for step in way] for way in ways]
        run.report.result(json.dumps({"variant": planned.variant, "ways": rows}, indent=2))
    else:
        run.report.result(chains.text(ways) if ways else chains.none(planned, start, end))
    if not ways:
        raise typer.Exit(1)


def _found(plans: Iterator[Plan], variant: str | None, one: str, other: str) -> tuple[Plan, str, str]:
    """Find what two words name: in one variant, or in the first that has both."""
    from recipes.evidence import chains

    for planned in plans:
        try:
            return planned, chains.resolve(planned, one), chains.resolve(planned, other)
        except UsageError:
            if variant:
                raise
    raise UsageError(f"no variant has both `{one}` and `{other}`", hint="name one with `--variant`")


def _plans(
    run: Run, variant: str | None, platform: str | None, toolchain: str | None, sandbox: str | None
) -> Iterator[Plan]:
    """Plan a variant, or each that is locked and can be built here."""
    for each in [variant] if variant else run.project().variants():
        try:
            yield run.plan(each, None, platform, tools=toolchain, sandbox=sandbox)
        except (LockError, UsageError):
            if variant:
                raise


@app.command("why-rebuild")
def why_rebuild(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Say what changed since the last build of a component: why `recipes build` would build it anew."""
    from recipes.evidence import changes, record
    from recipes.plan import Build

    run: Run = ctx.obj()
    planned, store = run.plan(variant, target, platform, tools=toolchain, sandbox=sandbox), run.store()
    build = planned.derivations[planned.target]
    before = _last(run, planned, target)
    if before is None and isinstance(build, Build):
        before = record.newest(store, build, planned.target)
    made = record.earlier(store, before) if before else None
    found = (
        changes.between(made, planned, planned.target, lambda path: record.earlier(store, path))
        if made
        else ()
    )
    if as_json:
        rows = [one.document() for one in found]
        run.report.result(json.dumps({"old": before, "new": planned.target, "changes": rows}, indent=2))
        return
    run.report.result(
        "\n".join([_headline(before, planned.target), *(line for one in found for line in one.lines())])
    )


def _headline(before: str | None, now: str) -> str:
    if before is None:
        return f"{now}: no earlier build of it is recorded"
    return f"{now}: nothing changed since its last build" if before == now else f"{before} → {now}"


def _last(run: Run, planned: Plan, target: str | None) -> str | None:
    """Name the build that the result link leads to, where it is recorded in this store."""
    from recipes.commands.builds import result_name
    from recipes.evidence import record

    link = run.project().root / result_name(planned, target)
    name = link.readlink().name if link.is_symlink() else ""
    return name if record.earlier(run.store(), name) else None


def _give(run: Run, text: str, output: Path | None) -> None:
    if output is None:
        run.report.result(text)
    else:
        write(run.directory / output, f"{text}\n".encode())
