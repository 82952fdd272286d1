"""Sessions of several workers as a person sees them: on a terminal, and in a log."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.load.loopback import Loopback, Schedule
from tests.emulated_terminal import rows_of
from tests.sessions import INI, LIMIT_S, Started, pytest_argv, suite

# Long enough that somebody who looks twice a second cannot miss it.
REQUESTS = 40
# Nothing that is drawn over is wide enough to wrap; what is said at the beginning and the end may be.
_NO_WRAP = 10_000
LINE = re.compile(r"\rgw[01] cpu-openai-loopback-tp1-d8x4-c1 measuring .* \d+/40 requests")


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with Loopback.start(Schedule(ttft_ms=40, itl_ms=20, tokens=4)) as running:
        yield running


@pytest.fixture
def argv(tmp_path: Path, server: Loopback) -> list[str]:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    text = suite(concurrency="1", load=f"{{requests: {REQUESTS}, warmup: 1}}")
    (tmp_path / "quick.bench.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n", encoding="utf-8")
    return pytest_argv("-n2", "-p", "no:html", "--inferbench-no-calibration", f"--inferbench-endpoint={server.url}")


def on_a_terminal(argv: list[str], folder: Path, *, interrupted: bool = False) -> tuple[int, str]:
    """The exit code of a session and all that it wrote to its terminal; ``interrupted``: by Ctrl-C, once a worker measures."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(
        argv, cwd=folder, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL, env=environment, process_group=0
    )
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(controller, 65536):
            shown += data
            if interrupted and LINE.search(shown.decode(errors="ignore")):
                interrupted = False
                os.killpg(process.pid, signal.SIGINT)
    except OSError:  # so Linux says that the other side is closed
        pass
    finally:
        os.close(controller)
    return process.wait(LIMIT_S), shown.decode()


def lines_left(text: str) -> list[str]:
    """What is still there at the end of what is drawn while workers measure."""
    return [row for row in rows_of(text, width=_NO_WRAP) if re.match(r"gw\d", row)]


def test_each_worker_has_a_line_that_leaves_no_trace(argv: list[str], tmp_path: Path) -> None:
    code, text = on_a_terminal(argv, tmp_path)
    # On a busy machine the client may call its figures spoiled, which is no matter here.
    assert code in {0, 1}, text
    assert LINE.search(text), text
    assert lines_left(text) == []
    before, _, after = text.partition("inference benchmarks")
    assert "gw0 " not in after
    assert "gw1 " not in after
    assert "\x1b[K" not in after
    assert rows_of(before, width=_NO_WRAP)[-2].endswith("[100%]")


def test_ctrl_c_takes_the_lines_off(argv: list[str], tmp_path: Path) -> None:
    code, text = on_a_terminal(argv, tmp_path, interrupted=True)
    assert code == pytest.ExitCode.INTERRUPTED, text
    assert lines_left(text) == []
    assert "KeyboardInterrupt" in text


def test_a_log_has_none(argv: list[str], tmp_path: Path) -> None:
    with Started(argv, tmp_path) as session:
        assert session.end() in {0, 1}, session.output
        text = session.output
    assert not re.search(r"gw\d cpu", text), text
    assert "\x1b[K" not in text
    assert "\x1b[J" not in text
