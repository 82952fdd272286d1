from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_inferbench.engines.engine import HttpStep
from pytest_inferbench.errors import EngineDied, EngineNotReady
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.fake import FakeServer, fake_endpoint
from pytest_inferbench.launch.hygiene import clean, illness, reset_cache
from pytest_inferbench.launch.port import free_port
from pytest_inferbench.launch.wait import Clock
from tests.launch.conftest import ScriptedServer

RESET = HttpStep(method="POST", path="/reset_prefix_cache")


def answer(status: str, body: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


class FastClock:
    """Time that passes while somebody sleeps; ``on_sleep`` is told."""

    def __init__(self, on_sleep: Callable[[], None] = lambda: None) -> None:
        self.now_s = 0.0
        self._on_sleep = on_sleep

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self._on_sleep()

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.now_s, sleep_s=self.sleep)


def nobody() -> Endpoint:
    return fake_endpoint(url=f"http://127.0.0.1:{free_port()}")


def endpoint(server: ScriptedServer, **fields: Any) -> Endpoint:
    return replace(fake_endpoint(url=server.url), health_url=f"{server.url}/health", **fields)


def test_a_server_that_is_well_forgets_and_is_ready(scripted: Any) -> None:
    server = scripted({"/health": answer("200 OK"), "/reset_prefix_cache": answer("200 OK")})
    assert clean(FakeServer(endpoint(server, cache_reset=RESET))) == ()
    assert server.paths() == ["/health", "/reset_prefix_cache"]
    assert server.sent("/reset_prefix_cache") == {}


def test_a_server_that_has_neither_health_nor_cache_is_asked_nothing() -> None:
    assert clean(FakeServer(fake_endpoint())) == ()


def test_a_server_that_ended_is_said_so() -> None:
    with pytest.raises(EngineDied, match="it exited with code 1"):
        clean(FakeServer(deaths=["it exited with code 1"]))


def test_a_server_may_take_a_moment_to_be_well_again(scripted: Any) -> None:
    server = scripted({"/health": answer("503 Service Unavailable")})
    fast = FastClock(lambda: server.script.update({"/health": answer("200 OK")}))
    assert illness(endpoint(server), clock=fast.clock()) is None
    assert server.paths() == ["/health", "/health"]


def test_a_server_that_is_not_well_is_an_error_with_its_words_and_log(scripted: Any) -> None:
    server = scripted({"/health": answer("500 Internal Server Error", "engine is dead")})
    ill = FakeServer(endpoint(server), log="CUDA error")
    said = "fake was well before and is not after 15 s; it last said: 500 engine is dead; the last lines of its log:\nCUDA error"
    with pytest.raises(EngineNotReady) as caught:
        clean(ill, clock=FastClock().clock())
    assert str(caught.value) == said


def test_a_server_that_does_not_answer_is_not_well() -> None:
    ill = illness(replace(nobody(), health_url=f"{nobody().url}/health"), clock=FastClock().clock())
    assert ill is not None
    assert "it last said: " in ill
    assert "could not be reached" in ill


def test_a_cache_is_reset_as_soon_as_the_server_has_put_its_requests_away(scripted: Any) -> None:
    server = scripted({"/flush_cache": answer("400 Bad Request", "pending requests")})
    fast = FastClock(lambda: server.script.update({"/flush_cache": answer("200 OK")}))
    step = HttpStep(method="GET", path="/flush_cache")
    assert reset_cache(endpoint(server, cache_reset=step), clock=fast.clock()) is None
    assert server.paths() == ["/flush_cache", "/flush_cache"]


def test_a_server_that_says_no_with_a_200_has_not_reset_its_cache(scripted: Any) -> None:
    server = scripted({"/health": answer("200 OK"), "/reset_prefix_cache": answer("200 OK", '{"success": false}')})
    (trouble,) = clean(FakeServer(endpoint(server, cache_reset=RESET)), clock=FastClock().clock())
    assert trouble.endswith('/reset_prefix_cache answered 200 {"success": false}')
    assert server.paths().count("/reset_prefix_cache") > 1


@pytest.mark.parametrize("status", ["404 Not Found", "503 Service Unavailable"])
def test_a_cache_that_cannot_be_reset_is_a_sentence(scripted: Any, status: str) -> None:
    server = scripted({"/health": answer("200 OK"), "/reset_prefix_cache": answer(status, "sorry")})
    (trouble,) = clean(FakeServer(endpoint(server, cache_reset=RESET)), clock=FastClock().clock())
    assert trouble == (
        "the prompt cache of fake was not reset, so it may still know prompts of earlier cases: "
        f"POST {server.url}/reset_prefix_cache answered {status[:3]} sorry"
    )


def test_a_reset_that_gets_no_answer_is_a_sentence() -> None:
    trouble = reset_cache(replace(nobody(), cache_reset=RESET))
    assert trouble is not None
    assert trouble.startswith("the prompt cache of fake was not reset")
    assert "could not be reached" in trouble


def test_the_steps_own_body_and_the_key_go_along(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "s3cret-key")
    server = scripted({"/reset": answer("200 OK")})
    step = HttpStep(method="POST", path="/reset", body={"all": True})
    assert reset_cache(endpoint(server, cache_reset=step, api_key_env="SERVER_KEY")) is None
    assert server.sent("/reset") == {"all": True}
    assert server.requests[0][1]["authorization"] == "Bearer s3cret-key"
