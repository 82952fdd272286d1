"""Loads give back every descriptor they took, however they end."""

from __future__ import annotations

import gc
import socket
import sys
from pathlib import Path

import pytest

from pytest_inferbench.load.loopback import Loopback, Schedule
from tests.load.cases import TINY, case_of
from tests.load.driving import drive, driver_of

LOADS = 20


def open_descriptors() -> set[str]:
    """Those of this process, without the one that lists them, which is closed again when it is asked for."""
    gc.collect()
    return {entry.name for entry in list(Path("/proc/self/fd").iterdir()) if entry.is_symlink()}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_twenty_loads_in_one_process_leave_as_many_descriptors_open_as_there_were() -> None:
    with Loopback.start(Schedule(ttft_ms=1, itl_ms=0, tokens=2)) as server, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{held.getsockname()[1]}"
        whole, refused = case_of(requests=4, concurrency=2), case_of(requests=2, limits=TINY)
        drive(whole, server.url)
        before = open_descriptors()
        for number in range(LOADS):
            drive(*((refused, nobody) if number % 4 == 0 else (whole, server.url)))
        assert open_descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_load_that_is_interrupted_leaves_none_open_either() -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with Loopback.start(Schedule(ttft_ms=1, itl_ms=0, tokens=2)) as server:
        drive(case_of(requests=1), server.url)
        before = open_descriptors()
        endless = case_of(requests=None, duration_s=30.0)
        with driver_of(endless, server.url, watch=interrupt) as driver, pytest.raises(KeyboardInterrupt):
            driver.run()
        assert open_descriptors() == before
