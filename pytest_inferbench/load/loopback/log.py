"""What the loopback server wrote down: when it sent each token, by its own clock reading just before the send."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_inferbench.errors import LoadError

LOG_COLUMNS = ("request_id", "received_ns", "first_token_ns", "last_token_ns", "tokens", "late_ns_max", "connected_ns")
MISSING = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """
    What the server did for one request; instants are CLOCK_MONOTONIC nanoseconds, -1 where the thing never happened.

    Attributes:
        received_ns: the whole request had been read.
        first_token_ns: just before the send of the first token.
        last_token_ns: just before the send of the last token.
        tokens: tokens sent; fewer than asked for where the client went away.
        late_ns_max: the most by which a token left after it was due.
        connected_ns: its connection had been accepted.
        token_ns: the instant of every token (those of one chunk share it); empty for an answer that did not stream.
    """

    received_ns: int
    first_token_ns: int
    last_token_ns: int
    tokens: int
    late_ns_max: int
    connected_ns: int
    token_ns: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopbackLog:
    """
    The server's own account of all requests, by request id.

    ``requests`` counts rows; it exceeds the ids where a client repeated one or sent none. ``aborted`` of them ended before
    their last token. ``stalls`` counts sends that the kernel did not take whole because the client did not read: where it is
    not 0, some bytes left later than the log says.
    """

    sent: Mapping[str, Sent]
    requests: int
    aborted: int
    stalls: int

    def late_ms(self, share: float) -> float:
        """
        Lateness of the worst token of a request, in milliseconds, that this share of requests does not exceed.

        Raises:
            LoadError: the log is empty.
        """
        late_ns = sorted(sent.late_ns_max for sent in self.sent.values())
        if not late_ns:
            raise LoadError("the loopback server's log is empty: no request with an X-Request-Id header reached it")
        return late_ns[min(int(share * len(late_ns)), len(late_ns) - 1)] / 1e6


def read_log(directory: Path, counts: Mapping[str, int]) -> LoopbackLog:
    """Read ``log.csv`` and ``times.csv`` of a server that ended; ``counts`` is the last line it printed."""
    with (directory / "times.csv").open(newline="") as times:
        token_ns = {row[0]: array("q", map(int, row[1:])) for row in csv.reader(times)}
    with (directory / "log.csv").open(newline="") as log:
        sent = dict(_rows(csv.reader(log), token_ns))
    return LoopbackLog(sent=sent, requests=counts["requests"], aborted=counts["aborted"], stalls=counts["stalls"])


def _rows(lines: Iterable[list[str]], token_ns: Mapping[str, array[int]]) -> Iterator[tuple[str, Sent]]:
    rows = iter(lines)
    if (header := next(rows, None)) != list(LOG_COLUMNS):
        raise LoadError(f"the loopback server's log begins with {header}, not with its columns")
    for request_id, *values in rows:
        received, first, last, tokens, late, connected = map(int, values)
        yield (
            request_id,
            Sent(
                received_ns=received,
                first_token_ns=first,
                last_token_ns=last,
                tokens=tokens,
                late_ns_max=late,
                connected_ns=connected,
                token_ns=token_ns.get(request_id, array("q")),
            ),
        )
