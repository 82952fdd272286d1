"""
What the simulated server says of itself, in each engine's shape: models, versions, states.

Rule: pure; every page says that it is a simulator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OWNER = "inferbench-simulator"
"""Before a slash and the engine's name, who owns the model in ``/v1/models``."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What there is to say; ``version`` is the simulator's own."""

    engine: str
    model: str
    hub: str
    hardware: str
    tensor_parallel: int
    context_tokens: int
    running_max: int
    version: str
    created_s: int

    @property
    def version_text(self) -> str:
        """As every version page has it."""
        return f"{OWNER} {self.version}, simulating {self.engine}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the info series in ``/metrics``."""
        return {
            "version": self.version,
            "engine": self.engine,
            "hardware": self.hardware,
            "model": self.model,
            "tensor_parallel": str(self.tensor_parallel),
        }


def models(facts: Facts) -> Body:
    """The list of models, with one in it."""
    entry = {
        "id": facts.model,
        "object": "model",
        "created": facts.created_s,
        "owned_by": f"{OWNER}/{facts.engine}",
        "root": facts.hub,
        "parent": None,
        "max_model_len": facts.context_tokens,
    }
    return {"object": "list", "data": [entry]}


def version(facts: Facts) -> Body:
    """The version, as vLLM, TensorRT-LLM and Ollama have it."""
    return {"version": facts.version_text, "simulated": True}


def server_info(facts: Facts) -> Body:
    """SGLang's ``/get_server_info``."""
    return {
        **version(facts),
        "model_path": facts.hub,
        "served_model_name": facts.model,
        "tp_size": facts.tensor_parallel,
        "context_length": facts.context_tokens,
        "max_running_requests": facts.running_max,
    }


def model_info(facts: Facts) -> Body:
    """SGLang's ``/get_model_info``."""
    return {"model_path": facts.hub, "is_generation": True, "simulated": True}


def tgi_info(facts: Facts) -> Body:
    """TGI's ``/info``."""
    return {
        **version(facts),
        "model_id": facts.hub,
        "max_concurrent_requests": facts.running_max,
        "max_input_tokens": facts.context_tokens - 1,
        "max_total_tokens": facts.context_tokens,
        "router": OWNER,
    }


def props(facts: Facts) -> Body:
    """llama.cpp's ``/props``."""
    return {
        "build_info": facts.version_text,
        "simulated": True,
        "model_path": facts.hub,
        "total_slots": facts.running_max,
        "default_generation_settings": {"n_ctx": facts.context_tokens},
    }


PAGES: Mapping[str, Callable[[Facts], Body]] = {
    "/v1/models": models,
    "/version": version,
    "/v1/version": version,
    "/api/version": version,
    "/get_server_info": server_info,
    "/server_info": server_info,
    "/get_model_info": model_info,
    "/info": tgi_info,
    "/props": props,
}
HEALTH = frozenset({"/health", "/ping", "/health_generate", "/v1/health/ready", "/v1/health/live", "/health/ready", "/healthz"})


def health(facts: Facts) -> Body:
    """That it is well."""
    return {"status": "ok", "simulated": True, "engine": facts.engine}
