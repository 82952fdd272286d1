"""What of a plan depends on its seed and what on its salt, and where it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from math import inf
from typing import Any, NamedTuple

import pytest

from pytest_inferbench.cases.case import Case, Lengths
from pytest_inferbench.load.plan import PlanFile, Recipe, make_plan
from pytest_inferbench.load.row import ROW
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from tests.load.cases import case_of, fixed


class Row(NamedTuple):
    due_ns: int
    prompt_tokens: int
    output_tokens: int
    body: Any


Make = Callable[..., PlanFile]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[PlanFile] = []

    def make(case: Case, *, seed: int = 1, salt: int = 2, **more: Any) -> PlanFile:
        recipe = {"model": "tiny", "counter": EstimatedCounter(), "seeds": Seeds(seed=seed, salt=salt), **more}
        made.append(make_plan(Recipe(case=case, **recipe)))
        return made[-1]

    yield make
    for plan in made:
        plan.close()


def rows(plan: PlanFile) -> list[Row]:
    """The rows as a load process reads them."""
    found = []
    for due_ns, offset, size, prompt, output, *_ in ROW.iter_unpack(plan.read_rows()):
        found.append(Row(due_ns, prompt, output, json.loads(os.pread(plan.descriptors[1], size, offset))))
    return found


def prompts(plan: PlanFile) -> list[str]:
    return [row.body["messages"][0]["content"] for row in rows(plan)]


def test_the_same_seeds_give_the_same_bytes_and_hash(make: Make) -> None:
    case = case_of(rate_per_s=5.0, requests=20, warmup=2)
    one, other = make(case), make(case)
    assert (rows(one), one.sha256) == (rows(other), other.sha256)
    assert (one.rows, one.measured, one.warmup, one.complete) == (22, 20, 2, True)


def test_another_salt_changes_the_words_and_neither_lengths_nor_instants(make: Make) -> None:
    case = case_of(rate_per_s=5.0, requests=20, warmup=2, lengths=(Lengths(kind="normal", first=40, second=9), fixed(4)))
    one, other = make(case, salt=2), make(case, salt=3)
    shapes = [[(row.due_ns, row.prompt_tokens, row.output_tokens) for row in rows(plan)] for plan in (one, other)]
    assert shapes[0] == shapes[1]
    assert not set(prompts(one)) & set(prompts(other))
    assert one.sha256 != other.sha256


def test_another_seed_changes_everything(make: Make) -> None:
    case = case_of(rate_per_s=5.0, requests=20, lengths=(Lengths(kind="normal", first=40, second=9), fixed(4)))
    one, other = rows(make(case, seed=1)), rows(make(case, seed=2))
    assert [row.due_ns for row in one] != [row.due_ns for row in other]
    assert [row.prompt_tokens for row in one] != [row.prompt_tokens for row in other]


def test_more_requests_change_nothing_of_the_first_ones(make: Make) -> None:
    few, many = (rows(make(case_of(rate_per_s=5.0, requests=count, warmup=3))) for count in (5, 50))
    assert many[: len(few)] == few


@pytest.mark.parametrize(
    ("load", "count"),
    [
        ({"rate_per_s": 10.0, "arrival": "constant", "requests": None, "duration_s": 2.0}, 20),
        ({"rate_per_s": 10.0, "arrival": "constant", "requests": 5, "duration_s": 2.0}, 5),
        ({"rate_per_s": 10.0, "arrival": "constant", "requests": 50, "duration_s": 2.0}, 20),
        ({"rate_per_s": inf, "requests": 5}, 5),
        ({"requests": 5}, 5),
        ({"requests": 2500}, 2500),
        ({"requests": 1000}, 1000),
    ],
)
def test_a_load_ends_after_its_requests_or_its_time(make: Make, load: dict[str, Any], count: int) -> None:
    plan = make(case_of(**load))
    assert (plan.measured, plan.complete) == (count, True)
    assert [row.due_ns for row in rows(plan)] == sorted(row.due_ns for row in rows(plan))
