"""
Command lines of ``genai-bench benchmark`` as suites for an endpoint that is already there.

What its options mean stands in `genai_bench_options`; here they are found in a file, and put beside an address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint
from pytest_inferbench.cases.formats.command_line import Command, commands
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.genai_bench_options import BenchLoad, Words, bench_load
from pytest_inferbench.cases.formats.option_words import options_of
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.readers import Document, Place

_ARGS = "genai-bench"
_READABLE = (".txt", ".json", ".jsonl")


class GenaiBenchFormat:
    """Command lines of genai-bench."""

    name = "genai-bench"
    title = "genai-bench command line"

    def recognises(self, path: Path, text: str) -> bool:
        """Whether it runs genai-bench's benchmark."""
        return path.suffix.lower() in (".sh", ".txt") and bool(re.search(r"\bgenai-bench\s+benchmark\b", text))

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        The suites of each command: one, or one for each number of documents in a request.

        Raises:
            ConfigError: as of `command_line` and `genai_bench_options`.
        """
        found, others = commands(source, _mine)
        imported: list[Imported] = []
        for number, command in enumerate(found, start=1):
            name = source.stem if len(found) == 1 else f"{source.stem}-{number}"
            imported += _imported(command, name, lenient=lenient, notes=others)
        if len(imported) > 1:
            imported = [replace(one, suite={**one.suite, "label": one.name}) for one in imported]
        return tuple(imported)


FORMAT = GenaiBenchFormat()


def _mine(words: Sequence[str]) -> bool:
    return [PurePath(words[0]).name, *words[1:2]] == ["genai-bench", "benchmark"]


def _imported(command: Command, name: str, *, lenient: bool, notes: Sequence[str]) -> list[Imported]:
    reading = Reading(source=command.source, document=_document(command), lenient=lenient, notes=list(notes))
    words = Words(options=options_of(command.words[2:]), place=(_ARGS,))
    load = bench_load(reading, words)
    model, base = words.options.last("api-model-name"), words.options.last("api-base")
    for option, given in (("--api-model-name", model), ("--api-base", base)):
        if given is None or not given.value:
            raise reading.error(f"{option} is missing; genai-bench would ask for it and wait", (_ARGS,))
    if words.options.last("model-tokenizer"):
        reading.note("--model-tokenizer is no part of a suite: give it with --inferbench-tokenizer")
    matrix = {"model": model and model.value, "traffic": list(load.scenarios), "concurrency": list(load.concurrencies)}
    others: dict[str, Any] = {**load.suite, "dataset": _dataset(reading, words, load)}
    suite = at_endpoint(name, api=others.pop("api", "chat"), matrix=matrix, load=others.pop("load"), **others)
    suites = [{**suite, "suite": f"{name}-batch{size}", "documents": size} for size in load.batches] or [suite]
    said = (*reading.taken_notes(), *address_note(base and base.value))
    origin = Origin(file=command.source.path, line=command.line)
    return [Imported(name=one["suite"], suite=one, origin=origin, notes=said) for one in suites]


def _document(command: Command) -> Document:
    """The command's options as a document of one list, whose items know their lines."""
    words = list(command.words[2:])
    lines: dict[Place, int] = {(_ARGS, index): command.line_of(word) for index, word in enumerate(words)}
    lines |= {(): command.line, (_ARGS,): command.line}
    return Document(file=command.source.path, data={_ARGS: words}, lines=lines)


def _dataset(reading: Reading, words: Words, load: BenchLoad) -> dict[str, Any] | None:
    """The file whose rows are sent as they are, where a scenario says so."""
    path, column = words.options.last("dataset-path"), words.options.last("dataset-prompt-column")
    if "dataset" not in load.scenarios:
        if path is not None:
            what = "images are made up" if load.task.startswith("image") else "prompts are made of random words"
            reading.note(f"--dataset-path {path.value} is not read: {what} in the sizes that the traffic says")
        return None
    if path is None or not path.value:
        raise reading.error("--traffic-scenario dataset needs --dataset-path", (_ARGS,))
    if not path.value.endswith(_READABLE):
        problem = f"--dataset-path {path.value}: rows are read from {', '.join(_READABLE)} here; convert it"
        raise reading.error(problem, words.at(path))
    return {"path": path.value} | ({"prompt": f"{{{column.value}}}"} if column else {})
