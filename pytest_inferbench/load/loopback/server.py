"""
The loopback server: an OpenAI-compatible server that sends every token on a known schedule and logs when it did.

Rule: a token is due at an instant computed from the receipt of its request, so that one late token never makes the next one
late; the instant in the log is read just before the send, on CLOCK_MONOTONIC.

One thread waits in epoll for the connections and for a timerfd that is set to the next due token. Linux only.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import random
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable
from time import CLOCK_MONOTONIC, monotonic_ns
from typing import TextIO

from pytest_inferbench.load.loopback import messages
from pytest_inferbench.load.loopback.log import LOG_COLUMNS, MISSING
from pytest_inferbench.load.loopback.schedule import Schedule

_PR_SET_TIMERSLACK = 29
_TFD_TIMER_ABSTIME = 1
_BURST_MAX = 1024
_SPARE_NS = 500_000
_ENDED_MAX = 20_000
_READ_BYTES = 256 * 1024


class Connection:
    """One client's socket, what was read and not yet used, and what the kernel did not take yet."""

    __slots__ = ("answer", "backlog", "buffer", "closing", "connected_ns", "fd", "send", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.send = sock.send
        self.buffer = b""
        self.backlog = bytearray()
        self.closing = False
        self.connected_ns = monotonic_ns()
        self.answer: Answer | None = None


class Answer:
    """One request on its way to being answered; ``sent_ns`` has one instant a chunk."""

    __slots__ = (
        "chunks",
        "connection",
        "first_due_ns",
        "interval_ns",
        "late_ns_max",
        "middle",
        "open",
        "order",
        "received_ns",
        "request_id",
        "sent_ns",
        "tokens",
    )

    def __init__(self, connection: Connection, request: messages.Request, schedule: Schedule) -> None:
        self.received_ns = monotonic_ns()
        self.order = messages.read_order(request)
        self.connection = connection
        self.request_id = request.request_id
        self.tokens = self.order.tokens or schedule.tokens
        self.chunks = -(-self.tokens // schedule.tokens_per_chunk)
        self.interval_ns = round(schedule.itl_ms * 1e6 * schedule.tokens_per_chunk)
        self.first_due_ns = self.received_ns + round(schedule.ttft_ms * 1e6)
        self.middle = messages.content_chunk(chat=self.order.chat, words=schedule.tokens_per_chunk, last=False)
        self.late_ns_max = 0
        self.sent_ns: list[int] = []
        self.open = True


class Timer:
    """A timerfd on CLOCK_MONOTONIC: it has no slack, and Python has none of its own before 3.13."""

    class _Times(ctypes.Structure):
        _fields_ = (
            ("interval_s", ctypes.c_long),
            ("interval_ns", ctypes.c_long),
            ("value_s", ctypes.c_long),
            ("value_ns", ctypes.c_long),
        )

    def __init__(self, libc: ctypes.CDLL) -> None:
        self.fd: int = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._times = self._Times()
        self._pointer = ctypes.byref(self._times)
        self._settime = libc.timerfd_settime
        self._at_ns = 0

    def set(self, at_ns: int) -> None:
        """Make it readable at that instant (0: never), and not before."""
        if at_ns == self._at_ns == 0:
            return
        self._at_ns = at_ns
        self._times.value_s, self._times.value_ns = divmod(at_ns, 1_000_000_000)
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None)


class Server:
    """
    The server's whole state, and its one loop. From its making on, SIGTERM and SIGINT end the loop.

    Args:
        listener: a listening, non-blocking socket.
        schedule: when tokens leave.
        log: takes a CSV row a request when it ends.
        times: takes the instants of all tokens of a request, if wanted.
    """

    def __init__(self, listener: socket.socket, schedule: Schedule, *, log: TextIO | None, times: TextIO | None) -> None:
        self._listener = listener
        self._schedule = schedule
        self._log = log
        self._times = times
        self._random = random.Random(0)  # noqa: S311 a jitter that repeats, nothing secret
        self._due: list[tuple[int, int, Answer]] = []
        self._ended: deque[Answer] = deque()
        self._connections: dict[int, Connection] = {}
        self._serial = 0
        self._stopping = False
        self._wake = _wake_on_signal(self._stop)
        self.requests = 0
        self.stalls = 0
        self.aborted = 0
        if log:
            log.write(",".join(LOG_COLUMNS) + "\n")

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then log what was still under way."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        timer = Timer(libc)
        self._epoll = select.epoll()
        for fd in (self._listener.fileno(), timer.fd, self._wake):
            self._epoll.register(fd, select.EPOLLIN)
        try:
            while not self._stopping:
                self._send_due()
                self._write_spare()
                timer.set(self._due[0][0] if self._due else 0)
                for fd, events in self._epoll.poll():
                    self._serve(fd, events)
        finally:
            for connection in list(self._connections.values()):
                self._close(connection)
            for answer in self._ended:
                self._write(answer)
            os.close(timer.fd)
            self._epoll.close()

    def _stop(self) -> None:
        self._stopping = True

    def _serve(self, fd: int, events: int) -> None:
        """Handle one ready descriptor; the timer and the wake-up pipe need nothing but that the loop goes round."""
        connection = self._connections.get(fd)
        if connection is None:
            if fd == self._listener.fileno():
                self._accept()
            return
        if events & select.EPOLLOUT:
            self._flush(connection)
        if events & ~select.EPOLLOUT:
            self._read(connection)
        # A burst of new requests must not make tokens late that fall due while it is read.
        self._send_due()

    def _accept(self) -> None:
        """Take one new connection; the wait reports the next one at once, and tokens that fall due in between go first."""
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        sock.settimeout(0)
        connection = Connection(sock)
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.buffer += data
        self._next_request(connection)

    def _next_request(self, connection: Connection) -> None:
        """Begin the next request of this connection, unless one is being answered or none is complete."""
        while connection.buffer and connection.answer is None and not connection.closing:
            try:
                taken = messages.take_request(connection.buffer)
            except messages.Unreadable as error:
                connection.closing = True
                self._send(connection, messages.error_answer(error))
                return
            if taken is None:
                return
            request, connection.buffer = taken
            connection.closing = request.close
            self._begin(connection, request)

    def _begin(self, connection: Connection, request: messages.Request) -> None:
        if request.method == b"GET":
            self._send(connection, messages.get_answer(request.path))
            return
        try:
            answer = Answer(connection, request, self._schedule)
        except messages.Unreadable as error:
            self._send(connection, messages.error_answer(error))
            return
        connection.answer = answer
        if self._schedule.jitter:
            wait_ns = answer.first_due_ns - answer.received_ns
            answer.first_due_ns += round(wait_ns * self._schedule.jitter * self._random.random())
        if self._schedule.role_chunk and answer.order.stream:
            self._send(connection, messages.STREAM_HEAD + messages.role_chunk(chat=answer.order.chat))
        due_ns = answer.first_due_ns
        if not answer.order.stream:
            due_ns += (answer.chunks - 1) * answer.interval_ns
        self._serial += 1
        heapq.heappush(self._due, (due_ns, self._serial, answer))

    def _send_due(self) -> None:
        """Send the chunks whose time has come. This is the path that makes tokens late where it is slow."""
        due = self._due
        for _ in range(_BURST_MAX):
            if not due:
                return
            due_ns, serial, answer = due[0]
            now_ns = monotonic_ns()
            if now_ns < due_ns:
                return
            if not answer.open:
                heapq.heappop(due)
                continue
            answer.late_ns_max = max(answer.late_ns_max, now_ns - due_ns)
            sent = len(answer.sent_ns)
            answer.sent_ns.append(now_ns)
            if 0 < sent < answer.chunks - 1:
                self._send(answer.connection, answer.middle)
            elif self._send_edge(answer, sent):
                heapq.heappop(due)
                continue
            next_ns = answer.first_due_ns + (sent + 1) * answer.interval_ns
            if self._schedule.jitter:
                next_ns += round(answer.interval_ns * self._schedule.jitter * self._random.random())
            heapq.heapreplace(due, (next_ns, serial, answer))

    def _send_edge(self, answer: Answer, sent: int) -> bool:
        """Send the first or the last chunk of an answer, or the whole of one that does not stream; True where that ended it."""
        order, connection = answer.order, answer.connection
        if not order.stream:
            self._send(connection, messages.whole_answer(order, answer.tokens))
            self._finish(answer)
            return True
        last = sent == answer.chunks - 1
        words = answer.tokens - sent * self._schedule.tokens_per_chunk if last else self._schedule.tokens_per_chunk
        chunk = messages.content_chunk(chat=order.chat, words=words, last=last)
        self._send(connection, messages.STREAM_HEAD + chunk if sent == 0 and not self._schedule.role_chunk else chunk)
        if last:
            self._send(connection, messages.closing_chunks(order, answer.tokens))
            self._finish(answer)
        return last

    def _finish(self, answer: Answer) -> None:
        connection = answer.connection
        if not answer.open:  # the send found the connection gone, and closing it logged the answer
            return
        connection.answer = None
        self._end(answer)
        self._next_request(connection)
        self._close_if_done(connection)

    def _send(self, connection: Connection, data: bytes) -> None:
        if connection.backlog:
            connection.backlog += data
            return
        try:
            taken = connection.send(data)
        except BlockingIOError:
            taken = 0
        except OSError:
            self._close(connection)
            return
        if taken < len(data):
            self.stalls += 1
            connection.backlog += data[taken:]
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)
        else:
            self._close_if_done(connection)

    def _flush(self, connection: Connection) -> None:
        try:
            taken = connection.send(connection.backlog)
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        del connection.backlog[:taken]
        if not connection.backlog:
            self._epoll.modify(connection.fd, select.EPOLLIN)
            self._close_if_done(connection)

    def _close_if_done(self, connection: Connection) -> None:
        if connection.closing and connection.answer is None and not connection.backlog:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        """Forget a connection; what it was being answered is logged with the tokens that were sent."""
        if self._connections.get(connection.fd) is not connection:
            return
        del self._connections[connection.fd]
        connection.sock.close()
        answer, connection.answer = connection.answer, None
        if answer is not None:
            self.aborted += 1
            self._end(answer)

    def _end(self, answer: Answer) -> None:
        answer.open = False
        self.requests += 1
        self._ended.append(answer)

    def _write_spare(self) -> None:
        """Log one ended answer while no token is due soon: its digits take as long as a few tokens."""
        if not self._ended:
            return
        spare_ns = self._due[0][0] - monotonic_ns() if self._due else _SPARE_NS
        if spare_ns >= _SPARE_NS or len(self._ended) > _ENDED_MAX:
            self._write(self._ended.popleft())

    def _write(self, answer: Answer) -> None:
        sent_ns, per_chunk = answer.sent_ns, self._schedule.tokens_per_chunk
        tokens = min(len(sent_ns) * per_chunk, answer.tokens) if answer.order.stream else answer.tokens * len(sent_ns)
        first_ns, last_ns = (sent_ns[0], sent_ns[-1]) if sent_ns else (MISSING, MISSING)
        if self._log:
            facts = answer.received_ns, first_ns, last_ns, tokens, answer.late_ns_max, answer.connection.connected_ns
            self._log.write(_row(answer.request_id, facts))
        if self._times and answer.order.stream:
            each = sent_ns if per_chunk == 1 else [at_ns for at_ns in sent_ns for _ in range(per_chunk)][:tokens]
            self._times.write(_row(answer.request_id, each))


def _row(request_id: str, values: Iterable[int]) -> str:
    """One row of CSV; `csv.writer` takes three times as long."""
    if "," in request_id or '"' in request_id:
        request_id = '"' + request_id.replace('"', '""') + '"'
    return ",".join((request_id, *map(str, values))) + "\n"


def _wake_on_signal(stop: Callable[[], None]) -> int:
    """Call ``stop`` on SIGTERM and SIGINT; returns a descriptor that becomes readable then, so that a wait for it ends."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())
    return reader
