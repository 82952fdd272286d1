import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ledger, ownership
from pytest_inferbench.launch.ledger import Reach

REACH = Reach(url="http://127.0.0.1:9", engine="tiny", model="m", command=("serve", "--api-key", "REDACTED"), gpus=("GPU-1",))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_an_entry_is_there_until_the_thing_is_gone(state: Path) -> None:
    entry = ledger.record("process", "", run_id="run-1", key="k")
    assert ledger.entries() == (entry,)
    assert (entry.run_id, entry.key, entry.owner_pid) == ("run-1", "k", os.getpid())
    entry = ledger.found(entry, pid=os.getpid())
    assert ledger.entries() == (entry,)
    assert (entry.name, entry.started) == (str(os.getpid()), ownership.start_time(os.getpid()))
    ledger.forget(entry)
    ledger.forget(entry)
    assert ledger.entries() == ()
    assert list(state.iterdir()) == []


def test_only_this_user_can_read_and_write_entries(state: Path) -> None:
    ledger.record("container", "abc", run_id="run-1")
    (path,) = state.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_server_that_is_kept_is_found_by_its_key_on_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record("process", "1", run_id="run-1", key="k")
    kept = ledger.keep(ledger.record("process", "2", run_id="run-1", key="k"), REACH)
    ledger.keep(ledger.record("process", "3", run_id="run-1", key="other"), REACH)
    assert ledger.kept("k") == (kept,)
    assert kept.reach == REACH
    elsewhere = ownership.Place(host="elsewhere", boot="", pid_namespace="")
    monkeypatch.setattr(ownership, "this_place", lambda: elsewhere)
    assert ledger.kept("k") == ()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 2}', '{"version": 1, "kind": "planet", "reach": null}', "\xff"])
def test_what_is_no_entry_is_passed_over(state: Path, text: str) -> None:
    entry = ledger.record("network", "n", run_id="run-1")
    (state / "1-x.json").write_text(text, encoding="latin-1")
    assert ledger.entries() == (entry,)


def test_a_temporary_folder_lasts_as_long_as_its_block() -> None:
    with ledger.temporary_folder("run-1") as folder:
        (folder / "file").touch()
        (entry,) = ledger.entries()
        assert (entry.kind, entry.name) == ("folder", str(folder))
        assert ledger.TEMPORARY.fullmatch(folder.name)
    assert not folder.exists()
    assert ledger.entries() == ()


def test_entries_lie_where_the_users_state_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERBENCH_STATE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert ledger.folder() == tmp_path / ".local" / "state" / "pytest-inferbench"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert ledger.folder() == tmp_path / "xdg" / "pytest-inferbench"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert ledger.folder() == tmp_path / ".local" / "state" / "pytest-inferbench"


def test_a_home_that_cannot_be_written_is_replaced_by_a_folder_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERBENCH_STATE")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    assert ledger.folder() == tmp_path / f"pytest-inferbench-{os.getuid()}"


def test_a_folder_that_others_may_write_to_is_refused(state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(EngineError) as error:
        ledger.record("process", "", run_id="run-1")
    assert str(error.value) == (
        f"{state} cannot be used to note down what is started, so that it can be ended whatever happens: it is not a folder "
        "that this user alone can write to; name another folder in the environment variable INFERBENCH_STATE"
    )
    assert ledger.entries() == ()


def test_a_link_is_refused(state: Path, tmp_path: Path) -> None:
    state.symlink_to(tmp_path)
    with pytest.raises(EngineError, match="it is not a folder that this user alone can write to"):
        ledger.folder()


def test_a_full_disk_is_said_and_leaves_no_half_entry(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(EngineError, match=r"ended whatever happens: No space left on device; name another folder in the"):
        ledger.record("process", "", run_id="run-1")
    assert list(state.iterdir()) == []


def test_a_passing_file_is_in_the_ledger_while_it_is_somebodys_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / ".telemetry-0123abcd.jsonl"
    with ledger.passing_file(path):
        path.touch()
        (entry,) = ledger.entries()
        assert (entry.kind, entry.name) == ("file", str(path))
    assert not path.exists()
    assert ledger.entries() == ()
    with ledger.passing_file(path):
        """A file that never came to be is no trouble."""
    assert ledger.entries() == ()


def test_a_passing_file_needs_no_ledger(tmp_path: Path, state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)
    path = tmp_path / "x"
    with ledger.passing_file(path):
        path.touch()
    assert not path.exists()
