"""The two command lines of InferX's README, with ``inferbench run`` in place of its script."""

from __future__ import annotations

import csv
import json
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_inferbench.devices import inventory
from pytest_inferbench.records.export.inferx import COLUMNS
from tests import dialects
from tests.sessions import Started, inferbench_argv

BODY = '{"model":"TinyLlama/TinyLlama-1.1B-Chat-v1.0","prompt":"{prompt}","max_tokens":128}'
FIRST = (
    "--endpoint {url}/v1/generate --duration 1 --rate 20 --concurrency 8 --prompt-dist uniform --min-tokens 8 --max-tokens 128"
    " --outdir ./results/run1 --gpu-monitor"
)
SECOND = (
    "--endpoint {url}/v1/completions --duration 1 --rate 50 --concurrency 16"
    f" --request-body-template '{BODY}' --outdir ./results/run2 --gpu-monitor"
)


class Model(BaseHTTPRequestHandler):
    """A server of completions under any path; whole where nobody asks for a stream."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    paths: tuple[str, ...] = ()

    def do_GET(self) -> None:
        self._answer(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode(), "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).paths += (self.path,)
        if body.get("stream"):
            self._answer(b"".join(dialects.vllm_completions(["a", " b"])), "text/event-stream")
            return
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        self._answer(json.dumps({"choices": [{"index": 0, "text": "a b"}], "usage": usage}).encode(), "application/json")

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at what came."""

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("line", "folder", "path"), [(FIRST, "run1", "/v1/generate"), (SECOND, "run2", "/v1/completions")])
def test_its_command_lines_run_and_leave_its_files(tmp_path: Path, url: str, line: str, folder: str, path: str) -> None:
    Model.paths = ()
    words = shlex.split(line.replace("{url}", url))
    with Started(inferbench_argv("run", *words, "--slo", "error_rate<=0"), tmp_path) as command:
        code = command.end()
        text = command.output
    # On a machine that is busy its figures may prove nothing, and the files are there all the same.
    assert code in (0, 3), text
    out = tmp_path / "results" / folder
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0])[: len(COLUMNS)] == COLUMNS
    assert rows
    assert {row["status"] for row in rows} == {"200"}
    # Besides, it is asked once whether it answers at all, in the usual place.
    assert Model.paths.count(path) >= len(rows)
    assert (out / "throughput_latency.png").is_file()
    assert json.loads((out / "summary.json").read_text("utf-8"))["case"]["load"]["max_in_flight"] in (8, 16)
    if not inventory.detected().gpus:
        assert "--gpu-monitor: no GPU is seen on this machine, so there is no gpu_memory.csv" in text
    with Started(inferbench_argv("import", str(out / "metrics.csv"), "-o", "old"), tmp_path) as command:
        assert command.end() == 0, command.output
