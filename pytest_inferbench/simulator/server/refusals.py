"""
How engines say no: the status and the JSON of each kind of refusal, in the shape that an engine's clients know.

Rule: pure. Facts about shapes come from the engines' public API descriptions; the sentences are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson

from pytest_inferbench.simulator.batching import ContextTooLong
from pytest_inferbench.simulator.server.asking import Refused

Body = dict[str, Any]

_VLLM_TYPES = {400: "BadRequestError", 404: "NotFoundError", 429: "TooManyRequestsError", 503: "ServiceUnavailableError"}
_LLAMACPP_TYPES = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error", 503: "unavailable_error"}
_TGI_TYPES = {404: "not_found", 422: "validation", 429: "overloaded", 500: "generation", 503: "unhealthy"}
# They answer for whatever model a request names, having only one.
_ANY_MODEL = frozenset({"tgi", "llamacpp", "sglang"})


def checks_model(engine: str) -> bool:
    """Whether the engine refuses requests for a model that it does not serve."""
    return engine not in _ANY_MODEL


def refusal(engine: str, refused: Refused) -> tuple[int, bytes]:
    """Status and body, as the engine has them."""
    status = _status(engine, refused)
    return status, orjson.dumps(_BODIES.get(engine, _openai)(status, refused))


def too_long(engine: str, error: ContextTooLong) -> Refused:
    """A request that is longer than the deployment takes, in the engine's manner."""
    prompt, output, context = error.prompt_tokens, error.output_tokens, error.context_tokens
    why = str(error)
    if engine == "tgi":
        why = (
            f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {context}. "
            f"Given: {prompt} `inputs` tokens and {output} `max_new_tokens`"
        )
    elif engine == "llamacpp":
        why = f"the request has {prompt} tokens, which is more than the context of {context} tokens has room for"
    return Refused(400, why, kind="context", param="max_tokens" if output else None)


def _status(engine: str, refused: Refused) -> int:
    if engine == "tgi" and refused.kind in {"invalid", "context", "json"}:
        return 422
    return refused.status


def _openai(status: int, refused: Refused) -> Body:
    """As vLLM has them, and those that took its shape over."""
    if refused.kind in {"path", "method"}:
        return {"detail": HTTPStatus(status).phrase}
    kind = _VLLM_TYPES.get(status, "InternalServerError")
    return {"error": {"message": str(refused), "type": kind, "param": refused.param, "code": status}}


def _sglang(status: int, refused: Refused) -> Body:
    if refused.kind in {"path", "method"}:
        return {"detail": HTTPStatus(status).phrase}
    kind = _VLLM_TYPES.get(status, "InternalServerError")
    return {"object": "error", "message": str(refused), "type": kind, "param": refused.param, "code": status}


def _tgi(status: int, refused: Refused) -> Body:
    return {"error": str(refused), "error_type": _TGI_TYPES.get(status, "generation")}


def _llamacpp(status: int, refused: Refused) -> Body:
    kind = "exceed_context_size_error" if refused.kind == "context" else _LLAMACPP_TYPES.get(status, "server_error")
    return {"error": {"code": status, "message": str(refused), "type": kind}}


_BODIES: dict[str, Callable[[int, Refused], Body]] = {"sglang": _sglang, "tgi": _tgi, "llamacpp": _llamacpp}
