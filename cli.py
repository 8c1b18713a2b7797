"""The command line: each command parses, makes one call, and prints what came of it.

Imports that cost time are made inside commands, so that `recipes --help` and completion stay quick.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import shlex
import signal
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NoReturn

import typer

from recipes import __version__
from recipes.errors import RecipesError, UsageError
from recipes.report import NORMAL, QUIET, VERBOSE, Report

if TYPE_CHECKING:
    from datetime import datetime

    from recipes.lock import Lock
    from recipes.plan import Plan
    from recipes.project import Project
    from recipes.run import Run

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
store_app = typer.Typer(no_args_is_help=True, help="Look at the store, check it, free its space.")
app.add_typer(store_app, name="store")


def _variants(incomplete: str) -> list[str]:
    from recipes import project

    try:
        found = project.find(Path.cwd())
    except RecipesError:
        return []
    return [name for name in found.variants() if name.startswith(incomplete)]


Variant = Annotated[
    str, typer.Option("--variant", "-V", help="The environment to work on.", autocompletion=_variants)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OriginKind = Annotated[
    str | None, typer.Option("--origin", help="Use this kind of origin only.", metavar="KIND")
]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what is in the store.")]
PlatformName = Annotated[
    str | None, typer.Option("--platform", help="Build for this platform.", metavar="PLATFORM")
]
Override = Annotated[
    list[str] | None,
    typer.Option("--override", help="Take a source at a REF or from a PATH instead.", metavar="SOURCE=REF"),
]
Target = Annotated[str | None, typer.Argument(help="A component; the variant's target without it.")]


def _version(wanted: bool) -> None:
    if wanted:
        Report().result(f"tvm-recipes {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every line of a build.")] = False,
    store: Annotated[Path | None, typer.Option(help="The store, in place of RECIPES_STORE.")] = None,
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


@app.command("list")
def list_variants(ctx: typer.Context, as_json: Json = False) -> None:
    """List the variants."""
    run: Run = ctx.obj()
    project = run.project()
    found = {name: project.specs(name).environment for name in project.variants()}
    if as_json:
        rows = [
            {"variant": name, "target": one.target, "summary": one.summary} for name, one in found.items()
        ]
        run.report.result(json.dumps(rows, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, one in found.items():
        run.report.result(f"{name:<{width}}  {one.summary}")


@app.command()
def show(
    ctx: typer.Context,
    variant: Annotated[str, typer.Argument(autocompletion=_variants)],
    as_json: Json = False,
) -> None:
    """Show what a variant is made of."""
    from recipes import show

    run: Run = ctx.obj()
    project = run.project()
    specs = project.specs(variant)
    locked = _lock_or_none(project, variant)
    if as_json:
        run.report.result(json.dumps(show.document(specs, locked), indent=2))
    else:
        run.report.result(show.text(specs, locked))


@app.command()
def schema(ctx: typer.Context, kind: Annotated[str, typer.Argument(help="environment or recipe")]) -> None:
    """Print the JSON Schema of a kind of spec, for editors."""
    from recipes.located import json_schema, nearest
    from recipes.spec import SPECS

    run: Run = ctx.obj()
    if kind not in SPECS:
        raise UsageError(f"no kind of spec `{kind}`{nearest(kind, SPECS)}: one of {', '.join(SPECS)}")
    run.report.result(json.dumps(json_schema(SPECS[kind]), indent=2))


@app.command()
def lock(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Sources, or `toolchain`; all without.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option("--variant", "-V", help="One variant; all without.", autocompletion=_variants),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the locks answer the specs.")
    ] = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="Lock branches as of a date, in another file.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="The file to write with `--at`.")] = None,
) -> None:
    """Freeze everything that floats into locks/.

    With `--at DATE` each branch is taken as it was then (a day: at its end in UTC). That lock does not answer
    the specs: it is written to `--output`, else to locks/VARIANT@MOMENT.lock.yaml, for `recipes diff`, and
    the variant's own locks stay as they are.
    """
    from recipes import locking

    run: Run = ctx.obj()
    if check and names:
        raise UsageError("`--check` looks at whole locks, and takes no sources")
    if (at is not None and (check or names)) or (output and at is None):
        raise UsageError("`--at` takes neither `--check` nor sources, and `--output` goes with `--at`")
    project = run.project()
    chosen = [variant] if variant else project.variants()
    if check:
        locking.check(project, chosen, run.report)
    elif at is not None:
        target = run.directory / output if output else None
        locking.lock_at(project, chosen, _date(at), target, run.fetcher())
    else:
        locking.lock(project, chosen, names or [], run.fetcher())


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
        typer.Option("--variant", "-V", help="Compare revisions of its lock.", autocompletion=_variants),
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
    found = compare.difference(before, after, run.fetcher().git, run.report)
    if as_json:
        run.report.result(json.dumps(diff.document(found), indent=2))
    elif found == diff.Difference():
        run.report.line("no difference")
    else:
        run.report.result(diff.markdown(found) if as_markdown else diff.text(found))


@app.command()
def fetch(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    origin: OriginKind = None,
    platform: PlatformName = None,
) -> None:
    """Bring every source and wheel of a build into the store, for a build without network."""
    run: Run = ctx.obj()
    planned = run.plan(variant, target, platform)
    realiser = run.realiser(origin, offline=False)
    names = planned.fetched()
    realiser.fetch(planned, names)
    run.report.line(f"all {len(names)} sources and wheels of `{variant}` are in {realiser.store.root}")


@app.command()
def plan(
    ctx: typer.Context,
    variant: Variant,
    target: Target = None,
    platform: PlatformName = None,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Print the derivations behind a target, in order, and which of them are there."""
    run: Run = ctx.obj()
    planned = run.plan(variant, target, platform, override or ())
    store = run.store()
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
    offline: Offline = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Compilers at once.")] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep what a failed build leaves, with a script to replay.")
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
        planned = run.plan(variant, target, platform, override or ())
        again = shlex.join(["recipes", *sys.argv[1:], "--keep-failed"])
        realiser = run.realiser(origin, offline=offline, jobs=jobs, keep_failed=keep_failed, again=again)
        held.enter_context(store.using())
        if planned.unlocked:
            run.report.warning(f"this is not what the lock says: {', '.join(planned.unlocked)}")
        there = store.has(planned.target)
        if not there:
            realiser.realise(planned)
        info = store.info(planned.target)
        link = run.project().link(_result_name(planned, target), store.path(planned.target))
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


