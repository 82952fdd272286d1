"""
Suites for tools that only send load: what they measure is already running, somewhere.

Rule: an address is no part of a suite, because it is where a run takes place and not what is measured. It becomes a note that
says which option to give it to, and so does a key, by the name of its variable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

DEFAULT_PATHS: Mapping[str, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "tgi": "/generate_stream",
    "embeddings": "/v1/embeddings",
    "rerank": "/v1/rerank",
    "rerank-tei": "/rerank",
    "speech": "/v1/audio/speech",
}
HARDWARE_NOTE = "an endpoint does not say what it runs on: cpu stands for the machine that sends the load"


def at_endpoint(name: str, *, api: str, matrix: Mapping[str, Any], load: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """A suite for an endpoint that is already there; ``others`` that are None, False or empty are left out."""
    suite = {
        "suite": name,
        "hardware": "cpu",
        "engine": "openai",
        "api": api,
        "matrix": present(matrix),
        "load": present(load),
        **present(others),
    }
    return {key: found for key, found in suite.items() if found != {}}


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: found for name, found in values.items() if found not in (None, {}, [])}


def address_note(url: str | None) -> tuple[str, ...]:
    """Where to say which endpoint it is; user and password are left out of it."""
    if not url:
        return (HARDWARE_NOTE, "no endpoint stands in it: give one with --inferbench-endpoint URL")
    parts = urlsplit(url if "//" in url else f"http://{url}")
    bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return (HARDWARE_NOTE, f"the endpoint is no part of a suite: give it with --inferbench-endpoint {bare}")


def path_of(url: str | None, api: str) -> str | None:
    """The path of a URL where it is another than the API's own; None else."""
    path = urlsplit(url if url and "//" in url else f"http://{url or ''}").path.rstrip("/")
    own = DEFAULT_PATHS.get(api)
    return None if path in ("", "/v1", own) else path


def key_note(name: str) -> str:
    """What is said of a key on a command line."""
    return f"{name}: a key is not taken over: set INFERBENCH_API_KEY, or name a variable with --inferbench-api-key-env"


def normal(mean_in: float, sd_in: float, mean_out: float, sd_out: float) -> str:
    """Traffic of these means and standard deviations; fixed where there is no deviation at all."""
    figures = [max(0, math.floor(figure + 0.5)) for figure in (mean_in, sd_in, mean_out, sd_out)]
    if not figures[1] and not figures[3]:
        return f"D({figures[0]},{figures[2]})"
    return f"N({figures[0]},{figures[1]})/({figures[2]},{figures[3]})"
