"""The scheduler with real workers of xdist; a journal says who began and ended what, in the order in which it was."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import pytest

from pytest_inferbench.dispatch import runs_of
from pytest_inferbench.grouping import Member

pytest.importorskip("xdist")

# An inner run of pytest forgets what it has imported, and imports this again unless it is here already.
import pytest_inferbench.scheduling  # noqa: F401 - see above

pytest_plugins = ["pytester"]

INI = "[pytest]\naddopts = -p no:asyncio -p no:randomly\nmarkers = served(server, devices, case_s)\nfilterwarnings = error\n"
CONFTEST = """
import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HANDOVER = HERE / "handover"
HANDOVER.mkdir(exist_ok=True)
WORKER = []


def pytest_configure(config):
    # Not from the environment, where that of an outer session may stand.
    WORKER.extend([config.workerinput["workerid"]] if hasattr(config, "workerinput") else [])


def write(*words):
    line = (" ".join(words) + "\\n").encode()
    journal = os.open(HERE / "journal.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, line)
    os.close(journal)


def pytest_xdist_make_scheduler(config, log):
    if os.environ.get("WHOSE") == "xdist":
        return None
    from pytest_inferbench.scheduling import ServerScheduling

    return ServerScheduling(config, log, folder=HANDOVER, capacity={"h100": CAPACITY})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session):
    if not WORKER:
        return
    from pytest_inferbench.grouping import Member, StopListener, write_groups

    groups = {}
    for item in session.items:
        mark = item.get_closest_marker("served")
        if mark is not None:
            server, devices, case_s = mark.args
            groups[item.nodeid] = Member(server=server, hardware="h100", devices=devices, startup_s=1.0, case_s=case_s)
    write_groups(HANDOVER, groups)
    session.config.pluginmanager.register(StopListener(HANDOVER))


def pytest_runtest_logstart(nodeid):
    if WORKER:
        write("begin", *WORKER, nodeid.split("::")[-1])


def pytest_runtest_logfinish(nodeid):
    if WORKER:
        write("end", *WORKER, nodeid.split("::")[-1])
"""
SUITE = """
import os
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
"""
# Until both have ended, and a moment for their worker to be given something else.
AFTER_THE_SHORT_ONES = (
    "end = time.monotonic() + 60\n"
    "    while (HERE / 'journal.txt').read_text().count('test_short_') < 4 and time.monotonic() < end:\n"
    "        time.sleep(0.02)\n"
    "    time.sleep(0.5)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the journal."""

    what: str
    worker: str
    test: str

    @property
    def server(self) -> str:
        return self.test.split("_")[1]


def case(server: str, number: int, *, devices: int, case_s: float = 1.0, body: str = "time.sleep(0.02)") -> str:
    return f"\n\n@pytest.mark.served({server!r}, {devices}, {case_s})\ndef test_{server}_{number}():\n    {body}\n"


def project(pytester: pytest.Pytester, *tests: str, gpus: int = 4, conftest: str = "") -> None:
    pytester.makeini(INI)
    pytester.makeconftest(CONFTEST.replace("CAPACITY", str(gpus)) + conftest)
    pytester.makepyfile(test_suite=SUITE + "".join(tests))


def journal(pytester: pytest.Pytester) -> list[Entry]:
    lines = (pytester.path / "journal.txt").read_text().splitlines()
    return [Entry(what=what, worker=worker, test=test) for what, worker, test in map(str.split, lines)]


def begun(entries: list[Entry]) -> list[str]:
    return [entry.test for entry in entries if entry.what == "begin"]


def shares(entries: list[Entry]) -> list[list[str]]:
    """What each worker began; workers are dealt to in the order in which they were ready, so that their names say nothing."""
    workers = {entry.worker for entry in entries}
    return sorted(begun([entry for entry in entries if entry.worker == worker]) for worker in workers)


def stretches(entries: list[Entry]) -> dict[str, list[str]]:
    """The servers that each worker used, one after the other."""
    workers = sorted({entry.worker for entry in entries})
    return {
        worker: [server for server, _ in groupby(entry.server for entry in entries if entry.worker == worker)]
        for worker in workers
    }


def gpus_max(entries: list[Entry], devices: dict[str, int]) -> int:
    """The most GPUs in use at once: a server has its own from its first case to the end of its last."""
    first = {entry.server: place for place, entry in reversed(list(enumerate(entries)))}
    last = {entry.server: place for place, entry in enumerate(entries)}
    return max(
        sum(number for server, number in devices.items() if first[server] <= place <= last[server])
        for place in range(len(entries))
    )


def test_each_server_is_one_stretch_on_one_worker_and_never_more_gpus_are_used_than_there_are(pytester: pytest.Pytester) -> None:
    devices = {"a": 1, "b": 2, "c": 4, "d": 1, "e": 2, "f": 4, "g": 1}
    tests = [case(server, number, devices=of) for number in range(3) for server, of in devices.items()]
    project(pytester, *tests)
    pytester.runpytest("-n4").assert_outcomes(passed=21)
    entries = journal(pytester)
    used = [server for servers in stretches(entries).values() for server in servers]
    assert sorted(used) == list(devices)
    assert gpus_max(entries, devices) <= 4


