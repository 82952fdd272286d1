"""Traces of real traffic are read as they are published, row by row."""

from __future__ import annotations

import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.trace_files import TraceRow, read_trace

MOONCAKE = """{"timestamp": 2000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 2000.5, "input_length": 12, "output_length": 1, "hash_ids": []}

{"timestamp": 5999, "input_length": 7, "output_length": 3, "hash_ids": [0], "type": "text"}
"""
# Azure's files end lines in CR LF, the last one in nothing, and have seven digits after the point; later ones a zone.
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109\r\n"
    "2023-11-17 18:15:46.68059,1,2"
)
ZONED = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00+00:00,3,4\n2024-05-10 02:00:00.000000001+02:00,5,6\n"
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,0,0,0,API log
45,"GPT-4",1087,230,1317,API log
"""
BURST_3 = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5.25,abc,0.5,ChatGPT,472,18,490,Conversation log
"""
PLAIN = "timestamp,input_tokens,output_tokens\n0.5,8,4\n0.5000000015,9,5\n\n1e1,10,6\n"
HEADER = "timestamp,input_tokens,output_tokens\n"


def problem(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        list(read_trace(path))
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (MOONCAKE, [(0, 6758, 500, (0, 1)), (500_000, 12, 1), (3_999_000_000, 7, 3, (0,))]),
        (AZURE, [(0, 374, 44), (4_314_579_000, 396, 109), (86_400_000_000_000, 1, 2)]),
        (ZONED, [(0, 3, 4), (1, 5, 6)]),
        (BURST, [(0, 472, 18), (40_000_000_000, 1087, 230)]),
        (BURST_3, [(0, 472, 18)]),
        (PLAIN, [(0, 8, 4), (2, 9, 5), (9_500_000_000, 10, 6)]),
        ("\ufeff" + PLAIN, [(0, 8, 4), (2, 9, 5), (9_500_000_000, 10, 6)]),
        ("output_tokens, timestamp ,input_tokens\n4, 0 ,8\n", [(0, 8, 4)]),
    ],
    ids=["mooncake", "azure", "azure with zones", "burstgpt", "burstgpt 3", "plain", "byte order mark", "other order"],
)
def test_a_published_form_is_told_by_its_header(text: str, rows: list[tuple[Any, ...]], tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(text.encode())
    assert list(read_trace(path)) == [TraceRow(*row) for row in rows]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: is not the header of a trace; known are TIMESTAMP,ContextTokens,GeneratedTokens; Timestamp,Request tokens,"),
        ("a,b\n1,2\n", ":1: is not the header of a trace; known are"),
        ("TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n", ":1: is not the header of a trace"),
        (HEADER, ": the trace has no requests"),
        (HEADER + "1,2\n", ":2: has 2 values where the header has 3"),
        (HEADER + "1,2,3,4\n", ":2: has 4 values where the header has 3"),
        (HEADER + "soon,8,4\n", ":2: timestamp: must be a time in seconds, not 'soon'"),
        (HEADER + "-1,8,4\n", ":2: timestamp: must be a time in seconds, not '-1'"),
        (HEADER + "nan,8,4\n", ":2: timestamp: must be a time in seconds, not 'nan'"),
        (HEADER + "1e999999999,8,4\n", ":2: timestamp: must be a time in seconds, not '1e999999999'"),
        (HEADER + "1,0,4\n", ":2: input_tokens: must be a whole number of tokens from 1 to 100000000, not '0'"),
        (HEADER + "1,8,4.5\n", ":2: output_tokens: must be a whole number of tokens from 1 to 100000000, not '4.5'"),
        (HEADER + f"1,8,{'9' * 5000}\n", ":2: output_tokens: must be a whole number of tokens from 1 to 100000000, not '999"),
        (HEADER + "2,8,4\n\n1,8,4\n", ":4: comes before the row above it; sort the trace by its times"),
        (HEADER + '1,"8,4\n', ":2: is not CSV: unexpected end of data"),
        (AZURE + "\n18:15,1,1", ":5: TIMESTAMP: must be a time such as 2023-11-16 18:15:46.6805900, not '18:15'"),
        (AZURE + "\n2023-13-16 18:15:46,1,1", ":5: TIMESTAMP: month must be in 1..12"),
        (BURST + "50,ChatGPT,0,7,7,API log\n", ":5: Request tokens: must be a whole number of tokens from 1 to"),
        (BURST + "50,ChatGPT\n", ":5: has 2 values where the header has 6"),
        ('{"timestamp": 1}\n', ":1: input_length: is missing"),
        (
            '{"timestamp": true, "input_length": 1, "output_length": 1}',
            ":1: timestamp: must be a time in milliseconds, not 'True'",
        ),
        ('{"timestamp": 1, "input_length": "x", "output_length": 1}', ":1: input_length: must be a whole number of tokens"),
        (MOONCAKE + '{"timestamp": 1', ":5: is not JSON: unexpected end of data"),
        (
            MOONCAKE + '{"timestamp": 6000, "input_length": 1, "output_length": 1, "hash_ids": [1.5]}',
            ":5: hash_ids: must be a list of whole numbers, one for each block of the prompt",
        ),
        (MOONCAKE + "[1]\n", ":5: is not a JSON object"),
        (b"\x1f\x8b\x08\x00\xff\xfe", ": the trace is not text in UTF-8; if it is compressed, unpack it first"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert problem(tmp_path, text).startswith(said)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        list(read_trace(tmp_path / "none.csv"))
    assert str(caught.value) == f"{tmp_path}/none.csv: the trace cannot be read: No such file or directory"


@given(rows=st.lists(st.tuples(st.integers(0, 10**15), st.integers(1, 10**8), st.integers(1, 10**8)), min_size=1, max_size=30))
def test_what_was_written_is_read(rows: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows.sort()
    path = tmp_path_factory.mktemp("traces") / "t.csv"
    path.write_text(HEADER + "".join(f"{at_ns // 10**9}.{at_ns % 10**9:09d},{i},{o}\n" for at_ns, i, o in rows))
    assert list(read_trace(path)) == [TraceRow(at_ns - rows[0][0], i, o) for at_ns, i, o in rows]


def test_a_long_trace_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(f"{second},8,4\n" for second in range(50_000))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_trace(path))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 50_000
    assert peak_bytes < 1_000_000


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "0,8,4\n" + "broken\n")
    assert list(islice(read_trace(path), 1)) == [TraceRow(0, 8, 4)]
