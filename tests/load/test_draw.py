"""What requests say: exact lengths, shared beginnings, conversations, documents, images and rows."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case, Dataset, Load, Prefix
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.content import Content
from pytest_inferbench.load.draw import Drawn, Phase, draws
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter, TokenCounter
from tests.load.cases import case_of
from tests.load.vocabularies import smollm2

ESTIMATED = EstimatedCounter()


def recipe(text: str, *, counter: TokenCounter = ESTIMATED, salt: int = 1, warmup: int = 0, **traffic: Any) -> Recipe:
    case: Case = replace(case_of(warmup=warmup, requests=1), traffic=replace(parse_traffic(text), **traffic))
    return Recipe(case=case, model="m", seeds=Seeds(seed=1, salt=salt), counter=counter)


def drawn(count: int, text: str, *, phase: Phase = "measured", **options: Any) -> list[Drawn]:
    return list(islice(draws(recipe(text, **options), phase), count))


def texts(content: Content) -> list[str]:
    return [message.text for message in content.messages]


@settings(max_examples=30, deadline=None)
@given(
    text=st.sampled_from(["D(7,3)", "N(40,30)/(9,3)", "LN(20,30)/(9,9)", "U(1,60)/(3,9)", "P(1,2,90)/(5)"]),
    turns=st.integers(1, 4),
    prefix=st.none() | st.builds(Prefix, tokens=st.integers(1, 30), share=st.sampled_from([0.5, 1.0]), count=st.integers(1, 3)),
)
def test_a_prompt_has_the_tokens_that_are_counted_whatever_it_is_made_of(text: str, turns: int, prefix: Prefix | None) -> None:
    counter = smollm2()
    for each in drawn(12, text, counter=counter, turns=turns, prefix=prefix, cache="shared" if prefix else "cold"):
        # In messages one by one as well as in one text: chat and completions have the same tokens.
        assert sum(map(counter.count, texts(each.content))) == each.prompt_tokens
        assert counter.count(each.content.text) == each.prompt_tokens
        assert each.cached_tokens < each.prompt_tokens


def test_warm_up_says_other_words_than_the_load() -> None:
    measured, warm = ({each.content.text for each in drawn(50, "D(5,1)", phase=phase)} for phase in ("measured", "warm-up"))
    assert len(measured) == len(warm) == 50
    assert measured.isdisjoint(warm)


def test_the_salt_changes_words_and_no_lengths() -> None:
    first, second = (drawn(30, "N(50,20)/(9,3)", salt=salt, turns=2) for salt in (1, 2))
    assert [each[1:] for each in first] == [each[1:] for each in second]
    assert {each.content.text for each in first}.isdisjoint(each.content.text for each in second)


# --- prefixes ---------------------------------------------------------------------------------------------------------------


def test_a_share_of_the_prompts_begins_alike_and_each_has_its_length_all_the_same() -> None:
    requests = drawn(600, "D(40,4)", prefix=Prefix(tokens=30, share=0.5, count=3), cache="shared")
    beginnings = [" ".join(each.content.text.split()[:30]) for each in requests]
    common = {beginning for beginning in beginnings if beginnings.count(beginning) > 1}
    assert len(common) == 3
    assert 0.42 < sum(beginning in common for beginning in beginnings) / 600 < 0.58
    assert {len(each.content.text.split()) for each in requests} == {40}
    # The first of each is new to the server.
    known = [each.cached_tokens for each in requests if each.cached_tokens]
    assert set(known) == {30}
    assert len(known) == sum(beginning in common for beginning in beginnings) - 3
    assert len({each.content.text for each in requests}) == 600


def test_warm_up_goes_through_the_prefixes_and_then_they_are_known() -> None:
    options: dict[str, Any] = {"prefix": Prefix(tokens=5, count=4), "cache": "shared", "warmup": 4}
    warm = drawn(4, "D(9,1)", phase="warm-up", **options)
    measured = drawn(40, "D(9,1)", **options)
    assert [each.cached_tokens for each in warm] == [0, 0, 0, 0]
    assert {each.cached_tokens for each in measured} == {5}
    begins = [{" ".join(each.content.text.split()[:5]) for each in requests} for requests in (warm, measured)]
    assert len(begins[0]) == 4
    assert begins[0] == begins[1]


def test_a_prompt_shorter_than_its_prefix_keeps_a_word_of_its_own() -> None:
    requests = drawn(100, "P(1,4,20)/(2)", prefix=Prefix(tokens=10), cache="shared")
    assert {each.prompt_tokens for each in requests} == {1, 4, 20}
    for each in requests[1:]:
        assert each.cached_tokens <= each.prompt_tokens - 1
    assert {each.cached_tokens for each in requests[-50:]} == {0, 3, 10}


# --- conversations ----------------------------------------------------------------------------------------------------------


def test_a_turn_carries_all_that_was_said_before_it() -> None:
    requests = drawn(7, "D(6,4)", turns=3)
    assert [each.turn for each in requests] == [0, 1, 2, 0, 1, 2, 0]
    assert [each.prompt_tokens for each in requests[:3]] == [6, 6 + 4 + 6, 6 + 4 + 6 + 4 + 6]
    # What the turn before has said, without the answer to it.
    assert [each.cached_tokens for each in requests[:4]] == [0, 6, 16, 0]
    first, second, third = (each.content.messages for each in requests[:3])
    assert second[:1] == first
    assert third[:3] == second
    assert [message.role for message in third] == ["user", "assistant", "user", "assistant", "user"]
    assert [len(message.text.split()) for message in third] == [6, 4, 6, 4, 6]
    assert requests[3].content.messages[0] not in third


def test_warm_up_is_no_conversation() -> None:
    assert {each.turn for each in drawn(9, "D(6,4)", phase="warm-up", turns=3)} == {0}


# --- documents, images, speech ----------------------------------------------------------------------------------------------


def test_documents_to_embed() -> None:
    (each,) = drawn(1, "E(12)", documents=3)
    assert [len(document.split()) for document in each.content.documents] == [12, 12, 12]
    assert (each.content.messages, each.prompt_tokens, each.output_tokens) == ((), 36, 0)


def test_documents_to_rank_are_each_read_with_the_query() -> None:
    (each,) = drawn(1, "R(12,5)", documents=2)
    assert [len(document.split()) for document in each.content.documents] == [12, 12]
    assert len(each.content.text.split()) == 5
    assert (each.prompt_tokens, each.output_tokens) == (2 * (12 + 5), 0)


def test_images_stand_beside_a_short_text() -> None:
    first, second = drawn(2, "I(16,8,2)")
    assert (len(first.content.images), first.prompt_tokens, first.output_tokens) == (2, 32, 128)
    assert len({*first.content.images, *second.content.images}) == 4


@pytest.mark.parametrize("characters", [1, 2, 3, 100, 4000])
def test_a_text_to_speak_has_the_characters_that_are_asked_for(characters: int) -> None:
    found = drawn(5, f"A({characters})")
    spoken = [text for each in found for text in texts(each.content)]
    assert [len(text) for text in spoken] == [characters] * 5
    assert [text.strip() for text in spoken] == spoken
    assert [each.output_tokens for each in found] == [0] * 5
    assert characters < 100 or len(set(spoken)) == 5


# --- rows -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def rows(tmp_path: Path) -> Dataset:
    path = tmp_path / "rows.jsonl"
    lines = [{"prompt": f"p{index} " + "x " * index, "answer": "y " * index} for index in range(20)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Dataset(path=str(path), format="jsonl", output_field="answer")


def test_rows_come_once_in_an_order_of_the_seed(rows: Dataset) -> None:
    requests = drawn(99, "dataset", dataset=rows)
    assert len(requests) == 20
    assert [each.prompt_tokens for each in requests] != sorted(each.prompt_tokens for each in requests)
    assert sorted(each.prompt_tokens for each in requests) == list(range(1, 21))
    assert [each.output_tokens for each in requests] == [max(1, each.prompt_tokens - 1) for each in requests]
    assert requests == drawn(99, "dataset", dataset=rows, salt=9)


def test_warm_up_takes_rows_that_are_not_measured(rows: Dataset) -> None:
    options: dict[str, Any] = {"dataset": rows, "warmup": 5}
    warm = drawn(5, "dataset", phase="warm-up", **options)
    measured = drawn(99, "dataset", **options)
    assert (len(warm), len(measured)) == (5, 15)
    assert {each.content for each in warm}.isdisjoint(each.content for each in measured)


def test_where_rows_are_shared_they_repeat_and_are_known_then(rows: Dataset) -> None:
    requests = drawn(50, "dataset", dataset=rows, cache="shared")
    assert [each.cached_tokens for each in requests[:20]] == [0] * 20
    assert all(each.cached_tokens == each.prompt_tokens for each in requests[20:])
    assert [each.content for each in requests[:20]] == [each.content for each in requests[20:40]]


def test_a_cold_case_never_sends_a_row_twice(rows: Dataset) -> None:
    asked = recipe("dataset", dataset=rows)
    case = replace(asked.case, load=Load(concurrency=1, requests=18, warmup=3))
    with pytest.raises(ConfigError) as caught:
        next(draws(replace(asked, case=case), "measured"))
    assert str(caught.value) == (
        f"{rows.path}: has 20 rows, and a cold case sends none of them twice: 21 are wanted, warm-up included; "
        "ask for fewer requests, or write cache: shared"
    )


def test_a_row_that_says_nothing_of_its_answer_gets_a_usual_length(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("one two\n")
    (each,) = drawn(1, "dataset", dataset=Dataset(path=str(path), format="lines"))
    assert (each.prompt_tokens, each.output_tokens) == (2, 128)


def test_a_data_set_needs_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^dataset: traffic dataset needs a data set$"):
        drawn(1, "dataset")
