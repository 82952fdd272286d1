"""
The wire client: sends planned requests and keeps what comes back, with the time of every read.

Rules:
- Reading goes first. Between two reads of everything that is ready at most one request is sent or one recording written, so
  that a segment is read before the next one merges into it.
- Nothing is understood while the load runs: no JSON, no text, no token. Only llhttp looks at the bytes, to see where an
  answer ends.
- One thread, one process, one clock (CLOCK_MONOTONIC); the kernel stamps what comes in where it can.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.clock import STAMP, STAMP_SPACE, monotonic_ns, wall_offset_ns
from pytest_inferbench.load.connection import Connection, Target
from pytest_inferbench.load.cpu_wait import CpuWaits
from pytest_inferbench.load.poller import READ, WRITE, Poller
from pytest_inferbench.load.recording import Ending, Recording
from pytest_inferbench.load.refusals import Refusals
from pytest_inferbench.load.tls import TlsChannel, failure_words

_READ_SIZE = 65536
_STALE_NS = 1_000_000_000
"""
A used connection that the server had closed says so within a round trip. One that is closed later, without a byte, had a server
that knew of the request and let it fall: that is a failure, and its wait must not be hidden by sending again.
"""
LAG_BUCKET_NS = 1 << 14
_LAG_BUCKETS = 4096
_unpack_stamp = STAMP.unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """The longest waits, in nanoseconds; see `cases.case.Limits`."""

    connect_ns: int
    first_token_ns: int
    stall_ns: int
    total_ns: int


class WireCounts:
    """What the client counts while it works; read by the worker for progress and audit."""

    def __init__(self) -> None:
        self.sent = self.done = self.reads = self.resends = 0
        self.userspace_reads = 0
        self.starved_ns = 0
        self.read_lag = [0] * _LAG_BUCKETS
        """Reads by lag from stamp to read, in buckets of `LAG_BUCKET_NS`; the last one holds all longer ones."""
        self.offset_ns_min = self.offset_ns_max = 0


class Wire:
    """
    Drives connections from one thread.

    The schedule (`schedule.py`) says what to send next and when; recordings of ended requests go to ``keep``, one at a time and
    only while nothing is ready to be read.
    """

    def __init__(
        self,
        target: Target,
        *,
        limits: WireLimits,
        poller: Poller,
        keep: Callable[[Recording], None],
        has_token: Callable[[Connection], bool],
    ) -> None:
        self._target = target
        self._limits = limits
        self._poller = poller
        self._keep = keep
        self._has_token = has_token
        self._by_fd: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._busy: dict[int, Connection] = {}
        self._ended: deque[Recording] = deque()
        self.freed_ns: deque[int] = deque()
        """Instants at which a closed loop's users become free, ascending: ends of answers; a closed schedule takes them."""
        self.ended_rows: deque[tuple[int, int]] | None = None
        """Rows that have ended, with the instant of that, where somebody takes them: a schedule of conversations."""
        self.refusals = Refusals()
        self.counts = WireCounts()
        self.cpu_waits = CpuWaits()
        self._offset_ns = self.counts.offset_ns_min = self.counts.offset_ns_max = wall_offset_ns()

    # -- for the loop that drives it ----------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Requests on the wire."""
        return len(self._busy)

    @property
    def unwritten(self) -> bool:
        """Ended requests wait to be kept."""
        return bool(self._ended)

    def send(self, row: int, request: bytes, intended_ns: int, *, resends: int = 0) -> None:
        """
        Send a request on an idle connection, or on a new one.

        Raises:
            LoadError: this process may open no more connections.
        """
        connection = self._idle.pop() if self._idle and not resends else self._open()
        connection.carry(row, request, intended_ns, resends=resends)
        self._busy[connection.fd] = connection
        self.counts.sent += not resends
        if connection.connected:
            self._transmit(connection)

    def read_ready(self) -> None:
        """Read everything that is ready, without waiting."""
        self._handle(self._poller.ready())

    def read_until(self, instant_ns: int) -> None:
        """Wait for something to read, up to an instant."""
        events = self._poller.wait_until(instant_ns)
        self.cpu_waits.look()
        self._handle(events)

    def keep_one(self) -> None:
        """Write one recording."""
        self._keep(self._ended.popleft())

    def keep_all(self) -> None:
        """Write every recording."""
        while self._ended:
            self.keep_one()

    def sweep(self, now_ns: int) -> None:
        """End what has waited too long, and measure the clocks' offset again; to be called about every 100 ms."""
        for connection in list(self._busy.values()):
            overdue = self._overdue(connection, now_ns)
            if overdue is not None:
                ending, limit_ns = overdue
                self._end(connection, ending, now_ns, note=f"{limit_ns / 1e9:g} s")
        self._offset_ns = offset = wall_offset_ns(10)
        self.counts.offset_ns_min = min(self.counts.offset_ns_min, offset)
        self.counts.offset_ns_max = max(self.counts.offset_ns_max, offset)

    def refused_ns(self, now_ns: int) -> int:
        """For how long the server has taken no connection and nothing is on one, up to now; 0 where it took the last."""
        alive = any(connection.connected for connection in self._busy.values())
        return 0 if alive else self.refusals.lasted_ns(now_ns)

    def cancel(self) -> None:
        """Give up everything that is on the wire."""
        now_ns = monotonic_ns()
        for connection in list(self._busy.values()):
            self._end(connection, Ending.CANCELLED, now_ns)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._by_fd.values()):
            self._drop(connection)
        self.cpu_waits.close()

    # -- connections --------------------------------------------------------------------------------------------------

    def _open(self) -> Connection:
        try:
            connection = Connection(self._target, monotonic_ns())
        except OSError as error:
            raise LoadError(
                f"cannot open a connection beside {len(self._by_fd)} others: {error.strerror}; raise the limit (ulimit -n)"
            ) from error
        self._by_fd[connection.fd] = connection
        failure = connection.sock.connect_ex(self._target.address)
        # One that fails at once is reported when the socket is polled, like every later one.
        connection.connect_error = 0 if failure == errno.EINPROGRESS else failure
        self._poller.register(connection.fd, READ | WRITE)
        return connection

    def _drop(self, connection: Connection) -> None:
        if self._by_fd.pop(connection.fd, None) is not None:
            with contextlib.suppress(OSError, KeyError):
                self._poller.unregister(connection.fd)
            connection.close()

    def _end(self, connection: Connection, ending: Ending, end_ns: int, *, note: str = "") -> None:
        self._busy.pop(connection.fd, None)
        self._ended.append(
            Recording(
                row=connection.row,
                intended_send_ns=connection.intended_ns,
                send_ns=connection.send_ns,
                end_ns=end_ns,
                ending=ending,
                resends=connection.resends,
                times_ns=connection.times,
                sizes=connection.sizes,
                data=b"".join(connection.data),
                note=note,
                connect_wait_ns=connection.connect_wait_ns,
            )
        )
        self.counts.done += 1
        self._free_user(connection.row, end_ns, refused=ending is Ending.CONNECT_FAILED)
        if ending is Ending.COMPLETE and connection.reusable:
            connection.free()
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _free_user(self, row: int, end_ns: int, *, refused: bool) -> None:
        """Its user may go on; after a rest, where the server took no connection."""
        if refused:
            end_ns += self.refusals.refused(end_ns)
        else:
            self.refusals.heard()
        if self.freed_ns and end_ns < self.freed_ns[-1]:
            insort(self.freed_ns, end_ns)
        else:
            self.freed_ns.append(end_ns)
        if self.ended_rows is not None:
            self.ended_rows.append((row, end_ns))

    def _overdue(self, connection: Connection, now_ns: int) -> tuple[Ending, int] | None:
        """Which limit a request has passed, and how long that is."""
        limits = self._limits
        if connection.send_ns < 0:
            late = now_ns - connection.opened_ns > limits.connect_ns
            return (Ending.CONNECT_TIMEOUT, limits.connect_ns) if late else None
        waited_ns = now_ns - connection.send_ns
        if waited_ns > limits.total_ns:
            return Ending.TOTAL_TIMEOUT, limits.total_ns
        if waited_ns > limits.first_token_ns and not connection.token_seen:
            # The only time an answer is looked into while the load runs: once a request, and only when it is late.
            connection.token_seen = self._has_token(connection)
            if not connection.token_seen:
                return Ending.FIRST_TOKEN_TIMEOUT, limits.first_token_ns
        if connection.times and now_ns - connection.times[-1] > limits.stall_ns:
            return Ending.STALL_TIMEOUT, limits.stall_ns
        return None

    # -- events -------------------------------------------------------------------------------------------------------

    def _handle(self, events: list[tuple[int, int]]) -> None:
        for fd, mask in events:
            connection = self._by_fd.get(fd)
            if connection is None:
                continue
            if (mask & WRITE or not connection.connected) and not self._writable(connection):
                continue
            if mask & ~WRITE:
                self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(_READ_SIZE, STAMP_SPACE)
        except BlockingIOError:
            return
        except OSError as error:
            self._cut(connection, Ending.RESET, note=os.strerror(error.errno or 0))
            return
        now_ns = monotonic_ns()
        if ancillary:
            seconds, nanoseconds = _unpack_stamp(ancillary[0][2])
            stamp_ns = seconds * 1_000_000_000 + nanoseconds - self._offset_ns
            lag = (now_ns - stamp_ns) // LAG_BUCKET_NS
            self.counts.read_lag[lag if 0 <= lag < _LAG_BUCKETS else (0 if lag < 0 else -1)] += 1
        else:
            stamp_ns = now_ns
            self.counts.userspace_reads += bool(data)
        if not data:
            self._cut(connection, Ending.CLOSED)
        elif connection.row < 0:
            # An idle connection has nothing to say; whatever this is, it belongs to no request.
            self._forget(connection)
        else:
            self._received(connection, data, stamp_ns)

    def _received(self, connection: Connection, data: bytes, stamp_ns: int) -> None:
        if connection.tls is not None:
            plain = self._decrypted(connection, data, stamp_ns)
            if not plain:
                return
            data = plain
        connection.times.append(stamp_ns)
        connection.sizes.append(len(data))
        connection.data.append(data)
        self.counts.reads += 1
        try:
            connection.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # What follows a whole answer is no part of it, but no further request may go after it.
            connection.overrun = True
            if not connection.finished:
                self._end(connection, Ending.NOT_HTTP, stamp_ns)
                return
        if connection.finished:
            self._end(connection, Ending.COMPLETE, stamp_ns)

    def _cut(self, connection: Connection, ending: Ending, *, note: str = "") -> None:
        """The other side closed or reset the connection."""
        if connection.row < 0:
            self._forget(connection)
        elif connection.used and not connection.times and monotonic_ns() - connection.send_ns < _STALE_NS:
            # It was closed while it lay idle, and the server saw nothing of the request: no failure of the server.
            again = (connection.row, connection.request, connection.intended_ns)
            resends = connection.resends + 1
            self._busy.pop(connection.fd, None)
            self._drop(connection)
            self.counts.resends += 1
            self.send(*again, resends=resends)
        else:
            self._end(connection, ending, monotonic_ns(), note=note)

    def _forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._drop(connection)

    # -- sending ------------------------------------------------------------------------------------------------------

    def _writable(self, connection: Connection) -> bool:
        """Go on with a connection that can be written to; False where that ended its request."""
        if not connection.connected:
            error = connection.connect_error or connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._end(connection, Ending.CONNECT_FAILED, monotonic_ns(), note=os.strerror(error))
                return False
            connection.connected = True
            if connection.tls is not None:
                return self._push(connection, connection.tls.handshake())
            return self._transmit(connection)
        return self._push(connection, b"")

    def _transmit(self, connection: Connection) -> bool:
        """Hand the request to the kernel."""
        request = connection.request if connection.tls is None else connection.tls.encrypt(connection.request)
        connection.send_ns = monotonic_ns()
        if not connection.used:
            connection.connect_wait_ns = connection.send_ns - connection.opened_ns
        return self._push(connection, request)

    def _push(self, connection: Connection, data: bytes) -> bool:
        """Send what is there; what does not fit goes out when the socket is writable again."""
        waiting = bool(connection.out)
        data = connection.out + data if waiting else data
        try:
            sent = connection.sock.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._cut(connection, Ending.RESET, note=os.strerror(error.errno or 0))
            return False
        connection.out = data[sent:]
        if connection.out or waiting or connection.used == 0:
            self._poller.modify(connection.fd, READ | WRITE if connection.out else READ)
        return True

    def _decrypted(self, connection: Connection, data: bytes, stamp_ns: int) -> bytes:
        """Plaintext of what came in, or nothing while the handshake goes on."""
        assert connection.tls is not None  # noqa: S101 - for the type checker; the caller asked
        try:
            if connection.tls.ready:
                return connection.tls.decrypt(data)
            reply = connection.tls.handshake(data)
        except ssl.SSLError as error:
            self._end(connection, Ending.TLS_FAILED, stamp_ns, note=failure_words(error))
            return b""
        if self._push(connection, reply) and connection.send_ns < 0 and _is_ready(connection.tls):
            self._transmit(connection)
        return b""


def _is_ready(channel: TlsChannel) -> bool:
    """Asked anew: the handshake may just have ended (a type checker would go by the answer before)."""
    return channel.ready
