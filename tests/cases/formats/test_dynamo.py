from pathlib import Path

import pytest

from pytest_inferbench.cases.formats.dynamo import FORMAT
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples" / "dynamo"
HARNESS = (EXAMPLES / "harness.yaml").read_text()
OBJECT = (EXAMPLES / "object.yaml").read_text()


def read(text: str, *, lenient: bool = False) -> Imported:
    (imported,) = FORMAT.read(Source(path="harness.yaml", text=text), lenient=lenient)
    return imported


def test_every_concurrency_meets_every_pair_of_lengths() -> None:
    cases = suite_of(read(HARNESS)).cases()
    assert [case.id.removeprefix("blueprint-cpu-openai-llama-3.3-70b-instruct-tp1-") for case in cases] == [
        *("d8192x1024-c1", "d8192x1024-c2", "d8192x1024-c64", "d1024x256-c1", "d1024x256-c2", "d1024x256-c64"),
    ]
    assert {case.api for case in cases} == {"chat"}


def test_each_user_sends_three_requests_and_ten_are_the_least() -> None:
    cases = suite_of(read(HARNESS)).cases()
    assert {case.load.concurrency: case.load.requests for case in cases} == {1: 10, 2: 10, 64: 192}


def test_answers_go_on_to_the_length_that_was_asked_for() -> None:
    cases = suite_of(read(HARNESS)).cases()
    assert {case.extra_body for case in cases if case.traffic.text == "D(8192,1024)"} == {
        '{"min_tokens": 1024, "ignore_eos": true}'
    }
    assert {case.extra_body for case in cases if case.traffic.text == "D(1024,256)"} == {
        '{"min_tokens": 256, "ignore_eos": true}'
    }


def test_an_object_says_the_same_under_its_spec() -> None:
    imported = read(OBJECT)
    assert imported.name == "vllm-agg"
    assert imported.suite["api"] == "completions"
    assert [case.load.requests for case in suite_of(imported).cases()] == [10, 10]
    assert any("'llama-3-70b-instruct-v1' names an object of the cluster" in note for note in imported.notes)


def test_a_path_that_is_not_the_apis_own_is_kept() -> None:
    assert "path" not in read(HARNESS).suite
    assert read(HARNESS.replace("/v1/chat/completions", "/v2/chat")).suite["path"] == "/v2/chat"


def test_a_list_without_its_colon_is_an_error_that_shows_the_colon() -> None:
    broken = HARNESS.replace("isl_osl:", "isl_osl").replace("    - [", "  - [")
    with pytest.raises(ConfigError) as error:
        read(broken)
    assert str(error.value) == (
        "harness.yaml:9: isl_osl: has no colon after it, so that YAML takes it and the list below for one text; write isl_osl:"
    )
    found = read(broken, lenient=True)
    assert found.suite == read(HARNESS).suite
    assert found.notes[0].startswith("isl_osl on line 9 has no colon")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "concurrency:",
            "concurency:",
            "harness.yaml:5: concurency: unknown field (did you mean 'concurrency'?); the proposal has no",
        ),
        ("[1, 2, 64]", "[]", "concurrency: is missing; write a list of numbers of users"),
        ("[1, 2, 64]", "[1, 0]", "concurrency[1]: must be a whole number from 1, not 0"),
        ("[8192, 1024]", "[8192]", "benchmark.isl_osl[0]: must be two numbers: tokens in and tokens out"),
        ('"chat"', '"chats"', "endpoint_type: 'chats' is not known here; known: chat, completions, embeddings, rankings"),
        ("  isl_osl:", "  isl_osls:", "unknown field (did you mean 'isl_osl'?)"),
        ('name: "blueprint"\n', "", "name: is missing"),
        ("[1, 2, 64]", "[1, 2", "harness.yaml:6: not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_field(old: str, new: str, problem: str) -> None:
    assert old in HARNESS
    with pytest.raises(ConfigError) as error:
        read(HARNESS.replace(old, new, 1))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("kind: DynamoBenchmark", "kind: DynamoBenchmarks", "kind: must be DynamoBenchmark"),
        ("  name: vllm-agg", "  nmae: vllm-agg", "metadata.nmae: unknown field (did you mean 'name'?)"),
        ("    modelRef:", "    modelref:", "spec.model.modelref: unknown field (did you mean 'modelRef'?)"),
    ],
)
def test_fields_of_the_object_are_checked_too(old: str, new: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(OBJECT.replace(old, new))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.yaml", HARNESS, True),
        ("a.yml", "kind: DynamoBenchmark\nbroken: [", True),
        ("a.yaml", "benchmark:\n  isl_osl\n  - [1, 2]\n", True),
        ("a.yaml", "kind: Deployment\n", False),
        ("a.json", HARNESS, False),
    ],
)
def test_it_is_known_by_its_content(name: str, text: str, known: bool) -> None:
    assert FORMAT.recognises(Path(name), text) is known
