"""Prompts of blocks: what shares leading hash ids shares its beginning, byte by byte, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.traffic import replayed_traffic
from pytest_inferbench.load.blocks import BLOCK_TOKENS, Blocks
from pytest_inferbench.load.draw import Drawn, Phase, draws
from pytest_inferbench.load.prompts import PromptMaker
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter, TokenCounter
from tests.load.cases import case_of
from tests.load.vocabularies import smollm2

ESTIMATED = EstimatedCounter()
Row = tuple[int, tuple[int, ...]]


def recipe(*, counter: TokenCounter = ESTIMATED, salt: int = 1, trace: str | None = None) -> Recipe:
    case: Case = case_of(requests=1)
    if trace is not None:
        load = replace(case.load, concurrency=None, arrival="trace", trace=trace)
        case = replace(case, traffic=replayed_traffic(trace), load=load)
    return Recipe(case=case, model="m", seeds=Seeds(seed=1, salt=salt), counter=counter)


def prompts(*rows: Row, counter: TokenCounter = ESTIMATED, salt: int = 1) -> list[str]:
    asked = recipe(counter=counter, salt=salt)
    blocks = Blocks(asked, "measured", PromptMaker(counter))
    return [blocks.prompt(tokens, ids)[0] for tokens, ids in rows]


def shared_tokens(a: str, b: str) -> int:
    """Whole words that two texts have in common at their beginning: a token each."""
    pairs = zip(a.split(" "), b.split(" "), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@settings(max_examples=15, deadline=None)
@given(
    tokens=st.integers(1, 1600) | st.sampled_from([BLOCK_TOKENS, 2 * BLOCK_TOKENS]),
    ids=st.lists(st.integers(0, 9), max_size=5).map(tuple),
)
def test_a_prompt_has_the_tokens_of_the_trace_whatever_its_blocks(tokens: int, ids: tuple[int, ...]) -> None:
    counter = smollm2()
    (text,) = prompts((tokens, ids), counter=counter)
    assert counter.count(text) == tokens


@pytest.mark.parametrize("counter", [ESTIMATED, None], ids=["estimated", "vocabulary"])
def test_requests_share_the_blocks_that_their_ids_share_and_no_token_more(counter: TokenCounter | None) -> None:
    counter = counter or smollm2()
    one, other, whole, alone = prompts((1300, (5, 6, 7)), (1500, (5, 6, 8)), (1024, (5, 6)), (1300, (9, 6, 7)), counter=counter)
    assert one.encode().startswith(whole.encode() + b" ")
    assert other.encode().startswith(whole.encode() + b" ")
    assert shared_tokens(one, other) == 2 * BLOCK_TOKENS
    # The same block at the same place after another one is no shared beginning.
    assert shared_tokens(one, alone) == 0
    assert one.split(" ")[BLOCK_TOKENS:] == alone.split(" ")[BLOCK_TOKENS:]


def test_a_shorter_last_block_is_the_beginning_of_a_longer_one() -> None:
    short, long = prompts((600, (5, 6)), (900, (5, 6)))
    assert long.startswith(short + " ")


def test_tokens_beyond_the_blocks_are_the_requests_own() -> None:
    one, other = prompts((700, (5,)), (701, (5,)))
    assert shared_tokens(one, other) == BLOCK_TOKENS


def test_the_same_salt_gives_the_same_bytes_and_another_one_gives_others() -> None:
    rows: list[Row] = [(1300, (5, 6, 7)), (1024, (5, 6))]
    assert prompts(*rows) == prompts(*rows)
    assert prompts(*reversed(rows)) == prompts(*rows)[::-1]
    assert shared_tokens(prompts(*rows)[0], prompts(*rows, salt=2)[0]) == 0


def drawn(trace: Path, count: int, phase: Phase = "measured") -> list[Drawn]:
    return list(islice(draws(recipe(trace=str(trace)), phase), count))


def test_a_trace_with_hash_ids_is_replayed_with_its_shared_beginnings(tmp_path: Path) -> None:
    trace = tmp_path / "mooncake.jsonl"
    rows: list[Row] = [(1300, (5, 6, 7)), (1100, (5, 6, 8)), (1100, (5, 6, 8)), (20, ())]
    lines = [{"timestamp": i, "input_length": n, "output_length": 4, "hash_ids": ids} for i, (n, ids) in enumerate(rows)]
    trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = drawn(trace, 5)
    assert [each.prompt_tokens for each in found] == [1300, 1100, 1100, 20]
    # What the server may have cached of each: leading blocks that an earlier row of the trace had as well.
    assert [each.cached_tokens for each in found] == [0, 1024, 1100, 0]
    assert found[1].content == found[2].content
    assert found[1].content.text.startswith(" ".join(found[0].content.text.split(" ")[:1024]) + " ")
    # What warms the server up is new to it all the same.
    (warm,) = drawn(trace, 1, "warm-up")
    assert (warm.prompt_tokens, shared_tokens(warm.content.text, found[0].content.text)) == (1300, 0)
