from collections.abc import Callable, Iterator

import pytest

from tests.launch.conftest import ScriptedServer


def http(body: bytes, *, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def scripted() -> Iterator[Callable[[dict[str, bytes | None]], ScriptedServer]]:
    """Starts servers that answer each path with the given bytes; None: they say nothing."""
    servers: list[ScriptedServer] = []

    def start(script: dict[str, bytes | None]) -> ScriptedServer:
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def serving(scripted: Callable[[dict[str, bytes | None]], ScriptedServer]) -> Callable[[bytes | None], ScriptedServer]:
    """Starts servers that answer ``/metrics`` with the given bytes; None: they say nothing."""
    return lambda answer: scripted({"/metrics": answer})
