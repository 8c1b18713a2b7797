"""The `conda:` block of an environment: channels and packages in the form of conda's environment.yml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

import pydantic

from recipes.dates import Moment
from recipes.located import Strict, misplaced

CondaPlatform: TypeAlias = Literal["linux-64", "linux-aarch64", "osx-arm64"]
SELECTORS: Mapping[CondaPlatform, str] = {
    "linux-64": "linux64",
    "linux-aarch64": "aarch64",
    "osx-arm64": "arm64",
}
"""Conda's name of a platform → what conda-lock and conda-build call it in a comment `# [SELECTOR]`."""

_VERSION = r"(?:==|!=|>=|<=|~=|=|>|<)?\s*[A-Za-z0-9_.+!*-]+"
_SPEC = re.compile(
    r"(?P<name>[a-z0-9_][a-z0-9_.-]*)"
    rf"(?:(?:\s+|(?=[=<>!~]))(?P<version>{_VERSION}(?:\s*[,|]\s*{_VERSION})*)(?:(?:=|\s+)[A-Za-z0-9_.*+]+)?)?"
)
_CHANNEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*")
_URL = re.compile(r"(https?://[A-Za-z0-9_.:\[\]-]+|file://)/[A-Za-z0-9_./~%+-]*")


def _dependency(text: str) -> str:
    if not _SPEC.fullmatch(text):
        raise ValueError(
            f"`{text}` is not a package with versions, such as `cmake>=3.26,<4` or `python=3.11`"
        )
    return text


def credentials(url: str) -> str | None:
    """Say what in a channel's URL is a secret; None for nothing."""
    host, _, path = url.partition("://")[2].partition("/")
    if "@" in host:
        return "a user name or password"
    return "a token" if re.search("(^|/)t/[^/]+", path) else None


def _channel(text: str) -> str:
    if "://" in text and (secret := credentials(text)):
        raise ValueError(
            f"the URL has {secret}, and specs and locks are for everyone; credentials are kept where "
            "conda's tools look for them: `.condarc`, netrc, `RATTLER_AUTH_FILE`"
        )
    if not (_URL if "://" in text else _CHANNEL).fullmatch(text):
        raise ValueError("a channel is a name such as `conda-forge`, or a URL")
    return text


def name_of(dependency: str) -> str:
    """Give the name of the package that a dependency asks for."""
    found = _SPEC.fullmatch(dependency)
    return found["name"] if found else dependency


Dependencies: TypeAlias = tuple[Annotated[str, pydantic.AfterValidator(_dependency)], ...]


class Conda(Strict):
    """What a conda environment is asked to hold.

    `platform_dependencies` are for one platform, besides `dependencies`. `before` leaves out all that the
    channels got after that moment, so that the same is found whenever it is locked.
    """

    channels: Annotated[
        tuple[Annotated[str, pydantic.AfterValidator(_channel)], ...], pydantic.Field(min_length=1)
    ]
    platforms: Annotated[tuple[CondaPlatform, ...], pydantic.Field(min_length=1)] = (*SELECTORS,)
    before: Annotated[
        Moment | None, pydantic.Field(description="the channels as they were at this moment")
    ] = None
    dependencies: Annotated[Dependencies, pydantic.Field(min_length=1)]
    platform_dependencies: dict[CondaPlatform, Dependencies] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Conda:
        general = [(("dependencies", at), one) for at, one in enumerate(self.dependencies)]
        _check_twice(general)
        for platform, them in self.platform_dependencies.items():
            if platform not in self.platforms:
                raise misplaced(
                    f"`{platform}` is not one of the platforms", "platform_dependencies", platform
                )
            place = ("platform_dependencies", platform)
            _check_twice([*general, *(((*place, at), one) for at, one in enumerate(them))])
        return self

    def asked(self, platform: str) -> tuple[str, ...]:
        """Give what is asked for on one platform, in the spec's order."""
        special = {str(one): them for one, them in self.platform_dependencies.items()}
        return (*self.dependencies, *special.get(platform, ()))


def _check_twice(placed: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
    seen: set[str] = set()
    for place, dependency in placed:
        name = name_of(dependency)
        if name in seen:  # conda-lock would take the last of them
            raise misplaced(f"`{name}` is asked for twice", *place)
        seen.add(name)


def environment_yml(conda: Conda) -> str:
    """Write the block as an environment.yml, in which conda-lock reads a comment as a platform selector."""
    lines = ["channels:", *(f"  - {one}" for one in conda.channels), "platforms:"]
    lines += [*(f"  - {one}" for one in sorted(conda.platforms)), "dependencies:"]
    lines += [f'  - "{one}"' for one in conda.dependencies]
    for platform in sorted(conda.platform_dependencies):
        selector = SELECTORS[platform]
        lines += [f'  - "{one}"  # [{selector}]' for one in conda.platform_dependencies[platform]]
    return "\n".join(lines) + "\n"