def test_servers_start_in_the_planned_order_and_their_cases_run_in_that_of_the_file(pytester: pytest.Pytester) -> None:
    lengths_s = {"a": 5.0, "b": 50.0, "c": 20.0, "d": 40.0}
    tests = [case(server, number, devices=3, case_s=of) for number in range(2) for server, of in lengths_s.items()]
    project(pytester, *tests)
    pytester.runpytest("-n2").assert_outcomes(passed=8)
    members = {
        f"test_{server}_{number}": Member(server=server, hardware="h100", devices=3, startup_s=1.0, case_s=case_s)
        for number in range(2)
        for server, case_s in lengths_s.items()
    }
    runs, _ = runs_of(list(members), members, capacity={"h100": 4}, workers=2)
    assert begun(journal(pytester)) == [f"test_{run.key}_{number}" for run in runs for number in range(2)]


def test_ordinary_tests_go_first_and_run_once(pytester: pytest.Pytester) -> None:
    ordinary = [f"\n\ndef test_plain_{number}():\n    pass\n" for number in range(30)]
    project(pytester, case("a", 0, devices=4), *ordinary, case("b", 0, devices=4))
    pytester.runpytest("-n2").assert_outcomes(passed=32)
    names = begun(journal(pytester))
    assert len(names) == len(set(names)) == 32
    assert {names[0], names[1]} <= {f"test_plain_{number}" for number in range(30)}


def test_a_case_that_kills_its_worker_fails_and_the_others_of_its_server_run_elsewhere(pytester: pytest.Pytester) -> None:
    project(
        pytester,
        *(case("a", number, devices=4) for number in range(2)),
        case("a", 2, devices=4, body="os._exit(3)"),
        *(case("a", number, devices=4) for number in range(3, 5)),
        case("b", 0, devices=4),
    )
    result = pytester.runpytest("-n2")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw*' crashed while running 'test_suite.py::test_a_2'"])
    entries = journal(pytester)
    ran = {entry.test: entry.worker for entry in entries if entry.what == "end"}
    assert sorted(ran) == ["test_a_0", "test_a_1", "test_a_3", "test_a_4", "test_b_0"]
    assert ran["test_a_3"] == ran["test_a_4"] != ran["test_a_1"]


def test_a_session_whose_only_worker_dies_and_is_not_replaced_ends_and_says_so(pytester: pytest.Pytester) -> None:
    project(pytester, case("a", 0, devices=4, body="os._exit(3)"), case("a", 1, devices=4), case("b", 0, devices=1))
    result = pytester.runpytest("-n1", "--max-worker-restart=0")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*worker gw0 crashed and worker restarting disabled*"])


@pytest.mark.parametrize("when", ["pytest_sessionstart", "pytest_collection"])
def test_a_worker_that_dies_while_it_starts_is_replaced(pytester: pytest.Pytester, when: str) -> None:
    dying = f"\n\ndef {when}():\n    if WORKER == ['gw1']:\n        os._exit(3)\n"
    project(pytester, *(case(server, number, devices=2) for server in "abc" for number in range(2)), conftest=dying)
    result = pytester.runpytest("-n2")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*replacing crashed worker gw1*"])


def test_after_the_first_failure_no_server_is_started_that_was_waiting(pytester: pytest.Pytester) -> None:
    # The worker of the short one has been given the wide one, and waits for its devices while the long one fails.
    project(
        pytester,
        *(case("short", number, devices=2, case_s=0.1) for number in range(2)),
        case("long", 0, devices=2, case_s=100, body=f"{AFTER_THE_SHORT_ONES}; assert False"),
        case("long", 1, devices=2, case_s=100),
        case("wide", 0, devices=4, case_s=1),
        case("wide", 1, devices=4, case_s=1),
    )
    result = pytester.runpytest("-n2", "-x")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    assert sorted(begun(journal(pytester))) == ["test_long_0", "test_short_0", "test_short_1"]


def test_a_selection_is_scheduled_as_if_it_were_all(pytester: pytest.Pytester) -> None:
    project(pytester, *(case(server, number, devices=4) for server in "abc" for number in range(2)))
    pytester.runpytest("-n2", "-k", "b_ or c_0").assert_outcomes(passed=3)
    assert sorted(begun(journal(pytester))) == ["test_b_0", "test_b_1", "test_c_0"]


def test_more_workers_than_cases_have_use_for_start_nothing(pytester: pytest.Pytester) -> None:
    project(pytester, case("a", 0, devices=4), case("a", 1, devices=4))
    pytester.runpytest("-n3").assert_outcomes(passed=2)
    assert len(stretches(journal(pytester))) == 1


def test_a_suite_without_cases_goes_to_the_workers_as_xdist_sends_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(pytester, *(f"\n\ndef test_plain_{number}():\n    pass\n" for number in range(3)))
    pytester.runpytest("-n2").assert_outcomes(passed=3)
    ours = shares(journal(pytester))
    (pytester.path / "journal.txt").unlink()
    monkeypatch.setenv("WHOSE", "xdist")
    pytester.runpytest("-n2").assert_outcomes(passed=3)
    assert ours == shares(journal(pytester)) == [["test_plain_0", "test_plain_2"], ["test_plain_1"]]
