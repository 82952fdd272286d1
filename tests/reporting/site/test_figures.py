from __future__ import annotations

from pytest_inferbench.records.results import column_names
from pytest_inferbench.reporting.site.figures import COMPARED, FIGURES, HEADLINES


def test_every_figure_is_a_column_of_the_history() -> None:
    assert {figure.column for figure in FIGURES} <= set(column_names())


def test_what_is_compared_and_shown_first_is_among_them() -> None:
    assert {*COMPARED, *HEADLINES} <= set(FIGURES)
    assert len(set(COMPARED)) == len(COMPARED)


def test_figures_are_called_as_people_call_them() -> None:
    shorts = {figure.column: figure.short for figure in FIGURES}
    assert shorts["ttft_ms_p99"] == "TTFT p99"
    assert shorts["output_throughput_tokens_per_s"] == "output throughput"
    assert shorts["ttft_from_send_ms_max"] == "ttft from send max"
