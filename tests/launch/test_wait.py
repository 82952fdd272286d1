import json
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_inferbench.errors import EngineNotReady
from pytest_inferbench.launch import wait
from pytest_inferbench.launch.answer import Answer, NoAnswer
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access
from pytest_inferbench.launch.wait import Clock, Target, first_token_trouble, until_ready

TARGET = Target(engine="vllm", url="http://h:1", model="m", timeout_s=60, extra_body={"cache_prompt": False})
CHAT = "http://h:1/v1/chat/completions"
TEXT = "http://h:1/v1/completions"
UP = Answer(url="http://h:1/health", status=200)
LOADING = Answer(url="http://h:1/health", status=503, body=b'{"error":{"message":"Loading model"}}')
REFUSED = NoAnswer("http://h:1/health could not be reached: refused")
TOKEN = Answer(url=CHAT, status=200, body=json.dumps({"choices": [{}]}).encode())


class Script:
    """A server by script, and a clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answer | NoAnswer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []
        self.time_s = 0.0
        self.said: list[str] = []
        self.deaths: list[str | None] = []
        monkeypatch.setattr(wait, "ask", self.ask)

    def ask(self, url: str, *, timeout_s: float, body: Any = None, key: Any = None, access: Access = PLAIN_ACCESS) -> Answer:
        assert timeout_s > 0
        assert (key, access) == (None, PLAIN_ACCESS)
        self.asked.append((url, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, NoAnswer):
            raise answer
        return answer

    def died(self) -> str | None:
        return self.deaths.pop(0) if self.deaths else None

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 1
        self.time_s += seconds

    def wait(self, target: Target = TARGET, *, deaths: Sequence[str | None] = ()) -> None:
        self.deaths = list(deaths)
        until_ready(target, died=self.died, progress=self.said.append, clock=Clock(now_s=lambda: self.time_s, sleep_s=self.sleep))


def test_a_server_is_ready_after_its_first_token(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, REFUSED, LOADING, UP, TOKEN)
    script.wait()
    url, body = script.asked[-1]
    assert url == CHAT
    assert body == {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}], "cache_prompt": False}
    assert script.said == ["vllm is up after 0.1 s; asking for one token"]


def test_a_long_start_is_reported_every_few_seconds_and_its_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, LOADING)
    with pytest.raises(EngineNotReady) as error:
        script.wait()
    assert str(error.value) == "vllm was not ready within 60 s; http://h:1/health last said: 503 Loading model"
    assert script.time_s == pytest.approx(60)
    assert 8 <= len(script.said) <= 12
    assert script.said[0].endswith("s of at most 60 s (503 Loading model)")
    assert script.said[0].startswith("vllm is starting: ")


def test_a_server_that_never_listened_is_quoted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineNotReady, match=r"last said: http://h:1/health could not be reached: refused"):
        Script(monkeypatch, REFUSED).wait()


def test_a_server_that_ends_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, REFUSED)
    with pytest.raises(EngineNotReady) as error:
        script.wait(deaths=[None, None, "it exited with code 3"])
    assert str(error.value) == "vllm ended before it was ready: it exited with code 3"
    assert script.time_s < 1


def test_a_server_that_ends_during_its_first_request_is_reported_as_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, UP, NoAnswer("broke off"))
    with pytest.raises(EngineNotReady) as error:
        script.wait(deaths=[None, None, None, "it was killed by SIGSEGV (signal 11)"])
    assert str(error.value) == "vllm ended during its first request: it was killed by SIGSEGV (signal 11)"


def test_an_answer_of_somebody_else_after_the_servers_end_does_not_make_it_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineNotReady, match="ended during its first request"):
        Script(monkeypatch, UP, TOKEN).wait(deaths=[None, "it exited with code 1"])


def test_a_wrong_first_answer_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, UP, Answer(url=CHAT, status=200, body=b'{"object": "x"}'))
    with pytest.raises(EngineNotReady) as error:
        script.wait()
    assert str(error.value) == (
        f"vllm is up, but its first request failed: {CHAT} answered JSON that is no completion (it has no choices): "
        '"{"object": "x"}"'
    )
    with pytest.raises(EngineNotReady, match="vllm is up, but its first request failed: it said nothing"):
        Script(monkeypatch, UP, NoAnswer("it said nothing")).wait()


def test_a_model_without_chat_is_asked_to_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, Answer(url=CHAT, status=400, body=b'{"error":{"message":"no chat template"}}'), TOKEN)
    assert first_token_trouble(TARGET, timeout_s=1) is None
    assert script.asked[-1] == (TEXT, {"model": "m", "max_tokens": 1, "prompt": "Hello", "cache_prompt": False})


NO_CHAT = Answer(url=CHAT, status=400, body=b'{"error":{"message":"no chat template"}}')
NOTHING_LIKE_IT = Answer(url=TEXT, status=501, body=b'{"error":{"message":"no completions"}}')


def test_a_model_that_embeds_or_ranks_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = Answer(url=TEXT, status=200, body=b'{"data": [{"embedding": [1.0]}]}')
    script = Script(monkeypatch, NO_CHAT, NOTHING_LIKE_IT, vectors)
    assert first_token_trouble(TARGET, timeout_s=1) is None
    assert script.asked[-1] == (f"{TARGET.url}/v1/embeddings", {"model": "m", "input": "Hello", "cache_prompt": False})
    ranks = Answer(url=TEXT, status=200, body=b'{"results": [{"relevance_score": 1.0}]}')
    script = Script(monkeypatch, NO_CHAT, NOTHING_LIKE_IT, NOTHING_LIKE_IT, ranks)
    assert first_token_trouble(TARGET, timeout_s=1) is None
    assert script.asked[-1][0] == f"{TARGET.url}/v1/rerank"


def test_where_neither_works_the_first_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, Answer(url=CHAT, status=404, body=b'{"error":{"message":"no model m"}}'))
    assert first_token_trouble(TARGET, timeout_s=1) == f'{CHAT} answered 404 Not Found: "no model m"'


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_an_answer_that_is_about_the_client_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    script = Script(monkeypatch, Answer(url=CHAT, status=status))
    assert first_token_trouble(TARGET, timeout_s=1) is not None
    assert len(script.asked) == 1
