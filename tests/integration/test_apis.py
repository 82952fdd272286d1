"""Every API that the real llama.cpp speaks, driven as a benchmark does it; the server's own counts say whether it is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import Api, ApiOptions
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.process import start
from pytest_inferbench.load.drive import Driven, Driver
from pytest_inferbench.load.plan import Recipe, make_plan
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import counter_for
from pytest_inferbench.load.trace import MISSING
from pytest_inferbench.metrics.books import contradictions
from pytest_inferbench.metrics.summarise import summarise
from tests.load.cases import case_of, fixed
from tests.load.driving import outcomes

PROMPT, ANSWER, REQUESTS = 24, 6, 2
CHAT_TEMPLATE = 30
"""Tokens of SmolLM2's chat template with its own system prompt: llama.cpp counts 31 for "Hi", which is one."""
COMPLETION = ApiOptions(
    path="/completion", body='{"prompt": "{prompt}", "n_predict": "{output_tokens}", "stream": true}', text="content"
)
TEXT: list[tuple[Api, ApiOptions]] = [
    ("chat", ApiOptions()),
    ("completions", ApiOptions()),
    ("completions-tokens", ApiOptions()),
    ("responses", ApiOptions()),
    ("anthropic", ApiOptions()),
    ("template", COMPLETION),
]
WITHOUT_TEMPLATE = ("completions", "completions-tokens", "template")


@pytest.fixture(scope="module")
def embedding_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """llama.cpp with the same model, as one that embeds."""
    case = case_of(api="embeddings")
    args = (("parallel", 2), ("ctx", 512), ("embedding", True), ("pooling_type", "mean"))
    case = replace(case, model="smollm2-135m", engine=replace(case.engine, name="llamacpp", args=args))
    try:
        spec = LlamaCppEngine().server(case)
    except EngineError as error:
        pytest.skip(str(error))
    server = start(spec, log_path=tmp_path_factory.mktemp("embedding") / "server.log")
    yield server.endpoint
    server.stop()


def measured(api: Api, options: ApiOptions, endpoint: Endpoint) -> Driven:
    case = case_of(api=api, requests=REQUESTS, lengths=(fixed(PROMPT), fixed(ANSWER)))
    case = replace(case, api_options=options)
    recipe = Recipe(
        case=case,
        model=endpoint.model,
        extra_body=endpoint.extra_body,
        seeds=Seeds(seed=1, salt=2),
        counter=counter_for(endpoint.tokenizer),
    )
    plan = make_plan(recipe)
    try:
        driven = Driver(case, endpoint, plan, id_prefix="api", on_progress=lambda _: None).run()
    finally:
        plan.close()
    assert dict(driven.measured.errors) == {}
    assert outcomes(driven) == {"COMPLETED": REQUESTS}
    assert contradictions(driven.measured) == ()
    return driven


@pytest.mark.parametrize(("api", "options"), TEXT, ids=[api for api, _ in TEXT])
def test_a_streamed_api_counts_what_was_asked_for(llamacpp_endpoint: Endpoint, api: Api, options: ApiOptions) -> None:
    driven = measured(api, options, llamacpp_endpoint)
    traces = driven.measured
    assert traces.output_tokens.tolist() == [ANSWER] * REQUESTS
    assert set((traces.prompt_tokens - PROMPT).tolist()) == {0 if api in WITHOUT_TEMPLATE else CHAT_TEMPLATE}
    assert driven.audit.usage_share == (0.0 if api == "template" else 1.0)
    drift = driven.audit.prompt_drift
    assert (drift is None) == (api == "template"), "only a template has no usage to hold against the tokenizer"
    assert drift is None or (drift.overhead_tokens, drift.off_share) == (0 if api in WITHOUT_TEMPLATE else CHAT_TEMPLATE, 0.0)
    summary = summarise(traces)
    assert {summary.distributions[name].count for name in ("ttft", "ttft_content", "tpot", "e2e")} == {REQUESTS}
    assert (traces.first_content_ns == traces.first_token_ns).all()


@pytest.mark.parametrize("api", ["chat", "completions", "responses", "anthropic"])
def test_an_answer_that_is_not_streamed_is_counted_and_has_an_end(llamacpp_endpoint: Endpoint, api: Api) -> None:
    traces = measured(api, ApiOptions(stream=False), llamacpp_endpoint).measured
    assert traces.output_tokens.tolist() == [ANSWER] * REQUESTS
    assert set(traces.first_token_ns.tolist()) == {MISSING}
    summary = summarise(traces)
    assert (summary.distributions["ttft"].count, summary.distributions["e2e"].count) == (0, REQUESTS)
    assert summary.scalars["output_throughput"] > 0


def test_a_template_without_a_stream_reads_the_text_of_the_answer(llamacpp_endpoint: Endpoint) -> None:
    body = COMPLETION.body.replace("true", "false")
    traces = measured("template", replace(COMPLETION, stream=False, body=body), llamacpp_endpoint).measured
    assert set(traces.output_tokens.tolist()) == {MISSING}, "llama.cpp has no usage there"


def test_embeddings_are_made_by_a_server_that_embeds(embedding_endpoint: Endpoint) -> None:
    traces = measured("embeddings", ApiOptions(), embedding_endpoint).measured
    assert set(traces.output_tokens.tolist()) == {0}
    assert set((traces.prompt_tokens - PROMPT).tolist()) <= {0, 1, 2}
    summary = summarise(traces)
    assert summary.distributions["e2e"].count == REQUESTS
    assert summary.scalars["input_throughput"] > 0


def test_an_error_is_said_in_the_servers_words(llamacpp_endpoint: Endpoint) -> None:
    case = case_of(api="embeddings", requests=1, lengths=(fixed(PROMPT), fixed(1)))
    counter = counter_for(llamacpp_endpoint.tokenizer)
    plan = make_plan(Recipe(case=case, model="m", seeds=Seeds(seed=1, salt=2), counter=counter))
    try:
        driven = Driver(case, llamacpp_endpoint, plan, id_prefix="api", on_progress=lambda _: None).run()
    finally:
        plan.close()
    assert list(driven.measured.errors.values()) == [
        "HTTP 501 Not Implemented: This server does not support embeddings. Start it with `--embeddings`"
    ]
