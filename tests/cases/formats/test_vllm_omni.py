from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.formats.registry import format_of, read_foreign, suite_of
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.slo import parse_objectives

EXAMPLE = Path(__file__).parent / "examples" / "vllm_omni.json"
RUN = "tests[0].benchmark_params[0]"


def cases(path: Path = EXAMPLE, **options: Any) -> list[Case]:
    return [case for one in read_foreign(path, **options) for case in suite_of(one).cases()]


def written(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = copy.deepcopy(json.loads(EXAMPLE.read_text("utf-8")))
    change(data[0])
    path = tmp_path / "test_omni.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def test_a_file_is_known_by_its_content() -> None:
    found = format_of(EXAMPLE)
    assert found is not None
    assert (found.name, found.title) == ("vllm-omni", "vLLM-Omni JSON")


def test_each_level_is_a_case_with_its_own_requests() -> None:
    assert [(case.id, case.load.requests) for case in cases()] == [
        ("test_talker-1-gpu-vllm-omni-7b-tp1-d100x50-c1", 4),
        ("test_talker-1-gpu-vllm-omni-7b-tp1-d100x50-c4", 16),
        ("test_talker-2-gpu-vllm-omni-7b-tp1-d100x50-r0.5", 10),
        ("test_talker-2-gpu-vllm-omni-7b-tp1-d100x50-r2", 10),
    ]


def test_the_baseline_of_a_level_and_that_all_complete_are_objectives() -> None:
    assert [case.slo for case in cases()] == [
        ("error_rate <= 0", "ttft_mean <= 1000ms", "request_throughput >= 0.1 req/s"),
        ("error_rate <= 0", "ttft_mean <= 3000ms", "request_throughput >= 0.1 req/s"),
        ("error_rate <= 0", "e2e_p99 <= 9000ms"),
        ("error_rate <= 0", "e2e_p99 <= 9000ms"),
    ]
    for case in cases():
        assert len(parse_objectives(case.slo)) == len(case.slo)


def test_a_metric_that_is_not_measured_here_is_said() -> None:
    assert "the baseline of mean_audio_rtf is not judged: it is not measured here" in read_foreign(EXAMPLE)[0].notes


def test_the_server_is_started_for_omni_with_its_stages() -> None:
    assert cases()[0].engine.args == (("stage-configs-path", "talker.yaml"), ("omni", None))


def _run(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["benchmark_params"][0]
    return found


def test_a_change_of_the_stages_is_refused_and_lenient_leaves_it_out(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: data["server_params"].update(update={"async_chunk": True}))
    expected = "changes the file of the stages, which is not made here: the server would be another one"
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    assert f"{caught.value.field}: {caught.value.problem}" == f"tests[0].server_params.update: {expected}"
    found = read_foreign(path, lenient=True)
    assert f"tests[0].server_params.update {expected}" in found[0].notes
    assert [case.id for case in cases(path, lenient=True)] == [case.id for case in cases()]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.update(benchmark_params=[]), "tests[0].benchmark_params: holds no run"),
        (
            lambda data: _run(data).update(num_prompts=[1, 2, 3]),
            f"{RUN}.max_concurrency: has 2 values where others have 3; the test would stop",
        ),
        (lambda data: _run(data).pop("num_prompts"), f"{RUN}: says no num_prompts"),
        (lambda data: _run(data).update(num_prompts=["x"]), f"{RUN}.num_prompts: must be a whole number from 1, not 'x'"),
        (lambda data: _run(data).update(max_concurrency=[0, 1]), f"{RUN}.max_concurrency: must be a whole number from 1, not 0"),
        (lambda data: _run(data).update(baseline=[1]), f"{RUN}.baseline: must hold metrics and their limits"),
        (
            lambda data: _run(data)["baseline"].update(mean_ttft_ms=[1, 2, 3]),
            f"{RUN}.baseline.mean_ttft_ms: has 3 limits for 2 levels",
        ),
        (
            lambda data: _run(data)["baseline"].update(mean_ttft_ms="fast"),
            f"{RUN}.baseline.mean_ttft_ms: must be a number, not 'fast'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_foreign(written(tmp_path, change))
    assert f"{caught.value.field}: {caught.value.problem}" == expected
