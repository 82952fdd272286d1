"""
What the requests of a plan say, drawn one after the other: each kind of traffic has its own way.

Rule: nothing here knows an instant or an API; a draw goes on as long as it can, and whoever asks decides where it ends. A new
kind of traffic is one function and one line in ``_KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pytest_inferbench.cases.case import Case, Prefix, TrafficKind
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.blocks import Blocks
from pytest_inferbench.load.content import Content, Message, said
from pytest_inferbench.load.datasets import Rows, Sample, open_rows
from pytest_inferbench.load.images import data_url
from pytest_inferbench.load.lengths import Pair, draw, pairs
from pytest_inferbench.load.prompts import PromptMaker
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.tokens import TokenCounter
from pytest_inferbench.load.trace_files import read_trace

Phase = Literal["warm-up", "measured"]

ANSWER_TOKENS = 128
"""Asked for where a row of a data set says nothing."""


class Drawn(NamedTuple):
    """
    One request; ``turn`` counts from 0 within its conversation.

    ``prompt_tokens`` are those of all that is said, as the tokenizer counts them; ``cached_tokens`` those of them that earlier
    requests of the plan have said already, where the traffic means that to be so.
    """

    content: Content
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    turn: int = 0


def draws(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    """
    The requests of one phase of a load, without end, or until the rows of a file end.

    Raises:
        ConfigError: nothing here can send such traffic, or a file cannot be read.
        LoadError: no prompt of such a length can be made.
    """
    return _KINDS[recipe.case.traffic.kind](recipe, phase)


# --- texts and conversations ------------------------------------------------------------------------------------------------


def _texts(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    traffic = recipe.case.traffic
    maker = PromptMaker(recipe.counter)
    words = recipe.words(f"{phase} words")
    prefixes, blocks = _Prefixes(recipe, phase, maker), Blocks(recipe, phase, maker)
    # Warm-up is no conversation: it is to be over soon, and nobody thinks in it.
    turns = traffic.turns if phase == "measured" else 1
    messages: tuple[Message, ...] = ()
    said_tokens = answer_tokens = turn = 0
    for pair in _pairs(recipe, phase):
        if turn == 0:
            messages, said_tokens = (), 0
            if pair.hash_ids:
                text, cached_tokens = blocks.prompt(pair.input_tokens, pair.hash_ids)
            else:
                start, cached_tokens = prefixes.start(pair.input_tokens)
                text = maker.prompt(pair.input_tokens, words, start=start)
        else:
            # The server knows all that the turn before has said, but not its answer: that one stands for the server's own, whose
            # words nobody knows beforehand.
            cached_tokens = said_tokens
            messages = (*messages, Message("assistant", maker.prompt(answer_tokens, words)))
            said_tokens += answer_tokens
            text = maker.prompt(pair.input_tokens, words)
        messages = (*messages, Message("user", text))
        said_tokens += pair.input_tokens
        answer_tokens = pair.output_tokens
        yield Drawn(Content(messages=messages), said_tokens, answer_tokens, cached_tokens, turn)
        turn = (turn + 1) % turns


def _pairs(recipe: Recipe, phase: Phase) -> Iterator[Pair]:
    traffic, trace = recipe.case.traffic, recipe.case.load.trace
    if traffic.input_tokens.kind != "trace" or trace is None:
        yield from pairs(traffic, recipe.shape(f"{phase} lengths"))
        return
    while True:
        yield from (Pair(row.input_tokens, row.output_tokens, row.hash_ids) for row in read_trace(trace))
        if phase == "measured":
            return


class _Prefixes:
    """The beginnings that prompts share, if any; each is made when it is first needed."""

    def __init__(self, recipe: Recipe, phase: Phase, maker: PromptMaker) -> None:
        self._recipe = recipe
        self._prefix: Prefix | None = recipe.case.traffic.prefix
        self._maker = maker
        self._measured = phase == "measured"
        self._choices = recipe.shape("prefixes")
        self._words: dict[int, list[str]] = {}
        self._next = 0
        # Warm-up requests go through them in turn.
        self._known: set[int] = set(range(recipe.case.load.warmup)) if self._measured else set()

    def start(self, tokens: int) -> tuple[Sequence[str], int]:
        """The first words of the next prompt of so many tokens, and how many of its tokens are known; one stays its own."""
        prefix = self._prefix
        index = None if prefix is None else self._index(prefix)
        if prefix is None or index is None:
            return (), 0
        if index not in self._words:
            text = self._maker.prompt(prefix.tokens, self._recipe.words(f"prefix {index}"))
            self._words[index] = text.split(" ")
        start = self._words[index][: tokens - 1]
        known_tokens = min(prefix.tokens, tokens - 1) if index in self._known else 0
        self._known.add(index)
        return start, known_tokens

    def _index(self, prefix: Prefix) -> int | None:
        if not self._measured:
            self._next += 1
            return (self._next - 1) % prefix.count
        shared, index = self._choices.random() < prefix.share, int(self._choices.integers(0, prefix.count))
        return index if shared else None


# --- documents and images ---------------------------------------------------------------------------------------------------


def _embeddings(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    traffic = recipe.case.traffic
    maker, words, lengths = PromptMaker(recipe.counter), recipe.words(f"{phase} words"), recipe.shape(f"{phase} lengths")
    while True:
        tokens = [draw(traffic.input_tokens, lengths, least=1) for _ in range(traffic.documents)]
        documents = tuple(maker.prompt(each, words) for each in tokens)
        yield Drawn(Content(documents=documents), sum(tokens), 0)


def _rerank(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    """Each document is read together with the query, so the tokens of a request are those of all such pairs."""
    traffic = recipe.case.traffic
    query_tokens = traffic.query_tokens or traffic.input_tokens
    maker, words, lengths = PromptMaker(recipe.counter), recipe.words(f"{phase} words"), recipe.shape(f"{phase} lengths")
    while True:
        query = draw(query_tokens, lengths, least=1)
        tokens = [draw(traffic.input_tokens, lengths, least=1) for _ in range(traffic.documents)]
        asked = Message("user", maker.prompt(query, words))
        documents = tuple(maker.prompt(each, words) for each in tokens)
        yield Drawn(Content(messages=(asked,), documents=documents), sum(tokens) + query * len(tokens), 0)


def _images(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    """Texts with images; how many tokens an image has is the model's affair, and is in no count of ours."""
    images = recipe.case.traffic.images
    pixels = recipe.words(f"{phase} pixels")
    for drawn in _texts(recipe, phase):
        urls = () if images is None else tuple(data_url(images, pixels) for _ in range(images.count))
        yield drawn._replace(content=Content(messages=drawn.content.messages, images=urls))


