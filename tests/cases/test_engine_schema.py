"""An engine as a suite spells it, and the exact words about what it cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, Container, EngineSpec, HostShare, Origin, Volume
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping
from pytest_inferbench.errors import ConfigError

MATRIX = "matrix: {model: m, traffic: 'D(8,8)', concurrency: 1}\n"


def cases(folder: Path, engine: str, *, more: str = "") -> tuple[Case, ...]:
    path = folder / "x.bench.yaml"
    path.write_text(f"hardware: cpu\n{MATRIX}{more}engine:\n{engine}")
    return read_suite(path).cases()


def problem(folder: Path, engine: str) -> str:
    with pytest.raises(ConfigError) as caught:
        cases(folder, engine)
    return str(caught.value).replace(f"{folder}/", "")


def test_everything_about_a_container_can_be_said(tmp_path: Path) -> None:
    (case,) = cases(
        tmp_path,
        """\
  name: vllm
  image: vllm/vllm-openai:v0.10.0
  args: {max_model_len: 4096}
  extra_args: [--seed, 7]
  env: {HF_TOKEN: "${HF_TOKEN}"}
  launcher: docker
  volumes: ["~/models:/models:ro", {source: ./data, target: /data, mode: rw}]
  shm_size: 10g
  ulimits: {memlock: -1, nofile: [1024, 65536]}
  ports: network
  start_mode: command
  container_options: {User: "1000", HostConfig: {IpcMode: host}}
  cpus: "0-7"
  numa: 0
  memory: 64g
  revision: abc123
  offline: true
