"""Talking to a loopback server, as its tests do."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx

from pytest_inferbench.load.loopback import MODEL, Loopback, Schedule

QUICK = Schedule(ttft_ms=2, itl_ms=1, tokens=5)
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
LIMIT_S = 120.0


def post(server: Loopback, path: str = CHAT, *, request_id: str = "r-1", **body: Any) -> httpx.Response:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "one two three"}]} | body
    return httpx.post(server.url + path, json=body, headers={"X-Request-Id": request_id}, timeout=LIMIT_S)


def events(response: httpx.Response) -> list[Any]:
    """The events of a stream; ``[DONE]`` as that text."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def texts(response: httpx.Response) -> list[str]:
    """The text of each event that has a choice."""
    choices = [event["choices"][0] for event in events(response) if event != "[DONE]" and event["choices"]]
    return [choice["delta"]["content"] if "delta" in choice else choice["text"] for choice in choices]


def raw(request_id: str, *, path: str = CHAT, close: bool = False, **body: Any) -> bytes:
    data = json.dumps({"stream": True, "messages": [], **body}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-REQUEST-id: {request_id}\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + (b"Connection: close\r\n" if close else b"") + b"\r\n" + data


def connected(server: Loopback) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)


def read_answers(sock: socket.socket, count: int) -> bytes:
    """Read until that many chunked answers have ended."""
    data = b""
    while data.count(b"0\r\n\r\n") < count:
        piece = sock.recv(65536)
        assert piece, f"the server closed after {data!r}"
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))
