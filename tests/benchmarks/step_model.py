"""
What the step model costs: a step at 512 sequences, and how much faster than real time a load is simulated.

    python tests/benchmarks/step_model.py

Llama 3.1 8B on an H100 under vLLM's defaults. Times are of the CPU, since whatever else runs on the machine would count too;
steps are timed in blocks, because the CPU's clock is too coarse for one.
"""

from __future__ import annotations

import statistics
import sys
from time import process_time_ns

from pytest_inferbench.simulator.batching import Batcher, Job
from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.hardware import accelerator
from pytest_inferbench.simulator.offline import Arrival, simulate
from pytest_inferbench.simulator.profiles import deployed
from pytest_inferbench.simulator.shapes import shape

STEPS, BLOCK = 3000, 20
# Users, requests, tokens of a prompt and of an answer.
LOADS = ((1, 20, 500, 300), (16, 200, 1000, 500), (64, 600, 1000, 500), (512, 3000, 300, 300), (512, 3000, 2000, 700))


def main() -> None:
    """Print both tables."""
    deployment = deployed(accelerator("h100"), shape("llama-3.1-8b"), engine="vllm")
    lines = ["512 sequences, one leaves and one comes every few steps: CPU time of begin_step in µs", ""]
    for name, blocks in (("without prefixes", 0), ("18 blocks of prefix each", 18)):
        steps_us = _steps_us(deployment, blocks)
        lines.append(f"  {name}: mean {statistics.mean(steps_us):.0f}, largest mean of {BLOCK} steps {max(steps_us):.0f}")
    lines += ["", "| users | requests | prompt | answer | steps | simulated s | CPU s | times real time |", "|---" * 8 + "|"]
    lines += [_load(deployment, *load) for load in LOADS]
    sys.stdout.write("\n".join(lines) + "\n")


def _steps_us(deployment: Deployment, blocks: int) -> list[float]:
    """Means of blocks of steps; whoever is done is replaced by a job of another length."""
    batcher, number, taken_us = Batcher(deployment), 0, []
    for _ in range(512):
        batcher.add(_job(number, blocks))
        number += 1
    for _ in range(STEPS // BLOCK):
        taken_ns = 0
        for _ in range(BLOCK):
            began_ns = process_time_ns()
            step = batcher.begin_step()
            taken_ns += process_time_ns() - began_ns
            for _ in step.finished if step else ():
                batcher.add(_job(number, blocks))
                number += 1
        taken_us.append(taken_ns / BLOCK / 1e3)
    return taken_us


def _job(number: int, blocks: int) -> Job:
    prefix = tuple(range(number * 100, number * 100 + blocks))
    return Job(id=str(number), prompt_tokens=300 + number % 64, output_tokens=200 + number % 211, prefix=prefix)


def _load(deployment: Deployment, users: int, requests: int, prompt: int, answer: int) -> str:
    load = [Arrival(prompt_tokens=prompt + row % 97, output_tokens=answer + row % 53) for row in range(requests)]
    best_s = float("inf")
    for _ in range(5):
        began_ns = process_time_ns()
        outcome = simulate(deployment, load, users=users)
        best_s = min(best_s, (process_time_ns() - began_ns) / 1e9)
    cells = (users, requests, prompt, answer, outcome.steps, f"{outcome.duration_s:.1f}", f"{best_s:.3f}")
    return "| " + " | ".join(map(str, cells)) + f" | {outcome.duration_s / best_s:.0f} |"


if __name__ == "__main__":
    main()
