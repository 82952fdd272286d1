"""
The plan: every request of a case as the bytes that will be sent, and the instant of each.

A plan is made before the load starts and lies in two files that have no name (nothing is left behind, whatever happens); the
load process reads a body when it sends it, and does nothing else to it. Where the number of requests is not
known beforehand (a closed loop that lasts for a time), the plan grows while it is used.

The same case, seed and salt give the same plan. Shape (lengths, instants) depends on the seed only; the words of the prompts
depend on the salt as well, which differs from run to run unless a seed was asked for: so the prompt cache of a server that
was running before never answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import IO

import orjson

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.content import check_traffic
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.content import Content
from pytest_inferbench.load.draw import Drawn, draws
from pytest_inferbench.load.instants import instants
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.row import FIRST, ROW

__all__ = ["PlanFile", "Recipe", "Request", "make_plan"]

_BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """
    One planned request; all but its body is as in `row.ROW`.

    ``follows``: it is the next turn of the conversation of the request before it.
    """

    due_ns: int
    prompt_tokens: int
    output_tokens: int
    body: bytes
    follows: bool = False
    cached_tokens: int = 0


class PlanFile:
    """
    A plan on disk, in files without a name; rows are only ever added.

    ``warmup`` rows come first; ``complete`` is False while more can be asked for with `extend`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.warmup = _warmup_rows(recipe.case)
        self.tokens = recipe.counter
        self._bodies: IO[bytes] = tempfile.TemporaryFile(prefix="inferbench-plan-")  # noqa: SIM115 - closed by close()
        self._rows: IO[bytes] = tempfile.TemporaryFile(prefix="inferbench-plan-")  # noqa: SIM115 - closed by close()
        self._hash = hashlib.sha256()
        self._source = itertools.chain(_warmup(recipe), _measured(recipe))
        # Whole conversations, so that a turn that is not there yet never will be.
        turns = recipe.case.traffic.turns
        self.block = -(-_BLOCK // turns) * turns
        self.rows = 0
        self.complete = False

    @property
    def measured(self) -> int:
        """Measured rows so far."""
        return max(0, self.rows - self.warmup)

    @property
    def sha256(self) -> str:
        """Of every row so far: instants, lengths and bytes."""
        return self._hash.hexdigest()

    @property
    def descriptors(self) -> tuple[int, int]:
        """File descriptors of rows and bodies, for the load process to inherit."""
        return self._rows.fileno(), self._bodies.fileno()

    def extend(self, count: int | None = None) -> None:
        """
        Add up to ``count`` rows (as a rule ``block``); sets ``complete`` when there are no more.

        Raises:
            LoadError: no prompt of such a length can be made, or there is no room for the plan.
        """
        count = self.block if count is None else count
        try:
            added = self._extend(count)
        except OSError as error:
            raise LoadError(
                f"the plan of the requests cannot be written to {tempfile.gettempdir()}: {error.strerror}; "
                "free some space there, or set TMPDIR to a folder that has more"
            ) from error
        self.rows += added
        self.complete = added < count

    def _extend(self, count: int) -> int:
        added = 0
        for request in itertools.islice(self._source, count):
            row = ROW.pack(
                request.due_ns,
                self._bodies.tell(),
                len(request.body),
                request.prompt_tokens,
                request.output_tokens,
                self.rows + added - 1 if request.follows else FIRST,
                request.cached_tokens,
            )
            self._hash.update(row)
            self._hash.update(request.body)
            self._bodies.write(request.body)
            self._rows.write(row)
            added += 1
        self._bodies.flush()
        self._rows.flush()
        return added

    def read_rows(self) -> bytes:
        """All rows as bytes; each is a `ROW`."""
        self._rows.seek(0)
        rows = self._rows.read()
        self._rows.seek(0, 2)
        return rows

    def close(self) -> None:
        """Give the disk space back."""
        for file in (self._bodies, self._rows):
            # On a full disk closing fails, too, and nobody needs what is lost.
            with contextlib.suppress(OSError):
                file.close()


def make_plan(recipe: Recipe) -> PlanFile:
    """
    The plan of a case: whole where its number of requests is known, else its first thousand.

    Raises:
        ConfigError: a load that never ends.
        LoadError: no prompt of such a length can be made, or there is no room for the plan.
    """
    _check(recipe.case)
    load = recipe.case.load
    plan = PlanFile(recipe)
    bounded = load.requests is not None or load.open_loop
    try:
        plan.extend(plan.warmup + plan.block)
        while bounded and not plan.complete:
            plan.extend()
    except BaseException:
        plan.close()
        raise
    return plan


def _check(case: Case) -> None:
    load = case.load
    if load.requests is None and load.duration_s is None and load.trace is None:
        raise ConfigError("a load needs requests or duration, else it never ends", field="load")
    if load.open_loop and load.requests is None and load.rate_per_s == inf:
        raise ConfigError("an infinite rate needs a number of requests", field="load.requests")
    check_traffic(case.traffic, api=case.api, load=load)


def _warmup_rows(case: Case) -> int:
    """Rows before the measured ones: warm-up, and all of the measured ones once where the server is to know them."""
    load = case.load
    return load.warmup + (load.requests or 0 if case.traffic.cache == "warm" else 0)


def _warmup(recipe: Recipe) -> Iterator[Request]:
    case = recipe.case
    if case.load.warmup:
        yield from _requests(recipe, draws(recipe, "warm-up"), itertools.repeat(0, case.load.warmup))
    if case.traffic.cache == "warm":
        known = (drawn._replace(output_tokens=1, turn=0) for drawn in draws(recipe, "measured"))
        yield from _requests(recipe, known, itertools.repeat(0, case.load.requests or 0))


def _measured(recipe: Recipe) -> Iterator[Request]:
    case = recipe.case
    drawn = draws(recipe, "measured")
    if case.traffic.cache == "warm":
        drawn = (each._replace(cached_tokens=each.prompt_tokens) for each in drawn)
    due_ns = instants(case.load, recipe.shape("arrivals"))
    yield from itertools.islice(_requests(recipe, drawn, due_ns), case.load.requests)


def _requests(recipe: Recipe, drawn: Iterator[Drawn], due: Iterator[int]) -> Iterator[Request]:
    """The requests that are drawn, as bytes; first turns come at the instants of ``due``, and with these they end."""
    case = recipe.case
    api = api_named(case.api, case.api_options)
    think_ns = round(case.traffic.think_time_s * 1e9)
    for each in drawn:
        due_ns = think_ns if each.turn else next(due, None)
        if due_ns is None:
            return
        content = _numbered(each.content, recipe) if api.wants_token_ids else each.content
        body = api.body(content, model=recipe.model, output_tokens=each.output_tokens, extra=recipe.extra_body)
        yield Request(
            due_ns,
            each.prompt_tokens,
            each.output_tokens if api.makes_tokens else 0,
            orjson.dumps(body),
            follows=each.turn > 0,
            cached_tokens=each.cached_tokens,
        )


def _numbered(content: Content, recipe: Recipe) -> Content:
    """The content with the numbers of its tokens."""
    ids = recipe.counter.ids(content.text)
    if ids is None:
        raise ConfigError(
            f"{recipe.case.api!r} sends token ids, and there is no tokenizer: give the model's (--tokenizer PATH)", field="api"
        )
    return replace(content, token_ids=ids)
