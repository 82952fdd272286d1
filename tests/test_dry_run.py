"""A dry run writes down what would be run, starts nothing, and says what it does not know."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import dry_run
from pytest_inferbench.cases.case import Case, Load
from pytest_inferbench.dry_run import DryCase, Setting, describe, gpu_hours, summary_lines
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineError, RecordError
from pytest_inferbench.launch.pool import Attachment
from pytest_inferbench.load.plan import make_plan
from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from pytest_inferbench.records.environment import describe_environment
from tests.launch.test_process import spec
from tests.load.cases import case_of

CASE = case_of(requests=3)
SEEDS = Seeds(seed=1, salt=1)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(run_id="run-1", seeds=SEEDS, environment=describe_environment(tmp_path))


@pytest.fixture
def wanted(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> list[ServerSpec | EngineError]:
    """What the engine of every case asks for; starting anything is an error."""
    wanted: list[ServerSpec | EngineError] = [spec()]

    class Recipes:
        name = "tiny"

        def server(self, _case: Case) -> ServerSpec:
            if isinstance(wanted[0], EngineError):
                raise wanted[0]
            return wanted[0]

    monkeypatch.setattr(registry, "engine", lambda _name: Recipes())
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a dry run starts nothing"))
    return wanted


def described(case: Case, folder: Path, setting: Setting) -> tuple[DryCase, dict[str, Any]]:
    dry = describe(case, node_id="a.bench.yaml::x", folder=folder, setting=setting)
    value: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return dry, value


def test_the_manifest_is_marked_and_has_the_plan_that_would_be_sent(wanted: list[Any], tmp_path: Path, setting: Setting) -> None:
    dry, manifest = described(CASE, tmp_path, setting)
    recipe = Recipe(case=CASE, model="m", extra_body={"cache_prompt": False}, seeds=SEEDS, counter=EstimatedCounter())
    plan = make_plan(recipe)
    plan.close()
    assert dry.planned is not None
    assert dry.planned.sha256 == plan.sha256
    assert manifest["dry_run"] is True
    assert manifest["planned"]["requests"] == 3
    assert manifest["planned"]["sha256"] == plan.sha256
    assert manifest["server"]["command"][-2:] == ["{port}", "nothing"]
    assert (manifest["trouble"], manifest["unknown"]) == (None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    with pytest.raises(RecordError):
        describe(CASE, node_id="x", folder=tmp_path, setting=setting)


def test_secrets_are_references_or_hidden(
    wanted: list[Any], tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "correct-horse-battery")
    env = (("HF_TOKEN", "${HF_TOKEN}"), ("API_KEY", "correct-horse"))
    for launcher in ("process", "docker"):
        wanted[0] = spec(argv=("serve", "--port", "{port}", "--api-key", "correct-horse"), env=env, launcher=launcher, image="i")
        folder = tmp_path / launcher
        folder.mkdir()
        described(CASE, folder, setting)
        text = (folder / "manifest.json").read_text(encoding="utf-8")
        assert "correct-horse" not in text
        assert "${HF_TOKEN}" in text


def test_a_container_is_described_by_what_it_would_be_created_from(wanted: list[Any], tmp_path: Path, setting: Setting) -> None:
    wanted[0] = spec(launcher="docker", image="vllm/vllm-openai:v1", argv=("--port", "{port}"), gpus=2)
    case = replace(CASE, hardware="h100", tensor_parallel=2)
    dry, manifest = described(case, tmp_path, setting)
    assert manifest["server"]["launcher"] == "docker"
    assert manifest["server"]["command"][:2] == ["docker", "run"]
    create = manifest["server"]["create"]
    assert create["Image"] == "vllm/vllm-openai:v1"
    assert create["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["<leased GPU 0>", "<leased GPU 1>"]
    assert dry.gpus == 2
    assert manifest["estimate"]["gpu_hours"] == pytest.approx(2 * (dry.startup_s + dry.case_s) / 3600)


def test_what_cannot_be_run_here_is_said_and_still_estimated(wanted: list[Any], tmp_path: Path, setting: Setting) -> None:
    wanted[0] = EngineError("the model is not on this machine")
    dry, manifest = described(CASE, tmp_path, setting)
    assert (dry.trouble, dry.planned) == ("the model is not on this machine", None)
    assert manifest["planned"]["sha256"] == ""
    assert dry.case_s > 0


def test_a_rate_that_a_sweep_finds_is_not_made_up(wanted: list[Any], tmp_path: Path, setting: Setting) -> None:
    case = replace(CASE, load=Load(arrival="poisson", sweep_place=1, sweep_of=3, requests=3))
    dry, _ = described(case, tmp_path, setting)
    assert dry.planned is None
    assert dry.unknown == "its rate comes from the two ends of its sweep, when they are measured"


def test_a_server_that_is_there_already_is_not_asked(tmp_path: Path, setting: Setting) -> None:
    attached = replace(setting, attachment=Attachment(url="http://user:pw@h:1", model="m"))
    dry, manifest = described(CASE, tmp_path, attached)
    assert dry.startup_s == 0
    assert manifest["server"] == {"launcher": "attached"}
    assert manifest["served"]["url"] == "http://REDACTED@h:1"
    assert dry.planned is not None


def dry(case_id: str, *, gpus: int, startup_s: float, case_s: float, model: str = "m", **more: Any) -> DryCase:
    case = replace(CASE, id=case_id, hardware="h100" if gpus else "cpu", tensor_parallel=gpus or 1, model=model)
    return DryCase(case=case, server={}, planned=None, startup_s=startup_s, case_s=case_s, gpus=gpus, **more)


def test_a_server_that_several_cases_share_is_started_and_paid_for_once() -> None:
    cases = [dry("a", gpus=8, startup_s=100, case_s=50), dry("b", gpus=8, startup_s=100, case_s=30)]
    assert isclose(gpu_hours(cases), 8 * (100 + 50 + 30) / 3600)
    other = dry("c", gpus=1, startup_s=60, case_s=12, model="n")
    assert isclose(gpu_hours([*cases, other]), (8 * 180 + 72) / 3600)
    assert gpu_hours([dry("d", gpus=0, startup_s=100, case_s=50)]) == 0


def test_the_table_says_what_each_costs_and_all_together() -> None:
    cases = [
        dry("case-a", gpus=8, startup_s=100, case_s=50),
        dry("b", gpus=0, startup_s=10, case_s=0.2, trouble="no such model", unknown="its rate"),
    ]
    a, b = (each.case.server_key for each in cases)
    assert summary_lines(cases) == [
        "case    server        GPUs      requests  about",
        f"case-a  {a}  8 x h100  ?         50s",
        f"b       {b}  -         ?         1s",
        "b: no such model",
        "b: its rate",
        "2 cases, 2 servers: about 2m40s one after the other, 0.33 GPU-hours; an estimate. Nothing was started.",
    ]
    assert summary_lines([]) == ["nothing would be run"]
    assert dry_run.summary_lines(cases[:1])[-1].startswith("1 case, 1 server: about 2m30s")
