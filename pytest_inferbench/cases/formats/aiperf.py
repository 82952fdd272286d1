"""Command lines of ``aiperf profile`` and of ``genai-perf profile``, from which it comes: synthetic lengths only."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, normal, path_of
from pytest_inferbench.cases.formats.command_format import CommandFormat
from pytest_inferbench.cases.formats.command_line import Arguments, Option, Tool, aside, flag, unmeant, value

_APIS = {"chat": "chat", "completions": "completions", "embeddings": "embeddings", "rankings": "rerank"}
_PROGRAMS = ("aiperf", "genai-perf")
TOOL = Tool(
    name="aiperf",
    options=(
        value("--model", "--model-names", "-m"),
        value("--url", "-u"),
        *(value(name) for name in ("--endpoint-type", "--endpoint", "--concurrency", "--request-rate", "--tokenizer")),
        value("--request-count", "--num-requests", "--measurement-num"),
        value("--benchmark-duration"),
        value("--warmup-request-count"),
        value("--arrival-pattern", "--request-rate-mode"),
        value("--synthetic-input-tokens-mean", "--isl", "--prompt-input-tokens-mean"),
        value("--synthetic-input-tokens-stddev", "--isl-stddev", "--prompt-input-tokens-stddev"),
        value("--output-tokens-mean", "--osl", "--prompt-output-tokens-mean"),
        value("--output-tokens-stddev", "--osl-stddev", "--prompt-output-tokens-stddev"),
        flag("--streaming"),
        Option(names=("--extra-inputs",), takes="values", many=True),
        Option(names=("--goodput",), takes="values", many=True),
        *(aside(name) for name in ("--artifact-dir", "--output-artifact-dir", "--profile-export-file", "--random-seed", "--ui")),
        *(aside(name) for name in ("--service-kind", "--backend", "--num-workers", "--workers-max", "--log-level")),
        *(aside(name, takes="flag") for name in ("--verbose", "-v", "--generate-plots")),
        unmeant("headers may hold secrets: write them in the suite, as ${NAME}", "--header", "-H"),
        unmeant("its data sets and traces are not read here; name the file in a suite", "--input-file", "--public-dataset"),
    ),
)


def _skip(words: Sequence[str]) -> int:
    return 2 if PurePath(words[0]).name in _PROGRAMS and list(words[1:2]) == ["profile"] else 0


def _suite(given: Arguments, name: str) -> dict[str, Any]:
    kind = given.last("--endpoint-type") or "chat"
    if kind not in _APIS:
        raise given.error("--endpoint-type", f"{kind!r} cannot be sent here; {', '.join(_APIS)} can")
    api = _APIS[kind]
    given.notes += address_note(given.last("--url"))
    if given.flag("--tokenizer"):
        given.notes.append("--tokenizer is no part of a suite: give it with --inferbench-tokenizer")
    for text in given.all("--goodput"):
        given.notes.append(
            f"--goodput {text} is a limit for single requests: write an objective under slo, such as ttft_p99 <= 500ms"
        )
    level, load = _load(given)
    endpoint = given.last("--endpoint")
    answers = api in ("chat", "completions")
    return at_endpoint(
        name,
        api=api,
        path=path_of(f"http://host/{endpoint.lstrip('/')}" if endpoint else None, api),
        matrix={"model": given.text("--model"), "traffic": _traffic(given, api), **level},
        load=load,
        stream=None if given.flag("--streaming") or not answers else False,
        extra_body=_extra_inputs(given) or None,
    )


def _traffic(given: Arguments, api: str) -> str:
    mean_in, sd_in = given.whole("--synthetic-input-tokens-mean"), given.whole("--synthetic-input-tokens-stddev", least=0)
    mean_out, sd_out = given.whole("--output-tokens-mean"), given.whole("--output-tokens-stddev", least=0)
    if mean_in is None:
        raise given.error("--synthetic-input-tokens-mean", "is missing: how long are the prompts?")
    if api == "embeddings":
        return f"E({mean_in})"
    if api == "rerank":
        raise given.error("--endpoint-type", "rankings need a file of texts, which is not read here")
    if mean_out is None:
        raise given.error("--output-tokens-mean", "is missing: answers of any length cannot be compared; say how long they are")
    return normal(mean_in, sd_in or 0, mean_out, sd_out or 0)


def _load(given: Arguments) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rate, with a cap where there is a concurrency too; or users."""
    requests, seconds = given.whole("--request-count"), given.number("--benchmark-duration")
    if requests is None and seconds is None:
        raise given.command.error("has neither --request-count nor --benchmark-duration; say how much is to be sent")
    load: dict[str, Any] = {"requests": requests, "duration": seconds, "warmup": given.whole("--warmup-request-count", least=0)}
    users, rate = given.whole("--concurrency"), given.number("--request-rate")
    if rate is None:
        return {"concurrency": users or 1}, load
    arrival = given.last("--arrival-pattern") or "poisson"
    if arrival not in ("poisson", "constant"):
        raise given.error("--arrival-pattern", f"must be poisson or constant here, not {arrival!r}")
    return {"rate": rate}, {**load, "arrival": arrival, "max_in_flight": users}


def _extra_inputs(given: Arguments) -> dict[str, Any]:
    """Fields of every request, each ``name:value`` or a JSON object; the number of tokens is the traffic's own."""
    body: dict[str, Any] = {}
    for text in given.all("--extra-inputs"):
        name, colon, written = text.partition(":")
        if text.lstrip().startswith("{"):
            body |= _json(given, text)
        elif not colon:
            raise given.error("--extra-inputs", f"must be name:value, not {text!r}")
        else:
            body[name] = _plain(written)
    tokens = given.whole("--output-tokens-mean")
    for name in ("max_tokens", "max_completion_tokens"):
        if body.get(name) == tokens:
            body.pop(name, None)
    return body


def _json(given: Arguments, text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as exc:
        raise given.error("--extra-inputs", f"is not JSON: {exc}") from exc
    return found


def _plain(text: str) -> Any:
    """A number, true, false or null where the text is one; else itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


FORMAT = CommandFormat(
    name="aiperf",
    title="aiperf command line",
    tool=TOOL,
    mentions=re.compile(r"\b(aiperf|genai-perf)\s+profile\b"),
    skip=_skip,
    suite=_suite,
)
