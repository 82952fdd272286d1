"""The plugin's command-line options, and what they say, as one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
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
    slo: tuple[str, ...]
    lease_timeout_s: float


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


def read_options(config: pytest.Config) -> Options:
    """
    What was asked for.

    Raises:
        pytest.UsageError: options that contradict each other or make no sense; says which, and what would.
    """
    endpoint = config.getoption("inferbench_endpoint")
    for name in ("endpoint_model", "api_key_env"):
        if config.getoption(f"inferbench_{name}") and not endpoint:
            flag = f"--inferbench-{name.replace('_', '-')}"
            raise pytest.UsageError(
                f"{flag} belongs to --inferbench-endpoint: give the server's URL as well, such as http://127.0.0.1:8000"
            )
    slo = tuple(config.getoption("inferbench_slo"))
    _check_objectives(slo)
    seed = config.getoption("inferbench_seed")
    if seed is not None and seed < 0:
        raise pytest.UsageError(f"--inferbench-seed must be 0 or more, not {seed}")
    return Options(
        endpoint=endpoint,
        endpoint_model=config.getoption("inferbench_endpoint_model"),
        api_key_env=config.getoption("inferbench_api_key_env"),
        tokenizer=_path(config, "tokenizer"),
        output=_path(config, "output"),
        seed=seed,
        slo=slo,
        lease_timeout_s=config.getoption("inferbench_lease_timeout"),
    )


def _path(config: pytest.Config, name: str) -> Path | None:
    text = config.getoption(f"inferbench_{name}")
    return Path(config.invocation_params.dir, text).expanduser() if text else None


def _check_objectives(texts: tuple[str, ...]) -> None:
    if not texts:
        return
    from pytest_inferbench.objectives.slo import parse_objective  # noqa: PLC0415 - keeps collection light

    for text in texts:
        try:
            parse_objective(text, file="--inferbench-slo")
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
