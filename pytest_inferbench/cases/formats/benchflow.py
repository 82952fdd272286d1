"""
BenchFlow JSON: workflows, each a server in a container and a load generator in another.

Each workflow is a suite whose label is the workflow's name. The load generator is genai-bench as a rule: its options become a
load of this project, or (``tool=container``) it runs in its container as the file says. An image of another tool always runs in
its container.

Rule: ``execution_mode`` and ``max_parallel`` say how many servers run at once, which is for whoever starts pytest to say: a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_inferbench.cases.formats.benchflow_service import Service, environment, service_of, volumes_of
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.genai_bench_options import BenchLoad, Words, bench_load, hardware_named
from pytest_inferbench.cases.formats.option_words import Options, options_of
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.formats.secrets import is_placeholder
from pytest_inferbench.cases.readers import Place
from pytest_inferbench.redaction import redact_text

BENCH_IMAGE = "phx.ocir.io/idqj093njucb/genai-bench"
BENCH_VOLUMES = ("/mnt/data/models:/models:ro", "~/images:/genai-bench/images:rw")
RESULTS = "/genai-bench/benchmark_results"
WORKING_FOLDER = "/genai-bench"
"""Of genai-bench's image: what a relative path in its options begins from."""
_TOP = ("execution_mode", "max_parallel", "workflows")
_WORKFLOW = ("name", "service", "bench")
BENCH_FIELDS = ("container_name", "image", "version", "volumes", "env_vars", "extra_args")
# What other load generators call what a case's id says: AIPerf, genai-perf, vLLM's, SGLang's.
_USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "input": ("synthetic-input-tokens-mean", "isl", "random-input-len", "random-input", "input-len"),
    "output": ("output-tokens-mean", "osl", "random-output-len", "random-output", "output-len"),
    "users": ("concurrency", "max-concurrency"),
    "requests": ("request-count", "num-prompts", "num-requests"),
}
# What people write where a server asks for no key.
_NO_KEYS = ("dummy", "EMPTY", "none")
_SIGNS = ('"service"', '"bench"', '"execution_mode"')
_IGNORES = "BenchFlow would ignore it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """The ``bench`` of a workflow: its options, and the tool as it runs in its container."""

    words: Words
    tool: Mapping[str, Any]
    is_genai_bench: bool


class BenchFlow:
    """The format of BenchFlow's ``run`` command."""

    name = "benchflow"
    title = "BenchFlow JSON"

    def recognises(self, path: Path, text: str) -> bool:
        """A JSON file that speaks of workflows with a service or a bench."""
        return path.suffix == ".json" and '"workflows"' in text and any(sign in text for sign in _SIGNS)

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        A suite for each workflow (for each batch size of it, where documents are sent).

        Raises:
            ConfigError: the file says something wrong, or (strict) something that BenchFlow would not do.
        """
        reading = Reading(source=source, document=source.document(".json", lenient=lenient), lenient=lenient)
        reading.fields((), _TOP, otherwise=_IGNORES)
        about_running = _execution(reading)
        workflows = reading.items(("workflows",))
        if not workflows:
            raise reading.error("holds no workflow", ("workflows",))
        names = [reading.text(("workflows", index, "name")) for index in range(len(workflows))]
        found: list[Imported] = []
        for index, name in enumerate(names):
            if name in names[:index]:
                raise reading.error(f"{name!r} is the name of two workflows; names tell them apart", ("workflows", index, "name"))
            found += _workflow(reading, ("workflows", index), name)
        return tuple(replace(one, notes=(*about_running, *one.notes)) for one in found)


FORMAT = BenchFlow()


def _execution(reading: Reading) -> tuple[str, ...]:
    mode = reading.text(("execution_mode",), "sequential")
    most = reading.whole(("max_parallel",), 1)
    if mode not in ("sequential", "parallel"):
        raise reading.error(f"must be sequential or parallel, not {mode!r}", ("execution_mode",))
    if mode == "sequential":
        return ("execution_mode sequential: one server after the other, as pytest does by itself",)
    return (f"execution_mode parallel: for {most} servers at once, where there are GPUs for them, run pytest with -n {most}",)


def _workflow(reading: Reading, place: Place, name: str) -> list[Imported]:
    reading.fields(place, _WORKFLOW, otherwise=_IGNORES)
    service = service_of(reading, (*place, "service"))
    bench = _bench(reading, (*place, "bench"))
    hardware = hardware_named(reading, bench.words) if service.gpus else "cpu"
    suite: dict[str, Any] = {
        "label": name,
        "hardware": hardware,
        "engine": dict(service.engine),
        "matrix": {"model": service.model, "tensor_parallel": service.tensor_parallel},
    }
    origin = reading.source.origin(reading.document, place)
    if not bench.is_genai_bench:
        return [_other_tool(reading, bench, Imported(name=reading.source.stem, suite=suite, origin=origin))]
    load = bench_load(reading, bench.words)
    _agree(reading, bench.words, service)
    suite |= _content(reading, bench, load)
    notes = reading.taken_notes()
    return [
        Imported(name=reading.source.stem, suite=one, origin=origin, notes=notes, with_tool=_with_tool(one, bench.tool))
        for one in _by_batch(suite, load)
    ]


# --- the bench --------------------------------------------------------------------------------------------------------------


def _bench(reading: Reading, place: Place) -> _Bench:
    raw = reading.fields(place, BENCH_FIELDS, otherwise=_IGNORES)
    reading.note("bench's image, volumes and environment are of its container, which runs with tool=container only")
    image = reading.text((*place, "image"), BENCH_IMAGE)
    args = reading.texts((*place, "extra_args"))
    # They matter to its container alone, and whoever starts that reads them as references.
    env, _ = environment(reading, (*place, "env_vars"))
    is_genai_bench = "genai-bench" in image
    tool: dict[str, Any] = {
        "name": "genai-bench" if is_genai_bench else _tool_name(image),
        "image": f"{image}:{reading.text((*place, 'version'))}",
        "args": ["benchmark", "--api-backend", "openai", "--api-base", "{url}", "--experiment-base-dir", RESULTS, *_shown(args)],
        "env": {"GENAI_BENCH_LOGGING_LEVEL": "INFO", **env, "TRANSFORMERS_VERBOSITY": "error"},
        "volumes": volumes_of(reading, (*place, "volumes")) if "volumes" in raw else list(BENCH_VOLUMES),
        "shm_size": "5g",
        "results": RESULTS,
    }
    return _Bench(words=Words(options=options_of(args), place=(*place, "extra_args")), tool=tool, is_genai_bench=is_genai_bench)


def _tool_name(image: str) -> str:
    last = PurePosixPath(image).name
    return next((known for known in ("genai-perf", "aiperf", "guidellm", "inference-perf") if known in last), last)


def without_secret_words(args: Sequence[str]) -> list[str]:
    """The words of a command line with every secret as a reference to the environment; one to fill in stays as it is."""
    return _changed(args, _without_secret)


def _shown(args: Sequence[str]) -> list[str]:
    """The words without secrets, and with the server's address and model as whoever runs the tool knows them."""
    known = {"api-base": "{url}", "api-model-name": "{model}"}
    return _changed(args, lambda name, value: known.get(name) or _without_secret(name, value))


