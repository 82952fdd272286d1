"""The command, on a real history in SQLite where what it reads matters, and on a made-up one where its flags do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.records.history import frames
from pytest_inferbench.site_command import site
from tests.records.history.example_runs import fill, sqlite_in
from tests.reporting.site.made_up import TITLE, made_up_history


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The databases that were asked for; each has a made-up history."""
    urls: list[str | None] = []

    def load_history(url: str | None = None) -> pd.DataFrame:
        urls.append(url)
        return made_up_history(8)

    monkeypatch.setattr(frames, "load_history", load_history)
    return urls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(site, arguments)


def test_writes_the_pages_and_says_what_they_hold(asked: list[str | None], tmp_path: Path) -> None:
    done = run(str(tmp_path / "site"), "--store", "sqlite:///there.db", "--title", TITLE)
    assert (done.exit_code, asked) == (0, ["sqlite:///there.db"])
    assert done.stdout == f"{tmp_path / 'site' / 'index.html'}: 17 cases in 8 runs, 0 changes of level\n"
    assert TITLE in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "cases", "runs"),
    [
        (("-k", "h100 VLLM"), 8, 8),
        (("--branch", "prefix-cache"), 13, 1),
        (("--since", "2026-05-10"), 17, 4),
        (("--since", "2026-05-10T14:10+02:00"), 17, 3),
        ((), 17, 8),
    ],
)
def test_takes_what_it_is_asked_for(
    asked: list[str | None], tmp_path: Path, flags: tuple[str, ...], cases: int, runs: int
) -> None:
    done = run(str(tmp_path / "site"), *flags)
    assert f"{cases} cases in {runs} runs" in done.stdout, done.output


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--since", "last week"), "--since: 'last week' is no date; write it as 2026-09-01 or 2026-09-01T06:00+02:00"),
        (
            ("--commit-url", "https://example.org/"),
            "--commit-url: 'https://example.org/' leads to no commit; write it as https://example.org/project/commit/{commit}",
        ),
        (("--commit-url", "javascript:alert(1)//{commit}"), "leads to no commit"),
        (
            ("-k", "h100 gaudi", "--since", "2026-05-01", "--branch", "main"),
            "fits -k 'h100 gaudi' and --since 2026-05-01T00:00:00Z and --branch main; ask for less",
        ),
    ],
)
def test_wrong_usage_says_what_is_right(asked: list[str | None], tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    done = run(str(tmp_path / "site"), *flags)
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "site").exists()


def test_a_folder_with_other_files_is_refused_before_anything_is_read(asked: list[str | None], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    done = run(str(tmp_path))
    assert done.exit_code == 2
    assert "holds files that inferbench site did not write ('thesis.tex') and is left as it is" in done.stderr
    assert asked == []
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_reads_a_real_history(tmp_path: Path) -> None:
    fill(sqlite_in(tmp_path), days=3)
    done = run(str(tmp_path / "site"), "--store", sqlite_in(tmp_path))
    assert done.stdout.endswith("index.html: 2 cases in 3 runs, 0 changes of level\n"), done.output
    (index,) = (tmp_path / "site" / "data").glob("index-*.js")
    text = index.read_text(encoding="utf-8")
    assert '"machine"' in text
    assert "Some CPU, 8 cores" in text
    assert '"commit":"commit1"' in text


def test_a_history_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    done = run(str(tmp_path / "site"), "--store", f"sqlite:///{tmp_path / 'none.db'}")
    assert done.exit_code == 2
    assert "none.db" in done.stderr
    assert not (tmp_path / "site").exists()
