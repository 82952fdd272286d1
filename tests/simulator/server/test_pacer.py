"""The pacer in virtual time: a clock that is moved by hand, and an alarm that remembers what it was set to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_inferbench.simulator.batching import Batcher, Job
from pytest_inferbench.simulator.server.figures import LATE_S, Figures
from pytest_inferbench.simulator.server.pacer import HANDOUT_S, Pacer
from tests.simulator.server.deployments import deployment

STEP_S = 0.5


class Told:
    """What a job was told, and when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.admitted_s: list[float] = []
        self.token_s: list[float] = []
        self.finished_s: list[float] = []

    def admitted(self, now_s: float) -> None:
        self.admitted_s.append(now_s)

    def token(self, now_s: float) -> None:
        del now_s
        self.token_s.append(self._clock())

    def finished(self, now_s: float) -> None:
        del now_s
        self.finished_s.append(self._clock())


class World:
    """A pacer, its clock and its alarm."""

    def __init__(
        self, *, factor: Callable[[float], float] = lambda _: 1.0, step_s: float | None = STEP_S, running: int = 8
    ) -> None:
        self.now_s = 100.0
        self.at_s: float | None = None
        self.figures = Figures()
        self.batcher = Batcher(deployment(max_running=running))
        self.pacer = Pacer(self.batcher, self.figures, clock=lambda: self.now_s, factor=factor, step_s=step_s)
        self.pacer.use(self)

    def set(self, at_s: float) -> None:
        self.at_s = at_s

    def add(self, name: str, *, output_tokens: int = 3) -> Told:
        told = Told(lambda: self.now_s)
        self.pacer.add(Job(id=name, prompt_tokens=10, output_tokens=output_tokens), told)
        self.pacer.begin()
        return told

    def ring(self, *, late_s: float = 0.0) -> None:
        """Let time come to the instant that the alarm was set to, or a little later, and ring it."""
        assert self.at_s is not None
        self.now_s, self.at_s = self.at_s + late_s, None
        self.pacer.wake()

    def run(self) -> None:
        while self.at_s is not None:
            self.ring()


def test_tokens_come_at_the_ends_of_steps() -> None:
    world = World()
    told = world.add("a")
    world.run()
    assert told.token_s == [100.5, 101.0, 101.5]
    assert told.finished_s == [101.5]
    assert world.batcher.running == world.batcher.waiting == 0


def test_the_models_own_times_are_used_unless_others_are_given() -> None:
    world = World(step_s=None)
    told = world.add("a")
    world.run()
    expected = Batcher(deployment(max_running=8))
    expected.add(Job(id="a", prompt_tokens=10, output_tokens=3))
    step = expected.begin_step()
    assert step is not None
    assert told.token_s[0] == pytest.approx(100 + step.duration_s)


def test_a_late_wake_up_does_not_move_what_comes_after_it() -> None:
    world = World()
    told = world.add("a")
    world.ring(late_s=0.3)
    assert world.at_s == 101.0
    world.run()
    assert told.token_s == [100.8, 101.0, 101.5]


def test_late_tokens_and_steps_are_counted() -> None:
    world = World()
    world.add("a")
    world.ring(late_s=LATE_S / 2)
    assert (world.figures.late_tokens, world.figures.late_steps) == (0, 0)
    world.ring(late_s=LATE_S * 2)
    world.run()
    assert (world.figures.late_tokens, world.figures.tokens) == (1, 3)
    assert (world.figures.late_steps, world.figures.steps) == (1, 3)
    assert world.figures.lateness.count == world.figures.after_step_end.count == 3


def test_each_token_of_a_step_has_the_time_that_those_before_it_take() -> None:
    world = World(running=100)
    for number in range(100):
        world.pacer.add(Job(id=str(number), prompt_tokens=10, output_tokens=1), Told(lambda: world.now_s))
    world.pacer.begin()
    world.ring(late_s=LATE_S + 49.5 * HANDOUT_S)
    assert (world.figures.tokens, world.figures.late_tokens) == (100, 50)


def test_an_early_ring_waits_on() -> None:
    world = World()
    told = world.add("a")
    world.now_s = 100.1
    world.pacer.wake()
    assert (told.token_s, world.at_s) == ([], 100.5)


def test_an_aborted_job_is_forgotten_at_once_and_gets_nothing_more() -> None:
    world = World()
    gone, stays = world.add("gone"), world.add("stays")
    world.ring()
    world.pacer.abort("gone")
    held = world.batcher.running + world.batcher.waiting
    world.run()
    assert held == 1
    assert len(gone.token_s) == 1
    assert (gone.finished_s, len(stays.finished_s)) == ([], 1)
    world.pacer.abort("gone")
    assert world.batcher.kv_usage == 0


def test_an_aborted_job_that_waits_is_never_let_in() -> None:
    world = World(running=1)
    world.add("first")
    waits = world.add("waits")
    world.pacer.abort("waits")
    world.run()
    assert (waits.admitted_s, waits.token_s) == ([], [])


def test_jobs_are_told_when_they_are_let_in() -> None:
    world = World(running=1)
    first, second = world.add("first", output_tokens=2), world.add("second", output_tokens=1)
    world.run()
    assert first.admitted_s == [100.0]
    assert second.admitted_s == [101.0]
    assert second.token_s == [101.5]


def test_a_job_without_tokens_ends_with_its_prompt() -> None:
    world = World()
    told = world.add("a", output_tokens=0)
    world.run()
    assert (told.token_s, told.finished_s) == ([], [100.5])


def test_steps_take_as_much_longer_as_they_are_told_to() -> None:
    world = World(factor=lambda at_s: 2.0 if at_s >= 100.5 else 1.0)
    told = world.add("a")
    world.run()
    assert told.token_s == [100.5, 101.5, 102.5]
    assert world.pacer.busy_s == 2.5


def test_what_is_due_goes_out_between_two_requests() -> None:
    world = World()
    told = world.add("a")
    assert not world.pacer.catch_up()
    world.now_s = 100.6
    assert world.pacer.catch_up()
    assert told.token_s == [100.6]
    assert not world.pacer.catch_up()


def test_an_idle_pacer_begins_again_when_a_job_comes() -> None:
    world = World()
    world.add("a")
    world.run()
    world.now_s = 200.0
    told = world.add("b", output_tokens=1)
    world.run()
    assert told.token_s == [200.5]
    world.pacer.wake()
