"""How a program ends: what went wrong on one screen, and the exit status that stands for it."""

import sys
import traceback
from collections.abc import Callable

from mfspark.errors import ExitStatus, MfsparkError, printable
from mfspark.system.redaction import redact


def first_line(error: BaseException) -> str:
    """Return what an error says first, or its name where it says nothing."""
    return (str(error).strip() or repr(error)).splitlines()[0][:500]


def status_of(error: BaseException) -> ExitStatus:
    """Return the status that a program ends with for an error."""
    if isinstance(error, MfsparkError):
        return error.status
    return ExitStatus.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitStatus.INTERNAL


def lines_of(error: BaseException) -> list[str]:
    """Return what a log says of an error: all of it where it has a remedy, else its first line."""
    if isinstance(error, MfsparkError):
        return str(error).splitlines()
    return ["interrupted"] if isinstance(error, KeyboardInterrupt) else [first_line(error)]


def guarded(work: Callable[[], int | None], *, debug: bool) -> int:
    """Run something and return its exit status; errors become one screen on standard error.

    The status is what `work` returns, 0 where that is nothing.
    """
    try:
        return work() or ExitStatus.DONE
    except MfsparkError as error:
        if debug:
            traceback.print_exc()
        print(printable(redact(f"mfspark: {error}")), file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("mfspark: interrupted; the same command goes on from here", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        what = f"{type(error).__name__}: {printable(redact(first_line(error)))}"
        print(
            f"mfspark: internal error: {what}\n"
            "  what readers see is unchanged; run again with --debug for the stack trace",
            file=sys.stderr,
        )
        return ExitStatus.INTERNAL
