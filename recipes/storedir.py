"""The directory of a store: which directories are in it, its format, and whether it can be used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from recipes import files
from recipes.errors import StoreError

FORMAT = "1"
PARTS = ("apt", "archives", "cache", "git", "info", "locks", "logs", "paths", "provenance", "roots", "tmp")

_HINT = "name another directory: `RECIPES_STORE=DIRECTORY recipes …`"
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_PLACE = {errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}


class StoreDirectory:
    """A directory that is a store, or will be one. Several threads may use one object."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known = False
        self._ready = False

    def check(self) -> None:
        """Raise StoreError when the directory is a store of another format, or no store. None is fine."""
        if self._known:
            return
        try:
            found = self._version()
        except OSError as error:
            raise self._unusable(error, "read") from None
        if found is None:
            return
        if found != FORMAT:
            raise StoreError(
                f"the store is of another format\n  expected  {FORMAT}\n  actual    {found}\n"
                f"  store     {self.root}",
                hint=_HINT,
            )
        self._known = True

    def prepare(self) -> None:
        """Make what is missing of it. Raises StoreError as `check`, and when it cannot be written to."""
        if self._ready:
            return
        self.check()
        try:
            self._make()
        except OSError as error:
            raise self._unusable(error, "written to") from None
        self._ready = True

    def _version(self) -> str | None:
        try:
            return (self.root / "version").read_text("utf-8", "replace").strip()
        except FileNotFoundError:
            self._check_strange()
            return None

    def _unusable(self, error: OSError, used: str) -> Exception:
        """Give the error to raise for one of the system: its own where it says nothing of the directory."""
        if error.errno in _NO_PLACE:
            what = "the store cannot be there"
        elif error.errno in _READ_ONLY:
            what = f"the store cannot be {used}"
        else:
            return error
        return StoreError(f"{what}\n  store  {self.root}\n  error  {error.strerror}", hint=_HINT)

    def _check_strange(self) -> None:
        """Refuse a directory with other things in it: gc would remove what lies in places of the store's."""
        names = set(os.listdir(self.root)) if self.root.is_dir() else set()  # noqa: PTH208 - names, not paths
        strange = sorted(name for name in names - {*PARTS, "version"} if not name.startswith(".new-"))
        if strange:
            raise StoreError(
                f"`{self.root}` is not a store: it has `{strange[0]}` and no `version`", hint=_HINT
            )

    def _make(self) -> None:
        for part in ("", *PARTS):
            (self.root / part).mkdir(parents=True, exist_ok=True)
            if not os.access(self.root / part, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not (self.root / "version").exists():
            files.write_atomic(self.root / "version", f"{FORMAT}\n".encode())
