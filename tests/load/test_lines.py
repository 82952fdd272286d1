"""Streams of lines: any cut of the same bytes gives the same lines, with the time of the piece that ended each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.lines import LineReader
from tests.load.answers import cut


def read(pieces: list[bytes]) -> list[tuple[bytes, int]]:
    reader = LineReader()
    events = [event for time_ns, piece in enumerate(pieces) for event in reader.feed(piece, time_ns)]
    return [(event.data, event.time_ns) for event in (*events, *reader.close())]


def test_a_line_has_the_time_of_the_piece_that_ended_it() -> None:
    assert read([b'{"a":', b'1}\n{"b":2}\n', b"\n  \n", b'{"c":3}']) == [(b'{"a":1}', 1), (b'{"b":2}', 1), (b'{"c":3}', 3)]


def test_carriage_returns_stay_with_the_line_where_json_does_not_mind_them() -> None:
    assert read([b'{"a":1}\r\n\r\n']) == [(b'{"a":1}\r', 0)]


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_any_cut_gives_the_same_lines(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(lines)
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=12))
    assert [line for line, _ in read(cut(whole, places))] == [line for line in lines if line.strip()]
