"""An answer's framing comes off the same way however its bytes were cut, and what is not HTTP is said."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.http1 import Answer, read_answer, request_head
from tests.load.answers import MS, STREAM, chunk, cut, head, plain, recording, sse, streamed

BODY = "".join(f'data: {{"content": "Grüße {i} €"}}\n\n' for i in range(4)).encode()


def gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(body) + packer.flush()


def with_head(body: bytes, *headers: tuple[str, str], version: str = "1.1") -> bytes:
    return head(headers=[*STREAM, *headers], version=version) + body


CHUNKED = b"".join(chunk(sse(part.decode())) for part in (b"a", b"b")) + chunk(b"")
ANSWERS = {
    "chunked": (with_head(b"".join(map(chunk, [BODY[:20], BODY[20:]])) + chunk(b""), ("Transfer-Encoding", "chunked")), True),
    "length": (with_head(BODY, ("Content-Length", str(len(BODY)))), True),
    "close": (with_head(BODY, ("Connection", "close")), False),
    "http-1.0": (with_head(BODY, version="1.0"), False),
    "gzip": (with_head(chunk(gzipped(BODY)) + chunk(b""), ("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")), True),
    "interim": (head(100, "Continue") + with_head(BODY, ("Content-Length", str(len(BODY)))), True),
}


def read(pieces: list[bytes]) -> Answer:
    recorded = recording(pieces)
    return read_answer(recorded.times_ns, recorded.sizes, recorded.data)


@given(name=st.sampled_from(sorted(ANSWERS)), places=st.lists(st.integers(0, 400), max_size=30))
def test_any_cut_gives_the_same_answer(name: str, places: list[int]) -> None:
    data, complete = ANSWERS[name]
    answer = read(cut(data, places))
    assert (answer.status, answer.body, answer.complete, answer.problem) == (200, BODY, complete, None)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.until_close == (name in {"close", "http-1.0"})
    times = [at_ns for _, at_ns in answer.pieces]
    assert times == sorted(times)


@given(places=st.lists(st.integers(0, 120), max_size=30))
def test_a_byte_of_the_body_has_the_time_of_the_read_that_brought_it(places: list[int]) -> None:
    data, _ = ANSWERS["length"]
    pieces = cut(data, places)
    start = data.index(b"\r\n\r\n") + 4
    offset, expected = 0, []
    for number, piece in enumerate(pieces, 1):
        expected += [number * MS] * max(0, offset + len(piece) - max(offset, start))
        offset += len(piece)
    assert [at_ns for piece, at_ns in read(pieces).pieces for _ in piece] == expected


def test_a_chunk_header_cut_in_two_belongs_to_the_chunk() -> None:
    data = b"".join(streamed(["a" * 20]))
    at = data.index(b"\r\n\r\n") + 5
    assert read([data[:at], data[at:]]).body == b"data: " + b"a" * 20 + b"\n\n"


def test_an_answer_of_ten_megabytes_is_whole() -> None:
    body = b"x" * 10_000_000
    answer = read(cut(b"".join([*streamed([])[:-1], chunk(body), chunk(b"")]), range(0, len(body), 65536)))
    assert answer.complete
    assert answer.body == body


def test_names_of_headers_are_in_lower_case_and_trailers_hide_none() -> None:
    answer = read([head(headers=[("Content-TYPE", "text/event-stream"), ("Transfer-Encoding", "chunked")])])
    assert (answer.headers["content-type"], answer.complete) == ("text/event-stream", False)
    data = head(headers=[("X-Kind", "real"), ("Transfer-Encoding", "chunked")]) + b"0\r\nX-Kind: trailer\r\n\r\n"
    assert read([data]).headers["x-kind"] == "real"


def test_what_follows_a_whole_answer_is_no_part_of_it() -> None:
    for extra in (plain(b"second"), b"rubbish"):
        answer = read([plain(b"first") + extra])
        assert (answer.body, answer.complete, answer.problem) == (b"first", True, None)


def test_half_an_answer_is_not_complete() -> None:
    answer = read([plain(b"0123456789")[:-4]])
    assert (answer.complete, answer.until_close, answer.body) == (False, False, b"012345")


def test_nothing_received_is_no_answer() -> None:
    answer = read([])
    assert (answer.status, answer.complete, answer.until_close, answer.problem) == (0, False, False, None)


def test_what_is_not_http_is_a_problem() -> None:
    answer = read([b"SSH-2.0-OpenSSH_9.2\r\n"])
    assert answer.status == 0
    assert answer.problem is not None
    assert "HTTP" in answer.problem


def test_a_change_of_protocol_is_a_problem() -> None:
    answer = read([head(101, "Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")])])
    assert answer.problem == "it changes the protocol"


def test_damaged_gzip_is_a_problem_and_what_came_before_is_kept() -> None:
    data = gzipped(BODY)
    answer = read([plain(data[:-8] + b"\0" * 8, headers=[("Content-Encoding", "gzip")])])
    assert answer.problem is not None
    assert answer.problem.startswith("its gzip is damaged:")


def test_a_compression_that_nobody_asked_for_is_a_problem() -> None:
    assert read([plain(b"?", headers=[("Content-Encoding", "br")])]).problem == "its content-encoding 'br' was not asked for"


def test_the_head_of_a_request_ends_after_a_header_line() -> None:
    assert request_head("POST", "/v1", "h:1", [("A", "b")]) == b"POST /v1 HTTP/1.1\r\nHost: h:1\r\nA: b\r\n"


@pytest.mark.parametrize(("value", "words"), [("a\r\nEvil: 1", "has a line break in it"), ("schlüssel", "is not plain ASCII")])
def test_a_header_that_would_break_the_request_is_refused_without_showing_it(value: str, words: str) -> None:
    with pytest.raises(LoadError, match=words) as caught:
        request_head("POST", "/", "h", [("Authorization", value)])
    assert value not in str(caught.value)
    assert caught.value.__cause__ is None
