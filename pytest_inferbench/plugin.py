"""The hooks that pytest calls: each hands over to the module that knows."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import collection, foreign, hookspecs
from pytest_inferbench.cases.case import Case
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.measure import Measure
from pytest_inferbench.option_flags import add_options
from pytest_inferbench.session import SESSION, BenchSession
from pytest_inferbench.worker_count import auto_workers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the command-line options."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that other packages may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, so that ``--strict-markers`` knows them and ``pytest --markers`` shows them."""
    foreign.add_configs(config)
    bench = config.stash[SESSION] = BenchSession(config)
    config.pluginmanager.register(bench, "inferbench-session")
    config.pluginmanager.register(bench.gathering, "inferbench-gathering")
    config.addinivalue_line("markers", "inferbench(**suite): make the test a benchmark, one item a case of the matrix.")
    config.addinivalue_line(
        "markers", "case(**axes): set on every case, for exact selection: -m 'case(tp=2, hardware=\"h100\")'."
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect suite files, and those of other systems that are named."""
    return collection.suite_file(file_path, parent) or foreign.foreign_file(file_path, parent)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread functions with the marker into cases."""
    collection.parametrize_cases(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark cases with their axes before ``-m`` selects by them, and bring those of one server together."""
    collection.mark_cases(items)
    config.stash[SESSION].order(items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember what will run, and in a worker of xdist, tell it before that one says that it has collected."""
    session.config.stash[SESSION].collected(session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which run it belongs to."""
    node.workerinput["inferbench"] = node.config.stash[SESSION].worker_input()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have cases of one server run in one worker, and workers fill the GPUs."""
    return config.stash[SESSION].scheduler(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Say how many workers the GPUs of this machine have work for."""
    return auto_workers(config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what went wrong in an xdist worker beside its tests."""
    bench = node.config.stash[SESSION]
    bench.worker_finished(getattr(node, "workeroutput", {}))
    bench.forget_worker(node.gateway.id)


# Innermost: what is drawn is off the screen before pytest's reporter, the wrapper around it, ends its line of dots.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Show where the workers of xdist are, as long as they run."""
    with session.config.stash[SESSION].showing_workers():
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip cases whose hardware is not here."""
    item.config.stash[SESSION].check_hardware(item)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop a server that the next test has no use for: others may wait for its GPUs."""
    item.config.stash[SESSION].done_with(item, nextitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a case's record travel with its report, and an error of ours be its text alone."""
    report = yield
    item.config.stash[SESSION].report(item, call, report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the servers and write the results; after xdist has waited for its workers, who may have something to keep."""
    session.config.stash[SESSION].finish(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the table of the run, and where everything lies."""
    config.stash[SESSION].gathering.summarise(terminalreporter)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The benchmark case of this test."""
    return collection.required_case(request.node)


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Measures a case: starts its server, drives its load, judges it, keeps its record."""
    session = request.config.stash[SESSION]
    return lambda case: session.measure(case, request.node)


@pytest.fixture
def endpoint(case: Case, request: pytest.FixtureRequest) -> Endpoint:
    """The endpoint of the running server that this test's case needs; the server is shared by all cases of its kind."""
    return request.config.stash[SESSION].endpoint(case)
