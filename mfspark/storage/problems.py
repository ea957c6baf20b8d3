"""Errors of a storage, in words that name the remedy."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

from mfspark.errors import ConfigError, MfsparkError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WRONG_PLACE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST,
    errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOLCK, errno.EOPNOTSUPP,
}  # fmt: skip


@contextmanager
def explain_os_errors(place: object, action: str) -> Generator[None, None, None]:
    """Turn an OSError into an error that names the path and the remedy.

    Raises ConfigError where the place itself is wrong, MfsparkError for a full or failing disk.
    """
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {place}: {error.strerror or error}"
        if error.errno in _FULL:
            hint = "free some space and run the same command again: it goes on where it stopped"
            raise MfsparkError(message, hint) from error
        if error.errno in _WRONG_PLACE:
            hint = "choose a warehouse that this user can create and write: --warehouse DIR"
            raise ConfigError(message, hint) from error
        hint = "look at the disk, then run the same command again: it goes on where it stopped"
        raise MfsparkError(message, hint) from error
