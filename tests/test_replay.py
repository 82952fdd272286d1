"""A record is sent again as it was, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import replay as module
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import LoadError, RecordError
from pytest_inferbench.load.plan import Recipe, make_plan
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from pytest_inferbench.records.codec import to_json
from pytest_inferbench.records.record import Planned, Record
from pytest_inferbench.replay import Recorded, recorded_cases
from tests.load.cases import case_of
from tests.records.example import broken_record, example_record

CASE = case_of(requests=3)
NOW = Recipe(case=CASE, model="tiny", seeds=Seeds(seed=9, salt=9), counter=EstimatedCounter())
THEN = replace(NOW, seeds=Seeds(seed=1, salt=2), extra_body={"top_k": 1})


def sha256_of(recipe: Recipe) -> str:
    plan = make_plan(recipe)
    plan.close()
    return plan.sha256


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.setattr(module, "version", lambda _: "1.0")
    return Recorded(
        folder=Path("runs/old"),
        case=CASE,
        planned=Planned(seed=1, salt=2, sha256=sha256_of(THEN), requests=3, tokenizer=NOW.counter.name),
        model="tiny",
        extra_body={"top_k": 1},
        packages=dict.fromkeys(("numpy", "orjson", "pillow", "pyarrow", "pytest-inferbench", "tokenizers"), "1.0"),
    )


def refusal(recorded: Recorded, now: Recipe = NOW) -> str:
    recipe = recorded.recipe(now)
    with pytest.raises(LoadError) as caught:
        recorded.refuse_other(recipe, sha256_of(recipe))
    text = str(caught.value)
    before, _, changes = text.partition("; different since then: ")
    expected = (
        f"the plan made now is not the one in runs/old (sha256 {sha256_of(recipe)[:12]} now, {recorded.planned.sha256[:12]} then)"
    )
    assert before == f"{expected}, so nothing was sent"
    return changes


def test_the_same_seeds_and_fields_make_the_recorded_plan(recorded: Recorded) -> None:
    recipe = recorded.recipe(NOW)
    assert (recipe.seeds, recipe.extra_body) == (Seeds(seed=1, salt=2), {"top_k": 1})
    recorded.refuse_other(recipe, sha256_of(recipe))


def test_what_has_changed_since_is_named(recorded: Recorded) -> None:
    other = replace(
        CASE, suite="other", traffic=parse_traffic("D(9,4)"), load=replace(CASE.load, requests=4, concurrency=2, warmup=1)
    )
    now = replace(NOW, case=replace(other, api="completions"), model="big")
    old = replace(recorded, packages={**recorded.packages, "numpy": "0.9", "tokenizers": "2.0"})
    assert refusal(old, now) == (
        "suite suite then, other now, traffic T(8,4) then, D(9,4) now, load c1 then, c2 now, requests 3 then, 4 now, "
        "warmup 0 then, 1 now, api chat then, completions now, model tiny then, big now, numpy 0.9 then, 1.0 now, "
        "tokenizers 2.0 then, 1.0 now"
    )


def test_what_stands_beside_the_traffic_is_named_too(recorded: Recorded) -> None:
    now = replace(NOW, case=replace(CASE, traffic=replace(CASE.traffic, turns=2)))
    assert refusal(recorded, now) == "what stands beside the traffic (prefix, turns, cache, data set ...)"


def test_a_change_that_no_record_shows_is_guessed_at(recorded: Recorded) -> None:
    old = replace(recorded, planned=replace(recorded.planned, sha256="ab" * 32))
    assert refusal(old) == "nothing on record is: has a data set, a trace, or the tokenizer's file been changed?"


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, record: Record, **manifest: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").write_text(json.dumps(to_json(record)))
        whole = {"environment": {"packages": {"numpy": "2.0"}}, "extra_body": {"top_k": 1}, **manifest}
        (folder / "manifest.json").write_text(json.dumps(whole))
        return folder

    return write


def test_the_cases_of_a_run_are_found_by_their_ids(write: Write, tmp_path: Path) -> None:
    first = example_record()
    other = replace(first, case=replace(first.case, id="other"))
    write("run/a", first)
    write("run/a-2", replace(first, wall_s=99.0), extra_body={})
    write("run/b", other)
    (tmp_path / "run" / "servers").mkdir()
    found = recorded_cases(tmp_path / "run")
    assert sorted(found) == sorted([first.case.id, "other"])
    one = found[first.case.id]
    assert (one.folder, one.planned, one.extra_body, one.packages) == (
        tmp_path / "run" / "a",
        first.planned,
        {"top_k": 1},
        {"numpy": "2.0"},
    )


def test_the_folder_of_a_case_is_one_case(write: Write) -> None:
    folder = write("run/a", example_record())
    assert list(recorded_cases(folder)) == [example_record().case.id]


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RecordError) as caught:
            recorded_cases(path)
        assert str(caught.value) == f"{path} holds no case that was planned; give the folder of a run, or of one of its cases"


@pytest.mark.parametrize("manifest", [{"environment": {}}, {"environment": None}, {"extra_body": []}])
def test_a_manifest_that_does_not_say_what_was_sent_is_refused(write: Write, manifest: dict[str, Any]) -> None:
    folder = write("a", example_record(), **manifest)
    with pytest.raises(RecordError) as caught:
        recorded_cases(folder)
    expected = f"{folder}/manifest.json does not say what was sent; was it written by this version of pytest-inferbench?"
    assert str(caught.value) == expected


def test_a_case_that_broke_before_it_was_planned_is_refused(write: Write) -> None:
    with pytest.raises(RecordError, match="does not say what was sent"):
        recorded_cases(write("a", broken_record()))
