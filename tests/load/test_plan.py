"""Plans: the same bytes at the same instants, in rows that a load process can read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Dataset, Load, Prefix
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.load.plan import PlanFile, Recipe, make_plan
from pytest_inferbench.load.row import FIRST, ROW_FIELDS
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter, TokenCounter
from tests.load.cases import case_of
from tests.load.vocabularies import smollm2

ESTIMATED = EstimatedCounter()


@pytest.fixture
def plans() -> Iterator[list[PlanFile]]:
    """What is put here is closed."""
    made: list[PlanFile] = []
    yield made
    for plan in made:
        plan.close()


def recipe(
    text: str = "D(8,4)",
    *,
    traffic: dict[str, Any] | None = None,
    seeds: tuple[int, int] = (1, 1),
    counter: TokenCounter = ESTIMATED,
    api: Any = "chat",
    **load: Any,
) -> Recipe:
    case = replace(case_of(**load), traffic=replace(parse_traffic(text), **(traffic or {})), api=api)
    return Recipe(case=case, model="tiny", extra_body={"top_k": 1}, seeds=Seeds(seed=seeds[0], salt=seeds[1]), counter=counter)


def rows_of(plan: PlanFile) -> np.ndarray:
    return np.frombuffer(plan.read_rows(), dtype=np.dtype(list(ROW_FIELDS)))


def bodies_of(plan: PlanFile) -> list[dict[str, Any]]:
    _, descriptor = plan.descriptors
    return [json.loads(os.pread(descriptor, int(row["size"]), int(row["offset"]))) for row in rows_of(plan)]


def planned(*arguments: Any, **options: Any) -> tuple[np.ndarray, list[dict[str, Any]], str]:
    plan = make_plan(recipe(*arguments, **options))
    try:
        return rows_of(plan), bodies_of(plan), plan.sha256
    finally:
        plan.close()


def test_a_plan_has_warm_up_first_and_then_every_measured_request(plans: list[PlanFile]) -> None:
    plan = make_plan(recipe(requests=5, warmup=2))
    plans.append(plan)
    assert (plan.warmup, plan.measured, plan.rows, plan.complete) == (2, 5, 7, True)
    first = bodies_of(plan)[0]
    assert (first["model"], first["max_tokens"], first["top_k"]) == ("tiny", 4, 1)
    assert len({body["messages"][0]["content"] for body in bodies_of(plan)}) == 7
    assert set(rows_of(plan)["after"]) == {FIRST}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.sampled_from(["D(8,4)", "N(20,9)/(9,3)", "LN(20,9)/(9,3)", "P(3,9)/(4)", "I(9,9)"]),
    load=st.sampled_from(
        [{"requests": 12}, {"rate_per_s": 50.0, "requests": 12}, {"rate_per_s": 99.0, "duration_s": 0.2, "requests": None}]
    ),
    turns=st.integers(1, 3),
    cache=st.sampled_from(["cold", "warm"]),
    seed=st.integers(0, 5),
)
def test_the_same_case_and_seeds_give_the_same_bytes_at_the_same_instants(
    text: str, load: dict[str, Any], turns: int, cache: str, seed: int
) -> None:
    turns = 1 if text.startswith("I") else turns
    cache = "cold" if load.get("requests") is None else cache
    asked: dict[str, Any] = {"traffic": {"turns": turns, "cache": cache}, **load}
    rows, bodies, sha256 = planned(text, seeds=(seed, seed), **asked)
    again_rows, again_bodies, again = planned(text, seeds=(seed, seed), **asked)
    assert (rows.tobytes(), bodies, sha256) == (again_rows.tobytes(), again_bodies, again)
    other_rows, other_bodies, other = planned(text, seeds=(seed, seed + 1), **asked)
    assert other != sha256 or not len(rows)
    for field in ("due_ns", "prompt_tokens", "output_tokens", "after"):
        assert rows[field].tolist() == other_rows[field].tolist(), "the salt changes words only"
    assert all(one != two for one, two in zip(bodies, other_bodies, strict=True))


def test_the_hash_is_of_rows_and_bodies_in_their_order(plans: list[PlanFile]) -> None:
    plan = make_plan(recipe(requests=3))
    plans.append(plan)
    digest = hashlib.sha256()
    for row, body in zip(rows_of(plan), bodies_of(plan), strict=True):
        written = os.pread(plan.descriptors[1], int(row["size"]), int(row["offset"]))
        assert json.loads(written) == body
        digest.update(row.tobytes() + written)
    assert plan.sha256 == digest.hexdigest()


def test_a_closed_loop_without_a_number_of_requests_grows_while_it_is_used(plans: list[PlanFile]) -> None:
    plan = make_plan(recipe(requests=None, duration_s=5.0, warmup=3))
    plans.append(plan)
    assert (plan.rows, plan.complete) == (1003, False)
    before = plan.sha256
    plan.extend(10)
    assert (plan.measured, plan.complete) == (1010, False)
    assert plan.sha256 != before


@pytest.mark.parametrize("load", [{"requests": 50}, {"rate_per_s": 1000.0, "requests": 50}])
def test_every_turn_follows_the_one_before_it(plans: list[PlanFile], load: dict[str, Any]) -> None:
    plan = make_plan(recipe("D(8,4)", traffic={"turns": 4, "think_time_s": 1.5}, warmup=2, **load))
    plans.append(plan)
    assert plan.measured == 50
    rows = rows_of(plan)[2:]
    expected = [FIRST if index % 4 == 0 else 2 + index - 1 for index in range(50)]
    assert rows["after"].tolist() == expected
    follows = rows["after"] != FIRST
    assert set(rows["due_ns"][follows]) == {1_500_000_000}
    firsts = rows["due_ns"][~follows]
    assert (np.diff(firsts) >= 0).all()
    assert (firsts.max() > 0) == ("rate_per_s" in load)
    assert rows["cached_tokens"].tolist() == [0 if index % 4 == 0 else 12 * (index % 4) - 4 for index in range(50)]


def test_a_warm_case_sends_every_prompt_before_and_asks_for_one_token(plans: list[PlanFile]) -> None:
    plan = make_plan(recipe("N(20,9)/(9,3)", traffic={"cache": "warm", "turns": 2}, requests=7, warmup=3))
    plans.append(plan)
    bodies = bodies_of(plan)
    assert (plan.warmup, plan.measured) == (3 + 7, 7)
    before, measured = bodies[3:10], bodies[10:]
    assert [body["messages"] for body in before] == [body["messages"] for body in measured]
    assert {body["max_tokens"] for body in before} == {1}
    assert set(rows_of(plan)["after"][:10]) == {FIRST}
    rows = rows_of(plan)
    assert rows["cached_tokens"][10:].tolist() == rows["prompt_tokens"][10:].tolist()
    assert set(rows["cached_tokens"][:3]) == {0}


def test_prompts_have_the_lengths_their_rows_say_and_prefixes_are_within(plans: list[PlanFile]) -> None:
    counter = smollm2()
    shared = {"cache": "shared", "prefix": Prefix(tokens=100, share=0.8, count=2)}
    plan = make_plan(recipe("N(150,40)/(9,3)", traffic=shared, requests=40, warmup=2, counter=counter))
    plans.append(plan)
    counted = [counter.count(body["messages"][0]["content"]) for body in bodies_of(plan)]
    assert rows_of(plan)["prompt_tokens"].tolist() == counted
    assert set(rows_of(plan)["cached_tokens"][2:]) <= {0, 100, *(tokens - 1 for tokens in counted)}


def test_token_ids_need_a_tokenizer(plans: list[PlanFile]) -> None:
    counter = smollm2()
    plan = make_plan(recipe("D(8,4)", api="completions-tokens", requests=2, counter=counter))
    plans.append(plan)
    assert {len(body["prompt"]) for body in bodies_of(plan)} == {8}
    with pytest.raises(ConfigError, match=r"^api: 'completions-tokens' sends token ids, and there is no tokenizer: give the"):
        make_plan(recipe("D(8,4)", api="completions-tokens", requests=2))


def test_embeddings_ask_for_no_output(plans: list[PlanFile]) -> None:
    plan = make_plan(recipe("E(8)", traffic={"documents": 2}, api="embeddings", requests=2))
    plans.append(plan)
    assert [len(text.split()) for text in bodies_of(plan)[0]["input"]] == [8, 8]
    assert rows_of(plan)["output_tokens"].tolist() == [0, 0]


def test_a_cold_data_set_ends_a_load_that_lasts_longer(plans: list[PlanFile], tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("one\ntwo\nthree\n")
    dataset = Dataset(path=str(tmp_path / "p.txt"), format="lines")
    plan = make_plan(recipe("dataset", traffic={"dataset": dataset}, requests=None, duration_s=60.0, warmup=1))
    plans.append(plan)
    assert (plan.warmup, plan.measured, plan.complete) == (1, 2, True)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"requests": None}, "load: a load needs requests or duration, else it never ends"),
        (
            {"rate_per_s": float("inf"), "requests": None, "duration_s": 1.0},
            "load.requests: an infinite rate needs a number of requests",
        ),
        ({"text": "A(9)", "requests": 1}, "api: 'chat' cannot send A(9); it takes speech or template"),
        ({"text": "E(9)", "requests": 1}, "api: 'chat' cannot send E(9); it takes embeddings or template"),
    ],
)
def test_what_cannot_be_planned_is_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(recipe(asked.pop("text", "D(8,4)"), **asked))
    assert str(caught.value) == problem


def test_a_full_disk_is_said_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, **_: Any) -> None:
            self.closed = False
            made.append(self)

        def tell(self) -> int:
            return 0

        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            self.closed = True

    made: list[Full] = []
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/scratch")
    with pytest.raises(LoadError) as caught:
        make_plan(recipe(requests=3))
    assert str(caught.value) == (
        "the plan of the requests cannot be written to /scratch: No space left on device; "
        "free some space there, or set TMPDIR to a folder that has more"
    )
    assert [file.closed for file in made] == [True, True]


def test_a_trace_brings_its_lengths(tmp_path: Path, plans: list[PlanFile]) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,input_tokens,output_tokens\n0,5,2\n0.5,7,3\n2,9,4\n")
    asked = recipe(requests=2, warmup=4)
    lengths = replace(asked.case.traffic.input_tokens, kind="trace")
    case = replace(
        asked.case,
        traffic=replace(asked.case.traffic, input_tokens=lengths, output_tokens=lengths),
        load=Load(trace=str(path), arrival="trace", requests=2, warmup=4),
    )
    plan = make_plan(replace(asked, case=case))
    plans.append(plan)
    rows = rows_of(plan)
    assert rows["prompt_tokens"].tolist() == [5, 7, 9, 5, 5, 7]
    assert rows["output_tokens"].tolist() == [2, 3, 4, 2, 2, 3]
