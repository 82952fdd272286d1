from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_inferbench.metrics.telemetry.names import DIALECTS, Sample, normalised
from pytest_inferbench.simulator.server.server import METRICS
from tests.simulator.server.deployments import settings
from tests.simulator.server.serving import CHAT, Served, chat, with_server


def samples(text: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [Sample(s.name, tuple(sorted(s.labels.items())), s.value) for family in families for s in family.samples]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "llamacpp", "lmdeploy", "nim", "trtllm"])
def test_our_telemetry_reads_what_each_engine_has(engine: str) -> None:
    async def do(served: Served) -> None:
        await served.ask(CHAT, chat(max_tokens=5, ignore_eos=True))
        found = normalised(samples(served.server.metrics()), dialect=engine)
        gone = {"kv_cache_usage"} if engine == "llamacpp" else set()
        assert set(found) == set(DIALECTS[engine]) - gone
        assert found.get("running", 0) == found.get("waiting", 0) == 0
        assert found.get("first_token_seconds_count", 1) == 1
        assert found.get("prefix_cache_queries", 3) == 3

    with_server(settings(engine), do)


def test_the_servers_own_series_are_there_for_every_engine() -> None:
    async def do(served: Served) -> None:
        await served.ask(CHAT, chat(max_tokens=5, ignore_eos=True))
        found = {sample.name: sample.value for sample in samples(served.server.metrics())}
        assert found["inferbench_simulator_info"] == 1
        assert found["inferbench_simulator_tokens_total"] == found["inferbench_simulator_lateness_seconds_count"] == 5
        assert found["inferbench_simulator_steps_total"] == 5
        assert found["inferbench_simulator_requests_total"] == 1
        assert {"inferbench_simulator_late_steps_total", "inferbench_simulator_late_tokens_total"} <= set(found)

    for engine in ("vllm", "transformers", "ollama"):
        with_server(settings(engine), do)


def test_histograms_grow_to_their_count() -> None:
    async def do(served: Served) -> None:
        await served.ask(CHAT, chat(max_tokens=5, ignore_eos=True))
        name = "vllm:inter_token_latency_seconds"
        found = samples(served.server.metrics())
        buckets = [sample.value for sample in found if sample.name == f"{name}_bucket"]
        (count,) = [sample.value for sample in found if sample.name == f"{name}_count"]
        assert buckets == sorted(buckets)
        assert buckets[-1] == count == 4

    with_server(settings(), do)


@pytest.mark.parametrize("path", sorted(METRICS))
def test_it_is_where_engines_have_it(path: str) -> None:
    async def do(served: Served) -> None:
        answer = await served.ask(path)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"inferbench_simulator_info" in answer.body

    with_server(settings(), do)


def test_a_models_name_is_escaped() -> None:
    async def do(served: Served) -> None:
        found = [
            dict(sample.labels) for sample in samples(served.server.metrics()) if sample.name == "vllm:num_preemptions_total"
        ]
        assert found == [{"engine": "0", "model_name": 'a"b\\c'}]

    with_server(replace(settings(), model='a"b\\c'), do)
