from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from pytest_inferbench.cases.formats import registry
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.manifests import manifests_command, on_clusters, write_manifests

FAMILY = Path(__file__).parent / "cases" / "formats" / "examples" / "gie" / "family.pbtxt"


@pytest.fixture(autouse=True)
def _with_gie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", ("gie",))


def run(output: Path, *more: str, file: Path = FAMILY) -> Result:
    return CliRunner().invoke(manifests_command, [str(file), "--output", str(output), "--run-id", "r1", *more])


def test_each_benchmark_on_a_cluster_gets_a_folder_of_manifests(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "r1").iterdir()) == ["envoy-r1", "four-h100-r1", "gke-r1", "least-request-r1"]
    for path in (tmp_path / "r1").rglob("*.yaml"):
        assert list(yaml.safe_load_all(path.read_text()))
    assert "four-h100: " in result.output
    assert "It needs a Kubernetes cluster with 4 GPUs" in result.output


def test_a_pattern_chooses_by_name(tmp_path: Path) -> None:
    assert run(tmp_path, "--name-regex", "^g.*e$").exit_code == 0
    assert [path.name for path in (tmp_path / "r1").iterdir()] == ["gke-r1"]


def test_writing_again_changes_nothing_and_another_content_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == run(tmp_path).exit_code == 0
    changed = tmp_path / "r1" / "gke-r1" / "manifests" / "ModelServer.yaml"
    changed.write_text("mine\n")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert f"{changed}: is there with another content; give another --run-id, or remove it" in result.output
    assert changed.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--name-regex", "nobody"), "there is nothing to write for a cluster: 'nobody' is found in the name of none of them"),
        (("--name-regex", "one-l4"), "there is nothing to write for a cluster: none of its benchmarks needs one"),
        (("--name-regex", "("), "--name-regex: is no regular expression"),
        (("--run-id", "A_b"), "'A_b' cannot stand in the name of a namespace"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, more: tuple[str, ...], problem: str) -> None:
    result = run(tmp_path, *more)
    assert result.exit_code == 1
    assert problem in result.output
    assert not list(tmp_path.iterdir())


def test_strict_and_lenient_reading_are_the_files(tmp_path: Path) -> None:
    heir = '\nbenchmarks { name: "heir" base_benchmark_name: "gke" config { model_server { replicas: 0 } } }\n'
    file = tmp_path / "file.pbtxt"
    file.write_text(FAMILY.read_text() + heir)
    output = tmp_path / "out"
    assert "does not take back the base's 2" in run(output, file=file).output
    assert run(output, "--lenient", file=file).exit_code == 0
    assert (output / "r1" / "heir-r1").is_dir()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "r1").write_text("a file")
    assert "cannot be written: " in run(tmp_path).output


def test_a_case_that_needs_no_cluster_has_no_manifests(tmp_path: Path) -> None:
    (_, suite), *_ = registry.suites_of(FAMILY)
    with pytest.raises(ConfigError, match="needs no cluster"):
        write_manifests(suite.cases()[0], tmp_path, run_id="r1")


def test_all_cases_of_a_benchmark_share_its_manifests() -> None:
    names = [name for name, _ in on_clusters(FAMILY, name_regex="", lenient=False)]
    assert names == ["four-h100", "gke", "envoy", "least-request"]
