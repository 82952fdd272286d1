"""
``inferbench run`` with every arrival, every kind of traffic and every API: against a scripted server, llama.cpp, and vLLM.

Each run is the command itself, in this process; what it leaves is read back, and every request must have completed. How fast
the answers came is not looked at: a busy machine may make figures invalid (exit code 3), and loses no request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from pytest_inferbench.cases.case import Api, Arrival
from pytest_inferbench.cases.traffic import EXPECTED
from pytest_inferbench.cli import main
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.process import start
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.records.reader import read_run
from pytest_inferbench.records.record import Record
from tests import api_dialects, dialects
from tests.integration import servers
from tests.scripted import Answer, Received, Scripted

FEW = 5
"""Requests of every run; a sweep has so many a level."""
Flags = tuple[str, ...]

ARRIVALS: Mapping[str, Flags] = {
    "closed": ("--concurrency=2", "--warmup=1"),
    "closed-up": ("--concurrency=3", "--ramp-up=100ms"),
    "constant": ("--rate=50", "--arrival=constant"),
    "poisson": ("--rate=50",),
    "gamma": ("--rate=50", "--arrival=gamma", "--burstiness=0.5"),
    "linear": ("--rate=60", "--arrival=linear", "--ramp-from=20"),
    "exponential": ("--rate=60", "--arrival=exponential", "--ramp-from=20"),
    "steps": ("--rate=60", "--arrival=steps", "--steps=3"),
    "all-at-once": ("--rate=inf",),
    "cap": ("--rate=inf", "--max-in-flight=2"),
    "sweep": ("--sweep=1",),
}
TRACES: Mapping[str, tuple[str, str]] = {
    "mooncake": (
        "t.jsonl",
        "".join(
            json.dumps({"timestamp": 20 * n, "input_length": 8, "output_length": 2, "hash_ids": [n]}) + "\n" for n in range(FEW)
        ),
    ),
    "azure": (
        "t.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(f"2023-11-16 18:15:46.{n}800000,8,2\n" for n in range(FEW)),
    ),
    "burstgpt": (
        "t.csv",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        + "".join(f"{n / 50},ChatGPT,8,2,10,Conversation log\n" for n in range(FEW)),
    ),
    "plain": ("t.csv", "timestamp,input_tokens,output_tokens\n" + "".join(f"{n / 50},8,2\n" for n in range(FEW))),
}
TRAFFIC: Mapping[str, Flags] = {
    "D": ("--traffic=D(8,2)",),
    "N": ("--traffic=N(8,2)/(3,1)",),
    "U": ("--traffic=U(4,8)/(1,3)",),
    "LN": ("--traffic=LN(8,2)/(3,1)",),
    "P": ("--traffic=P(4,8)/(1,2)",),
    "I": ("--traffic=I(16,16)",),
    "prefix": ("--traffic=D(16,2)", "--prefix=tokens=8,share=0.5,count=2"),
    "turns": ("--traffic=D(8,2)", "--turns=2", "--think-time=10ms"),
    "warm": ("--traffic=D(8,2)", "--cache=warm"),
    "shared": ("--traffic=D(16,2)", "--prefix=tokens=8", "--cache=shared"),
}
ROWS = [f"what is {n} and {n}?" for n in range(2 * FEW)]
DATASETS: Mapping[str, tuple[str, str, Flags]] = {
    "lines": ("rows.txt", "\n".join(ROWS), ("--dataset-output=2",)),
    "jsonl": (
        "rows.jsonl",
        "\n".join(json.dumps({"question": row, "length": 2}) for row in ROWS),
        ("--dataset-prompt={question}", "--dataset-output=length"),
    ),
    "sharegpt": (
        "rows.json",
        json.dumps([{"conversations": [{"from": "human", "value": row}, {"from": "gpt", "value": "one two"}]} for row in ROWS]),
        ("--dataset-output=2",),
    ),
    "hf": ("rows", "", ("--dataset-format=hf", "--dataset-prompt={text}", "--dataset-output=2")),
}
TEMPLATE = ("--path=/completion", "--text-path=content")
BODY = '{"prompt": "{prompt}", "n_predict": "{output_tokens}", "stream": %s}'
APIS: Mapping[str, Flags] = {
    **{name: (f"--api={name}",) for name in ("chat", "completions", "responses", "anthropic", "tgi", "triton")},
    "completions-tokens": ("--api=completions-tokens",),
    "template": ("--api=template", *TEMPLATE, "--body-template=" + BODY % "true"),
}
WHOLE: Mapping[str, Flags] = {
    **{name: (f"--api={name}", "--no-stream") for name in ("chat", "completions", "responses", "anthropic", "tgi", "triton")},
    "template": ("--api=template", "--no-stream", *TEMPLATE, "--body-template=" + BODY % "false"),
    "embeddings": ("--api=embeddings", "--traffic=E(8)", "--documents=2"),
    "rerank": ("--api=rerank", "--traffic=R(8,4)", "--documents=2"),
    "rerank-tei": ("--api=rerank-tei", "--traffic=R(8,4)", "--documents=2"),
    "speech": ("--api=speech", "--traffic=A(20)"),
}
SHORT = ("--traffic=D(8,2)",)
WITHOUT_TOKENS = ("embeddings", "rerank", "rerank-tei", "speech")


# -- the command -----------------------------------------------------------------------------------------------------------


def shown(folder: Path, url: str, model: str, *flags: str) -> tuple[Record, ...]:
    """Run the command; the records that it leaves, each with all its requests completed."""
    bounded = () if any(flag.startswith("--trace") for flag in flags) else (f"--requests={FEW}",)
    command = ("run", f"--endpoint={url}", f"--model={model}", f"--output={folder / 'out'}", "--seed=1", "--quiet")
    result = CliRunner().invoke(main, [*command, *bounded, *flags])
    assert result.exit_code in (0, 3), result.output
    records = tuple(read_run(folder / "out"))
    for record in records:
        if nothing_to_sweep(record):
            continue
        assert record.error is None, record.error
        assert record.summary is not None
        counts = record.summary.counts
        assert (counts.attempted, counts.completed) == (FEW, FEW), result.output
    excused = any(nothing_to_sweep(record) or invalidating(record.findings) for record in records)
    assert result.exit_code == 0 or excused, result.output
    assert f"results: {folder / 'out'}" in result.output
    return records


def nothing_to_sweep(record: Record) -> bool:
    """Whether one user was answered as fast as all at once, as a busy machine may do with so few requests."""
    return record.case.load.swept and "there is no rate between the ends of this sweep" in (record.error or "")


def invalidating(findings: tuple[Finding, ...]) -> bool:
    return any(finding.invalidates for finding in findings)


def trace_in(folder: Path, name: str) -> Flags:
    file, text = TRACES[name]
    (folder / file).write_text(text, encoding="utf-8")
    return (f"--trace={folder / file}", "--time-scale=0.5")


def dataset_in(folder: Path, name: str) -> Flags:
    file, text, flags = DATASETS[name]
    if name == "hf":
        parquet_rows(folder / file)
    else:
        (folder / file).write_text(text, encoding="utf-8")
    return (f"--dataset={folder / file}", *flags)


def parquet_rows(folder: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - heavy, and only here
    from pyarrow import parquet  # noqa: PLC0415 - as above

    folder.mkdir()
    parquet.write_table(pa.Table.from_pylist([{"text": row} for row in ROWS]), folder / "train.parquet")


# -- a scripted server that speaks everything ------------------------------------------------------------------------------


class EveryApi(Scripted):
    """Answers each request in the manner of the API that it is of, with as many words as were asked for."""

    def __init__(self) -> None:
        super().__init__([])

    def _answer_to(self, request: Received) -> Answer:
        with self._lock:
            self.requests.append(request)
        return answer_to(request)

    @property
    def loads(self) -> list[Received]:
        """The requests that carry a prompt."""
        return [request for request in self.requests if request.method == "POST"]


def answer_to(request: Received) -> Answer:
    if request.method == "GET":
        if request.path == "/v1/models":
            return api_dialects.whole({"object": "list", "data": [{"id": "tiny", "object": "model"}]})
        return dialects.unknown_path()
    body, path = request.json, request.path
    words = [" word"] * asked_tokens(body)
    streams = {
        "/v1/chat/completions": dialects.vllm_chat,
        "/v1/completions": dialects.vllm_completions,
        "/v1/responses": api_dialects.responses,
        "/v1/messages": api_dialects.anthropic,
        "/generate_stream": api_dialects.tgi,
        "/v2/models/tiny/generate_stream": api_dialects.triton,
        "/completion": completion_events,
    }
    if path.endswith("_stream") or body.get("stream") is True:
        return dialects.streamed(streams[path](words), pause_s=0.001)
    if path == "/v1/audio/speech":
        sound = b"RIFF" + bytes(64)
        return Answer(head=dialects.head(200, f"Content-Length: {len(sound)}", content_type="audio/wav"), chunks=[sound])
    wholes: Mapping[str, Callable[[list[str]], object]] = {
        "/v1/chat/completions": api_dialects.chat_whole,
        "/v1/completions": api_dialects.completion_whole,
        "/v1/responses": api_dialects.responses_whole,
        "/v1/messages": api_dialects.anthropic_whole,
        "/generate": api_dialects.tgi_whole,
        "/v2/models/tiny/generate": api_dialects.triton_whole,
        "/completion": lambda words: {"content": "".join(words)},
        "/v1/embeddings": lambda _: api_dialects.embeddings_whole(),
        "/v1/rerank": lambda _: api_dialects.rerank_whole(),
        "/rerank": lambda _: api_dialects.rerank_tei_whole(),
    }
    return api_dialects.whole(wholes[path](words))


def completion_events(words: list[str]) -> list[bytes]:
    """llama.cpp's own API."""
    return [dialects.event({"content": word}) for word in words]


