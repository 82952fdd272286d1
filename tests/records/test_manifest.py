"""The manifest: whole before the load, never changed, without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import RecordError
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.records.environment import Environment, GitState
from pytest_inferbench.records.manifest import Manifest, manifest_json, write_manifest
from tests.records.example import CASE, PLANNED, RUN_ID, SECRET, SERVED, secretive_record

MANIFEST = Manifest(
    run_id=RUN_ID,
    node_id="suites/a.py::test[x]",
    case=CASE,
    simulated=False,
    served=SERVED,
    planned=PLANNED,
    environment=Environment(
        python="CPython 3.11.7",
        platform="Linux",
        kernel="6.1",
        cpu_model=None,
        cores=2,
        cores_usable=2,
        memory_bytes=2**33,
        packages={"numpy": "2.0"},
        git=GitState(commit="c" * 40, branch="main", dirty=True),
    ),
    client_version="0.1.0",
    started_at="2026-11-22T07:45:01+00:00",
    extra_body={"cache_prompt": False},
)


def written(tmp_path: Path, manifest: Manifest) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(write_manifest(tmp_path, manifest).read_text())
    return value


def test_a_manifest_says_all_that_the_load_depends_on(tmp_path: Path) -> None:
    value = written(tmp_path, MANIFEST)
    assert value["case"]["traffic"]["input_tokens"] == {"kind": "fixed", "first": 128, "second": 0, "choices": []}
    assert value["case"]["limits"]["first_token_s"] == 300.0
    assert value["axes"]["concurrency"] == 4
    assert value["planned"] == {"seed": 1, "salt": 2, "sha256": "ab" * 32, "requests": 3, "tokenizer": "gguf"}
    assert value["served"]["command"] == ["llama-server", "--port", "8090"]
    assert value["environment"]["git"] == {"commit": "c" * 40, "branch": "main", "dirty": True}
    assert value["extra_body"] == {"cache_prompt": False}
    assert {name: each["unit"] for name, each in value["metrics"].items()} == {name: each.unit for name, each in METRICS.items()}


def test_a_manifest_is_written_once(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    with pytest.raises(RecordError, match=r"manifest\.json is there already and is never written twice"):
        write_manifest(tmp_path, replace(MANIFEST, simulated=True))
    assert json.loads((tmp_path / "manifest.json").read_text())["simulated"] is False


def test_an_endless_rate_is_valid_json(tmp_path: Path) -> None:
    case = replace(CASE, load=Load(rate_per_s=inf, arrival="poisson"))
    value = written(tmp_path, replace(MANIFEST, case=case))
    assert value["case"]["load"]["rate_per_s"] == value["axes"]["rate"] == "Infinity"


def test_no_secret_is_in_a_manifest() -> None:
    record = secretive_record()
    assert record.served is not None
    extra = {"auth": {"api_key": SECRET}, "headers": [f"Authorization: Bearer {SECRET}"], "max_tokens": 5}
    manifest = replace(MANIFEST, case=record.case, served=record.served, extra_body=extra)
    assert SECRET not in json.dumps(manifest_json(manifest))
