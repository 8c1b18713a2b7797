from collections.abc import Iterator
from pathlib import Path

import condachannel
import fileserver
import hypothesis
import pytest
import smallproject
from fileserver import Server
from smallproject import Small, Upstream

# the same examples every time, however slow the machine is
hypothesis.settings.register_profile("project", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the repository's top directory."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    """Give what the small project is made from; nobody changes it."""
    return smallproject.upstream(tmp_path_factory.mktemp("upstream"))


@pytest.fixture
def small(upstream: Upstream, tmp_path: Path) -> Iterator[Small]:
    """Give a checkout of the small project, with an empty store."""
    with smallproject.small(upstream, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def can_build(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where there is no sandbox to build in."""
    if (why := smallproject.refusal(tmp_path_factory.mktemp("sandbox"))) is not None:
        pytest.skip(why)


@pytest.fixture(scope="session")
def fetched(can_build: None, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with all that the small project's builds fetch; nobody changes it."""
    with smallproject.small(upstream, tmp_path_factory.mktemp("fetched")) as made:
        made.run("fetch", "--variant", "both").ok()
        return made.store


@pytest.fixture(scope="session")
def built(fetched: Path, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store in which `both` was built; nobody changes it."""
    with smallproject.small(upstream, tmp_path_factory.mktemp("built")) as made:
        made.warm(fetched)
        made.build("both").ok()
        return made.store


@pytest.fixture
def warm(small: Small, fetched: Path) -> Small:
    """Give a checkout of the small project whose builds have nothing to fetch."""
    small.warm(fetched)
    return small


@pytest.fixture(scope="module")
def _serving() -> Iterator[Server]:
    with fileserver.serve() as running:
        yield running


@pytest.fixture
def server(_serving: Server) -> Server:
    """Give a web server without pages, that nobody asked yet."""
    _serving.pages.clear()
    _serving.asked.clear()
    return _serving


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the index of a small conda channel; nobody changes it."""
    return condachannel.make(tmp_path_factory.mktemp("index"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a user's home, which is empty."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"
