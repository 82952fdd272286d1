"""
What requests hold beyond what the text of their traffic says: prefixes, turns, data sets, images, what a cache has seen.

Rule: whatever does not go together is refused here, for suites and for cases that were made by hand alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pytest_inferbench.cases.case import Api, Cache, Lengths, Load, Traffic, TrafficKind
from pytest_inferbench.cases.matrix import Options
from pytest_inferbench.errors import ConfigError

_TEXT_APIS: tuple[Api, ...] = (
    "chat",
    "completions",
    "completions-tokens",
    "responses",
    "anthropic",
    "tgi",
    "triton",
    "template",
)
APIS_OF: Mapping[TrafficKind, tuple[Api, ...]] = {
    # Servers that embed or rank are also measured with plain texts.
    "text": (*_TEXT_APIS, "embeddings", "rerank", "rerank-tei"),
    "embeddings": ("embeddings", "template"),
    "rerank": ("rerank", "rerank-tei", "template"),
    "images": ("chat", "responses", "anthropic", "template"),
    "speech": ("speech", "template"),
    "dataset": _TEXT_APIS,
}
"""The APIs that can send a kind of traffic."""

NEEDS: Mapping[str, tuple[str, Callable[[Traffic], bool]]] = {
    "prefix": ("cache: shared", lambda traffic: traffic.prefix is not None),
    "dataset": ("traffic: dataset", lambda traffic: traffic.dataset is not None),
    "documents": ("traffic such as E(64) or R(64,100)", lambda traffic: traffic.kind in ("embeddings", "rerank")),
    "images": ("traffic such as I(512,512)", lambda traffic: traffic.images is not None),
}
"""By field: what has to be there for it to be in a case, and whether it is."""


def completed(traffic: Traffic, cache: Cache, options: Options) -> Traffic:
    """The traffic of a matrix with what the options say beside it; each is left out where it does not belong."""
    changed = replace(
        traffic,
        cache=cache,
        turns=options.turns,
        think_time_s=options.think_time,
        prefix=options.prefix if cache == "shared" and traffic.kind == "text" else None,
        dataset=options.dataset if traffic.kind == "dataset" else None,
        documents=options.documents if traffic.kind in ("embeddings", "rerank") else 1,
    )
    if traffic.images is None:
        return changed
    beside = options.images
    return replace(
        changed,
        images=replace(traffic.images, format=beside.format),
        input_tokens=Lengths(kind="fixed", first=beside.prompt_tokens),
        output_tokens=Lengths(kind="fixed", first=beside.output_tokens),
    )


def check_traffic(traffic: Traffic, *, api: Api, load: Load) -> None:
    """
    Refuse what cannot be sent.

    Raises:
        ConfigError: parts of the traffic, or the traffic and its API or load, do not go together; names the field.
    """
    _check_api(traffic, api)
    _check_turns(traffic, load)
    _check_cache(traffic, load)
    if traffic.kind == "dataset" and traffic.dataset is None:
        raise ConfigError('is missing: traffic "dataset" needs a file, such as {path: prompts.jsonl}', field="dataset")


def _check_api(traffic: Traffic, api: Api) -> None:
    apis = APIS_OF[traffic.kind]
    # Where there is none at all, the traffic itself is fine; whoever plans it says that it cannot be sent.
    if apis and api not in apis:
        raise ConfigError(f"{api!r} cannot send {traffic.text}; it takes {' or '.join(apis)}", field="api")


def _check_turns(traffic: Traffic, load: Load) -> None:
    if traffic.turns == 1:
        if traffic.think_time_s:
            raise ConfigError("is the time between two turns, and there is one only; give turns as well", field="think_time")
    elif traffic.kind != "text":
        raise ConfigError(f"more than one needs a traffic of text such as D(512,128), not {traffic.text}", field="turns")
    elif load.max_in_flight is not None:
        raise ConfigError("is a cap on single requests, and does not go with turns; leave one out", field="max_in_flight")


def _check_cache(traffic: Traffic, load: Load) -> None:
    if traffic.cache == "warm" and load.requests is None:
        raise ConfigError(
            "'warm' sends every prompt once before the load begins, so it needs a number of requests", field="cache"
        )
    if traffic.cache != "shared":
        return
    if traffic.kind == "text" and traffic.prefix is None:
        raise ConfigError("'shared' needs to know what is shared; give prefix, such as {tokens: 512}", field="cache")
    if traffic.kind not in ("text", "dataset"):
        raise ConfigError(f"'shared' needs a traffic of text or a data set, not {traffic.text}", field="cache")
    _check_prefix(traffic)


def _check_prefix(traffic: Traffic) -> None:
    lengths, prefix = traffic.input_tokens, traffic.prefix
    if prefix is None:
        return
    if lengths.kind == "uniform":
        most = lengths.second - 1
    elif lengths.kind in ("fixed", "choice"):
        most = max(lengths.choices, default=lengths.first)
    else:
        return
    if prefix.tokens >= most:
        raise ConfigError(
            f"{prefix.tokens} tokens are all of a prompt of {traffic.text}, and a prompt needs a token of its own; ask for fewer",
            field="prefix",
        )
