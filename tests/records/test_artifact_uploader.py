"""Cases that are sent as they finish, and never while a load runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records import artifact_uploader
from pytest_inferbench.records.artifact_uploader import Uploader
from pytest_inferbench.records.artifacts import Uploaded, fetch_run, upload_run
from tests.records.test_artifacts import RUN_ID, Watched, run_in, watched

LIMIT_S = 60.0


def finished(uploader: Uploader, run: Path) -> Uploaded:
    """What a session does at its end."""
    uploader.stop()
    return upload_run(run, uploader._store.url, store=uploader._store)


class Sent:
    """What a store was sent so far, to be waited for."""

    def __init__(self) -> None:
        self._said = threading.Condition()
        self._paths: list[str] = []

    def __call__(self, path: str) -> None:
        with self._said:
            self._paths.append(path)
            self._said.notify_all()

    @property
    def paths(self) -> list[str]:
        with self._said:
            return sorted(self._paths)

    def wait_for(self, count: int) -> None:
        with self._said:
            assert self._said.wait_for(lambda: len(self._paths) >= count, LIMIT_S), self._paths


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_in(tmp_path / "run")


@pytest.fixture
def start(run: Path, tmp_path: Path) -> Iterator[Callable[[Callable[[str], None]], Uploader]]:
    """Starts an uploader whose store calls something before each file."""
    started: list[Uploader] = []

    def begin(before: Callable[[str], None]) -> Uploader:
        store: Watched = watched((tmp_path / "store").as_uri(), before)
        started.append(Uploader(store.url, run, store=store))
        return started[-1]

    yield begin
    for each in started:
        each.stop()


Start = Callable[[Callable[[str], None]], Uploader]


def test_a_finished_case_is_sent_while_no_load_runs(run: Path, start: Start, tmp_path: Path) -> None:
    sent = Sent()
    uploader = start(sent)
    uploader.offer(run / "case-0")
    sent.wait_for(2)
    assert sent.paths == ["case-0/requests.parquet", "case-0/summary.json"]
    done = finished(uploader, run)
    assert (done.files, done.sent_files) == (7, 5)
    assert fetch_run(done.url, tmp_path / "back").files == 7


def test_nothing_is_sent_while_a_load_runs(run: Path, start: Start) -> None:
    sent = Sent()
    uploader = start(sent)
    assert uploader.pause()
    assert uploader.pause()
    uploader.offer(run / "case-0")
    uploader.resume()
    # The second load still runs: whatever were sent would be sent before the next file, which is only sent after it.
    assert sent.paths == []
    uploader.resume()
    sent.wait_for(2)


def test_a_load_waits_for_the_file_that_is_under_way_and_no_other_is_begun(run: Path, start: Start) -> None:
    begun, go_on, sent = threading.Event(), threading.Event(), Sent()

    def slow(path: str) -> None:
        sent(path)
        begun.set()
        assert go_on.wait(LIMIT_S)

    uploader = start(slow)
    uploader.offer(run / "case-0")
    assert begun.wait(LIMIT_S)
    paused: list[bool] = []
    load = threading.Thread(target=lambda: paused.append(uploader.pause()))
    load.start()
    assert load.is_alive()
    go_on.set()
    load.join(LIMIT_S)
    assert (paused, len(sent.paths)) == ([True], 1)


def test_a_load_does_not_wait_for_ever(run: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_uploader, "PAUSE_S", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def hang(_path: str) -> None:
        begun.set()
        go_on.wait(LIMIT_S)

    uploader = start(hang)
    uploader.offer(run / "case-0")
    assert begun.wait(LIMIT_S)
    assert not uploader.pause()
    go_on.set()


def test_large_files_wait_for_the_end(run: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_uploader, "FILE_BYTES_MAX", 1000)
    sent = Sent()
    uploader = start(sent)
    uploader.offer(run / "case-0")
    uploader.offer(run / "case-1")
    sent.wait_for(2)
    assert sent.paths == ["case-0/summary.json", "case-1/summary.json"]
    assert finished(uploader, run).sent_files == 5


def test_what_goes_wrong_meanwhile_is_left_for_the_end(run: Path, start: Start) -> None:
    sent, broken = Sent(), threading.Event()

    def break_once(path: str) -> None:
        if not broken.is_set():
            broken.set()
            raise RecordError("the store was away")
        sent(path)

    uploader = start(break_once)
    uploader.offer(run / "case-0")
    assert broken.wait(LIMIT_S)
    uploader.offer(run / "case-1")
    assert uploader.pause()
    assert finished(uploader, run).sent_files == 7


def test_a_run_that_is_there_completely_is_not_touched(run: Path, start: Start, tmp_path: Path) -> None:
    upload_run(run, (tmp_path / "store").as_uri())
    (run / "case-0" / "summary.json").write_text("{}")
    sent = Sent()
    uploader = start(sent)
    uploader.offer(run / "case-0")
    with pytest.raises(RecordError, match="holds another state of run"):
        finished(uploader, run)
    assert sent.paths == []
    assert (tmp_path / "store" / RUN_ID / "case-0" / "summary.json").read_text() == '{"case": 0}'


def test_a_wrong_address_is_said_at_once(run: Path) -> None:
    with pytest.raises(ConfigError, match="is no address that files can be sent to"):
        Uploader("nope://x", run)
