"""HTTP as clients write it, well and badly."""

from __future__ import annotations

import asyncio

import pytest

from pytest_inferbench.simulator.server.connection import BODY_BYTES_MAX, HEAD_BYTES_MAX, PIPELINED_MAX, chunk
from tests.simulator.server.deployments import settings
from tests.simulator.server.serving import CHAT, Served, answer_of, chat, request, with_server


async def said(served: Served, *data: bytes) -> bytes:
    """All that comes back on a connection that is written to piece by piece."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for piece in data:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    raw = await reader.read()
    writer.close()
    return raw


def test_a_chunk_has_its_size_in_hexadecimal() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_a_request_may_come_byte_by_byte() -> None:
    async def do(served: Served) -> None:
        data = request(CHAT, chat(max_tokens=2), connection="close")
        answer = answer_of(await said(served, *(data[at : at + 1] for at in range(len(data)))))
        assert answer.json["usage"]["prompt_tokens"] == 3

    with_server(settings(), do)


def test_the_query_of_a_target_is_no_part_of_its_path() -> None:
    async def do(served: Served) -> None:
        assert (await served.ask("/health?verbose=1")).status == 200

    with_server(settings(), do)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"this is not HTTP\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_request_ends_the_connection(data: bytes, status: bytes) -> None:
    async def do(served: Served) -> None:
        assert (await said(served, data)).startswith(b"HTTP/1.1 " + status)
        assert (await served.ask("/health")).status == 200

    with_server(settings(), do)


def test_a_body_has_a_limit() -> None:
    async def do(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: test\r\ncontent-length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode())
        for _ in range(BODY_BYTES_MAX // 2**20 + 1):
            writer.write(b"x" * 2**20)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()

    with_server(settings(), do)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    async def do(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head, _, body = request(CHAT, chat(max_tokens=1), expect="100-continue", connection="close").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert answer_of(await reader.read()).status == 200
        writer.close()

    with_server(settings(), do)


def test_too_many_requests_ahead_of_their_answers_end_the_connection() -> None:
    async def do(served: Served) -> None:
        raw = await said(served, request(CHAT, chat(max_tokens=4000, ignore_eos=True)) * (PIPELINED_MAX + 2))
        assert raw == b""
        assert served.server.figures.finished["abort"] == 1

    with_server(settings(), do)
