from pathlib import Path

import pytest

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.inference_perf import FORMAT
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "inference-perf" / "config.yml").read_text()
STAGES = EXAMPLE[EXAMPLE.index("load:") : EXAMPLE.index("api:")]
DATA = EXAMPLE[EXAMPLE.index("data:") : EXAMPLE.index("metrics:")]


def read(text: str, *, lenient: bool = False) -> Imported:
    (imported,) = FORMAT.read(Source(path="config.yml", text=text), lenient=lenient)
    return imported


def changed(old: str, new: str) -> str:
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new, 1)


def test_each_stage_is_a_level_with_its_own_length() -> None:
    cases = suite_of(read(EXAMPLE)).cases()
    assert [(case.load.rate_per_s, case.load.duration_s, case.load.arrival) for case in cases] == [
        (1, 30, "poisson"),
        (2.5, 60, "poisson"),
    ]
    assert {(case.traffic.text, case.api, case.extra_body) for case in cases} == {
        ("N(50,10)/(20,0)", "completions", '{"ignore_eos": true}')
    }


def test_users_go_through_so_many_requests() -> None:
    stages = "load:\n  type: concurrent\n  stages:\n  - {concurrency_level: 3, num_requests: 40}\n"
    (case,) = suite_of(read(changed(STAGES, stages))).cases()
    assert (case.load.concurrency, case.load.requests) == (3, 40)


def test_answers_are_whole_unless_streaming_is_said() -> None:
    assert "stream" not in read(EXAMPLE).suite
    assert read(changed("  streaming: true\n", "")).suite["stream"] is False
    assert read(changed("api:\n  type: completion\n  streaming: true\n", "api: chat\n")).suite["api"] == "chat"


def test_answers_may_end_where_the_model_ends_them() -> None:
    assert "extra_body" not in read(changed("ignore_eos: true", "ignore_eos: false")).suite


def test_conversations_and_shared_prefixes_are_data() -> None:
    assert read(changed(DATA, "data: {type: shareGPT}\n")).suite["dataset"]["format"] == "sharegpt"
    prefix = "data:\n  type: shared_prefix\n  shared_prefix: {num_groups: 10, num_prompts_per_group: 5, system_prompt_len: 100, "
    found = read(changed(DATA, prefix + "question_len: 50, output_len: 20}\n")).suite
    assert (found["matrix"]["traffic"], found["prefix"]) == ("D(150,20)", {"tokens": 100, "count": 10})


def test_the_tokenizers_name_is_the_models_where_that_is_not_said() -> None:
    found = read(changed("  model_name: HuggingFaceTB/SmolLM2-135M-Instruct\n", "")).suite
    assert found["matrix"]["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_a_key_goes_no_further() -> None:
    imported = read(changed("ignore_eos: true", "api_key: sk-abcdefghijklmnopqrst"))
    assert "sk-abc" not in repr(imported)
    assert any(note.startswith("server.api_key: a key is not taken over") for note in imported.notes)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "load:",
            "lod:\n  a: 1\nload:",
            "config.yml:1: lod: unknown field (did you mean 'load'?); inference-perf has no such field",
        ),
        ("  - rate: 2.5\n", "  - rate: 1\n", "load.stages[1].rate: is the rate of an earlier stage"),
        ("  - rate: 2.5\n", "  - rate: x\n", "load.stages[1].rate: must be a number above 0"),
        ("  - rate: 2.5\n", "  - num_requests: 4\n", "load.stages[1].num_requests: unknown field"),
        ("    duration: 60\n", "", "load.stages[1].duration: is missing"),
        ("type: poisson", "type: trace_session_replay", "load.type: 'trace_session_replay' cannot be sent here"),
        ("  type: poisson", "  type: poisson\n  request_retries: 2", "load.request_retries: is not done here"),
        ("  stages:", "  sweep: {type: linear}\n  stages:", "load.sweep: ends by time alone, and one end of a sweep here sends"),
        ("type: completion", "type: speech", "api: 'speech' cannot be sent here; completion, chat, anthropic_messages can"),
        ("streaming: true", 'streaming: "true"', "api.streaming: must be true or false"),
        ("streaming: true", "streaming: true\n  headers: {x: y}", "api.headers: may hold secrets"),
        ("type: random", "type: billsum_conversations", "data.type: 'billsum_conversations' cannot be read here"),
        ("mean: 50", "maen: 50", "data.input_distribution.maen: unknown field (did you mean 'mean'?)"),
        ("mean: 50, ", "", "data.input_distribution.mean: is missing"),
        ("type: vllm", "type: vllm\n  cert_path: a.pem", "server.cert_path: a client has no certificate of its own here"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(changed(old, new))
    assert problem in str(error.value)


def test_lengths_are_not_cut_and_that_is_told() -> None:
    assert "lengths are not cut at min and max here, but at 1 token in and 2 out" in read(EXAMPLE).notes


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.yml", EXAMPLE, True),
        ("a.yaml", "load:\n  stages:\nserver:\n  broken: [", True),
        ("a.yaml", "load: {requests: 3}\nserver: x\n", False),
        ("a.json", EXAMPLE, False),
    ],
)
def test_it_is_known_by_its_content(name: str, text: str, known: bool) -> None:
    assert FORMAT.recognises(Path(name), text) is known
