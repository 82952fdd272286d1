"""The plugin's command-line options, and what they say, as one frozen object."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for on the command line; see ``pytest --help`` for each."""

    endpoint: str | None
    endpoint_model: str | None
    api_key_env: str | None
    tokenizer: Path | None
    output: Path | None
    seed: int | None
    replay: Path | None
    slo: tuple[str, ...]
    lease_timeout_s: float
    workers: int | None = None


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


def read_options(config: pytest.Config) -> Options:
    """
    What was asked for.

    Raises:
        pytest.UsageError: options that contradict each other or make no sense; says which, and what would.
    """
    options = Options(
        endpoint=config.getoption("inferbench_endpoint"),
        endpoint_model=config.getoption("inferbench_endpoint_model"),
        api_key_env=config.getoption("inferbench_api_key_env"),
        tokenizer=_path(config, "tokenizer"),
        output=_path(config, "output"),
        seed=config.getoption("inferbench_seed"),
        replay=_path(config, "replay"),
        slo=tuple(config.getoption("inferbench_slo")),
        lease_timeout_s=config.getoption("inferbench_lease_timeout"),
        workers=config.getoption("inferbench_workers"),
    )
    _check_endpoint(options)
    _check_objectives(options.slo)
    if options.seed is not None and options.seed < 0:
        raise pytest.UsageError(f"--inferbench-seed must be 0 or more, not {options.seed}")
    if options.replay is not None and options.seed is not None:
        raise pytest.UsageError("--inferbench-replay has the seeds of its record; leave --inferbench-seed out")
    if options.replay is not None and not options.replay.is_dir():
        raise pytest.UsageError(f"--inferbench-replay: there is no folder {options.replay}; give that of a run, or of a case")
    if not 0 <= options.lease_timeout_s < inf:
        raise pytest.UsageError(f"--inferbench-lease-timeout must be 0 s or more, not {options.lease_timeout_s:g}")
    if options.workers is not None and options.workers < 1:
        raise pytest.UsageError(f"--inferbench-workers must be 1 or more, not {options.workers}")
    return options


def again_flags(options: Options) -> list[str]:
    """The flags with which a case is measured as it was in this run; the output folder is never used twice."""
    values = {
        "--inferbench-endpoint": options.endpoint,
        "--inferbench-endpoint-model": options.endpoint_model,
        "--inferbench-api-key-env": options.api_key_env,
        "--inferbench-tokenizer": options.tokenizer,
        "--inferbench-seed": options.seed,
        "--inferbench-workers": options.workers,
        "--inferbench-replay": options.replay,
    }
    flags = [f"{name}={value}" for name, value in values.items() if value is not None]
    return flags + [f"--inferbench-slo={text}" for text in options.slo]


def _path(config: pytest.Config, name: str) -> Path | None:
    text = config.getoption(f"inferbench_{name}")
    return Path(config.invocation_params.dir, Path(text).expanduser()) if text else None


def _check_endpoint(options: Options) -> None:
    if options.endpoint is None:
        given = {
            "--inferbench-endpoint-model": options.endpoint_model,
            "--inferbench-api-key-env": options.api_key_env,
            "--inferbench-tokenizer": options.tokenizer,
        }
        for flag, value in given.items():
            if value is not None:
                raise pytest.UsageError(
                    f"{flag} belongs to --inferbench-endpoint: give the server's URL as well, such as http://127.0.0.1:8000"
                )
        return
    from pytest_inferbench.launch.attached import base_url  # noqa: PLC0415 - keeps collection light
    from pytest_inferbench.load.tokens import tokenizer_at  # noqa: PLC0415 - keeps collection light

    _or_usage_error("--inferbench-endpoint", lambda: base_url(options.endpoint or ""))
    if options.tokenizer is not None:
        tokenizer = options.tokenizer
        _or_usage_error("--inferbench-tokenizer", lambda: tokenizer_at(tokenizer))
    if options.api_key_env is not None and not os.environ.get(options.api_key_env):
        raise pytest.UsageError(f"--inferbench-api-key-env: the environment variable {options.api_key_env} is not set")


def _check_objectives(texts: tuple[str, ...]) -> None:
    if not texts:
        return
    from pytest_inferbench.objectives.slo import parse_objectives  # noqa: PLC0415 - keeps collection light

    _or_usage_error("--inferbench-slo", lambda: parse_objectives(texts))


def _or_usage_error(flag: str, check: Callable[[], object]) -> None:
    try:
        check()
    except ConfigError as error:
        raise pytest.UsageError(f"{flag}: {error.problem}") from error
