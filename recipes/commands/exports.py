"""The `export` commands: a build, written down for people who do not use this tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.commands.options import Offline, PlatformName, Target, Variant, write

if TYPE_CHECKING:
    from recipes.run import Run

app = typer.Typer(no_args_is_help=True, help="Write a build down as a shell script or a Dockerfile.")

Output = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")]
Image = "NAME@sha256:DIGEST"


@app.command("install-script")
def install_script(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    offline: Offline = False,
    output: Output = None,
) -> None:
    """Write a shell script that builds the same bytes from the same hashes, without this tool.

    Without TARGET it is `nnpack` where the variant has it, and otherwise the variant's own target. The
    sources are fetched, as the script holds the digest of each.
    """
    run: Run = ctx.obj()
    _, script = _script(run, variant, target, platform, offline=offline)
    _write(run, script, output, 0o755)


@app.command()
def dockerfile(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    offline: Offline = False,
    output: Output = None,
    base: Annotated[
        str | None, typer.Option(help="The image that gets the result, by digest.", metavar=Image)
    ] = None,
    builder: Annotated[
        str | None, typer.Option(help="The image that builds, with git, Python and pip.", metavar=Image)
    ] = None,
) -> None:
    """Write a Dockerfile that has the install script in it; both images are named by digest."""
    from recipes.export import dockerfile

    run: Run = ctx.obj()
    component, script = _script(run, variant, target, platform, offline=offline)
    text = dockerfile.render(
        script,
        component=component,
        variant=variant,
        base=base or dockerfile.BASE,
        builder=builder or dockerfile.BUILDER,
    )
    _write(run, text, output, 0o644)


def _script(
    run: Run, variant: str, target: str | None, platform: str | None, *, offline: bool
) -> tuple[str, str]:
    from recipes.export import writing

    planned = run.plan(variant, target, platform)
    if target is None and "nnpack" in writing.components(planned):
        planned = run.plan(variant, "nnpack", platform)
    return planned.component, writing.script(planned, run.realiser(None, offline=offline))


def _write(run: Run, text: str, output: Path | None, mode: int) -> None:
    if output is None:
        run.report.result(text.rstrip("\n"))
        return
    write(run.directory / output, text.encode(), mode)
    run.report.line(f"{output} is written")