def asked_tokens(body: Mapping[str, Any]) -> int:
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens", "n_predict", "max_new_tokens")
    fields = {**body, **body.get("parameters", {})}
    return next((int(fields[name]) for name in names if name in fields), 1)


@pytest.fixture
def everything() -> Iterator[EveryApi]:
    with EveryApi() as server:
        yield server


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of one word, for what needs token ids."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1, "b": 2}, "unk_token": "[UNK]"}
    path.write_text(json.dumps({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}))
    return path


@pytest.mark.parametrize("name", ARRIVALS)
def test_every_arrival(everything: EveryApi, tmp_path: Path, name: str) -> None:
    records = shown(tmp_path, everything.url, "tiny", *SHORT, *ARRIVALS[name])
    assert len(records) == (3 if name == "sweep" else 1)


@pytest.mark.parametrize("name", TRACES)
def test_every_form_of_trace(everything: EveryApi, tmp_path: Path, name: str) -> None:
    (record,) = shown(tmp_path, everything.url, "tiny", *trace_in(tmp_path, name))
    assert record.case.load.label == "trace0.5"


@pytest.mark.parametrize("name", TRAFFIC)
def test_every_kind_of_traffic(everything: EveryApi, tmp_path: Path, name: str) -> None:
    shown(tmp_path, everything.url, "tiny", *TRAFFIC[name])
    bodies = {request.body for request in everything.loads}
    # The question for one token beforehand is one of them, and what makes a cache warm asks for one token too.
    assert len(bodies) == FEW + 1 + (FEW if name == "warm" else 0)
    assert any(b"data:image" in body for body in bodies) == (name == "I")


