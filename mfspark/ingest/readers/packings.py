"""Compressed text files: what they are told by, and how they are unpacked as they are read."""

import bz2
import gzip
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, cast

import pyarrow as pa

from mfspark.errors import InputError
from mfspark.ingest.readers.files import open_input

_HEADS = {
    "gzip": rb"\x1f\x8b",
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",  # a name may begin with BZh
    "xz": rb"\xfd7zXZ\x00",
    "zstandard": rb"\x28\xb5\x2f\xfd",
    "zip": rb"PK(\x03\x04|\x05\x06)",  # the second is of one without any file
}
SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstandard": ".zst", "zip": ".zip"}
"""The packings that are read, each with the end of such a file's name."""
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What zipfile raises: the last where it knows no such compression or wants a password."""
_UNREADABLE = {
    "a 7-Zip archive": b"7z\xbc\xaf\x27\x1c",
    "a RAR archive": b"Rar!\x1a\x07",
    "an LZ4 file": b"\x04\x22\x4d\x18",
    "a tar archive": b"",
}
_TAR = slice(257, 262)
_DAMAGED = (
    *DAMAGED_ZIP, gzip.BadGzipFile, lzma.LZMAError, pa.ArrowException, OSError,
)  # fmt: skip


def packing_of(head: bytes) -> str:
    """Return the packing that the first bytes of a file show, "" where it is none that is read."""
    return next((name for name, begins in _HEADS.items() if re.match(begins, head)), "")


def unreadable_packing(head: bytes) -> str:
    """Return what other archive the first bytes show, such as "a RAR archive", or ""."""
    if head[_TAR] == b"ustar":
        return "a tar archive"
    return next((n for n, begins in _UNREADABLE.items() if begins and head.startswith(begins)), "")


@contextmanager
def unpacked(path: str, packing: str) -> Generator[IO[bytes]]:
    """Open a file for reading its unpacked bytes, from the start.

    Raises InputError, then or while it is read, where it is damaged or a zip of several files.
    """
    with open_input(path) as stream:
        if not packing:
            yield stream
            return
        try:
            with _opened(path, stream, packing) as content:
                yield content
        except _DAMAGED as error:
            why = (str(error) or "it ends too early").splitlines()[0]
            raise InputError(
                f"{path} is a broken {packing} file: {why}",
                "it may be cut off; copy it again",
            ) from None


def _opened(path: str, stream: IO[bytes], packing: str) -> IO[bytes]:
    if packing == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
    if packing == "bzip2":
        return cast("IO[bytes]", bz2.BZ2File(stream))
    if packing == "xz":
        return cast("IO[bytes]", lzma.LZMAFile(stream))
    if packing == "zstandard":
        return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))
    with damage_of_zip():
        archive = zipfile.ZipFile(stream)
        names = [name for name in archive.namelist() if _is_data(name)]
        content = archive.open(names[0]) if len(names) == 1 else None
    if content is None:
        held = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"{path} is a zip archive of {len(names)} files ({held or 'none'})",
            "unpack it first and name the file that is meant",
        )
    return content


@contextmanager
def damage_of_zip() -> Generator[None]:
    """Raise as BadZipFile what else zipfile raises where headers are damaged."""
    try:
        yield
    except (ValueError, LookupError, struct.error, OverflowError) as error:
        raise zipfile.BadZipFile(f"damaged headers ({error})") from None


def _is_data(member: str) -> bool:
    """Return whether a member of a zip is a file that is not hidden, nor one of macOS's own."""
    name = member.rpartition("/")[2]
    return bool(name) and name[0] != "." and not member.startswith("__MACOSX/")
