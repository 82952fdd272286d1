"""Where an endpoint's URL leads: host, port and address; and the head of requests that go there."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.api import Api
from pytest_inferbench.load.http1 import request_head

_TRIAL_S = 2.0
_SAFE = "/%:@!$&'()*+,;=~-._"


def url_parts(url: str) -> SplitResult:
    """
    The parts of an endpoint's URL.

    Raises:
        LoadError: it is no http or https URL with a host.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise LoadError("the endpoint's URL must look like http://host:8000 or https://host, with a port from 1 to 65535")
    return parts


def resolve(parts: SplitResult) -> tuple[int, tuple[Any, ...]]:
    """
    Address family and address of a URL's host: the first that accepts a connection, else the last.

    Raises:
        LoadError: nobody knows the host.
    """
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LoadError(f"cannot find the address of {host}: {error}; check the endpoint's URL") from error
    for family, _, _, _, address in found[:-1]:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.settimeout(_TRIAL_S)
            if trial.connect_ex(address) == 0:
                return family, address
    return found[-1][0], found[-1][4]


def bearer_key(endpoint: Endpoint) -> str | None:
    """
    The key that requests carry, read from the environment; None where the endpoint wants none.

    Raises:
        LoadError: the variable is not set.
    """
    if endpoint.api_key_env is None:
        return None
    key = os.environ.get(endpoint.api_key_env)
    if not key:
        raise LoadError(f"the environment variable {endpoint.api_key_env}, which is to hold the server's key, is not set")
    return key


def head_of_requests(parts: SplitResult, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """What every request begins with; ``path`` is that of the API, below the URL's own, and may have a query."""
    below = quote(parts.path.rstrip("/"), safe=_SAFE)
    return request_head("POST", below + quote(path, safe=_SAFE + "?"), parts.netloc.rpartition("@")[2], headers)


def request_headers(api: Api, key: str | None, own: Sequence[tuple[str, str]] = ()) -> tuple[tuple[str, str], ...]:
    """The headers of every request: the client's, the API's, and over both of them the case's ``own``."""
    usual = (
        ("Content-Type", "application/json"),
        ("Accept", api.accept),
        ("User-Agent", "pytest-inferbench"),
        *api.headers(key),
    )
    replaced = {name.lower() for name, _ in own}
    return (*(header for header in usual if header[0].lower() not in replaced), *own)


def path_of(api: Api, model: str) -> str:
    """The API's path with the model's name in it, where it wants one."""
    return api.path.replace("{model}", quote(model, safe=""))
