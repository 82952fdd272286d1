"""
What other tools say of the files that are written for them: their own commands, readers and arithmetic, where they are installed.

``INFERBENCH_TEST_GENAI_BENCH`` and ``INFERBENCH_TEST_VLLM`` are the folders of these tools' commands.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from pytest_inferbench.records.export.write import export_run
from tests.records.export.measured import exportable, several, uneven_traces, write_run

LIMIT_S = 300


def command(variable: str, name: str) -> str:
    """A tool's command, or a skip that says what is missing."""
    folder = os.environ.get(variable)
    if folder is None:
        pytest.skip(f"{variable} is not set to the folder of {name}")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"{variable} is {folder}, which has no {name}")
    return str(path)


def run(*words: str, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """A run of three levels and a simulated case with a failed request, written for all who are asked here."""
    cases = [*several(1, 2, 4), exportable(uneven_traces(), simulated=True)]
    done = export_run(write_run(tmp_path / "run", cases), ["genai-bench", "vllm"])
    assert done.troubles == ()
    return tmp_path / "run" / "exports"


def test_genai_benchs_excel_command_reads_every_experiment(exports: Path) -> None:
    genai_bench = command("INFERBENCH_TEST_GENAI_BENCH", "genai-bench")
    experiments = sorted((exports / "genai-bench").iterdir())
    assert len(experiments) == 2
    for folder in experiments:
        run(genai_bench, "excel", "--experiment-folder", str(folder), "--excel-name", "sheet", cwd=exports)
        assert (folder / "sheet.xlsx").stat().st_size > 0


def test_genai_benchs_plot_command_draws_the_levels_of_an_experiment(exports: Path) -> None:
    genai_bench = command("INFERBENCH_TEST_GENAI_BENCH", "genai-bench")
    (folder,) = (exports / "genai-bench").glob("openai_*")
    run(genai_bench, "plot", "--experiments-folder", str(folder), "--group-key", "traffic_scenario", cwd=exports)
    assert list(folder.glob("*.png"))


# Reads the run files as genai-bench does and has it add its own requests up again.
_GENAI_BENCH_AGAIN = """
import json, sys
from genai_bench.analysis.experiment_loader import load_one_experiment
from genai_bench.metrics.aggregated_metrics_collector import AggregatedMetricsCollector
from genai_bench.metrics.metrics import RequestLevelMetrics
metadata, runs = load_one_experiment(sys.argv[1])
for levels in runs.values():
    for level in levels.values():
        again = AggregatedMetricsCollector()
        for row in level["individual_request_metrics"]:
            again.all_request_metrics.append(RequestLevelMetrics.model_construct(**row))
        again.aggregate_metrics_data(0.0, 1.0, None, None)
        print(json.dumps([again.aggregated_metrics.stats.to_dict(), level["aggregated_metrics"].stats.to_dict()]))
"""


def test_genai_bench_adds_our_requests_up_to_our_figures(exports: Path) -> None:
    python = command("INFERBENCH_TEST_GENAI_BENCH", "python")
    for folder in sorted((exports / "genai-bench").iterdir()):
        for line in run(python, "-c", _GENAI_BENCH_AGAIN, str(folder), cwd=exports).splitlines():
            if not line.startswith("[{"):
                continue
            theirs, ours = json.loads(line)
            for name, statistics in theirs.items():
                for statistic, value in statistics.items():
                    assert ours[name][statistic] == (None if value is None else pytest.approx(value)), (name, statistic)


# Hands the lists of a detailed file to vLLM's own function as if its client had measured them.
_VLLM_AGAIN = """
import json, sys
from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput
from vllm.benchmarks.serve import calculate_metrics

def again(found):
    lists = ("errors", "input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times")
    outputs = [
        RequestFuncOutput(success=not error, error=error, prompt_len=prompt, output_tokens=tokens, ttft=ttft, itl=itl,
                          latency=latency, start_time=start)
        for error, prompt, tokens, ttft, itl, latency, start in zip(*(found[name] for name in lists))
    ]
    metrics, _ = calculate_metrics([], outputs, found["duration"], None, [50, 90, 95, 99], {})
    figures = {}
    for name in ("ttft", "tpot", "itl", "e2el"):
        figures |= {f"{word}_{name}_ms": float(getattr(metrics, f"{word}_{name}_ms")) for word in ("mean", "median", "std")}
        figures |= {f"p{int(p)}_{name}_ms": float(value) for p, value in getattr(metrics, f"percentiles_{name}_ms")}
    for name in ("completed", "failed", "request_throughput", "output_throughput", "total_token_throughput",
                 "max_output_tokens_per_s", "max_concurrent_requests"):
        figures[name] = float(getattr(metrics, name))
    return figures

for path in sys.argv[1:]:
    print("AGAIN " + json.dumps(again(json.load(open(path)))))
"""


def test_vllm_computes_our_scalars_from_our_lists(exports: Path) -> None:
    python = command("INFERBENCH_TEST_VLLM", "python")
    paths = sorted((exports / "vllm" / "detailed").glob("*.json"))
    lines = run(python, "-c", _VLLM_AGAIN, *map(str, paths), cwd=exports).splitlines()
    theirs = [json.loads(line.removeprefix("AGAIN ")) for line in lines if line.startswith("AGAIN ")]
    assert len(theirs) == len(paths) == 4
    for path, again in zip(paths, theirs, strict=True):
        ours = json.loads(path.read_text())
        assert {name: ours[name] for name in again} == pytest.approx(again, rel=1e-6, abs=1e-6)


# What convert-results-json-to-markdown.py of vLLM's CI takes of a result file for the table that its compare script reads: the
# first by key of the file, the second by column. Neither script is in the wheel, so the columns are made here as it makes them.
_COMPARED = {
    "model_id": "Model",
    "max_concurrency": "# of max concurrency.",
    "request_rate": "qps",
    "output_throughput": "Output Tput (tok/s)",
    "median_ttft_ms": "Median TTFT (ms)",
    "p99_ttft_ms": "P99 TTFT (ms)",
    "median_tpot_ms": "Median",
    "p99_tpot_ms": "P99",
}


def test_what_vllms_compare_script_reads_of_a_file_is_there(exports: Path, tmp_path: Path) -> None:
    files = sorted((exports / "vllm").glob("*.json"))
    rows = [{column: json.loads(path.read_text())[key] for key, column in _COMPARED.items()} for path in files]
    (tmp_path / "benchmark_results.json").write_text(json.dumps(rows))
    # The steps of its compare_data_columns: read, drop rows without the metric, make keys numbers, one series a file by key.
    frame = pd.read_json(tmp_path / "benchmark_results.json", orient="records").dropna(subset=["P99"], ignore_index=True)
    keys = ["Model", "# of max concurrency.", "qps"]
    for key in keys[1:]:
        frame[key] = pd.to_numeric(frame[key], errors="coerce")
    series = frame.set_index(keys, drop=False)["P99 TTFT (ms)"].groupby(level=keys, dropna=False).mean()
    assert len(frame) == len(files) == 4
    assert series.notna().all()
