from __future__ import annotations

import copy
import json
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.formats.registry import format_of, read_foreign, suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = Path(__file__).parent / "examples" / "vllm_ci.json"


def cases(path: Path = EXAMPLE, **options: Any) -> dict[str, Case]:
    return {case.id: case for one in read_foreign(path, **options) for case in suite_of(one).cases()}


def written(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = copy.deepcopy(json.loads(EXAMPLE.read_text("utf-8")))
    change(data)
    path = tmp_path / "serving-tests.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def test_a_file_is_known_by_its_content() -> None:
    found = format_of(EXAMPLE)
    assert found is not None
    assert (found.name, found.title) == ("vllm-ci", "vLLM CI JSON")


def test_the_name_of_a_test_stands_in_front_of_its_cases() -> None:
    assert list(cases()) == [
        "serving_small_random_128_64-gpu-vllm-small-8b-tp1-d128x64-c4",
        "serving_small_random_128_64-gpu-vllm-small-8b-tp1-d128x64-c8",
        "serving_small_sharegpt-gpu-vllm-small-8b-tp2-dataset.sharegpt-c4",
        "serving_small_sharegpt-gpu-vllm-small-8b-tp2-dataset.sharegpt-c8",
        "serving_small_sharegpt-gpu-vllm-small-8b-tp2-dataset.sharegpt-r1max4",
        "serving_small_sharegpt-gpu-vllm-small-8b-tp2-dataset.sharegpt-r4max4",
        "serving_small_sharegpt-gpu-vllm-small-8b-tp2-dataset.sharegpt-r1max8",
        "serving_small_sharegpt-gpu-vllm-small-8b-tp2-dataset.sharegpt-r4max8",
        "latency_small-gpu-vllm-small-8b-tp1-d32x128-c8",
        "throughput_small-gpu-vllm-small-8b-tp4-dataset.sharegpt-rinf",
    ]


def test_parameters_of_the_server_lie_over_the_defaults_and_blanks_are_bare_flags() -> None:
    case = next(iter(cases().values()))
    assert case.engine.args == (("dtype", "bfloat16"), ("no-enable-prefix-caching", None), ("max-num-batched-tokens", 8192))
    assert case.engine.env == (("VLLM_LOGGING_LEVEL", "ERROR"), ("HF_TOKEN", "${HF_TOKEN}"))


def test_parameters_of_the_client_are_the_load() -> None:
    case = next(iter(cases().values()))
    assert (case.api, case.load.requests, case.extra_body) == ("completions", 50, '{"temperature": 0}')


def test_a_batch_is_users_and_all_at_once_is_a_rate() -> None:
    found = cases()
    latency = next(case for name, case in found.items() if name.startswith("latency"))
    assert (latency.load.concurrency, latency.load.requests, latency.load.warmup) == (8, 40, 16)
    throughput = next(case for name, case in found.items() if name.startswith("throughput"))
    assert (throughput.load.rate_per_s, throughput.load.requests) == (inf, 200)
    assert dict(throughput.engine.args) == {"load-format": "dummy"}


def test_a_plain_list_of_tests_is_read_too(tmp_path: Path) -> None:
    data = json.loads(EXAMPLE.read_text("utf-8"))
    path = tmp_path / "latency-tests.json"
    path.write_text(json.dumps(data["tests"][2:], indent=1), encoding="utf-8")
    assert list(cases(path)) == list(cases())[-2:]


def test_what_is_no_json_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "serving-tests.json"
    path.write_text('{"tests": [\n{"test_name": "serving_a", "client_parameters": {}},\n"qps_list": [1]\n]}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    assert str(caught.value) == f"{path}:3: not JSON: Expecting ',' delimiter"


def _test(data: dict[str, Any], number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = data["tests"][number]
    return found


def _client(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _test(data)["client_parameters"]
    return found


CLIENT = "tests[0].client_parameters"
SWALLOWED: tuple[tuple[Callable[[dict[str, Any]], object], str], ...] = (
    (
        lambda data: _test(data).update(qps=[1]),
        (
            "tests[0].qps: unknown field; known: test_name, qps_list, max_concurrency_list, server_environment_variables, "
            "server_parameters, client_parameters; the script would not read it"
        ),
    ),
    (
        lambda data: _test(data)["server_parameters"].update(enforce_eager=True),
        (
            'tests[0].server_parameters.enforce_eager: is true, which would reach the server as "--enforce-eager '
            'true"; write "" for a '
            "flag that is on"
        ),
    ),
    (
        lambda data: _test(data)["server_parameters"].update({"max-num-batched-tokens": 1}),
        (
            "tests[0].server_parameters.max-num-batched-tokens: stands here as 'max_num_batched_tokens' too; vLLM would "
            "take the last one"
        ),
    ),
    (
        lambda data: _client(data).update(model="org/other"),
        f"{CLIENT}.model: is 'org/other' and the server's model is 'org/small-8b': every request would fail",
    ),
    (
        lambda data: _client(data).update(num_promts=1),
        f"{CLIENT}.num_promts: vllm bench serve has no option --num-promts (did you mean 'num-prompts'?)",
    ),
)
WRONG: tuple[tuple[Callable[[dict[str, Any]], object], str], ...] = (
    (
        lambda data: _test(data).update(test_name="small"),
        "tests[0].test_name: must begin with one of serving_, latency_, throughput_; the script stops at 'small'",
    ),
    (
        lambda data: _test(data, 1).update(test_name="serving_small_random_128_64"),
        "tests[1].test_name: 'serving_small_random_128_64' is the name of two tests; names tell them apart",
    ),
    (lambda data: data["defaults"].pop("qps_list"), "tests[0]: has no qps_list, so the script would send nothing"),
    (lambda data: _test(data).update(qps_list=["fast"]), "tests[0].qps_list[0]: 'fast' is no rate; write a number, or inf"),
    (lambda data: _test(data).update(qps_list=[0]), "tests[0].qps_list[0]: 0 is no rate; write a number above 0, or inf"),
    (
        lambda data: _test(data).update(max_concurrency_list=[0]),
        "tests[0].max_concurrency_list[0]: must be a whole number from 1, not 0",
    ),
    (lambda data: _test(data).update(server_parameters=[1]), "tests[0].server_parameters: must hold options"),
    (lambda data: data["defaults"]["server_parameters"].pop("model"), "tests[0].server_parameters: names no model"),
    (
        lambda data: _client(data).update(backend="tgi"),
        (
            f"{CLIENT}.backend: 'tgi' is no backend that is measured here; known: vllm, openai, sglang, openai-chat, "
            "openai-chat-omni, "
            "openai-embeddings"
        ),
    ),
    (
        lambda data: _client(data).update(dataset_name="hf"),
        f"{CLIENT}.dataset_name: the data set 'hf' is not read here; known: random, sonnet, sharegpt, custom",
    ),
    (lambda data: _client(data).update(num_prompts="all"), f"{CLIENT}.num_prompts: must be a whole number from 1, not 'all'"),
    (
        lambda data: _test(data)["server_parameters"].update(hf_token="abc1"),
        "tests[0].server_parameters.hf_token: a command line is readable by everybody; put it into the environment",
    ),
    (
        lambda data: _test(data, 2)["parameters"].update(num_iters="x"),
        "tests[2].parameters.num_iters: must be a whole number from 1, not 'x'",
    ),
    (
        lambda data: _test(data, 3)["parameters"].update(backend="hf"),
        "tests[3].parameters.backend: 'hf' is no server; only vllm is measured here",
    ),
)


@pytest.mark.parametrize(("change", "expected"), SWALLOWED)
def test_what_is_lost_is_refused_and_lenient_says_so(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    path = written(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    assert f"{caught.value.field}: {caught.value.problem}" == expected
    assert caught.value.line is not None
    notes = [note for one in read_foreign(path, lenient=True) for note in one.notes]
    assert expected.replace(": ", " ", 1) in notes


@pytest.mark.parametrize(("change", "expected"), WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str) -> None:
    path = written(tmp_path, change)
    for lenient in (False, True):
        with pytest.raises(ConfigError) as caught:
            read_foreign(path, lenient=lenient)
        assert f"{caught.value.field}: {caught.value.problem}" == expected


def test_lenient_hands_on_what_the_script_hands_on(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: _test(data)["server_parameters"].update(enforce_eager=False))
    assert ("enforce-eager", "false") in next(iter(cases(path, lenient=True).values())).engine.args
