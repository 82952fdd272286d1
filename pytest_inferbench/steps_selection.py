"""
Which cases ``-k`` and ``-m`` mean on the command line: asked of pytest itself, so that they mean what they mean to pytest.

Rule: a suite is collected and nothing of it runs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.collection import case_of
from pytest_inferbench.engines import registry
from pytest_inferbench.errors import ConfigError

_LINES_MAX = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A server that selected cases need: the first of them, and how many there are."""

    case: Case
    cases: int

    @property
    def words(self) -> str:
        """What it is, in a few words: ``vllm with llama3-8b on 2 x h100 (server a1b2c3d4e5f6, 12 cases)``."""
        case = self.case
        where = case.hardware if not case.gpus else f"{case.gpus} x {case.hardware}"
        count = "1 case" if self.cases == 1 else f"{self.cases} cases"
        return f"{case.engine.name} with {case.model} on {where} (server {case.server_key}, {count})"


class _Listener:
    """A plugin that keeps what was selected."""

    def __init__(self) -> None:
        self.cases: tuple[Case, ...] = ()
        self.troubles: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.troubles.append(report.longreprtext)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases = tuple(case for case in map(case_of, session.items) if case is not None)
        for engines in session.config.hook.pytest_inferbench_engines(config=session.config):
            for engine in engines:
                registry.register(engine)


def selected(suites: Sequence[str], *, keyword: str = "", markers: str = "") -> tuple[Case, ...]:
    """
    The cases that ``pytest SUITES -k KEYWORD -m MARKERS`` would measure, in its order.

    Engines of plugins and conftest files are registered on the way.

    Raises:
        ConfigError: a suite or expression is wrong (in pytest's words), or no case is selected.
    """
    listener, output = _Listener(), io.StringIO()
    flags = [*(("-k", keyword) if keyword else ()), *(("-m", markers) if markers else ())]
    # Assertions are left as they are written: nothing runs, and modules that are imported by now could not be rewritten.
    quiet = ["--collect-only", "-q", "--no-header", "--assert=plain"]
    with redirect_stdout(output), redirect_stderr(output):
        code = pytest.main([*suites, *flags, *quiet], plugins=[listener])
    if listener.troubles:
        raise ConfigError("\n".join(listener.troubles))
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        lines = [line for line in output.getvalue().splitlines() if line.strip()]
        raise ConfigError("\n".join(lines[-_LINES_MAX:]))
    if not listener.cases:
        raise ConfigError(f"no case is selected by {' '.join([*suites, *flags])}; pytest --collect-only shows which there are")
    return listener.cases


def servers_of(cases: Sequence[Case]) -> tuple[Wanted, ...]:
    """The servers that cases need, each once, in the order of their first cases."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.server_key, []).append(case)
    return tuple(Wanted(case=group[0], cases=len(group)) for group in groups.values())
