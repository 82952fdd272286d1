"""Events are the same however a stream was cut, and each has the time of the piece that completed it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.sse import Event, EventReader
from tests.load.answers import cut

_LINES = st.sampled_from(
    [b"data: x", b"data:y", b"data", b"data:  z ", b"event: error", b": note", b"id: 7", b"", b"", "data: ä€".encode()]
)
_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def read(pieces: list[bytes]) -> list[Event]:
    """Feed the pieces at times 1, 2, 3 and so on."""
    reader = EventReader()
    found = [event for at_ns, piece in enumerate(pieces, 1) for event in reader.feed(piece, at_ns)]
    return found + reader.close()


def whole(data: bytes) -> list[tuple[bytes, int, bytes]]:
    """Data, offset of the byte that ends it, and type of each event: the standard's algorithm, a byte at a time."""
    found: list[tuple[bytes, int, bytes]] = []
    said: list[bytes] = []
    kind = line = b""
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for at in range(start, len(data)):
        byte = data[at : at + 1]
        if byte == b"\n" and at > start and data[at - 1 : at] == b"\r":
            continue
        if byte not in (b"\r", b"\n"):
            line += byte
            continue
        if not line:
            found += [(b"\n".join(said), at, kind)] if said else []
            said, kind = [], b""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        said += [value] if name == b"data" else []
        kind = value if name == b"event" else kind
        line = b""
    return found


@given(
    lines=st.lists(st.tuples(_LINES, _ENDS), max_size=14),
    mark=st.booleans(),
    places=st.lists(st.integers(0, 120), max_size=20),
)
def test_any_cut_gives_the_same_events_at_the_time_of_the_piece_that_ended_each(
    lines: list[tuple[bytes, bytes]], mark: bool, places: list[int]
) -> None:
    data = (b"\xef\xbb\xbf" if mark else b"") + b"".join(line + end for line, end in lines) + b"\n\n"
    pieces = cut(data, places)
    ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    expected = [Event(said, next(i for i, end in enumerate(ends, 1) if at < end), kind) for said, at, kind in whole(data)]
    assert read(pieces) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_ends_an_event(end: bytes) -> None:
    assert read([b"data: a" + end + end + b"data: b" + end + end]) == [Event(b"a", 1), Event(b"b", 1)]


def test_lines_of_data_are_joined_and_one_blank_is_taken_off() -> None:
    assert read([b"data: a\ndata:  b\ndata:c\ndata\n\n"]) == [Event(b"a\n b\nc\n", 1)]


def test_comments_and_other_fields_say_nothing() -> None:
    assert read([b": ping\n\n", b"id: 1\nretry: 3\n\n", b"data: a\n\n"]) == [Event(b"a", 3)]


def test_the_type_of_an_event_is_kept() -> None:
    assert read([b"event: error\ndata: {}\n\n"]) == [Event(b"{}", 1, b"error")]


@pytest.mark.parametrize("pieces", [[b"\xef\xbb\xbfdata: a\n\n"], [b"\xef", b"\xbb", b"\xbfdata: a\n\n"]])
def test_a_byte_order_mark_is_skipped(pieces: list[bytes]) -> None:
    assert [event.data for event in read(pieces)] == [b"a"]


def test_a_carriage_return_at_the_end_of_a_piece_owns_the_line_feed_of_the_next() -> None:
    assert read([b"data: a\r", b"\n", b"\r\n", b"data: b\n\n"]) == [Event(b"a", 3), Event(b"b", 4)]


def test_a_line_feed_after_the_event_that_a_carriage_return_ended_still_counts_later() -> None:
    # The plain piece must make the reader forget the CR before it, else the LF that follows would be lost.
    assert read([b"data: a\r\r", b"data: b\n\n", b"\ndata: c\n\n"]) == [Event(b"a", 1), Event(b"b", 2), Event(b"c", 3)]


def test_the_last_event_without_its_blank_line_has_the_time_of_its_last_piece() -> None:
    assert read([b"data: a\n\nda", b"ta: b", b""]) == [Event(b"a", 1), Event(b"b", 2)]


@pytest.mark.parametrize("data", [b"", b"\n\n\n", b": only a comment", b"event: x\n\n"])
def test_nothing_said_is_no_event(data: bytes) -> None:
    assert read([data]) == []


def test_an_event_of_megabytes_is_joined_once() -> None:
    data = b"x" * 10_000_000
    pieces = cut(b"data: " + data + b"\n\n", range(0, 10_000_000, 65536))
    assert read(pieces) == [Event(data, len(pieces))]
