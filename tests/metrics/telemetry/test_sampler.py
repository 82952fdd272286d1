import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.telemetry import journal
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.sampler import Journal, Scraper, Settings, Ticks
from pytest_inferbench.metrics.telemetry.scrape import Source
from pytest_inferbench.metrics.telemetry.watch import MODULE
from tests.launch.conftest import ScriptedServer
from tests.metrics.telemetry.conftest import http

Serving = Callable[[bytes | None], ScriptedServer]
SECOND = 1_000_000_000
LIMIT_S = 60.0


def ran(settings: Settings, tmp_path: Path) -> Readings:
    """A whole sampler that is told to end as soon as it has begun."""
    settings = replace(settings, journal=str(tmp_path / "j"))
    told = json.dumps(asdict(settings)).encode() + b"\n"
    done = subprocess.run([sys.executable, "-m", MODULE], input=told, capture_output=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ready\n", b"")
    return journal.read(tmp_path / "j")


def scraper(server: ScriptedServer, file: io.StringIO) -> Scraper:
    return Scraper(Source(url=f"{server.url}/metrics"), Journal(file), every_s=1)


@given(first_ns=st.integers(0, 10**18), lates_ns=st.lists(st.integers(0, 5 * SECOND), max_size=20))
def test_instants_stay_on_their_grid_however_late_one_is(first_ns: int, lates_ns: list[int]) -> None:
    ticks = Ticks(first_ns, every_s=0.1)
    for late_ns in lates_ns:
        now_ns = ticks.next_ns + late_ns
        ticks.passed(now_ns)
        assert (ticks.next_ns - first_ns) % (SECOND // 10) == 0
        assert now_ns < ticks.next_ns <= now_ns + SECOND // 10


def test_an_early_call_skips_no_instant() -> None:
    ticks = Ticks(0, every_s=1)
    ticks.passed(SECOND // 2)
    assert ticks.next_ns == SECOND
    assert ticks.left_s(SECOND // 4) == 0.75
    assert ticks.left_s(2 * SECOND) == 0


def test_it_looks_once_at_the_beginning_and_once_at_the_end(serving: Serving, tmp_path: Path) -> None:
    server = serving(http(b"a 1\n"))
    settings = Settings(parent_pid=os.getpid(), journal="", gpus=((0, "x"), (1, "y")), source="fake", url=f"{server.url}/metrics")
    seen = ran(settings, tmp_path)
    assert [sample.gpu for sample in seen.gpus] == [0, 1, 0, 1]
    assert [scrape.text for scrape in seen.scrapes] == ["a 1\n", "a 1\n"]
    assert seen.troubles == ()


def test_a_server_without_metrics_is_asked_once_and_said_once(serving: Serving, tmp_path: Path) -> None:
    server = serving(http(b"", status="404 Not Found"))
    seen = ran(Settings(parent_pid=os.getpid(), journal="", url=f"{server.url}/metrics"), tmp_path)
    assert seen.troubles == (f"the server's metrics at {server.url}/metrics are not in this record: it answered 404 Not Found",)
    assert server.paths() == ["/metrics"]


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path) -> None:
    seen = ran(Settings(parent_pid=os.getpid(), journal="", gpus=((0, "GPU-of-nobody"),)), tmp_path)
    assert seen.gpus == ()
    assert len(seen.troubles) == 1
    assert seen.troubles[0].startswith("GPUs are not watched: ")


def test_somebody_elses_child_looks_at_nothing(tmp_path: Path) -> None:
    settings = Settings(parent_pid=1, journal=str(tmp_path / "j"), gpus=((0, "x"),), source="fake")
    told = json.dumps(asdict(settings)).encode() + b"\n"
    done = subprocess.run([sys.executable, "-m", MODULE], input=told, capture_output=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
    assert not (tmp_path / "j").exists()


def test_answers_that_failed_now_and_then_are_counted(serving: Serving) -> None:
    server, file = serving(http(b"a 1\n")), io.StringIO()
    looking = scraper(server, file)
    assert looking.look(limit_s=5)
    server.script["/metrics"] = http(b"", status="503 Service Unavailable")
    assert looking.look(limit_s=5)
    server.script["/metrics"] = http(b"a 1\n")
    assert looking.look(limit_s=5)
    assert looking.troubles() == [
        f"the server's metrics at {server.url}/metrics could not be read 1 of 3 times; last: it answered 503 Service Unavailable"
    ]
    assert file.getvalue().count("\n") == 2


def test_answers_that_all_came_are_no_trouble(serving: Serving) -> None:
    looking = scraper(serving(http(b"a 1\n")), io.StringIO())
    assert looking.look(limit_s=5)
    assert looking.troubles() == []


@pytest.mark.parametrize("gpus", [[], [[0, "GPU-a"]]])
def test_settings_come_back_from_json(gpus: list[list[object]]) -> None:
    settings = Settings(parent_pid=7, journal="/j", gpus=tuple((0, "GPU-a") for _ in gpus), url="http://h/metrics", key_env="KEY")
    assert Settings.of(json.loads(json.dumps(asdict(settings)))) == settings
