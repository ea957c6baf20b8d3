"""A storage as pyarrow sees file systems, for its datasets; read only."""

import pyarrow as pa
from pyarrow import fs

from mfspark.storage.protocol import Storage

_KEPT_BYTES = 64 << 20


def arrow_file_system(storage: Storage) -> fs.FileSystem:
    """Return a storage as a pyarrow file system: files are opened by their keys."""
    return fs.PyFileSystem(_Handler(storage))


class _Handler(fs.FileSystemHandler):  # pyright: ignore[reportUntypedBaseClass]
    """Opens files; whoever reads a table knows their names.

    A query opens a file more than once: what was read whole is kept, up to a limit.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._kept: dict[str, pa.Buffer] = {}
        self._room = _KEPT_BYTES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handler) and other._storage == self._storage

    def __hash__(self) -> int:
        return hash(self._storage)

    def get_type_name(self) -> str:
        return "mfspark"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        if path in self._kept:
            return pa.BufferReader(self._kept[path])
        file = self._storage.open(path)
        if isinstance(file, pa.BufferReader) and file.size() <= self._room:
            content = file.read_buffer()
            self._kept[path], self._room = content, self._room - content.size
            file.seek(0)
        return file

    open_input_stream = open_input_file

    def _refuse(self, *_: object) -> None:
        raise NotImplementedError("tables are read by the names of their files")

    get_file_info_selector = create_dir = delete_dir = delete_dir_contents = _refuse
    delete_root_dir_contents = delete_file = move = copy_file = _refuse
    open_output_stream = open_append_stream = _refuse
