"""
Request rates for a model on an accelerator, from an idle to a saturated server, where a benchmark names none.

The table and the formula are those of the benchmark tool of the Gateway API inference extension
(``manifestgenerator/utils/benchmark_config.go``): the rates that one accelerator can take, times the accelerators, shared by the
models.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_inferbench.errors import ConfigError

_L4 = tuple(range(1, 11))
_A100 = (2, 4, 6, 8, 10, 12, 16, 24, 28, 30, 32, 34, 36, 40)
RATES_PER_S: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "meta-llama/Llama-2-7b-hf": {
        "nvidia-l4": _L4,
        "nvidia-tesla-a100": _A100,
        "nvidia-h100-80gb": (10, 20, 30, 40, 60, 70, 80, 90, 100),
    },
    "meta-llama/Llama-3.1-8B-Instruct": {
        "nvidia-l4": _L4,
        "nvidia-tesla-a100": _A100,
        "nvidia-h100-80gb": (10, 20, 30, 40, 60, 80, 90, 100, 120, 140, 180),
    },
    "google/gemma-2-27b": {"nvidia-h100-80gb": (2, 4, 6, 10, 12, 16, 20, 24, 28, 32)},
}


def request_rates(model: str, accelerator: str, *, accelerators: int, models: int) -> list[str]:
    """
    Rates in requests a second, each with one digit after the point: table x ``accelerators`` / ``models``.

    Raises:
        ConfigError: the table has no such model, or not on that accelerator.
    """
    known = RATES_PER_S.get(model)
    if known is None:
        raise ConfigError(f"are not given, and there are no automatic ones for {model!r}; known: {', '.join(RATES_PER_S)}")
    if accelerator not in known:
        problem = f"are not given, and there are no automatic ones for {model} on {accelerator!r}"
        raise ConfigError(f"{problem}; known: {', '.join(known)}")
    return [f"{rate * accelerators / models:.1f}" for rate in known[accelerator]]
