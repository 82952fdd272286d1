from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.formats.config_generator import ConfigGenerator, generated
from pytest_inferbench.cases.formats.registry import read_foreign, suite_of
from pytest_inferbench.errors import ConfigError

SECRET = "hf_abcdefghijklmnopqrstuvwx"
BASE: dict[str, Any] = {
    "execution_mode": "parallel",
    "workflows": [
        {
            "name": "qwen",
            "service": {
                "container_name": "server",
                "image": "vllm/vllm-openai",
                "version": "v0.10.0",
                "extra_args": ["--model=/models/a", "--served-model-name=qwen", "--tensor-parallel-size=1"],
            },
            "bench": {
                "version": "0.2",
                "extra_args": [
                    *("--api-model-name=qwen", "--model-tokenizer=/models/a", "--task=text-to-text"),
                    *("--max-time-per-run=1", "--max-requests-per-run=5", "--num-concurrency=1"),
                ],
            },
        }
    ],
}
SERVICE, BENCH = "workflows.service", "workflows.bench"


def base(**service: Any) -> dict[str, Any]:
    data = copy.deepcopy(BASE)
    data["workflows"][0]["service"] |= service
    return data


def variants(grid: dict[str, Any], *, lenient: bool = False, config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    found = ConfigGenerator(config or base(), lenient=lenient).generate_variants(grid)
    return [one["workflows"][0] for one in found]


def test_the_grid_is_a_product_whose_last_path_runs_fastest() -> None:
    found = variants({f"{SERVICE}.version": ["v1", "v2"], f"{SERVICE}.extra_args.gpu-memory-utilization": [0.8, 0.9]})
    assert [(one["service"]["version"], one["service"]["extra_args"][-1]) for one in found] == [
        ("v1", "--gpu-memory-utilization=0.8"),
        ("v1", "--gpu-memory-utilization=0.9"),
        ("v2", "--gpu-memory-utilization=0.8"),
        ("v2", "--gpu-memory-utilization=0.9"),
    ]


def test_linked_parameters_follow() -> None:
    one = variants(
        {
            f"{SERVICE}.version": ["v1"],
            f"{SERVICE}.extra_args.model": ["/models/b"],
            f"{SERVICE}.extra_args.served-model-name": ["b"],
            f"{SERVICE}.extra_args.tensor-parallel-size": [4],
        }
    )[0]
    assert one["service"]["extra_args"] == ["--model=/models/b", "--served-model-name=b", "--tensor-parallel-size=4"]
    assert one["service"]["num_gpu_devices"] == 4
    assert one["bench"]["extra_args"][:3] == ["--api-model-name=b", "--model-tokenizer=/models/b", "--task=text-to-text"]
    assert one["bench"]["extra_args"][-2:] == ["--server-version=v1", "--server-gpu-count=4"]


def test_links_of_the_caller_are_followed_too() -> None:
    links = {f"{SERVICE}.shm_size": [f"{BENCH}.env_vars.SHM"]}
    found = ConfigGenerator(base()).generate_variants({f"{SERVICE}.shm_size": ["8g"]}, links)
    assert found[0]["workflows"][0]["bench"]["env_vars"] == {"SHM": "8g"}


def test_containers_and_workflows_are_named_after_their_variant(tmp_path: Path) -> None:
    generator = ConfigGenerator(base())
    found = generator.generate_variants({f"{SERVICE}.port": [1, 2]})
    names = [(one["workflows"][0]["service"]["container_name"], one["workflows"][0]["bench"]["container_name"]) for one in found]
    assert names == [
        ("qwen_server_variant_0", "qwen_bench_qwen_variant_0"),
        ("qwen_server_variant_1", "qwen_bench_qwen_variant_1"),
    ]
    generator.save_combined_config(found, tmp_path / "new" / "all.json")
    saved = json.loads((tmp_path / "new" / "all.json").read_text("utf-8"))
    assert (saved["execution_mode"], saved["max_parallel"]) == ("parallel", 2)
    assert [one["name"] for one in saved["workflows"]] == ["qwen_variant_0", "qwen_variant_1"]
    assert saved["workflows"][0]["service"]["shm_size"] == "15g"


def test_what_is_generated_is_read(tmp_path: Path) -> None:
    generator = ConfigGenerator(base())
    path = tmp_path / "all.json"
    generator.save_combined_config(generator.generate_variants({f"{SERVICE}.extra_args.tensor-parallel-size": [1, 2]}), path)
    ids = [case.id for one in read_foreign(path) for case in suite_of(one).cases()]
    assert ids[0] == "qwen_variant_0-gpu-vllm-a-tp1-n480.240x300.150-c1"
    assert ids[-1] == "qwen_variant_1-gpu-vllm-a-tp2-d7800x200-c1"


def test_no_secret_is_written(tmp_path: Path) -> None:
    config = base(env_vars={"HF_TOKEN": SECRET})
    config["workflows"][0]["bench"]["extra_args"].append(f"--api-key={SECRET}")
    generator = ConfigGenerator(config)
    generator.save_combined_config(generator.generate_variants({f"{SERVICE}.port": [1]}), tmp_path / "all.json")
    text = (tmp_path / "all.json").read_text("utf-8")
    assert SECRET not in text
    assert "${HF_TOKEN}" in text
    assert "--api-key=${API_KEY}" in text


# Each mistake of BenchFlow's own: the grid, the base, what strict says, and the words that lenient writes in the service.
MISTAKES: tuple[tuple[dict[str, Any], dict[str, Any], str, list[str]], ...] = (
    (
        {f"{SERVICE}.extra_args.model": ["/b"]},
        base(extra_args=["--model-impl=auto", "--model=/a"]),
        f"{SERVICE}.extra_args.model: BenchFlow would write --model over --model-impl=auto, which only begins like it",
        ["--model=/b", "--model=/a"],
    ),
    (
        {f"{SERVICE}.extra_args.served-model-name": ["new"]},
        base(extra_args=["--served-model-name", "old", "--flag"]),
        (
            f"{SERVICE}.extra_args.served-model-name: BenchFlow would leave the old value 'old' behind as a word; write "
            "--served-model-name=VALUE in the base"
        ),
        ["--served-model-name=new", "old", "--flag"],
    ),
)


@pytest.mark.parametrize(("grid", "config", "expected", "words"), MISTAKES)
def test_a_word_that_benchflow_would_spoil_is_refused_and_lenient_spoils_it(
    grid: dict[str, Any], config: dict[str, Any], expected: str, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        variants(grid, config=config)
    assert f"{caught.value.field}: {caught.value.problem}" == expected
    assert variants(grid, config=config, lenient=True)[0]["service"]["extra_args"] == words


def test_a_version_without_its_v_is_refused_and_lenient_writes_it_as_it_is() -> None:
    grid = {f"{SERVICE}.version": ["0.10.0"]}
    with pytest.raises(ConfigError, match=r"'0.10.0': the bench's --server-version is meant to be v0.10.0, and BenchFlow"):
        variants(grid)
    assert variants(grid, lenient=True)[0]["bench"]["extra_args"][-1] == "--server-version=0.10.0"


def test_a_misspelt_beginning_is_refused_and_lenient_writes_a_useless_field() -> None:
    grid = {"workflow.bench.extra_args.server-gpu-type": ["H100"]}
    with pytest.raises(ConfigError) as caught:
        variants(grid)
    assert (
        caught.value.problem
        == "begins with 'workflow' (did you mean 'workflows'?); BenchFlow would write it where nobody reads it"
    )
    found = ConfigGenerator(base(), lenient=True).generate_variants(grid)
    assert found[0]["workflow"] == {"bench": {"extra_args": {"server-gpu-type": "H100"}}}
    assert not any("gpu-type" in word for word in found[0]["workflows"][0]["bench"]["extra_args"])


def test_text_in_place_of_a_list_is_refused_and_lenient_takes_its_letters() -> None:
    grid = {f"{SERVICE}.version": "v1"}
    with pytest.raises(ConfigError) as caught:
        variants(grid)
    assert caught.value.problem == "must be a list, not text; BenchFlow would take its 2 letters one by one"
    assert [one["service"]["version"] for one in variants(grid, lenient=True)] == ["v", "1"]


def test_a_second_workflow_is_refused_and_lenient_drops_it() -> None:
    config = base()
    config["workflows"].append(copy.deepcopy(config["workflows"][0]))
    with pytest.raises(ConfigError, match="holds 2 workflows; BenchFlow would make variants of the first and drop the others"):
        variants({f"{SERVICE}.port": [1]}, config=config)
    assert len(variants({f"{SERVICE}.port": [1, 2]}, config=config, lenient=True)) == 2


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (
            {"workflows.servce.port": [1]},
            "'servce' is neither service nor bench (did you mean 'service'?); BenchFlow would drop it",
        ),
        (
            {f"{SERVICE}.prot": [1]},
            "'prot' is no field of a service (did you mean 'port'?); BenchFlow would drop it when it saves",
        ),
        ({f"{SERVICE}.port.a": [1]}, "port holds no fields; BenchFlow would fail or write what nobody reads"),
        ({f"{SERVICE}.env_vars.a.b": [1]}, "is too deep; a path ends with a flag or a variable"),
        ({f"{SERVICE}.port": []}, "is an empty list; BenchFlow would write a configuration without workflows"),
        ({f"{SERVICE}.port": 1}, "must be a list of values"),
        (
            {f"{BENCH}.extra_args.server-version": ["v2"], f"{SERVICE}.version": ["v1"]},
            f"sets {BENCH}.extra_args.server-version too, which stands before it; BenchFlow would lose its values",
        ),
    ],
)
def test_a_path_that_reaches_nothing_is_refused(grid: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        variants(grid)
    assert caught.value.problem.startswith(expected)
    assert caught.value.field in grid


def test_an_error_names_the_file_and_line_of_the_grid(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(json.dumps(BASE), encoding="utf-8")
    (tmp_path / "grid.json").write_text('{\n  "workflows.service.port": [1],\n  "workflow.x": [1]\n}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        generated(tmp_path / "base.json", tmp_path / "grid.json")
    assert str(caught.value).startswith(f"{tmp_path / 'grid.json'}:3: workflow.x: begins with 'workflow'")
    (tmp_path / "base.json").write_text('{\n "workflows": []}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        generated(tmp_path / "base.json", tmp_path / "grid.json")
    assert str(caught.value) == f"{tmp_path / 'base.json'}:2: workflows: must be a list of workflows"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"image": None}, "workflows[0].service.image: is missing"),
        ({"extra_args": [1]}, "workflows[0].service.extra_args: must be a list of texts"),
        ({"num_gpu_devices": "two"}, "workflows[0].service.num_gpu_devices: must be a whole number, not 'two'"),
        ({"env_vars": []}, "workflows[0].service.env_vars: must hold names and values"),
        ({"version": 1}, "workflows[0].service.version: must be text, not 1"),
    ],
)
def test_what_is_no_configuration_is_not_saved(tmp_path: Path, service: dict[str, Any], expected: str) -> None:
    generator = ConfigGenerator(base(**service))
    with pytest.raises(ConfigError) as caught:
        generator.save_combined_config([generator.base_config], tmp_path / "x.json")
    assert f"{caught.value.field}: {caught.value.problem}" == expected
    assert not (tmp_path / "x.json").exists()


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["v1", "v2", "v3"]), max_size=3, min_size=1),
)
def test_there_is_a_variant_for_each_point_and_the_base_is_as_it_was(ranks: list[int], versions: list[str]) -> None:
    config = base()
    found = variants({f"{SERVICE}.extra_args.tensor-parallel-size": ranks, f"{SERVICE}.version": versions}, config=config)
    assert [(one["service"]["num_gpu_devices"], one["service"]["version"]) for one in found] == [
        (rank, version) for rank in ranks for version in versions
    ]
    assert config == base()
