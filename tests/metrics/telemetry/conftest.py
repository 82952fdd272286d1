from collections.abc import Callable, Iterator

import pytest

from tests.launch.conftest import ScriptedServer


def http(body: bytes, *, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def serving() -> Iterator[Callable[[bytes | None], ScriptedServer]]:
    """Starts servers that answer ``/metrics`` with the given bytes; None: they say nothing."""
    servers: list[ScriptedServer] = []

    def start(answer: bytes | None) -> ScriptedServer:
        servers.append(ScriptedServer({"/metrics": answer}))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
