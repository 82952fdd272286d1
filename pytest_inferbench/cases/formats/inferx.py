"""
InferX's benchmark script: its flags as flags of ``inferbench run``, and files with its command line as suites.

It sends prompts at Poisson times at ``--rate`` for ``--duration`` seconds, with at most ``--concurrency`` of them on the wire: an
open loop with a cap. Without a rate, the users of ``--concurrency`` each wait for their answer.

Rule: `run_flags` is pure, and takes flags as they are typed or as a parsed command line hands them over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint
from pytest_inferbench.cases.formats.command_format import CommandFormat
from pytest_inferbench.cases.formats.command_line import Arguments, Tool, flag, value
from pytest_inferbench.errors import ConfigError

SCRIPT = "inferx_benchmark_framework.py"
OUTPUT_TOKENS = 128
"""Tokens of an answer, where no template says how many: what those of its own examples say."""

TOKENS_MIN, TOKENS_MAX = 8, 128
"""Lengths of prompts, where none are given: those of its own examples."""

TOOL = Tool(
    name="InferX",
    abbreviates=True,
    options=(
        *(value(name) for name in ("--endpoint", "--duration", "--rate", "--concurrency", "--prompt-dist", "--choices-tokens")),
        *(
            value(name)
            for name in ("--min-tokens", "--max-tokens", "--request-body-template", "--sample-prompts-file", "--outdir")
        ),
        flag("--gpu-monitor"),
    ),
)
_TEXT_PATHS = {"/chat/completions": "choices[0].message.content", "/completions": "choices[0].text", "/generate": "text[0]"}
_LENGTH_FIELDS = ("max_tokens", "max_new_tokens", "n_predict", "max_completion_tokens")


def _skip(words: Sequence[str]) -> int:
    return next((at + 1 for at, word in enumerate(words[:2]) if PurePath(word).name == SCRIPT), 0)


def _suite(given: Arguments, name: str) -> dict[str, Any]:
    given.text("--endpoint")
    try:
        flags = run_flags({option.removeprefix("--").replace("-", "_"): values[-1] for option, values in given.given.items()})
    except ConfigError as error:
        raise given.error(error.file or "--endpoint", error.problem) from error
    given.notes += address_note(flags["endpoint"])
    if flags.get("output"):
        given.notes.append("--outdir is no part of a suite: give it with --inferbench-output")
    model = flags.get("model")
    if model is None:
        given.notes.append("no model is named: 'model' stands for the only one that the endpoint has")
    return at_endpoint(
        name,
        api=flags["api"],
        matrix={"model": model or "model", **{axis: flags.get(axis) for axis in ("traffic", "rate", "concurrency")}},
        load={option: flags.get(option) for option in ("duration", "max_in_flight")},
        path=flags.get("path"),
        body=flags.get("body_template"),
        text=flags.get("text_path"),
        stream=False if flags.get("no_stream") else None,
        dataset=_dataset(flags),
    )


def _dataset(flags: Mapping[str, Any]) -> dict[str, Any] | None:
    if not flags.get("dataset"):
        return None
    return {"path": flags["dataset"], "format": flags["dataset_format"], "output_tokens": int(flags["dataset_output"])}


def run_flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Flags of ``inferbench run`` that mean what InferX's flags mean; names have underscores, flags that say nothing are left out.

    ``given`` holds InferX's flags by their names, with underscores: ``endpoint``, ``duration``, ``rate``, ``concurrency``,
    ``prompt_dist``, ``choices_tokens``, ``min_tokens``, ``max_tokens``, ``request_body_template``, ``sample_prompts_file``,
    ``outdir``, ``gpu_monitor``. The last needs nothing: GPUs are watched wherever there are some.

    Raises:
        ConfigError: a value makes no sense, or flags contradict each other; ``file`` names the flag.
    """
    said = {name: found for name, found in given.items() if found is not None}
    template = _template(said.get("request_body_template"))
    output = _output_tokens(template)
    flags: dict[str, Any] = {**_address(said.get("endpoint"), template), **_level(said)}
    if template is not None and isinstance(template.get("model"), str):
        flags["model"] = template["model"]
    if said.get("sample_prompts_file"):
        flags |= {"dataset": str(said["sample_prompts_file"]), "dataset_format": "lines", "dataset_output": str(output)}
    else:
        flags["traffic"] = _traffic(said, output)
    if said.get("duration") is not None:
        flags["duration"] = str(said["duration"])
    if said.get("outdir"):
        flags["output"] = str(said["outdir"])
    return flags


