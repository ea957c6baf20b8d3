"""Secrets are not repeated: not in manifests, not in logs, not in messages."""

import logging
import re

REDACTED = "***"
# What a name ends with when its value is a secret; "key" only as a word of its own (not "monkey").
_SECRET = (
    r"(?:(?i:password|passwd|secret|token|credential|signature|api[_-]?key)[\w.-]*"
    r"|(?i:(?<![a-z])(?:key|sig))s?|(?<=[a-z])Keys?)"
)
_KEY = re.compile(rf"{_SECRET}$")
_PARAMETER = re.compile(rf"({_SECRET}\s*=\s*)[^\s&;,\"']+")
_URL_LOGIN = re.compile(r"(\w://)[^/\s]*@")  # to the last @, as a password may hold one


def redact(text: str) -> str:
    """Return a text in which `secret=...` and logins in URLs have become `***`."""
    return _URL_LOGIN.sub(rf"\1{REDACTED}@", _PARAMETER.sub(rf"\1{REDACTED}", text))


def names_secret(key: str) -> bool:
    """Return whether the value of a key of this name is a secret."""
    return _KEY.search(key) is not None


class RedactingFormatter(logging.Formatter):
    """Formats log records without their secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return redact(super().format(record))
