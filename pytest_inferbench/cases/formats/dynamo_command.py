"""
Command lines of Dynamo's own utilities, ``python3 -m benchmarks.utils.benchmark``, with what their environment says.

They run aiperf at each of a list of concurrencies: normally distributed prompts, and answers of exactly so many tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, normal, path_of
from pytest_inferbench.cases.formats.command_line import Arguments, Tool, arguments, aside, commands, value
from pytest_inferbench.cases.formats.dynamo import requests_of
from pytest_inferbench.cases.formats.format import Imported, Source

CONCURRENCIES = (1, 2, 5, 10, 50, 100, 250)
"""What they measure unless ``CONCURRENCIES`` says otherwise."""

_TOOL = Tool(
    name="benchmarks.utils.benchmark",
    options=(
        value("--benchmark_name", "--benchmark-name"),
        value("--endpoint_url", "--endpoint-url"),
        value("--input", many=True),
        value("--isl"),
        value("--std"),
        value("--osl"),
        value("--model"),
        aside("--output-dir"),
    ),
    abbreviates=True,
)


class DynamoCommandFormat:
    """Command lines of Dynamo's own utilities, with what their environment says."""

    name = "dynamo-command"
    title = "Dynamo benchmark command line"

    def recognises(self, path: Path, text: str) -> bool:
        """Whether it runs those utilities."""
        return path.suffix.lower() in (".sh", ".txt") and "benchmarks.utils.benchmark" in text

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        A suite for each endpoint of each command.

        Raises:
            ConfigError: as of `command_line`, or a value makes no sense.
        """
        found, others = commands(source, lambda words: _skip(words) > 0)
        imported = []
        for command in found:
            given = arguments(command, _TOOL, skip=_skip(command.words), lenient=lenient)
            given.notes += others
            imported += [_sweep(given, label, url) for label, url in _endpoints(given)]
        return tuple(imported)


FORMAT = DynamoCommandFormat()


def _skip(words: Sequence[str]) -> int:
    """How many words name the utilities; 0 where they are another command."""
    named = PurePath(words[0]).name.startswith("python") and list(words[1:3]) == ["-m", "benchmarks.utils.benchmark"]
    return 3 if named else 0


def _endpoints(given: Arguments) -> list[tuple[str, str]]:
    if not given.all("--input"):
        return [(_label(given, "--benchmark_name", given.text("--benchmark_name")), given.text("--endpoint_url"))]
    pairs = []
    for text in given.all("--input"):
        label, equals, url = text.partition("=")
        if not equals:
            raise given.error("--input", f"must be label=URL, not {text!r}")
        pairs.append((_label(given, "--input", label), url))
    return pairs


def _label(given: Arguments, option: str, label: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", label.strip()) or label.strip().lower() == "plots":
        raise given.error(option, f"{label!r} is no name: letters, digits, _ and - only, and 'plots' is Dynamo's own folder")
    return label.strip()


def _sweep(given: Arguments, label: str, url: str) -> Imported:
    command = given.command
    isl, osl = given.whole("--isl") or 2000, given.whole("--osl") or 256
    sd = 10 if given.last("--std") is None else given.whole("--std", least=0) or 0
    traffic, levels = normal(isl, sd, osl, 0), _levels(given)
    load, by_level = requests_of(levels, _count(given))
    suite = at_endpoint(
        label,
        api="chat",
        matrix={"model": given.last("--model") or "Qwen/Qwen3-0.6B", "traffic": traffic, "concurrency": levels},
        load=load,
        path=path_of(url, "chat"),
        include=by_level,
        label=label,
        extra_body={"min_tokens": osl, "ignore_eos": True},
    )
    origin = Origin(file=command.source.path, line=command.line)
    return Imported(name=label, suite=suite, origin=origin, notes=(*given.notes, *address_note(url)))


def _levels(given: Arguments) -> list[int]:
    written = given.command.env.get("CONCURRENCIES")
    if not written:
        return list(CONCURRENCIES)
    texts = [text.strip() for text in written.split(",")]
    if not all(re.fullmatch(r"0*[1-9]\d{0,8}", text) for text in texts):
        defaults = ",".join(map(str, CONCURRENCIES))
        problem = f"must be whole numbers with commas between, not {written!r}; the original warns and measures {defaults}"
        given.refuse("CONCURRENCIES", problem)
        return list(CONCURRENCIES)
    return sorted({int(text) for text in texts})


def _count(given: Arguments) -> int:
    written = given.command.env.get("REQUEST_COUNT", "").strip()
    if written and not re.fullmatch(r"\d{1,9}", written):
        given.refuse("REQUEST_COUNT", f"must be a whole number, not {written!r}; the original warns and takes 0, its own rule")
        return 0
    return int(written or 0)
