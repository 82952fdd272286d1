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

EXAMPLES = Path(__file__).parent / "examples"
EXAMPLE = EXAMPLES / "nm_vllm.json"
ARGS = "configs[0].script_args"
LATER = "configs[1].script_args"


def cases(path: Path = EXAMPLE, **options: Any) -> list[Case]:
    return [case for one in read_foreign(path, **options) for case in suite_of(one).cases()]


def written(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = copy.deepcopy(json.loads(EXAMPLE.read_text("utf-8")))
    change(data)
    path = tmp_path / "nm.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def test_a_file_and_a_list_of_files_are_known_by_their_content(tmp_path: Path) -> None:
    for path in (EXAMPLE, EXAMPLES / "nm_vllm_list.txt"):
        found = format_of(path)
        assert found is not None
        assert (found.name, found.title) == ("nm-vllm", "nm-vllm JSON")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("what is in a.json\nand more\n", encoding="utf-8")
    assert format_of(prompts) is None


def test_a_config_is_the_product_of_models_lengths_and_arguments() -> None:
    found = [case.id for case in cases() if case.id.startswith("serving")]
    assert len(found) == 2 * 2 * 2
    assert found[0] == "serving-two-models-gpu-vllm-len2048-tiny-1b-tp2-d512x128-r1"
    assert found[-1] == "serving-two-models-gpu-vllm-len4096-small-8b-tp2-d512x128-rinf"


def test_a_pair_is_requests_and_a_rate() -> None:
    assert {(case.load.requests, case.load.rate_per_s) for case in cases() if case.id.startswith("serving")} == {
        (300, 1.0),
        (5, inf),
    }


def test_a_server_is_fresh_for_each_case_and_has_the_length_and_sparsity() -> None:
    case = cases()[0]
    assert case.fresh_server
    assert case.engine.args == (("max-model-len", 2048), ("sparsity", "sparse_w16a16"))
    assert (case.hardware, case.api, case.tensor_parallel, case.load.warmup) == ("gpu", "completions", 2, 10)


def test_throughput_sends_everything_at_once() -> None:
    found = [case for case in cases(gpus=4) if case.id.startswith("throughput")]
    assert [case.id for case in found] == [
        "throughput-gpu-vllm-tiny-1b-tp4-dataset.sharegpt_v3_unfiltered_cleaned_split-rinf",
        "throughput-2-gpu-vllm-tiny-1b-tp4-dataset.sharegpt_v3_unfiltered_cleaned_split-rinf",
    ]
    assert [
        (case.load.rate_per_s, case.load.requests, case.traffic.dataset and case.traffic.dataset.output_tokens) for case in found
    ] == [
        (inf, 100, 64),
        (inf, 100, 128),
    ]
    assert found[0].engine.args == (("max-model-len", 4096), ("enforce-eager", None))


def test_all_gpus_are_those_of_this_machine_and_1_is_said_to_be_a_guess() -> None:
    notes = read_foreign(EXAMPLE)[-1].notes
    assert "all GPUs of the machine: how many is not known here, and 1 is taken; say tensor_parallel=N as an override" in notes
    assert "all GPUs of the machine: 4 here" in read_foreign(EXAMPLE, gpus=4)[-1].notes


def test_the_engines_own_benchmark_runs_where_that_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: data["configs"].pop(0))
    tool = cases(path, overrides={"tool": "container"}, gpus=2)[0].tool
    assert tool is not None
    assert (tool.name, tool.results) == ("vllm-throughput", "/results")
    assert tool.args == (
        *("bench", "throughput", "--model", "{model}", "--tensor-parallel-size", "2", "--num-prompts", "100"),
        *("--output-json", "/results/throughput.json", "--max-model-len", "4096", "--enforce-eager"),
        *("--dataset-name", "sharegpt", "--dataset-path", "/data/sharegpt.json", "--output-len", "64"),
    )


