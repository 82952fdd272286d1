"""Cases that leave the machine as they finish, from real sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.load.loopback import Loopback
from tests.sessions import LIMIT_S, QUICK, Started, only_run, pytest_argv, suite

CASES = ("cpu-openai-loopback-tp1-d8x4-c1", "cpu-openai-loopback-tp1-d8x4-c2")
WAITING = f"""
import pathlib, time

def pytest_runtest_teardown(item, nextitem):
    # A plugin of the user's own, which goes on when the first case has left; the whole upload is not over yet.
    deadline = time.monotonic() + {LIMIT_S}
    there = pathlib.Path("there")
    while nextitem is not None and not list(there.glob("*/*-c1/summary.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if nextitem is not None:
        (pathlib.Path("seen.txt")).write_text("\\n".join(sorted(path.name for path in there.glob("*/*"))))
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n2")], ids=["one process", "workers"])
def test_a_run_is_uploaded_while_it_runs_or_at_its_end(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "quick.bench.yaml").write_text(suite())
    if not workers:
        (tmp_path / "conftest.py").write_text(WAITING)
    with Loopback.start(QUICK) as server:
        asked = ("-q", *workers, "--inferbench-endpoint", server.url, "--inferbench-upload", "there", "quick.bench.yaml")
        with Started(pytest_argv(*asked), tmp_path) as session:
            # On a busy machine the client may call its figures spoiled; they are sent all the same.
            assert session.end() in {0, 1}, session.output
    run = only_run(tmp_path)
    sent = tmp_path / "there" / run.name
    assert (sent / "artifact.json").is_file()
    for case in CASES:
        assert (sent / case / "requests.parquet").read_bytes() == (run / case / "requests.parquet").read_bytes()
    assert "files sent" in session.output
    if not workers:
        assert (tmp_path / "seen.txt").read_text() == CASES[0], "the first case and nothing else has left before the second one"
