from pathlib import Path

import pytest

from pytest_inferbench.launch import log
from pytest_inferbench.launch.log import LogPart, part_from_now, tail, write_part


def test_the_last_lines_are_shown_without_terminal_codes(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\n\n\x1b[31mtwo\x1b[0m\r\n10%\r20%\n\x07\xffthree\n")
    assert tail(path, lines=10) == "one\ntwo\n10%\n20%\n?\ufffdthree"
    assert tail(path, lines=1) == "?\ufffdthree"
    assert tail(path, lines=0) == ""


def test_it_starts_where_the_server_started(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("the server before\nthis server\n")
    assert tail(path, lines=10, start=len("the server before\n")) == "this server"


def test_a_huge_log_and_a_huge_line_are_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("first\n" + "x" * 200_000 + "\nlast\n")
    shown = tail(path, lines=10).split("\n")
    assert [len(line) for line in shown] == [503, 4]


def test_no_log_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none", lines=3) == ""


def test_a_part_is_what_was_logged_since_then(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("the case before\n")
    part = part_from_now("a", path)
    assert part == LogPart(case_id="a", path=path, start=16)
    with path.open("a") as file:
        file.write("loading 10%\rloading 20%\nno end")
    write_part(part, tmp_path / "server.log")
    assert (tmp_path / "server.log").read_bytes() == b"loading 10%\rloading 20%\nno end"
    write_part(LogPart(case_id="a", path=path), tmp_path / "whole.log")
    assert (tmp_path / "whole.log").read_bytes() == path.read_bytes()


def test_where_nothing_was_logged_there_is_no_part(tmp_path: Path) -> None:
    assert part_from_now("a", None) is None
    assert part_from_now("a", tmp_path / "none.log") is None
    (tmp_path / "x.log").write_text("before\n")
    part = part_from_now("a", tmp_path / "x.log")
    assert part is not None
    write_part(part, tmp_path / "server.log")
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]


def test_what_looks_like_a_secret_is_not_in_a_part(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("args: --api-key correct-horse\nok\n")
    write_part(LogPart(case_id="a", path=tmp_path / "x.log"), tmp_path / "server.log")
    assert (tmp_path / "server.log").read_text() == "args: --api-key REDACTED\nok\n"


def test_of_a_huge_part_the_end_is_written_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "PART_BYTES_MAX", 12)
    path = tmp_path / "x.log"
    path.write_text("before\nfirst\nsecond\nthird\n")
    write_part(LogPart(case_id="a", path=path, start=7), tmp_path / "server.log")
    said, third = (tmp_path / "server.log").read_text().splitlines()
    assert (said, third) == (f"[inferbench: 13 bytes are left out here; they are in {path}]", "third")
