from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from pytest_inferbench.generate_command import generate

BASE = Path(__file__).parent / "cases" / "formats" / "examples" / "benchflow_two.json"


def one_workflow(tmp_path: Path) -> Path:
    data = json.loads(BASE.read_text("utf-8"))
    data["workflows"].pop()
    # Flags in two words cannot be varied by BenchFlow.
    args = data["workflows"][0]["service"]["extra_args"]
    args[2:4] = [f"{args[2]}={args[3]}"]
    path = tmp_path / "base.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def grid(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "grid.json"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def test_a_configuration_of_all_variants_is_written(tmp_path: Path) -> None:
    target = tmp_path / "made" / "all.json"
    paths = {"workflows.service.extra_args.tensor-parallel-size": [1, 2, 4]}
    result = CliRunner().invoke(
        generate, [str(one_workflow(tmp_path)), "--param-grid", str(grid(tmp_path, paths)), "--output-file", str(target)]
    )
    assert (result.exit_code, result.output) == (0, f"{target}: 3 variants; run them with: pytest {target}\n")
    workflows = json.loads(target.read_text("utf-8"))["workflows"]
    assert [one["service"]["num_gpu_devices"] for one in workflows] == [1, 2, 4]


def test_a_mistake_in_the_grid_is_told_with_its_place_and_nothing_is_written(tmp_path: Path) -> None:
    target = tmp_path / "all.json"
    path = grid(tmp_path, {"workflow.service.port": [1]})
    arguments = [str(one_workflow(tmp_path)), "--param-grid", str(path), "--output-file", str(target)]
    result = CliRunner().invoke(generate, arguments)
    assert result.exit_code == 2
    assert f"{path}:2: workflow.service.port: begins with 'workflow' (did you mean 'workflows'?)" in result.output
    assert not target.exists()
    assert CliRunner().invoke(generate, [*arguments, "--lenient"]).exit_code == 0


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    path = grid(tmp_path, {"workflows.service.port": [1]})
    target = tmp_path / "file" / "all.json"
    result = CliRunner().invoke(generate, [str(one_workflow(tmp_path)), "--param-grid", str(path), "--output-file", str(target)])
    assert result.exit_code == 2
    assert "cannot be written" in result.output
