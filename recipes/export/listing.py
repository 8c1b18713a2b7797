"""What a tree has in it, as a shell with coreutils can say it, too.

A listing's text has one line a file, as `sha256sum` prints it (`HEX  ./PATH`), `x ./PATH` for each file
that its owner may execute, and `./PATH -> TARGET` for each symbolic link, sorted by bytes. Its digest is the
SHA-256 of that text. Empty directories and all other modes are no part of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from recipes import files
from recipes.errors import UsageError
from recipes.export.installscript import Listing


def listing(root: Path) -> Listing:
    """List a tree. Raises UsageError for a name or a link that lines of text cannot tell."""
    lines: list[str] = []
    entries: list[tuple[str, str]] = []
    for directory, below, names in os.walk(root):
        for name in (*below, *names):
            path = Path(directory, name)
            mode = path.lstat().st_mode
            shown = _shown(path.relative_to(root).as_posix(), root)
            if stat.S_ISLNK(mode):
                lines.append(f"./{shown} -> {_shown(os.readlink(path), root)}")  # noqa: PTH115 - as it is written
                entries.append(("link", shown))
            elif stat.S_ISREG(mode):
                executable = bool(mode & stat.S_IXUSR)
                lines += [f"{files.sha256(path)}  ./{shown}", *([f"x ./{shown}"] if executable else [])]
                entries.append(("755" if executable else "644", shown))
    text = "".join(f"{line}\n" for line in sorted(lines, key=str.encode))
    return Listing(hashlib.sha256(text.encode()).hexdigest(), tuple(sorted(entries, key=lambda one: one[1])))


def _shown(text: str, root: Path) -> str:
    """Refuse what `sha256sum` and `read` would write or read otherwise."""
    if not text.isprintable() or "\\" in text or text != text.strip() or not text.isascii():
        raise UsageError(f"a shell script cannot name a file that is in {root.name}: {text!a}")
    return text
