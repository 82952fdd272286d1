from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.gie import FORMAT
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.cases.suite import read_suite
from pytest_inferbench.errors import ConfigError

FAMILY = (Path(__file__).parent / "examples" / "gie" / "family.pbtxt").read_text()
TAKES_BACK = """
benchmarks {
  name: "no-streaming"
  base_benchmark_name: "envoy"
  config { load_balancer { gateway {
    full_duplex_streaming_enabled: false
  } } }
}
"""


def read(text: str, *, lenient: bool = False) -> Mapping[str, Imported]:
    return {one.name: one for one in FORMAT.read(Source(path="family.pbtxt", text=text), lenient=lenient)}


def changed(old: str, new: str) -> str:
    """The first benchmark of the family, with some of its text replaced."""
    text = FAMILY.partition('\nbenchmarks {\n  name: "four-h100"')[0]
    assert old in text
    return text.replace(old, new)


def test_one_replica_behind_a_service_is_an_ordinary_suite() -> None:
    suite = read(FAMILY)["one-l4"].suite
    assert suite == {
        "suite": "one-l4",
        "label": "one-l4",
        "hardware": "l4",
        "engine": {
            "name": "vllm",
            "image": "vllm/vllm-openai:v0.10.0",
            "args": {"max_num_seqs": 2048, "max_model_len": 4096, "compilation_config": 3},
            "env": {"VLLM_USE_V1": "0", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"},
        },
        "api": "completions",
        "matrix": {"model": "meta-llama/Llama-3.1-8B-Instruct", "tensor_parallel": 1, "rate": [1, 2.5]},
        "load": {"duration": 30, "arrival": "poisson"},
        "dataset": {"path": "ShareGPT_V3_unfiltered_cleaned_split.json", "format": "sharegpt"},
        "include": [{"rate": 1, "warmup": 10}, {"rate": 2.5, "warmup": 25}],
    }


def test_its_cases_have_the_rates_in_their_ids_and_a_warm_up_of_so_many_seconds() -> None:
    cases = suite_of(read(FAMILY)["one-l4"]).cases()
    assert [case.id.rpartition("-")[2] for case in cases] == ["r1", "r2.5"]
    assert all(case.id.startswith("one-l4-l4-vllm-") for case in cases)
    assert [case.load.warmup for case in cases] == [10, 25]
    assert all(case.load.arrival == "poisson" and case.load.duration_s == 30 and case.cluster is None for case in cases)


def test_the_file_and_what_it_converts_to_make_the_same_cases(tmp_path: Path) -> None:
    for name, imported in read(FAMILY).items():
        converted = tmp_path / f"{name}.bench.yaml"
        converted.write_text(yaml.safe_dump(dict(imported.suite), sort_keys=False))
        cases, again = suite_of(imported).cases(), read_suite(converted).cases()
        assert [(case.id, case.load, case.engine, case.cluster) for case in cases] == [
            (case.id, case.load, case.engine, case.cluster) for case in again
        ]


def test_replicas_need_a_cluster_and_get_the_rates_of_all_accelerators() -> None:
    suite = read(FAMILY)["four-h100"].suite
    assert suite["cluster"]["kind"] == "gateway-api"
    assert suite["cluster"]["model_server"]["replicas"] == 2
    assert suite["matrix"]["tensor_parallel"] == 2
    # Request rates are not inherited: 10 to 180 for one H100, four of them.
    assert suite["matrix"]["rate"][:2] == [40, 80]
    assert suite["cluster"]["benchmark_tool"]["lpg"]["request_rates"].startswith("40.0,80.0,")


def test_another_choice_of_a_oneof_takes_the_place_of_the_bases() -> None:
    found = read(FAMILY)
    assert "k8s_service" not in found["envoy"].suite["cluster"]["load_balancer"]
    gateway = found["gke"].suite["cluster"]["load_balancer"]["gateway"]
    assert "envoy" not in gateway
    assert gateway["gke_gateway"]["epp"] == {"image": "registry.example/epp:2", "refresh_metrics_interval": "50ms"}


def test_bases_may_stand_after_their_heirs_and_the_order_is_that_of_the_file() -> None:
    found = read(FAMILY)
    assert list(found) == ["one-l4", "four-h100", "gke", "envoy", "least-request"]
    assert found["gke"].suite["cluster"]["load_balancer"]["gateway"]["full_duplex_streaming_enabled"] is True


def test_each_suite_points_to_the_line_of_its_name() -> None:
    assert {name: one.origin.line for name, one in read(FAMILY).items()} == {
        name: FAMILY[: FAMILY.index(f'  name: "{name}"')].count("\n") + 1 for name in read(FAMILY)
    }


def test_a_false_that_a_merge_loses_is_an_error_that_says_what_the_original_runs() -> None:
    with pytest.raises(ConfigError) as error:
        read(FAMILY + TAKES_BACK)
    line = (FAMILY + TAKES_BACK).splitlines().index("    full_duplex_streaming_enabled: false") + 1
    assert str(error.value) == (
        f"family.pbtxt:{line}: no-streaming: config.load_balancer.gateway.full_duplex_streaming_enabled: false does not "
        "take back the base's true: to proto3 it is not there, so the original tool runs 'no-streaming' with true; "
        "give it a base without this field, or read it as the original does (--inferbench-lenient)"
    )


def test_lenient_reading_loses_it_too_and_says_so() -> None:
    found = read(FAMILY + TAKES_BACK, lenient=True)["no-streaming"]
    assert found.suite["cluster"]["load_balancer"]["gateway"]["full_duplex_streaming_enabled"] is True
    assert "false does not take back the base's true" in found.notes[0]


@pytest.mark.parametrize("nothing", ['image: ""', "replicas: 0"])
def test_an_empty_text_and_a_zero_are_lost_alike(nothing: str) -> None:
    heir = f'\nbenchmarks {{ name: "x" base_benchmark_name: "one-l4" config {{ model_server {{ {nothing} }} }} }}\n'
    with pytest.raises(ConfigError, match="does not take back the base's"):
        read(FAMILY + heir)
    assert "does not take back" in read(FAMILY + heir, lenient=True)["x"].notes[0]


def test_lenient_reading_keeps_the_benchmarks_before_a_mistake_as_the_original_does() -> None:
    broken = FAMILY.replace('name: "gke"', 'nmae: "gke"')
    with pytest.raises(ConfigError) as error:
        read(broken)
    line = broken.splitlines().index('  nmae: "gke"') + 1
    assert str(error.value) == (
        f"family.pbtxt:{line}: not a textproto of Benchmarks: Benchmark has no field 'nmae' (did you mean 'name'?) "
        "(the original tool drops the error, and everything from there on)"
    )
    assert list(read(broken, lenient=True)) == ["one-l4", "four-h100"]


BROKEN = {
    "two of one name": (FAMILY.replace('name: "gke"', 'name: "envoy"', 1), "two benchmarks are called 'envoy', first on line"),
    "no base of that name": (
        FAMILY.replace('base_benchmark_name: "envoy"', 'base_benchmark_name: "envoi"'),
        "gke: base_benchmark_name: 'envoi' is no benchmark of this file (did you mean 'envoy'?)",
    ),
    "a circle": (
        FAMILY.replace('base_benchmark_name: "one-l4"', 'base_benchmark_name: "envoy"'),
        "base_benchmark_name: goes round in a circle: four-h100 -> envoy -> four-h100",
    ),
    "no name": (changed('name: "one-l4"', ""), "a benchmark has no name"),
    "no benchmarks": ("# proto message: Benchmarks\n", "holds no benchmarks { ... }"),
    "unknown accelerator": (changed('"nvidia-l4"', '"nvidia-t4"'), "'nvidia-t4' is not known here; known: nvidia-l4, "),
    "no model": (changed("vllm { model", "# "), "config.model_server.vllm: is missing"),
    "no load": (changed("lpg {", "lpg_ {"), "BenchmarkTool has no field 'lpg_' (did you mean 'lpg'?)"),
    "no load balancer": (changed("k8s_service {}", ""), "is missing; write k8s_service {} or gateway { ... }"),
    "a gateway of no kind": (changed("k8s_service {}", "gateway {}"), "is neither envoy { ... } nor gke_gateway { ... }"),
    "an envoy that balances nothing": (
        changed("k8s_service {}", "gateway { envoy {} }"),
        "has neither epp { ... } nor an lb_policy",
    ),
    "a picker without an image": (changed("k8s_service {}", "gateway { gke_gateway {} }"), "the endpoint picker has no image"),
    "a tensor parallelism in words": (
        changed("vllm { ", 'vllm { tensor_parallelism: "two" '),
        "config.model_server.vllm.tensor_parallelism: must be a whole number as text, not 'two'",
    ),
    "a negative number of replicas": (changed("replicas: 1", "replicas: -1"), "must be 1 or more, not -1"),
    "LoRA adapters that nothing reads": (
        changed("vllm { ", 'vllm { max_loras: "3" '),
        "config.model_server.vllm.max_loras: the original's manifests have no LoRA adapters, so nothing reads it",
    ),
    "another model asked for": (
        changed('models: "meta-llama/Llama-3.1-8B-Instruct"', 'models: "a,b"'),
        "one server here answers for one model, 'meta-llama/Llama-3.1-8B-Instruct', not 'a,b'",
    ),
    "another tokenizer": (
        changed('tokenizer: "meta-llama/Llama-3.1-8B-Instruct"', 'tokenizer: "gpt2"'),
        "tokens are counted with the model's own tokenizer",
    ),
    "a data set that is no file": (changed("lpg {", 'lpg { dataset: "billsum"'), "'billsum' is no file that can be read"),
    "rates that are no numbers": (changed('"1,2.5"', '"1;2.5"'), "'1;2.5' is not a rate; write numbers with commas between"),
    "a rate of 0": (changed('"1,2.5"', '"0"'), "0 is all at once to the original"),
    "a time that is none": (changed('"30"', '"30s"'), "benchmark_time_seconds: must be a number above 0 as text, not '30s'"),
    "a model without automatic rates": (
        changed('request_rates: "1,2.5"', "").replace("meta-llama/Llama-3.1-8B-Instruct", "my/model"),
        "config.benchmark_tool.lpg.request_rates: are not given, and there are no automatic ones for 'my/model'",
    ),
    "a cluster without a load generator": (
        changed("replicas: 1", "replicas: 2").replace('image: "registry.example/load:1"', ""),
        "config.benchmark_tool.image: is missing",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_told_with_file_and_field(name: str) -> None:
    text, problem = BROKEN[name]
    with pytest.raises(ConfigError) as error:
        read(text)
    assert str(error.value).startswith("family.pbtxt")
    assert problem in str(error.value)


@pytest.mark.parametrize("name", ["LoRA adapters that nothing reads", "another model asked for", "another tokenizer"])
def test_what_nothing_reads_is_a_note_in_lenient_reading(name: str) -> None:
    text, problem = BROKEN[name]
    (found,) = read(text, lenient=True).values()
    assert any(problem.rpartition(": ")[2] in note for note in found.notes)


def test_fields_that_are_left_out_have_the_defaults_of_the_proto() -> None:
    text = 'benchmarks { name: "m" config { model_server { accelerator: "nvidia-l4" vllm {} } load_balancer { k8s_service {} } '
    suite = read(text + "benchmark_tool { lpg {} } } }")["m"].suite
    assert suite["engine"]["image"] == "vllm/vllm-openai:latest"
    assert suite["matrix"] == {"model": "meta-llama/Llama-2-7b-hf", "tensor_parallel": 1, "rate": list(range(1, 11))}
    assert suite["load"]["duration"] == 60


def test_an_earlier_result_and_a_namespace_are_told_of() -> None:
    text = changed("load_balancer {", 'namespace: "mine" load_balancer {').replace("name:", "result {} name:", 1)
    notes = read(text)["one-l4"].notes
    assert "the result of an earlier run in it is not read" in notes
    assert any(note.startswith("the namespace in it is not used") for note in notes)


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.pbtxt", FAMILY, True),
        ("a.txt", FAMILY, True),
        ("a.pbtxt", "# proto message: Benchmarks\nbroken", True),
        ("a.pbtxt", 'model { name: "x" }', False),
        ("a.yaml", "benchmarks: {a: 1}", False),
    ],
)
def test_it_is_known_by_its_content(name: str, text: str, known: Any) -> None:
    assert FORMAT.recognises(Path(name), text) is known
