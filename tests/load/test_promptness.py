"""What is asked of the scheduler."""

from __future__ import annotations

import os
import platform
import sys

import pytest

from pytest_inferbench.load.promptness import ask_for_short_turns


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="needs Linux on x86 or ARM"
)
def test_the_wish_is_heard_and_changes_neither_policy_nor_nice() -> None:
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    assert ask_for_short_turns()
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_a_machine_without_such_a_wish_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "sparc64")
    assert not ask_for_short_turns()
