"""
How xdist's workers share a session with benchmarks: each server is started once, by one worker, when its devices are free.

Rule: this is the only module that knows how xdist schedules. What should run where is decided in `devices/packing.py`; a session
without cases is xdist's own to schedule.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.report import report_collection_diff
from xdist.scheduler import LoadScheduling

from pytest_inferbench.dispatch import CPU, Dispatch, Node, runs_of
from pytest_inferbench.grouping import ask_to_stop, read_groups


def make_scheduler(
    config: pytest.Config, log: Any, *, folder: Path, devices: Iterable[str], serial: bool
) -> ServerScheduling | None:
    """
    The scheduler of a session; None where xdist's own is wanted, or knows better.

    Args:
        config: pytest's.
        log: xdist's.
        folder: where workers write down what their cases need.
        devices: the hardware that is here and nobody else's, one name a device; ``cpu`` may be among them.
        serial: one case at a time over all workers.
    """
    # Workers elsewhere have other devices, and another disk.
    here = all(spec.split("*")[-1].startswith("popen") and "//via=" not in spec for spec in config.getvalue("tx"))
    if config.getvalue("dist") != "load" or not here:
        return None
    return ServerScheduling(config, log, folder=folder, capacity=None if serial else capacity_of(devices))


def auto_workers(devices: Iterable[str]) -> int | None:
    """How many workers the hardware has work for: one a GPU; None where there is no GPU."""
    return sum(name != CPU for name in devices) or None


def capacity_of(devices: Iterable[str]) -> dict[str, int]:
    """How many GPUs there are of each name."""
    return dict(Counter(name for name in devices if name != CPU))


class ServerScheduling:
    """
    Schedules groups of cases that share a server; an implementation of xdist's ``Scheduling``.

    Until all workers have collected, and for good where there are no cases or the workers differ in what they found, everything
    is handed to xdist's own ``LoadScheduling``.

    Args:
        config: pytest's.
        log: xdist's.
        folder: where workers write down what their cases need.
        capacity: how many GPUs there are of each name; None: one case at a time, over all workers.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        config: pytest.Config,
        log: Any,
        *,
        folder: Path,
        capacity: Mapping[str, int] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plain = LoadScheduling(config, log)
        self._config = config
        self._folder = folder
        self._capacity = capacity
        self._clock = clock
        self._collection: list[str] = []
        self._dispatch: Dispatch | None = None
        self._told_to_stop = False

    @property
    def nodes(self) -> list[Node]:
        """All workers that are ready and not gone."""
        found: list[Node] = self._plain.nodes
        return found

    @property
    def collection_is_completed(self) -> bool:
        """Whether as many workers as were asked for have collected."""
        return self._dispatch is not None or bool(self._plain.collection_is_completed)

    @property
    def tests_finished(self) -> bool:
        """Whether all that is left is to wait for what runs; xdist shuts the workers down then."""
        if self._dispatch is None:
            return bool(self._plain.tests_finished)
        self._pass_on_stop()
        return self._dispatch.finished

    @property
    def has_pending(self) -> bool:
        """Whether there are tests that have not ended."""
        return bool(self._plain.has_pending) if self._dispatch is None else self._dispatch.has_pending

    def add_node(self, node: Node) -> None:
        """Take in a worker that is ready, and will now collect."""
        self._plain.add_node(node)

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        """Take in what a worker has collected; one that replaces another can work from here on."""
        if self._dispatch is None:
            self._plain.add_node_collection(node, collection)
        elif list(collection) == self._collection:
            self._dispatch.join(node)
        else:
            self._report_difference(node, collection)
            node.shutdown()

    def schedule(self) -> None:
        """Begin; and again, for workers that came later."""
        if self._dispatch is None:
            self._dispatch = self._new_dispatch()
        if self._dispatch is None:
            self._plain.schedule()
        else:
            self._dispatch.advance()

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        """Take in that a test has ended, teardown and all."""
        if self._dispatch is None:
            self._plain.mark_test_complete(node, item_index, duration)
        else:
            self._dispatch.complete(node, item_index)

    def mark_test_pending(self, item: str) -> None:
        """Run a test again; for plugins that retry what a worker crashed in."""
        if self._dispatch is None:
            self._plain.mark_test_pending(item)
        else:
            self._dispatch.again(self._collection.index(item))

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        """Nothing is ever taken back from a worker here."""
        raise NotImplementedError

    def remove_node(self, node: Node) -> str | None:
        """
        Take in that a worker has gone: what it has not begun goes to others.

        Returns:
            the test that it was running; None where there is none.

        Raises:
            KeyError: it never was ready.
        """
        if self._dispatch is None:
            crashed: str | None = self._plain.remove_node(node)
            return crashed
        self._plain.remove_node(node)
        index = self._dispatch.leave(node)
        return None if index is None else self._collection[index]

    def _new_dispatch(self) -> Dispatch | None:
        collected: dict[Node, list[str]] = self._plain.node2collection
        first, *others = collected.values()
        members = read_groups(self._folder)
        if self._plain.collection is not None or any(other != first for other in others) or not members.keys() & set(first):
            return None
        self._collection = first
        nodes = [node for node in self.nodes if node in collected]
        runs, room = runs_of(first, members, capacity=self._capacity, workers=len(nodes))
        dispatch = Dispatch(runs, room, clock=self._clock)
        for node in nodes:
            dispatch.join(node)
        return dispatch

    def _report_difference(self, node: Node, collection: Sequence[str]) -> None:
        text = report_collection_diff(self._collection, collection, "the first worker", node.gateway.id)
        report = pytest.CollectReport(nodeid=node.gateway.id, outcome="failed", longrepr=text, result=[])
        self._config.hook.pytest_collectreport(report=report)

    def _pass_on_stop(self) -> None:
        # Asked after every event, and before workers are shut down, which makes them run what they were given.
        reason = getattr(self._config.pluginmanager.getplugin("dsession"), "shouldstop", False)
        if reason and not self._told_to_stop:
            self._told_to_stop = True
            ask_to_stop(self._folder, str(reason))
