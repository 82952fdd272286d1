from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import READERS, read_results
from tests.records.imports.exported import read_back


@pytest.mark.parametrize("name", READERS)
def test_every_tools_file_is_known_by_what_it_holds(tmp_path: Path, name: str) -> None:
    found = read_back(tmp_path, name)
    assert found.tool == name
    assert found.model == "smollm2"
    assert (found.concurrency, found.rate_per_s) == (4, None), "a closed loop stays one"


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{}"), ("a.json", "[]"), ("a.csv", "x,y\n"), ("a.pbtxt", "x: 1"), ("a.txt", "?")]
)
def test_a_file_of_no_tool_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=r"it holds results of no tool that is known here \(vllm, genai-bench, "):
        read_results(tmp_path / name)


def test_other_files_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    read_back(tmp_path, "gie")
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    (folder / "notes.json").write_text("{}")
    (folder / "notes.md").write_text("?")
    assert [found.tool for found in read_results(folder)] == ["gie"]


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file in it holds results of a tool that is known here"):
        read_results(tmp_path)
