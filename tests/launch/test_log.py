from pathlib import Path

from pytest_inferbench.launch.log import tail


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
