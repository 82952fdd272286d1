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
from dataclasses import dataclass, field, replace
from typing import IO, Any

import numpy as np
import orjson

from pytest_inferbench.cases.case import Case, Lengths
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.content import Content, said
from pytest_inferbench.load.instants import instants
from pytest_inferbench.load.prompts import PromptMaker
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import TokenCounter

_BLOCK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything a plan is made from."""

    case: Case
    model: str
    extra_body: dict[str, Any] = field(default_factory=dict)
    seeds: Seeds
    counter: TokenCounter


@dataclass(frozen=True, slots=True)
class Request:
    """One planned request; ``due_ns`` counts from the start of the load and is 0 in a closed loop."""

    due_ns: int
    prompt_tokens: int
    output_tokens: int
    body: bytes


class PlanFile:
    """
    A plan on disk, in files without a name; rows are only ever added.

    ``warmup`` rows come first; ``complete`` is False while more can be asked for with `extend`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.warmup = recipe.case.load.warmup
        self.tokens = recipe.counter
        self._bodies: IO[bytes] = tempfile.TemporaryFile(prefix="inferbench-plan-")  # noqa: SIM115 - closed by close()
        self._rows: IO[bytes] = tempfile.TemporaryFile(prefix="inferbench-plan-")  # noqa: SIM115 - closed by close()
        self._hash = hashlib.sha256()
        self._source = itertools.chain(_warmup(recipe), _measured(recipe))
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

    def extend(self, count: int = _BLOCK) -> None:
        """
        Add up to ``count`` rows; sets ``complete`` when there are no more.

        Raises:
            LoadError: no prompt of such a length can be made, or there is no room for the plan.
        """
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
            offset = self._bodies.tell()
            row = ROW.pack(request.due_ns, offset, len(request.body), request.prompt_tokens, request.output_tokens, FIRST, 0)
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
    load = recipe.case.load
    if load.requests is None and load.duration_s is None:
        raise ConfigError("a load needs requests or duration, else it never ends", field="load")
    if load.open_loop and load.requests is None and np.isinf(load.rate_per_s or 0):
        raise ConfigError("an infinite rate needs a number of requests", field="load.requests")
    plan = PlanFile(recipe)
    bounded = load.requests is not None or load.open_loop
    try:
        plan.extend(plan.warmup + _BLOCK)
        while bounded and not plan.complete:
            plan.extend()
    except BaseException:
        plan.close()
        raise
    return plan


def _warmup(recipe: Recipe) -> Iterator[Request]:
    rng = _generator(recipe, "warm-up", recipe.seeds.salt)
    shape = _generator(recipe, "warm-up lengths")
    yield from _requests(recipe, itertools.repeat(0, recipe.case.load.warmup), shape, rng)


def _measured(recipe: Recipe) -> Iterator[Request]:
    words = _generator(recipe, "words", recipe.seeds.salt)
    due_ns = instants(recipe.case.load, _generator(recipe, "arrivals"))
    yield from _requests(recipe, due_ns, _generator(recipe, "lengths"), words)


def _requests(recipe: Recipe, due: Iterator[int], lengths: np.random.Generator, words: np.random.Generator) -> Iterator[Request]:
    api = api_named(recipe.case.api, recipe.case.api_options)
    maker = PromptMaker(recipe.counter)
    traffic = recipe.case.traffic
    for due_ns in due:
        prompt_tokens = _length(traffic.input_tokens, lengths, least=1)
        output_tokens = _length(traffic.output_tokens, lengths, least=1 if traffic.output_tokens.kind == "fixed" else 2)
        prompt = maker.prompt(prompt_tokens, words)
        content = _numbered(said(prompt), recipe) if api.wants_token_ids else said(prompt)
        body = api.body(content, model=recipe.model, output_tokens=output_tokens, extra=recipe.extra_body)
        yield Request(due_ns, prompt_tokens, output_tokens if api.makes_tokens else 0, orjson.dumps(body))


def _numbered(content: Content, recipe: Recipe) -> Content:
    """The content with the numbers of its tokens."""
    ids = recipe.counter.ids(content.text)
    if ids is None:
        raise ConfigError(
            f"{recipe.case.api!r} sends token ids, and there is no tokenizer: give the model's (--tokenizer PATH)", field="api"
        )
    return replace(content, token_ids=ids)


def _length(lengths: Lengths, rng: np.random.Generator, *, least: int) -> int:
    """One length drawn as genai-bench draws it: truncated to a whole number, and never below ``least``."""
    if lengths.kind == "fixed":
        return lengths.first
    if lengths.kind == "normal":
        return max(least, int(rng.normal(lengths.first, lengths.second)))
    return max(least, int(rng.uniform(lengths.first, lengths.second)))


def _generator(recipe: Recipe, purpose: str, salt: int = 0) -> np.random.Generator:
    """A stream of random numbers of its own for each purpose, so that drawing more of one shifts no other."""
    case = recipe.case
    text = f"{case.suite}|{case.id}|{case.traffic.text}|{case.load.label}|{purpose}"
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng([recipe.seeds.seed, salt, key])
