"""Which engines there are: the shipped ones, a line each, and those that a user's plugin adds."""

from __future__ import annotations

from difflib import get_close_matches

from pytest_inferbench.engines.custom import CommandEngine
from pytest_inferbench.engines.engine import Engine
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.engines.lmdeploy import LMDEPLOY
from pytest_inferbench.engines.nim import NIM
from pytest_inferbench.engines.ollama import OLLAMA
from pytest_inferbench.engines.openai import OpenAIEngine
from pytest_inferbench.engines.sglang import SGLANG
from pytest_inferbench.engines.tgi import TGI
from pytest_inferbench.engines.transformers import TRANSFORMERS
from pytest_inferbench.engines.trtllm import TRTLLM
from pytest_inferbench.engines.vllm import VLLM
from pytest_inferbench.errors import ConfigError

_SHIPPED: tuple[Engine, ...] = (
    LlamaCppEngine(),
    VLLM,
    SGLANG,
    TGI,
    TRTLLM,
    NIM,
    OLLAMA,
    LMDEPLOY,
    TRANSFORMERS,
    OpenAIEngine(),
    CommandEngine(),
)
_engines: dict[str, Engine] = {engine.name: engine for engine in _SHIPPED}


def engine(name: str) -> Engine:
    """
    The engine of this name.

    Raises:
        ConfigError: there is none; names those that are near.
    """
    try:
        return _engines[name]
    except KeyError:
        near = get_close_matches(name, _engines, n=3) or names()
        raise ConfigError(f"there is no engine {name!r}; did you mean {' or '.join(near)}?", field="engine") from None


def names() -> tuple[str, ...]:
    """The names of all engines, sorted."""
    return tuple(sorted(_engines))


def register(engine: Engine) -> None:
    """
    Add an engine of a user's own.

    Raises:
        ConfigError: another engine has this name already. Two plugins with one name would make records ambiguous.
    """
    present = _engines.setdefault(engine.name, engine)
    if present is not engine:
        raise ConfigError(f"the engine name {engine.name!r} is taken by {type(present).__name__}", field="engine")
