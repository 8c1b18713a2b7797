"""A person's own checkout, as git sees it: which files are content, and whether they are as committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import gitsays, process
from recipes.errors import UsageError
from recipes.gitobjects import environment
from recipes.tree import to_text


@dataclass(frozen=True)
class Worktree:
    """A checkout: its HEAD, whether anything in it differs from that, and its files.

    `paths` are relative: what is tracked, submodules' files included, and what is new and not ignored.
    """

    commit: str
    dirty: bool
    paths: tuple[str, ...]


def read(path: Path, env: Mapping[str, str]) -> Worktree:
    """Look at a checkout without changing it. Raises UsageError where there is none."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a directory")
    commit = _git(path, env, "rev-parse", "--verify", "HEAD").decode().strip()
    dirty = bool(_git(path, env, "status", "--porcelain", "-z", "--ignore-submodules=none", "--", "."))
    listed = _git(path, env, "ls-files", "-z", "--cached", "--recurse-submodules", "--", ".")
    listed += _git(path, env, "ls-files", "-z", "--others", "--exclude-standard", "--", ".")
    found = {to_text(one) for one in listed.split(b"\0") if one}
    there = sorted(one for one in found if (path / one).is_symlink() or (path / one).is_file())
    return Worktree(commit, dirty, tuple(there))


def _git(path: Path, env: Mapping[str, str], *argv: str) -> bytes:
    # optional locks: `git status` would refresh the index of a checkout that is not ours
    quiet = {**environment(env, silence=60), "GIT_OPTIONAL_LOCKS": "0"}
    ended = process.run(["git", "-C", str(path), *argv], env=quiet, timeout=120)
    if ended.code:
        why = gitsays.reason(to_text(ended.err))
        raise UsageError(f"{path} is not a git checkout that can be read\n  git says  {why}")
    return ended.out
