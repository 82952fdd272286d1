from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.records.codec import to_json
from pytest_inferbench.records.files import write_json
from pytest_inferbench.records.reader import read_run
from pytest_inferbench.records.run_directory import open_run
from pytest_inferbench.records.writer import SUMMARY_FILE
from pytest_inferbench.reporting.progress import Progress
from pytest_inferbench.session import BenchSession, _Place
from pytest_inferbench.worker_progress import worker_states
from tests.records.example import example_record
from tests.sessions import INI, suite

pytest_plugins = ["pytester"]
STATE = Progress(
    case_id="cpu-a-c1",
    index=1,
    total=2,
    phase="planning",
    requests_done=0,
    requests_total=None,
    output_tokens_per_s=None,
    elapsed_s=1.0,
    left_s=None,
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    return pytester


def session_of(project: pytest.Pytester, *arguments: str) -> BenchSession:
    found = project.parseconfigure(*arguments).pluginmanager.get_plugin("inferbench-session")
    assert isinstance(found, BenchSession)
    return found


class Finished:
    """The end of a pytest session."""

    exitstatus: int | pytest.ExitCode = pytest.ExitCode.OK


def finish(session: BenchSession) -> int | pytest.ExitCode:
    end: Any = Finished()
    session.finish(end)
    status: int | pytest.ExitCode = end.exitstatus
    return status


def test_every_run_has_a_name_and_a_salt_of_its_own(project: pytest.Pytester) -> None:
    first, second = (_Place.fresh(session_of(project).options) for _ in range(2))
    assert first.run_id != second.run_id
    assert (first.seed, second.seed) == (0, 0)
    assert first.salt != second.salt


def test_a_seed_decides_the_salt(project: pytest.Pytester) -> None:
    place = _Place.fresh(session_of(project, "--inferbench-seed=7").options)
    assert (place.seed, place.salt) == (7, 7)


def test_a_worker_writes_into_the_run_of_its_controller(project: pytest.Pytester) -> None:
    controller = session_of(project, "--inferbench-output=out", "--inferbench-seed=3")
    told = controller.worker_input()
    config = project.parseconfig("--inferbench-output=elsewhere")
    config.workerinput = {"inferbench": told}  # type: ignore[attr-defined]  # xdist's own
    worker = BenchSession(config)
    assert worker.is_worker
    assert (worker.run.path, worker.run.run_id) == (controller.run.path, controller.run.run_id)
    assert worker.worker_input() == told


def test_what_a_worker_is_told_is_plain(project: pytest.Pytester) -> None:
    assert all(isinstance(value, str | int | None) for value in session_of(project).worker_input().values())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[BenchSession], BenchSession]:
    """Puts a session on a terminal."""

    def on_terminal(session: BenchSession) -> BenchSession:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(session.config.pluginmanager.get_plugin("terminalreporter"), "isatty", True)
        return session

    return on_terminal


def worker_of(project: pytest.Pytester, told: dict[str, Any]) -> BenchSession:
    config = project.parseconfig()
    config.workerinput = {"inferbench": told, "workerid": "gw3"}  # type: ignore[attr-defined]  # xdist's own
    return BenchSession(config)


def test_a_worker_that_is_watched_tells_where_it_is_until_it_is_forgotten(
    project: pytest.Pytester, terminal: Callable[[BenchSession], BenchSession]
) -> None:
    controller = terminal(session_of(project))
    told = controller.worker_input()
    assert told["watched"] is True
    worker_of(project, told)._show(STATE)
    assert list(worker_states(Path(told["groups"]))) == ["gw3"]
    controller.forget_worker("gw3")
    assert worker_states(Path(told["groups"])) == {}


@pytest.mark.parametrize("flags", [("-q",), ("-p", "no:terminal"), ()], ids=["quiet", "no reporter", "no terminal"])
def test_a_worker_that_nobody_watches_tells_nothing(
    project: pytest.Pytester, terminal: Callable[[BenchSession], BenchSession], flags: tuple[str, ...]
) -> None:
    controller = session_of(project, *flags)
    told = (terminal(controller) if "-q" in flags else controller).worker_input()
    assert told["watched"] is False
    worker_of(project, told)._show(STATE)
    controller.forget_worker("gw3")
    with controller.showing_workers():
        assert list(Path(told["groups"]).iterdir()) == []


def test_a_session_without_workers_shows_none_of_them(
    project: pytest.Pytester, terminal: Callable[[BenchSession], BenchSession]
) -> None:
    session = terminal(session_of(project))
    before = threading.active_count()
    with session.showing_workers():
        assert threading.active_count() == before


def test_collecting_only_makes_no_folder(project: pytest.Pytester) -> None:
    session_of(project, "--inferbench-output=out", "--collect-only").worker_input()
    assert not (project.path / "out").exists()


def test_a_session_without_cases_leaves_nothing_at_its_end(project: pytest.Pytester) -> None:
    session = session_of(project)
    session.collected([])
    assert finish(session) == pytest.ExitCode.OK
    assert not (project.path / "reports").exists()


def test_the_end_takes_in_what_others_of_the_run_have_written(project: pytest.Pytester) -> None:
    session = session_of(project)
    other = open_run(session.run.run_id, output=session.run.path)
    record = example_record()
    (other.path / record.folder).mkdir()
    write_json(other.path / record.folder / SUMMARY_FILE, to_json(record))
    assert finish(session) == pytest.ExitCode.OK
    assert read_run(session.run.path) == (record,)
    assert (session.run.path / "results.csv").exists()


def test_a_record_that_cannot_be_read_costs_the_others_nothing_and_fails_the_run(project: pytest.Pytester) -> None:
    session = session_of(project)
    record = example_record()
    for name in (record.folder, "broken"):
        (session.run.path / name).mkdir()
    write_json(session.run.path / record.folder / SUMMARY_FILE, to_json(record))
    (session.run.path / "broken" / SUMMARY_FILE).write_text("{", encoding="utf-8")
    assert finish(session) == pytest.ExitCode.TESTS_FAILED
    assert read_run(session.run.path) == (record,)


def test_troubles_of_workers_are_those_of_the_run(project: pytest.Pytester) -> None:
    session = session_of(project)
    session.worker_finished({"inferbench": {"troubles": ["process 4711 cannot be ended"], "notices": ["n"]}})
    session.worker_finished({})
    assert finish(session) == pytest.ExitCode.TESTS_FAILED


def test_a_run_that_failed_anyway_keeps_its_exit_status(project: pytest.Pytester) -> None:
    session = session_of(project)
    session.worker_finished({"inferbench": {"troubles": ["process 4711 cannot be ended"], "notices": ["n"]}})
    end: Any = Finished()
    end.exitstatus = pytest.ExitCode.INTERRUPTED
    session.finish(end)
    assert end.exitstatus == pytest.ExitCode.INTERRUPTED


def test_an_unusable_folder_is_found_when_cases_were_collected(project: pytest.Pytester) -> None:
    (project.path / "a.bench.yaml").write_text(suite(), encoding="utf-8")
    (project.path / "out").write_text("mine", encoding="utf-8")
    result = project.runpytest("-p", "no:xdist", "--inferbench-output=out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "out could not be written" in result.stderr.str()


def test_the_run_lies_under_the_root_whatever_the_folder(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.mkdir("below"))
    session = session_of(project, f"--rootdir={project.path}", "-c", str(project.path / "tox.ini"))
    assert session.run.path.parent == project.path / Path("reports", "runs")