def _speech(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    """Texts of so many characters; how many tokens a model makes of one is its affair."""
    maker, words, characters = PromptMaker(recipe.counter), recipe.words(f"{phase} words"), recipe.case.traffic.characters
    while True:
        text = " ".join(maker.words(characters, words))[:characters]
        # A text that ends in a blank is a shorter one to whoever strips it.
        text = text[:-1] + "s" if text.endswith(" ") else text
        yield Drawn(said(text), recipe.counter.count(text), 0)


# --- rows of files ----------------------------------------------------------------------------------------------------------


def _rows(recipe: Recipe, phase: Phase) -> Iterator[Drawn]:
    case, dataset = recipe.case, recipe.case.traffic.dataset
    if dataset is None:
        raise ConfigError("traffic dataset needs a data set", field="dataset")
    rows = open_rows(dataset)
    _check_number(case, rows)
    order = recipe.shape("rows").permutation(len(rows))
    if phase == "warm-up":
        # From the other end, so that what is measured is new to the server.
        order = order[::-1]
    elif case.traffic.cache == "cold":
        order = order[: len(order) - case.load.warmup]
    known: set[int] = set()
    while True:
        for index in order.tolist():
            drawn = _drawn_row(rows.sample(index), recipe.counter)
            yield drawn._replace(cached_tokens=drawn.prompt_tokens if index in known else 0)
            known.add(index)
        if phase == "measured" and case.traffic.cache == "cold":
            return


def _check_number(case: Case, rows: Rows) -> None:
    """Refuse a cold case that would have to send a row twice, which the server would know by then."""
    load = case.load
    wanted = load.warmup + (load.requests or 1)
    if case.traffic.cache == "cold" and wanted > len(rows):
        raise ConfigError(
            f"has {len(rows)} rows, and a cold case sends none of them twice: {wanted} are wanted, warm-up included; "
            "ask for fewer requests, or write cache: shared",
            file=case.traffic.dataset.path if case.traffic.dataset else None,
        )


def _drawn_row(sample: Sample, counter: TokenCounter) -> Drawn:
    output_tokens = sample.output_tokens
    if output_tokens is None:
        output_tokens = ANSWER_TOKENS if sample.answer is None else max(1, counter.count(sample.answer))
    prompt_tokens = sum(counter.count(message.text) for message in sample.messages)
    return Drawn(Content(messages=sample.messages), prompt_tokens, output_tokens)


_KINDS: Mapping[TrafficKind, Callable[[Recipe, Phase], Iterator[Drawn]]] = {
    "text": _texts,
    "embeddings": _embeddings,
    "rerank": _rerank,
    "images": _images,
    "speech": _speech,
    "dataset": _rows,
}
