"""CMakeUserPresets.json: `cmake --preset VARIANT` in a checkout of TVM.

Version 6 of cmake-presets(7), which CMake 3.25 and newer read; the toolchain's is newer. A person's own
presets file of a checkout, CMakeUserPresets.json is never to be committed, so it may name local paths.
"""

from __future__ import annotations

import json
from typing import Any

from recipes.develop.layout import Layout, directory, settings

FILE = "CMakeUserPresets.json"
_VERSION = 6
_VENDOR = "tvm-recipes"


def text(made: Layout, prefix: str) -> str:
    """Write the presets file of a variant for the environment at `prefix`; always the same text."""
    configure = {
        "name": made.variant,
        "displayName": f"{made.target} of {made.variant}",
        "generator": "Ninja",
        "binaryDir": f"${{sourceDir}}/{directory(made)}",
        "cmakeExecutable": f"{prefix}/bin/cmake",
        "environment": {"PATH": f"{prefix}/bin:$penv{{PATH}}"},
        "cacheVariables": settings(made, prefix),
        "warnings": {"unusedCli": False},
    }
    build = {"name": made.variant, "configurePreset": made.variant, "targets": list(made.targets)}
    document = {
        "version": _VERSION,
        "vendor": {_VENDOR: {"variant": made.variant}},
        "configurePresets": [configure],
        "buildPresets": [build],
    }
    return json.dumps(document, indent=2) + "\n"


def is_ours(text_: bytes) -> bool:
    """Say whether a presets file is one that `text` wrote, and nobody added to."""
    try:
        found: Any = json.loads(text_)
        return set(found) == {"version", "vendor", "configurePresets", "buildPresets"} and (
            set(found["vendor"]) == {_VENDOR}
            and [one["name"] for one in found["configurePresets"]] == [found["vendor"][_VENDOR]["variant"]]
        )
    except (ValueError, TypeError, LookupError):
        return False
