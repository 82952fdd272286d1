"""How many workers ``pytest -n auto`` gets where benchmarks are to run: as many as the GPUs have work for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench import simulation
from pytest_inferbench.cases.suite import SUFFIXES
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.inventory import Inventory
from pytest_inferbench.errors import ConfigError


def auto_workers(config: pytest.Config) -> int | None:
    """
    How many of xdist's workers the GPUs have work for, where there are suite files to run; None: as many as xdist thinks.

    Raises:
        pytest.UsageError: the declared inventory cannot be read.
    """
    text = config.getoption("inferbench_inventory")
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or not (text or _has_suite_files(config)):
        return None
    from pytest_inferbench.scheduling import auto_workers as of_devices  # noqa: PLC0415 - xdist may not be installed

    try:
        found = _inventory(text, simulate=config.getoption("inferbench_simulate"))
    except ConfigError as error:
        raise pytest.UsageError(f"--inferbench-inventory: {error.problem}") from error
    workers = of_devices([gpu.name for gpu in found.free])
    if workers is None or not config.getoption("inferbench_simulate"):
        return workers
    # Simulated GPUs are many; the cores that servers and clients run on are not.
    return min(workers, max(2, inventory.cores()))


def _inventory(text: str | None, *, simulate: bool) -> Inventory:
    if simulate:
        return simulation.inventory_of(text, run_id="")
    return inventory.declared(text) if text else inventory.detected()


def _has_suite_files(config: pytest.Config) -> bool:
    places = [Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args]
    return any(name.endswith(SUFFIXES) for place in places for name in _file_names(place))


def _file_names(place: Path) -> Iterator[str]:
    yield place.name
    for _, folders, files in os.walk(place):
        # As pytest's own norecursedirs: environments and caches have no suites.
        folders[:] = [name for name in folders if not name.startswith(".") and name not in {"node_modules", "venv"}]
        yield from files
