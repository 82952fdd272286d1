import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_inferbench.launch.answer import Answer
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.scrape import NotScraped, Source
from pytest_inferbench.metrics.telemetry.simulated_source import GPUS_PATH, SimulatedSource, samples_of
from pytest_inferbench.simulator.gpus import PATH
from tests.launch.conftest import ScriptedServer
from tests.metrics.telemetry.conftest import http

Scripted = Callable[..., ScriptedServer]
GPU: dict[str, Any] = {
    "index": 0,
    "uuid": "simulated-0",
    "product": "NVIDIA H100 80GB HBM3",
    "memory_used_bytes": 7,
    "memory_total_bytes": 80,
    "utilization_percent": 93.5,
    "power_w": 350,
    "sm_clock_mhz": 1980,
    "temperature_c": 64.0,
    "throttle_reasons": "power_cap",
}
SAID = {"simulated": True, "gpus": [GPU, {**GPU, "index": 1, "power_w": 360.5}]}


def answer(said: object, *, status: int = 200) -> Answer:
    return Answer(url="http://x", status=status, body=json.dumps(said).encode())


def source(server: ScriptedServer, *indexes: int) -> SimulatedSource:
    return SimulatedSource([(index, f"declared-{index}") for index in indexes], Source(url=server.url + GPUS_PATH))


def test_the_path_is_that_of_the_simulated_server() -> None:
    assert GPUS_PATH == PATH


def test_what_the_server_tells_goes_by_the_gpus_that_it_holds_and_is_marked(scripted: Scripted) -> None:
    held = source(scripted({GPUS_PATH: http(json.dumps(SAID).encode(), kind="application/json")}), 4, 6)
    before_ns = monotonic_ns()
    first, second = held.read()
    assert before_ns <= first.timestamp_ns <= monotonic_ns()
    assert first._replace(timestamp_ns=0) == GpuSample(
        timestamp_ns=0,
        gpu=4,
        memory_used_bytes=7,
        memory_total_bytes=80,
        utilization_percent=93.5,
        power_w=350.0,
        sm_clock_mhz=1980,
        temperature_c=64.0,
        throttle_reasons="power_cap",
        simulated=True,
    )
    assert (second.gpu, second.power_w) == (6, 360.5)
    assert held.troubles == []


def test_without_gpus_of_ours_they_go_by_the_servers_own_numbers() -> None:
    assert [sample.gpu for sample in samples_of(answer(SAID), indexes=(), at_ns=1)] == [0, 1]


def test_what_is_missing_or_no_number_is_none() -> None:
    (sample,) = samples_of(answer({"gpus": [{"power_w": "much", "memory_used_bytes": True}]}), indexes=(3,), at_ns=5)
    assert sample == GpuSample(timestamp_ns=5, gpu=3, simulated=True)


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (SAID, 503, "it answered 503"),
        ([], 200, "it does not tell of GPUs"),
        ({"gpus": [1]}, 200, "it does not tell of GPUs"),
        ({"gpus": []}, 200, "it tells of 0 GPUs, and holds 1"),
        (SAID, 200, "it tells of 2 GPUs, and holds 1"),
    ],
)
def test_what_cannot_be_used_is_said(said: object, status: int, words: str) -> None:
    with pytest.raises(NotScraped) as caught:
        samples_of(answer(said, status=status), indexes=(0,), at_ns=1)
    assert (str(caught.value), caught.value.for_good) == (words, False)


def test_trouble_is_said_once_and_a_path_that_is_not_there_is_asked_once(scripted: Scripted) -> None:
    server = scripted({})
    lost = source(server, 0)
    assert [lost.read() for _ in range(3)] == [[], [], []]
    assert lost.troubles == [f"simulated GPUs at {server.url}/simulator/gpus could not be read at all times: it answered 404"]
    assert server.paths() == [GPUS_PATH]


def test_a_server_that_is_gone_is_said_once_and_asked_again(scripted: Scripted) -> None:
    server = scripted({})
    gone = source(server, 0)
    server.close()
    assert [gone.read() for _ in range(2)] == [[], []]
    (said,) = gone.troubles
    assert "could not be read at all times: it gave no answer: " in said
