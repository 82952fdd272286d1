"""Every API, streamed and whole, in the manner of the servers that speak it: the same tokens and counts, however it is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api import Api, api_named
from pytest_inferbench.load.exchange import Exchange, has_token, read_exchange
from pytest_inferbench.load.recording import Ending
from pytest_inferbench.load.trace import MISSING, Outcome
from tests import api_dialects, dialects
from tests.dialects import PROMPT_TOKENS
from tests.load.answers import MS, chat, chunk, cut, head, plain, recording, streamed

WORDS = ["Grüß", " €", " Gott"]
WHOLE = ApiOptions(stream=False)
LINES = (("Content-Type", "application/x-ndjson; charset=utf-8"),)


def own(text: str, *, stream: bool = True) -> Api:
    return api_named("template", ApiOptions(stream=stream, path="/p", body='{"q": "{prompt}"}', text=text))


STREAMED: dict[str, tuple[Api, Callable[[Sequence[str]], list[bytes]]]] = {
    "chat": (api_named("chat"), dialects.vllm_chat),
    "completions": (api_named("completions"), dialects.vllm_completions),
    "completions-tokens": (api_named("completions-tokens"), dialects.llamacpp_completions),
    "responses": (api_named("responses"), api_dialects.responses),
    "anthropic": (api_named("anthropic"), api_dialects.anthropic),
    "tgi": (api_named("tgi"), api_dialects.tgi),
    "triton": (api_named("triton"), api_dialects.triton),
    "template": (own("result.outputs[0].piece"), api_dialects.own_events),
}
WHOLES: dict[str, tuple[Api, Any]] = {
    "chat": (api_named("chat", WHOLE), api_dialects.chat_whole(WORDS)),
    "completions": (api_named("completions", WHOLE), api_dialects.completion_whole(WORDS)),
    "responses": (api_named("responses", WHOLE), api_dialects.responses_whole(WORDS)),
    "anthropic": (api_named("anthropic", WHOLE), api_dialects.anthropic_whole(WORDS)),
    "tgi": (api_named("tgi", WHOLE), api_dialects.tgi_whole(WORDS)),
    "triton": (api_named("triton", WHOLE), api_dialects.triton_whole(WORDS)),
    "template": (own("[0].out", stream=False), [{"out": "".join(WORDS)}]),
}
NO_TOKENS: dict[str, tuple[Api, Any]] = {
    "embeddings": (api_named("embeddings"), api_dialects.embeddings_whole()),
    "rerank": (api_named("rerank"), api_dialects.rerank_whole()),
    "rerank-tei": (api_named("rerank-tei"), api_dialects.rerank_tei_whole()),
}
UNCOUNTED = {"triton", "template"}


def document(value: Any) -> list[bytes]:
    """The pieces of an answer that is one JSON document, cut in its middle."""
    whole = plain(json.dumps(value).encode(), headers=[("Content-Type", "application/json")])
    return cut(whole, [len(whole) - 9])


def understood(api: Api, pieces: Sequence[bytes]) -> Exchange:
    return read_exchange(recording(pieces), api)


@pytest.mark.parametrize("name", STREAMED)
def test_every_api_streams_its_tokens(name: str) -> None:
    api, events = STREAMED[name]
    exchange = understood(api, streamed(events(WORDS)))
    assert (exchange.outcome, exchange.error) == (Outcome.COMPLETED, "")
    assert list(exchange.event_tokens) == [1, 1, 1]
    assert exchange.output_tokens == 3
    assert exchange.prompt_tokens == (MISSING if name in UNCOUNTED else PROMPT_TOKENS)
    assert exchange.counted_by_server == (name not in UNCOUNTED)
    assert exchange.first_content_ns == exchange.event_ns[0]
    assert (exchange.first_reasoning_ns, exchange.first_tool_ns) == (MISSING, MISSING)


@pytest.mark.parametrize("name", STREAMED)
@given(data=st.data())
def test_any_cut_of_a_stream_gives_the_same_exchange(name: str, data: st.DataObject) -> None:
    api, events = STREAMED[name]
    whole = b"".join(streamed(events(WORDS)))
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=40))
    exchange = understood(api, cut(whole, places))
    assert (exchange.outcome, exchange.output_tokens, len(exchange.event_ns)) == (Outcome.COMPLETED, 3, 3)
    assert list(exchange.event_ns) == sorted(exchange.event_ns)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_that_breaks_off_is_never_whole(name: str) -> None:
    api, events = STREAMED[name]
    pieces = streamed(events(WORDS))
    for end in range(len(pieces) - 1):
        exchange = read_exchange(recording(pieces[:end], ending=Ending.CLOSED), api)
        assert exchange.outcome is Outcome.FAILED
        assert exchange.error.startswith("connection closed")


@pytest.mark.parametrize("name", sorted(set(STREAMED) - UNCOUNTED))
def test_a_stream_without_its_end_fails_though_http_says_it_is_whole(name: str) -> None:
    api, events = STREAMED[name]
    said = events(WORDS)
    last = next(index for index, event in enumerate(said) if b"Gott" in event)
    exchange = understood(api, streamed(said[: last - 1] if name == "tgi" else said[:last]))
    assert exchange.outcome is Outcome.FAILED
    assert "without finish_reason, usage or [DONE]" in exchange.error


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_has_an_end_and_no_time_of_a_token(name: str) -> None:
    api, answer = WHOLES[name]
    exchange = understood(api, document(answer))
    assert (exchange.outcome, exchange.error, exchange.status) == (Outcome.COMPLETED, "", 200)
    assert (list(exchange.event_ns), list(exchange.event_tokens)) == ([], [])
    assert exchange.first_byte_ns == 1 * MS
    assert exchange.output_tokens == (MISSING if name in UNCOUNTED else 3)
    assert exchange.prompt_tokens == (MISSING if name in UNCOUNTED else PROMPT_TOKENS)
    assert exchange.counted_by_server == (name not in UNCOUNTED)


@pytest.mark.parametrize("name", WHOLES)
@given(data=st.data())
def test_any_cut_of_a_whole_answer_gives_the_same_exchange(name: str, data: st.DataObject) -> None:
    api, answer = WHOLES[name]
    whole = b"".join(document(answer))
    exchange = understood(api, cut(whole, data.draw(st.lists(st.integers(0, len(whole)), max_size=20))))
    assert (exchange.outcome, exchange.output_tokens) == (Outcome.COMPLETED, MISSING if name in UNCOUNTED else 3)


@pytest.mark.parametrize("name", NO_TOKENS)
def test_what_makes_no_tokens_completes_without_any(name: str) -> None:
    api, answer = NO_TOKENS[name]
    exchange = understood(api, document(answer))
    assert (exchange.outcome, exchange.error) == (Outcome.COMPLETED, "")
    assert (exchange.output_tokens, len(exchange.event_ns)) == (0, 0)
    assert exchange.prompt_tokens == (MISSING if name == "rerank-tei" else PROMPT_TOKENS)
    assert exchange.counted_by_server, "nothing is left to be counted by events"


def test_output_tokens_of_a_whole_answer_are_unknown_without_a_usage() -> None:
    answer = {**api_dialects.chat_whole(WORDS), "usage": None}
    exchange = understood(api_named("chat", WHOLE), document(answer))
    assert (exchange.outcome, exchange.output_tokens, exchange.counted_by_server) == (Outcome.COMPLETED, MISSING, False)


def test_events_may_come_a_line_each() -> None:
    pieces = streamed(api_dialects.json_lines(WORDS), headers=LINES)
    exchange = understood(own("response"), pieces)
    assert (exchange.outcome, list(exchange.event_ns)) == (Outcome.COMPLETED, [2 * MS, 3 * MS, 4 * MS])


ANTHROPIC_ERROR = api_dialects.named("error", error={"type": "overloaded_error", "message": "Overloaded"})
RESPONSES_ERROR = api_dialects.named("response.failed", response={"status": "failed", "error": {"message": "out of memory"}})


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("anthropic", ANTHROPIC_ERROR, "Overloaded"),
        ("responses", RESPONSES_ERROR, "out of memory"),
        ("responses", api_dialects.named("error", code="x", message="too much"), "too much"),
        ("tgi", dialects.event({"error": "Request failed during generation", "error_type": "generation"}), "Request failed"),
        ("triton", dialects.event({"error": "in ensemble 'ensemble', cancelled"}), "in ensemble 'ensemble', cancelled"),
        ("template", dialects.event({"error": {"message": "full"}}), "full"),
        ("completions-tokens", dialects.stream_error("the engine died"), "the engine died"),
    ],
)
def test_an_error_in_a_stream_is_said_in_the_servers_words(name: str, error: bytes, words: str) -> None:
    api, events = STREAMED[name]
    said = events(WORDS)
    second = next(index for index, event in enumerate(said) if "€".encode() in event or b"\\u20ac" in event)
    exchange = understood(api, streamed([*said[:second], error]))
    assert exchange.outcome is Outcome.FAILED
    assert exchange.error.startswith(f"error in the stream after 1 content events: {words}")


@pytest.mark.parametrize(
    ("name", "body", "status", "error"),
    [
        ("anthropic", {"type": "error", "error": {"message": "Overloaded"}}, 529, "HTTP 529: Overloaded"),
        (
            "tgi",
            {"error": "Model is overloaded", "error_type": "overloaded"},
            429,
            "HTTP 429 Too Many Requests: Model is overloaded",
        ),
        ("triton", {"error": "unknown model"}, 400, "HTTP 400 Bad Request: unknown model"),
        ("responses", {"error": {"message": "no such model"}}, 404, "HTTP 404 Not Found: no such model"),
    ],
)
def test_an_error_before_a_stream_is_said_in_the_servers_words(name: str, body: Any, status: int, error: str) -> None:
    exchange = understood(STREAMED[name][0], [plain(json.dumps(body).encode(), status, "x")])
    assert (exchange.outcome, exchange.error) == (Outcome.FAILED, error)


@pytest.mark.parametrize(
    ("name", "answer", "error"),
    [
        ("chat", {"error": {"message": "full"}}, "error in the answer: full"),
        ("chat", api_dialects.chat_whole([]), "finished without a token (finish_reason length)"),
        ("chat", {}, "finished without a token (finish_reason None)"),
        (
            "chat",
            {"choices": [{"message": {"content": "a"}, "finish_reason": "abort"}]},
            "the server gave up (finish_reason abort)",
        ),
        ("responses", api_dialects.responses_whole(["a"], status="failed"), "error in the answer: the response failed"),
        ("template", {"out": "not in a list"}, "finished without a token (finish_reason None)"),
        ("embeddings", {"data": []}, "error in the answer: it has no embedding"),
        ("rerank", {"results": None}, "error in the answer: it has no results with a relevance_score"),
        ("rerank-tei", {"error": "too many texts"}, "error in the answer: too many texts"),
    ],
)
def test_what_is_wrong_with_a_whole_answer_is_said(name: str, answer: Any, error: str) -> None:
    api, _ = {**WHOLES, **NO_TOKENS}[name]
    exchange = understood(api, document(answer))
    assert (exchange.outcome, exchange.error) == (Outcome.FAILED, error)


@pytest.mark.parametrize("api", [api_named("chat", WHOLE), api_named("embeddings")], ids=["chat", "embeddings"])
def test_a_stream_or_a_page_in_place_of_json_is_no_answer(api: Api) -> None:
    exchange = understood(api, streamed(dialects.vllm_chat(["a"])))
    assert exchange.outcome is Outcome.FAILED
    assert exchange.error.startswith("answered text/event-stream where JSON was asked for: data: {")
    page = plain(b"<html>hello</html>", headers=[("Content-Type", "text/html")])
    assert understood(api, [page]).error == "answered text/html where JSON was asked for: <html>hello</html>"


def test_a_count_beside_every_text_is_no_end() -> None:
    counted = [chat(text) | {"usage": {"prompt_tokens": 3, "completion_tokens": i}} for i, text in enumerate("ab", start=1)]
    assert understood(api_named("chat"), streamed(counted)).error == (
        "the stream ended after 2 content events without finish_reason, usage or [DONE]"
    )


def test_a_whole_answer_that_breaks_off_fails() -> None:
    api, answer = WHOLES["chat"]
    exchange = read_exchange(recording(document(answer)[:1], ending=Ending.RESET, note="Connection reset by peer"), api)
    assert (exchange.outcome, exchange.error) == (Outcome.FAILED, "Connection reset by peer before any answer")


def test_reasoning_content_and_tool_calls_have_their_own_first_times() -> None:
    said = [
        chat("", role="assistant"),
        chat(reasoning_content="so"),
        chat(reasoning_content=" then"),
        chat("yes"),
        chat(" it is"),
        chat(tool_calls=[{"function": {"name": "f", "arguments": ""}}]),
        chat(finish="tool_calls"),
    ]
    exchange = understood(api_named("chat"), streamed(said))
    assert list(exchange.event_ns) == [3 * MS, 4 * MS, 5 * MS, 6 * MS, 7 * MS]
    assert (exchange.first_reasoning_ns, exchange.first_content_ns, exchange.first_tool_ns) == (3 * MS, 5 * MS, 7 * MS)


def test_one_event_may_be_the_first_of_two_kinds() -> None:
    said = [chat("yes", reasoning="so"), chat(reasoning="more"), chat(finish="stop")]
    exchange = understood(api_named("chat"), streamed(said))
    assert (exchange.first_reasoning_ns, exchange.first_content_ns, exchange.first_tool_ns) == (2 * MS, 2 * MS, MISSING)


def test_an_answer_that_comes_whole_is_not_late_for_its_first_token() -> None:
    for api in (api_named("chat", WHOLE), api_named("embeddings")):
        assert has_token(recording([]), api)
    start, body = head(headers=[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]), chunk(b'{"a":')
    late = read_exchange(recording([start, body], ending=Ending.TOTAL_TIMEOUT, note="9 s"), api_named("chat", WHOLE))
    assert (late.outcome, late.error) == (Outcome.TIMED_OUT, "not finished within 9 s (total limit)")


_NAMES = ["type", "delta", "response", "usage", "error", "message", "content", "output", "token", "text", "details", "data"]
_MORE_NAMES = ["results", "score", "item", "content_block", "generated_text", "text_output", "input_tokens", "embedding"]
_TYPES = ["message_delta", "response.completed", "message_start", "content_block_delta", "error", "response.output_text.delta"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.sampled_from(_TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES + _MORE_NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=3), st.sampled_from([*(api for api, _ in STREAMED.values())]))
def test_no_event_however_odd_breaks_the_reading(said: list[Any], api: Api) -> None:
    exchange = understood(api, streamed([dialects.event(event) for event in said]))
    assert bool(exchange.error) == (exchange.outcome is Outcome.FAILED)
    assert sum(exchange.event_tokens) == max(0, exchange.output_tokens)


@given(_JSON, st.sampled_from([*(api for api, _ in {**WHOLES, **NO_TOKENS}.values())]))
def test_no_whole_answer_however_odd_breaks_the_reading(said: Any, api: Api) -> None:
    exchange = understood(api, document(said))
    assert bool(exchange.error) == (exchange.outcome is Outcome.FAILED)
    assert exchange.output_tokens >= MISSING
