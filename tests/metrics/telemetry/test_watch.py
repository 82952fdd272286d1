import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.fake import fake_endpoint
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.metrics.telemetry import watch as module
from pytest_inferbench.metrics.telemetry.watch import Rates, Watch, watching
from tests.launch.conftest import ScriptedServer
from tests.metrics.telemetry.answers import VLLM
from tests.metrics.telemetry.conftest import http

Serving = Callable[[bytes | None], ScriptedServer]
FAKE = Rates(source="fake", gpu_every_s=0.02, scrape_every_s=0.05)
GPUS = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="h100") for index in range(2))
LIMIT_S = 60.0

# Watches a fake GPU, says the sampler's number, and waits to be killed.
WATCHER = """
import sys, time
from pathlib import Path
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.launch.fake import fake_endpoint
from pytest_inferbench.metrics.telemetry.watch import Rates, watching
gpus, rates = [Gpu(index=0, uuid="x", name="h100")], Rates(source="fake")
with watching(fake_endpoint(), gpus, folder=Path(sys.argv[1]), rates=rates) as watch:
    sys.stdout.write(f"{watch.pid}\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


def endpoint(server: ScriptedServer | None = None) -> Endpoint:
    return replace(fake_endpoint(), metrics_url=None if server is None else f"{server.url}/metrics")


def until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_gpus_and_server_are_seen_on_the_clock_of_the_requests(serving: Serving, tmp_path: Path) -> None:
    server = serving(http(VLLM.encode()))
    began_ns = monotonic_ns()
    with watching(endpoint(server), GPUS, folder=tmp_path, rates=FAKE) as watch:
        start_ns = monotonic_ns()
        until(lambda: len(server.requests) >= 4)
        end_ns = monotonic_ns()
    times_ns = [sample.timestamp_ns for sample in watch.readings.gpus]
    times_ns += [scrape.timestamp_ns for scrape in watch.readings.scrapes]
    assert began_ns <= min(times_ns) < start_ns
    assert end_ns < max(times_ns) <= monotonic_ns()
    found = watch.summary(window_ns=(start_ns, end_ns), output_tokens=100)
    seconds = (end_ns - start_ns) / 1e9
    assert [gpu.energy_j for gpu in found.gpus] == pytest.approx([100 * seconds, 110 * seconds])
    assert found.joules_per_output_token == pytest.approx(2.1 * seconds)
    assert found.server is not None
    assert (found.server.waiting_max, found.server.preemptions) == (2, 0)
    assert found.troubles == ()
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_look_at_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("must not start"))
    with watching(endpoint(), [], folder=tmp_path) as watch:
        assert watch.pid is None
    assert watch.summary(window_ns=(0, 1), output_tokens=1).troubles == ()


def test_gpus_that_are_not_here_or_not_nvidias_are_left_out_and_named(tmp_path: Path) -> None:
    gpus = (replace(GPUS[0], declared=True), replace(GPUS[1], name="mi300x", vendor="amd"))
    with watching(endpoint(), gpus, folder=tmp_path) as watch:
        assert watch.pid is None
    assert watch.readings.troubles == ("only NVIDIA's GPUs that are on this host are watched; left out: 0 (h100), 1 (mi300x)",)


GPUS_SAID = b'{"simulated": true, "gpus": [{"power_w": 200.0, "memory_used_bytes": 5}]}'


@pytest.mark.parametrize("held", [(), (replace(GPUS[1], uuid="declared-1", declared=True),)])
def test_a_simulated_server_is_asked_for_its_gpus(
    scripted: Callable[..., ScriptedServer], tmp_path: Path, held: tuple[Gpu, ...]
) -> None:
    server = scripted({"/simulator/gpus": http(GPUS_SAID), "/metrics": http(VLLM.encode())})
    simulated = replace(endpoint(server), url=server.url, simulated=True)
    start_ns = monotonic_ns()
    with watching(simulated, held, folder=tmp_path) as watch:
        until(lambda: server.paths().count("/simulator/gpus") >= 2)
    found = watch.summary(window_ns=(start_ns, monotonic_ns()), output_tokens=1)
    assert found.simulated
    assert found.troubles == ()
    (gpu,) = found.gpus
    assert (gpu.gpu, gpu.memory_used_bytes_max) == (1 if held else 0, 5)
    assert all(sample.simulated and sample.power_w == 200.0 for sample in watch.readings.gpus)


def test_nothing_of_a_real_server_is_marked_as_simulated(serving: Serving, tmp_path: Path) -> None:
    start_ns = monotonic_ns()
    with watching(endpoint(serving(http(VLLM.encode()))), GPUS, folder=tmp_path, rates=FAKE) as watch:
        pass
    assert not watch.summary(window_ns=(start_ns, monotonic_ns()), output_tokens=1).simulated


def test_a_sampler_that_is_killed_is_a_sentence_and_leaves_what_it_saw(tmp_path: Path) -> None:
    with watching(endpoint(), GPUS, folder=tmp_path, rates=FAKE) as watch:
        assert watch.pid is not None
        os.kill(watch.pid, signal.SIGKILL)
        until(lambda: not runs(watch.pid or 0))
    assert len(watch.readings.gpus) >= 2
    (trouble,) = watch.readings.troubles
    assert trouble.startswith("telemetry ended before the load did: it was killed by SIGKILL (signal 9)")
    assert list(tmp_path.iterdir()) == []


def test_a_sampler_that_cannot_write_says_why(tmp_path: Path) -> None:
    with watching(endpoint(), GPUS, folder=tmp_path / "none", rates=FAKE) as watch:
        pass
    (trouble,) = watch.readings.troubles
    assert trouble.startswith("telemetry ended before the load did: it exited with code 1; it said: FileNotFoundError")


def test_a_sampler_that_cannot_be_started_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with watching(endpoint(), GPUS, folder=tmp_path, rates=FAKE) as watch:
        pass
    assert watch.readings.troubles == ("telemetry could not be started: No such file or directory",)


def test_a_sampler_that_is_not_ready_in_time_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_LIMIT_S", 0.0)
    with watching(endpoint(), GPUS, folder=tmp_path, rates=FAKE) as watch:
        pass
    assert watch.readings.troubles == ("telemetry was not ready within 0 s, and is left out",)


def test_a_server_that_says_nothing_does_not_hold_up_the_end(serving: Serving, tmp_path: Path) -> None:
    server = serving(None)
    with watching(endpoint(server), GPUS, folder=tmp_path, rates=FAKE) as watch:
        pass
    assert watch.readings.gpus
    (trouble,) = watch.readings.troubles
    assert trouble.startswith(f"the server's metrics at {server.url}/metrics are not in this record: ")
    assert "it gave no whole answer within" in trouble


def test_the_key_is_on_no_command_line_and_reaches_the_server(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCH_KEY", "s3cret-key")
    server = serving(http(b"a 1\n"))
    with watching(replace(endpoint(server), api_key_env="WATCH_KEY"), GPUS, folder=tmp_path, rates=FAKE) as watch:
        assert b"s3cret" not in Path(f"/proc/{watch.pid}/cmdline").read_bytes()
    assert server.requests[0][1]["authorization"] == "Bearer s3cret-key"


def test_an_error_in_the_block_goes_through_and_ends_the_sampler(tmp_path: Path) -> None:
    pids: list[int] = []

    def broken() -> None:
        with watching(endpoint(), GPUS, folder=tmp_path, rates=FAKE) as watch:
            pids.append(watch.pid or 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert not runs(pids[0])


def test_ending_twice_says_nothing_twice(tmp_path: Path) -> None:
    held: list[Watch] = []
    with watching(endpoint(), [replace(GPUS[0], declared=True)], folder=tmp_path) as watch:
        held.append(watch)
    watch.stop()
    assert len(held[0].readings.troubles) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", WATCHER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert runs(pid)
    parent.kill()
    parent.communicate()
    until(lambda: not runs(pid))
