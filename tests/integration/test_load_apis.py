"""Whole loads of every API at a scripted server: what goes out, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Api, ApiOptions, Case
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.answer import NoAnswer
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.load.drive import Driven
from pytest_inferbench.load.trace import MISSING
from pytest_inferbench.metrics.summarise import summarise
from tests import api_dialects, dialects
from tests.dialects import PROMPT_TOKENS
from tests.load.answers import events, streamed
from tests.load.cases import case_of, fixed
from tests.load.driving import drive, outcomes
from tests.load.secure import Authority, secured
from tests.scripted import Answer, Received, Scripted

WORDS = ["one", " two", " three", " four"]
REQUESTS = 3
OWN = ApiOptions(path="/own?v=1", body='{"q": "{prompt}", "n": "{output_tokens}"}', text="result.outputs[0].piece")
STREAMED: list[tuple[Api, str, list[bytes], ApiOptions]] = [
    ("chat", "/v1/chat/completions", dialects.vllm_chat(WORDS), ApiOptions()),
    ("completions", "/v1/completions", dialects.vllm_completions(WORDS), ApiOptions()),
    ("responses", "/v1/responses", api_dialects.responses(WORDS), ApiOptions()),
    ("anthropic", "/v1/messages", api_dialects.anthropic(WORDS), ApiOptions()),
    ("tgi", "/generate_stream", api_dialects.tgi(WORDS), ApiOptions()),
    ("triton", "/v2/models/tiny/generate_stream", api_dialects.triton(WORDS), ApiOptions()),
    ("template", "/own?v=1", api_dialects.own_events(WORDS), OWN),
]
WHOLE = ApiOptions(stream=False)
WHOLES: list[tuple[Api, str, Any, ApiOptions]] = [
    ("chat", "/v1/chat/completions", api_dialects.chat_whole(WORDS), WHOLE),
    ("completions", "/v1/completions", api_dialects.completion_whole(WORDS), WHOLE),
    ("responses", "/v1/responses", api_dialects.responses_whole(WORDS), WHOLE),
    ("anthropic", "/v1/messages", api_dialects.anthropic_whole(WORDS), WHOLE),
    ("tgi", "/generate", api_dialects.tgi_whole(WORDS), WHOLE),
    ("triton", "/v2/models/tiny/generate", api_dialects.triton_whole(WORDS), WHOLE),
    ("template", "/own?v=1", {"result": {"outputs": [{"piece": "all"}]}}, replace(OWN, stream=False)),
    ("embeddings", "/v1/embeddings", api_dialects.embeddings_whole(), ApiOptions()),
    ("rerank", "/v1/rerank", api_dialects.rerank_whole(), ApiOptions()),
    ("rerank-tei", "/rerank", api_dialects.rerank_tei_whole(), ApiOptions()),
]
UNCOUNTED = ("triton", "template")


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""


def case_with(api: Api, options: ApiOptions) -> Case:
    return replace(case_of(api=api, requests=REQUESTS, lengths=(fixed(8), fixed(len(WORDS)))), api_options=options)


def played(case: Case, answer: Answer, **endpoint: Any) -> tuple[Driven, Sequence[Received]]:
    with Scripted([answer], repeat=True) as server:
        driven = drive(case, server.url, **endpoint)
    return driven, server.requests


@pytest.mark.parametrize(
    ("api", "path", "events", "options"), STREAMED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_streamed_load_of_every_api_has_every_figure(api: Api, path: str, events: list[bytes], options: ApiOptions) -> None:
    driven, requests = played(case_with(api, options), dialects.streamed(events, pause_s=0.002))
    assert outcomes(driven) == {"COMPLETED": REQUESTS}
    assert {request.path for request in requests} == {path}
    assert {request.headers["accept"] for request in requests} == {"*/*" if api == "template" else "text/event-stream"}
    assert len({request.body for request in requests}) == REQUESTS, "no prompt is sent twice"
    assert driven.measured.output_tokens.tolist() == [len(WORDS)] * REQUESTS
    asked = driven.measured.prompt_tokens_asked.tolist()
    assert driven.measured.prompt_tokens.tolist() == (asked if api in UNCOUNTED else [PROMPT_TOKENS] * REQUESTS)
    summary = summarise(driven.measured)
    assert {name: summary.distributions[name].count for name in ("ttft", "ttft_content", "tpot", "e2e")} == dict.fromkeys(
        ("ttft", "ttft_content", "tpot", "e2e"), REQUESTS
    )
    assert summary.distributions["itl"].count == REQUESTS * (len(WORDS) - 1)


@pytest.mark.parametrize(
    ("api", "path", "document", "options"), WHOLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_load_of_whole_answers_has_an_end_and_throughput(api: Api, path: str, document: Any, options: ApiOptions) -> None:
    driven, requests = played(case_with(api, options), api_dialects.whole(document))
    assert outcomes(driven) == {"COMPLETED": REQUESTS}
    assert {(request.path, request.headers["accept"]) for request in requests} == {(path, "application/json")}
    assert set(driven.measured.first_token_ns.tolist()) == {MISSING}
    summary = summarise(driven.measured)
    assert (summary.distributions["ttft"].count, summary.distributions["e2e"].count) == (0, REQUESTS)
    assert summary.scalars["input_throughput"] > 0
    tokens = {"triton": MISSING, "template": MISSING, "embeddings": 0, "rerank": 0, "rerank-tei": 0}.get(api, len(WORDS))
    assert driven.measured.output_tokens.tolist() == [tokens] * REQUESTS
    assert driven.audit.output_short_share == 0.0


def test_a_load_of_texts_to_speak_is_measured_to_the_first_byte_of_sound() -> None:
    case = replace(case_with("speech", ApiOptions()), traffic=parse_traffic("A(100)"))
    sound = Answer(
        head=dialects.head(200, "Transfer-Encoding: chunked", content_type="audio/wav"),
        chunks=[0.05, *dialects.chunked(b"RIFF" * 100, end=False), 0.05, *dialects.chunked(b"more")],
    )
    driven, requests = played(case, sound)
    assert (outcomes(driven), dict(driven.measured.errors)) == ({"COMPLETED": REQUESTS}, {})
    assert {(request.path, request.headers["accept"]) for request in requests} == {("/v1/audio/speech", "*/*")}
    assert [len(request.json["input"]) for request in requests] == [100] * REQUESTS
    summary = summarise(driven.measured)
    assert summary.distributions["ttft"].count == summary.distributions["e2e"].count == REQUESTS
    assert 49.0 < summary.distributions["ttft"].p50 < summary.distributions["e2e"].p50 - 49.0
    assert summary.distributions["inter_chunk"].count == REQUESTS
    assert (summary.distributions["itl"].count, driven.measured.output_tokens.tolist()) == (0, [0] * REQUESTS)


def test_answers_of_a_line_each_are_read_as_they_come() -> None:
    options = replace(OWN, text="response")
    lines = api_dialects.json_lines(WORDS)
    chunks = dialects.chunked(*lines)
    answer = Answer(head=dialects.head(200, "Transfer-Encoding: chunked", content_type="application/x-ndjson"), chunks=chunks)
    driven, _ = played(case_with("template", options), replace(answer, pause_s=0.002))
    assert outcomes(driven) == {"COMPLETED": REQUESTS}
    assert driven.measured.output_tokens.tolist() == [len(WORDS)] * REQUESTS


def test_a_whole_answer_may_take_longer_than_the_limit_for_a_first_token() -> None:
    case = case_with("chat", WHOLE)
    late = replace(api_dialects.whole(api_dialects.chat_whole(WORDS)), head=b"", chunks=())
    told = api_dialects.whole(api_dialects.chat_whole(WORDS))
    answer = replace(late, chunks=[0.4, told.head, *told.chunks])
    hurried = replace(case, limits=replace(case.limits, first_token_s=0.1), load=replace(case.load, requests=1))
    driven, _ = played(hurried, answer)
    assert outcomes(driven) == {"COMPLETED": 1}


def test_headers_of_a_case_go_out_with_their_secrets_and_stay_out_of_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "open-sesame")
    monkeypatch.setenv("SERVER_KEY", "k-1")
    options = ApiOptions(headers=(("X-Gate", "Token ${GATEWAY_KEY}"), ("accept", "text/plain")))
    answer = dialects.error(401, {"error": {"message": "open-sesame and k-1 are no keys here"}})
    driven, requests = played(case_with("anthropic", options), answer, api_key_env="SERVER_KEY")
    sent = requests[0].headers
    assert (sent["x-gate"], sent["accept"], sent["x-api-key"]) == ("Token open-sesame", "text/plain", "k-1")
    assert "anthropic-version" in sent
    assert "authorization" not in sent
    assert set(driven.measured.errors.values()) == {"HTTP 401 Unauthorized: REDACTED and REDACTED are no keys here"}


def test_a_header_without_its_variable_stops_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_KEY", raising=False)
    case = case_with("chat", ApiOptions(headers=(("X-Gate", "${GATEWAY_KEY}"),)))
    with Scripted([]) as server, pytest.raises(EngineError, match="the header X-Gate refers to"):
        drive(case, server.url)
    assert server.connections == 0


def test_reasoning_comes_before_content() -> None:
    thoughts = [dialects.event({"choices": [{"index": 0, "delta": {"reasoning_content": text}}]}) for text in ("so", " then")]
    role, *rest = dialects.vllm_chat(["yes", " no"])
    driven, _ = played(case_with("chat", ApiOptions()), dialects.streamed([role, *thoughts, *rest], pause_s=0.005))
    traces = driven.measured
    assert (traces.first_reasoning_ns == traces.first_token_ns).all()
    assert (traces.first_content_ns > traces.first_reasoning_ns).all()
    assert set(traces.first_tool_ns.tolist()) == {MISSING}


def test_certificates_of_a_case_are_trusted_by_the_load_and_by_questions_beforehand(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = ApiOptions(ca_file=str(authority.file))
    with secured(authority.context("127.0.0.1"), b"".join(streamed(events(WORDS)))) as port:
        url = f"https://127.0.0.1:{port}"
        driven = drive(case_with("chat", options), url)
        access = Access(headers=PLAIN_ACCESS.headers, ca_file=options.ca_file)
        assert ask(f"{url}/v1/models", timeout_s=5, access=access).status == 200
        with pytest.raises(NoAnswer, match=r"could not be reached: .*certificate"):
            ask(f"{url}/v1/models", timeout_s=5)
    assert outcomes(driven) == {"COMPLETED": REQUESTS}
