"""Single requests to a bucket: tried again while it is worth while, counted, errors explained."""

import json
import logging
import math
import os
import posixpath
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, ClassVar, TypeVar, cast
from uuid import uuid4

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from mfspark.errors import MfsparkError
from mfspark.storage.object_client import connect
from mfspark.storage.object_files import RangeReader, UploadFile
from mfspark.storage.protocol import StoredFile
from mfspark.storage.store_errors import explained, no_bucket, passes
from mfspark.storage.traffic import tally_of

PATIENCE_SECONDS = 60.0
"""How long requests are tried again: a store that is started anew is back in less."""
WHOLE_BYTES = 8 << 20
"""Files up to this size are read whole, by one request."""
PART_BYTES = 10 << 20
"""Files up to this size are written by one request, longer ones in parts of it."""
_PAGE = 1000
_TELL_AFTER_SECONDS = 5.0
_NONCE = "mfspark_nonce"  # a name that S3, Google and Azure all take
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_Answer = TypeVar("_Answer")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundObject:
    """A small object: its content, its version, and the mark of who wrote it."""

    content: bytes
    version: str
    nonce: str


def tries(patience: float) -> Iterator[None]:
    """Yield at once, and then after ever longer, random pauses for so many seconds."""
    deadline = time.monotonic() + patience
    longest = _SHORTEST_PAUSE
    yield
    while (left := deadline - time.monotonic()) > 0:
        # Random from nought: those who failed together do not come again together.
        time.sleep(min(left, random.uniform(0, longest)))
        longest = min(2 * longest, _LONGEST_PAUSE)
        yield


@cache
def bucket_of(url: str, patience: float | None = None) -> "Bucket":
    """Return the one client of this process for a URL and a patience."""
    return Bucket(url, PATIENCE_SECONDS if patience is None else patience)


