"""
How far the simulator's predictions are from figures that others have published: a table in Markdown.

    python -m suites.fidelity.public_figures                      # all rows of public_figures.json: half a minute
    python -m suites.fidelity.public_figures --source amd         # those whose source begins like this

Rows are never chosen by how well they are met: a row marked ``calibrated`` may have been looked at when an engine's efficiencies
were chosen, one marked ``held out`` was not. The file may hold ``constants`` for an engine (on one kind of hardware, where it
says so) that are not in its profile; then each row is predicted with both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.hardware import accelerator
from pytest_inferbench.simulator.offline import Arrival, Outcome, answered, simulate
from pytest_inferbench.simulator.profiles import deployed
from pytest_inferbench.simulator.shapes import shape

FILE = Path(__file__).with_name("public_figures.json")
HEAD = ("source", "GPUs", "model", "in/out", "load", "what", "published", "predicted", "error", "")
BOTH = (*HEAD[:-1], "with the constants below", "error", "")
UNITS = {
    "output_throughput": "tok/s",
    "ttft_ms_mean": "TTFT ms",
    "itl_ms_mean": "ITL ms",
    "tpot_ms_mean": "TPOT ms",
    "e2e_s_max": "s",
}
# What the sources say of how they ran the engine, beside its defaults.
ARGUMENTS: Mapping[str, Sequence[tuple[str, object]]] = {
    "trtllm-0.17": (("kv_cache_free_gpu_memory_fraction", 0.95),),
    "trtllm-1.0": (("kv_cache_free_gpu_memory_fraction", 0.95),),
    "trtllm-0.14-online": (),
    "gpustack-vllm-0.11": (),
    "amd-vllm-0.11": (("max-model-len", 8192),),
    "oci-vllm": (("max-model-len", 8192),),
    "musgrave-vllm": (("max-model-len", 8192),),
}
_NO_FIGURE = ("metric", "figure", "part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One published figure, and what is predicted for it: by the profile as it is, and with the file's constants."""

    fields: Mapping[str, Any]
    predicted: tuple[float, ...] = ()
    trouble: str = ""

    @property
    def errors(self) -> tuple[float, ...]:
        """(predicted - published) / published, of each."""
        return tuple(each / float(self.fields["figure"]) - 1 for each in self.predicted)


def deployments(document: Mapping[str, Any], fields: Mapping[str, Any]) -> list[Deployment]:
    """
    What the figure was measured on, with the profile as it is and then with the file's constants, where it has any.

    A row's own ``arguments`` are options that the page gives for that model. FP8 and FP4 engines of TensorRT-LLM have a cache
    of 8 bits, as their pages say.
    """
    engine, model = document["sources"][fields["source"]]["engine"], shape(fields["model"])
    arguments = [*ARGUMENTS[fields["source"]], *fields.get("arguments", {}).items()]
    if engine == "trtllm" and model.weight_dtype != "bf16":
        arguments.append(("kv_cache_dtype", "fp8"))
    hardware = accelerator(fields["hardware"])
    made = deployed(hardware, model, engine=engine, arguments=arguments, tensor_parallel=fields["tp"])
    if not document["constants"]:
        return [made]
    own: dict[str, Any] = {}
    for each in document["constants"]:
        if each["engine"] == engine and each["hardware"] in (None, fields["hardware"]):
            own |= {name: value for name, value in each.items() if name not in ("engine", "hardware")}
    return [made, replace(made, engine=replace(made.engine, **own))]


def outcome(fields: Mapping[str, Any], on: Deployment) -> Outcome:
    """The published load: all at once, at a rate (Poisson), or one user."""
    load, number = fields["load"], fields["requests"]
    lengths = {"prompt_tokens": fields["input_tokens"], "output_tokens": fields["output_tokens"]}
    if load == "one user":
        return simulate(on, (Arrival(**lengths) for _ in range(number)), users=1)
    gaps = np.random.default_rng(0).exponential(1 / load, number) if load != "inf" else np.zeros(number)
    return simulate(on, (Arrival(at_s=float(at_s), **lengths) for at_s in np.cumsum(gaps)))


