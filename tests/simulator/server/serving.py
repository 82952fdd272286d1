"""A simulated server in this process, on a real socket, and requests to it as raw bytes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pytest_inferbench.simulator.server.server import SimulatedServer
from pytest_inferbench.simulator.server.settings import Settings
from tests.simulator.server.deployments import MODEL

LIMIT_S = 60.0
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One whole answer, its chunks put together."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of each event but ``[DONE]``."""
        data = [line.removeprefix("data: ") for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(each) for each in data if each != "[DONE]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that listens."""

    server: SimulatedServer
    port: int

    async def ask(self, path: str, body: object = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request(path, body, connection="close", **headers))
        raw = await reader.read()
        writer.close()
        return answer_of(raw)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a state, within a generous limit."""
    for _ in range(int(LIMIT_S / 0.001)):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"it was not so within {LIMIT_S:g} s")


def request(path: str, body: object = None, **headers: str) -> bytes:
    """The bytes of a GET, or of a POST where there is a body: bytes, or what becomes JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"host": "test", "content-length": str(len(data)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data


def answer_of(raw: bytes) -> Answer:
    """A whole answer from its bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return Answer(status=int(first.split(" ")[1]), headers=headers, body=body)


def unchunked(body: bytes) -> bytes:
    """What is in the chunks, of which the last one must be there."""
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size, 16)
        found, body = found + rest[:count], rest[count + 2 :]
        if not count:
            return found
    raise AssertionError("the body has no end")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    """A server with these settings, from when it listens on; ready or not."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(0)
    listener.listen()
    server, ready = SimulatedServer(settings), asyncio.Event()
    task = asyncio.create_task(server.serve(listener, ready=ready.set))
    start = settings.faults.at_start()
    try:
        if not start.never and not start.delay_s:
            waits = {task, asyncio.ensure_future(ready.wait())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        yield Served(server=server, port=listener.getsockname()[1])
    finally:
        server.stop()
        await asyncio.gather(task, return_exceptions=True)


def with_server(settings: Settings, do: Callable[[Served], Awaitable[None]]) -> None:
    """Do something with a server, within a generous limit."""

    async def within() -> None:
        async with asyncio.timeout(LIMIT_S), serving(settings) as served:
            await do(served)

    asyncio.run(within())


def ask_once(settings: Settings, path: str, body: object = None, **headers: str) -> Answer:
    """The answer to one request."""
    found: list[Answer] = []

    async def ask(served: Served) -> None:
        found.append(await served.ask(path, body, **headers))

    with_server(settings, ask)
    return found[0]


def chat(text: str = "the big house", **more: object) -> dict[str, object]:
    """A chat request of one message."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
