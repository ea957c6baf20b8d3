"""Objects as files: read by ranges, written as a stream."""

import io
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError

from mfspark.storage.store_errors import explained

if TYPE_CHECKING:
    from obstore import WritableFile

AT_LEAST_BYTES = 1 << 20
"""What a request reads at least: a round trip costs as much as a megabyte."""


class RangeReader(io.RawIOBase):
    """Reads an object of a known size by ranges; the last range is kept."""

    def __init__(self, size: int, get_range: Callable[[int, int], bytes]) -> None:
        self._size, self._get_range = size, get_range
        self._at = 0
        self._kept, self._kept_at = b"", 0

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, or all that are left."""
        left = max(0, self._size - self._at)
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        if not self._kept_at <= self._at <= self._kept_at + len(self._kept) - size:
            end = min(self._size, self._at + max(size, AT_LEAST_BYTES))
            self._kept, self._kept_at = self._get_range(self._at, end), self._at
        start = self._at - self._kept_at
        self._at += size
        return self._kept[start : start + size]

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; nothing is asked."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True


class UploadFile(io.RawIOBase):
    """A stream that is sent in parts as soon as it is longer than one; closing does not end it."""

    def __init__(
        self, url: str, open_writer: Callable[[], "WritableFile"], part_bytes: int
    ) -> None:
        self._url, self._open_writer, self._part_bytes = url, open_writer, part_bytes
        self._start = io.BytesIO()
        self._writer: WritableFile | None = None
        self._at = 0

    def write(self, data: Any, /) -> int:
        """Write all of a buffer. Raises MfsparkError."""
        # The library takes no buffers of pyarrow.
        content = data if isinstance(data, bytes) else bytes(data)
        self._at += len(content)
        try:
            if self._writer is None and self._at > self._part_bytes:
                self._writer = self._open_writer()
                self._writer.write(self._start.getvalue())
            (self._writer or self._start).write(content)
        except (BaseError, OSError) as error:
            raise explained(error, self._url, "write") from None
        return len(content)

    def unsent(self) -> bytes | None:
        """Return the content of a short file, of which nothing was sent; None for others."""
        return self._start.getvalue() if self._writer is None else None

    def finish(self) -> Exception | None:
        """Send the rest and make an object of the parts; return an error that came of it."""
        assert self._writer is not None
        try:
            self._writer.close()
        except (BaseError, OSError) as error:
            return error
        return None

    def abort(self, error: BaseException) -> None:
        """Give up the parts that were sent."""
        if self._writer is not None:
            with suppress(BaseError, OSError):  # what is left of them counts for nothing
                self._writer.__exit__(type(error), error, error.__traceback__)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._at

    def writable(self) -> bool:
        """Return True."""
        return True
