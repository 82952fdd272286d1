"""Telemetry beside real servers; GPUs are made up, since none is needed for the rest of it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.launch.answer import completion_trouble
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.hygiene import illness
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.metrics.telemetry.telemetry import ServerUse, Telemetry
from pytest_inferbench.metrics.telemetry.watch import Rates, watching
from pytest_inferbench.records.telemetry import GPU_FILE, SERVER_FILE, write_telemetry

LIMIT_S = 120.0
USERS, TOKENS = 8, 48
GPUS = (Gpu(index=0, uuid="GPU-none", name="h100"),)


def complete(endpoint: Endpoint) -> None:
    body = {"model": endpoint.model, "prompt": "Once upon a time", "max_tokens": TOKENS, **endpoint.extra_body}
    answer = ask(f"{endpoint.url}/v1/completions", timeout_s=LIMIT_S, body=body)
    assert completion_trouble(answer) is None


def watched_load(endpoint: Endpoint, folder: Path) -> Telemetry:
    """Eight users at once, twice each, looked at five times a second."""
    rates = Rates(source="fake", scrape_every_s=0.2)
    with watching(endpoint, GPUS, folder=folder, rates=rates) as watch:
        start_ns = monotonic_ns()
        with ThreadPoolExecutor(USERS) as users:
            list(users.map(lambda _: complete(endpoint), range(2 * USERS)))
        end_ns = monotonic_ns()
    write_telemetry(folder, watch.readings)
    return watch.summary(window_ns=(start_ns, end_ns), output_tokens=2 * USERS * TOKENS)


def server_of(found: Telemetry) -> ServerUse:
    assert found.troubles == ()
    assert found.server is not None
    assert found.joules_per_output_token is not None
    return found.server


def names_in(folder: Path) -> set[str]:
    assert (folder / GPU_FILE).read_text().count("\n") > 2
    return set(pq.read_table(folder / SERVER_FILE)["name"].to_pylist())


def test_llamacpp_says_how_many_run_and_wait(llamacpp_endpoint: Endpoint, tmp_path: Path) -> None:
    server = server_of(watched_load(llamacpp_endpoint, tmp_path))
    assert server.running_max is not None
    assert 1 <= server.running_max <= 4  # it was started for four at once
    assert server.waiting_max is not None
    assert 1 <= server.waiting_max <= USERS
    assert server.prefix_cache_hit_rate == 0  # every request asks it not to look into its cache
    assert {"llamacpp:requests_deferred", "inferbench:waiting"} <= names_in(tmp_path)


def test_llamacpp_is_well_after_a_load(llamacpp_endpoint: Endpoint) -> None:
    assert llamacpp_endpoint.health_url == f"{llamacpp_endpoint.url}/health"
    assert illness(llamacpp_endpoint) is None


def test_a_real_server_without_the_page_is_said_once(llamacpp_endpoint: Endpoint, tmp_path: Path) -> None:
    elsewhere = replace(llamacpp_endpoint, metrics_url=f"{llamacpp_endpoint.url}/nothing-here")
    with watching(elsewhere, (), folder=tmp_path) as watch:
        pass
    (trouble,) = watch.readings.troubles
    assert trouble.startswith(f"the server's metrics at {elsewhere.metrics_url} are not in this record: it answered 404")


@pytest.mark.vllm
def test_vllm_says_all_of_it(vllm_endpoint: Endpoint, tmp_path: Path) -> None:
    server = server_of(watched_load(vllm_endpoint, tmp_path))
    assert server.running_max is not None
    assert 1 <= server.running_max <= 2 * USERS
    assert server.kv_cache_usage_max is not None
    assert 0 < server.kv_cache_usage_max <= 1
    assert server.preemptions == 0
    assert server.prefix_cache_hit_rate is not None
    assert server.first_token_s_mean is not None
    assert 0 < server.first_token_s_mean < LIMIT_S
    assert server.output_token_s_mean is not None
    assert 0 < server.output_token_s_mean < LIMIT_S
    assert {"vllm:num_requests_running", "inferbench:kv_cache_usage"} <= names_in(tmp_path)
