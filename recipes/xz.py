"""The bytes of an .xz file (xz-file-format.txt of XZ Utils), with a bound on the memory that takes.

`lzma.LZMAFile` would do but for that: a header of twelve bytes can ask for a dictionary of 4 GiB. What
`xz -9` writes needs 65 MiB.
"""

from __future__ import annotations

import io
import lzma
from typing import Any, BinaryIO

from recipes import files

MEMORY = 512 << 20  # bytes of a decoder


class XzFile(io.RawIOBase):
    """An .xz file's content, one stream after another; `raw` is read forward only.

    Reading raises LZMAError for damage and for what needs more than MEMORY, EOFError where it is cut off.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._given = b""  # read, and not yet handed to the decoder
        self._stream: lzma.LZMADecompressor | None = None

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Unpack the next bytes, at most as many as `buffer` holds; 0 at the end."""
        view = memoryview(buffer)
        data = b""
        while not data:
            stream = self._running() or self._next()
            if stream is None:
                return 0
            data = stream.decompress(self._input(stream), len(view))
        view[: len(data)] = data
        return len(data)

    def _running(self) -> lzma.LZMADecompressor | None:
        return None if self._stream is None or self._stream.eof else self._stream

    def _next(self) -> lzma.LZMADecompressor | None:
        """Begin the next stream, behind the zeros that may be between two; None at the end of the file."""
        self._given = b"" if self._stream is None else self._stream.unused_data
        while not (given := self._given.lstrip(b"\0")):
            self._given = self._raw.read(files.PIECE)
            if not self._given:
                return None
        self._given = given
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        return self._stream

    def _input(self, stream: lzma.LZMADecompressor) -> bytes:
        given, self._given = self._given, b""
        if given or not stream.needs_input:
            return given
        if not (given := self._raw.read(files.PIECE)):
            raise EOFError("it ends too soon")
        return given
