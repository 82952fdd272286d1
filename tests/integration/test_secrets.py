"""A key goes to the server and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dialects import head, streamed, vllm_chat
from tests.scripted import Answer, Scripted
from tests.sessions import INI, Started, files_of, inferbench_argv, pytest_argv, suite

KEY = "abc-verysecret-0123456789-key"
MODELS = b'{"object":"list","data":[{"id":"loopback","object":"model"}]}'
BODY = b'{"choices":[{"index":0,"message":{"role":"assistant","content":" word"},"finish_reason":"length"}]}'


def json_answer(body: bytes) -> Answer:
    return Answer(head=head(200, f"Content-Length: {len(body)}", content_type="application/json") + body)


def refusal() -> Answer:
    """A server that repeats the key in its words, as some do."""
    body = f'{{"error": {{"message": "the key {KEY} is not good enough"}}}}'.encode()
    return Answer(head=head(403, f"Content-Length: {len(body)}", content_type="application/json") + body)


def server(last: Answer) -> Scripted:
    """A server that gives its list of models, no version, one token, and then that answer again and again."""
    nothing = Answer(head=head(404, "Content-Length: 0"))
    return Scripted([json_answer(MODELS), nothing, json_answer(BODY), last], repeat=True)


def assert_nowhere(folder: Path, output: str) -> None:
    assert KEY not in output
    for path in files_of(folder):
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(("last", "mode"), [("good", ("-p", "no:xdist")), ("refused", ("-n2",))], ids=["good", "refused-n2"])
def test_a_key_is_sent_and_written_nowhere_by_pytest(tmp_path: Path, last: str, mode: tuple[str, ...]) -> None:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "a.bench.yaml").write_text(suite("a", concurrency="1", load="{requests: 3}"), encoding="utf-8")
    outputs = ("--junitxml=junit.xml", "--html=mine.html", "-vv", "-rA", "--showlocals")
    with server(streamed(vllm_chat([" a", " b"]), pause_s=0.02) if last == "good" else refusal()) as running:
        argv = pytest_argv(f"--inferbench-endpoint={running.url}", "--inferbench-api-key-env=MY_KEY", *outputs, *mode)
        with Started(argv, tmp_path, MY_KEY=KEY) as session:
            assert session.end() == (0 if last == "good" else 1), session.output
            text = session.output
        assert_all_carry_the_key(running)
    assert "is not good enough" in text or last == "good"
    assert (tmp_path / "junit.xml").exists()
    assert (tmp_path / "mine.html").exists()
    assert_nowhere(tmp_path, text)


@pytest.mark.parametrize("last", ["good", "refused"])
def test_a_key_is_sent_and_written_nowhere_by_a_single_run(tmp_path: Path, last: str) -> None:
    with server(streamed(vllm_chat([" a", " b"]), pause_s=0.02) if last == "good" else refusal()) as running:
        flags = ("--requests=3", "--traffic=D(8,2)", "--output=out", "--api-key-env=MY_KEY")
        with Started(inferbench_argv("run", f"--endpoint={running.url}", *flags), tmp_path, MY_KEY=KEY) as command:
            assert command.end() == (0 if last == "good" else 1), command.output
            text = command.output
        assert_all_carry_the_key(running)
    assert "again" not in text or "--api-key-env=MY_KEY" in text
    assert_nowhere(tmp_path, text)


def assert_all_carry_the_key(running: Any) -> None:
    assert len(running.requests) >= 6
    assert {request.headers.get("authorization") for request in running.requests} == {f"Bearer {KEY}"}
