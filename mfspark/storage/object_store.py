"""A warehouse in a bucket of S3, Google Cloud Storage or Azure, or of what speaks like them."""

import re
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import pyarrow as pa

from mfspark.errors import ConfigError
from mfspark.storage.leases import Leases
from mfspark.storage.protocol import StoredFile
from mfspark.storage.store_errors import UnansweredError

if TYPE_CHECKING:
    from mfspark.storage.bucket import Bucket

_URL = re.compile(r"(s3|gs|az)://([a-z0-9][a-z0-9._-]*)((?:/+[^/?#@]+)*)/*", re.IGNORECASE)
_CHECK_SECONDS = 10.0


@dataclass(frozen=True)
class ObjectStorage:
    """Objects below a URL. What is written appears at once and whole, and is durable then.

    It is its URL, and nothing else: every process that meets it makes a client of its own, with
    the settings and credentials of its environment, by the names that obstore's documents give
    (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID; AZURE_STORAGE_*; GOOGLE_*).
    """

    root: str

    @classmethod
    def at(cls, url: str) -> "ObjectStorage":
        """Return the storage of s3://, gs:// or az:// BUCKET/PREFIX. Nothing is asked.

        Raises ConfigError for what is no such URL, and where the package that it needs is missing.
        """
        parts = _URL.fullmatch(url)
        segments = [segment for segment in parts[3].split("/") if segment] if parts else []
        if not parts or {".", ".."} & {*segments}:
            raise ConfigError(
                f"the warehouse {url} is not the URL of a bucket and a prefix",
                "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX; "
                "credentials and endpoints come from the environment",
            )
        _buckets()
        return cls("/".join((f"{parts[1].lower()}://{parts[2]}", *segments)))

    @property
    def moves(self) -> bool:
        """An object cannot be renamed."""
        return False

    def check(self) -> None:
        """Try whether the store keeps the promises that publishing relies on, with a small file.

        Raises ConfigError where it does not, where it cannot be reached within ten seconds, and
        where reading, writing, listing or deleting is not permitted. Where all was well in this
        process before, nothing is asked.
        """
        bucket, key = self._bucket(_CHECK_SECONDS), f".check-{uuid4().hex}"
        if bucket.keeps_promises:
            return
        try:
            bucket.any_below("")  # before writing: some stores make the bucket that is written to
            first = bucket.swap(key, b"first", None)
            try:
                kept = first is not None and bucket.swap(key, b"again", None) is None
                second = bucket.swap(key, b"second", first) if kept else None
                kept = second is not None and bucket.swap(key, b"late", first) is None
                found = bucket.get(key)
                kept = bool(kept and found and found.content == b"second" and found.nonce)
                listed = bucket.names("")
            finally:
                bucket.delete([key])
        except UnansweredError as error:
            raise ConfigError(error.message, error.hint) from None
        if not kept or key not in listed:
            raise ConfigError(
                f"the store of {self.root} ignores conditions (If-Match, If-None-Match), or shows "
                "old content: two runs at once could spoil a warehouse there",
                "choose a store with conditional writes: AWS S3, Google Cloud Storage, Azure, "
                "or one that says that it has them",
            )
        bucket.keeps_promises = True

    def show(self, key: str) -> str:
        """Return the URL of a key."""
        return f"{self.root}/{key}" if key else self.root

    def local(self, key: str) -> None:
        """Return None: nothing is on a disk."""

    def exists(self, key: str = "") -> bool:
        """Return whether there is an object, or any below."""
        bucket = self._bucket()
        return (key != "" and bucket.there(key)) or bucket.any_below(key)

    def read(self, key: str) -> bytes | None:
        """Return the content of an object; None where there is none."""
        found = self._bucket().get(key)
        return found and found.content

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return the content of an object, and its etag or generation; None where there is none."""
        found = self._bucket().get(key)
        return (found.content, found.version) if found else None

    def put(self, key: str, content: bytes) -> None:
        """Put an object, whatever was there."""
        self._bucket().put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Put an object where there is none (If-None-Match)."""
        return self.swap(key, content, None) is not None

    def replace(self, key: str, content: bytes, version: str | None) -> bool:
        """Put an object if it still has this version (If-Match)."""
        return self.swap(key, content, version) is not None

    def swap(self, key: str, content: bytes, version: str | None) -> str | None:
        """Put an object if it still has this version; return the new one, else None."""
        return self._bucket().swap(key, content, version)

    def names(self, key: str) -> list[str]:
        """Return the sorted names directly below a key but hidden ones."""
        return [name for name in self._bucket().names(key) if not name.startswith(".")]

    def files(self, key: str) -> list[StoredFile]:
        """Return all objects below a key, by key."""
        return self._bucket().files(key)

    def sizes(self, key: str, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of objects below a key, by one listing."""
        wanted, start = set(names), len(f"{key}/")
        found = {file.key[start:]: file.bytes for file in self.files(key)} if wanted else {}
        return {name: size for name, size in found.items() if name in wanted}

    def open(self, key: str) -> pa.NativeFile:
        """Open an object: a small one is read whole, a long one by ranges."""
        return self._bucket().open(key)

    @contextmanager
    def writing(self, key: str, *, durable: bool = True) -> Generator[BinaryIO, None, None]:
        """Yield a stream of parts, which become an object when the block ends without an error.

        What a process leaves that dies in the block is in no listing; a rule of the bucket for
        unfinished uploads frees its space.
        """
        del durable  # it always is
        with self._bucket().upload(key) as file:
            yield file

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, up to a thousand by one request."""
        self._bucket().delete(list(keys))

    def discard(self, key: str) -> None:
        """Delete all objects below a key, one after the other."""
        self.delete(file.key for file in self.files(key))

    def flush(self, key: str) -> None:
        """Nothing: what is written is durable."""

    def sync(self, keys: Iterable[str]) -> None:
        """Nothing: what is written is durable."""

    def move(self, source: str, target: str) -> None:
        """Not here: see `moves`."""
        raise NotImplementedError(f"{self.root} cannot move {source} to {target}")

    def hold(
        self, name: str, note: bytes, *, shared: bool = False, wait: bool = False
    ) -> AbstractContextManager[None]:
        """Hold a lease: advisory, and lost half a minute after its holder died."""
        return Leases(self).hold(name, note, shared=shared, wait=wait)

    def _bucket(self, patience: float | None = None) -> "Bucket":
        return _buckets()(self.root, patience)


def _buckets() -> Callable[[str, float | None], "Bucket"]:
    """Return what gives clients; the package for it is loaded where an object store is met."""
    try:
        from mfspark.storage.bucket import bucket_of
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise ConfigError(
            "the package for object stores is not installed here",
            'pip install "mfspark[cloud]", on the driver and on every executor',
        ) from None
    return bucket_of
