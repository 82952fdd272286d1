"""What a person reads of a calibration."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pytest_inferbench.cli import NO_VERDICT, main
from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.calibrate import Calibration, Errors, Spread
from pytest_inferbench.reporting.calibration import calibration_lines

FOUND = Calibration(
    errors=Errors(
        first=Spread(p50_ms=0.0066, p99_ms=0.0638, max_ms=0.0723),
        last=Spread(p50_ms=0.0164, p99_ms=0.0555, max_ms=0.102),
        gap=Spread(p50_ms=0.0009, p99_ms=0.0185, max_ms=0.138),
        requests=256,
        tokens=8192,
    ),
    users=64,
    tokens_per_s=5634,
    cpu_us_per_token=20.6,
    send_lag_p50_ms=0.113,
    send_lag_p99_ms=0.711,
    rate_asked_per_s=200,
    rate_achieved_per_s=198.5,
    server_late_p99_ms=2.4,
    clock="kernel",
)


def test_a_calibration_reads_as_a_table_and_a_sentence() -> None:
    assert calibration_lines(FOUND) == [
        "closed loop: 64 users, 256 requests, 5,634 tokens/s",
        "error of times (ms)          p50       p99       max",
        "first token              0.00660    0.0638    0.0723",
        "last token                0.0164    0.0555     0.102",
        "gap between tokens      0.000900    0.0185     0.138",
        "open loop: Poisson of 200 requests/s, 198 drawn and sent",
        "send lag (ms)              0.113     0.711",
        "client CPU: 20.6 us a token; clock: kernel",
        "",
        "Latencies measured on this machine as it is now are right to about 0.07 ms (p99).",
    ]


@pytest.mark.parametrize(("p99_ms", "said"), [(0.0638, "0.07"), (0.07, "0.07"), (0.1, "0.1"), (1.01, "2"), (12.0, "20")])
def test_the_floor_is_rounded_up_and_never_down(p99_ms: float, said: str) -> None:
    none = Spread(p50_ms=0, p99_ms=0, max_ms=0)
    errors = replace(FOUND.errors, first=none, last=none, gap=Spread(p50_ms=0, p99_ms=p99_ms, max_ms=p99_ms))
    assert calibration_lines(replace(FOUND, errors=errors))[-1].endswith(f"right to about {said} ms (p99).")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (replace(FOUND, clock="userspace"), "Times were taken in user space: the kernel gave no receive stamps"),
        (replace(FOUND, server_late_p99_ms=31.4), "The loopback server was 31.4 ms late itself (p99): this machine is busy"),
    ],
)
def test_what_makes_a_calibration_worth_less_is_said(changed: Calibration, problem: str) -> None:
    assert problem not in "\n".join(calibration_lines(FOUND))
    assert problem in calibration_lines(changed)[-1]


def test_the_command_prints_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_inferbench.load.calibrate.calibrate", lambda: FOUND)
    done = CliRunner().invoke(main, ["calibrate"])
    assert (done.exit_code, done.output.splitlines()) == (0, calibration_lines(FOUND))


def test_a_calibration_that_failed_says_why_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Calibration:
        raise LoadError("the loopback server did not start: cannot listen")

    monkeypatch.setattr("pytest_inferbench.load.calibrate.calibrate", broken)
    done = CliRunner().invoke(main, ["calibrate"])
    assert done.exit_code == NO_VERDICT
    assert re.search("error: the loopback server did not start: cannot listen", done.output)
