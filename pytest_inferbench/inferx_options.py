"""
InferX's own flags on ``inferbench run``: a command line of its script runs here with the name of the script replaced.

Rule: they become flags of this command before anything else is looked at; nothing behind them knows of InferX.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from pytest_inferbench.errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--prompt-dist", metavar="uniform|choices", help="InferX: how the lengths of prompts are drawn."),
    click.option("--choices-tokens", metavar="N,N,...", help="InferX: with --prompt-dist choices, the lengths."),
    click.option("--min-tokens", metavar="N", help="InferX: with --prompt-dist uniform, the shortest prompt (default: 8)."),
    click.option("--max-tokens", metavar="N", help="InferX: with --prompt-dist uniform, the longest prompt (default: 128)."),
    click.option("--request-body-template", metavar="JSON", help="InferX: the request, with {prompt} in it."),
    click.option("--sample-prompts-file", metavar="PATH", help="InferX: prompts, one a line."),
    click.option("--outdir", metavar="DIR", help="InferX: as --output; its metrics.csv begins with InferX's columns."),
    click.option("--gpu-monitor", is_flag=True, help="InferX: watch the GPUs of this machine (gpu_memory.csv)."),
)
NAMES = (
    *("prompt_dist", "choices_tokens", "min_tokens", "max_tokens", "request_body_template", "sample_prompts_file"),
    *("outdir", "gpu_monitor"),
)
"""InferX's flags that this command does not have itself."""

_SHARED = ("endpoint", "duration", "rate", "concurrency")
_CONTENT = ("traffic", "dataset", "trace")
# The flag of InferX behind each one of this command, where both say the same thing.
_BEHIND = {
    "traffic": ("prompt_dist", "choices_tokens", "min_tokens", "max_tokens"),
    "dataset": ("sample_prompts_file",),
    "output": ("outdir",),
    "body_template": ("request_body_template",),
    "max_in_flight": ("concurrency",),
}


def inferx_options(function: Function) -> Function:
    """Give a command InferX's flags, after its own."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def as_native(flags: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """
    The flags of ``inferbench run`` alone; those of InferX in the words of this command.

    A rate with a concurrency is InferX's open loop with a cap as soon as there is any flag of InferX. ``given`` are the flags
    that a person wrote: these are kept where InferX's say nothing about the same thing.

    Raises:
        ConfigError: a flag of InferX makes no sense, or says what another flag says as well; names it.
    """
    said = {name: flags[name] for name in NAMES if flags[name]}
    native = {name: value for name, value in flags.items() if name not in NAMES or name == "gpu_monitor"}
    if not said:
        return native
    from pytest_inferbench.cases.formats.inferx import run_flags  # noqa: PLC0415 - only who types them needs it

    found = run_flags({**said, **{name: flags[name] for name in _SHARED}})
    capped = "max_in_flight" in found
    _refuse_twice(given, {*said, *(("concurrency",) if capped else ())})
    if any(name in given for name in _CONTENT) and "sample_prompts_file" not in said:
        found.pop("traffic", None)
    if "sweep" in given or "trace" in given:
        found = {name: value for name, value in found.items() if name != "concurrency"}
    mine = {name: value for name, value in found.items() if name in _SHARED or name not in given}
    return {**native, **mine, **({"concurrency": None} if capped else {})}


@contextmanager
def inferx_names(given: Collection[str]) -> Iterator[None]:
    """Let a mistake name the flag that a person wrote, not the one that it became."""
    try:
        yield
    except ConfigError as error:
        wrote = _BEHIND.get((error.file or "").removeprefix("--").replace("-", "_"), ())
        name = next((name for name in wrote if name in given), None)
        own = (error.file or "").removeprefix("--").replace("-", "_") in given
        if name is None or own:
            raise
        raise ConfigError(error.problem, file=_flag(name)) from error


def _refuse_twice(given: Collection[str], said: Collection[str]) -> None:
    for name, behind in _BEHIND.items():
        other = next((each for each in behind if each in said), None)
        if name in given and other is not None:
            raise ConfigError(f"says what {_flag(other)} says as well; keep one", file=_flag(name))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
