"""
Ordinary questions to a server, one at a time: is it up, what does it serve, one token please.

Rule: this is the only module of the launch stage that knows `httpx`. Nothing measured goes through here.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import httpx

from pytest_inferbench.launch.answer import Answer, NoAnswer, printable
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access
from pytest_inferbench.redaction import MASK, Secret, redact_url

_BODY_BYTES_MAX = 1_000_000
_FIELD_LIMIT_S = 5.0
_KEY_CHARACTERS_MIN = 4  # a shorter one is a word of the answer rather than a key


def ask(
    url: str,
    *,
    timeout_s: float,
    body: Mapping[str, Any] | None = None,
    key: Secret | None = None,
    access: Access = PLAIN_ACCESS,
) -> Answer:
    """
    Ask once: GET, or POST where there is a JSON body; ``timeout_s`` limits the whole of it.

    Raises:
        NoAnswer: no whole HTTP answer came; says why.
    """
    headers = httpx.Headers({"Connection": "close", "Accept-Encoding": "identity"})
    if key is not None:
        headers["Authorization"] = f"Bearer {key.reveal()}"
    headers.update(access.headers.headers)
    # Straight to the server: a proxy of the environment would be measured in its place, and knows no 127.0.0.1.
    with httpx.Client(timeout=timeout_s, trust_env=False, verify=_tls(access.ca_file)) as client:
        request = client.build_request("GET" if body is None else "POST", url, json=body, headers=headers)
        try:
            answer = _answer(client, request, timeout_s=timeout_s)
        except httpx.HTTPError as error:
            raise NoAnswer(f"{redact_url(url)} {_reason(error, timeout_s)}") from error
    answer = replace(answer, body=access.headers.secrets.hidden_in_bytes(answer.body))
    return answer if key is None else replace(answer, body=_without(answer.body, key))


def _without(body: bytes, key: Secret) -> bytes:
    # Servers repeat a key that they do not like, and what they say is shown.
    value = key.reveal().encode()
    return body.replace(value, MASK.encode()) if len(value) >= _KEY_CHARACTERS_MIN else body


def text_field(url: str, name: str, *, key: Secret | None = None, access: Access = PLAIN_ACCESS) -> str | None:
    """One text of the JSON object at ``url``, such as its ``version``; None where there is no such thing."""
    try:
        data = ask(url, timeout_s=_FIELD_LIMIT_S, key=key, access=access).json()
    except NoAnswer:
        return None
    value = data.get(name) if isinstance(data, dict) else None
    return printable(value) if isinstance(value, str) else None


def _answer(client: httpx.Client, request: httpx.Request, *, timeout_s: float) -> Answer:
    deadline_s = time.monotonic() + timeout_s
    response = client.send(request, stream=True)
    try:
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            # The time limit of httpx is one for each read: a server that drips would never reach it.
            if time.monotonic() > deadline_s:
                raise httpx.ReadTimeout("dripping", request=request)
            if len(body) > _BODY_BYTES_MAX:
                break
    finally:
        response.close()
    return Answer(
        url=redact_url(str(request.url)),
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        body=body[:_BODY_BYTES_MAX],
        retry_after=response.headers.get("retry-after"),
    )


def _reason(error: httpx.HTTPError, timeout_s: float) -> str:
    words = printable(str(error))
    if isinstance(error, httpx.ConnectTimeout):
        return f"could not be connected to within {timeout_s:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"accepted the connection, but gave no whole answer within {timeout_s:g} s"
    if isinstance(error, httpx.ConnectError):
        return f"could not be reached: {words}"
    if isinstance(error, httpx.RemoteProtocolError):
        return f"does not speak HTTP or broke off in the middle: {words}"
    return f"broke the connection: {words or type(error).__name__}"


@cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    # The system's certificates rather than httpx's own, and one context for all: loading them takes a while.
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise NoAnswer(f"the certificates in {ca_file} cannot be read: {error.strerror or error}") from error
