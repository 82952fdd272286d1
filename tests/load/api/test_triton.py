"""Triton's generate extension: the request's spelling, and what events and answers say."""

from __future__ import annotations

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api.api import Delta
from pytest_inferbench.load.api.triton import Triton
from pytest_inferbench.load.content import said
from tests.api_dialects import triton_whole


def test_a_request_says_whether_it_streams_and_its_path_names_the_model() -> None:
    body = {"text_input": "hi", "max_tokens": 5, "temperature": 0.0, "stream": True, "end_id": 2}
    assert Triton().body(said("hi"), model="m", output_tokens=5, extra={"end_id": 2}) == body
    assert Triton().path == "/v2/models/{model}/generate_stream"
    assert Triton(ApiOptions(stream=False)).path == "/v2/models/{model}/generate"


def test_events_and_answers_are_spelled_alike_and_count_nothing() -> None:
    assert Triton().delta(triton_whole([" a"])) == Triton().whole(triton_whole([" a"])) == Delta(" a")
    assert not Triton().marks_end


def test_an_error_is_in_its_own_words() -> None:
    assert Triton().delta({"error": "unexpected shape"}) == Delta(error="unexpected shape")