@store_app.command("path")
def store_path(
    ctx: typer.Context, variant: Variant, target: Target = None, platform: PlatformName = None
) -> None:
    """Print where a variant's build is, or would be."""
    run: Run = ctx.obj()
    run.report.result(str(run.store().path(run.plan(variant, target, platform).target)))


@store_app.command("check")
def store_check(
    ctx: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Take what is damaged out.")] = False,
    as_json: Json = False,
) -> None:
    """Hash everything in the store again, and say what is not as it was added."""
    from recipes import storecheck
    from recipes.errors import IntegrityError

    run: Run = ctx.obj()
    store = run.store()
    with run.report.task("checking the store", "paths") as task:
        problems = storecheck.check(store, task)
    if as_json:
        rows = [{"path": one.name, "problem": one.what} for one in problems]
        run.report.result(json.dumps(rows, indent=2))
    if problems and remove:
        storecheck.remove(store, problems)
        run.report.line(f"removed {len(problems)} damaged entries; the next build brings them back")
    elif problems:
        lines = [f"  {one.name}: {one.what}" for one in problems]
        raise IntegrityError(
            "\n".join([f"the store is damaged: {len(problems)} found", *lines]),
            hint="`recipes store check --remove` takes them out; the next build brings them back",
        )
    else:
        run.report.line(f"{store.root} is clean")


@store_app.command("gc")
def store_gc(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, only say what.")] = False,
) -> None:
    """Remove everything that no result-VARIANT link needs."""
    from recipes import storegc

    run: Run = ctx.obj()
    removed = storegc.gc(run.store(), dry_run=dry_run)
    for one in removed:
        run.report.detail(f"{one.name}  {one.bytes / 1e6:.1f} MB")
    total = sum(one.bytes for one in removed) / 1e6
    run.report.line(f"{'would free' if dry_run else 'freed'} {total:.1f} MB, {len(removed)} entries")


def _result_name(planned: Plan, target: str | None) -> str:
    from recipes.run import system

    other = [target] if target else []
    foreign = [planned.platform] if planned.platform != system() else []
    unlocked = ["unlocked"] if planned.unlocked else []
    return "-".join(["result", planned.variant, *other, *foreign, *unlocked])


def _lock_or_none(project: Project, variant: str) -> Lock | None:
    lock, _ = project.lock_files(variant)
    return project.lock(variant) if lock.is_file() else None


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
