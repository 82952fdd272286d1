"""Folders of runs and cases: nobody writes into somebody else's."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.run_directory import new_run_id, open_run, point_latest, safe_name


def test_a_run_id_reads_as_a_time_and_is_unique() -> None:
    started = datetime(2026, 11, 22, 7, 45, 1, tzinfo=UTC)
    ids = {new_run_id(started) for _ in range(20)}
    assert len(ids) > 1
    assert all(re.fullmatch(r"20261122-074501-[0-9a-f]{4}", each) for each in ids)


def test_without_a_wish_a_run_lies_under_reports_runs(tmp_path: Path) -> None:
    run = open_run("r1", root=tmp_path)
    assert run.path == tmp_path / "reports" / "runs" / "r1"
    assert run.path.is_dir()


def test_workers_of_one_run_share_its_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: open_run("r1", output=tmp_path / "out"), range(16)))
    assert {run.path for run in runs} == {tmp_path / "out"}


def test_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    open_run("r1", output=tmp_path)
    words = f"{tmp_path} holds run r1, which is never overwritten; choose another folder with --inferbench-output"
    with pytest.raises(RecordError, match=re.escape(words)):
        open_run("r2", output=tmp_path)


def test_a_folder_with_results_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(RecordError, match=re.escape(f"{tmp_path} holds results.json of something else; choose another folder")):
        open_run("r1", output=tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=re.escape(f"{tmp_path / 'file' / 'out'} could not be written: a part of its path")):
        open_run("r1", output=tmp_path / "file" / "out")


def test_cases_of_one_id_get_folders_of_their_own_also_at_the_same_time(tmp_path: Path) -> None:
    run = open_run("r1", output=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(run.case_folder, ["a b"] * 12))
    assert len(set(folders)) == 12
    assert {folder.name for folder in folders} == {"a_b", *(f"a_b-{i}" for i in range(2, 13))}


@pytest.mark.parametrize(
    ("case_id", "name"),
    [
        ("cpu-llamacpp-tp1-d128x64-c4", "cpu-llamacpp-tp1-d128x64-c4"),
        ("a/b", "a_b"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "case"),
        ("", "case"),
        ("D(512,128) é", "D_512_128"),
        ("x" * 300, "x" * 150),
    ],
)
def test_a_case_id_becomes_a_safe_name(case_id: str, name: str) -> None:
    assert safe_name(case_id) == name


@given(st.text())
def test_no_case_id_leads_out_of_the_folder(case_id: str) -> None:
    name = safe_name(case_id)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,149}", name)


def test_latest_leads_to_the_newest_run(tmp_path: Path) -> None:
    for run_id in ("r1", "r2"):
        point_latest(open_run(run_id, root=tmp_path), root=tmp_path)
    latest = tmp_path / "reports" / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == (tmp_path / "reports" / "runs" / "r2").resolve()
    assert latest.readlink() == Path("runs/r2")


def test_latest_is_a_text_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    point_latest(open_run("r1", root=tmp_path), root=tmp_path)
    assert (tmp_path / "reports" / "latest").read_text() == "runs/r1\n"


def test_latest_never_replaces_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "reports" / "latest").mkdir(parents=True)
    with pytest.raises(RecordError, match="latest is a folder, where a link to the newest run belongs; move it away"):
        point_latest(open_run("r1", root=tmp_path), root=tmp_path)
