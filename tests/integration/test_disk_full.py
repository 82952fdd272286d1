"""A disk that fills up while a session runs: it is said where, what was measured before stays readable, and nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sessions import INI, own_server, suite

LIMIT_S = 180.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_costs_only_what_did_not_fit_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    text = suite(engine=own_server(), concurrency="[1, 2, 3, 4]")
    (tmp_path / "full.bench.yaml").write_text(text, encoding="utf-8")
    # A case takes about 100 KB with its picture: this leaves room for one or two of the four.
    (small_disk / "ballast").write_bytes(b"\0" * 1_900_000)
    state = tmp_path / "state"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:html", "-p", "no:xdist", f"--inferbench-output={small_disk / 'out'}"],
        cwd=tmp_path,
        env={**os.environ, "INFERBENCH_STATE": str(state)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "the disk is full: free some space" in said
    assert str(small_disk / "out") in said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    summaries = list((small_disk / "out").glob("*/summary.json"))
    assert summaries
    assert all(json.loads(path.read_text(encoding="utf-8"))["run_id"] for path in summaries)
    assert not list(state.glob("*-*.json"))
