"""The command line: the options of all commands, and the one place where an error becomes an exit code.

The commands are in `recipes.commands`.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from recipes import __version__
from recipes.commands import (
    bisect,
    builds,
    doctor,
    environments,
    evidence,
    exports,
    health,
    locks,
    refresh,
    scan,
    signatures,
    specs,
    stores,
    verify,
)
from recipes.errors import RecipesError, UsageError
from recipes.report import NORMAL, QUIET, VERBOSE, Report

if TYPE_CHECKING:
    from recipes.run import Run

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
for group in (
    specs.app,
    locks.app,
    refresh.app,
    scan.app,
    health.app,
    builds.app,
    bisect.app,
    evidence.app,
    signatures.app,
    environments.shells,
    verify.app,
    doctor.app,
):
    app.add_typer(group)
app.add_typer(stores.app, name="store")
app.add_typer(environments.app, name="env")
app.add_typer(signatures.keys, name="key")
app.add_typer(exports.app, name="export")


def _version(wanted: bool) -> None:
    if wanted:
        Report().result(f"tvm-recipes {__version__}")
        raise typer.Exit


def _named(text: str) -> Path:
    # `--store "$STORE"` with nothing in it would be this directory
    if not text:
        raise UsageError("`--store` names no directory")
    return Path(text)


@app.callback()
def options(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every line of a build.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(parser=_named, metavar="PATH", help="The store, in place of RECIPES_STORE."),
    ] = None,
    project: Annotated[Path | None, typer.Option(help="The checkout, in place of this directory.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Build Apache TVM the same way on every machine, with NNPACK or without."""
    if quiet and verbose:
        raise UsageError("`--quiet` and `--verbose` exclude each other")
    report = Report(QUIET if quiet else VERBOSE if verbose else NORMAL)
    ctx.obj = functools.partial(_begin, report, project, store)


def _begin(report: Report, project: Path | None, store: Path | None) -> Run:
    """Begin the work of a command: what that imports, `recipes COMMAND --help` does not wait for."""
    from recipes.run import Run

    return Run(report, os.environ, Path.cwd(), project, store)


def _interrupted(number: int, _frame: object) -> NoReturn:
    """End at once: everything is written aside and renamed, so there is nothing to tidy."""
    from recipes import process

    process.kill_all()
    os.write(2, b"\ninterrupted; what was fetched and built is kept\n")
    os._exit(128 + number)


def main() -> None:
    """Run a command; the one place where an error becomes an exit code."""
    signal.signal(signal.SIGINT, _interrupted)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        app(standalone_mode=True)
    except RecipesError as error:
        Report().error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os._exit(128 + signal.SIGPIPE)  # `recipes plan | head`: nobody reads on, and nothing is to be said
    except OSError as error:
        Report().error(_system_error(error))
        sys.exit(1)


def _system_error(error: OSError) -> RecipesError:
    import errno

    what = f"{error.strerror or error}"
    if error.filename:
        what += f": {os.fsdecode(error.filename)}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RecipesError(what, hint="make room (`recipes store gc`), or name another store with `--store`")
    return RecipesError(what)


if __name__ == "__main__":
    main()
