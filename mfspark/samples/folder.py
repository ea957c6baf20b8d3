"""The folder that samples are written to."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mfspark.errors import ConfigError


@contextmanager
def writable_folder(out: Path) -> Generator[None, None, None]:
    """Create a folder, and say what is wrong where it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write samples to {out}: {error.strerror or error}",
            "choose a folder with room that this user can write: --out DIR",
        ) from error
