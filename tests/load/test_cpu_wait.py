from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pytest_inferbench.load.cpu_wait import BUCKET_NS, CpuWaits


def test_a_wake_up_counts_by_what_it_waited_since_the_one_before(tmp_path: Path) -> None:
    said = tmp_path / "schedstat"
    said.write_text("5000 1000000 7\n", encoding="ascii")
    waits = CpuWaits(said)
    for waited_ns in (1_000_000, 1_000_000 + 3 * BUCKET_NS, 1_000_000 + 3 * BUCKET_NS, 90_000_000_000):
        said.write_text(f"5000 {waited_ns} 7\n", encoding="ascii")
        waits.look()
    waits.close()
    last = (90_000_000_000 - 1_000_000 - 3 * BUCKET_NS) // BUCKET_NS
    assert waits.buckets == {0: 2, 3: 1, last: 1}


def test_a_system_that_does_not_say_counts_nothing(tmp_path: Path) -> None:
    waits = CpuWaits(tmp_path / "none")
    waits.look()
    waits.close()
    assert waits.buckets == {}


def test_what_is_no_such_file_counts_nothing_more(tmp_path: Path) -> None:
    other = tmp_path / "schedstat"
    other.write_text("what?", encoding="ascii")
    waits = CpuWaits(other)
    waits.look()
    waits.close()
    assert waits.buckets == {}


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system has no /proc/self/schedstat")
def test_this_system_says_it() -> None:
    waits = CpuWaits()
    threading.Event().wait(0.01)
    waits.look()
    waits.close()
    assert sum(waits.buckets.values()) == 1
