"""What the plugin's command-line options say, as one frozen object; they are declared in `option_flags`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

import pytest

from pytest_inferbench.cases.confidence import OBSERVED, confidence_of
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.run_directory import RUN_FILE, RUNS
from pytest_inferbench.repeats import REPEATS_MAX
from pytest_inferbench.simulation import Asked

Inconclusive = Literal["fail", "skip", "pass"]


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
    confidence: float | None = None
    stop: str | None = None
    inconclusive: Inconclusive = "fail"
    inventory: str | None = None
    exclusive: bool = False
    keep_servers: bool = False
    reuse_servers: bool = False
    resume: Path | None = None
    dry_run: bool = False
    calibration: bool = True
    simulate: bool = False
    time_scale: float | None = None
    faults: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    lenient: bool = False
    export: str | None = None
    save: str | None = None
    compare: str | None = None
    fail_on: str | None = None
    noise: str = "3%"
    store: str | None = None
    upload: str | None = None


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
        confidence=confidence_asked(config),
        stop=config.getoption("inferbench_stop"),
        inconclusive=config.getoption("inferbench_inconclusive"),
        lease_timeout_s=config.getoption("inferbench_lease_timeout"),
        workers=config.getoption("inferbench_workers"),
        inventory=config.getoption("inferbench_inventory"),
        exclusive=config.getoption("inferbench_exclusive"),
        keep_servers=config.getoption("inferbench_keep_servers"),
        reuse_servers=config.getoption("inferbench_reuse_servers"),
        resume=_run_folder(config),
        dry_run=config.getoption("inferbench_dry_run"),
        calibration=not config.getoption("inferbench_no_calibration"),
        simulate=config.getoption("inferbench_simulate"),
        time_scale=config.getoption("inferbench_time_scale"),
        faults=tuple(config.getoption("inferbench_fault")),
        overrides=tuple(config.getoption("inferbench_override")),
        lenient=config.getoption("inferbench_lenient"),
        export=config.getoption("inferbench_export"),
        save=config.getoption("inferbench_save"),
        compare=config.getoption("inferbench_compare"),
        fail_on=config.getoption("inferbench_fail_on"),
        noise=config.getoption("inferbench_noise"),
        store=config.getoption("inferbench_store"),
        upload=config.getoption("inferbench_upload"),
    )
    _check_endpoint(options)
    _check_servers(options)
    if options.dry_run and getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        raise pytest.UsageError("--inferbench-dry-run makes one table in one process; add -n 0, or -p no:xdist")
    _check_simulation(options)
    _check_export(options)
    _check_gate(options)
    _check_stores(options)
    _or_usage_error("--inferbench-override", lambda: overrides_asked(config))
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


def simulation_asked(config: pytest.Config) -> Asked | None:
    """How cases are to be simulated; None: they are not."""
    if not config.getoption("inferbench_simulate"):
        return None
    return Asked(time_scale=config.getoption("inferbench_time_scale"), faults=tuple(config.getoption("inferbench_fault")))


def overrides_asked(config: pytest.Config) -> dict[str, str]:
    """
    What is laid over configurations of other systems, by key.

    Raises:
        ConfigError: it cannot be read.
    """
    from pytest_inferbench.cases.formats.overrides import parse_overrides  # noqa: PLC0415 - only who has such a file needs it

    return parse_overrides(tuple(config.getoption("inferbench_override")))


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
        "--inferbench-inventory": options.inventory,
        "--inferbench-time-scale": options.time_scale,
        "--inferbench-stop": options.stop,
        "--inferbench-confidence": None if options.confidence is None else options.confidence or OBSERVED,
    }
    flags = [f"{name}={value}" for name, value in values.items() if value is not None]
    flags += ["--inferbench-exclusive"] if options.exclusive else []
    flags += ["--inferbench-simulate"] if options.simulate else []
    flags += [f"--inferbench-fault={text}" for text in options.faults]
    flags += [f"--inferbench-override={text}" for text in options.overrides]
    flags += ["--inferbench-lenient"] if options.lenient else []
    return flags + [f"--inferbench-slo={text}" for text in options.slo]


def confidence_asked(config: pytest.Config) -> float | None:
    """
    How sure every verdict has to be, whatever suites say; None: as they say.

    Raises:
        pytest.UsageError: it is no confidence.
    """
    text = config.getoption("inferbench_confidence")
    if text is None:
        return None
    try:
        return confidence_of(text)
    except ConfigError as error:
        raise pytest.UsageError(f"--inferbench-confidence: {error.problem}") from error


def _path(config: pytest.Config, name: str) -> Path | None:
    text = config.getoption(f"inferbench_{name}")
    return Path(config.invocation_params.dir, Path(text).expanduser()) if text else None


def _run_folder(config: pytest.Config) -> Path | None:
    """The folder of the run to go on with: a folder that was named, or that of a run id in its usual place."""
    text = config.getoption("inferbench_resume")
    if not text:
        return None
    places = (Path(config.invocation_params.dir, Path(text).expanduser()), config.rootpath / RUNS / text)
    for place in places:
        if (place / RUN_FILE).is_file():
            return place
    raise pytest.UsageError(f"--inferbench-resume: there is no run {text}; looked in {' and '.join(map(str, places))}")


def _check_servers(options: Options) -> None:
    """Refuse options about servers of our own, or about results, that contradict each other."""
    for first, second in (
        ("endpoint", "keep_servers"),
        ("endpoint", "reuse_servers"),
        ("resume", "output"),
        ("resume", "dry_run"),
        ("save", "dry_run"),
        ("compare", "dry_run"),
        ("resume", "replay"),
        ("simulate", "endpoint"),
        ("simulate", "replay"),
    ):
        if getattr(options, first) and getattr(options, second):
            raise pytest.UsageError(f"{_flag(first)} and {_flag(second)} contradict each other; leave one out")
    if options.inventory is not None:
        from pytest_inferbench.devices.inventory import declared  # noqa: PLC0415 - only who declares one needs it

        text = options.inventory
        _or_usage_error("--inferbench-inventory", lambda: declared(text))


def _check_simulation(options: Options) -> None:
    given = {"--inferbench-time-scale": options.time_scale is not None, "--inferbench-fault": bool(options.faults)}
    for flag, there in given.items():
        if there and not options.simulate:
            raise pytest.UsageError(f"{flag} is of simulated servers; add --inferbench-simulate")
    if options.faults:
        from pytest_inferbench.simulator.fault_forms import read_faults  # noqa: PLC0415 - only who asks for one needs it

        _or_usage_error("--inferbench-fault", lambda: read_faults(options.faults))
    if options.time_scale is not None and not 0 <= options.time_scale < inf:
        raise pytest.UsageError(f"--inferbench-time-scale must be 0 or more, not {options.time_scale:g}")


def _check_export(options: Options) -> None:
    if (names := options.export) is not None:
        from pytest_inferbench.records.export.registry import parse_formats  # noqa: PLC0415 - only who writes them needs it

        _or_usage_error("--inferbench-export", lambda: parse_formats(names))


def _check_stores(options: Options) -> None:
    if (store := options.store) is not None:
        from pytest_inferbench.records.history.place import store_url  # noqa: PLC0415 - only who names one needs it

        _or_usage_error("--inferbench-store", lambda: store_url(store))
    if (upload := options.upload) is not None:
        from pytest_inferbench.records.artifact_store import Store  # noqa: PLC0415 - only who uploads needs it

        _or_usage_error("--inferbench-upload", lambda: Store(upload))


def _check_gate(options: Options) -> None:
    if options.fail_on is not None and options.compare is None:
        raise pytest.UsageError("--inferbench-fail-on is of a comparison; add --inferbench-compare NAME")
    if options.save is not None:
        from pytest_inferbench.records.baseline_files import path_of  # noqa: PLC0415 - only who saves one needs it

        name = options.save
        _or_usage_error("--inferbench-save", lambda: path_of(name, Path()))
    if options.compare is not None:
        from pytest_inferbench.objectives.tolerance import parse_fail_on, parse_noise  # noqa: PLC0415 - only who compares needs it

        text = options.fail_on
        _or_usage_error("--inferbench-noise", lambda: parse_noise(options.noise))
        if text is not None:
            _or_usage_error("--inferbench-fail-on", lambda: parse_fail_on(text))


def repeats_asked(config: pytest.Config) -> tuple[int, bool]:
    """
    How often each case is measured, and whether each time with a fresh server.

    Raises:
        pytest.UsageError: it is no such number.
    """
    times, restart = config.getoption("inferbench_repeats"), config.getoption("inferbench_restart")
    if not 1 <= times <= REPEATS_MAX:
        raise pytest.UsageError(f"--inferbench-repeats must be from 1 to {REPEATS_MAX}, not {times}")
    return times, restart


def _flag(name: str) -> str:
    return f"--inferbench-{name.replace('_', '-')}"


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