def _template(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise ConfigError(f"is not JSON: {exc}", file="--request-body-template") from exc
    if not isinstance(found, dict) or "{prompt}" not in text:
        raise ConfigError("must be a JSON object with {prompt} in it", file="--request-body-template")
    return found


def _output_tokens(template: Mapping[str, Any] | None) -> int:
    written = next((template[name] for name in _LENGTH_FIELDS if name in template), None) if template else None
    return written if isinstance(written, int) and not isinstance(written, bool) and written > 0 else OUTPUT_TOKENS


def _address(endpoint: str | None, template: Mapping[str, Any] | None) -> dict[str, Any]:
    """Where requests go and how they are spelled: a template as it is, else completions."""
    parts = urlsplit(endpoint or "")
    if endpoint and parts.scheme not in ("http", "https"):
        raise ConfigError(f"must be a URL such as http://127.0.0.1:8000/v1/completions, not {endpoint!r}", file="--endpoint")
    path = parts.path.rstrip("/")
    found: dict[str, Any] = {"endpoint": f"{parts.scheme}://{parts.netloc}"} if endpoint else {}
    if template is None:
        chat = path.endswith("/chat/completions")
        own = path in ("", "/v1", "/v1/completions", "/v1/chat/completions")
        return {**found, "api": "chat" if chat else "completions", **({} if own else {"path": path})}
    text = next((text for end, text in _TEXT_PATHS.items() if path.endswith(end)), "choices[0].text")
    if template.get("stream") is True:
        text = text.replace("message", "delta")
    else:
        found["no_stream"] = True
    return {
        **found,
        "api": "template",
        "path": path or "/v1/completions",
        "body_template": json.dumps(template),
        "text_path": text,
    }


def _level(said: Mapping[str, Any]) -> dict[str, Any]:
    """A rate with a cap, a rate, or users."""
    concurrency = None if said.get("concurrency") is None else _whole(said["concurrency"], "--concurrency")
    if said.get("rate") is None:
        return {"concurrency": concurrency or 1}
    return {"rate": str(said["rate"]), **({} if concurrency is None else {"max_in_flight": concurrency})}


def _traffic(said: Mapping[str, Any], output: int) -> str:
    kind = said.get("prompt_dist", "choices" if said.get("choices_tokens") else "uniform")
    if kind == "uniform":
        if said.get("choices_tokens"):
            raise ConfigError("goes with --prompt-dist choices", file="--choices-tokens")
        least, most = (
            _whole(said.get("min_tokens", TOKENS_MIN), "--min-tokens"),
            _whole(said.get("max_tokens", TOKENS_MAX), "--max-tokens"),
        )
        if least > most:
            raise ConfigError(f"is more than --max-tokens, which is {most}", file="--min-tokens")
        # Its upper end is included, that of U is not.
        return f"U({least},{most + 1})/({output},{output + 1})"
    if kind != "choices":
        raise ConfigError(f"must be uniform or choices, not {kind!r}", file="--prompt-dist")
    if not said.get("choices_tokens"):
        raise ConfigError("choices needs --choices-tokens, such as 32,64,128", file="--prompt-dist")
    for name in ("min_tokens", "max_tokens"):
        if said.get(name) is not None:
            raise ConfigError("goes with --prompt-dist uniform", file=f"--{name.replace('_', '-')}")
    choices = [_whole(text, "--choices-tokens") for text in str(said["choices_tokens"]).split(",")]
    return f"P({','.join(map(str, choices))})/({output})"


def _whole(value: Any, flag: str) -> int:
    text = str(value).strip()
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise ConfigError(f"must be a whole number above 0, not {value!r}", file=flag)
    return int(text)


FORMAT = CommandFormat(
    name="inferx",
    title="InferX command line",
    tool=TOOL,
    mentions=re.compile(re.escape(SCRIPT)),
    skip=_skip,
    suite=_suite,
)