@pytest.mark.parametrize("name", DATASETS)
def test_every_form_of_data_set(everything: EveryApi, tmp_path: Path, name: str) -> None:
    shown(tmp_path, everything.url, "tiny", *dataset_in(tmp_path, name))
    bodies = b"".join(request.body for request in everything.loads)
    assert sum(json.dumps(row).encode() in bodies for row in ROWS) == FEW


@pytest.mark.parametrize("name", APIS)
def test_every_api_that_streams(everything: EveryApi, tmp_path: Path, vocabulary: Path, name: str) -> None:
    tokenizer = (f"--tokenizer={vocabulary}",) if name == "completions-tokens" else ()
    (record,) = shown(tmp_path, everything.url, "tiny", *SHORT, *APIS[name], *tokenizer)
    assert record.summary is not None
    assert record.summary.distributions["ttft"].count == FEW
    assert record.summary.distributions["itl"].count == FEW
    assert record.summary.output_tokens == 2 * FEW


@pytest.mark.parametrize("name", WHOLE)
def test_every_api_that_answers_whole(everything: EveryApi, tmp_path: Path, name: str) -> None:
    lengths = () if name in WITHOUT_TOKENS else SHORT
    (record,) = shown(tmp_path, everything.url, "tiny", *lengths, *WHOLE[name])
    assert record.summary is not None
    assert record.summary.distributions["e2e"].count == FEW


def test_nothing_is_left_out() -> None:
    assert {*APIS, *WHOLE} == set(get_args(Api))
    arrivals = {flag.partition("=")[2] for flags in ARRIVALS.values() for flag in flags if flag.startswith("--arrival")}
    assert {*arrivals, "closed", "poisson", "trace"} == set(get_args(Arrival))
    given = {flag.partition("=")[2].partition("(")[0] for flags in (*TRAFFIC.values(), *WHOLE.values()) for flag in flags}
    forms = {word.partition("(")[0] for word in EXPECTED.replace(" or ", ", ").split(", ") if "(" in word}
    assert forms <= given


