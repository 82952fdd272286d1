from pathlib import Path

import pytest

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.genai_bench import FORMAT
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "commands" / "genai-bench.sh").read_text()
EMBED = (
    "genai-bench benchmark --api-backend openai --api-base http://h:1 --api-model-name m --model-tokenizer m "
    "--task text-to-embeddings --max-time-per-run 1 --max-requests-per-run 5 "
    "--traffic-scenario 'E(64)' --batch-size 2 --batch-size 8\n"
)


def read(text: str, *, lenient: bool = False) -> tuple[Imported, ...]:
    return FORMAT.read(Source(path="genai.sh", text=text), lenient=lenient)


def test_scenarios_and_concurrencies_make_the_matrix() -> None:
    (imported,) = read(EXAMPLE)
    cases = suite_of(imported).cases()
    assert [case.id.rpartition("tp1-")[2] for case in cases] == [
        *("d100x100-c1", "d100x100-c8", "n480.240x300.150-c1", "n480.240x300.150-c8"),
    ]
    assert {(case.model, case.load.requests, case.load.duration_s, case.extra_body) for case in cases} == {
        ("llama", 300, 900.0, '{"ignore_eos": true}')
    }
    assert imported.origin.line == 2


def test_the_key_is_in_no_suite_and_no_note() -> None:
    (imported,) = read(EXAMPLE.replace("your_api_key", "sk-abcdefghijklmnopqrstuvwx"))
    assert "sk-abc" not in repr(imported)
    assert any("--api-key is not carried over" in note for note in imported.notes)


def test_numbers_of_documents_are_suites_of_their_own() -> None:
    found = read(EMBED)
    assert [(one.name, one.suite["documents"], one.suite["api"]) for one in found] == [
        ("genai-batch2", 2, "embeddings"),
        ("genai-batch8", 8, "embeddings"),
    ]
    assert [case.load.concurrency for one in found for case in suite_of(one).cases()] == [1, 1]


def test_rows_of_a_file_are_sent_as_they_are_where_the_scenario_says_so() -> None:
    text = EXAMPLE.replace('"D(100,100)"', "dataset").replace(
        "--task", "--dataset-path rows.jsonl --dataset-prompt-column q --task"
    )
    assert read(text)[0].suite["dataset"] == {"path": "rows.jsonl", "prompt": "{q}"}


def test_a_file_that_only_made_prompts_is_told_of() -> None:
    notes = read(EXAMPLE.replace("--task", "--dataset-path sonnet.txt --task"))[0].notes
    assert any(note.startswith("--dataset-path sonnet.txt is not read: prompts are made of random words") for note in notes)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "--num-concurrency 8",
            "--num-concurency 8",
            "genai-bench has no option --num-concurency (did you mean 'num-concurrency'?)",
        ),
        ("--api-model-name $MODEL", "", "--api-model-name is missing; genai-bench would ask for it and wait"),
        ("--api-base", "--api-base= --model", "--api-base is missing"),
        ('"D(100,100)"', '"D(100, 100)"', "genai.sh:10: genai-bench[16]: --traffic-scenario 'D(100, 100)' has a blank"),
        ('"D(100,100)"', "dataset", "--traffic-scenario dataset needs --dataset-path"),
        ('"D(100,100)"', "dataset --dataset-path a.csv", "--dataset-path a.csv: rows are read from .txt, .json, .jsonl here"),
        ("$MODEL", "$MODELS", "genai.sh:2: $MODELS is not set in the file"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(ConfigError) as error:
        read(EXAMPLE.replace(old, new, 1))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("text", "known"), [(EXAMPLE, True), ("genai-bench benchmark --broken", True), ("genai-bench excel", False)]
)
def test_it_is_known_by_its_command(text: str, known: bool) -> None:
    assert FORMAT.recognises(Path("a.sh"), text) is known
    assert not FORMAT.recognises(Path("a.yaml"), text)
