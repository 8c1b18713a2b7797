"""The `env export` command's work: one function for each format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import lockcheck, requirements
from recipes.conda.block import Conda
from recipes.develop import enter, exports
from recipes.errors import UsageError
from recipes.requirements import Requirements
from recipes.run import Run, look_up, system
from recipes.spec import Specs


@dataclass(frozen=True)
class Asked:
    """What is asked for on the command line."""

    variant: str
    kind: str
    platform: str | None
    image: str | None
    path: Path | None


def export(run: Run, asked: Asked) -> str:
    """Give a variant's environment as a text.

    Raises UsageError for a format or a platform that there is not, LockError where locks do not answer specs.
    """
    look_up("format", asked.kind, FORMATS)
    return FORMATS[asked.kind](run, asked)


def _requirements(run: Run, asked: Asked) -> str:
    """Give the toolchain and the packages for `pip install --require-hashes -r`."""
    project = run.project()
    specs = project.specs(asked.variant)
    toolchain = project.toolchain(asked.variant)
    lockcheck.satisfied(specs, project.lock(asked.variant), toolchain)
    packages = lockcheck.developed(specs, project).wheels
    if asked.platform:
        look_up(f"platform of `{asked.variant}`", asked.platform, specs.environment.platforms)
    named = {one.project for one in packages}
    tools = [one for one in toolchain.wheels if one.project not in named]
    kept = [one for one in (*tools, *packages) if asked.platform in (None, one.platform)]
    return requirements.render(Requirements(tuple(kept)))


def _direnv(run: Run, asked: Asked) -> str:
    prefix = enter.prefix_of(run, asked.variant, asked.path)
    used, one = enter.ready(run, asked.variant, prefix)
    return exports.direnv(asked.variant, os.fspath(prefix), used.variables(run, one, None, {}))


def _devcontainer(run: Run, asked: Asked) -> str:
    run.project().specs(asked.variant)
    return exports.devcontainer(asked.variant, asked.image)


def _conda(specs: Specs, asked: Asked) -> tuple[Conda, str]:
    """Give what is asked of conda, and for which platform."""
    conda, platform = specs.environment.conda, asked.platform or system()
    if conda is None:
        raise UsageError(
            f"`{specs.variant}` has no `conda:` block", hint="`--format requirements` has its wheels"
        )
    look_up(f"platform in the `conda:` block of `{specs.variant}`", platform, conda.platforms)
    return conda, platform


def _environment_yml(run: Run, asked: Asked) -> str:
    conda, platform = _conda(run.project().specs(asked.variant), asked)
    return exports.environment_yml(asked.variant, conda.channels, conda.asked(platform))


def _explicit(run: Run, asked: Asked) -> str:
    specs = run.project().specs(asked.variant)
    _, platform = _conda(specs, asked)
    packages = [(one.url, one.sha256) for one in run.conda(specs, platform)]
    return exports.explicit(asked.variant, platform, packages)


FORMATS: Mapping[str, Callable[[Run, Asked], str]] = {
    "environment.yml": _environment_yml,
    "explicit": _explicit,
    "requirements": _requirements,
    "direnv": _direnv,
    "devcontainer": _devcontainer,
}
