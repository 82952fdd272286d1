"""Whole sessions on a declared inventory: servers on GPUs of their own, kept, used again, gone on with, and foreseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import INI, own_server, suite

LIMIT_S = 180.0
# Hardware that no other test leases: tests of one host share its locks, as everything on it does.
GPUS = "--inferbench-inventory=2xl40s"


class Project:
    """A folder with two suites, each with a server of its own on one of two declared GPUs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "INFERBENCH_STATE": str(folder / "state")}
        for name, tokens in (("a", 4), ("b", 5)):
            engine = own_server().replace("--tokens 4", f"--tokens {tokens}")
            text = suite(name, engine=engine).replace("hardware: cpu", "hardware: l40s")
            (folder / f"{name}.bench.yaml").write_text(text, encoding="utf-8")

    def run(self, *argv: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *argv],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def pytest(self, *arguments: str, code: int = 0) -> str:
        return self.run("pytest", "-p", "no:html", GPUS, *arguments, code=code)

    @property
    def ledger(self) -> list[Any]:
        return [json.loads(path.read_text(encoding="utf-8")) for path in (self.folder / "state").glob("*-*.json")]

    @property
    def records(self) -> dict[str, Any]:
        files = (self.folder / "reports" / "latest").resolve().glob("*/summary.json")
        return {f"{path.parent.name}": json.loads(path.read_text(encoding="utf-8")) for path in files}

    @property
    def logs(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "reports" / "latest" / "servers").resolve().iterdir())


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    project = Project(tmp_path)
    yield project
    project.run("pytest_inferbench.cli", "down")


@pytest.mark.parametrize("flags", [("-n2",), ("-p", "no:xdist"), ("-n2", "--inferbench-exclusive")])
def test_each_server_is_started_once_on_gpus_of_its_own_and_nothing_is_left(project: Project, flags: tuple[str, ...]) -> None:
    assert "4 passed" in project.pytest(*flags)
    records = list(project.records.values())
    used = {(record["case"]["suite"], tuple(record["served"]["gpus"])) for record in records}
    assert sorted(name for name, _ in used) == ["a", "b"]
    assert all(len(gpus) == 1 for _, gpus in used)
    assert len(project.logs) == 2
    assert project.ledger == []


def test_servers_are_kept_used_again_when_asked_and_put_down(project: Project) -> None:
    text = project.pytest("--inferbench-keep-servers")
    assert text.count("stop it with: inferbench down") == 2
    kept = {entry["reach"]["url"] for entry in project.ledger}
    assert len(kept) == 2
    assert "4 passed" in project.pytest("--inferbench-reuse-servers")
    assert {record["served"]["url"] for record in project.records.values()} == kept
    assert not (project.folder / "reports" / "latest" / "servers").exists()
    assert "4 passed" in project.pytest("a.bench.yaml", "b.bench.yaml")
    assert not kept & {record["served"]["url"] for record in project.records.values()}
    project.run("pytest_inferbench.cli", "down")
    assert project.ledger == []


def test_a_run_goes_on_with_what_has_no_result_yet(project: Project) -> None:
    assert "2 passed" in project.pytest("-k", "c1")
    first = project.records
    text = project.pytest(f"--inferbench-resume={(project.folder / 'reports' / 'latest').resolve().name}")
    assert "4 passed" in text
    assert "note: 2 results were there already and were not measured again" in text
    assert len(project.records) == 4
    assert {name: record["started_at"] for name, record in project.records.items() if name in first} == {
        name: record["started_at"] for name, record in first.items()
    }
    results = json.loads((project.folder / "reports" / "latest" / "results.json").read_text(encoding="utf-8"))
    assert len(results["records"]) == 4


def test_a_dry_run_starts_nothing_and_says_what_it_would(project: Project) -> None:
    text = project.pytest("--inferbench-dry-run")
    assert "4 skipped" in text
    assert "4 cases, 2 servers: about" in text
    assert "GPU-hours; an estimate. Nothing was started." in text
    manifests = list((project.folder / "reports" / "latest").resolve().glob("*/manifest.json"))
    assert [json.loads(path.read_text(encoding="utf-8"))["dry_run"] for path in manifests] == [True] * 4
    assert project.records == {}


def test_cases_that_need_more_than_is_declared_are_skipped(project: Project) -> None:
    text = (project.folder / "a.bench.yaml").read_text(encoding="utf-8")
    (project.folder / "a.bench.yaml").write_text(text.replace("matrix: {", "matrix: {tensor_parallel: 4, "), encoding="utf-8")
    said = project.pytest("a.bench.yaml", "-rs")
    assert "2 skipped" in said
    assert "needs 4 x l40s; declared: cpu" in said
