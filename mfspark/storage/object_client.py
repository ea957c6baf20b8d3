"""A client of an object store, set up from the environment as its library reads it."""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from mfspark.errors import ConfigError
from mfspark.storage.store_errors import ENDPOINTS

READ_TIMEOUT_SECONDS = 30.0
"""How long a connection may be silent."""


def connect(url: str, patience: float = 0) -> S3Store | GCSStore | AzureStore:
    """Return a client for a URL, which tries requests again by itself for `patience` seconds.

    Raises ConfigError where a setting is missing or wrong.
    """
    parts = urlsplit(url)
    _check_endpoints()
    kind = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[parts.scheme]
    addresses = [os.environ.get(name, "") for name in ENDPOINTS]
    client: Any = {
        "allow_http": any(address.startswith("http://") for address in addresses),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=READ_TIMEOUT_SECONDS),
        "timeout": timedelta(hours=1),  # of a whole request, however long its body
    }
    tries: Any = {
        "max_retries": 100 if patience else 0,
        "retry_timeout": timedelta(seconds=patience),
    }
    prefix = parts.path.strip("/") or None
    try:
        return kind(parts.netloc, prefix=prefix, client_options=client, retry_config=tries)
    except (BaseError, ValueError) as error:  # what it says may quote a setting
        raise ConfigError(
            f"cannot open {url}: a setting of the object store in the environment is missing or "
            f"wrong ({type(error).__name__})",
            "look at AWS_*, AZURE_STORAGE_* (the account name) or GOOGLE_* there",
        ) from None


def _check_endpoints() -> None:
    """Raise ConfigError for an endpoint that is no URL: the library would end the process."""
    for name in filter(os.environ.__contains__, ENDPOINTS):
        try:
            url = urlsplit(os.environ[name])
            good = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:  # of the port
            good = False
        if not good:
            raise ConfigError(
                f"{name} in the environment is not the URL of an endpoint",
                "write https://HOST or http://HOST:PORT, or unset it",
            )