class Bucket:
    """Objects below one URL, by key. `patience`: how many seconds requests are tried again."""

    _first_process: ClassVar[int | None] = None

    def __init__(self, url: str, patience: float) -> None:
        Bucket._first_process = Bucket._first_process or os.getpid()
        _refuse_fork(Bucket._first_process)
        self._url, self._patience = url, patience
        self.keeps_promises = False
        """Whether this process has seen that conditions are honoured there."""
        self._tally = tally_of(url)
        self._store = connect(url)  # every try is counted and looked at here
        self._uploads = connect(url, patience)  # parts of an upload: any may be repeated

    def get(self, key: str) -> FoundObject | None:
        """Return a small object; None where there is none."""

        def once() -> FoundObject:
            self._tally.add(gets=1)
            result = obstore.get(self._store, key)
            content = bytes(result.bytes())
            self._tally.add(bytes_read=len(content))
            return FoundObject(content, _version(result.meta), result.attributes.get(_NONCE, ""))

        with suppress(FileNotFoundError):
            return self._ask("read", key, once)
        return None

    def there(self, key: str) -> bool:
        """Return whether there is an object."""

        def once() -> None:
            self._tally.add(gets=1)
            obstore.head(self._store, key)

        with suppress(FileNotFoundError):
            self._ask("read", key, once)
            return True
        return False

    def open(self, key: str) -> pa.NativeFile:
        """Open an object: a small one in memory, a long one by ranges. Raises FileNotFoundError."""

        def once() -> pa.NativeFile:
            self._tally.add(gets=1)
            result = obstore.get(self._store, key)
            size, tag = result.meta["size"], result.meta["e_tag"]
            if size > WHOLE_BYTES:  # what comes of this answer is left where it is
                reader = RangeReader(size, lambda start, end: self._get_range(key, start, end, tag))
                return pa.PythonFile(cast("Any", reader), mode="r")
            content = result.bytes()
            self._tally.add(bytes_read=size)
            return pa.BufferReader(pa.py_buffer(content))

        return self._ask("read", key, once)

    def put(self, key: str, content: bytes) -> None:
        """Put an object, whatever was there."""

        def once() -> None:
            self._tally.add(puts=1, bytes_written=len(content))
            obstore.put(self._store, key, content, use_multipart=False)

        self._ask("write", key, once)

    def swap(self, key: str, content: bytes, version: str | None) -> str | None:
        """Put an object if it has this version (None: if there is none); return its new version.

        None where it has another. A put that was answered by an error, or not at all, may have won,
        and the store may have been busy (409): every call marks what it puts, and after an error
        looks for its mark, and whether the condition still holds.
        """
        mode: Any = "create" if version is None else json.loads(version)
        attributes = {_NONCE: uuid4().hex}

        def once() -> str | None:
            self._tally.add(puts=1, bytes_written=len(content))
            try:
                put = obstore.put(self._store, key, content, mode=mode, attributes=attributes)
                return _version(put)
            except BaseError as error:
                conflict = isinstance(error, AlreadyExistsError | PreconditionError)
                if not (conflict or passes(error)):
                    raise
                found = self.get(key)
                if found and found.nonce == attributes[_NONCE]:
                    return found.version
                if (found and found.version) != version:
                    return None
                raise

        return self._ask("write", key, once)

    @contextmanager
    def upload(self, key: str) -> Generator[BinaryIO, None, None]:
        """Yield a file that becomes an object when the block ends without an error."""
        url, attributes = f"{self._url}/{key}", {_NONCE: uuid4().hex}

        def open_writer() -> "obstore.WritableFile":
            _refuse_fork(Bucket._first_process)
            return obstore.open_writer(
                self._uploads, key, attributes=attributes, buffer_size=PART_BYTES
            )

        file = UploadFile(url, open_writer, PART_BYTES)
        try:
            yield cast("BinaryIO", file)
        except BaseException as error:
            file.abort(error)
            raise
        content = file.unsent()
        if content is not None:
            self.put(key, content)
            return
        self._tally.add(puts=2 - (-file.tell() // PART_BYTES), bytes_written=file.tell())
        error = file.finish()
        # The answer to the last request may have been lost, and its repetition found nothing.
        if error is not None and self._nonce(key) != attributes[_NONCE]:
            raise explained(error, url, "write") from None

    def files(self, key: str) -> list[StoredFile]:
        """Return all objects below a key, by key."""

        def once() -> list[StoredFile]:
            self._tally.add(lists=1)
            found = obstore.list(self._store, _prefix(key)).collect()
            self._tally.add(lists=_more_pages(found))
            return [StoredFile(o["path"], o["size"], o["last_modified"]) for o in found]

        return sorted(self._ask("list", key, once), key=lambda file: file.key)

    def names(self, key: str) -> list[str]:
        """Return the sorted names directly below a key."""

        def once() -> list[str]:
            self._tally.add(lists=1)
            found = obstore.list_with_delimiter(self._store, _prefix(key))
            paths = [*found["common_prefixes"], *(o["path"] for o in found["objects"])]
            self._tally.add(lists=_more_pages(paths))
            return sorted({path.rsplit("/", 1)[-1] for path in paths})

        return self._ask("list", key, once)

    def any_below(self, key: str) -> bool:
        """Return whether there is an object below a key."""

        def once() -> bool:
            self._tally.add(lists=1)
            return any(obstore.list(self._store, _prefix(key), chunk_size=1))

        return self._ask("list", key, once)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, as many by one request as the store takes."""

        def once() -> None:
            self._tally.add(deletes=1)
            obstore.delete(self._store, left)

        for start in range(0, len(keys), _PAGE):
            left = keys[start : start + _PAGE]
            while left:
                try:
                    self._ask("delete", left[0], once)
                    break
                except FileNotFoundError:
                    # Azure and Google: one was not there, others may be. S3 says nothing of it.
                    place = posixpath.commonpath([posixpath.dirname(key) for key in left])
                    there = {file.key for file in self.files(place)} if left[1:] else set[str]()
                    left = [key for key in left if key in there]

    def _get_range(self, key: str, start: int, end: int, tag: str | None) -> bytes:
        def once() -> bytes:
            self._tally.add(gets=1, bytes_read=end - start)
            options: Any = {"range": (start, end), "if_match": tag}
            try:
                return bytes(obstore.get(self._store, key, options=options).bytes())
            except PreconditionError:
                self._tally.add(gets=1)
                if obstore.head(self._store, key)["e_tag"] == tag:
                    raise
                place = f"{self._url}/{key}"
                raise MfsparkError(f"{place} was replaced while it was read", "try again") from None

        return self._ask("read", key, once)

    def _nonce(self, key: str) -> str:
        def once() -> str:
            self._tally.add(gets=1)
            return obstore.get(self._store, key).attributes.get(_NONCE, "")

        with suppress(FileNotFoundError):
            return self._ask("read", key, once)
        return ""

    def _ask(self, action: str, key: str, once: Callable[[], _Answer]) -> _Answer:
        """Try until it works. Raises FileNotFoundError, and other errors explained."""
        _refuse_fork(Bucket._first_process)
        url = f"{self._url}/{key}".rstrip("/")
        trouble: Exception | None = None
        tell_after = time.monotonic() + _TELL_AFTER_SECONDS
        for number, _ in enumerate(tries(self._patience)):
            if number:
                self._tally.add(retries=1)
            try:
                return once()
            except FileNotFoundError as error:
                if action in ("read", "delete") and not no_bucket(error):
                    raise FileNotFoundError(f"there is no {url}") from None
                raise explained(error, url, action) from None
            except BaseError as error:
                if not passes(error):
                    raise explained(error, url, action) from None
                trouble = error
                if time.monotonic() > tell_after:
                    said, tell_after = explained(error, url, action).message, math.inf
                    log.warning("%s; trying again for %.0f s", said, self._patience)
        assert trouble is not None
        raise explained(trouble, url, action) from None


def _refuse_fork(first_process: int | None) -> None:
    """Raise where a request would hang: threads of the library do not live on in a fork."""
    if first_process != os.getpid():
        raise RuntimeError("this process was forked from one with object stores; spawn it instead")


def _more_pages(found: Sequence[object]) -> int:
    """Return how many requests a listing took after the first one."""
    return max(0, -(-len(found) // _PAGE) - 1)


def _prefix(key: str) -> str | None:
    return key.strip("/") or None


def _version(meta: Any) -> str:
    """Return what names a version: S3 and Azure go by its etag, Google by its generation."""
    return json.dumps({name: meta[name] for name in ("e_tag", "version") if meta[name] is not None})
