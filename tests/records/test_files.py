"""Files are whole or not there, and a disk that is full is said so."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.files import read_json, replacing, write_json, write_json_once, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "ä\r\n")
    write_json(tmp_path / "b.json", {"x": 1.5})
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\r\n"
    assert read_json(tmp_path / "b.json") == {"x": 1.5}
    assert names(tmp_path) == ["a.txt", "b.json"]


def test_a_writer_that_breaks_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def broken() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: free some space, or choose another folder with --inferbench-output"),
        (errno.EROFS, "it is on a read-only file system: choose another folder with --inferbench-output"),
        (errno.EACCES, "it may not be written: choose another folder with --inferbench-output, or change its permissions"),
        (errno.EIO, "Input/output error; choose another folder with --inferbench-output"),
    ],
)
def test_what_the_system_says_becomes_a_path_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuse)
    for write in (write_json, write_json_once):
        with pytest.raises(RecordError, match=re.escape(f"{tmp_path / 'a.json'} could not be written: {words}")):
            write(tmp_path / "a.json", {})
        assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="a part of its path is a file: choose another folder"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_a_file_that_is_written_once_is_read_only_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    write_json_once(path, {"first": True})
    with pytest.raises(RecordError, match=re.escape(f"{path} is there already and is never written twice")):
        write_json_once(path, {"second": True})
    assert json.loads(path.read_text()) == {"first": True}
    assert path.stat().st_mode & 0o222 == 0
    assert names(tmp_path) == ["m.json"]


def test_nan_is_never_written_as_if_it_were_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert names(tmp_path) == []


def test_a_file_that_is_missing_or_cut_off_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=re.escape(f"{tmp_path / 'no.json'} could not be read: No such file")):
        read_json(tmp_path / "no.json")
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(RecordError, match=r"half\.json is not JSON .*was it written by pytest-inferbench, and whole\?"):
        read_json(tmp_path / "half.json")
