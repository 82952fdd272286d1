"""What a bisection is asked, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import bisect_run
from pytest_inferbench.ab_run import Asked
from pytest_inferbench.bisect_run import Range, answer_of, choices_of, error_of, held_words
from pytest_inferbench.bisection import Answer
from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import ConfigError
from tests.records.example import CASE
from tests.test_ab_comparison import held, turns
from tests.test_source_trees import repository_in

ASKED = Asked(suites=("a.bench.yaml",), blocks=3)
IN_IMAGE = replace(CASE, engine=replace(CASE.engine, image="me/it:v1"))


def names(wanted: Range, cases: Sequence[Case] = (IN_IMAGE,), **asked: Any) -> list[str]:
    return [each.name for each in choices_of(wanted, replace(ASKED, **asked), cases)]


def test_tags_are_of_the_suites_image_unless_told() -> None:
    wanted = Range(over="image-tags", good="v1", bad="v3", tags="v1,v2,v3")
    assert [each.variant for each in choices_of(wanted, ASKED, [IN_IMAGE])][1] == "image=me/it:v2"
    other = replace(wanted, image="ghcr.io/you/it:x")
    assert [each.variant for each in choices_of(other, ASKED, [CASE])][1] == "image=ghcr.io/you/it:v2"


def test_without_tags_the_registry_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bisect_run, "tags", lambda at: ("v2", "v10", "v1") if at.url == "http://127.0.0.1:5000" else ())
    wanted = Range(over="image-tags", good="v1", bad="v10", registry="http://127.0.0.1:5000")
    assert names(wanted) == ["v1", "v2", "v10"]


def test_values_of_a_flag_and_commits(tmp_path: Path) -> None:
    assert names(Range(over="flags", flag="args.n=1,2,4")) == ["args.n=1", "args.n=2", "args.n=4"]
    repository = repository_in(tmp_path / "repo")
    found = names(Range(over="commits", good="v0", bad="v2"), repository=repository)
    assert [name.partition(" ")[2] for name in found] == ["Change 0", "Change 1", "Change 2"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Range(over="flags"), "--over flags: needs the values in their order: --flag args.max_num_seqs=16,32,64"),
        (Range(over="commits", good="v0"), "--over commits: needs --good and --bad"),
        (Range(over="image-tags", good="v1", bad="v2", tags="v1,v2"), "--image: the cases name no image, or several"),
    ],
)
def test_what_is_missing_is_said(wanted: Range, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        names(wanted, [CASE])
    assert str(error.value).startswith(words)


def test_an_answer_is_as_sure_as_the_figures_are() -> None:
    worse, same = held(turns(slower=1.2)), held(turns())
    assert (answer_of(worse), answer_of(same)) == (Answer.WORSE, Answer.SAME)
    assert (error_of(worse), error_of(same)) == (0.005, 0.005)
    assert error_of(held(turns(2, slower=1.2))) in (0.005, 0.05)
    assert held_words(worse).startswith("tpot_p50 +20.0 % (+")


def test_what_cannot_be_told_is_no_answer() -> None:
    found = held(replace(turns(), taken=()))
    assert (answer_of(found), error_of(found)) == (Answer.CANNOT_TELL, 0.05)
    assert held_words(found) == "tpot_p50 no block of it was measured whole"


def test_one_that_got_better_is_not_worse() -> None:
    assert answer_of(held(turns(slower=0.8))) is Answer.SAME
