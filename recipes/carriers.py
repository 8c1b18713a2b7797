"""Archives as specs name them, made complete: which file it is, its hash, where in it the tree is."""

from __future__ import annotations

from recipes import archives
from recipes.fetch import Fetcher
from recipes.origins import Archive, DebianOrigin, PypiOrigin, file_name, missing


def completed(fetcher: Fetcher, origin: Archive) -> Archive:
    """Find what a spec leaves out of an archive.

    Raises FetchError where its index cannot be asked or does not have it, IntegrityError.
    """
    if isinstance(origin, PypiOrigin) and origin.sha256 is None:
        found = fetcher.index.find(origin.pypi, origin.file, None)
        return origin.model_copy(update={"sha256": found.sha256})
    return _of_debian(fetcher, origin) if isinstance(origin, DebianOrigin) else origin


def _of_debian(fetcher: Fetcher, origin: DebianOrigin) -> DebianOrigin:
    """Ask for the version, or the newest one, and see in which directory all of the tarball lies."""
    if missing(origin) is not None:
        with fetcher.store.using():
            found = fetcher.debian.find(origin.debian, origin.version, origin.suite)
        known = {"version": found.version, "file": found.file, "sha256": found.sha256}
        origin = origin.model_copy(update={**known, **origin.model_dump(exclude_none=True)})
    if origin.path is None:
        top = archives.top_directory(fetcher.archive(origin), file_name(origin))
        origin = origin.model_copy(update={"path": top})
    return origin
