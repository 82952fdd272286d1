"""A server behind TLS, with a certificate of its own making."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

LIMIT_S = 120.0


class Authority:
    """Signs certificates that nobody trusts who was not told to; ``file`` is what to trust."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def context(self, *names: str) -> ssl.SSLContext:
        """What a server with a certificate for these names uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context


@contextmanager
def secured(context: ssl.SSLContext, answer: bytes) -> Iterator[int]:
    """Gives the same answer to every request, a connection in a thread of its own; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = [threading.Thread(target=_serve, args=(listener, context, answer)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(LIMIT_S)
        listener.close()


def _serve(listener: socket.socket, context: ssl.SSLContext, answer: bytes) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.settimeout(LIMIT_S)
        # A client that does not trust this server ends the handshake, as some tests want.
        with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as sock:
            _answer(sock, answer)


def _answer(sock: ssl.SSLSocket, answer: bytes) -> None:
    held = b""
    while data := sock.recv(65536):
        held += data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            size = int(held.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if len(held) < end + 4 + size:
                break
            held = held[end + 4 + size :]
            sock.sendall(answer)
