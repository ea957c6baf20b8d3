"""`--ratings -`: what comes on standard input is written to a file of the warehouse's scratch.

Tasks read files, several at a time and more than once; a pipe can be read once, from one end.
"""

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from mfspark.config.config import Config
from mfspark.errors import InputError

STANDARD_INPUT = "-"


@contextmanager
def spooled(config: Config, warehouse: Path) -> Generator[Config, None, None]:
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
    scratch = warehouse / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=".standard-input-", dir=scratch))
    try:
        path = folder / "standard-input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        if not path.stat().st_size:
            raise InputError("standard input is empty", "check the command before the pipe")
        files = tuple(str(path) if name == STANDARD_INPUT else name for name in ratings)
        inputs = config.inputs.model_copy(update={"ratings": files})
        yield config.model_copy(update={"inputs": inputs})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
