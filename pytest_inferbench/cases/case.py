"""
What is measured: one case, and the parts it is made of.

Rule: everything here is frozen data that a person chose. Nothing here looks at the machine, reads a clock or a file, and a
case is never changed after it was made.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from math import inf
from typing import Literal

Api = Literal["chat", "completions"]
Arrival = Literal["closed", "poisson", "constant"]
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a person wrote a thing: a file and, where known, its line (from 1)."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """
    Which model server, and how it is asked to run.

    ``args`` are the engine's own options as (name, value) pairs in the order written, ``env`` its environment. A value in
    ``env`` of the form ``${NAME}`` is read from the environment when the server starts and is never written anywhere.
    """

    name: str
    image: str | None = None
    args: tuple[tuple[str, Scalar | None], ...] = ()
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """
    How many tokens one side of a request has.

    ``fixed``: exactly ``first``. ``normal``: mean ``first``, standard deviation ``second``. ``uniform``: from ``first``
    (included) to ``second`` (excluded), as genai-bench draws them.
    """

    kind: Literal["fixed", "normal", "uniform"]
    first: int
    second: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What requests look like; ``text`` is the canonical form of the grammar, such as ``D(512,128)``."""

    text: str
    input_tokens: Lengths
    output_tokens: Lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    How requests arrive, and for how long.

    Exactly one of ``concurrency`` (closed loop: that many users, each waiting for its answer) and ``rate_per_s`` (open loop:
    requests a second, whatever the server does; ``inf`` sends all at once) is set. The load ends after ``requests`` measured
    requests or ``duration_s`` seconds, whichever is set (both: whichever comes first). ``warmup`` requests go first and are
    in no figure.
    """

    concurrency: int | None = None
    rate_per_s: float | None = None
    arrival: Arrival = "closed"
    requests: int | None = 100
    duration_s: float | None = None
    warmup: int = 0

    @property
    def open_loop(self) -> bool:
        """True where requests are sent at their own times, whatever the server does."""
        return self.rate_per_s is not None

    @property
    def label(self) -> str:
        """The load level as it stands in a test id: ``c64``, ``r5``, ``r0.5``, ``rinf``; a constant rate is ``r5const``."""
        if self.rate_per_s is None:
            return f"c{self.concurrency}"
        rate = "inf" if self.rate_per_s == inf else f"{self.rate_per_s:g}"
        return f"r{rate}const" if self.arrival == "constant" else f"r{rate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The longest the client waits, in seconds: to connect, for the first token, between two reads, for a whole request."""

    connect_s: float = 10.0
    first_token_s: float = 300.0
    stall_s: float = 60.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One benchmark: this traffic, at this load, on this model server.

    ``model`` is what the person wrote (a catalogue name, a hub name, or a path). ``slo`` holds the objectives as written;
    the objectives stage gives them meaning. ``id`` is unique in its suite and is what a person types after ``-k``.
    ``extra_body`` is a JSON object (as text; empty for none) of fields laid over every request's own.
    ``expected_miss`` says why this case is expected to miss its objectives; None where it is expected to meet them.
    """

    id: str
    suite: str
    hardware: str
    engine: EngineSpec
    model: str
    tensor_parallel: int
    traffic: Traffic
    load: Load
    api: Api = "chat"
    slo: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    origin: Origin | None = None
    expected_miss: str | None = None
    extra_body: str = ""

    @property
    def server_key(self) -> str:
        """Twelve hex digits that are the same for cases that one running server can answer."""
        parts = (self.hardware, self.engine.name, self.engine.image, self.engine.args, self.engine.env)
        text = json.dumps([*parts, self.model, self.tensor_parallel])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def axes(self) -> dict[str, str | int | float]:
        """The case's place in its matrix, as plain values: what ``-m "case(tp=2)"`` matches and tables group by."""
        axes: dict[str, str | int | float] = {
            "suite": self.suite,
            "hardware": self.hardware,
            "engine": self.engine.name,
            "model": self.model,
            "tp": self.tensor_parallel,
            "traffic": self.traffic.text,
            "api": self.api,
        }
        if self.load.rate_per_s is None:
            axes["concurrency"] = self.load.concurrency or 0
        else:
            axes["rate"] = self.load.rate_per_s
        return axes
