"""The `env export` command's work: one function for each format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import locking, requirements
from recipes.develop import enter, exports
from recipes.errors import UsageError
from recipes.located import nearest
from recipes.requirements import Requirements
from recipes.run import Run, system


@dataclass(frozen=True)
class Asked:
    """What is asked for on the command line."""

    variant: str
    kind: str
    platform: str | None
    image: str | None
    path: Path | None


def export(run: Run, asked: Asked) -> str:
    """Give a variant's environment as a text. Raises UsageError for a format that there is not."""
    if asked.kind not in FORMATS:
        near = nearest(asked.kind, FORMATS)
        raise UsageError(f"no format `{asked.kind}`{near}", hint=f"there is {', '.join(FORMATS)}")
    return FORMATS[asked.kind](run, asked)


def _requirements(run: Run, asked: Asked) -> str:
    """Give the toolchain and the packages for `pip install --require-hashes -r`."""
    project = run.project()
    specs = project.specs(asked.variant)
    packages = locking.developed(specs, project).wheels
    named = {one.project for one in packages}
    tools = [one for one in project.toolchain(asked.variant).wheels if one.project not in named]
    kept = [one for one in (*tools, *packages) if asked.platform in (None, one.platform)]
    return requirements.render(Requirements(tuple(kept)))


def _direnv(run: Run, asked: Asked) -> str:
    prefix = enter.prefix_of(run, asked.variant, asked.path)
    used, one = enter.ready(run, asked.variant, prefix)
    return exports.direnv(asked.variant, os.fspath(prefix), used.variables(run, one, None, {}))


def _devcontainer(run: Run, asked: Asked) -> str:
    run.project().specs(asked.variant)
    return exports.devcontainer(asked.variant, asked.image)


def _environment_yml(run: Run, asked: Asked) -> str:
    conda = run.project().specs(asked.variant).environment.conda
    if conda is None:
        raise UsageError(
            f"`{asked.variant}` has no `conda:` block", hint="`--format requirements` has its wheels"
        )
    platform = asked.platform or system()
    return exports.environment_yml(asked.variant, conda.channels, conda.asked(platform))


def _explicit(run: Run, asked: Asked) -> str:
    project = run.project()
    wanted, locked = asked.platform or system(), project.conda_lock(asked.variant)
    packages = [(one.url, one.sha256) for one in locked.for_platform(wanted)]
    return exports.explicit(asked.variant, wanted, packages)


FORMATS: Mapping[str, Callable[[Run, Asked], str]] = {
    "environment.yml": _environment_yml,
    "explicit": _explicit,
    "requirements": _requirements,
    "direnv": _direnv,
    "devcontainer": _devcontainer,
}
