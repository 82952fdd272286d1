"""A port for a server to listen on."""

from __future__ import annotations

import re
import socket

_TAKEN = re.compile(
    r"address already in use|errno 98\b|EADDRINUSE|could(?:n't| not) bind|failed to bind|port \d+ is (?:already )?(in use|taken)",
    re.IGNORECASE,
)


def free_port() -> int:
    """
    A port of 127.0.0.1 that nobody listened on a moment ago.

    Somebody may take it before the server does; the server then says so, and is started again on another.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def says_port_taken(log: str) -> bool:
    """Whether a server's log says that its port is in use."""
    return _TAKEN.search(log) is not None
