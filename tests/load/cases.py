"""Small cases for the tests of the load stage."""

from __future__ import annotations

from typing import Any

from pytest_inferbench.cases.case import Api, Case, EngineSpec, Lengths, Limits, Load, Traffic

TINY = Limits(connect_s=0.4, first_token_s=0.4, stall_s=0.4, total_s=1.2)
"""Limits that pass quickly, for servers that never answer; far too short for anything else."""

LONG = Limits()


def fixed(tokens: int) -> Lengths:
    return Lengths(kind="fixed", first=tokens)


def case_of(
    *, api: Api = "chat", lengths: tuple[Lengths, Lengths] = (fixed(8), fixed(4)), limits: Limits = LONG, **load: Any
) -> Case:
    """A closed-loop case with one user, unless ``load`` says something else (as `Load` names it)."""
    load = {"arrival": "poisson", **load} if "rate_per_s" in load else {"concurrency": 1, **load}
    return Case(
        id="case",
        suite="suite",
        hardware="cpu",
        engine=EngineSpec(name="openai"),
        model="tiny",
        tensor_parallel=1,
        traffic=Traffic(text=f"T({lengths[0].first},{lengths[1].first})", input_tokens=lengths[0], output_tokens=lengths[1]),
        load=Load(**load),
        limits=limits,
        api=api,
    )
