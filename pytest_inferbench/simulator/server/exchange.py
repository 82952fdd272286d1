"""
Requests that are being answered: what happens to each token, in time and in order, until the client has it all or is gone.

Rule: no exchange outlives its connection; one that is cancelled gives its slot and its blocks back at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from pytest_inferbench.simulator.faults import RequestFault
from pytest_inferbench.simulator.server.connection import END_CHUNK, Connection, chunk
from pytest_inferbench.simulator.server.delivery import Delivery
from pytest_inferbench.simulator.server.figures import Figures
from pytest_inferbench.simulator.server.forms import Answer, Form

NO_FAULT = RequestFault()


class Jobs(Protocol):
    """Where jobs can be given up."""

    def abort(self, job_id: str) -> None:
        """Forget a job."""
        ...


@dataclass(slots=True, kw_only=True)
class Place:
    """
    Where an exchange takes place.

    Attributes:
        jobs: for giving up.
        figures: what is counted.
        ended: told when the request was answered whole.
        delivery: what writes; slower than the connection itself where a fault wants it so.
        fault: what goes wrong.
    """

    connection: Connection
    jobs: Jobs
    figures: Figures
    ended: Callable[[], None]
    delivery: Delivery
    fault: RequestFault = NO_FAULT


class TextExchange:
    """A request for text: one job, whose tokens are streamed or collected."""

    __slots__ = (
        "_admitted_s",
        "_at",
        "_first_s",
        "_form",
        "_last_s",
        "_place",
        "_plain",
        "_received_s",
        "_sent",
        "_stream",
        "_total",
        "_write",
        "answer",
        "job_id",
    )

    def __init__(self, answer: Answer, form: Form, *, place: Place, stream: bool, received_s: float) -> None:
        self.job_id = answer.name
        self.answer = answer
        self._form = form
        self._place = place
        self._stream = stream
        self._received_s = self._admitted_s = self._first_s = self._last_s = received_s
        self._at = self._sent = 0
        self._total = len(answer.wording.words)
        self._write = place.delivery.write
        self._plain = place.fault is NO_FAULT

    def admitted(self, now_s: float) -> None:
        """Count the time in the queue."""
        self._admitted_s = now_s
        self._place.figures.queue.observe(max(0.0, now_s - self._received_s))

    def token(self, now_s: float) -> None:
        """Send the next token, or keep it until the answer is whole."""
        at = self._at
        self._count(at, now_s)
        if not self._plain and self._goes_wrong(at):
            return
        self._at = at + 1
        if self._stream:
            self._send(at + 1)
        elif at + 1 == self._total:
            self._place.delivery.reply(200, orjson.dumps(self._form.whole()))

    def finished(self, now_s: float) -> None:
        """Count the request, and go on to the next one of the connection."""
        figures, total = self._place.figures, self._total
        figures.finished[self.answer.wording.finish] += 1
        figures.end_to_end.observe(now_s - self._received_s)
        figures.inference.observe(now_s - self._admitted_s)
        figures.prompt_sizes.observe(self.answer.prompt_tokens)
        figures.output_sizes.observe(total)
        if total > 1:
            figures.per_output_token.observe((self._last_s - self._first_s) / (total - 1))
        if self._stream:
            self._place.delivery.then(self._place.connection.done)
        self._place.ended()

    def cancel(self) -> None:
        """The client is gone."""
        self._place.jobs.abort(self.job_id)
        self._place.figures.finished["abort"] += 1

    def _count(self, at: int, now_s: float) -> None:
        if at:
            self._place.figures.between_tokens.observe(now_s - self._last_s)
        else:
            self._first_s = now_s
            self._place.figures.first_token.observe(now_s - self._received_s)
        self._last_s = now_s

    def _send(self, made: int) -> None:
        """Send the event that is full with this token, if one is; with the first and the last one goes all around them."""
        last = made == self._total
        if not last and made - self._sent < self._place.fault.tokens_per_chunk:
            return
        data = b""
        if not self._sent:
            opening = self._form.opening()
            data = self._place.connection.stream_head() + (chunk(opening) if opening else b"")
        data += chunk(self._form.tokens(self._sent, made - self._sent))
        if last:
            closing = self._form.closing()
            data += (chunk(closing) if closing else b"") + END_CHUNK
        self._sent = made
        self._write(data)

    def _goes_wrong(self, at: int) -> bool:
        """Stall or reset before this token, where that is wanted; True where nothing comes after it."""
        fault, delivery = self._place.fault, self._place.delivery
        if at in {fault.stall_after_tokens, fault.reset_after_tokens} and self._stream and at > self._sent:
            self._flush(at)
        if at == fault.reset_after_tokens:
            delivery.then(self._place.connection.reset)
            return True
        if at == fault.stall_after_tokens:
            if not at and self._stream:
                delivery.write(self._place.connection.stream_head())
            delivery.hold(fault.stall_s)
        return False

    def _flush(self, made: int) -> None:
        """Send what a larger event was waiting for."""
        place = self._place
        self._place = replace(place, fault=replace(place.fault, tokens_per_chunk=1))
        self._send(made)
        self._place = place


class GatheredExchange:
    """A request for something that is no text: jobs that end with their prompts, and one answer for all of them."""

    def __init__(self, job_ids: list[str], *, place: Place, body: Callable[[], Any]) -> None:
        self.job_ids = job_ids
        self._left = len(job_ids)
        self._place = place
        self._body = body

    def admitted(self, now_s: float) -> None:
        """Say nothing: the queue's figures are of requests for text."""

    def token(self, now_s: float) -> None:
        """Nothing: there are none."""

    def finished(self, now_s: float) -> None:
        """Answer when the last one is done."""
        del now_s
        self._left -= 1
        if not self._left:
            self._place.figures.finished["stop"] += 1
            self._place.delivery.reply(200, orjson.dumps(self._body()))
            self._place.ended()

    def cancel(self) -> None:
        """The client is gone."""
        for job_id in self.job_ids:
            self._place.jobs.abort(job_id)
        self._place.figures.finished["abort"] += 1


class Hanging:
    """A request that is never answered."""

    def cancel(self) -> None:
        """Nothing was begun."""
