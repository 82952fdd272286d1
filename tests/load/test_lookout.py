"""A stopper is shown what it asked for, and no more often than that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.load import lookout as module
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.decode import Decoder, Facts
from pytest_inferbench.load.lookout import Lookout
from pytest_inferbench.load.peek import Peek
from pytest_inferbench.load.recording import pack
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.stopped import Stopped
from pytest_inferbench.load.trace import Traces
from tests.load.answers import MS, events, recording, streamed

ENOUGH = Stopped(at=3, of=9, at_s=0.0, of_s=None, looks=2, why="enough")
S = 1000 * MS


@dataclass
class Asked:
    """Wants so many requests, and keeps what it was asked and shown."""

    wanted: int
    asked: list[tuple[int, float]] = field(default_factory=list)
    shown: list[tuple[tuple[str, ...], float]] = field(default_factory=list)
    looks: int = 2

    def ready(self, *, requests: int, seconds: float) -> bool:
        self.asked.append((requests, seconds))
        return requests >= self.wanted

    def look(self, traces: Traces, *, seconds: float) -> Stopped | None:
        self.shown.append((traces.request_id, seconds))
        return ENOUGH


class Scene:
    """A file that is written to, a clock that is set, and who looks."""

    def __init__(self, file: int, clock: Callable[[int], None], wanted: int) -> None:
        self._file, self.now = file, clock
        self.asked = Asked(wanted)
        self._decoder = Decoder(api=api_named("chat"), warmup=0)
        plan_rows = ROW.pack(0, 0, 0, 5, 5, FIRST, 0) * 20
        facts = Facts(id_prefix="run", open_loop=True, clock="kernel", wall_offset_ns=0)

        def traces(places: Any) -> Traces:
            return self._decoder.some(np.asarray(places), plan_rows=plan_rows, facts=facts)

        self._lookout = Lookout(Peek([file], self._decoder), self.asked, traces=traces, turns=1, cores=frozenset())

    def end(self, *rows: int) -> None:
        """These requests end; row n was sent n seconds after the load began."""
        for row in rows:
            os.write(self._file, pack(replace(recording(streamed(events(["x"])), row=row, sent_ns=S + row * S), end_ns=90 * S)))

    def look(self) -> Stopped | None:
        return self._lookout.look(S)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    now_ns = [10 * S]
    monkeypatch.setattr(module, "monotonic_ns", lambda: now_ns[0])
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield Scene(file, lambda at_ns: now_ns.__setitem__(0, at_ns), 3)
    os.close(file)


def test_it_is_asked_with_all_that_ended_first_and_then_with_what_has_none_running_before_it(scene: Scene) -> None:
    scene.end(0, 1, 3, 4)
    assert scene.look() is None
    # Row 2 still runs; rows 0 and 1 are settled, up to the send of row 1.
    assert scene.asked.asked == [(4, 9.0), (2, 1.0)]
    scene.now(11 * S)
    scene.end(2)
    assert scene.look() is ENOUGH
    assert scene.asked.shown == [(("run-0", "run-1", "run-2", "run-3", "run-4"), 4.0)]


def test_what_cannot_be_enough_is_not_even_put_in_order(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Settled", None)
    scene.end(0, 1)
    assert scene.look() is None
    assert scene.asked.asked == [(2, 9.0)]


def test_it_looks_a_few_times_a_second_however_often_it_is_asked(scene: Scene) -> None:
    assert scene.look() is None
    scene.end(0, 1, 2)
    scene.now(10 * S + 249 * MS)
    assert scene.look() is None
    assert len(scene.asked.asked) == 1
    scene.now(10 * S + 250 * MS)
    assert scene.look() is ENOUGH


def test_a_look_that_takes_long_is_followed_by_a_rest_four_times_as_long(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*_: Any, **__: Any) -> Stopped | None:
        scene.now(12 * S)
        return None

    monkeypatch.setattr(scene.asked, "look", slowly)
    scene.end(0, 1, 2)
    assert scene.look() is None
    asked = len(scene.asked.asked)
    scene.now(20 * S - 1)
    scene.look()
    assert len(scene.asked.asked) == asked
    scene.now(20 * S)
    scene.look()
    assert len(scene.asked.asked) > asked
