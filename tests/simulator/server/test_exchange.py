"""What becomes of requests, with and without faults, on a real socket."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pytest_inferbench.simulator.faults import FaultPlan
from tests.simulator.server.deployments import settings
from tests.simulator.server.serving import CHAT, COMPLETIONS, Served, answer_of, ask_once, chat, request, until, with_server


def texts(events: list[Any]) -> list[str]:
    return [event["choices"][0]["delta"].get("content", "") for event in events if event["choices"]]


def test_a_stream_is_an_event_a_token_and_says_its_usage() -> None:
    answer = ask_once(settings(), CHAT, chat(max_tokens=5, ignore_eos=True, stream=True, stream_options={"include_usage": True}))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(texts(answer.events)) == 1 + 5
    assert answer.events[-1]["usage"] == {"prompt_tokens": 3, "total_tokens": 8, "completion_tokens": 5}
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    body = chat(max_tokens=9, ignore_eos=True, seed=4)

    async def do(served: Served) -> None:
        whole = (await served.ask(CHAT, body)).json
        stream = await served.ask(CHAT, {**body, "stream": True})
        assert "".join(texts(stream.events)) == whole["choices"][0]["message"]["content"]
        assert len(whole["choices"][0]["message"]["content"].split()) == 9

    with_server(settings(), do)


def test_requests_on_one_connection_are_answered_in_their_order() -> None:
    async def do(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        bodies = [{"prompt": "the", "max_tokens": count} for count in (3, 1)]
        writer.write(b"".join(request(COMPLETIONS, body) for body in bodies) + request("/health", connection="close"))
        raw = await reader.read()
        first, second, health = (answer_of(b"HTTP/1.1" + part) for part in raw.split(b"HTTP/1.1")[1:])
        writer.close()
        assert [answer.json["usage"]["completion_tokens"] for answer in (first, second)] == [3, 1]
        assert health.json["status"] == "ok"

    with_server(settings(), do)


def test_what_was_answered_is_counted() -> None:
    async def do(served: Served) -> None:
        await served.ask(CHAT, chat(max_tokens=5, ignore_eos=True))
        await served.ask("/v1/embeddings", {"input": ["a", "b"]})
        figures = served.server.figures
        assert (figures.tokens, figures.requests) == (5, 2)
        assert (figures.first_token.count, figures.between_tokens.count, figures.per_output_token.count) == (1, 4, 1)
        assert (figures.queue.count, figures.end_to_end.count, figures.output_sizes.sum) == (1, 1, 5)
        assert figures.finished == {"length": 1, "stop": 1}

    with_server(settings(), do)


# --- faults -----------------------------------------------------------------------------------------------------------------

STREAM = chat(max_tokens=6, ignore_eos=True, stream=True, stream_options={"include_usage": True})


def asked_with(fault: str, body: dict[str, object] = STREAM) -> Any:
    return ask_once(settings(), CHAT, body, x_inferbench_fault=fault)


@pytest.mark.parametrize(("count", "sizes"), [(4, [4, 2]), (6, [6]), (100, [6])])
def test_several_tokens_in_an_event(count: int, sizes: list[int]) -> None:
    said = [text for text in texts(asked_with(f"tokens-per-chunk={count}").events) if text]
    assert [len(text.split()) for text in said] == sizes


@pytest.mark.parametrize(("fault", "tokens"), [("wrong-usage=+5", 11), ("wrong-usage=-2", 4), ("wrong-usage=-100", 0)])
def test_wrong_usage(fault: str, tokens: int) -> None:
    answer = asked_with(fault)
    assert answer.events[-1]["usage"]["completion_tokens"] == tokens
    assert len([text for text in texts(answer.events) if text]) == 6


def test_missing_usage() -> None:
    assert b"usage" not in asked_with("missing-usage").body
    assert "usage" not in asked_with("missing-usage", chat(max_tokens=2)).json


@pytest.mark.parametrize("status", [429, 500, 503])
def test_refusals_have_their_status_and_the_engines_body(status: int) -> None:
    answer = asked_with(f"error-rate={status}:1")
    assert answer.status == answer.json["error"]["code"] == status
    assert answer.headers.get("retry-after") == (None if status == 500 else "1")


def test_a_fault_that_is_none_is_said_to_the_client() -> None:
    answer = asked_with("no-such-fault")
    assert answer.status == 400
    assert "'no-such-fault' is no fault" in answer.json["error"]["message"]


def test_a_stall_sends_what_was_before_it_and_goes_on_after_it() -> None:
    answer = asked_with("stall-after-tokens=2:for=50ms")
    assert len([text for text in texts(answer.events) if text]) == 6
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("fault", ["stall-after-tokens=2", "stall-after-tokens=2, tokens-per-chunk=4"])
def test_a_stall_for_ever_leaves_the_connection_open(fault: str) -> None:
    async def do(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(CHAT, STREAM, x_inferbench_fault=fault))
        data = b""
        while data.count(b'"content":"') < 2 or not data.endswith(b"\n\n\r\n"):
            data += await reader.read(4096)
        await until(lambda: not served.server.pacer.batcher.running)
        assert data.count(b'"delta":{"content"') <= 2
        assert b"DONE" not in data
        assert not reader.at_eof()
        writer.close()

    with_server(settings(), do)


def test_a_reset_breaks_the_answer_off() -> None:
    async def do(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(CHAT, STREAM, x_inferbench_fault="reset-after-tokens=3"))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await until(lambda: not served.server.pacer.batcher.running)

    with_server(settings(), do)


def test_a_hang_answers_nothing_and_holds_no_slot() -> None:
    async def do(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(CHAT, STREAM, x_inferbench_fault="hang-after-requests=0"))
        assert (await served.ask("/health")).status == 200
        assert (await served.ask(CHAT, chat(max_tokens=1))).status == 200
        assert served.server.pacer.batcher.running == 0
        assert not reader.at_eof()
        writer.close()

    with_server(settings(), do)


@pytest.mark.parametrize("fault", ["slow-network=2ms", "slow-network=1MB/s"])
def test_a_slow_network_delivers_everything_in_order(fault: str) -> None:
    plain = ask_once(settings(), CHAT, STREAM)
    slow = asked_with(fault)
    assert texts(slow.events) == texts(plain.events)
    assert slow.events[-1]["usage"] == plain.events[-1]["usage"]


def test_faults_of_the_server_hit_all_its_requests() -> None:
    plan = FaultPlan.parse(["wrong-usage=+1"])
    answer = ask_once(replace(settings(), faults=plan), COMPLETIONS, {"prompt": "the", "max_tokens": 2, "ignore_eos": True})
    assert answer.json["usage"]["completion_tokens"] == 3


def test_a_client_that_leaves_amid_documents_frees_them_all() -> None:
    async def do(served: Served) -> None:
        batcher = served.server.pacer.batcher
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request("/v1/embeddings", {"input": ["the house " * 1000] * 8}))
        await until(lambda: served.server.figures.requests > 0)
        writer.close()
        await until(lambda: not batcher.running + batcher.waiting)
        assert served.server.figures.finished == {"abort": 1}

    with_server(replace(settings(), step_s=0.05), do)
