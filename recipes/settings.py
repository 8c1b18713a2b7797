"""A user's settings: where the store is, which URL prefixes are mirrored, how long a server may be silent.

They come from the environment and from `$XDG_CONFIG_HOME/tvm-recipes/config.yaml`; none of them can
change what is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from recipes import located
from recipes.errors import SpecError, UsageError
from recipes.located import Strict


def _place(text: str) -> str:
    if not text.startswith(("/", "~/")):
        raise ValueError("a path begins with `/` or `~/`")
    return text


class _Config(Strict):
    store: Annotated[str, pydantic.AfterValidator(_place)] | None = None
    mirrors: dict[str, str] = pydantic.Field(default_factory=dict)
    timeout: Annotated[float, pydantic.Field(gt=0, le=600)] | None = None


@dataclass(frozen=True)
class Settings:
    """What the user set; `mirrors` maps a prefix of URLs to what stands in its place.

    `timeout` is in seconds: how long an origin may take to answer before the next one is tried.
    """

    store: Path
    mirrors: Mapping[str, str]
    timeout: float = 8.0

    def rewrite(self, url: str) -> str:
        """Give the URL to ask in place of one: the longest prefix wins, as with git's `insteadOf`."""
        prefix = max((one for one in self.mirrors if url.startswith(one)), key=len, default="")
        return self.mirrors[prefix] + url[len(prefix) :] if prefix else url


def load(environ: Mapping[str, str], store: Path | None) -> Settings:
    """Read the settings; `store` (from the command line) wins over RECIPES_STORE and the file.

    RECIPES_MIRROR holds `PREFIX=REPLACEMENT` pairs with white space between them. Raises SpecError for
    a wrong file, UsageError for a wrong variable and where nothing says where the store is.
    """
    place = _user_directory(environ, "XDG_CONFIG_HOME", ".config")
    config = _config(place / "config.yaml" if place else None)
    named = environ.get("RECIPES_STORE") or config.store
    cache = _user_directory(environ, "XDG_CACHE_HOME", ".cache")
    where = store or (_expanded(named, environ) if named else cache)
    if where is None:
        raise UsageError(
            "no place for the store: HOME is not set", hint="name one with `--store DIR` or RECIPES_STORE"
        )
    mirrors = {**config.mirrors, **dict(map(_pair, environ.get("RECIPES_MIRROR", "").split()))}
    return Settings(where.absolute(), mirrors, config.timeout or Settings.timeout)


def _user_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    named, home = environ.get(variable, ""), environ.get("HOME", "")
    # the XDG Base Directory Specification: a relative path is invalid, and to be ignored
    base = Path(named) if named.startswith("/") else Path(home) / below_home if home else None
    return base / "tvm-recipes" if base else None


def _expanded(text: str, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "")
    return Path(home) / text[2:] if home and text.startswith("~/") else Path(text)


def _config(path: Path | None) -> _Config:
    if path is None or not path.is_file():
        return _Config()
    found = located.read(path.read_bytes(), str(path), SpecError)
    return located.check(found, _Config, SpecError) if found.value is not None else _Config()


def _pair(text: str) -> tuple[str, str]:
    prefix, equals, replacement = text.partition("=")
    if not (prefix and equals and replacement):
        raise UsageError(f"RECIPES_MIRROR: `{text}` is not PREFIX=REPLACEMENT")
    return prefix, replacement
