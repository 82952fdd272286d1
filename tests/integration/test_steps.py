"""The steps of a run from the command line, one after the other, with a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sessions import INI, inferbench_argv, only_run, own_server, pytest_argv, suite

LIMIT_S = 120.0


class Project:
    """A folder with suites, and commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Containers of other tests of this host are nobody's business here.
        nowhere = f"unix://{folder}/no-engine.sock"
        self.env = {**os.environ, "INFERBENCH_STATE": str(folder / "state"), "DOCKER_HOST": nowhere}

    def write(self, name: str, **fields: str) -> None:
        (self.folder / f"{name}.bench.yaml").write_text(suite(name, **fields), encoding="utf-8")

    def run(self, argv: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        return done.returncode, done.stdout

    def inferbench(self, *arguments: str) -> tuple[int, str]:
        return self.run(inferbench_argv(*arguments))

    def kept(self) -> dict[str, str]:
        """URLs of kept servers by their keys."""
        values = [json.loads(path.read_text(encoding="utf-8")) for path in (self.folder / "state").glob("*-*.json")]
        return {value["labels"]["org.pytest-inferbench.key"]: value["reach"]["url"] for value in values if value["reach"]}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project of which nothing runs after the test."""
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    project = Project(tmp_path)
    yield project
    project.inferbench("down")


def test_each_step_by_itself(project: Project) -> None:
    project.write("a", engine=own_server(), concurrency="[1, 2, 16]")
    code, text = project.inferbench("prepare", "a.bench.yaml", "-k", "c1 and not c16")
    assert (code, "ok     command with loopback on cpu (server " in text) == (0, True), text
    assert "1 case)" in text
    code, text = project.inferbench("up", "a.bench.yaml")
    assert code == 0, text
    ((key, url),) = project.kept().items()
    assert f"(server {key}, 3 cases)" in text
    assert f"url   {url}" in text
    assert "measure with: pytest a.bench.yaml --inferbench-reuse-servers" in text
    run_id = text.rpartition("inferbench down ")[2].strip()
    code, text = project.inferbench("status")
    assert code == 0
    assert f"of run {run_id}" in text
    assert url in text
    code, text = project.inferbench("up", "a.bench.yaml")
    assert code == 0
    assert "(was up already)" in text
    code, text = project.inferbench("down", run_id)
    assert (code, "removed: 1" in text) == (0, True), text
    assert project.kept() == {}
    assert "nothing is up and nothing is left" in project.inferbench("status")[1]


def test_a_server_that_fails_leaves_the_others_up_and_is_1(project: Project) -> None:
    broken = f"{sys.executable} -c 'raise SystemExit(3)' {{port}}"
    project.write("b", engine=f'{{name: command, args: {{command: "{broken}", served_name: loopback}}}}')
    project.write("a", engine=own_server())
    code, text = project.inferbench("up", "b.bench.yaml", "a.bench.yaml")
    assert code == 1
    assert "failed command with loopback on cpu" in text
    assert "it exited with code 3" in text
    assert "ok     command with loopback on cpu" in text
    assert len(project.kept()) == 1


def test_results_are_collected_again(project: Project) -> None:
    project.write("a", engine=own_server())
    code, text = project.run(pytest_argv("-p", "no:xdist"))
    assert code == 0, text
    run = only_run(project.folder)
    before = (run / "results.csv").read_text(encoding="utf-8")
    (run / "results.csv").unlink()
    (run / "results.json").unlink()
    code, text = project.inferbench("collect", str(run))
    assert code == 0, text
    assert text.splitlines()[0] == "2 cases: 2 pass"
    assert sorted((run / "results.csv").read_text(encoding="utf-8").splitlines()) == sorted(before.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "none.bench.yaml"), "file or directory not found: none.bench.yaml"),
        (("down", "no-such-run"), "there is nothing of run no-such-run here"),
        (("down", "no-such-run", "--all"), "give a run, or --all"),
        (("collect", "."), "holds no case with results"),
    ],
)
def test_wrong_usage_is_2_and_said(project: Project, arguments: tuple[str, ...], words: str) -> None:
    code, text = project.inferbench(*arguments)
    assert (code, words in text) == (2, True), text
