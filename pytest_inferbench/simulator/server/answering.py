"""
What happens to a request for an answer: read, decided, and made a job of the step model.

Rule: a request is refused here or becomes an exchange; nothing is waited for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.batching import ContextTooLong, Job
from pytest_inferbench.simulator.faults import HEADER, RequestFault
from pytest_inferbench.simulator.server import asking, gathered, refusals
from pytest_inferbench.simulator.server.asking import Ask, Refused
from pytest_inferbench.simulator.server.connection import Connection, Exchange, Request
from pytest_inferbench.simulator.server.delivery import Direct, Slow
from pytest_inferbench.simulator.server.exchange import NO_FAULT, GatheredExchange, Hanging, Place, TextExchange
from pytest_inferbench.simulator.server.figures import Figures
from pytest_inferbench.simulator.server.forms import Answer, ChatForm, CompletionsForm, Form, ResponsesForm, TgiForm
from pytest_inferbench.simulator.server.pacer import Pacer
from pytest_inferbench.simulator.server.pages import Facts
from pytest_inferbench.simulator.server.settings import Settings
from pytest_inferbench.simulator.server.tokens import chain, pieces
from pytest_inferbench.simulator.server.wording import Wording, wording

_FINISH_APART = frozenset({"llamacpp", "sglang"})
# These cut an answer where the context ends; the others refuse a request that could get there.
_CUT_AT_CONTEXT = frozenset({"llamacpp", "ollama"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TextApi:
    """
    A path that makes text.

    Attributes:
        read: makes an ask of the JSON.
        form: spells the answer.
        tokens_default: of an answer where the request does not say; None: what the context has room for.
        engine: the only one that has it; None: all.
    """

    read: Callable[[Mapping[str, Any]], Ask]
    form: Callable[[Answer], Form]
    tokens_default: int | None = None
    engine: str | None = None


TEXT_APIS: Mapping[str, TextApi] = {
    "/v1/chat/completions": TextApi(read=asking.chat, form=ChatForm),
    "/v1/completions": TextApi(read=asking.completions, form=CompletionsForm, tokens_default=16),
    "/v1/responses": TextApi(read=asking.responses, form=ResponsesForm),
    "/generate": TextApi(read=partial(asking.generate, stream=False), form=TgiForm, tokens_default=100, engine="tgi"),
    "/generate_stream": TextApi(read=partial(asking.generate, stream=True), form=TgiForm, tokens_default=100, engine="tgi"),
}


class Answering:
    """
    Begins the answers to requests.

    Args:
        facts: what the server says of itself.
        pacer: runs the jobs.
        figures: what is counted.
        settings: among them what goes wrong, and the seed of words, lengths, and which requests are refused.
        ended: told when a request was answered whole.
    """

    def __init__(self, facts: Facts, pacer: Pacer, figures: Figures, settings: Settings, *, ended: Callable[[], None]) -> None:
        self._facts = facts
        self._pacer = pacer
        self._figures = figures
        self._faults = settings.faults
        self._seed = settings.seed
        self._ended = ended
        self._draw = random.Random(settings.seed)  # noqa: S311 - chance that repeats, nothing secret
        self._number = 0
        self._block = pacer.batcher.deployment.engine.block_tokens
        self._hidden = pacer.batcher.deployment.model.hidden

    def text(self, api: TextApi, request: Request, connection: Connection) -> Exchange | None:
        """
        Begin an answer in text.

        Raises:
            Refused: it is not answered.
        """
        received_s = monotonic()
        fault = self._fault_of(request)
        ask = api.read(self._asked(request))
        if fault.hang:
            return Hanging()
        prompt_tokens = max(1, len(ask.prompts[0]))
        said = wording(ask, seed=self._seed, tokens_max=self._tokens_max(ask, prompt_tokens, api.tokens_default))
        answer = self._answer(ask, said, prompt_tokens=prompt_tokens, fault=fault)
        place = self._place(connection, fault)
        exchange = TextExchange(answer, api.form(answer), place=place, stream=ask.stream, received_s=received_s)
        keys = chain([*ask.prompts[0], *(word.strip() for word in said.words)], self._block)
        self._add(Job(id=answer.name, prompt_tokens=prompt_tokens, output_tokens=len(said.words), prefix=keys), exchange)
        self._pacer.begin()
        return exchange

    def gathered(self, kind: gathered.Kind, request: Request, connection: Connection) -> Exchange | None:
        """
        Begin an answer that is no text.

        Raises:
            Refused: it is not answered.
        """
        fault = self._fault_of(request)
        asked = self._asked(request)
        ask = kind.read(asked)
        if fault.hang:
            return Hanging()
        body = partial(kind.body, asked, ask, self._facts.model, self._hidden)
        names = [self._next_name() for _ in ask.prompts]
        exchange = GatheredExchange(names, place=self._place(connection, fault), body=body)
        try:
            for name, prompt in zip(names, ask.prompts, strict=True):
                self._add(Job(id=name, prompt_tokens=max(1, len(prompt)), output_tokens=0), exchange)
        except Refused:
            for name in names:
                self._pacer.abort(name)
            raise
        self._pacer.begin()
        return exchange

    def tokenized(self, request: Request) -> object:
        """
        The tokens of a text or of messages, as the engine spells them.

        Raises:
            Refused: there is neither.
        """
        asked = asking.read_object(request.body)
        name = next((name for name in ("prompt", "content", "inputs", "text") if isinstance(asked.get(name), str)), None)
        tokens = asking.chat({"messages": asked["messages"]}).prompts[0] if "messages" in asked else None
        if tokens is None:
            if name is None:
                raise Refused(400, "prompt must be a text", param="prompt")
            tokens = pieces(asked[name])
        return gathered.tokenized(self._facts, tokens)

    def detokenized(self, request: Request) -> object:
        """
        The text of numbers of tokens.

        Raises:
            Refused: there are none.
        """
        asked = asking.read_object(request.body)
        return gathered.detokenized(self._facts, asking.prompts(asked.get("tokens", asked.get("ids")), name="tokens")[0])

    def _fault_of(self, request: Request) -> RequestFault:
        index, self._figures.requests = self._figures.requests, self._figures.requests + 1
        try:
            fault = self._faults.on_request(index, request.headers.get(HEADER), self._draw.random())
        except ConfigError as error:
            raise Refused(400, str(error), param=HEADER) from error
        if fault.status is not None:
            raise Refused(fault.status, _FAULT_WORDS[fault.status], kind="fault", retry_after_s=fault.retry_after_s)
        return NO_FAULT if fault == NO_FAULT else fault

    def _asked(self, request: Request) -> dict[str, Any]:
        asked = asking.read_object(request.body)
        model = asked.get("model")
        if model is not None and model != self._facts.model and refusals.checks_model(self._facts.engine):
            raise Refused(404, f"The model `{model}` does not exist.", kind="model", param="model")
        return asked

    def _tokens_max(self, ask: Ask, prompt_tokens: int, default: int | None) -> int:
        context = self._facts.context_tokens
        room = context - prompt_tokens
        wanted = ask.tokens_max if ask.tokens_max is not None else min(room, default or room)
        if wanted > room >= 1 and self._facts.engine in _CUT_AT_CONTEXT:
            return room
        if not 1 <= wanted <= room:
            error = ContextTooLong(prompt_tokens=prompt_tokens, output_tokens=max(wanted, 0), context_tokens=context)
            raise refusals.too_long(self._facts.engine, error) from error
        return wanted

    def _answer(self, ask: Ask, said: Wording, *, prompt_tokens: int, fault: RequestFault) -> Answer:
        return Answer(
            name=self._next_name(),
            created_s=int(datetime.now(tz=UTC).timestamp()),
            model=self._facts.model,
            wording=said,
            prompt_tokens=prompt_tokens,
            output_tokens=max(0, len(said.words) + fault.usage_offset),
            usage=ask.usage if fault.usage else None,
            finish_apart=self._facts.engine in _FINISH_APART,
        )

    def _place(self, connection: Connection, fault: RequestFault) -> Place:
        plain = fault is NO_FAULT
        return Place(
            connection=connection,
            jobs=self._pacer,
            figures=self._figures,
            ended=self._ended,
            delivery=Direct(connection) if plain else Slow(connection, fault, asyncio.get_running_loop()),
            fault=fault,
        )

    def _add(self, job: Job, receiver: TextExchange | GatheredExchange) -> None:
        try:
            self._pacer.add(job, receiver)
        except ContextTooLong as error:
            raise refusals.too_long(self._facts.engine, error) from error

    def _next_name(self) -> str:
        self._number += 1
        return f"{self._number:016x}"


_FAULT_WORDS: Mapping[int, str] = {
    429: "too many requests (simulated on demand)",
    500: "internal error (simulated on demand)",
    503: "the service is unavailable (simulated on demand)",
}
