"""Lines of a file are found wherever they end, and named by their number."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.datasets.text_file import TextFile


def written(folder: Path, data: bytes) -> str:
    path = folder / "prompts.txt"
    path.write_bytes(data)
    return str(path)


def lines_of(file: TextFile) -> list[tuple[int, str]]:
    return [(file.number(index), file.text(index)) for index in range(len(file))]


def test_blank_lines_are_left_out_and_the_last_needs_no_end(tmp_path: Path) -> None:
    file = TextFile(written(tmp_path, b"\xef\xbb\xbfone\r\n\n  \ntwo \xc3\xa4\n\r\nthree"))
    assert lines_of(file) == [(1, "one"), (4, "two ä"), (6, "three")]


@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=20))
def test_every_line_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    data = "\n".join(["first", *lines]).encode()
    file = TextFile(written(tmp_path_factory.mktemp("lines"), data))
    kept = [(number, line) for number, line in enumerate(["first", *lines], start=1) if line.encode().strip()]
    assert lines_of(file) == kept


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"", "is empty"), (b"\n \n", "has blank lines only"), (None, "cannot be read: No such file or directory")],
)
def test_a_file_without_lines_is_refused(tmp_path: Path, data: bytes | None, problem: str) -> None:
    path = str(tmp_path / "none.txt") if data is None else written(tmp_path, data)
    with pytest.raises(ConfigError) as caught:
        TextFile(path)
    assert str(caught.value) == f"{path}: {problem}"


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, b"one\nt\xffo\n")
    with pytest.raises(ConfigError) as caught:
        TextFile(path).text(1)
    assert str(caught.value) == f"{path}:2: is not UTF-8 text (byte 0xff)"