def _without_secret(name: str, value: str) -> str:
    written = f"--{name}={value}"
    if redact_text(written) == written or is_placeholder(value) or value in _NO_KEYS:
        return value
    return f"${{{name.upper().replace('-', '_')}}}"


def _changed(args: Sequence[str], change: Callable[[str, str], str]) -> list[str]:
    words = list(args)
    for one in options_of(args).given:
        if one.value is None:
            continue
        value = change(one.name, one.value)
        if "=" in args[one.position]:
            words[one.position] = f"--{one.name}={value}"
        else:
            words[one.position + 1] = value
    return words


def _other_tool(reading: Reading, bench: _Bench, imported: Imported) -> Imported:
    """A tool whose options are unknown here: it runs as it is, and only its result files say what it sent."""
    words = list(bench.tool["args"])
    tool = {**bench.tool, "args": words}
    suite = {**imported.suite, "tool": tool}
    asked = {meant: _said(bench.words.options, names) for meant, names in _USUAL_NAMES.items()}
    traffic = f"D({asked['input'] or 1},{asked['output'] or 1})"
    suite["matrix"] = {**imported.suite["matrix"], "traffic": traffic, "concurrency": asked["users"] or 1}
    if asked["requests"]:
        suite["load"] = {"requests": asked["requests"]}
    reading.note(f"{tool['name']} is no genai-bench: it runs in its container as it is")
    missing = ", ".join(meant for meant, value in asked.items() if not value)
    if missing:
        reading.note(f"its options do not say {missing} in a way that is known here, so the case's id says nothing about that")
    return replace(imported, suite=suite, notes=reading.taken_notes())


def _said(options: Options, names: tuple[str, ...]) -> int:
    """The whole number that one of these options says; 0 where none does."""
    option = options.last(*names)
    return int(option.value) if option and option.value and option.value.isdecimal() else 0


