"""The files that conda is configured by: which are read, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from recipes import located
from recipes.conda import channels
from recipes.conda.channels import Condarc
from recipes.errors import SpecError


def read(environ: Mapping[str, str]) -> Condarc:
    """Read conda's settings of channels, each file over those before it; then CONDA_CHANNEL_ALIAS and others.

    The files are `~/.condarc`, `$CONDA_PREFIX/.condarc` and `$CONDARC`. Raises SpecError.
    """
    whole = Condarc()
    for path in _places(environ):
        if path.is_file():
            found = located.read(path.read_bytes(), str(path), SpecError)
            if not isinstance(found.value, dict | None):
                raise SpecError(f"{path}: expected a mapping")
            whole = channels.parse(found, environ).over(whole)
    told = {name: value for name in _VARIABLES if (value := environ.get(f"CONDA_{name.upper()}"))}
    return channels.parse(located.Located("the environment", told), environ).over(whole)


_VARIABLES = ("channel_alias", "ssl_verify")


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    for variable, name in (("HOME", ".condarc"), ("CONDA_PREFIX", ".condarc"), ("CONDARC", "")):
        if environ.get(variable):
            yield Path(environ[variable]) / name
