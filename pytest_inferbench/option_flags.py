"""The plugin's command-line options, as ``pytest --help`` shows them; what they say is read in `options`."""

from __future__ import annotations

import pytest


def add_options(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("inferbench", "LLM-serving benchmarks")
    group.addoption(
        "--inferbench-endpoint",
        metavar="URL",
        help="measure the server that answers there, such as http://127.0.0.1:8000, instead of starting any",
    )
    group.addoption(
        "--inferbench-endpoint-model",
        metavar="NAME",
        help="the model's name at that server (default: the only one that /v1/models lists)",
    )
    group.addoption(
        "--inferbench-api-key-env",
        metavar="NAME",
        help="environment variable that holds the server's bearer key; the key itself is never written anywhere",
    )
    group.addoption(
        "--inferbench-tokenizer",
        metavar="PATH",
        help="tokenizer.json, a folder that holds one, or a GGUF file: cuts prompts for that server to exact lengths",
    )
    group.addoption(
        "--inferbench-output",
        metavar="DIR",
        help="where the run's files go (default: reports/runs/<run id>); a folder that has a run in it is refused",
    )
    group.addoption(
        "--inferbench-seed",
        metavar="N",
        type=int,
        help="make every request the same bytes again (default: same lengths and instants each run, new words)",
    )
    group.addoption(
        "--inferbench-replay",
        metavar="DIR",
        help="send exactly what the run (or case) in that folder sent: same bytes, same instants; refused where it would differ",
    )
    group.addoption(
        "--inferbench-slo",
        metavar="EXPR",
        action="append",
        default=[],
        help="one more objective for every case, such as 'ttft_p99 <= 500ms'; may be given several times",
    )
    group.addoption(
        "--inferbench-lease-timeout",
        metavar="SECONDS",
        type=float,
        default=3600.0,
        help="longest wait for hardware that another process measures on, in seconds (default: 3600)",
    )
    group.addoption(
        "--inferbench-workers",
        metavar="N",
        type=int,
        help="load processes that send each case's requests, 1 or more (default: as many as its load needs, one core stays free)",
    )
    _add_server_options(group)
    _add_simulation_options(group)
    _add_verdict_options(group)
    _add_gate_options(group)
    _add_format_options(group)
    _add_store_options(group)


def _add_server_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--inferbench-inventory",
        metavar="LIST",
        help="hardware to plan with, such as 8xh100 or 4xh100+2xl4, instead of what is found here; for dry runs and tests",
    )
    group.addoption(
        "--inferbench-exclusive",
        action="store_true",
        help="measure one case at a time on this host, for figures that must not share it",
    )
    group.addoption(
        "--inferbench-keep-servers",
        action="store_true",
        help="leave servers up at the end, and say how to reach and stop them (inferbench down)",
    )
    group.addoption(
        "--inferbench-reuse-servers",
        action="store_true",
        help="use servers that an earlier run (or inferbench up) has left up, where they are what a case needs",
    )
    group.addoption(
        "--inferbench-resume",
        metavar="RUN",
        help="go on with that run (its id or folder): measure only the cases that have no valid result yet",
    )
    group.addoption(
        "--inferbench-dry-run",
        action="store_true",
        help="start nothing; write down what would be run: command lines, containers, plans, and an estimate of GPU-hours",
    )
    group.addoption(
        "--inferbench-no-calibration",
        action="store_true",
        help="leave out the second before the first case that finds how right times measured on this machine are",
    )


def _add_simulation_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--inferbench-simulate",
        action="store_true",
        help="put a simulated model server, on simulated GPUs, in the place of every one: no figure of it is a measurement",
    )
    group.addoption(
        "--inferbench-time-scale",
        metavar="X",
        type=float,
        help="with --inferbench-simulate: wait X times as long as it would take for start-up and users' thinking, never for load "
        "(default: no start-up, and thinking as the suite has it)",
    )
    group.addoption(
        "--inferbench-fault",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="with --inferbench-simulate: what goes wrong with every server, such as crash-after-requests=20; may be repeated",
    )


def _add_verdict_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--inferbench-confidence",
        metavar="SHARE",
        help="how sure every verdict has to be, whatever the suites say: 0.95, 99%%, or observed (as seen, however few)",
    )
    group.addoption(
        "--inferbench-inconclusive",
        choices=("fail", "skip", "pass"),
        default="fail",
        help="what a case becomes whose verdict is not sure (default: fail); its record says inconclusive all the same",
    )
    group.addoption(
        "--inferbench-stop",
        choices=("when-sure",),
        help="end every load as soon as the verdict is sure; requests and duration are then the most there may be",
    )


def _add_gate_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--inferbench-save",
        metavar="NAME",
        help="save this run as a baseline: a small file in reports/baselines, made for review; one that is there is replaced",
    )
    group.addoption(
        "--inferbench-compare",
        metavar="NAME|RUN|FILE",
        help="hold this run against a baseline, or another run; a regression fails the session, and so does what cannot be told",
    )
    group.addoption(
        "--inferbench-fail-on",
        metavar="LIST",
        help="with that: how much worse figures may get, whatever the suites say, such as tpot_p50:5%%,output_throughput:3%%",
    )
    group.addoption(
        "--inferbench-noise",
        metavar="SHARE",
        default="3%",
        help="with that: noise between runs, assumed where a side has only one run (default: 3%%)",
    )
    group.addoption(
        "--inferbench-repeats",
        metavar="N",
        type=int,
        default=1,
        help="measure every case N times; a gate then sees how runs differ and assumes nothing (5 find a tenth in 95 of 100)",
    )
    group.addoption(
        "--inferbench-restart",
        action="store_true",
        help="give every case, and every repeat, a server that has answered nobody before",
    )


def _add_format_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--inferbench-config",
        metavar="FILE",
        action="append",
        default=[],
        help="run a configuration of another system (BenchFlow, GIE, Dynamo, nm-vllm, vLLM CI ...) as it is; may be repeated",
    )
    group.addoption(
        "--inferbench-export",
        metavar="FORMATS",
        help="write the results in formats of other tools as well: vllm, genai-bench, guidellm ..., several with commas, or all",
    )
    group.addoption(
        "--inferbench-override",
        metavar="KEY=VALUE,...",
        action="append",
        default=[],
        help="with those: what to run in place of what they say, such as engine=llamacpp,model=smollm2-135m",
    )
    group.addoption(
        "--inferbench-lenient",
        action="store_true",
        help="read those as their own systems would, mistakes and all, where that is an error otherwise",
    )


def _add_store_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--inferbench-store",
        metavar="URL",
        help="database that keeps the history of runs, such as postgresql://host/inferbench, or none "
        "(default: $INFERBENCH_STORE, else SQLite in your data folder)",
    )
    group.addoption(
        "--inferbench-upload",
        metavar="URL",
        help="send the run's files to s3://bucket/folder, gs://, az:// or file:// as well; fetch them with inferbench fetch",
    )
