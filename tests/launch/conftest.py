import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class ScriptedServer:
    """
    A TCP server that answers each path with the bytes it was given, and closes the connection.

    Paths without a script get 404; None says nothing until the test is over.
    """

    script: dict[str, bytes | None]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads: list[threading.Thread] = []
        self._run(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]

    def sent(self, path: str) -> Any:
        """The JSON of the last request to a path."""
        return json.loads([body for asked, _, body in self.requests if asked == path][-1])

    def close(self) -> None:
        if self.over.is_set():
            return
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(5)

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self._run(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with suppress(ConnectionError), connection, connection.makefile("rb") as reader:
            line = reader.readline().decode("latin-1").split()
            if len(line) < 3 or not line[2].startswith("HTTP/"):
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            headers = {}
            while header := reader.readline().decode("latin-1").strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = reader.read(int(headers.get("content-length", "0")))
            self.requests.append((line[1], headers, body))
            answer = self.script.get(line[1], NOT_FOUND)
            if answer is None:
                self.over.wait(30)
            else:
                connection.sendall(answer)


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts scripted servers."""
    servers: list[ScriptedServer] = []

    def start(script: dict[str, bytes | None]) -> ScriptedServer:
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
