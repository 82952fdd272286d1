from __future__ import annotations

import json

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.export.registry import FORMATS, parse_formats
from tests.records.example import CASE
from tests.records.export.measured import exportable


def test_names_are_read_in_their_order_and_each_once() -> None:
    assert parse_formats(" vllm, Genai-Bench,vllm ") == ("vllm", "genai-bench")
    assert parse_formats("lpg,all") == tuple(FORMATS)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"'genaibench' is not a format that can be written; did you mean genai-bench"):
        parse_formats("genaibench")
    with pytest.raises(ConfigError, match="'zzz' is not a format that can be written; formats: vllm, genai-bench"):
        parse_formats("zzz")


def test_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="no format is named; formats: vllm, "):
        parse_formats(" , ")


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_is_silent_about_a_simulated_case(name: str) -> None:
    plain, simulated = (
        [json.dumps([file.path, file.content]) for file in FORMATS[name]([exportable(simulated=mark)]).files]
        for mark in (False, True)
    )
    assert all("simulated" in text.lower() for text in simulated)
    assert all(CASE.id in text or "smollm2" in text for text in plain)
