"""`--ratings -`: what comes on standard input is written to a file of the warehouse's scratch.

Tasks read files, several at a time and more than once; a pipe can be read once, from one end.
"""

import shutil
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager

from mfspark.config.config import Config
from mfspark.errors import InputError
from mfspark.storage.protocol import Storage

STANDARD_INPUT = "-"


@contextmanager
def spooled(config: Config, storage: Storage) -> Generator[Config, None, None]:
    """Yield the configuration with a file in the place of standard input, and remove it after.

    Its folder is hidden, so that nobody takes it for a night. The same bytes are the same night.
    Raises InputError where nothing comes.
    """
    ratings = config.inputs.ratings
    if STANDARD_INPUT not in ratings:
        yield config
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("--ratings - reads standard input, and nothing is piped into it")
    folder = f"scratch/.standard-input-{uuid.uuid4().hex[:8]}"
    key = f"{folder}/standard-input"
    try:
        with storage.writing(key, durable=False) as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
            empty = not file.tell()
        if empty:
            raise InputError("standard input is empty", "check the command before the pipe")
        files = tuple(storage.show(key) if name == STANDARD_INPUT else name for name in ratings)
        inputs = config.inputs.model_copy(update={"ratings": files})
        yield config.model_copy(update={"inputs": inputs})
    finally:
        storage.discard(folder)