def test_a_list_reads_its_files_from_its_folder_or_one_above(tmp_path: Path) -> None:
    assert [case.id for case in cases(EXAMPLES / "nm_vllm_list.txt")] == [case.id for case in cases()]
    path = tmp_path / "list.txt"
    path.write_text("\nconfigs/none.json\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    assert str(caught.value) == f"{path}:2: there is no file configs/none.json, from this file's folder or one above it"


def _args(data: dict[str, Any], number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = data["configs"][number]["script_args"]
    return found


SWALLOWED: tuple[tuple[Callable[[dict[str, Any]], object], str], ...] = (
    (
        lambda data: data["configs"][0].update(max_model_length=[1]),
        "configs[0].max_model_length: unknown field (did you mean 'max_model_lens'?); the driver would not read it",
    ),
    (
        lambda data: data["configs"][1].update(tensor_parallel_size=4),
        (
            "configs[1].tensor_parallel_size: unknown field; known: description, models, max_model_lens, script_name, "
            "script_args; the "
            "driver would not read it"
        ),
    ),
    (
        lambda data: _args(data).update({"best-of": [2]}),
        f"{ARGS}.best-of: 2: several answers to one prompt are not measured here",
    ),
    (lambda data: _args(data).update({"use-beam-search": []}), f"{ARGS}.use-beam-search: beam search is not measured here"),
    (
        lambda data: _args(data, 1).update({"max-model-len": [1024]}),
        "configs[1].max_model_lens: is 4096 and script_args.max-model-len is 1024: the script would take the latter",
    ),
)
WRONG: tuple[tuple[Callable[[dict[str, Any]], object], str], ...] = (
    (lambda data: data["configs"].clear() or data["configs"].append({"script_args": {}}), "configs[0].script_name: is missing"),
    (
        lambda data: data["configs"][0].update(script_name="benchmark_servin"),
        (
            "configs[0].script_name: must be benchmark_serving or benchmark_throughput, not 'benchmark_servin' (did you mean "
            "'benchmark_serving'?)"
        ),
    ),
    (lambda data: data["configs"][0].update(models=[]), "configs[0].models: names no model"),
    (
        lambda data: data["configs"][0].update(max_model_lens=[]),
        "configs[0].max_model_lens: is empty, so the driver would run nothing",
    ),
    (
        lambda data: data["configs"][0].update(use_all_available_gpus=""),
        "configs[0].use_all_available_gpus: cannot stand beside tensor_parallel_size; keep one",
    ),
    (
        lambda data: _args(data).update({"num-input-tokens": 512}),
        f"{ARGS}.num-input-tokens: must be a list, empty for a flag without a value; the driver would stop here",
    ),
    (lambda data: _args(data).update({"seed": [None]}), f"{ARGS}.seed[0]: must be text or a number"),
    (
        lambda data: _args(data).update({"nr-qps-pair_": ["300"]}),
        f"{ARGS}.nr-qps-pair_: '300' is no pair; write a number of requests and a rate, such as \"300,1\"",
    ),
    (
        lambda data: _args(data).update({"nr-qps-pair_": ["300,fast"]}),
        f"{ARGS}.nr-qps-pair_: 'fast' is no rate; write a number, or inf",
    ),
    (
        lambda data: _args(data).update({"request-rate_": [1]}),
        f"{ARGS}.nr-qps-pair_: cannot stand beside request-rate_; keep one",
    ),
    (lambda data: _args(data).pop("nr-qps-pair_"), f"{ARGS}: needs nr-qps-pair_, or both of num-prompts_ and request-rate_"),
    (
        lambda data: _args(data).update({"nr-qps-pair": ["1,1"]}),
        f"{ARGS}.nr-qps-pair: benchmark_serving has no option --nr-qps-pair (did you mean 'nr-qps-pair_'?)",
    ),
    (
        lambda data: _args(data).update({"dataset": ["sharegpt"]}),
        f"{ARGS}.num-input-tokens: cannot stand beside dataset, whose prompts have lengths; the script stops",
    ),
    (lambda data: _args(data).pop("num-input-tokens"), f"{ARGS}.num-input-tokens: is missing"),
    (
        lambda data: _args(data, 1).update({"dataset": ["ultrachat"]}),
        f"{LATER}.dataset: the data set 'ultrachat' is not read here; known: sharegpt",
    ),
    (
        lambda data: _args(data, 1).update({"tensor-parallel-size_": [2]}),
        f"{LATER}.use-all-available-gpus_: cannot stand beside tensor-parallel-size_; keep one",
    ),
    (
        lambda data: _args(data, 1).pop("use-all-available-gpus_"),
        f"{LATER}: needs use-all-available-gpus_ or tensor-parallel-size_, without which the script stops",
    ),
    (
        lambda data: _args(data, 1).update({"input-len": [8]}),
        f"{LATER}.input-len: cannot stand beside dataset, whose prompts have lengths; the script stops",
    ),
    (lambda data: _args(data, 1).update({"num-prompts": ["x"]}), f"{LATER}.num-prompts: must be a whole number from 1, not 'x'"),
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


def test_lenient_takes_the_length_that_the_script_takes(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: _args(data, 1).update({"max-model-len": [1024]}))
    assert {dict(case.engine.args)["max-model-len"] for case in cases(path, lenient=True) if case.id.startswith("through")} == {
        1024
    }
