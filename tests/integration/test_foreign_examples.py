"""Other systems' files as they are: each is planned, and some run to a verdict on GPUs that are not there and on llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from pytest_inferbench.cases.formats.overrides import parse_overrides
from pytest_inferbench.cases.formats.registry import suites_of
from pytest_inferbench.engines.models import gguf_file
from pytest_inferbench.errors import EngineError
from tests.sessions import Started, pytest_argv

EXAMPLES = Path(__file__).parents[1] / "cases" / "formats" / "examples"
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file())
SHORT = "requests=2,warmup=0,traffic=D(8,8),concurrency=1"


def test_each_is_collected_and_planned(tmp_path: Path) -> None:
    words = ("--inferbench-dry-run", "--inferbench-inventory=8xh100", f"--inferbench-override={SHORT}")
    files = [str(path) for path in FILES]
    with Started(pytest_argv("-p", "no:cacheprovider", f"--rootdir={tmp_path}", *words, *files), tmp_path) as session:
        assert session.end() == 0, session.output
        laid = parse_overrides((SHORT,))
        cases = [case for file in FILES for _, suite in suites_of(file, overrides=laid, gpus=8) for case in suite.cases()]
        assert f" {len(cases)} skipped in " in session.output


def verdicts(tmp_path: Path, *arguments: str) -> dict[str, str]:
    """The verdict of every case that a session measured."""
    words = ("-p", "no:cacheprovider", f"--rootdir={tmp_path}", "--inferbench-no-calibration", *arguments)
    with Started(pytest_argv(*words), tmp_path) as session:
        session.end()
        assert "Traceback" not in session.output
        found = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("reports/runs/*/*/summary.json")]
        assert found, session.output
    return {one["case"]["id"]: one["verdict"]["outlook"] for one in found}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "laid"),
    # The names of some models are made up.
    [("nm_vllm.json", f"{SHORT},model=llama-3.1-8b"), ("gie/family.pbtxt", SHORT), ("benchflow_two.json", SHORT)],
)
def test_they_come_to_a_verdict_on_simulated_gpus(tmp_path: Path, name: str, laid: str) -> None:
    found = verdicts(tmp_path, "--inferbench-simulate", f"--inferbench-override={laid}", str(EXAMPLES / name))
    assert all(case.endswith("-simulated") for case in found)
    assert set(found.values()) <= {"pass", "fail", "inconclusive", "invalid"}
    assert "pass" in found.values() or "invalid" in found.values()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dynamo/object.yaml", "commands/inferx.sh", "gie/family.pbtxt"])
def test_they_come_to_a_verdict_with_llama_cpp_in_their_engine_s_place(tmp_path: Path, name: str) -> None:
    try:
        gguf_file("smollm2-135m")
    except EngineError as reason:
        pytest.skip(f"llama.cpp's model is not here: {reason}")
    laid = f"--inferbench-override=engine=llamacpp,model=smollm2-135m,{SHORT}"
    found = verdicts(tmp_path, laid, str(EXAMPLES / name))
    assert set(found.values()) <= {"pass", "invalid", "inconclusive"}
