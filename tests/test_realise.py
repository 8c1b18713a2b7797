"""Builds side by side: what happens to the others when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import smallproject
from smallproject import Small, Upstream

pytestmark = pytest.mark.sandbox

RECIPE = """\
summary: made by a program
license: MIT
source_of: thing
script: make.py
outputs:
  made.txt: build/made.txt
"""
FAILS = "import sys\nsys.exit('no such luck')\n"
WAITS = "import time\ntime.sleep(100000)\n"
MAKES = "import sys\nopen('/build/made.txt', 'w').write('made')\n"


@pytest.fixture
def small(upstream: Upstream, tmp_path: Path) -> Iterator[Small]:
    """Give the small project with `last`, that is built with `first` and `second`."""
    if (why := smallproject.refusal(tmp_path)) is not None:
        pytest.skip(why)
    with smallproject.small(upstream, tmp_path) as made:
        for name in ("first", "second", "last"):
            inputs = "inputs: [first, second]\n" if name == "last" else ""
            made.write(f"recipes/components/{name}/recipe.yaml", RECIPE + inputs)
            made.write(f"recipes/components/{name}/make.py", MAKES)
        yield made


@pytest.mark.parametrize(("fails", "waits"), [("first", "second"), ("second", "first")])
def test_the_first_error_ends_the_other_builds(small: Small, fails: str, waits: str) -> None:
    small.write(f"recipes/components/{fails}/make.py", FAILS)
    small.write(f"recipes/components/{waits}/make.py", WAITS)
    started = small.start("build", "--variant", "small", "last")
    ran = smallproject.ended(started).failed(9)
    assert f"error: `{fails}` failed in phase `run`: exit code 1\n  no such luck\n" in ran.err
    assert small.damage() == []
    assert small.entries("last") == []


def test_what_is_built_side_by_side_is_built(small: Small) -> None:
    small.run("build", "--variant", "small", "last").ok()
    assert {name: len(small.entries(name)) for name in ("first", "second", "last")} == {
        "first": 1,
        "second": 1,
        "last": 1,
    }
