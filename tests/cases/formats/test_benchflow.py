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

EXAMPLE = Path(__file__).parent / "examples" / "benchflow_two.json"
BENCH = "workflows[0].bench"
SERVICE = "workflows[0].service"
SECRET = "hf_abcdefghijklmnopqrstuvwx"


def example() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(EXAMPLE.read_text("utf-8"))
    return found


def cases(path: Path = EXAMPLE, **options: Any) -> list[Case]:
    return [case for one in read_foreign(path, **options) for case in suite_of(one).cases()]


def written(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = copy.deepcopy(example())
    change(data)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    found = format_of(EXAMPLE)
    assert found is not None
    assert (found.name, found.title) == ("benchflow", "BenchFlow JSON")
    other = tmp_path / "x.json"
    other.write_text('{"workflows": 1}', encoding="utf-8")
    assert format_of(other) is None
    other.write_text('{"workflows": [{"service": ', encoding="utf-8")
    assert format_of(other) == found


def test_the_name_of_a_workflow_stands_in_front_of_its_cases() -> None:
    assert [case.id for case in cases()][:4] == [
        "qwen-3-8b-h100-vllm-qwen3-8b-tp2-d100x100-c1",
        "qwen-3-8b-h100-vllm-qwen3-8b-tp2-d100x100-c8",
        "qwen-3-8b-h100-vllm-qwen3-8b-tp2-n480.240x300.150-c1",
        "qwen-3-8b-h100-vllm-qwen3-8b-tp2-n480.240x300.150-c8",
    ]
    assert {case.suite for case in cases()} == {"benchflow_two"}


def test_the_service_is_the_engine() -> None:
    case = cases()[0]
    engine = case.engine
    assert (engine.name, engine.image, case.model, case.tensor_parallel) == (
        "vllm",
        "vllm/vllm-openai:v0.10.0",
        "/models/Qwen3-8B",
        2,
    )
    assert engine.args == (("max-model-len", "16384"), ("limit-mm-per-prompt", "image=1"), ("enable-chunked-prefill", None))
    assert engine.env == (("HUGGING_FACE_HUB_TOKEN", "${HUGGING_FACE_HUB_TOKEN}"), ("VLLM_LOGGING_LEVEL", "WARNING"))
    assert [(one.source, one.target, one.mode) for one in engine.container.volumes] == [
        ("/srv/models", "/models", "ro"),
        ("~/cache", "/cache", "rw"),
    ]
    assert engine.container.shm_size_bytes == 8 << 30
    assert engine.container.ulimits == (("nofile", 65535, 65535),)


def test_options_of_genai_bench_are_the_load() -> None:
    case = cases()[0]
    assert (case.load.requests, case.load.duration_s, case.load.concurrency) == (200, 600.0, 1)
    assert (case.hardware, case.api, case.extra_body) == ("h100", "chat", '{"temperature": 0.5}')


def test_a_whole_command_is_taken_apart_and_absent_options_have_the_tools_own_defaults() -> None:
    found = [case for case in cases() if case.id.startswith("gpt-oss-20b-")]
    assert {case.load.concurrency for case in found} == {1, 2, 4, 8, 16, 32, 64, 128, 256}
    assert len({case.traffic.text for case in found}) == 5
    case = found[0]
    assert (case.engine.name, case.engine.container.start_mode, case.hardware) == ("sglang", "command", "gpu")
    assert case.engine.args == (("mem-fraction-static", "0.9"),)


def test_what_is_not_carried_over_is_said() -> None:
    notes = read_foreign(EXAMPLE)[0].notes
    assert "execution_mode parallel: for 2 servers at once, where there are GPUs for them, run pytest with -n 2" in notes
    assert "service.port is not carried over: the launcher chooses it" in notes
    assert "--api-key is not carried over: the server here asks for no key but its own" in notes


def test_the_tool_runs_in_its_container_where_that_is_asked_for() -> None:
    found = cases(overrides={"tool": "container"})
    tool = found[0].tool
    assert tool is not None
    assert (tool.name, tool.image, tool.results) == (
        "genai-bench",
        "registry.example/genai-bench:0.2",
        "/genai-bench/benchmark_results",
    )
    assert tool.args[:7] == (
        *("benchmark", "--api-backend", "openai", "--api-base", "{url}"),
        *("--experiment-base-dir", "/genai-bench/benchmark_results"),
    )
    assert tool.args[-4:] == ("--traffic-scenario", "D(100,100)", "--num-concurrency", "1")
    assert tool.args.count("--traffic-scenario") == tool.args.count("--num-concurrency") == 1
    assert tool.args[tool.args.index("--api-model-name") + 1] == "{model}"
    assert dict(tool.env)["HUGGINGFACE_API_KEY"] == "${HUGGINGFACE_API_KEY}"
    assert [case.id for case in found] == [case.id for case in cases()]


def test_a_secret_is_in_nothing_that_is_read(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        first = data["workflows"][0]
        first["service"]["env_vars"]["HF_TOKEN"] = first["bench"]["env_vars"]["HF_TOKEN"] = SECRET
        first["service"]["extra_args"].append(f"--api-key={SECRET}")
        first["bench"]["extra_args"][1] = SECRET

    found = read_foreign(written(tmp_path, change))
    assert SECRET not in repr(found)
    engine = suite_of(found[0]).cases()[0].engine
    assert dict(engine.env)["VLLM_API_KEY"] == "${VLLM_API_KEY}"
    assert (
        "the server's --api-key is a secret and is not taken over: it is read from the environment variable VLLM_API_KEY"
        in found[0].notes
    )


def test_documents_are_sent_in_batches_by_one_user(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["workflows"].pop()
        data["workflows"][0]["bench"]["extra_args"] = [
            *(
                "--task=text-to-embeddings",
                "--max-time-per-run=1",
                "--max-requests-per-run=9",
                "--batch-size=4",
                "--batch-size=8",
            ),
            *("--api-model-name=qwen", "--model-tokenizer=/models/Qwen3-8B", "--traffic-scenario=E(64)"),
        ]

    found = cases(written(tmp_path, change))
    assert [(case.id, case.traffic.documents) for case in found] == [
        ("qwen-3-8b-batch4-gpu-vllm-qwen3-8b-tp2-e64-c1", 4),
        ("qwen-3-8b-batch8-gpu-vllm-qwen3-8b-tp2-e64-c1", 8),
    ]


def test_a_data_set_of_the_container_is_found_on_this_machine(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["workflows"].pop()
        data["workflows"][0]["bench"]["extra_args"] = [
            *("--task=text-to-text", "--max-time-per-run=1", "--max-requests-per-run=9", "--dataset-path=./questions/all.jsonl"),
            *("--api-model-name=qwen", "--model-tokenizer=/models/Qwen3-8B", "--dataset-prompt-column=q", "--num-concurrency=1"),
        ]

    data = cases(written(tmp_path, change))[0].traffic.dataset
    assert data is not None
    assert (data.path, data.prompt) == (str(tmp_path / "questions" / "all.jsonl"), "{q}")


def test_another_tool_runs_as_it_is(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["workflows"].pop()
        data["workflows"][0]["bench"] |= {"image": "mine/load", "extra_args": ["--isl=64", "--concurrency", "4", "--model=a"]}

    path = written(tmp_path, change)
    case = cases(path)[0]
    assert case.tool is not None
    assert (case.tool.name, case.tool.image, case.tool.args[-1]) == ("load", "mine/load:0.2", "--model=a")
    assert case.id.endswith("-d64x1-c4")
    expected = "its options do not say output, requests in a way that is known here, so the case's id says nothing about that"
    assert expected in read_foreign(path)[0].notes


def _service(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["workflows"][0]["service"]
    return found


def _bench_args(data: dict[str, Any]) -> list[str]:
    found: list[str] = data["workflows"][0]["bench"]["extra_args"]
    return found


# What BenchFlow swallows: strict says what it would have done, lenient does that.
SWALLOWED: tuple[tuple[Callable[[dict[str, Any]], object], str], ...] = (
    (
        lambda data: data.update(max_paralel=2),
        "max_paralel: unknown field (did you mean 'max_parallel'?); BenchFlow would ignore it",
    ),
    (
        lambda data: _service(data).update(gpus=2),
        (
            f"{SERVICE}.gpus: unknown field; known: container_name, image, version, start_mode, shm_size, num_gpu_devices, "
            "port, env_vars, volumes, extra_args; BenchFlow would ignore it"
        ),
    ),
    (
        lambda data: _service(data).update(num_gpu_devices=4),
        f"{SERVICE}.num_gpu_devices: is 4 and --tensor-parallel-size is 2: the server leaves 2 of them idle; make them equal",
    ),
    (
        lambda data: _service(data).update(num_gpu_devices=1),
        f"{SERVICE}.num_gpu_devices: is 1 and --tensor-parallel-size is 2: the server cannot start; make them equal",
    ),
    (
        lambda data: _service(data)["extra_args"].append("--model=/b"),
        f"{SERVICE}.extra_args[8]: --model is given twice; the server would take the last one",
    ),
    (
        lambda data: _service(data)["extra_args"].append("--port=1"),
        (f"{SERVICE}.extra_args[8]: is given here and as service.port; the server would take this one, and the client the other"),
    ),
    (
        lambda data: _service(data)["env_vars"].update(DEBUG=True),
        f"{SERVICE}.env_vars.DEBUG: an environment variable is text; BenchFlow would hand on what Python prints",
    ),
    (
        lambda data: data["workflows"][1]["service"].update(start_mode="shell"),
        "workflows[1].service.start_mode: must be flags or command, not 'shell'; BenchFlow would take it for command",
    ),
    (
        lambda data: _bench_args(data).__setitem__(3, "other"),
        (f"{BENCH}.extra_args[2]: --api-model-name is 'other' and the server calls its model 'qwen': every request would fail"),
    ),
    (
        lambda data: _bench_args(data).__setitem__(4, "--model-tokenizer=/models/x"),
        (
            f"{BENCH}.extra_args[4]: --model-tokenizer is '/models/x', another model than the server's '/models/Qwen3-8B'; "
            "here lengths are counted with the server's own"
        ),
    ),
    (
        lambda data: _bench_args(data).append("--batch-size=4"),
        (f"{BENCH}.extra_args[19]: --batch-size is read by nobody: genai-bench goes through num_concurrency for text-to-text"),
    ),
    (
        lambda data: _bench_args(data).append("--iteration-type=batch_size"),
        (f"{BENCH}.extra_args[19]: --iteration-type batch_size: genai-bench takes num_concurrency for text-to-text all the same"),
    ),
    (
        lambda data: _bench_args(data).append("--upload-results"),
        f"{BENCH}.extra_args[19]: --upload-results has no meaning here: results are not uploaded",
    ),
    (
        lambda data: _bench_args(data).append("--storage-bucket=b"),
        f"{BENCH}.extra_args[19]: --storage-bucket is of clouds and uploads, which are not of a benchmark here",
    ),
    (
        lambda data: _bench_args(data).append("--traffic-scenario=D(8, 8)"),
        f"{BENCH}.extra_args[19]: --traffic-scenario 'D(8, 8)' has a blank, for which genai-bench refuses it",
    ),
    (
        lambda data: _bench_args(data).append("--api-base=http://elsewhere:1"),
        (f"{BENCH}.extra_args[19]: --api-base http://elsewhere:1 is not this workflow's service, which is what is measured here"),
    ),
)
# What BenchFlow or its tools refuse too.
WRONG: tuple[tuple[Callable[[dict[str, Any]], object], str], ...] = (
    (lambda data: data.update(workflows=[]), "workflows: holds no workflow"),
    (lambda data: data.update(execution_mode="serial"), "execution_mode: must be sequential or parallel, not 'serial'"),
    (lambda data: data.update(max_parallel=0), "max_parallel: must be a whole number from 1, not 0"),
    (lambda data: data["workflows"][0].pop("name"), "workflows[0].name: is missing"),
    (
        lambda data: data["workflows"][1].update(name="qwen-3-8b"),
        "workflows[1].name: 'qwen-3-8b' is the name of two workflows; names tell them apart",
    ),
    (lambda data: _service(data).pop("version"), f"{SERVICE}.version: is missing"),
    (
        lambda data: _service(data).update(shm_size="lots"),
        f"{SERVICE}.shm_size: 'lots' is not an amount of memory; write a number and a unit, such as 10g or 512m",
    ),
    (lambda data: _service(data).update(extra_args="--model=a"), f"{SERVICE}.extra_args: must be a list, not text"),
    (
        lambda data: _service(data)["extra_args"].__setitem__(3, 2),
        f"{SERVICE}.extra_args[3]: must be text, not 2; put quotes round it",
    ),
    (lambda data: _service(data)["extra_args"].pop(0), f"{SERVICE}.extra_args: names no model; give --model"),
    (
        lambda data: _service(data)["extra_args"].insert(1, "stray"),
        f"{SERVICE}.extra_args[1]: belongs to no option; the server would refuse it, or take it for something else",
    ),
    (
        lambda data: _service(data)["extra_args"].insert(0, "serve"),
        f"{SERVICE}.extra_args[0]: is no option; with start_mode flags the image's entrypoint gets options only",
    ),
    (
        lambda data: _service(data)["volumes"].append("/models"),
        (
            f'{SERVICE}.volumes[2]: must be a folder and where it is in the container: "~/models:/models:ro" or '
            "{source: ~/models, target: /models, mode: ro}"
        ),
    ),
    (
        lambda data: _service(data)["extra_args"].append("--pipeline-parallel-size=2"),
        (
            f"{SERVICE}.extra_args[8]: --pipeline-parallel-size spreads the server over more GPUs than tensor_parallel "
            "says, which no case here can"
        ),
    ),
    (
        lambda data: _service(data)["extra_args"].append("--hf-token=abc1"),
        f"{SERVICE}.extra_args[8]: --hf-token: a command line is readable by everybody",
    ),
    (
        lambda data: _bench_args(data).append("--num-concurency=4"),
        f"{BENCH}.extra_args[19]: genai-bench has no option --num-concurency (did you mean 'num-concurrency'?)",
    ),
    (
        lambda data: _bench_args(data).append("--num-concurrency=many"),
        f"{BENCH}.extra_args[19]: --num-concurrency must be a whole number from 1, not 'many'",
    ),
    (
        lambda data: _bench_args(data).append("--server-gpu-type=H900"),
        (
            f"{BENCH}.extra_args[19]: --server-gpu-type H900 is unknown; known: H100, H200, B200, A100-80G, A100-40G, A10, "
            "MI300, RTX-PRO-6000"
        ),
    ),
    (
        lambda data: _bench_args(data).append("--task=text-to-image"),
        (
            f"{BENCH}.extra_args[19]: --task 'text-to-image' cannot be benchmarked here (did you mean 'text-to-text'?); "
            "known: text-to-text, image-text-to-text, image-to-text, text-to-embeddings, text-to-rerank, text-to-speech"
        ),
    ),
    (
        lambda data: _bench_args(data).append("--api-backend=gcp-vertex"),
        f"{BENCH}.extra_args[19]: --api-backend gcp-vertex is no server of this benchmark; it takes openai, vllm, sglang",
    ),
    (
        lambda data: _bench_args(data).append("--additional-request-params=[1]"),
        f"{BENCH}.extra_args[19]: --additional-request-params must be a JSON object",
    ),
    (
        lambda data: _bench_args(data).append("--traffic-scenario=dataset"),
        f"{BENCH}.extra_args: --traffic-scenario dataset needs --dataset-path",
    ),
    (
        lambda data: _bench_args(data).remove("--max-requests-per-run=200"),
        f"{BENCH}.extra_args: --max-requests-per-run is missing; genai-bench would ask for it and wait",
    ),
)


@pytest.mark.parametrize(("change", "expected"), SWALLOWED)
def test_what_benchflow_swallows_is_refused_and_lenient_does_as_it_does(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    path = written(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    assert f"{caught.value.field}: {caught.value.problem}" == expected
    assert caught.value.file == str(path)
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


def test_an_error_names_the_line_of_the_word(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: _bench_args(data).append("--zzz"))
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    line = path.read_text("utf-8").splitlines().index('     "--zzz"') + 1
    assert str(caught.value) == f"{path}:{line}: workflows[0].bench.extra_args[19]: genai-bench has no option --zzz"