def figure(metric: str, done: Outcome) -> float:
    """The figure that the source names."""
    answers = answered(done.answers)
    if metric == "output_throughput":
        return done.generation_tokens / done.duration_s
    if metric == "e2e_s_max":
        return max((each.last_token_s or 0.0) - each.arrival_s for each in answers)
    if metric == "ttft_ms_mean":
        return statistics.fmean(each.ttft_s for each in answers if each.ttft_s is not None) * 1e3
    # Answers of one length: the mean wait between tokens is the mean of their TPOT.
    return statistics.fmean(each.tpot_s for each in answers if each.tpot_s is not None) * 1e3


def rows(document: Mapping[str, Any], *, source: str = "") -> Iterator[Row]:
    """Each row of the file, predicted; rows of one load are simulated once."""
    known: dict[str, list[Outcome] | str] = {}
    for fields in document["rows"]:
        if not fields["source"].startswith(source):
            continue
        key = json.dumps({name: value for name, value in fields.items() if name not in _NO_FIGURE})
        if key not in known:
            try:
                known[key] = [outcome(fields, each) for each in deployments(document, fields)]
            except InferbenchError as error:
                known[key] = str(error)
        done = known[key]
        if isinstance(done, str):
            yield Row(fields=fields, trouble=done)
        else:
            yield Row(fields=fields, predicted=tuple(figure(fields["metric"], each) for each in done))


def table(found: Sequence[Row]) -> Iterator[str]:
    """The rows in Markdown."""
    ways = max((len(row.predicted) for row in found), default=1)
    head = HEAD if ways == 1 else BOTH
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in found:
        fields = row.fields
        load = {"inf": f"{fields['requests']} at once", "one user": "one user"}.get(fields["load"], f"{fields['load']} req/s")
        pairs = zip(row.predicted, row.errors, strict=True)
        predicted = [text for value, error in pairs for text in (_short(value), f"{error:+.0%}")] or ["-"] * 2 * ways
        cells = (
            *(fields["source"], f"{fields['tp']} x {fields['hardware']}", fields["model"].rpartition("/")[2]),
            *(f"{fields['input_tokens']}/{fields['output_tokens']}", load, UNITS[fields["metric"]]),
            *(_short(fields["figure"]), *predicted, fields["part"]),
        )
        yield f"| {' | '.join(cells)} |"


def accounts(found: Sequence[Row]) -> Iterator[str]:
    """How large errors are: of what was calibrated and of the rest, all together and by source."""
    names = ["calibrated", "held out", *dict.fromkeys(row.fields["source"] for row in found)]
    for name in names:
        chosen = [row for row in found if row.errors and name in (row.fields["part"], row.fields["source"])]
        ways = list(zip(*(row.errors for row in chosen), strict=True))
        if ways:
            yield f"* {name}: {len(chosen)} rows; {'; with the constants '.join(_sizes(each) for each in ways)}"
    for row in found:
        if row.trouble:
            yield f"* not predicted: {row.fields['model']} on {row.fields['tp']} x {row.fields['hardware']}: {row.trouble}"


def _sizes(errors: Iterable[float]) -> str:
    sizes = [abs(each) for each in errors]
    middle, within = statistics.median(sizes), sum(each <= 0.25 for each in sizes)
    return f"{middle:.0%} in the median, {max(sizes):.0%} at most, {within} within 25 %"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Predictions beside published figures.")
    parser.add_argument("--source", default="", metavar="NAME", help="only rows whose source begins like this")
    flags = parser.parse_args(argv)
    began_s = perf_counter()
    found = list(rows(json.loads(FILE.read_text("utf-8")), source=flags.source))
    lines = [*table(found), "", *accounts(found), "", f"computed in {perf_counter() - began_s:.0f} s"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
