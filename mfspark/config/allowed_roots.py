"""Where a configuration may point to, where whoever runs mfspark limits it.

The environment variable MFSPARK_ALLOWED_ROOTS names directories, or prefixes of URLs, divided by
';'. It is no part of the configuration: who writes that is who is limited. Unset: anywhere.
"""

import os
from pathlib import Path

from mfspark.errors import ConfigError

VARIABLE = "MFSPARK_ALLOWED_ROOTS"


def check_allowed(path: str, what: str) -> str:
    """Return a path, or a URL, that lies below an allowed root. Raises ConfigError otherwise.

    Symbolic links are followed first.
    """
    roots = [root for root in os.environ.get(VARIABLE, "").split(";") if root.strip()]
    if roots and not any(_lies_below(path, root.strip()) for root in roots):
        raise ConfigError(
            f"{what} {path} lies outside of what is allowed: {', '.join(roots)}",
            f"choose another place; {VARIABLE} is set where mfspark is run",
        )
    return path


def check_value(path: str, what: str) -> str:
    """Do the same for a value that is being validated, where ValueError says what is wrong."""
    try:
        return check_allowed(path, what)
    except ConfigError as error:
        raise ValueError(error.message) from None


def _lies_below(path: str, root: str) -> bool:
    if path.startswith("file:"):
        path = path.removeprefix("file://").removeprefix("file:")
    if "://" in path or "://" in root:
        inside = path == root or path.startswith(root.rstrip("/") + "/")
        return inside and ".." not in path.split("/")
    return Path(path).expanduser().resolve().is_relative_to(Path(root).expanduser().resolve())
