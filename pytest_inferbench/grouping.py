"""
What each case says of the group it runs in, and how xdist's workers, who alone know cases, tell it to the one who schedules them.

Rule: the file is written whole or not at all, by whichever worker comes first; all of them have the same to say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from pytest_inferbench.cases.case import Case, Lengths, Load
from pytest_inferbench.collection import case_of
from pytest_inferbench.devices.names import normalised

if TYPE_CHECKING:
    from pytest_inferbench.durations import Durations

_FILE = "groups.json"
_STOP_FILE = "stop"

# Only the order of groups hangs on these, so that a rough idea of each will do: a server on GPUs reads tens of GB and compiles;
# a token takes 20 ms of a busy GPU and 50 ms of a CPU; a case also has its plan and its report to write.
_STARTUP_GPU_S = 120.0
_STARTUP_CPU_S = 10.0
_TOKEN_GPU_S = 0.02
_TOKEN_CPU_S = 0.05
_FIRST_TOKEN_S = 0.3
_AROUND_A_CASE_S = 5.0
_UNKNOWN_S = 120.0
_AT_ONCE = 64  # requests that a server answers side by side, when it gets more than it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """
    What a case says of the group it runs in.

    Attributes:
        server: the key of the server that answers it.
        hardware, devices: what that server needs; no devices on a CPU.
        startup_s, case_s: estimated, until the server answers and from there to the end of the case.
    """

    server: str
    hardware: str
    devices: int
    startup_s: float
    case_s: float


def tell_groups(config: pytest.Config, items: Iterable[pytest.Item], folder: Path) -> None:
    """
    In a worker, before it says that it has collected: write down what its cases need, and heed being stopped.

    Raises:
        OSError: the folder cannot be written.
    """
    from pytest_inferbench import durations  # noqa: PLC0415 - only who schedules cases asks how long they took

    groups = groups_of(items, durations.read())
    if groups:
        write_groups(folder, groups)
        config.pluginmanager.register(StopListener(folder), "inferbench-stop-listener")


def groups_of(items: Iterable[pytest.Item], known: Durations | None = None) -> dict[str, Member]:
    """What each case among the items says, by node id; other tests say nothing."""
    cases = {item.nodeid: case_of(item) for item in items}
    return {nodeid: member_of(case, known) for nodeid, case in cases.items() if case is not None}


def member_of(case: Case, known: Durations | None = None) -> Member:
    """What one case says; where it is ``known`` how long it took the last time, that."""
    startup_s = _STARTUP_GPU_S if case.gpus else _STARTUP_CPU_S
    took_s = None
    if known is not None:
        startup_s = known.startups_s.get(case.server_key, startup_s)
        took_s = known.cases_s.get(case.id)
    again_s = startup_s if case.fresh_server else 0.0
    return Member(
        server=case.server_key,
        hardware=_hardware(case.hardware),
        devices=case.gpus,
        startup_s=startup_s,
        case_s=again_s + (case_s(case) if took_s is None else took_s),
    )


def case_s(case: Case) -> float:
    """About how long a case takes on a server that is up, in seconds: its requests over how fast they can come and go."""
    load = case.load
    token_s = _TOKEN_GPU_S if case.gpus else _TOKEN_CPU_S
    request_s = (_FIRST_TOKEN_S + token_s * _mean(case.traffic.output_tokens)) * case.traffic.turns
    ends_s = [load.duration_s] if load.duration_s is not None else []
    if load.requests is not None:
        ends_s.append((load.warmup + load.requests) / _requests_per_s(load, request_s))
    return min(ends_s, default=_UNKNOWN_S) + request_s + _AROUND_A_CASE_S


def write_groups(folder: Path, groups: Mapping[str, Member]) -> None:
    """
    Write down what the cases say, for `read_groups`; nothing where there are no cases, or another worker was here.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / _FILE
    if not groups or path.exists():
        return
    text = json.dumps({nodeid: asdict(member) for nodeid, member in groups.items()})
    write_whole(path, text)


def read_groups(folder: Path) -> dict[str, Member]:
    """What the workers have written down; nothing where they have not, as where they are on another machine."""
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {nodeid: Member(**fields) for nodeid, fields in json.loads(text).items()}


def ask_to_stop(folder: Path, reason: str) -> None:
    """Tell the workers to begin nothing more."""
    # A folder that is gone had nobody left to read it.
    with suppress(FileNotFoundError):
        write_whole(folder / _STOP_FILE, reason)


def stop_reason(folder: Path) -> str | None:
    """Why nothing more should begin; None where it should."""
    try:
        return (folder / _STOP_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def write_whole(path: Path, text: str) -> None:
    """
    Write a file so that whoever reads it meanwhile finds all of it, or what was there before.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


class StopListener:
    """
    Keeps a worker from beginning a test after the session was told to stop.

    xdist tells a worker that there is nothing more to come by the very message that makes it run what it was given before; and
    that may be a server that takes minutes to start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Leave the test out, and end this worker."""
        reason = stop_reason(self._folder)
        if reason is None:
            return None
        item.session.shouldstop = reason
        return True


@cache
def _hardware(name: str) -> str:
    """As the inventory calls it."""
    return normalised(name)


def _requests_per_s(load: Load, request_s: float) -> float:
    if load.concurrency is not None:
        return load.concurrency / request_s
    if load.rate_per_s is None or not isfinite(load.rate_per_s):
        return _AT_ONCE / request_s
    return load.rate_per_s


def _mean(lengths: Lengths) -> float:
    if lengths.kind == "uniform":
        return (lengths.first + lengths.second) / 2
    return fmean(lengths.choices) if lengths.choices else float(lengths.first)
