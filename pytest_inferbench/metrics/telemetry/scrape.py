"""
Reading a server's ``/metrics``: one request, with an end.

Standard library only: this runs beside the load, in a process that should cost next to nothing. What comes is kept as it came and
is parsed when the load is over.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

from pytest_inferbench.launch.answer import Answer, printable
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.redaction import MASK, Secret, redact_url

BODY_BYTES_MAX = 8_000_000
_BLOCK_BYTES = 65_536
_SECRET_CHARACTERS_MIN = 4
# Asking again will not change these.
_FOR_GOOD = frozenset({401, 403, 404, 405, 410, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a server's metrics are; ``key`` goes along as a bearer key, ``ca_file`` are certificates to trust."""

    url: str
    key: Secret | None = None
    ca_file: str | None = None


class Scrape(NamedTuple):
    """
    One answer, as text.

    ``timestamp_ns`` is half-way between the request and the end of its answer: the server wrote it somewhere between.
    """

    timestamp_ns: int
    text: str


class NotScraped(Exception):
    """There is no answer to use; ``for_good``: and there will be none."""

    def __init__(self, words: str, *, for_good: bool = False) -> None:
        super().__init__(words)
        self.for_good = for_good


def scrape(source: Source, *, limit_s: float) -> Scrape:
    """
    Ask once.

    Raises:
        NotScraped: no answer within the limit, or one that cannot be metrics; says what came instead.
    """
    at_ns, answer = asked(source, limit_s=limit_s)
    trouble = trouble_with(answer)
    if trouble is not None:
        raise trouble
    return Scrape(timestamp_ns=at_ns, text=answer.body.decode(errors="replace"))


def asked(source: Source, *, limit_s: float) -> tuple[int, Answer]:
    """
    Whatever the server answers, and the time half-way between the request and the end of it.

    Raises:
        NotScraped: no whole answer within the limit.
    """
    sent_ns = monotonic_ns()
    answer = _asked(source, limit_s=limit_s)
    return (sent_ns + monotonic_ns()) // 2, answer


def trouble_with(answer: Answer) -> NotScraped | None:
    """What is wrong with an answer, as far as can be told without parsing it; None where it may be metrics."""
    if answer.status != 200:
        reason = http.client.responses.get(answer.status, "")
        for_good = answer.status in _FOR_GOOD or 300 <= answer.status < 400
        return NotScraped(f"it answered {answer.status} {reason}".rstrip() + _quoted(answer), for_good=for_good)
    if answer.is_html:
        return NotScraped("it answered with a web page", for_good=True)
    if answer.body.lstrip()[:1] in {b"[", b"{"}:
        return NotScraped(f"it answered with JSON, not with Prometheus' text{_quoted(answer)}", for_good=True)
    return None


def _quoted(answer: Answer) -> str:
    words = answer.words()
    return f': "{words}"' if words else ""


def _asked(source: Source, *, limit_s: float) -> Answer:
    deadline_s = time.monotonic() + limit_s
    try:
        connection = _connection(source, limit_s=limit_s)
        try:
            return _answer(connection, source, deadline_s=deadline_s)
        finally:
            connection.close()
    except TimeoutError as error:
        raise NotScraped(f"it gave no whole answer within {limit_s:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotScraped(f"it gave no answer: {printable(str(error)) or type(error).__name__}") from error


def _connection(source: Source, *, limit_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(source.url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=limit_s, context=_tls(source.ca_file))
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=limit_s)


def _answer(connection: http.client.HTTPConnection, source: Source, *, deadline_s: float) -> Answer:
    headers = {"Accept": "text/plain", "Accept-Encoding": "identity", "Connection": "close"}
    if source.key is not None:
        headers["Authorization"] = f"Bearer {source.key.reveal()}"
    parts = urlsplit(source.url)
    connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", headers=headers)
    sock = connection.sock  # the answer takes it over
    with connection.getresponse() as response:
        body = _body(response, sock, deadline_s=deadline_s)
    return Answer(
        url=redact_url(source.url),
        status=response.status,
        content_type=response.headers.get("content-type", ""),
        body=_without(body, source.key),
    )


def _body(response: http.client.HTTPResponse, sock: socket.socket, *, deadline_s: float) -> bytes:
    body = bytearray()
    while not response.isclosed():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(left_s)  # a limit for the whole, and not one for each read
        block = response.read1(_BLOCK_BYTES)
        body += block
        if len(body) > BODY_BYTES_MAX:
            raise NotScraped(f"its answer is longer than {BODY_BYTES_MAX // 1_000_000} MB", for_good=True)
        if not block:
            break
    if response.length:
        raise NotScraped("its answer broke off in the middle")
    return bytes(body)


def _without(body: bytes, key: Secret | None) -> bytes:
    value = b"" if key is None else key.reveal().encode()
    return body.replace(value, MASK.encode()) if len(value) >= _SECRET_CHARACTERS_MIN else body


@cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
