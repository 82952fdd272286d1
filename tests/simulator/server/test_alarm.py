from __future__ import annotations

import asyncio
import ctypes
from time import monotonic

import pytest

from pytest_inferbench.simulator.server.alarm import LoopAlarm, TimerfdAlarm, alarm

LIMIT_S = 30.0


def rung(kind: type[LoopAlarm | TimerfdAlarm], *after_s: float) -> list[float]:
    """When an alarm rang for the first time, after it was set to each of these in turn; from the last of them."""

    async def ring() -> list[float]:
        loop = asyncio.get_running_loop()
        rings: list[float] = []
        over = asyncio.Event()

        def note() -> None:
            rings.append(monotonic())
            over.set()

        bell = kind(loop, note)
        try:
            for each_s in after_s:
                at_s = monotonic() + each_s
                bell.set(at_s)
            async with asyncio.timeout(LIMIT_S):
                await over.wait()
        finally:
            bell.close()
        return [ring_s - at_s for ring_s in rings]

    return asyncio.run(ring())


@pytest.mark.parametrize("kind", [LoopAlarm, TimerfdAlarm])
def test_it_rings_once_and_not_before(kind: type[LoopAlarm | TimerfdAlarm]) -> None:
    (late_s,) = rung(kind, 0.02)
    assert late_s >= 0


@pytest.mark.parametrize("kind", [LoopAlarm, TimerfdAlarm])
def test_an_instant_that_has_passed_rings_soon(kind: type[LoopAlarm | TimerfdAlarm]) -> None:
    assert len(rung(kind, -1.0)) == 1


@pytest.mark.parametrize("kind", [LoopAlarm, TimerfdAlarm])
def test_only_the_last_instant_counts(kind: type[LoopAlarm | TimerfdAlarm]) -> None:
    (late_s,) = rung(kind, 3600.0, 0.0, 0.03)
    assert late_s >= 0


def test_without_a_timerfd_the_loops_own_timers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def __init__(self, *_: object, **__: object) -> None:
            pass

    async def found() -> LoopAlarm | TimerfdAlarm:
        bell = alarm(asyncio.get_running_loop(), lambda: None)
        bell.close()
        return bell

    assert isinstance(asyncio.run(found()), TimerfdAlarm)
    monkeypatch.setattr(ctypes, "CDLL", Without)
    assert isinstance(asyncio.run(found()), LoopAlarm)