# -- llama.cpp -------------------------------------------------------------------------------------------------------------

LLAMACPP = ("chat", "completions", "completions-tokens", "responses", "anthropic", "template")


def shown_at(endpoint: Endpoint, folder: Path, *flags: str) -> tuple[Record, ...]:
    tokenizer = (f"--tokenizer={endpoint.tokenizer.path}",) if endpoint.tokenizer.path else ()
    return shown(folder, endpoint.url, endpoint.model, *tokenizer, *flags)


TEXTS = [name for name in TRAFFIC if name != "I"]
PAIRS = [*zip_longest(ARRIVALS, TEXTS, fillvalue="D")]
"""Every arrival with another kind of traffic: a model that answers takes longer than a script."""


@pytest.mark.parametrize(("arrival", "traffic"), PAIRS)
def test_every_arrival_and_traffic_at_llamacpp(llamacpp_endpoint: Endpoint, tmp_path: Path, arrival: str, traffic: str) -> None:
    shown_at(llamacpp_endpoint, tmp_path, *TRAFFIC[traffic], *ARRIVALS[arrival])


def test_a_trace_at_llamacpp(llamacpp_endpoint: Endpoint, tmp_path: Path) -> None:
    shown_at(llamacpp_endpoint, tmp_path, *trace_in(tmp_path, "mooncake"))


def test_a_data_set_at_llamacpp(llamacpp_endpoint: Endpoint, tmp_path: Path) -> None:
    shown_at(llamacpp_endpoint, tmp_path, *dataset_in(tmp_path, "jsonl"))


@pytest.mark.parametrize("name", LLAMACPP)
def test_every_api_at_llamacpp(llamacpp_endpoint: Endpoint, tmp_path: Path, name: str) -> None:
    (record,) = shown_at(llamacpp_endpoint, tmp_path, *SHORT, *APIS[name])
    assert record.summary is not None
    assert record.summary.output_tokens == 2 * FEW


@pytest.mark.parametrize("name", ["completions", "template"])
def test_whole_answers_at_llamacpp(llamacpp_endpoint: Endpoint, tmp_path: Path, name: str) -> None:
    shown_at(llamacpp_endpoint, tmp_path, *SHORT, *WHOLE[name])


# -- vLLM ------------------------------------------------------------------------------------------------------------------

VLLM = ("chat", "completions", "completions-tokens", "responses", "anthropic")


@pytest.fixture(scope="module")
def vllm_pooling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The real vLLM with the same tiny model, as one that embeds."""
    folder = tmp_path_factory.mktemp("vllm-pooling")
    try:
        spec = servers.vllm(folder)
    except servers.NotHere as reason:
        pytest.skip(str(reason))
    spec = replace(spec, key="vllm-pooling", argv=(*spec.argv, "--runner", "pooling", "--convert", "embed"))
    server = start(spec, log_path=folder / "vllm.log")
    yield server.endpoint
    server.stop()


@pytest.mark.vllm
@pytest.mark.parametrize(("arrival", "traffic"), PAIRS)
def test_every_arrival_and_traffic_at_vllm(vllm_endpoint: Endpoint, tmp_path: Path, arrival: str, traffic: str) -> None:
    shown_at(vllm_endpoint, tmp_path, *TRAFFIC[traffic], *ARRIVALS[arrival])


@pytest.mark.vllm
@pytest.mark.parametrize("name", VLLM)
def test_every_api_at_vllm(vllm_endpoint: Endpoint, tmp_path: Path, name: str) -> None:
    (record,) = shown_at(vllm_endpoint, tmp_path, *SHORT, *APIS[name])
    assert record.summary is not None
    assert record.summary.output_tokens == 2 * FEW


@pytest.mark.vllm
@pytest.mark.parametrize("name", ["chat", "completions", "responses", "anthropic"])
def test_whole_answers_at_vllm(vllm_endpoint: Endpoint, tmp_path: Path, name: str) -> None:
    shown_at(vllm_endpoint, tmp_path, *SHORT, *WHOLE[name])


@pytest.mark.vllm
@pytest.mark.parametrize("name", ["embeddings", "rerank"])
def test_apis_without_tokens_at_vllm(vllm_pooling: Endpoint, tmp_path: Path, name: str) -> None:
    shown_at(vllm_pooling, tmp_path, *WHOLE[name])
