"""What GitHub says of a repository, and what origins have now, asked of real servers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import gitserver
import pytest
from fileserver import Page, Server
from gitserver import Repo

from recipes.fetch import Fetcher
from recipes.hashes import sri
from recipes.health import hosting, reach
from recipes.health.hosting import Hosting
from recipes.health.model import Origin
from recipes.lock import LockedSource
from recipes.origins import GitOrigin, UrlOrigin
from recipes.report import QUIET, Report
from recipes.run import Run

URL = "https://github.com/owner/name"
SILENT = "GitHub does not say whether it is archived: "


def fetcher(place: Path, mirror: str) -> Fetcher:
    """Make what asks, with mirrors and no configuration of the user's."""
    settings = {"RECIPES_STORE": str(place / "store"), "RECIPES_MIRROR": mirror}
    environ = {"PATH": os.environ["PATH"], "HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1", **settings}
    return Run(Report(QUIET), environ, place).fetcher()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"archived": False, "full_name": "owner/name"}, Hosting(archived=False)),
        ({"archived": True, "full_name": "Owner/Name"}, Hosting(archived=True)),
        (
            {"archived": False, "full_name": "other/new"},
            Hosting(archived=False, moved_to="https://github.com/other/new"),
        ),
        (
            {"archived": "no", "full_name": "owner/name"},
            Hosting(unknown=f"{SILENT}its answer cannot be read"),
        ),
        ({"archived": False, "full_name": "no name"}, Hosting(unknown=f"{SILENT}its answer cannot be read")),
        ([], Hosting(unknown=f"{SILENT}its answer cannot be read")),
    ],
)
@pytest.mark.parametrize("url", [URL, f"{URL}.git"])
def test_what_github_says(tmp_path: Path, server: Server, url: str, body: object, found: Hosting) -> None:
    server.put("/repos/owner/name", Page(json.dumps(body).encode()))
    asking = fetcher(tmp_path, f"https://api.github.com/={server.address}/")
    assert hosting.ask(asking, url) == found


@pytest.mark.parametrize("status", [403, 404])
def test_github_says_no(tmp_path: Path, server: Server, status: int) -> None:
    server.put("/repos/owner/name", Page(b"{}", statuses=[status] * 9))
    told = hosting.ask(fetcher(tmp_path, f"https://api.github.com/={server.address}/"), URL)
    assert (told.archived, told.moved_to) == (None, None)
    assert (told.unknown or "").startswith(SILENT)
    assert str(status) in (told.unknown or "")


def test_what_is_not_json_and_what_is_too_long(tmp_path: Path, server: Server) -> None:
    asking = fetcher(tmp_path, f"https://api.github.com/={server.address}/")
    server.put("/repos/owner/name", Page(b"<html>"))
    assert hosting.ask(asking, URL).unknown == f"{SILENT}its answer cannot be read"
    server.put("/repos/owner/name", Page(b" " * ((1 << 20) + 1)))
    assert "is longer than a document may be" in (hosting.ask(asking, URL).unknown or "")


def test_another_host_and_a_dead_one(tmp_path: Path) -> None:
    asking = fetcher(tmp_path, "https://api.github.com/=http://127.0.0.1:1/")
    assert hosting.ask(asking, "https://git.example/owner/name") == Hosting()
    assert (hosting.ask(asking, URL).unknown or "").startswith(SILENT)


def locked(commit: str, *origins: GitOrigin | UrlOrigin) -> LockedSource:
    return LockedSource(ref="main", commit=commit, hash=sri(bytes(32)), origins=origins)


def test_a_git_server_that_has_the_commit_no_more(tmp_path: Path) -> None:
    repository = Repo(tmp_path / "git/thing")
    had = repository.commit({b"a": b"1\n"}, when="1716842321 +0000")
    repository.ref("refs/heads/main", had)
    origin = GitOrigin(git="https://git.example/thing")
    with gitserver.serving(tmp_path / "git") as server:
        asking = fetcher(tmp_path, f"https://git.example/={server.url}/")
        assert reach.origins(asking, locked(had, origin)) == (Origin(origin.git, "git", answers=True),)
        asking.git.fetch(origin.git, had, None, lambda _done, _total=None: None)  # the store has it now
        lost = "0123456789" * 4
        assert reach.origins(asking, locked(lost, origin)) == (
            Origin(origin.git, "git", answers=False, why=f"it does not have commit {lost}"),
        )
    dead = fetcher(tmp_path, "https://git.example/=http://127.0.0.1:1/")
    [silent] = reach.origins(dead, locked(had, origin))
    assert silent.answers is None
    assert silent.why


def test_files_at_urls(tmp_path: Path, server: Server) -> None:
    server.put("/there.tar.gz", Page(b"bytes"))
    names = ("there.tar.gz", "gone.tar.gz")
    origins = [UrlOrigin(url=f"https://files.example/{name}", sha256="0" * 64) for name in names]
    asking = fetcher(tmp_path, f"https://files.example/={server.address}/")
    there, gone = reach.origins(asking, locked("a" * 40, *origins))
    assert (there.kind, there.answers, there.why) == ("url", True, None)
    assert (gone.answers, (gone.why or "")[:8]) == (False, "HTTP 404")
