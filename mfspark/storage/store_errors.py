"""Errors of an object store: which pass by themselves, and what to say of the others.

What the client library says may hold URLs with signatures: only a status, the store's own name for
the error and what lies between are taken from it.
"""

import os
import re
from urllib.parse import urlsplit

from mfspark.errors import ConfigError, MfsparkError

ENDPOINTS = (
    "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT", "GOOGLE_BASE_URL",
)  # fmt: skip
"""Variables that say where an object store is, if not where its maker runs it."""

_GO_ON = "then run the same command again: it goes on where it stopped"
_PASSING_STATUS = {408, 409, 412, 425, 429, 500, 502, 503, 504}
_PASSING_CODE = {"RequestTimeout", "SlowDown", "InternalError", "OperationAborted", "ServerBusy"}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "RequestExpired", "ExpiredTokenException"}
_UNKNOWN_LOGIN = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "InvalidToken",
    "InvalidSecurity", "InvalidAuthenticationInfo", "NoAuthenticationInformation",
}  # fmt: skip
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
_FORBIDDEN = {"AccessDenied", "AuthorizationFailure", "AuthorizationPermissionMismatch"}
_IGNORANT = {"NotImplemented", "UnsupportedHeader"}
_METADATA_SERVICE = re.compile(r"169\.254\.|metadata\.google\.internal|fd00:ec2::")


class UnansweredError(MfsparkError):
    """A store cannot be reached, or is out of order: it may be there again later."""


def passes(error: Exception) -> bool:
    """Return whether the same request may succeed a moment later."""
    status, code, trouble = _facts(error)
    if _METADATA_SERVICE.search(str(error)):
        trouble = ""  # that it cannot be reached means that this machine has none
    return bool(trouble) or status in _PASSING_STATUS or code in _PASSING_CODE


def no_bucket(error: Exception) -> bool:
    """Return whether a request failed since there is no such bucket."""
    return _facts(error)[1] in _NO_BUCKET


def explained(error: Exception, url: str, action: str) -> MfsparkError:
    """Return what went wrong with an action ("read", "list") at a URL, and the remedy."""
    status, code, trouble = _facts(error)
    cannot = f"cannot {action} {url}"
    if _METADATA_SERVICE.search(str(error)):
        return ConfigError(
            f"{cannot}: no credentials were found in the environment, nor a machine's own",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or their like for Azure or Google; "
            "profiles are not read: eval $(aws configure export-credentials --format env)",
        )
    if code in _NO_BUCKET:
        return ConfigError(f"{cannot}: there is no such bucket", "create it, or correct its name")
    if code in _EXPIRED:
        return MfsparkError(f"{cannot}: the credentials have expired", f"renew them, {_GO_ON}")
    if code == "RequestTimeTooSkewed":
        return ConfigError(
            f"{cannot}: the clock of this machine is not that of the store",
            f"set the clock, {_GO_ON}",
        )
    if code in _UNKNOWN_LOGIN or status == 401:
        return ConfigError(
            f"{cannot}: the store does not accept these credentials ({code or status})",
            "look at the credentials in the environment of the driver and of every executor",
        )
    if code in _ELSEWHERE or status == 301 or "redirect" in str(error):
        return ConfigError(
            f"{cannot}: the bucket lies in another region, or behind another endpoint",
            f"set AWS_REGION to the region of the bucket ({_endpoint()})",
        )
    if status == 403 or code in _FORBIDDEN:
        return ConfigError(
            f"{cannot}: these credentials do not permit it",
            "permit reading, writing, deleting and listing below this URL",
        )
    if code in _IGNORANT or status == 501:
        return ConfigError(
            f"{cannot}: the store does not know conditional requests",
            "choose a store that knows If-Match and If-None-Match",
        )
    if passes(error):
        said = trouble or " ".join(str(fact) for fact in (status, code) if fact)
        return UnansweredError(
            f"{cannot}: the store does not answer as it should ({said})",
            f"look at the store and the network ({_endpoint()}), {_GO_ON}",
        )
    said = " ".join(str(fact) for fact in (status, code) if fact) or type(error).__name__
    perhaps = "; the credentials may have expired" if status == 400 and not code else ""
    return MfsparkError(
        f"{cannot}: the store refused it ({said}{perhaps})",
        f"look at the store and its settings ({_endpoint()}), {_GO_ON}",
    )


def _facts(error: Exception) -> tuple[int, str, str]:
    """Return the status, the store's code, and what befell the connection; 0 or "" for none."""
    text = str(error)
    status = re.search(r"status code: (\d{3})", text)
    code = re.search(r"<Code>(\w{1,60})</Code>", text)
    kind = re.search(r"HttpError \{\s*kind: (\w{1,20})", text)
    trouble = kind[1] if kind else "connection" if "HTTP error:" in text else ""
    return int(status[1]) if status else 0, code[1] if code else "", trouble


def _endpoint() -> str:
    for name in ENDPOINTS:
        if address := os.environ.get(name):
            url = urlsplit(address)
            return f"{name} names {url.hostname}{f':{url.port}' if url.port else ''}"
    return "no endpoint is set"
