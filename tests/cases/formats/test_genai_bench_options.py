from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_inferbench.cases.catalogue import hardware_of
from pytest_inferbench.cases.content import APIS_OF
from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.genai_bench_options import (
    BATCH_SIZES,
    CONCURRENCIES,
    HARDWARE,
    SCENARIOS,
    BenchLoad,
    Words,
    bench_load,
    hardware_named,
)
from pytest_inferbench.cases.formats.option_words import options_of
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError

NEEDED = ("--task=text-to-text", "--max-time-per-run=2", "--max-requests-per-run=30")


def read(*words: str, lenient: bool = False) -> tuple[BenchLoad, Reading, Words]:
    source = Source(path="x.json", text=json.dumps({"args": list(words)}))
    reading = Reading(source=source, document=source.document(), lenient=lenient)
    parsed = Words(options=options_of(words), place=("args",))
    return bench_load(reading, parsed), reading, parsed


@pytest.mark.parametrize("task", SCENARIOS)
def test_the_own_scenarios_of_a_task_are_of_the_grammar_and_can_be_sent(task: str) -> None:
    load, _, _ = read(f"--task={task}", *NEEDED[1:])
    assert load.scenarios == SCENARIOS[task]
    for text in load.scenarios:
        traffic = parse_traffic(text)
        assert load.suite.get("api", "chat") in APIS_OF[traffic.kind]


def test_what_is_absent_is_what_the_tool_takes() -> None:
    load, reading, words = read(*NEEDED)
    assert (load.concurrencies, load.batches) == (CONCURRENCIES, ())
    assert load.suite == {"load": {"requests": 30, "duration": "2m"}}
    assert hardware_named(reading, words) == "gpu"
    load, _, _ = read("--task=text-to-rerank", *NEEDED[1:])
    assert (load.concurrencies, load.batches) == ((1,), BATCH_SIZES)


def test_every_type_of_gpu_is_hardware_of_ours() -> None:
    for name, expected in HARDWARE.items():
        _, reading, words = read(*NEEDED, f"--server-gpu-type={name}")
        assert hardware_of(hardware_named(reading, words)).name == expected


def test_a_data_set_alone_is_sent_as_it_is() -> None:
    assert read(*NEEDED, "--dataset-path=x.txt")[0].scenarios == ("dataset",)


def test_parameters_are_read_as_json_and_as_python_writes_them() -> None:
    for text in ('{"ignore_eos": true}', "{'ignore_eos': True}"):
        extra: Any = read(*NEEDED, "--additional-request-params", text)[0].suite["extra_body"]
        assert extra == {"ignore_eos": True}


def test_no_option_is_dropped_in_silence() -> None:
    with pytest.raises(ConfigError, match=r"x.json:1: args\[3\]: genai-bench has no option --sped"):
        read(*NEEDED, "--sped=1")
    with pytest.raises(ConfigError, match=r"args\[3\]: --warmup-ratio has no meaning here: a warm-up is a number of requests"):
        read(*NEEDED, "--warmup-ratio=0.1")
    _, reading, _ = read(*NEEDED, "--warmup-ratio=0.1", "--num-workers=4", lenient=True)
    assert reading.taken_notes() == (
        "args[3] --warmup-ratio has no meaning here: a warm-up is a number of requests that go first here (load.warmup)",
        "--num-workers is not carried over: the client starts as many processes as the load needs",
        "no --traffic-scenario: genai-bench's own for text-to-text",
    )
