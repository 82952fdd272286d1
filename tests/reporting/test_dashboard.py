"""What a terminal shows while a case runs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.dashboard import SPARK_WIDTH, SPARKS, Trails, dashboard, sparkline
from pytest_inferbench.reporting.progress import Progress

STATE = Progress(
    case_id="h100-vllm-llama-3.1-8b-tp2-d512x128-c16",
    index=3,
    total=24,
    phase="measuring",
    requests_done=312,
    requests_total=500,
    output_tokens_per_s=8231.0,
    elapsed_s=20.0,
    left_s=12.0,
    load="c16",
    ttft_ms=182.0,
    tpot_ms=12.1,
    gpu_memory_bytes=76 * 1024**3,
    outlooks=(("pass", 2), ("fail", 1)),
    session_left_s=840.0,
)


def drawn(*states: Progress, width: int = 120) -> list[str]:
    draw = dashboard()
    return [draw(state, width) for state in states][-1]


def test_it_says_where_the_case_is_what_it_does_and_how_the_session_stands() -> None:
    first, now, session = drawn(replace(STATE, ttft_ms=364.0), STATE)
    assert first.startswith("[3/24] h100-vllm-llama-3.1-8b-tp2-d512x128-c16 measuring")
    assert "312/500 requests" in first
    assert now.strip() == "c16  8,231 tok/s ▁▁  TTFT 182 ms █▁  TPOT 12.1 ms ▁▁"
    assert session.strip() == "GPU memory 76.0 GiB  so far: 2 pass, 1 fail  21 cases to come  about 14 min 00 s left in all"


def test_what_is_not_known_is_left_out() -> None:
    bare = replace(
        STATE, output_tokens_per_s=None, ttft_ms=None, tpot_ms=None, gpu_memory_bytes=None, outlooks=(), session_left_s=None
    )
    _, now, session = drawn(bare)
    assert (now.strip(), session.strip()) == ("c16", "21 cases to come")
    assert len(drawn(replace(bare, load="", index=24))) == 1


def test_before_the_load_and_on_a_narrow_screen_there_is_less_to_say() -> None:
    assert len(drawn(replace(STATE, phase="starting server", note="loading weights"))) == 2
    assert len(drawn(STATE, width=50)) == 1


def test_another_case_begins_anew() -> None:
    trails = Trails()
    trails.add(STATE)
    trails.add(replace(STATE, case_id="another", ttft_ms=1.0))
    assert list(trails.ttft.values) == [1.0]


def test_a_sparkline_goes_from_the_smallest_to_the_largest() -> None:
    assert sparkline([1, 2, 3, 8]) == "▁▂▃█"
    assert (sparkline([]), sparkline([5, 5])) == ("", "▁▁")


@given(st.lists(st.floats(-1e9, 1e9), max_size=40))
def test_a_sparkline_has_a_place_for_each_value(values: list[float]) -> None:
    shown = sparkline(values)
    assert len(shown) == len(values)
    assert set(shown) <= set(SPARKS)


@given(st.integers(1, 200), st.text(max_size=60), st.lists(st.floats(0, 1e9), max_size=30))
def test_no_line_is_wider_than_the_screen(width: int, name: str, ttfts: list[float]) -> None:
    states = [replace(STATE, case_id=name or "x", ttft_ms=value) for value in ttfts] or [STATE]
    lines = drawn(*states, width=width)
    assert all(len(line) <= width for line in lines)
    assert not any(character in line for line in lines for character in "\x1b\r\n\x00\u202e")
    trails = Trails()
    for state in states:
        trails.add(state)
    assert len(trails.ttft.values) <= SPARK_WIDTH
