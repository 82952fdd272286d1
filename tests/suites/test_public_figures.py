"""Predictions beside published figures: the file is whole, and the arithmetic of the table is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_inferbench.simulator.offline import Answer, Outcome
from suites.fidelity.public_figures import ARGUMENTS, FILE, UNITS, Row, accounts, deployments, figure, main, rows, table

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
FIELDS: dict[str, Any] = {
    "source": "musgrave-vllm",
    "hardware": "h100",
    "model": "llama-3.1-8b",
    "tp": 1,
    "input_tokens": 64,
    "output_tokens": 8,
    "requests": 3,
    "load": "inf",
    "metric": "output_throughput",
    "figure": 100.0,
    "part": "held out",
}


def test_every_row_has_a_source_that_can_be_looked_up() -> None:
    assert len(DOCUMENT["rows"]) >= 20
    for row in DOCUMENT["rows"]:
        source = DOCUMENT["sources"][row["source"]]
        assert source["url"].startswith("https://")
        assert source["title"]
        assert row["source"] in ARGUMENTS
        assert row["metric"] in UNITS
        assert row["part"] in ("calibrated", "held out")
        assert row["figure"] > 0


def test_no_row_is_there_twice() -> None:
    keys = [
        json.dumps({name: value for name, value in row.items() if name not in ("figure", "part")}) for row in DOCUMENT["rows"]
    ]
    assert len(set(keys)) == len(keys)


def test_most_rows_were_not_looked_at_when_constants_were_chosen() -> None:
    held_out = [row for row in DOCUMENT["rows"] if row["part"] == "held out"]
    assert len(held_out) > 2 * (len(DOCUMENT["rows"]) - len(held_out))


@pytest.mark.parametrize("row", DOCUMENT["rows"], ids=lambda row: f"{row['source']}-{row['hardware']}-{row['model']}-{row['tp']}")
def test_every_row_can_be_run(row: dict[str, Any]) -> None:
    made = deployments(DOCUMENT, row)
    assert made[0].tensor_parallel == row["tp"]
    assert {each.model.parameters for each in made} == {made[0].model.parameters}


def test_the_files_constants_are_a_second_prediction() -> None:
    document = DOCUMENT | {"constants": [{"engine": "vllm", "hardware": "h100", "step_overhead_s": 0.5}], "rows": [FIELDS]}
    plain, slower = next(rows(document)).predicted
    assert slower < plain
    elsewhere = document | {"constants": [{"engine": "vllm", "hardware": "l4", "step_overhead_s": 0.5}]}
    assert next(rows(elsewhere)).predicted == (plain, plain)
    assert next(rows(document | {"constants": []})).predicted == (plain,)


def test_an_engines_options_of_a_row_are_its_own() -> None:
    plain, shorter = (deployments(DOCUMENT, FIELDS | {"arguments": given})[0] for given in ({}, {"max-model-len": 4096}))
    assert (plain.context_tokens, shorter.context_tokens) == (8192, 4096)


def test_every_row_has_a_prediction_by_the_profiles_alone() -> None:
    """Constants that were found are in the profiles, not in the file; the largest error of a row they were chosen on is known."""
    assert DOCUMENT["constants"] == []
    calibrated = DOCUMENT | {"rows": [row for row in DOCUMENT["rows"] if row["part"] == "calibrated"]}
    assert all(abs(error) < 0.2 for row in rows(calibrated) for error in row.errors)


def test_figures_are_what_sources_say() -> None:
    answers = (
        Answer(arrival_s=0.0, first_token_s=1.0, last_token_s=3.0, output_tokens=5),
        Answer(arrival_s=1.0, first_token_s=4.0, last_token_s=8.0, output_tokens=5),
    )
    zero = dict.fromkeys(
        ("steps", "prompt_tokens", "preemptions", "prefix_queries", "prefix_hits", "running_max", "waiting_max"), 0
    )
    done = Outcome(answers=answers, duration_s=8.0, generation_tokens=10, kv_usage_max=0.0, **zero)
    assert figure("output_throughput", done) == 10 / 8
    assert figure("e2e_s_max", done) == 7.0
    assert figure("ttft_ms_mean", done) == 2000.0
    assert figure("itl_ms_mean", done) == 750.0


def test_an_error_is_a_share_of_what_was_published() -> None:
    row = Row(fields=FIELDS, predicted=(125.0, 90.0))
    assert row.errors == pytest.approx((0.25, -0.1))
    lines = list(table([row]))
    assert lines[-1] == (
        "| musgrave-vllm | 1 x h100 | llama-3.1-8b | 64/8 | 3 at once | tok/s | 100 | 125 | +25% | 90 | -10% | held out |"
    )
    assert next(accounts([row])) == (
        "* held out: 1 rows; 25% in the median, 25% at most, 1 within 25 %; "
        "with the constants 10% in the median, 10% at most, 1 within 25 %"
    )


def test_what_does_not_fit_is_said() -> None:
    document = DOCUMENT | {"rows": [FIELDS | {"hardware": "l4", "model": "llama-3.1-70b"}]}
    found = list(rows(document))
    assert found[0].predicted == ()
    assert list(accounts(found))[-1].startswith("* not predicted: llama-3.1-70b on 1 x l4: torch.OutOfMemoryError")


def test_the_table_of_one_source_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", "musgrave"]) == 0
    printed = capsys.readouterr().out
    assert "| musgrave-vllm | 1 x a100-40gb | llama-3.1-8b | 1024/128 | one user | TPOT ms | 13.3 |" in printed
    assert "* held out: 1 rows; " in printed