""",
    )
    assert case.engine == EngineSpec(
        name="vllm",
        image="vllm/vllm-openai:v0.10.0",
        args=(("max_model_len", 4096),),
        extra_args=("--seed", "7"),
        env=(("HF_TOKEN", "${HF_TOKEN}"),),
        launcher="docker",
        container=Container(
            volumes=(
                Volume(source="~/models", target="/models", mode="ro"),
                Volume(source=str(tmp_path / "data"), target="/data", mode="rw"),
            ),
            shm_size_bytes=10 << 30,
            ulimits=(("memlock", -1, -1), ("nofile", 1024, 65536)),
            ports="network",
            start_mode="command",
            options='{"HostConfig": {"IpcMode": "host"}, "User": "1000"}',
        ),
        share=HostShare(cpus="0-7", numa=0, memory_bytes=64 << 30),
        revision="abc123",
        offline=True,
    )


def test_an_engine_of_which_only_the_name_is_said_has_nothing_else(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, "  name: vllm\n")
    assert case.engine == EngineSpec(name="vllm")
    assert case.id == "cpu-vllm-m-tp1-d8x8-c1"


def test_arguments_may_be_a_list_of_words(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, "  name: vllm\n  args: [--max-model-len, 4096, --enforce-eager]\n")
    assert (case.engine.args, case.engine.extra_args) == ((), ("--max-model-len", "4096", "--enforce-eager"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("imagee: x", "imagee: unknown field (did you mean 'image'?)"),
        (
            "shm: 1g",
            (
                "shm: unknown field; known: name, label, image, args, extra_args, env, launcher, volumes, shm_size, ulimits, "
                "ports, start_mode, container_options, cpus, numa, memory, revision, offline"
            ),
        ),
        ("launcher: podman", "launcher: must be 'process' or 'docker', not 'podman'"),
        ("shm_size: 10x", "shm_size: '10x' is not an amount of memory; write a number and a unit, such as 10g or 512m"),
        ("memory: 5ms", "memory: '5ms' is not an amount of memory; write a number and a unit, such as 10g or 512m"),
        ("cpus: 4", 'cpus: must name cores as text, such as "0-7" or "0,2"'),
        ("numa: one", "numa: must be a whole number, not the text 'one'"),
        ("numa: -1", "numa: must be at least 0, not -1"),
        ("ports: open", "ports: must be 'published' or 'network', not 'open'"),
        ("start_mode: shell", "start_mode: must be 'flags' or 'command', not 'shell'"),
        ("container_options: {Image: x}", "container_options: Image is not for here: say it as the engine's image"),
        ("offline: sometimes", "offline: must be true or false, not the text 'sometimes'"),
        ("revision: 5", "revision: must be text, not 5; put quotes round it if it is text"),
        ("args: [--a, true]", "args: item 2 must be one word of the command line; put quotes round it"),
        ("args: 5", "args: must hold fields, not 5"),
        ("args: {a: [1]}", "args.a: must be text, a number, true, false, or nothing for a flag without a value"),
        ("extra_args: [[1]]", "extra_args[0]: must be one word of the command line; put quotes round it"),
        ("extra_args: --seed", "extra_args: must be a list, not the text '--seed'"),
        ("volumes: [models:/models]", "volumes[0]: 'models' is not a folder of this machine; begin it with /, ./, ../ or ~"),
        ("ulimits: {nofile: many}", "ulimits: nofile must be a whole number, -1 for no limit, or [soft, hard]"),
        ("volumes:", "volumes: is blank; give it a value, or leave it out"),
    ],
)
def test_a_wrong_field_is_named_with_file_line_and_what_would_be_right(tmp_path: Path, line: str, expected: str) -> None:
    text = problem(tmp_path, f"  name: vllm\n  image: i\n  {line}\n")
    assert text == f"x.bench.yaml:6: engine.{expected}"


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (
            "  name: vllm\n  shm_size: 1g\n",
            "x.bench.yaml:3: engine: has 'shm_size', which is for containers; name an image, or write launcher: docker",
        ),
        (
            "  name: vllm\n  image: i\n  launcher: process\n",
            "x.bench.yaml:3: engine: has 'image', which is for containers, and launcher 'process'; keep one",
        ),
        (
            "  name: vllm\n  args: [a]\n  extra_args: [b]\n",
            "x.bench.yaml:3: engine: has 'extra_args' beside 'args' that are a list of words already; keep one",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_named(tmp_path: Path, engine: str, expected: str) -> None:
    assert problem(tmp_path, engine) == expected


def test_the_engines_own_image_needs_no_name(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, "  {name: vllm, launcher: docker, shm_size: 1g}\n")
    assert case.engine.in_container
    assert case.engine.image is None


@pytest.mark.parametrize(
    ("other", "described"),
    [
        ("launcher: docker", "launcher docker"),
        ("image: i, shm_size: 1g", "i container"),
        ("extra_args: [x]", "extra_args"),
        ("cpus: '0-3'", "cpus 0-3"),
        ("numa: 0", "numa 0"),
        ("memory: 1k", "memory 1024"),
        ("revision: main", "revision main"),
        ("offline: true", "offline"),
    ],
)
def test_engines_that_differ_in_one_field_are_told_apart_by_labels(tmp_path: Path, other: str, described: str) -> None:
    text = problem(tmp_path, f"  - vllm\n  - {{name: vllm, {other}}}\n")
    case = "(cpu, vllm{0}, m, tp 1, chat, D(8,8), concurrency 1)"
    assert text == (
        f"x.bench.yaml:2: two cases have the id 'cpu-vllm-m-tp1-d8x8-c1': "
        f"{case.format('')} and {case.format(f' {described}')}; give each engine a label"
    )
    first, second = cases(tmp_path, f"  - vllm\n  - {{name: vllm, label: other, {other}}}\n")
    assert (first.id, second.id) == ("cpu-vllm-m-tp1-d8x8-c1", "cpu-other-m-tp1-d8x8-c1")
    assert first.server_key != second.server_key


def test_a_fresh_server_is_asked_for_in_a_file_or_a_marker(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, "  name: vllm\n", more="fresh_server: true\n")
    assert case.fresh_server
    marker = {"hardware": "cpu", "engine": "vllm", "model": "m", "traffic": "D(8,8)", "concurrency": 1}
    here = Origin(file="tests/test_x.py", line=3)
    assert [one.fresh_server for one in suite_from_mapping({**marker, "fresh_server": True}, "x", here).cases()] == [True]
    assert [one.fresh_server for one in suite_from_mapping(marker, "x", here).cases()] == [False]
    with pytest.raises(ConfigError) as caught:
        suite_from_mapping({**marker, "fresh_server": "yes"}, "x", here)
    assert str(caught.value) == "tests/test_x.py:3: fresh_server: must be true or false, not the text 'yes'"


def test_what_the_base_says_of_a_fresh_server_can_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(f"hardware: cpu\nengine: vllm\n{MATRIX}fresh_server: true\n")
    (tmp_path / "a.bench.yaml").write_text("base: base.yaml\n")
    (tmp_path / "b.bench.yaml").write_text("base: base.yaml\nfresh_server: false\n")
    assert [read_suite(tmp_path / f"{name}.bench.yaml").cases()[0].fresh_server for name in "ab"] == [True, False]


def test_a_fresh_server_is_asked_for_by_single_combinations_and_presets() -> None:
    marker = {"hardware": "cpu", "engine": "vllm", "model": "m", "traffic": "D(8,8)", "concurrency": [1, 2]}
    here = Origin(file="tests/test_x.py", line=3)
    entries = [{"concurrency": 2, "fresh_server": True}, {"concurrency": 4, "fresh_server": True}, {"concurrency": 8}]
    mixed = suite_from_mapping({**marker, "include": entries}, "x", here)
    assert [one.fresh_server for one in mixed.cases()] == [False, True, True, False]
    taken_back = suite_from_mapping(
        {**marker, "fresh_server": True, "include": [{"concurrency": 1, "fresh_server": False}]}, "x", here
    )
    assert [one.fresh_server for one in taken_back.cases()] == [False, True]
    presets = {"first": {"traffic": "D(8,8)", "fresh_server": True}, "second": {"traffic": "D(16,8)"}}
    plain = {name: value for name, value in marker.items() if name != "traffic"} | {"concurrency": 1}
    preset = suite_from_mapping({**plain, "preset": ["first", "second"], "presets": presets}, "x", here)
    assert [one.fresh_server for one in preset.cases()] == [True, False]


def test_a_fresh_server_of_a_combination_is_true_or_false() -> None:
    marker = {"hardware": "cpu", "engine": "vllm", "model": "m", "traffic": "D(8,8)", "concurrency": 1}
    with pytest.raises(ConfigError, match=r"fresh_server: must be true or false, not the text 'yes'$"):
        suite_from_mapping({**marker, "include": [{"concurrency": 1, "fresh_server": "yes"}]}, "x", Origin(file="x.py", line=3))
