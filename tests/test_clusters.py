from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Cluster, Simulation
from pytest_inferbench.clusters import FOLDER, needed, snapshot
from pytest_inferbench.errors import ConfigError, RecordError
from tests.records.example import CASE

SETTINGS: dict[str, Any] = {
    "name": "r8-service",
    "model_server": {
        "image": "vllm/vllm-openai:v0.8.5",
        "accelerator": "nvidia-h100-80gb",
        "replicas": 8,
        "vllm": {"tensor_parallelism": "1", "model": "meta-llama/Llama-2-7b-hf", "max_loras": "3", "v1": "1"},
    },
    "load_balancer": {"k8s_service": {}},
    "benchmark_tool": {
        "image": "lpg:1",
        "lpg": {
            "dataset": "sharegpt_v3_unfiltered_cleaned_split",
            "models": "meta-llama/Llama-2-7b-hf",
            "port": "8081",
            "request_rates": "80.0,160.0",
            "benchmark_time_seconds": "60",
            "output_length": "1024",
            "tokenizer": "meta-llama/Llama-2-7b-hf",
        },
    },
}
CLUSTER = Cluster(kind="gateway-api", settings=json.dumps(SETTINGS))


def test_a_case_needs_its_cluster_unless_it_is_simulated_or_a_gateway_is_there() -> None:
    case = replace(CASE, cluster=CLUSTER)
    assert needed(case, endpoint=None) is CLUSTER
    assert needed(case, endpoint="http://gateway") is None
    assert needed(replace(case, simulation=Simulation()), endpoint=None) is None
    assert needed(CASE, endpoint=None) is None


def test_manifests_are_written_down_and_what_they_need_is_said(tmp_path: Path) -> None:
    said = snapshot(CLUSTER, place=tmp_path / FOLDER, run_id="run1")
    assert said.startswith("It needs a Kubernetes cluster with 8 GPUs")
    assert said.endswith("then name its gateway: --inferbench-endpoint URL")
    names = sorted(path.name for path in (tmp_path / FOLDER).iterdir())
    assert names == ["BenchmarkTool.yaml", "LoadBalancer.yaml", "ModelServer.yaml"]
    assert all(name in said for name in names)
    assert "replicas: 8" in (tmp_path / FOLDER / "ModelServer.yaml").read_text()


def test_manifests_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    kept = tmp_path / FOLDER / "ModelServer.yaml"
    kept.write_text("as it was applied")
    snapshot(CLUSTER, place=tmp_path / FOLDER, run_id="run1")
    assert kept.read_text() == "as it was applied"


def test_a_kind_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mesh'; known: gateway-api"):
        snapshot(Cluster(kind="mesh", settings="{}"), place=tmp_path / FOLDER, run_id="run1")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(RecordError, match="the manifests could not be written"):
        snapshot(CLUSTER, place=tmp_path / FOLDER, run_id="run1")
