"""Sessions whose load somebody else's program sends, in a container of a real engine, and what they leave behind: nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("docker", reason="the Docker SDK is not installed: pip install 'pytest-inferbench[docker]'")

import docker

from pytest_inferbench.engines.models import gguf_file
from pytest_inferbench.errors import EngineError
from tests.integration import docker_image
from tests.integration.test_docker_sessions import LIMIT_S, everything, started, until
from tests.sessions import INI, own_server

# Sends four requests one after the other, and writes what `vllm bench serve --save-result` would.
PROGRAM = """\
import json, sys, time, urllib.request

url, model, folder, end = sys.argv[1:]
print("loading", url, flush=True)
if end == "fails":
    sys.exit("no tokenizer here")
if end == "hangs":
    time.sleep(3600)
body = json.dumps({"model": model, "prompt": "one two three", "max_tokens": 4}).encode()
began, input_tokens, output_tokens, latencies = time.monotonic(), 0, 0, []
for _ in range(4):
    sent = time.monotonic()
    request = urllib.request.Request(url + "/v1/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        usage = json.load(answer)["usage"]
    latencies.append(1e3 * (time.monotonic() - sent))
    input_tokens += usage["prompt_tokens"]
    output_tokens += usage["completion_tokens"]
duration = time.monotonic() - began
result = {
    "date": "20261101-101500", "backend": "openai", "endpoint_type": "openai", "label": None, "model_id": model,
    "tokenizer_id": model, "num_prompts": 4, "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 1,
    "duration": duration, "completed": 4, "failed": 0, "total_input_tokens": input_tokens, "total_output_tokens": output_tokens,
    "request_throughput": 4 / duration, "output_throughput": output_tokens / duration,
    "total_token_throughput": (input_tokens + output_tokens) / duration,
    "mean_ttft_ms": min(latencies), "median_ttft_ms": min(latencies), "p99_ttft_ms": max(latencies),
    "mean_tpot_ms": 1.0, "median_tpot_ms": 1.0, "p99_tpot_ms": 1.0,
}
if end == "ends":
    open(folder + "/result.json", "w").write(json.dumps(result))
"""

# Servers that are there at once, for tools that get nowhere.
LOOPBACK = yaml.safe_load(own_server())


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    try:
        with docker_image.client() as one:
            yield one
    except docker_image.NoEngine as reason:
        pytest.skip(f"{reason}; start one with .ci/docker-engine")


@pytest.fixture
def servers(client: docker.DockerClient) -> dict[str, Any]:
    """The field ``engine`` of suites whose llama.cpp is a process, and runs in a container."""
    try:
        image, gguf = docker_image.full_image(client), gguf_file("smollm2-135m").path
    except (metadata.PackageNotFoundError, EngineError) as reason:
        pytest.skip(f"llama.cpp or its model is not here: {reason}")
    words = f"{docker_image.PYTHON} -m {docker_image.MODULE} --model=/model.gguf --alias=smollm2-135m --ctx=1024 --parallel=2"
    words += " --port={port} --set=hostnames={host}"
    volumes = [*mounted(*docker_image.sources()), f"{gguf}:/model.gguf:ro"]
    contained = {
        "name": "command",
        "image": image,
        "args": {"command": words, "served_name": "smollm2-135m"},
        "volumes": volumes,
    }
    return {"process": "llamacpp", "contained": contained}


def mounted(*volumes: Any) -> list[str]:
    return [f"{each.source}:{each.target}:ro" for each in volumes]


def write(folder: Path, name: str, *, engine: Any, end: str, client: docker.DockerClient) -> None:
    """A suite of one case whose load is the program above, with that end."""
    program = folder / "load.py"
    program.write_text(PROGRAM, encoding="utf-8")
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    tool = {
        "name": "four-requests",
        "image": docker_image.bare_image(client),
        "results": "/results",
        "args": [docker_image.PYTHON, "/load.py", "{url}", "{model}", "/results", end],
        "volumes": [*mounted(*docker_image.host_system()), f"{program}:/load.py:ro"],
    }
    suite = {
        "suite": name,
        "hardware": "cpu",
        "engine": engine,
        "matrix": {"model": "smollm2-135m", "traffic": "D(16,4)", "concurrency": 1},
        "tool": tool,
        "slo": ["output_throughput >= 0.001", "error_rate <= 0"],
    }
    (folder / f"{name}.bench.json").write_text(json.dumps(suite), encoding="utf-8")


def summaries(folder: Path) -> dict[str, Any]:
    """What was written of each case, by its suite."""
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("reports/runs/*/*/summary.json")]
    return {Path(one["case"]["origin"]["file"]).name.partition(".")[0]: one for one in found}


def test_a_tool_loads_a_process_and_a_container_and_is_judged_by_its_results(
    tmp_path: Path, client: docker.DockerClient, servers: dict[str, Any]
) -> None:
    for name, engine in servers.items():
        write(tmp_path, name, engine=engine, end="ends", client=client)
    before = everything(client)
    session = started(tmp_path, "-n0")
    said, _ = session.communicate(timeout=LIMIT_S)
    assert session.returncode == 0, said
    assert "2 passed" in said
    assert everything(client) == before
    found = summaries(tmp_path)
    assert found.keys() == servers.keys()
    for one in found.values():
        assert (one["imported"]["tool"], one["summary"]["counts"]["completed"]) == ("vllm", 4)
        assert one["verdict"]["outlook"] == "pass"
    assert all("loading http://" in log.read_text("utf-8") for log in tmp_path.glob("reports/runs/*/*/tool.log"))
    assert not list((tmp_path / "state").glob("*-*.json"))


def test_a_tool_that_fails_or_writes_nothing_is_an_error_that_says_so(tmp_path: Path, client: docker.DockerClient) -> None:
    for end in ("fails", "silent"):
        write(tmp_path, end, engine=LOOPBACK, end=end, client=client)
    before = everything(client)
    session = started(tmp_path, "-n0")
    said, _ = session.communicate(timeout=LIMIT_S)
    assert session.returncode == 1, said
    assert "four-requests failed: " in said
    assert "no tokenizer here" in said
    assert "four-requests left no results that can be read in /results, but nothing; its log: " in said
    assert everything(client) == before
    assert not list((tmp_path / "state").glob("*-*.json"))


def test_ctrl_c_takes_the_tool_s_container_along(tmp_path: Path, client: docker.DockerClient) -> None:
    write(tmp_path, "hangs", engine=LOOPBACK, end="hangs", client=client)
    before = everything(client)
    session = started(tmp_path, "-n0")
    try:
        until(lambda: session.poll() is not None or any("loading" in log.read_text("utf-8") for log in logs(tmp_path)))
        assert session.poll() is None, session.communicate()[0]
        assert everything(client) != before
        session.send_signal(signal.SIGINT)
        said, _ = session.communicate(timeout=LIMIT_S)
    finally:
        stopped(session)
    assert session.returncode == 2, said
    assert "Traceback" not in said
    until(lambda: everything(client) == before)
    assert not list((tmp_path / "state").glob("*-*.json"))


def logs(folder: Path) -> list[Path]:
    return list(folder.glob("reports/runs/*/*/tool.log"))


def stopped(session: subprocess.Popen[str]) -> None:
    if session.poll() is None:
        session.kill()
        session.communicate(timeout=LIMIT_S)
