from __future__ import annotations

import pytest

from pytest_inferbench.devices import inventory
from pytest_inferbench.worker_count import auto_workers

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def nobody_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)


def of(pytester: pytest.Pytester, *arguments: str) -> int | None:
    return auto_workers(pytester.parseconfig(*arguments))


def test_a_declared_inventory_has_work_for_a_worker_each_gpu(pytester: pytest.Pytester) -> None:
    assert of(pytester, "--inferbench-inventory=4xh100+2xl4") == 6


def test_gpus_that_are_here_count_where_there_are_suites_to_run(pytester: pytest.Pytester) -> None:
    inventory.use(inventory.declared("8xh100"))
    try:
        assert of(pytester) is None
        (pytester.mkdir("suites") / "chat.bench.yaml").touch()
        assert of(pytester) == 8
        assert of(pytester, "suites") == 8
        assert of(pytester, str(pytester.mkdir("others"))) is None
    finally:
        inventory.use(None)


def test_without_gpus_xdist_decides(pytester: pytest.Pytester) -> None:
    (pytester.path / "chat.bench.yaml").touch()
    inventory.use(inventory.Inventory(gpus=()))
    try:
        assert of(pytester) is None
    finally:
        inventory.use(None)


def test_what_a_person_said_of_workers_stands(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    assert of(pytester, "--inferbench-inventory=8xh100") is None


def test_an_inventory_that_makes_no_sense_is_wrong_usage(pytester: pytest.Pytester) -> None:
    with pytest.raises(pytest.UsageError, match=r"--inferbench-inventory: .*h999"):
        of(pytester, "--inferbench-inventory=8xh999")


def test_simulated_gpus_have_no_more_workers_than_there_are_cores(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 4)
    assert of(pytester, "--inferbench-inventory=8xh100", "--inferbench-simulate") == 4
    assert of(pytester, "--inferbench-inventory=2xh100", "--inferbench-simulate") == 2
