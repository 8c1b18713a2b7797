from pathlib import Path

import hypothesis
import pytest

# the same examples every time, however slow the machine is
hypothesis.settings.register_profile("project", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the repository's top directory."""
    return Path(__file__).resolve().parent.parent
