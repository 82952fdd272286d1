"""Where an endpoint's URL leads: host, port and address; and the head of requests that go there."""

from __future__ import annotations

import os
import socket
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.http1 import request_head

_TRIAL_S = 2.0


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


def head_of_requests(parts: SplitResult, path: str, key: str | None) -> bytes:
    """What every request begins with; ``path`` is that of the API, below the URL's own."""
    headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream"), ("User-Agent", "pytest-inferbench")]
    if key is not None:
        headers.append(("Authorization", f"Bearer {key}"))
    whole = quote(parts.path.rstrip("/") + path, safe="/%:@!$&'()*+,;=~-._")
    return request_head("POST", whole, parts.netloc.rpartition("@")[2], headers)