def _agree(reading: Reading, words: Words, service: Service) -> None:
    """Refuse a load that is meant for another server than the workflow's own."""
    name = words.options.last("api-model-name")
    expected = service.served_name or service.model
    if name is None or not name.value:
        raise reading.error("--api-model-name is missing; genai-bench would ask for it and wait", words.place)
    # Only vLLM knows no other name than its own.
    if name.value != expected and service.engine["name"] == "vllm":
        reading.refuse(
            f"--api-model-name is {name.value!r} and the server calls its model {expected!r}: every request would fail",
            words.at(name),
        )
    tokenizer = words.options.last("model-tokenizer")
    if tokenizer is None or not tokenizer.value:
        raise reading.error("--model-tokenizer is missing; genai-bench would ask for it and wait", words.place)
    if tokenizer.value != service.model:
        reading.refuse(
            f"--model-tokenizer is {tokenizer.value!r}, another model than the server's {service.model!r}; here lengths are "
            "counted with the server's own",
            words.at(tokenizer),
        )
    base = words.options.last("api-base")
    known = (f"http://{service.container_name}:{service.port}", f"http://{service.container_name}:{service.port}/v1")
    if base is not None and (base.value or "").rstrip("/") not in known:
        reading.refuse(f"--api-base {base.value} is not this workflow's service, which is what is measured here", words.at(base))


# --- the load ---------------------------------------------------------------------------------------------------------------


def _content(reading: Reading, bench: _Bench, load: BenchLoad) -> dict[str, Any]:
    """The fields of a suite that say what is sent, without the matrix's own."""
    made = dict(load.suite)
    data = bench.words.options.last("dataset-path")
    column = bench.words.options.last("dataset-prompt-column")
    if data is None or not data.value:
        if "dataset" in load.scenarios:
            raise reading.error("--traffic-scenario dataset needs --dataset-path", bench.words.place)
        if load.task.startswith("image"):
            raise reading.error("--dataset-path is missing, without which genai-bench sends no images", bench.words.place)
    elif "dataset" in load.scenarios:
        path = _on_host(data.value, bench.tool["volumes"])
        if PurePosixPath(path).suffix not in (".txt", ".jsonl", ".ndjson", ".json"):
            raise reading.error(
                f"--dataset-path {data.value}: rows are read from .txt, .json and .jsonl here; convert it", bench.words.at(data)
            )
        made["dataset"] = {"path": path} | ({"prompt": f"{{{column.value}}}"} if column else {})
    else:
        what = "images are made up" if load.task.startswith("image") else "prompts are made of random words"
        reading.note(f"--dataset-path {data.value} is not read: {what} in the sizes that the traffic says")
    return made


def _on_host(path: str, volumes: list[str]) -> str:
    """A path of the container as a path of this machine, where a volume has it."""
    inside = PurePosixPath(WORKING_FOLDER) / path
    for text in volumes:
        source, target, *_ = text.split(":")
        if inside.is_relative_to(target):
            return f"{source.rstrip('/')}/{inside.relative_to(target)}"
    return path


def _by_batch(suite: Mapping[str, Any], load: BenchLoad) -> list[dict[str, Any]]:
    """The suite with the load's levels; once for each number of documents in a request, where these are gone through."""
    matrix = {**suite["matrix"], "traffic": list(load.scenarios), "concurrency": list(load.concurrencies)}
    if not load.batches:
        return [{**suite, "matrix": matrix}]
    return [{**suite, "label": f"{suite['label']}-batch{size}", "matrix": matrix, "documents": size} for size in load.batches]


def _with_tool(suite: Mapping[str, Any], tool: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """A suite for each point of the load, at which the tool is run by itself, so that its files belong to one case."""
    made = []
    matrix = suite["matrix"]
    for traffic in matrix["traffic"]:
        for users in matrix["concurrency"]:
            level = ["--num-concurrency", str(users)] if "documents" not in suite else ["--batch-size", str(suite["documents"])]
            args = [*_without(tool["args"]), "--traffic-scenario", traffic, *level]
            own = {**matrix, "traffic": [traffic], "concurrency": [users]}
            made.append({**suite, "matrix": own, "tool": {**tool, "args": args}})
    return tuple(made)


def _without(args: list[str]) -> list[str]:
    """The words without the options that a point of the load replaces."""
    options = options_of(args)
    gone: set[int] = set()
    for one in options.all("traffic-scenario", "num-concurrency", "batch-size"):
        gone |= {one.position} if "=" in args[one.position] else {one.position, one.position + 1}
    return [word for index, word in enumerate(args) if index not in gone]
