"""What a case asks for, without its words: the same lengths and instants as its plan has."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, Load, Origin
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.plan import make_plan
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.row import ROW
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from pytest_inferbench.simulator.asked import Ask, measured_of, warmup_of


def case_of(**fields: Any) -> Case:
    mapping: dict[str, Any] = {
        "hardware": "h100",
        "engine": "vllm",
        "model": "llama-3.1-8b",
        "traffic": "D(64,16)",
        "concurrency": 2,
        "requests": 12,
    }
    mapping |= fields
    if "rate" in fields or "trace" in fields:
        del mapping["concurrency"]
    return suite_from_mapping(mapping, "s", Origin(file="test")).cases()[0]


def planned(case: Case, seed: int) -> list[tuple[float, int, int]]:
    """Instant, prompt and answer of every measured row of the case's plan."""
    plan = make_plan(Recipe(case=case, model="m", seeds=Seeds(seed=seed, salt=seed), counter=EstimatedCounter()))
    rows = list(ROW.iter_unpack(plan.read_rows()))[plan.warmup :]
    plan.close()
    return [(row[0] / 1e9, row[3], row[4]) for row in rows]


@pytest.mark.parametrize(
    "fields",
    [
        {"traffic": "D(64,16)"},
        {"traffic": "N(64,16)/(32,8)", "seed": 3},
        {"traffic": "U(16,64)/(8,24)", "rate": 5.0},
        {"traffic": "D(64,16)", "rate": "inf"},
        {"traffic": "D(64,16)", "rate": 5.0, "arrival": "gamma", "burstiness": 0.5},
        {"traffic": "N(64,8)/(32,8)", "turns": 3, "think_time": "1s"},
        {"traffic": "U(16,64)/(8,24)", "cache": "shared", "prefix": {"tokens": 12, "share": 0.5, "count": 3}},
        {"traffic": "D(64,16)", "cache": "warm"},
        {"traffic": "D(64,16)", "warmup": 4},
        {"traffic": "E(64)", "api": "embeddings", "documents": 3},
        {"traffic": "R(64,16)", "api": "rerank", "documents": 3},
    ],
    ids=lambda fields: " ".join(f"{name}={value}" for name, value in fields.items()),
)
def test_lengths_and_instants_are_those_of_the_plan(fields: dict[str, Any]) -> None:
    seed = fields.pop("seed", 0)
    case = case_of(**fields)
    asks = list(measured_of(case, seed=seed))
    assert [(each.due_s, each.prompt_tokens, each.output_tokens) for each in asks] == planned(case, seed)


def test_a_closed_loop_that_lasts_for_a_time_has_no_end() -> None:
    case = replace(case_of(), load=Load(concurrency=2, requests=None, duration_s=10.0))
    assert len(list(islice(measured_of(case), 5000))) == 5000


def test_warm_up_comes_first_and_a_warm_cache_is_filled() -> None:
    assert len(warmup_of(case_of(warmup=4))) == 4
    filling = warmup_of(case_of(warmup=4, cache="warm"))
    assert [each.output_tokens for each in filling] == [16] * 4 + [1] * 12


def test_a_warm_request_was_said_before_word_for_word() -> None:
    case = case_of(cache="warm")
    before, after = warmup_of(case), list(measured_of(case))
    assert [each.parts for each in before] == [each.parts for each in after]
    assert all(sum(tokens for _, tokens in each.parts) == each.prompt_tokens for each in after)


def test_what_is_cold_shares_nothing() -> None:
    assert all(each.parts == () for each in measured_of(case_of()))


def test_a_turn_repeats_all_turns_before_it() -> None:
    first, second, third, new = islice(measured_of(case_of(turns=3)), 4)
    assert [each.turn for each in (first, second, third, new)] == [0, 1, 2, 0]
    assert second.parts[: len(first.parts)] == first.parts
    assert third.parts[: len(second.parts)] == second.parts
    assert not {*new.parts} & {*third.parts}
    for each in (first, second, third):
        assert sum(tokens for _, tokens in each.parts) == each.prompt_tokens


def test_a_share_of_prompts_begins_alike_and_keeps_a_token_of_its_own() -> None:
    asks = list(
        measured_of(
            case_of(cache="shared", prefix={"tokens": 60, "share": 0.5, "count": 2}, requests=200, traffic="U(61,90)/(8,9)")
        )
    )
    shared = [each for each in asks if each.parts]
    assert 60 < len(shared) < 140
    assert {each.parts[0][0] for each in shared} == {"prefix 0", "prefix 1"}
    assert all(each.parts[0][1] == 60 for each in shared)


def test_blocks_of_a_trace_are_shared_by_their_ids(tmp_path: Path) -> None:
    trace = tmp_path / "mooncake.jsonl"
    rows = [
        {"timestamp": 0, "input_length": 1024, "output_length": 8, "hash_ids": [1, 2]},
        {"timestamp": 500, "input_length": 1100, "output_length": 8, "hash_ids": [1, 3, 4]},
    ]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asks = list(measured_of(case_of(trace=str(trace), traffic=None, requests=2)))
    assert asks == [
        Ask(0.0, 1024, 8, 0, (("block 1", 512), ("block 2", 512))),
        Ask(0.5, 1100, 8, 0, (("block 1", 512), ("block 3", 512))),
    ]


def test_a_sweep_has_no_rate_before_it_was_measured() -> None:
    case = replace(case_of(), load=Load(arrival="poisson", sweep_place=1, sweep_of=3))
    with pytest.raises(ConfigError, match=r"^load\.sweep: its rate comes from the two ends of its sweep, when they are measured"):
        measured_of(case)


def test_texts_to_speak_have_no_known_tokens() -> None:
    with pytest.raises(ConfigError, match=r"^traffic: how many tokens a model makes of a text to speak is its own affair"):
        list(measured_of(case_of(traffic="A(100)", api="speech")))
