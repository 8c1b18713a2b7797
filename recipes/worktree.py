"""A person's own checkout, as git sees it: which files are content, and whether they are as committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import dates, gitsays, process
from recipes.errors import UsageError
from recipes.gitobjects import environment
from recipes.tree import to_text

# a user's `status.showUntrackedFiles` or a submodule's `ignore` would hide what is taken
_STATUS = ("--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none", "--", ".")


@dataclass(frozen=True)
class Worktree:
    """A checkout: its HEAD and when that was committed, whether anything differs from it, and its files.

    `paths` are relative: what is tracked, and what is new and not ignored. As in a commit, the files of a
    submodule are not among them: that is a checkout of its own (`submodule`). `dirty` counts them, too.
    """

    commit: str
    date: str
    dirty: bool
    paths: tuple[str, ...]


def read(path: Path, env: Mapping[str, str]) -> Worktree:
    """Look at a checkout, or a directory of one, without changing it. Raises UsageError where none is."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a directory")
    commit, date = _git(path, env, "log", "-1", "--no-show-signature", "--format=%H %cI").decode().split()
    dirty = bool(_git(path, env, "status", *_STATUS))
    listed = _git(path, env, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    found = {to_text(one) for one in listed.split(b"\0") if one}
    there = sorted(one for one in found if (path / one).is_symlink() or (path / one).is_file())
    if not there:
        raise UsageError(f"{path} has no file that git knows of or would add")
    return Worktree(commit, dates.written(dates.moment(date)), dirty, tuple(there))


def submodule(path: Path, below: str, env: Mapping[str, str]) -> Worktree:
    """Look at a submodule of a checkout. Raises UsageError where it is not checked out."""
    inside = path / below
    # git finds the checkout around an empty directory; only the top of one has no prefix
    if not inside.is_dir() or _git(inside, env, "rev-parse", "--show-prefix").strip():
        raise UsageError(
            f"submodule `{below}` of {path} is not checked out",
            hint=f"`git -C {path} submodule update --init --recursive`",
        )
    return read(inside, env)


def _git(path: Path, env: Mapping[str, str], *argv: str) -> bytes:
    # optional locks: `git status` would refresh the index of a checkout that is not ours
    quiet = {**environment(env, silence=60), "GIT_OPTIONAL_LOCKS": "0"}
    ended = process.run(["git", "-C", str(path), *argv], env=quiet, timeout=120)
    if ended.code:
        why = gitsays.reason(to_text(ended.err))
        raise UsageError(f"{path} is not a git checkout that can be read\n  git says  {why}")
    return ended.out
