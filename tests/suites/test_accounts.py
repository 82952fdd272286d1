"""What a program cost, whoever of its processes did the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from suites.fidelity.accounts import Account, run

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
LEAVE_BEHIND = f"""
import subprocess, sys
subprocess.Popen([sys.executable, '-c', {BURN!r}], start_new_session=True)
"""


def account(code: str, folder: Path, *, limit_s: float = 60.0, **env: str) -> Account:
    cpu = min(os.sched_getaffinity(0))
    return run([sys.executable, "-c", code], cpus={cpu}, log=folder / "out.txt", limit_s=limit_s, env=env)


@pytest.mark.parametrize("code", [BURN, LEAVE_BEHIND], ids=["its own", "of what it left behind"])
def test_time_is_counted(code: str, tmp_path: Path) -> None:
    found = account(code, tmp_path)
    assert found.code == 0
    assert found.cpu_s >= 0.3


def test_memory_is_that_of_all_its_processes_together(tmp_path: Path) -> None:
    hold = "import sys, time; held = bytearray(b'x' * 40_000_000); time.sleep(1)"
    found = account(f"import subprocess, sys\nother = subprocess.Popen([sys.executable, '-c', {hold!r}])\n{hold}", tmp_path)
    assert found.memory_mb_max > 80


def test_it_says_how_a_program_ended_and_what_it_last_wrote(tmp_path: Path) -> None:
    found = account("import os, sys; print(os.environ['WORD']); sys.exit(3)", tmp_path, WORD="so long")
    assert (found.code, found.words) == (3, "so long\n")


def test_it_runs_on_its_cpus_and_the_caller_stays_where_it_was(tmp_path: Path) -> None:
    own = os.sched_getaffinity(0)
    found = account("import os; print(os.sched_getaffinity(0))", tmp_path)
    assert found.words == f"{{{min(own)}}}\n"
    assert os.sched_getaffinity(0) == own


def test_what_runs_too_long_is_ended(tmp_path: Path) -> None:
    assert account("import time; time.sleep(60)", tmp_path, limit_s=0.1).code is None
