"""Input files: where they lie, how they are opened, and what identifies their content.

A path is local, or a URL that pyarrow knows (`s3://`, `hdfs://`, `gs://`, `file://`); `s3a://`,
Spark's name for S3, is taken as `s3://`.
"""

import fnmatch
import glob
import hashlib
import io
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from pyarrow import fs

from mfspark.errors import InputError

_WILDCARDS = "*?["
_READ = 1 << 20  # bytes read at a time for a fingerprint


def find_files(patterns: Sequence[str]) -> list[str]:
    """Expand files, directories and globs into absolute paths, each once.

    Patterns keep their order (it decides which of two equal ratings is the later one); the files of
    one pattern are sorted by name. A directory stands for the files in it and in its subfolders,
    hidden ones and those that begin with `_` left out. Raises InputError for a pattern that finds
    nothing readable.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        for path in _remote_files(pattern) if "://" in pattern else _local_files(pattern):
            found.setdefault(path)
    return list(found)


def open_input(path: str) -> IO[bytes]:
    """Open a file for reading bytes, with seek. Raises InputError where it cannot be opened."""
    try:
        if "://" in path:
            filesystem, inner = _filesystem(path)
            return io.BufferedReader(cast("io.RawIOBase", filesystem.open_input_file(inner)))
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def size_of(path: str) -> int:
    """Return the size of a file in bytes."""
    if "://" in path:
        filesystem, inner = _filesystem(path)
        return int(filesystem.get_file_info(inner).size or 0)
    return os.path.getsize(path)


def fingerprint(files: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, bytes and sha256 of each file; reads every file once, a MiB at a time."""
    return [_fingerprint(path) for path in files]


def display_names(files: Sequence[str]) -> list[str]:
    """Return the shortest names that tell the files apart: paths below their common folder."""
    folders = {posixpath.dirname(path) for path in files}
    base = posixpath.commonpath(folders) if len(folders) > 1 else next(iter(folders), "")
    return [path[len(base) :].lstrip("/") if base else path for path in files]


def _fingerprint(path: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with open_input(path) as stream:
        while block := stream.read(_READ):
            digest.update(block)
            size += len(block)
    return {"name": posixpath.basename(path), "bytes": size, "sha256": digest.hexdigest()}


def _local_files(pattern: str) -> Iterator[str]:
    is_literal = os.path.exists(pattern)  # a name may itself contain brackets
    matches = [pattern] if is_literal else sorted(glob.glob(pattern, recursive=True))
    if not matches:
        kind = "no file matches" if any(c in pattern for c in _WILDCARDS) else "no such file:"
        raise InputError(f"{kind} {pattern}", "check the path; relative paths start where you are")
    for match in matches:
        if os.path.isdir(match):
            inside = [os.path.join(at, name) for at, _, names in os.walk(match) for name in names]
            parts = [path for path in inside if os.path.isfile(path)]
            yield from map(os.path.abspath, _data_files(match, parts))
        elif not os.access(match, os.R_OK):
            raise InputError(f"{match} cannot be read: permission denied")
        else:
            yield os.path.abspath(match)


def _remote_files(pattern: str) -> Iterator[str]:
    filesystem, inner = _filesystem(pattern)
    prefix = pattern[: pattern.index("://") + 3]
    host_and_path = pattern[len(prefix) :]
    prefix += host_and_path[: len(host_and_path) - len(inner)] if host_and_path != inner else ""
    parts = inner.split("/")
    first = next((i for i, part in enumerate(parts) if any(c in part for c in _WILDCARDS)), None)
    if first is None:
        info = filesystem.get_file_info(inner)
        if info.type == fs.FileType.NotFound:
            raise InputError(f"no such file: {pattern}", "check the path and the credentials")
        if info.type == fs.FileType.Directory:
            inside = filesystem.get_file_info(fs.FileSelector(inner, recursive=True))
            files = [entry.path for entry in inside if entry.type == fs.FileType.File]
            yield from (prefix + path for path in _data_files(inner, files))
        else:
            yield prefix + inner
        return
    selector = fs.FileSelector("/".join(parts[:first]), recursive=True, allow_not_found=True)
    files = [entry.path for entry in filesystem.get_file_info(selector) if entry.is_file]
    matches = sorted(path for path in files if fnmatch.fnmatchcase(path, inner))
    if not matches:
        raise InputError(f"no file matches {pattern}", "check the path and the credentials")
    yield from (prefix + path for path in matches)


def _data_files(folder: str, paths: Sequence[str]) -> list[str]:
    """Keep the data files of a folder and its subfolders, sorted.

    Spark's markers, hidden files, and whatever lies in folders of such names, are not data.
    """
    below = len(folder.rstrip("/"))
    kept = sorted(
        path
        for path in paths
        if all(part[0] not in "._" for part in path[below:].split("/") if part)
    )
    if not kept:
        raise InputError(f"the folder {folder} holds no files", "name a folder that holds them")
    return kept


def _filesystem(url: str) -> tuple[fs.FileSystem, str]:
    with suppress(ValueError):
        if url.startswith("s3a://"):
            url = "s3://" + url.removeprefix("s3a://")
        return fs.FileSystem.from_uri(url)
    raise InputError(f"{url} is not a path or URL that can be read", "known: s3, hdfs, gs, file")
