import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.devices import gpu_lease, inventory
from pytest_inferbench.devices.gpu_lease import GpuLease, GpusWanted, Host, lease_gpus
from pytest_inferbench.devices.inventory import Inventory, declared
from pytest_inferbench.devices.lock_file import holder_of
from pytest_inferbench.devices.quarantine import TOLERANCE_BYTES
from pytest_inferbench.devices.survey import Survey
from pytest_inferbench.devices.tickets import Ticket
from pytest_inferbench.devices.usage import GpuProcess, Usage
from pytest_inferbench.errors import DeviceError

GIB = 1024**3
EIGHT = declared("8xh100")
# Real ones, as far as leases can tell: what goes on on them is asked for.
PRESENT = replace(EIGHT, declared=False, gpus=tuple(replace(gpu, declared=False) for gpu in EIGHT.gpus))

HOLDER = """
import sys, time
from pathlib import Path
from pytest_inferbench.devices.gpu_lease import GpusWanted, Host, lease_gpus
from pytest_inferbench.devices.inventory import declared
wanted = GpusWanted(hardware="h100", count=int(sys.argv[2]), what="suites/chat.bench.yaml")
with lease_gpus(declared("8xh100"), wanted, timeout_s=10, host=Host(folder=Path(sys.argv[1]))):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_lease, "POLL_S", 0.005)
    monkeypatch.setattr(gpu_lease, "LOOK_S", 0.02)
    monkeypatch.setattr(gpu_lease, "_MEMORY_POLL_S", 0.005)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(folder=tmp_path, usages=unasked)


@pytest.fixture
def five_held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", HOLDER, str(tmp_path), "5"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    end(process)


def end(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def unasked() -> dict[str, Usage]:
    raise AssertionError("nobody is to be asked about GPUs that are declared")


def lease(
    host: Host,
    count: int,
    *,
    of: Inventory = EIGHT,
    timeout_s: float = 30,
    waiting: Callable[[str], None] = lambda _: None,
) -> GpuLease:
    return lease_gpus(
        of, GpusWanted(hardware="h100", count=count, what=f"{count} wanted"), timeout_s=timeout_s, waiting=waiting, host=host
    )


def indices(held: GpuLease) -> list[int]:
    return [gpu.index for gpu in held.gpus]


def test_all_are_taken_at_once_and_given_back(host: Host) -> None:
    with lease(host, 5) as five, lease(host, 3) as three:
        assert indices(five) == [0, 1, 2, 3, 4]
        assert indices(three) == [5, 6, 7]
    with lease(host, 8) as eight:
        assert len(eight.gpus) == 8


def test_release_is_safe_twice(host: Host) -> None:
    held = lease(host, 8)
    held.release()
    held.release()
    with lease(host, 8):
        held.release()
        with pytest.raises(DeviceError):
            lease(host, 1, timeout_s=0)


def test_neighbours_are_taken_first(host: Host) -> None:
    pair = frozenset({EIGHT.gpus[2].uuid, EIGHT.gpus[6].uuid})
    with lease(host, 2, of=replace(EIGHT, links=frozenset({pair}))) as two:
        assert indices(two) == [2, 6]


def test_kinds_do_not_wait_for_each_other(host: Host) -> None:
    both = declared("1xh100+1xl4")
    one = lease_gpus(both, GpusWanted(hardware="H100", count=1), timeout_s=1, host=host)
    other = lease_gpus(both, GpusWanted(hardware="l4", count=1), timeout_s=1, host=host)
    assert one.gpus + other.gpus == both.gpus
    one.release()
    other.release()


MIXED = declared("1xh100+2xl4+2xa10")
ANY = GpusWanted(hardware="gpu", count=2, what="any 2")


def test_where_any_gpu_will_do_all_are_of_one_kind_that_is_free(host: Host) -> None:
    with lease_gpus(MIXED, ANY, timeout_s=1, host=host) as first, lease_gpus(MIXED, ANY, timeout_s=1, host=host) as second:
        assert [gpu.name for gpu in first.gpus] == ["l4", "l4"]
        assert [gpu.name for gpu in second.gpus] == ["a10", "a10"]
        with lease_gpus(MIXED, replace(ANY, count=1), timeout_s=1, host=host) as third:
            assert [gpu.name for gpu in third.gpus] == ["h100"]


def test_who_waits_for_any_gpu_is_told_of_every_kind_and_stands_in_every_queue(host: Host) -> None:
    told: list[str] = []

    def ask_for_one(words: str) -> None:
        told.append(words)
        with pytest.raises(DeviceError, match="1 x a10 were not free within 0 s"):
            lease_gpus(MIXED, GpusWanted(hardware="a10", count=1), timeout_s=0, host=host)
        raise KeyboardInterrupt

    l4 = lease_gpus(MIXED, GpusWanted(hardware="l4", count=1, what="one l4"), timeout_s=1, host=host)
    a10 = lease_gpus(MIXED, GpusWanted(hardware="a10", count=1, what="one a10"), timeout_s=1, host=host)
    with l4, a10:
        with pytest.raises(KeyboardInterrupt):
            lease_gpus(MIXED, ANY, timeout_s=30, waiting=ask_for_one, host=host)
        with pytest.raises(DeviceError) as error:
            lease_gpus(MIXED, ANY, timeout_s=0, host=host)
    text = str(error.value)
    assert text.startswith("2 GPUs of one kind were not free within 0 s: gpu 1: held by process")
    assert "(one l4); gpu 3: held by process" in text
    (said,) = told
    assert said.startswith("waiting for 2 GPUs of one kind: gpu 1: held by process")


def test_more_of_one_kind_than_there_are_of_any_are_not_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)
    with pytest.raises(DeviceError) as error:
        lease_gpus(MIXED, replace(ANY, count=3), timeout_s=0, host=host)
    assert str(error.value) == "needs 3 GPUs of one kind; there are: cpu (2 cores), 1 x h100, 2 x l4, 2 x a10"


@pytest.mark.parametrize("count", [0, 9])
def test_what_is_not_there_is_not_waited_for(host: Host, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)
    with pytest.raises(DeviceError) as error:
        lease(host, count)
    assert str(error.value) == f"needs {count} x h100; there are: cpu (2 cores), 8 x h100"


def test_a_killed_holder_frees_all(host: Host, five_held: subprocess.Popen[str]) -> None:
    with pytest.raises(DeviceError):
        lease(host, 4, timeout_s=0)
    end(five_held)
    with lease(host, 8, timeout_s=10):
        pass


def test_a_time_out_says_who_has_which(host: Host, five_held: subprocess.Popen[str]) -> None:
    told: list[str] = []
    with lease(host, 1), pytest.raises(DeviceError) as error:
        lease(host, 4, timeout_s=1, waiting=told.append)
    text = str(error.value)
    assert text.startswith(
        f"4 x h100 were not free within 1 s: gpu 0, gpu 1, gpu 2, gpu 3, gpu 4: held by process {five_held.pid} of "
    )
    assert f" (suites/chat.bench.yaml); gpu 5: held by process {os.getpid()} of " in text
    assert text.endswith(" (1 wanted); wait for them to end, or ask for fewer GPUs")
    assert len(told) == 1
    assert told[0].startswith(f"waiting for 4 x h100: gpu 0, gpu 1, gpu 2, gpu 3, gpu 4: held by process {five_held.pid} of ")


def test_the_wait_is_announced_again_when_somebody_else_is_in_the_way(host: Host, five_held: subprocess.Popen[str]) -> None:
    told: list[str] = []
    one = lease(host, 1)

    def waiting(text: str) -> None:
        told.append(text)
        end(five_held)
        if len(told) == 2:
            one.release()

    with lease(host, 8, waiting=waiting):
        pass
    assert len(told) == 2
    assert f"process {five_held.pid}" in told[0]
    assert "gpu 5: held by" in told[1]
    assert f"process {five_held.pid}" not in told[1]


def test_all_eight_do_not_starve_behind_single_ones(host: Host) -> None:
    order: list[int] = []
    waits = threading.Event()

    def eight() -> None:
        with lease(host, 8, waiting=lambda _: waits.set()):
            order.append(8)

    def one() -> None:
        with lease(host, 1):
            order.append(1)

    with lease(host, 1):
        threads = [threading.Thread(target=eight)]
        threads[0].start()
        assert waits.wait(30)
        # Seven GPUs are free, and whoever comes now waits its turn all the same.
        threads += [threading.Thread(target=one) for _ in range(3)]
        for thread in threads[1:]:
            thread.start()
        time.sleep(0.1)
        assert order == []
    for thread in threads:
        thread.join(30)
    assert order == [8, 1, 1, 1]


def test_whoever_is_behind_others_is_told_so(host: Host) -> None:
    told: list[str] = []
    with Ticket(host.path("gpu queue h100")), pytest.raises(DeviceError) as error:
        lease(host, 1, timeout_s=0, waiting=told.append)
    assert str(error.value).startswith("1 x h100 were not free within 0 s: others are ahead in the queue; ")
    with Ticket(host.path("gpu queue h100")), pytest.raises(DeviceError):
        lease(host, 1, timeout_s=1, waiting=told.append)
    assert told == ["waiting for 1 x h100: others are ahead in the queue"]


def test_an_interrupted_wait_holds_nothing(host: Host) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with lease(host, 1):
        with pytest.raises(KeyboardInterrupt):
            lease(host, 8, waiting=interrupt)
        with lease(host, 7, timeout_s=0):
            pass


def test_a_lock_file_that_is_somebodys_trick_is_named_and_nothing_stays_held(host: Host, tmp_path: Path) -> None:
    trick = host.path(EIGHT.gpus[3].resource)
    trick.symlink_to(tmp_path / "precious")
    with pytest.raises(DeviceError, match="cannot be opened"):
        lease(host, 1)
    trick.unlink()
    with lease(host, 8, timeout_s=0):
        pass


# -- GPUs that are here, and what goes on on them ------------------------------------------------------------------------


class Gpus:
    """What goes on on the present GPUs; tests change it."""

    def __init__(self) -> None:
        self.usages = {gpu.uuid: Usage(memory_used_bytes=GIB, utilization_percent=0.0) for gpu in PRESENT.gpus}
        self.asked = 0

    def __call__(self) -> dict[str, Usage]:
        self.asked += 1
        return dict(self.usages)

    def use(self, index: int, **usage: object) -> None:
        self.usages[PRESENT.gpus[index].uuid] = Usage(**usage)  # type: ignore[arg-type] # fields by name


@pytest.fixture
def gpus() -> Gpus:
    return Gpus()


@pytest.fixture
def real(tmp_path: Path, gpus: Gpus) -> Host:
    return Host(folder=tmp_path, usages=gpus)


def test_a_gpu_that_somebody_uses_is_left_alone_and_named(real: Host, gpus: Gpus) -> None:
    gpus.use(0, memory_used_bytes=71 * GIB, processes=(GpuProcess(pid=4711, name="python"),))
    with lease(real, 7, of=PRESENT) as seven:
        assert indices(seven) == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(DeviceError) as error:
        lease(real, 8, of=PRESENT, timeout_s=0)
    assert str(error.value) == (
        "8 x h100 were not free within 0 s: gpu 0: 71.0 GiB in use by process 4711 (python); "
        "wait for them to end, or ask for fewer GPUs"
    )


def test_a_gpu_that_somebody_uses_is_waited_for(real: Host, gpus: Gpus) -> None:
    gpus.use(0, utilization_percent=50.0)
    told: list[str] = []

    def waiting(text: str) -> None:
        told.append(text)
        gpus.use(0, utilization_percent=0.0)

    with lease(real, 8, of=PRESENT, waiting=waiting):
        pass
    assert told == ["waiting for 8 x h100: gpu 0: 50 % busy"]


def test_a_driver_is_not_asked_at_every_look(real: Host, gpus: Gpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_lease, "LOOK_S", 60)
    gpus.use(0, utilization_percent=50.0)
    with pytest.raises(DeviceError):
        lease(real, 8, of=PRESENT, timeout_s=0.2)
    assert gpus.asked == 1


def test_memory_that_comes_back_late_is_waited_for(real: Host, gpus: Gpus) -> None:
    told: list[str] = []

    def waiting(text: str) -> None:
        told.append(text)
        gpus.use(0, memory_used_bytes=GIB + TOLERANCE_BYTES)

    held = lease(real, 1, of=PRESENT)
    gpus.use(0, memory_used_bytes=5 * GIB)
    assert held.release_checked(limit_s=30, waiting=waiting) is None
    assert told == ["waiting for memory to come back: gpu 0 (h100) has 4.0 GiB more memory in use than before its server ran"]
    with lease(real, 8, of=PRESENT):
        pass


def test_memory_that_does_not_come_back_puts_the_gpu_in_quarantine_until_it_does(real: Host, gpus: Gpus) -> None:
    held = lease(real, 2, of=PRESENT)
    gpus.use(1, memory_used_bytes=5 * GIB)
    assert held.release_checked(limit_s=0) == (
        "gpu 1 (h100) has 4.0 GiB more memory in use than before its server ran, 0 s after the server had stopped: "
        "it is left alone until that memory is back"
    )
    with lease(real, 7, of=PRESENT) as seven:
        assert 1 not in indices(seven)
    with pytest.raises(DeviceError) as error:
        lease(real, 8, of=PRESENT, timeout_s=0)
    assert "within 0 s: gpu 1: in quarantine since 2" in str(error.value)
    assert ": gpu 1 (h100) has 4.0 GiB more memory in use than before its server ran; wait for them" in str(error.value)
    gpus.use(1, memory_used_bytes=GIB)
    with lease(real, 8, of=PRESENT):
        pass
    gpus.use(1, memory_used_bytes=2 * GIB)
    with lease(real, 8, of=PRESENT):
        pass


def test_several_gpus_in_quarantine_are_all_named(real: Host, gpus: Gpus) -> None:
    held = lease(real, 2, of=PRESENT)
    gpus.use(0, memory_used_bytes=5 * GIB)
    gpus.use(1, memory_used_bytes=3 * GIB)
    trouble = held.release_checked(limit_s=0) or ""
    assert "gpu 0 (h100) has 4.0 GiB more" in trouble
    assert "; gpu 1 (h100) has 2.0 GiB more" in trouble
    assert trouble.endswith(": they are left alone until it is back")


def test_an_interrupted_check_gives_the_gpus_back(real: Host, gpus: Gpus) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    held = lease(real, 1, of=PRESENT)
    gpus.use(0, memory_used_bytes=5 * GIB)
    with pytest.raises(KeyboardInterrupt):
        held.release_checked(waiting=interrupt)
    assert holder_of(real.path(PRESENT.gpus[0].resource)) is None


def test_memory_that_cannot_be_read_is_not_checked(real: Host, gpus: Gpus) -> None:
    gpus.usages = {}
    assert lease(real, 8, of=PRESENT).release_checked() is None
    held = lease(Host(folder=real.folder, usages=unasked), 8)
    assert held.release_checked() is None


def test_what_goes_on_is_asked_of_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def surveys(*, limit_s: float, topology: bool) -> list[Survey]:
        asked.append(topology)
        return [Survey(usages={"GPU-0": Usage(utilization_percent=1.0)}), Survey(trouble="amdsmi did not answer")]

    monkeypatch.setattr(gpu_lease, "surveys", surveys)
    assert gpu_lease.usages_now() == {"GPU-0": Usage(utilization_percent=1.0)}
    assert asked == [False]
