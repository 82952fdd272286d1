"""What servers of every kind say is understood, and whatever is wrong with it is said in words."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.exchange import Exchange, apportion, has_token, read_exchange, words
from pytest_inferbench.load.recording import Ending
from pytest_inferbench.load.trace import MISSING, Outcome
from tests.load.answers import MS, STREAM, chat, chunk, cut, events, head, plain, recording, sse, streamed, usage

CHAT = api_named("chat")
COMPLETIONS = api_named("completions")
DONE = "[DONE]"


def understood(said: Sequence[Any], api: str = "chat") -> Exchange:
    """A stream whose events came one a read: the head at 1 ms, the first event at 2 ms and so on."""
    return read_exchange(recording(streamed(said)), api_named(api))


def failure(pieces: Sequence[bytes], ending: Ending = Ending.COMPLETE, note: str = "") -> tuple[Outcome, str]:
    exchange = read_exchange(recording(pieces, ending=ending, note=note), CHAT)
    return exchange.outcome, exchange.error


def tokens(exchange: Exchange) -> list[int]:
    return list(exchange.event_tokens)


def test_vllm_chat_says_a_role_then_a_token_an_event_then_the_usage_without_choices() -> None:
    exchange = understood(events(["one", "heck", " 8"]))
    assert (exchange.outcome, exchange.error, exchange.status) == (Outcome.COMPLETED, "", 200)
    assert exchange.first_byte_ns == 1 * MS
    assert list(exchange.event_ns) == [3 * MS, 4 * MS, 5 * MS]
    assert (exchange.prompt_tokens, exchange.output_tokens, exchange.cached_tokens) == (12, 3, MISSING)
    assert exchange.counted_by_server
    assert tokens(exchange) == [1, 1, 1]


def test_vllm_completions_finish_on_the_last_token_and_count_one_without_text() -> None:
    def event(text: str, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "token_ids": None}
        return {"object": "text_completion", "choices": [choice]}

    exchange = understood([event("PRE"), event(""), event(" long"), event("x", "length"), usage(6, 4), DONE], "completions")
    assert exchange.outcome is Outcome.COMPLETED
    assert list(exchange.event_ns) == [2 * MS, 4 * MS, 5 * MS]
    assert tokens(exchange) == [1, 2, 1], "the token without text goes to the longest text"


def test_llamacpp_puts_usage_into_the_finish_event_beside_its_choices() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 5}}
    last = chat(finish="length") | {"usage": usage(27, 2, **details)["usage"], "timings": {"predicted_n": 2}}
    role = chat(role="assistant", content=None)
    exchange = understood([role, chat("Name"), chat(" "), last, DONE])
    assert exchange.outcome is Outcome.COMPLETED
    assert (exchange.prompt_tokens, exchange.output_tokens, exchange.cached_tokens) == (27, 2, 5)
    assert list(exchange.event_ns) == [3 * MS, 4 * MS]


def test_transformers_serve_sends_several_tokens_an_event_and_no_done() -> None:
    said: list[Any] = [{"choices": [{"delta": {"role": "assistant"}, "index": 0}]}]
    said += [{"choices": [{"delta": {"content": text}, "index": 0}]} for text in ("a", "bbbb", "c", "d")]
    said += [{"choices": [{"delta": {}, "index": 0, "finish_reason": "length"}], "usage": usage(8, 8)["usage"]}]
    exchange = understood(said)
    assert exchange.outcome is Outcome.COMPLETED
    assert exchange.output_tokens == 8
    assert tokens(exchange) == [2, 3, 1, 2]


def test_guidellm_mock_has_no_role_event_and_more_events_than_tokens() -> None:
    exchange = understood(
        [chat(text) for text in ("Score", " ", "each", " ", "cause")] + [chat(finish="stop"), usage(5, 3), DONE]
    )
    assert exchange.first_byte_ns == 1 * MS
    assert exchange.event_ns[0] == 2 * MS
    assert (exchange.output_tokens, sum(tokens(exchange))) == (3, 3)
    assert min(tokens(exchange)) >= 0


def test_aimock_sends_its_role_early_which_is_no_token() -> None:
    exchange = understood([chat("", role="assistant"), b": wait\n\n", chat("Hi"), chat(finish="stop"), DONE])
    assert list(exchange.event_ns) == [4 * MS]
    assert (exchange.outcome, exchange.output_tokens, exchange.counted_by_server) == (Outcome.COMPLETED, 1, False)


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hmm"},
        {"reasoning": "hmm", "content": None},
        {"content": "", "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
    ],
)
def test_reasoning_and_tool_calls_are_a_first_token(delta: dict[str, Any]) -> None:
    exchange = understood([chat("", role="assistant"), chat(**delta), chat("text"), chat(finish="stop"), DONE])
    assert list(exchange.event_ns) == [3 * MS, 4 * MS]


def test_token_ids_say_how_many_tokens_an_event_has() -> None:
    said = [chat(text) for text in ("ab", "c", "defg")]
    for event, ids in zip(said, ([1, 2], [3], [4, 5, 6]), strict=True):
        event["choices"][0]["token_ids"] = ids
    assert tokens(understood([*said, usage(3, 6), DONE])) == [2, 1, 3]
    assert tokens(understood([*said, DONE])) == [2, 1, 3]
    assert sum(tokens(understood([*said, usage(3, 9), DONE]))) == 9, "the usage is right where they differ"


@pytest.mark.parametrize(
    ("count", "expected"), [(3, [1, 1, 1]), (4, [1, 2, 1]), (6, [1, 4, 1]), (2, [0, 2, 0]), (1, [0, 1, 0]), (0, [1, 1, 1])]
)
def test_tokens_of_events_add_up_to_the_usage_however_many_there_are(count: int, expected: list[int]) -> None:
    exchange = understood([chat("a"), chat("bbbbbb"), chat("c"), chat(finish="length"), usage(3, count), DONE])
    assert tokens(exchange) == expected
    assert exchange.output_tokens == sum(expected)
    assert exchange.counted_by_server == (count > 0), "no tokens beside text is no count"


def test_the_last_usage_of_a_stream_that_repeats_it_counts() -> None:
    first = chat("a") | {"usage": usage(3, 1)["usage"]}
    assert understood([first, chat("b"), chat(finish="stop") | usage(3, 2), DONE]).output_tokens == 2


@given(total=st.integers(0, 10_000), weights=st.lists(st.integers(1, 500), max_size=60))
def test_apportioned_shares_are_whole_fair_and_add_up(total: int, weights: list[int]) -> None:
    shares = list(apportion(total, array("q", weights)))
    assert sum(shares) == (total if weights else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - total * weight / sum(weights)) <= 1
        assert share >= 0


@given(data=st.data())
def test_any_cut_of_a_stream_gives_the_same_exchange(data: st.DataObject) -> None:
    whole = b"".join(streamed(events(["Grüß", "€", " Gott"])))
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=40))
    exchange = read_exchange(recording(cut(whole, places)), CHAT)
    assert (exchange.outcome, exchange.output_tokens, exchange.prompt_tokens) == (Outcome.COMPLETED, 3, 12)
    assert len(exchange.event_ns) == 3
    assert list(exchange.event_ns) == sorted(exchange.event_ns)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain(b'{"error":{"message":"no such model"}}', 404, "Not Found"), "HTTP 404 Not Found: no such model"),
        (plain(b'{"detail":"bad key"}', 401, "Unauthorized"), "HTTP 401 Unauthorized: bad key"),
        (plain(b'{"object":"error","message":"too long"}', 400, "Bad Request"), "HTTP 400 Bad Request: too long"),
        (plain(b"busy", 429, "Slow", [("Retry-After", "7")]), "HTTP 429 Too Many Requests (Retry-After 7): busy"),
        (plain(b"<html>  <b>oops</b>\n</html>", 502, "x"), "HTTP 502 Bad Gateway: <html> <b>oops</b> </html>"),
        (plain(b'{"detail":[{"loc":["body"]}]}', 422, "x"), 'HTTP 422 Unprocessable Entity: {"detail":[{"loc":["body"]}]}'),
        (plain(b"?", 599, "x"), "HTTP 599: ?"),
        (
            plain(b"<html>hello</html>", headers=[("Content-Type", "text/html; charset=utf-8")]),
            "answered text/html where an event stream was asked for: <html>hello</html>",
        ),
        (
            plain(b'{"choices":[]}', headers=[("Content-Type", "application/json")]),
            'answered application/json where an event stream was asked for: {"choices":[]}',
        ),
        (plain(b""), "answered no content type where an event stream was asked for: "),
    ],
)
def test_an_answer_that_is_no_stream_fails_in_the_servers_own_words(answer: bytes, error: str) -> None:
    assert failure([answer]) == (Outcome.FAILED, error)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([{"error": {"message": "out of memory"}}], "error in the stream: out of memory"),
        ([chat("a"), {"error": "gone"}, DONE], "error in the stream after 1 content events: gone"),
        ([chat("a"), {"object": "error", "message": "m"}], "error in the stream after 1 content events: m"),
        ([chat("a"), chat(finish="error") | {"error": {"message": "cut"}}], "error in the stream after 1 content events: cut"),
        ([chat("a"), b'event: error\ndata: {"code": 3}\n\n'], "error in the stream after 1 content events: {'code': 3}"),
        ([chat("a"), b"data: {half\n\n"], "error in the stream after 1 content events: an event is not JSON: {half"),
        ([chat("a"), chat(finish="abort"), DONE], "the server gave up after 1 content events (finish_reason abort)"),
        ([chat("", role="assistant"), chat(finish="stop"), DONE], "finished without a token (finish_reason stop)"),
        ([DONE], "finished without a token (finish_reason None)"),
        ([chat("a"), chat("b")], "the stream ended after 2 content events without finish_reason, usage or [DONE]"),
    ],
)
def test_what_is_wrong_inside_a_stream_is_said(said: list[Any], error: str) -> None:
    exchange = understood(said)
    assert (exchange.outcome, exchange.error) == (Outcome.FAILED, error)


def test_errors_that_are_null_and_blank_events_are_no_faults() -> None:
    exchange = understood([chat("a") | {"error": None}, b"data: \n\n", b"data:\n\n", chat(finish="stop"), b"data:  [DONE] \n\n"])
    assert (exchange.outcome, exchange.error) == (Outcome.COMPLETED, "")


@pytest.mark.parametrize(
    ("pieces", "ending", "note", "error"),
    [
        ([], Ending.CLOSED, "", "connection closed before any answer"),
        ([], Ending.RESET, "Connection reset by peer", "Connection reset by peer before any answer"),
        (streamed(events(["a"]))[:3], Ending.CLOSED, "", "connection closed after 1 content events"),
        (streamed(events(["a"]))[:-1], Ending.CLOSED, "", "connection closed after 1 content events"),
        ([plain(b"0123")[:-2]], Ending.CLOSED, "", "connection closed before any answer"),
        ([], Ending.CONNECT_FAILED, "Connection refused", "could not connect: Connection refused"),
        ([], Ending.TLS_FAILED, "not trusted", "TLS failed: not trusted"),
    ],
)
def test_a_connection_that_broke_fails_with_how_far_it_came(pieces: list[bytes], ending: Ending, note: str, error: str) -> None:
    assert failure(pieces, ending, note) == (Outcome.FAILED, error)


@pytest.mark.parametrize(
    ("ending", "pieces", "error"),
    [
        (Ending.CONNECT_TIMEOUT, [], "no connection within 2 s (connect limit)"),
        (Ending.FIRST_TOKEN_TIMEOUT, [], "no token within 2 s (first-token limit)"),
        (Ending.STALL_TIMEOUT, streamed(events(["a"]))[:3], "no byte for 2 s (stall limit) after 1 content events"),
        (Ending.TOTAL_TIMEOUT, streamed(events(["a"]))[:3], "not finished within 2 s (total limit) after 1 content events"),
    ],
)
def test_a_limit_that_passed_is_named_with_its_length(ending: Ending, pieces: list[bytes], error: str) -> None:
    assert failure(pieces, ending, "2 s") == (Outcome.TIMED_OUT, error)


def test_half_a_last_event_of_a_request_that_was_given_up_has_the_time_it_came() -> None:
    start, first, *_ = streamed([chat("a")])
    half = recording([start, first, chunk(b'data: {"choices":[{"delta":{"content":"b"}}]}')], ending=Ending.STALL_TIMEOUT)
    assert list(read_exchange(half, CHAT).event_ns) == [2 * MS, 3 * MS]


def test_one_that_was_stopped_is_cancelled() -> None:
    assert failure(streamed(events(["a"]))[:3], Ending.CANCELLED) == (Outcome.CANCELLED, "stopped before its answer had ended")


def test_an_answer_that_only_the_end_of_the_connection_ends_is_whole() -> None:
    body = b"".join(sse(event) for event in events(["a", "b"]))
    for version in ("1.0", "1.1"):
        exchange = read_exchange(recording([head(headers=STREAM, version=version), body], ending=Ending.CLOSED), CHAT)
        assert (exchange.outcome, exchange.output_tokens) == (Outcome.COMPLETED, 2)


def test_what_is_not_http_is_said_with_its_first_words() -> None:
    outcome, error = failure([b"SSH-2.0-OpenSSH\r\n"], Ending.NOT_HTTP)
    assert outcome is Outcome.FAILED
    assert error.startswith("the answer is not readable HTTP (")
    assert error.endswith("): SSH-2.0-OpenSSH")


def test_ten_megabytes_in_one_event_are_one_event() -> None:
    big = streamed([chat("x" * 10_000_000), chat(finish="stop"), DONE])
    exchange = read_exchange(recording(cut(b"".join(big), range(0, 10_000_000, 65536))), CHAT)
    assert (exchange.outcome, exchange.output_tokens) == (Outcome.COMPLETED, 1)


def test_a_late_answer_is_looked_into_for_a_token() -> None:
    pieces = streamed(events(["a"]))
    assert not has_token(recording(pieces[:2]), CHAT)
    assert has_token(recording(pieces[:3]), CHAT)
    assert not has_token(recording([]), CHAT)


def test_words_fit_a_line() -> None:
    assert words(b" a\n\x1b[31m b\t\x00c ") == "a [31m b c"
    assert words(b"x" * 500) == "x" * 299 + "…"
    assert words("€".encode() * 500) == "€" * 299 + "…"
    assert words(b"\xff") == "�"


_SPOKEN = (
    "choices",
    "delta",
    "content",
    "text",
    "tool_calls",
    "function",
    "usage",
    "error",
    "message",
    "finish_reason",
    "object",
)
_NAMES = st.sampled_from((*_SPOKEN, "completion_tokens", "prompt_tokens_details", "reasoning", "token_ids"))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=4), st.sampled_from([CHAT, COMPLETIONS]))
def test_no_event_however_odd_breaks_the_reading(said: list[Any], api: Any) -> None:
    exchange = read_exchange(recording(streamed(json.dumps(event) for event in said)), api)
    assert exchange.outcome in (Outcome.COMPLETED, Outcome.FAILED)
    assert bool(exchange.error) == (exchange.outcome is Outcome.FAILED)
    assert sum(exchange.event_tokens) == max(0, exchange.output_tokens)
