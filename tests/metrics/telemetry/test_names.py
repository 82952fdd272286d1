import pytest

from pytest_inferbench.metrics.telemetry.exposition import Decoder
from pytest_inferbench.metrics.telemetry.names import DIALECTS, SERIES, normalised
from tests.metrics.telemetry.answers import LLAMACPP, SGLANG, TGI, VLLM, VLLM_OLD


def under_our_names(text: str, dialect: str | None = None) -> dict[str, float]:
    return normalised(Decoder().samples(text), dialect=dialect)


def test_vllm_replicas_are_added_and_the_fullest_cache_counts() -> None:
    assert under_our_names(VLLM) == {
        "running": 7,
        "waiting": 2,
        "kv_cache_usage": 0.75,
        "preemptions": 5,
        "prefix_cache_hits": 100,
        "prefix_cache_queries": 400,
        "first_token_seconds_sum": 0.5,
        "first_token_seconds_count": 10,
        "output_token_seconds_sum": 0.1,
        "output_token_seconds_count": 10,
    }


def test_vllm_under_its_older_names_says_the_same() -> None:
    assert under_our_names(VLLM_OLD) == {
        "running": 3,
        "waiting": 2,
        "kv_cache_usage": 0.75,
        "preemptions": 5,
        "prefix_cache_hits": 10,
        "prefix_cache_queries": 40,
        "output_token_seconds_sum": 1,
        "output_token_seconds_count": 100,
    }


def test_ranks_of_one_sglang_group_tell_of_the_same_requests_and_replicas_of_others() -> None:
    assert under_our_names(SGLANG) == {
        "running": 3,
        "waiting": 7,
        "kv_cache_usage": 0.28,
        "preemptions": 6,
        "prefix_cache_hits": 128,
        "prefix_cache_queries": 8128,
    }


def test_tgi_has_a_queue_and_a_batch() -> None:
    assert under_our_names(TGI) == {
        "running": 4,
        "waiting": 7,
        "output_token_seconds_sum": 0.5,
        "output_token_seconds_count": 10,
    }


def test_llamacpp_was_asked_for_the_prompt_tokens_that_it_read_and_those_that_it_knew() -> None:
    assert under_our_names(LLAMACPP) == {"running": 2, "waiting": 1, "prefix_cache_hits": 10, "prefix_cache_queries": 40}


def test_a_figure_made_of_two_names_needs_both() -> None:
    assert under_our_names("llamacpp:prompt_tokens_total 30\n") == {}


@pytest.mark.parametrize("dialect", [None, "vllm", "sglang", "somebody's own"])
def test_what_is_in_the_answer_counts_for_more_than_what_was_expected(dialect: str | None) -> None:
    assert under_our_names(TGI, dialect)["waiting"] == 7


def test_the_dialect_that_is_known_is_used_where_two_are_there() -> None:
    both = "num_requests_waiting 1\nnum_requests_running 1\n" + "vllm:num_requests_waiting 9\n"
    assert under_our_names(both, "vllm") == {"waiting": 9}
    assert under_our_names(both) == {"waiting": 1, "running": 1}


def test_other_metrics_have_no_name_of_ours() -> None:
    assert under_our_names("process_open_fds 12\n") == {}


def test_dialects_use_our_names_only() -> None:
    assert {series for dialect in DIALECTS.values() for series in dialect} <= set(SERIES)
