"""A user's settings: where the store is, which URL prefixes are mirrored, how long a server may be silent.

They come from the environment and from `$XDG_CONFIG_HOME/tvm-recipes/config.yaml`. None of them can change
what is built under a name: without a sandbox, it is built under another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import pydantic

from recipes import located
from recipes.errors import SpecError, UsageError
from recipes.located import Strict

GB = 10**9  # bytes

Choice: TypeAlias = Literal["auto", "bubblewrap", "unshare", "none"]
SANDBOXES: tuple[Choice, ...] = get_args(Choice)


def _place(text: str) -> str:
    if not text.startswith(("/", "~/")):
        raise ValueError("a path begins with `/` or `~/`")
    return text


class _Config(Strict):
    store: Annotated[str, pydantic.AfterValidator(_place)] | None = None
    mirrors: dict[str, str] = pydantic.Field(default_factory=dict)
    timeout: Annotated[float, pydantic.Field(gt=0, le=600)] | None = None
    cache_size: Annotated[float, pydantic.Field(ge=0, le=1000)] | None = None
    sandbox: Choice | None = None


@dataclass(frozen=True)
class Settings:
    """What the user set; `mirrors` maps a prefix of URLs to what stands in its place.

    `timeout` is in seconds: how long an origin may take to answer before the next one is tried.
    `sandbox` is what builds are isolated with; `none` is in the names of what is built so.
    `cache_size` is in bytes (GB in the file): what compilers may keep between builds; 0 is nothing.
    """

    store: Path
    mirrors: Mapping[str, str]
    timeout: float = 8.0
    cache_size: int = 2 * GB
    sandbox: Choice = "auto"

    def rewrite(self, url: str) -> str:
        """Give the URL to ask in place of one: the longest prefix wins, as with git's `insteadOf`."""
        prefix = max((one for one in self.mirrors if url.startswith(one)), key=len, default="")
        return self.mirrors[prefix] + url[len(prefix) :] if prefix else url


def load(environ: Mapping[str, str], store: Path | None) -> Settings:
    """Read the settings; `store` (from the command line) wins over RECIPES_STORE and the file.

    RECIPES_MIRROR holds `PREFIX=REPLACEMENT` pairs with white space between them. Raises SpecError for
    a wrong file, UsageError for a wrong variable and where nothing says where the store is.
    """
    place = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    config = _config(place / "config.yaml" if place else None)
    where = store or _named(environ, config) or user_directory(environ, "XDG_CACHE_HOME", ".cache")
    if where is None:
        raise UsageError(
            "no place for the store: HOME is not set", hint="name one with `--store DIR` or RECIPES_STORE"
        )
    mirrors = {**config.mirrors, **dict(map(_pair, environ.get("RECIPES_MIRROR", "").split()))}
    size = Settings.cache_size if config.cache_size is None else int(config.cache_size * GB)
    sandbox = _sandbox(environ) or config.sandbox or Settings.sandbox
    return Settings(where.absolute(), mirrors, config.timeout or Settings.timeout, size, sandbox)


def _sandbox(environ: Mapping[str, str]) -> Choice | None:
    named = environ.get("RECIPES_SANDBOX", "")
    if named in SANDBOXES:
        return named
    if named:
        raise UsageError(f"RECIPES_SANDBOX: `{named}` is none of {', '.join(SANDBOXES)}")
    return None


def user_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Give the directory of ours below one of the XDG Base Directory Specification's; None without a home."""
    named, home = environ.get(variable, ""), environ.get("HOME", "")
    # the XDG Base Directory Specification: a relative path is invalid, and to be ignored
    base = Path(named) if named.startswith("/") else Path(home) / below_home if home else None
    return base / "tvm-recipes" if base else None


def _named(environ: Mapping[str, str], config: _Config) -> Path | None:
    """Give the store that RECIPES_STORE names, else the file; an empty variable is none."""
    if text := environ.get("RECIPES_STORE"):
        return _expanded("RECIPES_STORE", text, environ)
    return _expanded("config.yaml: store", config.store, environ) if config.store else None


def _expanded(what: str, text: str, environ: Mapping[str, str]) -> Path:
    """Read a path that may begin with `~/`. What else begins with `~`, a shell would have expanded."""
    home = environ.get("HOME", "")
    if not text.startswith("~"):
        return Path(text)
    if text.startswith("~/") and home:
        return Path(home) / text[2:]
    why = "HOME is not set" if text.startswith("~/") else "of home directories, only `~/` is known"
    raise UsageError(f"{what}: `{text}`: {why}", hint="write the path in full")


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
