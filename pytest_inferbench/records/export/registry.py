"""
Every format that can be written.

Rule: a new format is a module with ``files`` and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.export import (
    aiperf,
    genai_bench,
    gie,
    github_action_benchmark,
    guidellm,
    inference_benchmarker,
    inference_perf,
    inferx,
    llm_d,
    lpg,
    nm_vllm,
    pytest_benchmark,
    vllm,
)
from pytest_inferbench.records.export.exportable import Export, Exportable

FORMATS: dict[str, Callable[[Sequence[Exportable]], Export]] = {
    "vllm": vllm.files,
    "genai-bench": genai_bench.files,
    "guidellm": guidellm.files,
    "aiperf": aiperf.files,
    "inference-perf": inference_perf.files,
    "lpg": lpg.files,
    "gie": gie.files,
    "nm-vllm": nm_vllm.files,
    "github-action-benchmark": github_action_benchmark.files,
    "pytest-benchmark": pytest_benchmark.files,
    "llm-d": llm_d.files,
    "inferx": inferx.files,
    "inference-benchmarker": inference_benchmarker.files,
}


def parse_formats(text: str) -> tuple[str, ...]:
    """
    The formats named in ``vllm,genai-bench``, each once; ``all`` is all of them.

    Raises:
        ConfigError: one is not known, or none is named; names the nearest.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"no format is named; formats: {', '.join(FORMATS)}, or all")
    if "all" in names:
        return tuple(FORMATS)
    for name in names:
        if name not in FORMATS:
            near = get_close_matches(name, FORMATS, n=3, cutoff=0.5)
            advice = f"did you mean {' or '.join(near)}?" if near else f"formats: {', '.join(FORMATS)}, or all"
            raise ConfigError(f"{name!r} is not a format that can be written; {advice}")
    return tuple(dict.fromkeys(names))
