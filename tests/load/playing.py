"""A wire client driven by hand, against a server of a test's own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.load.connection import Connection, Target
from pytest_inferbench.load.decode import Facts, decode
from pytest_inferbench.load.poller import make_poller
from pytest_inferbench.load.recording import Recording
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.load.wire import Wire, WireLimits

S = 1_000_000_000
PATIENCE_NS = 120 * S
CHAT = api_named("chat")


def request(row: int, body: bytes = b"{}") -> bytes:
    """A request with a body; its row is its id."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: {row}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Player:
    """Sends requests, waits for what becomes of them, and says what was kept."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", **limits_s: float) -> None:
        limits = {f"{name}_ns": round(seconds * 1e9) for name, seconds in limits_s.items()}
        self.kept: list[Recording] = []
        self.has_token = False
        self.poller = make_poller()
        target = Target(host=host, family=socket.AF_INET, address=("127.0.0.1", port), tls=tls)
        self.wire = Wire(
            target,
            limits=WireLimits(**{**dict.fromkeys(WireLimits.__dataclass_fields__, PATIENCE_NS), **limits}),
            poller=self.poller,
            keep=self.kept.append,
            has_token=self._token,
        )

    def _token(self, _: Connection) -> bool:
        return self.has_token

    def send(self, *rows: int, body: bytes = b"{}") -> None:
        for row in rows:
            self.wire.send(row, request(row, body), monotonic_ns())

    def settle(self) -> None:
        """Go on until nothing is on the wire; every limit is far shorter than the patience."""
        until_ns = monotonic_ns() + PATIENCE_NS
        while self.wire.in_flight:
            now_ns = monotonic_ns()
            assert now_ns < until_ns, "requests are still on the wire"
            self.wire.sweep(now_ns)
            self.wire.read_until(now_ns + 5_000_000)
        self.wire.keep_all()

    def exchange(self, *rows: int, body: bytes = b"{}") -> Recording:
        """Send these one after the other, and return the last one's recording."""
        for row in rows:
            self.send(row, body=body)
            self.settle()
        return self.kept[-1]

    def traces(self) -> Traces:
        """What was kept, decoded as a chat."""
        rows = b"".join(ROW.pack(0, 0, 0, 1, 1, FIRST, 0) for _ in range(1 + max((one.row for one in self.kept), default=-1)))
        facts = Facts(id_prefix="r", open_loop=False, clock="kernel", wall_offset_ns=0)
        return decode(self.kept, api=CHAT, plan_rows=rows, warmup=0, facts=facts).measured


@contextmanager
def playing(port: int, **how: Any) -> Iterator[Player]:
    """A player that gives everything back at the end."""
    player = Player(port, **how)
    try:
        yield player
    finally:
        player.wire.close()
        player.poller.close()
