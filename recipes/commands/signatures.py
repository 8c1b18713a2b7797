"""Commands that sign what a build was made from, check that, and make keys for it."""

from __future__ import annotations

import json
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
from recipes.errors import UsageError

if TYPE_CHECKING:
    from recipes.evidence.attest import Checked
    from recipes.plan import Plan
    from recipes.run import Run

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="Keys to sign with.")


@app.command()
def sign(
    ctx: typer.Context,
    variant: Variant,
    key: Annotated[Path, typer.Option("--key", help="The private key, as `recipes key new` makes it.")],
    target: Target = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    output: Output = None,
) -> None:
    """Sign the provenance of a build, after its bytes were compared with it: a DSSE envelope."""
    from recipes.evidence import attest

    run: Run = ctx.obj()
    store, name = run.store(), run.plan(variant, target, platform, tools=toolchain, sandbox=sandbox).target
    with store.lock(name):
        envelope = attest.sign(store, name, attest.private_key(run.directory / key), str(key))
        if output is None:
            store.attach(store.signature_path(name), envelope)
    if output is not None:
        write(run.directory / output, envelope)
    run.report.result(str(output or store.signature_path(name)))


@app.command("verify-signature")
def verify_signature(
    ctx: typer.Context,
    what: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="An envelope; with `--variant`, a component.")
    ] = None,
    variant: AnyVariant = None,
    platform: PlatformName = None,
    toolchain: Toolchain = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Check a signed provenance with the keys of recipes/trust.yaml, and with the store path's bytes."""
    run: Run = ctx.obj()
    if not variant and not what:
        raise UsageError(
            "nothing to verify is given",
            hint="`recipes verify-signature FILE`, or `recipes verify-signature --variant VARIANT [TARGET]`",
        )
    if variant:
        planned = run.plan(variant, what, platform, tools=toolchain, sandbox=sandbox)
        found = _of_build(run, planned, what)
    else:
        found = _of_file(run, what or "")
    if as_json:
        run.report.result(
            json.dumps({"path": found.name, "key": found.key, "compared": found.there}, indent=2)
        )
        return
    run.report.result(f"{found.name}: signed by `{found.key}`")
    if not found.there:
        run.report.warning(f"`{found.name}` is not in the store: its bytes were not compared")


def _of_file(run: Run, file: str) -> Checked:
    from recipes.evidence import attest

    try:
        envelope = (run.directory / file).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"`{file}` cannot be read: {error.strerror}") from error
    return attest.check(run.store(), envelope, file, run.project().trust())


def _of_build(run: Run, planned: Plan, target: str | None) -> Checked:
    from recipes.evidence import attest

    store, name = run.store(), planned.target
    path = store.signature_path(name)
    if not path.is_file():
        again = ["recipes sign --variant", planned.variant, *([target] if target else []), "--key FILE"]
        raise UsageError(f"`{name}` is not signed\n  store  {store.root}", hint=f"`{' '.join(again)}`")
    return attest.check(store, path.read_bytes(), str(path), run.project().trust(), wanted=name)


@keys.command("new")
def key_new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="The directory; without it, `keys` beside config.yaml.")
    ] = None,
) -> None:
    """Make an ed25519 key: NAME.key to sign with, kept by its owner, and NAME.pub."""
    from recipes.evidence import attest, trust
    from recipes.settings import user_directory

    run: Run = ctx.obj()
    if not trust.is_name(name):
        raise UsageError(f"`{name}` is not a name: lower-case letters and digits, joined by `-._`")
    place = user_directory(run.environ, "XDG_CONFIG_HOME", ".config")
    if output is None and place is None:
        raise UsageError("no place for the key: HOME is not set", hint="name a directory with `--output DIR`")
    directory = run.directory / output if output else (place or Path()) / "keys"
    pair = attest.new_key(directory, name)
    run.report.result(f"{directory / name}.key")
    run.report.line(f"to trust it, add this to `keys:` in {trust.FILE}:\n  {name}: {pair.line}")
