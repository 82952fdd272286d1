"""
What a case asks of its server: lengths and instants of its requests, as its plan would have them, without their words.

Rule: the numbers come from the very streams that `load.draw` draws from, so a measured run of the same seed sends requests of the
same lengths at the same instants. Only rows of a data set are read in full, their tokens estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice, repeat
from typing import NamedTuple

from pytest_inferbench.cases.case import Case, TrafficKind
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.blocks import BLOCK_TOKENS
from pytest_inferbench.load.draw import Phase, draws
from pytest_inferbench.load.instants import instants
from pytest_inferbench.load.lengths import Pair, draw, pairs
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from pytest_inferbench.load.trace_files import read_trace

CLOSED_REQUESTS_MAX = 1_000_000
"""A closed loop that lasts for a time draws no more than this."""


class Ask(NamedTuple):
    """
    One request.

    ``due_s`` counts from the start of the load, or from the end of the turn before; ``turn`` from 0 within a conversation.
    ``parts`` are its prompt's beginnings that others may share, as (name, tokens): whatever is not in them is its own.
    """

    due_s: float
    prompt_tokens: int
    output_tokens: int
    turn: int = 0
    parts: tuple[tuple[str, int], ...] = ()


def warmup_of(case: Case, *, seed: int = 0) -> list[Ask]:
    """
    The requests that go before the measured ones, one after the other: warm-up, and for a warm cache each measured one once.

    Raises:
        ConfigError: how many tokens such traffic has cannot be known.
    """
    recipe = _recipe(case, seed)
    asks = list(islice(_lengths(recipe, "warm-up"), case.load.warmup))
    if case.traffic.cache == "warm":
        asks += [each._replace(output_tokens=min(1, each.output_tokens), turn=0) for each in measured_of(case, seed=seed)]
    return asks


def measured_of(case: Case, *, seed: int = 0) -> Iterator[Ask]:
    """
    The measured requests in the order of their plan; without end (up to a million) where a closed loop lasts for a time.

    Raises:
        ConfigError: how many tokens such traffic has cannot be known, or the load makes no sense.
    """
    recipe, load = _recipe(case, seed), case.load
    if load.swept:
        raise ConfigError(
            "its rate comes from the two ends of its sweep, when they are measured; predict a rate", field="load.sweep"
        )
    if load.search is not None:
        raise ConfigError("its level is searched for while it is measured; predict a level", field="load.search")
    due = instants(load, recipe.shape("arrivals"))
    asks = _timed(_lengths(recipe, "measured"), due, think_s=case.traffic.think_time_s)
    return islice(asks, CLOSED_REQUESTS_MAX if load.requests is None and not load.open_loop else load.requests)


def _recipe(case: Case, seed: int) -> Recipe:
    return Recipe(case=case, model=case.model, seeds=Seeds(seed=seed, salt=seed), counter=EstimatedCounter())


def _timed(asks: Iterator[Ask], due: Iterator[int], *, think_s: float) -> Iterator[Ask]:
    """First turns come at the instants of ``due``, and with these they end; other turns after a while of thinking."""
    for each in asks:
        if each.turn:
            yield each._replace(due_s=think_s)
            continue
        due_ns = next(due, None)
        if due_ns is None:
            return
        yield each._replace(due_s=due_ns / 1e9)


def _lengths(recipe: Recipe, phase: Phase) -> Iterator[Ask]:
    return _KINDS[recipe.case.traffic.kind](recipe, phase)


# --- each kind of traffic ---------------------------------------------------------------------------------------------------


def _texts(recipe: Recipe, phase: Phase) -> Iterator[Ask]:
    traffic = recipe.case.traffic
    turns = traffic.turns if phase == "measured" else 1
    named = turns > 1 or traffic.cache == "warm"
    said: tuple[tuple[str, int], ...] = ()
    said_tokens = turn = 0
    prefixes = _prefixes(recipe, phase)
    for number, pair in enumerate(_pairs(recipe, phase)):
        if turn == 0:
            said, said_tokens = _beginning(pair, next(prefixes)), 0
        own = f"{phase} {number}"
        said_tokens += pair.input_tokens
        # What a turn says is known to the next one, and its answer is not: the plan's own words stand for that.
        shared = sum(tokens for _, tokens in said)
        parts = (*said, (own, said_tokens - shared)) if named else said
        yield Ask(0.0, said_tokens, pair.output_tokens, turn, parts)
        said = (*parts, (f"{own} answer", pair.output_tokens)) if turns > 1 else ()
        said_tokens += pair.output_tokens
        turn = (turn + 1) % turns


def _beginning(pair: Pair, prefix: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Blocks of a trace, or the prefix, as far as the prompt reaches; one token stays its own."""
    if pair.hash_ids:
        whole = (tuple(pair.hash_ids))[: pair.input_tokens // BLOCK_TOKENS]
        return tuple((f"block {each}", BLOCK_TOKENS) for each in whole)
    return tuple((name, min(tokens, pair.input_tokens - 1)) for name, tokens in prefix)


def _pairs(recipe: Recipe, phase: Phase) -> Iterator[Pair]:
    traffic, trace = recipe.case.traffic, recipe.case.load.trace
    if traffic.input_tokens.kind != "trace" or trace is None:
        yield from pairs(traffic, recipe.shape(f"{phase} lengths"))
        return
    while True:
        yield from (Pair(row.input_tokens, row.output_tokens, row.hash_ids) for row in read_trace(trace))
        if phase == "measured":
            return


def _prefixes(recipe: Recipe, phase: Phase) -> Iterator[tuple[tuple[str, int], ...]]:
    """The beginning of each prompt, drawn as `load.draw` draws it: in turn while warming up, by chance after that."""
    prefix = recipe.case.traffic.prefix
    if prefix is None:
        yield from repeat(())
        return
    choices, number = recipe.shape("prefixes"), 0
    while True:
        index: int | None = number % prefix.count
        if phase == "measured":
            shared, drawn = choices.random() < prefix.share, int(choices.integers(0, prefix.count))
            index = drawn if shared else None
        number += 1
        yield () if index is None else ((f"prefix {index}", prefix.tokens),)


def _documents(recipe: Recipe, phase: Phase) -> Iterator[Ask]:
    """Documents to embed, or to rank, each of which is read together with the query."""
    traffic, lengths = recipe.case.traffic, recipe.shape(f"{phase} lengths")
    query_tokens = traffic.query_tokens or traffic.input_tokens
    while True:
        query = draw(query_tokens, lengths, least=1) if traffic.kind == "rerank" else 0
        tokens = [draw(traffic.input_tokens, lengths, least=1) for _ in range(traffic.documents)]
        yield Ask(0.0, sum(tokens) + query * len(tokens), 0)


def _rows(recipe: Recipe, phase: Phase) -> Iterator[Ask]:
    for drawn in draws(recipe, phase):
        yield Ask(0.0, max(1, drawn.prompt_tokens), drawn.output_tokens, drawn.turn)


def _speech(recipe: Recipe, phase: Phase) -> Iterator[Ask]:
    del recipe, phase
    raise ConfigError(
        "how many tokens a model makes of a text to speak is its own affair, so this cannot be predicted", field="traffic"
    )


_KINDS: Mapping[TrafficKind, Callable[[Recipe, Phase], Iterator[Ask]]] = {
    "text": _texts,
    "images": _texts,
    "embeddings": _documents,
    "rerank": _documents,
    "dataset": _rows,
    "speech": _speech,
}
