from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, Origin
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu_lease import GpusWanted, Host, lease_gpus
from pytest_inferbench.errors import ConfigError, DeviceError
from pytest_inferbench.simulation import Asked, favoured, inventory_of, simulated, turn


def cases(**fields: object) -> tuple[Case, ...]:
    mapping = {
        "hardware": "h100",
        "engine": "vllm",
        "model": "llama-3.1-8b",
        "traffic": "D(8,8)",
        "concurrency": 1,
        **fields,
    }
    return suite_from_mapping(mapping, "chat", Origin(file="chat.py", line=1)).cases()


def test_no_id_of_a_simulated_case_can_be_mistaken_for_a_measured_one() -> None:
    (case,) = simulated(cases(), Asked())
    assert case.id == "h100-vllm-llama-3.1-8b-tp1-d8x8-c1-simulated"
    assert case.simulated


def test_start_up_is_not_waited_for_unless_asked() -> None:
    (case,), (waiting,) = (simulated(cases(), Asked(time_scale=scale)) for scale in (None, 0.25))
    assert case.simulation is not None
    assert waiting.simulation is not None
    assert (case.simulation.startup_scale, waiting.simulation.startup_scale) == (0.0, 0.25)


def test_the_time_scale_shortens_thinking_and_no_load() -> None:
    given = {"turns": 2, "think_time": "4s", "duration": "30s"}
    (before,) = cases(**given)
    (plain,) = simulated(cases(**given), Asked())
    (scaled,) = simulated(cases(**given), Asked(time_scale=0.5))
    assert (plain.traffic.think_time_s, scaled.traffic.think_time_s) == (4.0, 2.0)
    assert scaled.load == before.load


def test_faults_are_the_case_s_own_and_make_it_another_server() -> None:
    (case,), (faulty,) = simulated(cases(), Asked()), simulated(cases(), Asked(faults=("never-ready",)))
    assert faulty.simulation is not None
    assert faulty.simulation.faults == ("never-ready",)
    assert case.server_key != faulty.server_key


def test_a_declared_inventory_is_the_session_s_own() -> None:
    first, second = (inventory_of("2xh100", run_id) for run_id in ("a", "b"))
    assert first.names == ("cpu", "h100", "h100")
    assert not {gpu.uuid for gpu in first.gpus} & {gpu.uuid for gpu in second.gpus}


def test_simulated_gpus_queue_for_themselves_and_lock_files_lie_where_they_go_with_the_session(tmp_path: Path) -> None:
    gpus = inventory_of("1xh100", "a", locks=tmp_path)
    wanted = GpusWanted(hardware="h100", count=1, what="first")
    with lease_gpus(gpus, wanted, timeout_s=60), pytest.raises(DeviceError, match="first"):
        lease_gpus(gpus, wanted, timeout_s=0)
    names = {path.name.rpartition("-")[0] for path in tmp_path.iterdir()}
    assert names == {"pytest-inferbench-gpu-simulated-a-0", "pytest-inferbench-gpu-queue-h100"}


def test_without_a_declaration_there_are_gpus_of_every_kind() -> None:
    names = inventory_of(None, "a").names
    assert {"h100", "h200", "b200", "a100-80gb", "l4", "mi300x"} <= set(names)
    assert names.count("h100") == 8


def test_a_declaration_that_cannot_be_read_is_said() -> None:
    with pytest.raises(ConfigError, match="h999"):
        inventory_of("8xh999", "a")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_on_two_cores_one_simulated_load_runs_at_a_time(tmp_path: Path) -> None:
    host, said = Host(folder=tmp_path), list[str]()
    with (
        turn(timeout_s=5, waiting=said.append, what="first", host=host),
        pytest.raises(DeviceError, match="first"),
        turn(timeout_s=0, waiting=said.append, what="second", host=host),
    ):
        pass
    with turn(timeout_s=5, waiting=said.append, what="third", host=host):
        pass


def test_server_and_load_go_first_where_they_may_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, _: asked.append((pid, policy)))
    with favoured(4711):
        assert asked == [(0, os.SCHED_RR), (4711, os.SCHED_RR)]
    assert asked[2:] == [(0, os.SCHED_OTHER), (4711, os.SCHED_OTHER)]


def test_who_may_not_go_first_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    with favoured(None):
        pass
