from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.cpu_wait import BUCKET_NS, CpuWaits, lateness_ms_p99


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


def test_a_few_long_waits_are_not_hidden_by_many_quick_wake_ups() -> None:
    hundred_ms = 100_000_000 // BUCKET_NS
    assert lateness_ms_p99({0: 100_000, hundred_ms: 10}, wall_s=2.0) == pytest.approx(98, abs=0.1)


def test_waits_of_less_than_a_hundredth_of_the_load_are_none() -> None:
    assert lateness_ms_p99({0: 9, 10_000_000 // BUCKET_NS: 1}, wall_s=2.0) == 0.0
    assert lateness_ms_p99({}, wall_s=2.0) == 0.0


@given(st.dictionaries(st.integers(0, 10_000), st.integers(1, 50), max_size=8), st.floats(0.01, 100))
def test_what_is_later_than_that_is_a_hundredth_of_the_load(buckets: dict[int, int], wall_s: float) -> None:
    late_ns = lateness_ms_p99(buckets, wall_s=wall_s) * 1e6
    area_ns = sum(count * max(bucket * BUCKET_NS - late_ns, 0) for bucket, count in buckets.items())
    allowed_ns = 0.01 * wall_s * 1e9
    assert area_ns == pytest.approx(allowed_ns, rel=1e-6) if late_ns > 0 else area_ns <= allowed_ns * (1 + 1e-9)
