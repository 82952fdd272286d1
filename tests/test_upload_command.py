from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.records.artifact_store import Store
from pytest_inferbench.upload_command import shown_progress, upload, upload_finished_run
from tests.records.test_artifacts import RUN_ID, run_in


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return run_in(tmp_path / "reports" / "runs" / RUN_ID)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(upload, arguments)


def test_it_says_what_was_sent_and_how_to_bring_it_back(run: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/a store"
    done = invoke(str(run), url)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"run {RUN_ID} is in {url}/{RUN_ID}: 7 of 7 files sent, 15,067 bytes",
        f"bring it back with: inferbench fetch '{url}/{RUN_ID}'",
    ]
    assert "nothing to do" in invoke(str(run), url).stdout


def test_the_newest_run_goes_by_its_link_also_where_that_is_a_text_file(run: Path, tmp_path: Path) -> None:
    Path("reports", "latest").write_text(f"runs/{run.name}\n")
    assert f"run {RUN_ID} is in" in invoke("reports/latest", str(tmp_path / "store")).stdout


def test_another_state_needs_the_flag(run: Path, tmp_path: Path) -> None:
    invoke(str(run), str(tmp_path / "store"))
    (run / "more").write_text("more")
    done = invoke(str(run), str(tmp_path / "store"))
    assert (done.exit_code, "is never changed unless you say so with --overwrite" in done.stderr) == (1, True)
    assert invoke(str(run), str(tmp_path / "store"), "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gone", "store"], 2, "there is no run gone; give the folder of a run, such as reports/latest"),
        (["reports", "store"], 1, "run.json could not be read: No such file"),
        (["{run}", "nope://x"], 2, "nope://x is no address that files can be sent to"),
        (["{run}", "s3://me:verySecret1234567@bucket"], 2, "s3://REDACTED@bucket holds credentials"),
        (["{run}"], 2, "Missing argument 'URL'"),
    ],
)
def test_what_is_wrong_is_said(run: Path, arguments: list[str], code: int, words: str) -> None:
    done = invoke(*(each.format(run=run) for each in arguments))
    assert (done.exit_code, words in done.stderr) == (code, True), done.stderr
    assert "verySecret" not in done.output


def test_a_finished_session_gets_the_words(run: Path, tmp_path: Path) -> None:
    words, trouble = upload_finished_run(run, str(tmp_path / "store"))
    assert (trouble, words) == (None, f"run {RUN_ID} is in {tmp_path}/store/{RUN_ID}: 7 of 7 files sent, 15,067 bytes")


def test_an_upload_that_fails_is_a_trouble_with_the_command_that_goes_on(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words, trouble = upload_finished_run(run, f"{tmp_path}/file/store")
    assert words == ""
    assert trouble is not None
    assert trouble.startswith("the run was not uploaded: ")
    assert trouble.endswith(f"; nothing is lost, and this goes on with it: inferbench upload {run} {tmp_path}/file/store")


def test_a_secret_in_the_url_is_not_in_the_trouble(run: Path) -> None:
    _, trouble = upload_finished_run(run, "s3://me:verySecret1234567@bucket/x")
    assert trouble is not None
    assert "verySecret" not in trouble
    assert "s3://REDACTED@bucket/x" in trouble


def test_progress_is_shown_to_who_watches_and_ends_with_a_new_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown_progress("sent")(1, 2, "a")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show = shown_progress("sent")
    show(1, 2, "case/a")
    show(2, 2, "b")
    written = capsys.readouterr().err
    assert "50% sent, case/a" in written
    assert written.endswith("100% sent, b\n")


def test_nothing_but_the_run_lands_in_the_store(run: Path, tmp_path: Path) -> None:
    invoke(str(run), str(tmp_path / "store"))
    assert len(Store(str(tmp_path / "store")).listing()) == 8
