"""TGI's own API: the request's spelling, and what events and answers say."""

from __future__ import annotations

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api.api import Delta, Usage
from pytest_inferbench.load.api.tgi import Tgi
from pytest_inferbench.load.content import said
from tests.api_dialects import tgi_details, tgi_whole
from tests.dialects import PROMPT_TOKENS


def test_a_request_joins_its_extra_parameters_to_those_that_are_there() -> None:
    assert Tgi().body(said("hi"), model="m", output_tokens=5, extra={"parameters": {"seed": 1}}) == {
        "inputs": "hi",
        "parameters": {"max_new_tokens": 5, "do_sample": False, "details": True, "seed": 1},
    }


def test_each_way_has_a_path() -> None:
    assert (Tgi().path, Tgi(ApiOptions(stream=False)).path) == ("/generate_stream", "/generate")


def test_an_event_is_one_token() -> None:
    assert Tgi().delta({"token": {"text": " a", "special": False}, "generated_text": None, "details": None}) == Delta(" a", 1)
    assert Tgi().delta({"token": {"text": "</s>", "special": True}, "generated_text": None}) == Delta("", 1)


def test_the_last_token_counts_them() -> None:
    last = {"token": {"text": "b"}, "generated_text": "a b", "details": tgi_details(2)}
    assert Tgi().delta(last) == Delta("b", 1, "length", Usage(PROMPT_TOKENS, 2, None))
    assert Tgi().delta({"token": {"text": "b"}, "generated_text": "a b", "details": None}) == Delta("b", 1, "stop")


def test_an_error_is_in_its_own_words() -> None:
    error = {"error": "Request failed during generation: Server error: CUDA out of memory", "error_type": "generation"}
    assert Tgi().delta(error).error == Tgi().whole(error).error == error["error"]


def test_a_whole_answer_may_be_the_only_one_of_a_list() -> None:
    whole = Delta("ab", None, "length", Usage(PROMPT_TOKENS, 2, None))
    assert Tgi().whole(tgi_whole(["a", "b"])) == whole
    assert Tgi().whole([tgi_whole(["a", "b"])]) == whole
    assert Tgi().whole({"generated_text": "a"}) == Delta("a")
