"""Archives: what is in them, and which of it goes where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipes import tarfiles, tree, zipfiles
from recipes.errors import IntegrityError, SpecError
from recipes.files import FileChunks, Tick
from recipes.members import Limits
from recipes.treewriter import TreeWriter

LIMITS = Limits()


@dataclass(frozen=True)
class Want:
    """A part of an archive and who takes it.

    `inside` is a directory in the archive, "" for its top; the writer sees paths below it.
    """

    inside: str
    writer: TreeWriter

    def below(self, path: str) -> str | None:
        """Give a member's path below `inside`, or None when it is elsewhere."""
        if not self.inside:
            return path
        prefix = f"{self.inside}/"
        return path[len(prefix) :] if path.startswith(prefix) else None


def entries(archive: Path, name: str, *, limits: Limits = LIMITS) -> Iterator[tree.Entry]:
    """Yield an archive's files and symbolic links; `name` is its file name, which says of what kind it is.

    An entry's chunks are there until the next entry is asked for. Directories are not listed. Raises
    IntegrityError for an archive that is damaged, that holds more than `limits`, or has a member which is
    not allowed (a name or a link that leaves the tree, a device, a fifo, a sparse or an encrypted file);
    SpecError for an unknown kind, ToolchainError for a compression that is not supported here.
    """
    suffix = name.lower()
    if suffix.endswith(zipfiles.SUFFIXES):
        return zipfiles.entries(archive, name, limits)
    if suffix.endswith(tarfiles.SUFFIXES):
        return tarfiles.entries(archive, name, limits)
    known = " ".join((*tarfiles.SUFFIXES, *zipfiles.SUFFIXES))
    raise SpecError(f"`{name}` is no archive of a known kind\n  known  {known}")


def top_directory(archive: Path, name: str) -> str | None:
    """Name the directory that all of an archive lies in, None where there is none. Raises as `entries`."""
    top = None
    for entry in entries(archive, name):
        first, below, _ = entry.path.partition("/")
        if not below or top not in (None, first):
            return None
        top = first
    return top


def unpack(archive: Path, name: str, wants: Sequence[Want], tick: Tick, *, limits: Limits = LIMITS) -> None:
    """Write the wanted parts of an archive in one pass, and close their writers.

    An entry goes to every want that it lies in and whose filter takes it. `tick` counts the files that were
    written. Raises as `entries` and `TreeWriter.write`, and IntegrityError for a want that took nothing.
    """
    before = [want.writer.count for want in wants]
    written = 0
    for entry in entries(archive, name, limits=limits):
        if taken := _deal(entry, wants, name):
            written += taken
            tick(written, None)
    for want, count in zip(wants, before, strict=True):
        if want.writer.count == count:
            raise IntegrityError(f"{name} has nothing that is wanted\n  inside  {want.inside or '.'!r}")
        want.writer.close()


def _deal(entry: tree.Entry, wants: Sequence[Want], name: str) -> int:
    """Give an entry to whom it belongs; the chunks can be read once, so the second reads the first's file."""
    taken = 0
    for want in wants:
        below = want.below(entry.path)
        place = None if below is None else want.writer.place(below)
        if place is None:
            continue
        if entry.kind == "symlink":
            tree.check_target(place, entry.target, name)
        want.writer.write(place, entry)
        taken += 1
        entry = replace(entry, chunks=FileChunks(want.writer.path(place), entry.size))
    return taken
