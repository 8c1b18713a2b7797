"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recipes.errors import RecipesError, UsageError


def variants(incomplete: str) -> list[str]:
    """Complete the name of a variant."""
    from recipes import project

    try:
        found = project.find(Path.cwd())
    except RecipesError:
        return []
    return [name for name in found.variants() if name.startswith(incomplete)]


Variant = Annotated[
    str, typer.Option("--variant", "-V", help="The environment to work on.", autocompletion=variants)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OriginKind = Annotated[
    str | None, typer.Option("--origin", help="Use this kind of origin only.", metavar="KIND")
]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what is in the store.")]
PlatformName = Annotated[
    str | None, typer.Option("--platform", help="Build for this platform.", metavar="PLATFORM")
]
Toolchain = Annotated[
    str | None,
    typer.Option("--toolchain", help="Compile with this one: pypi, host or conda.", metavar="KIND"),
]
Sandbox = Annotated[
    str | None,
    typer.Option(
        "--sandbox", help="Isolate builds by auto, bubblewrap, unshare, or none at all.", metavar="WAY"
    ),
]
Override = Annotated[
    list[str] | None,
    typer.Option("--override", help="Take a source at a REF or from a PATH instead.", metavar="SOURCE=REF"),
]
Target = Annotated[str | None, typer.Argument(help="A component; the variant's target without it.")]
AnyVariant = Annotated[
    str | None,
    typer.Option("--variant", "-V", help="The environment to work on.", autocompletion=variants),
]
Output = Annotated[Path | None, typer.Option("--output", help="The file to write.")]


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write what `--output` asks for, whole or not at all. Raises UsageError where there is no directory."""
    from recipes import files

    if not path.parent.is_dir():
        raise UsageError(f"no directory `{path.parent}` to write `{path.name}` to")
    files.write_atomic(path, data, mode)
