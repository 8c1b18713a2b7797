"""An environment in other programs' formats, as texts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from recipes.errors import UsageError
from recipes.export.dockerfile import IMAGE

_LISTS = ("PATH", "PYTHONPATH", "CMAKE_PREFIX_PATH")


def environment_yml(variant: str, channels: Sequence[str], dependencies: Sequence[str]) -> str:
    """Write an environment.yml of one platform, which `conda env create` and `micromamba create` take.

    It says what is asked for, not what is locked: `explicit` has that.
    """
    lines = [f"name: {variant}", "channels:", *(f"  - {one}" for one in channels), "dependencies:"]
    return "\n".join([*lines, *(f"  - {json.dumps(one)}" for one in dependencies)]) + "\n"


def explicit(variant: str, platform: str, packages: Sequence[tuple[str, str]]) -> str:
    """Write a list that `conda create --file` and `micromamba create --file` take: URLs with their SHA-256.

    conda reads a SHA-256 behind `#` since 24.1, as `conda list --explicit --sha256` writes it.
    """
    head = [
        f"# {variant}: `conda create --name {variant} --file FILE`",
        f"# platform: {platform}",
        "@EXPLICIT",
    ]
    return "\n".join([*head, *(f"{url}#{sha256}" for url, sha256 in packages)]) + "\n"


def direnv(variant: str, prefix: str, variables: Mapping[str, str]) -> str:
    """Write an `.envrc` (direnv(1), direnv-stdlib(1)); `variables` are those of an empty environment."""
    lines = [
        f"# written by `recipes env export --variant {variant} --format direnv`",
        f"watch_file {shlex.quote(f'{prefix}/environment.json')}",
    ]
    for name, value in variables.items():
        if name in _LISTS:
            lines.append(f"path_add {name} {' '.join(map(shlex.quote, value.split(':')))}")
        else:
            lines.append(f"export {name}={shlex.quote(value)}")
    return "\n".join(lines) + "\n"


def devcontainer(variant: str, image: str | None) -> str:
    """Write a `devcontainer.json` (containers.dev) for the checkout that the specs are in.

    `image` has git and Python with venv. Raises UsageError unless it is named by its digest: a tag is what
    its owner last pushed.
    """
    if image is None or not IMAGE.fullmatch(image):
        said = f"\n  actual    {image}" if image else ""
        raise UsageError(
            f"a devcontainer needs its image by digest\n  expected  NAME@sha256:…{said}",
            hint="`docker buildx imagetools inspect python:3.11-bookworm` prints the digest of a tag",
        )
    document = {
        "name": f"tvm {variant}",
        "image": image,
        # a sandbox within the container's: its default profile refuses user namespaces
        "runArgs": ["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"],
        "onCreateCommand": f"./bootstrap recipes env create --variant {variant}",
        "postAttachCommand": f"echo './bootstrap recipes shell --variant {variant}'",
    }
    return json.dumps(document, indent=2) + "\n"
