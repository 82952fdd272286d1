r"""
A server that plays exactly the bytes it is given: for tests of clients against answers that no real server gives on demand.

    with Scripted([Answer(head=b"HTTP/1.1 200 OK\r\n\r\n", chunks=[b"half a "], then="reset")]) as server:
        ...  # talk to server.url
    assert server.requests[0].path == "/v1/chat/completions"

The first request gets the first answer, whichever connection it comes on, and so on; a request beyond the script gets a 500 that
says so. Rule: every wait in here ends when the ``with`` block does, and a fault of a server thread is raised there.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

LIMIT_S = 120.0
CONNECTIONS_MAX = 256
_READ_BYTES = 65536
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of no time at all: close() sends a reset

Step = bytes | float | threading.Event
Then = Literal["keep", "close", "reset", "half-close", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What one request gets.

    Attributes:
        head: sent first, in one piece.
        chunks: then played in order: bytes are sent in one piece, a number is a pause in seconds, an event is waited for.
        pause_s: pause before each piece of ``chunks`` that is bytes.
        then: ``keep`` the connection for the next request; ``close`` it; ``reset`` it; ``half-close``: send the end, but go on
            reading until the client closes; ``hang``: send nothing more and read no more, until the test ends.
        reads_request: False plays the answer to a connection without reading anything from it.
    """

    head: bytes = b""
    chunks: Sequence[Step] = ()
    pause_s: float = 0.0
    then: Then = "keep"
    reads_request: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came; header names in lower case, ``connection`` counts from 0 in the order of connecting."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Scripted:
    """
    The server; listens on a free port of 127.0.0.1 while the ``with`` block runs.

    Args:
        answers: the script.
        repeat: give the last answer again and again, instead of the 500 that says that the script is over.

    Attributes:
        requests: what came, in the order it was read.
        connections: how many were opened.
        surplus: how many requests came after the script was over.
    """

    def __init__(self, answers: Sequence[Answer], *, repeat: bool = False) -> None:
        if any(answer.then == "keep" for answer in answers if not answer.reads_request):
            raise ValueError("an answer that reads no request cannot keep the connection for the next one")
        self.requests: list[Received] = []
        self.connections = 0
        self.surplus = 0
        self._answers = list(answers)
        self._repeat = repeat
        self._next = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._faults: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS_MAX)
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for step in (step for answer in self._answers for step in answer.chunks):
            if isinstance(step, threading.Event):
                step.set()
        with self._lock:
            for sock in (self._listener, *self._open):
                _shut(sock)
        for thread in self._threads:
            thread.join(LIMIT_S)
        self._listener.close()
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if error is None and (alive or self._faults):
            raise AssertionError(f"the scripted server failed: {self._faults or alive}")

    def _start(self, run: Any, *arguments: Any) -> None:
        thread = threading.Thread(
            target=self._guarded, args=(run, *arguments), name=f"scripted-{len(self._threads)}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _guarded(self, run: Any, *arguments: Any) -> None:
        try:
            run(*arguments)
        except Exception as fault:  # noqa: BLE001 it is raised again where the test sees it
            self._faults.append(fault)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(sock)
                number, self.connections = self.connections, self.connections + 1
            if number >= CONNECTIONS_MAX:
                raise AssertionError(f"more than {CONNECTIONS_MAX} connections")
            self._start(self._converse, sock, number)

    def _converse(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(LIMIT_S)
        buffer = b""
        try:
            while True:
                answer = self._unread()
                if answer is None:
                    taken = _read_request(sock, buffer, number)
                    if taken is None:
                        return
                    request, buffer = taken
                    answer = self._answer_to(request)
                if not self._play(sock, answer):
                    return
        except (ConnectionError, TimeoutError):
            return  # the client went away, or is idle, as some tests want it to
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def _unread(self) -> Answer | None:
        """Take the next answer if it is one that does not wait for a request."""
        with self._lock:
            if self._next < len(self._answers) and not self._answers[self._next].reads_request:
                return self._take()
            return None

    def _answer_to(self, request: Received) -> Answer:
        with self._lock:
            self.requests.append(request)
            if self._next < len(self._answers):
                return self._take()
            self.surplus += 1
            text = f"the script has no answer for request {len(self.requests)}".encode()
        return Answer(head=b"HTTP/1.1 500 Script Over\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text))

    def _take(self) -> Answer:
        answer = self._answers[self._next]
        if not (self._repeat and self._next == len(self._answers) - 1):
            self._next += 1
        return answer

    def _play(self, sock: socket.socket, answer: Answer) -> bool:
        """Send the answer; True where the connection goes on."""
        sock.sendall(answer.head)
        for step in answer.chunks:
            if isinstance(step, bytes):
                self._over.wait(answer.pause_s)
                sock.sendall(step)
            elif isinstance(step, threading.Event):
                if not step.wait(LIMIT_S):
                    raise AssertionError(f"nobody set the event within {LIMIT_S} s")
            else:
                self._over.wait(step)
        self._end(sock, answer.then)
        return answer.then == "keep" and not self._over.is_set()

    def _end(self, sock: socket.socket, then: Then) -> None:
        if then == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        elif then == "half-close":
            # A client that has had enough may be gone already, which is its right.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(_READ_BYTES):
                    pass
        elif then == "hang":
            self._over.wait(LIMIT_S)


def _read_request(sock: socket.socket, buffer: bytes, connection: int) -> tuple[Received, bytes] | None:
    """Read one request, and return it with what came after it; None where the client closed before one began."""
    while b"\r\n\r\n" not in buffer:
        data = sock.recv(_READ_BYTES)
        if not data:
            if buffer:
                raise AssertionError(f"the client closed in the middle of a request: {buffer!r}")
            return None
        buffer += data
    head, _, body = buffer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", "0"))
    while len(body) < size:
        data = sock.recv(_READ_BYTES)
        if not data:
            raise AssertionError(f"the client closed after {len(body)} of {size} bytes of a body")
        body += data
    request = Received(method=method, path=path, headers=headers, body=body[:size], connection=connection)
    return request, body[size:]


def _shut(sock: socket.socket) -> None:
    """Wake the thread that waits on this socket."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already, or was never connected
