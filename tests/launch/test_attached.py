import socket
from typing import Any

import pytest

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError, EngineError
from pytest_inferbench.launch import attached
from pytest_inferbench.launch.attached import Wanted, attach, base_url
from pytest_inferbench.launch.headers import Access, filled_headers
from pytest_inferbench.launch.port import free_port

HEADERS = b"Connection: close\r\n\r\n"


def http(body: bytes, *, status: int = 200, headers: bytes = b"Content-Type: application/json\r\n") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s%s%s" % (status, len(body), headers, HEADERS, body)


MODELS = http(b'{"data": [{"id": "m", "owned_by": "somebody"}]}')
TOKEN = http(b'{"choices": [{"message": {"content": "Hi"}}]}')
CHAT = "/v1/chat/completions"
GOOD = {"/v1/models": MODELS, CHAT: TOKEN}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERBENCH_API_KEY", raising=False)


def failure(server: Any, **more: Any) -> str:
    with pytest.raises(EngineError) as error:
        attach(server.url, **more)
    return str(error.value).replace(server.url, "URL")


def test_the_one_model_there_is_used_and_makes_a_token(scripted: Any) -> None:
    server = scripted(GOOD | {"/version": http(b'{"version": "0.32.0"}')})
    at = attach(server.url).endpoint
    assert (at.url, at.model, at.engine, at.engine_version) == (server.url, "m", "openai", "0.32.0")
    assert at.tokenizer == TokenizerRef(kind="none")
    assert (at.command, at.api_key_env, at.pid, at.log_path) == ((), None, None, None)
    assert server.sent(CHAT) == {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}


def test_llamacpp_is_recognised_and_told_not_to_use_its_prompt_cache(scripted: Any) -> None:
    models = http(b'{"data": [{"id": "m", "owned_by": "llamacpp"}]}')
    server = scripted({"/v1/models": models, CHAT: TOKEN, "/props": http(b'{"build_info": "b1234"}')})
    at = attach(server.url).endpoint
    assert (at.engine, at.engine_version, at.extra_body) == ("llamacpp", "b1234", {"cache_prompt": False, "ignore_eos": True})
    assert at.cache_body == {"cache_prompt": True}
    assert server.sent(CHAT)["cache_prompt"] is False


@pytest.mark.parametrize(("status", "known"), [(200, True), (404, False), (503, False)])
def test_where_it_says_that_it_is_well_it_is_asked_there_again(scripted: Any, status: int, known: bool) -> None:
    server = scripted(GOOD | {"/health": http(b"", status=status)})
    assert attach(server.url).endpoint.health_url == (f"{server.url}/health" if known else None)


def test_one_that_breaks_off_about_its_health_is_used(scripted: Any) -> None:
    server = scripted(GOOD | {"/health": b""})
    assert attach(server.url).endpoint.health_url is None


def test_vllm_is_recognised(scripted: Any) -> None:
    models = http(b'{"data": [{"id": "m", "owned_by": "vllm"}]}')
    at = attach(scripted({"/v1/models": models, CHAT: TOKEN, "/version": http(b'{"version": "0.32.0"}')}).url).endpoint
    assert (at.engine, at.engine_version, at.simulated) == ("vllm", "0.32.0", False)


def test_a_simulated_server_is_recognised_and_never_taken_for_a_real_one(scripted: Any) -> None:
    models = http(b'{"data": [{"id": "m", "owned_by": "inferbench-simulator/vllm"}]}')
    version = http(b'{"version": "inferbench-simulator 0.1.0, simulating vllm"}')
    at = attach(scripted({"/v1/models": models, CHAT: TOKEN, "/version": version}).url).endpoint
    assert (at.engine, at.simulated) == ("vllm", True)


def test_the_key_of_the_environment_goes_along(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERBENCH_API_KEY", "correct-horse")
    monkeypatch.setenv("MY_KEY", "battery-staple")
    server = scripted(GOOD)
    assert attach(server.url).endpoint.api_key_env == "INFERBENCH_API_KEY"
    assert {headers["authorization"] for _, headers, _ in server.requests} == {"Bearer correct-horse"}
    server = scripted(GOOD)
    at = attach(server.url, api_key_env="MY_KEY").endpoint
    assert at.api_key_env == "MY_KEY"
    assert "battery" not in repr(at)
    assert {headers["authorization"] for _, headers, _ in server.requests} == {"Bearer battery-staple"}


def test_a_named_key_that_is_not_set_is_named(scripted: Any) -> None:
    assert failure(scripted(GOOD), api_key_env="NO_KEY") == (
        "the environment variable NO_KEY, which should hold the key for URL, is not set"
    )


def test_several_models_are_listed_unless_one_is_preferred(scripted: Any) -> None:
    models = http(b'{"data": [{"id": "a"}, {"id": "b\\u001b"}]}')
    server = scripted({"/v1/models": models, CHAT: TOKEN})
    assert failure(server) == "URL/v1/models lists 2 models; name one of them: a, b"
    assert attach(server.url, wanted=Wanted(preferred=("x", "a"))).endpoint.model == "a"
    assert attach(server.url, model="x").endpoint.model == "x"


def test_no_model_is_said(scripted: Any) -> None:
    assert failure(scripted({"/v1/models": http(b'{"data": []}')})) == "URL/v1/models lists no model"


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_without_a_list_of_models_is_used_where_one_is_named(scripted: Any, status: int) -> None:
    server = scripted({"/v1/models": http(b"{}", status=status), CHAT: TOKEN})
    assert attach(server.url, model="m").endpoint.model == "m"
    assert failure(server).endswith(' "{}" (where a server lists no models, name one)')


def test_an_unknown_model_is_answered_with_those_there_are(scripted: Any) -> None:
    wrong = http(b'{"error": {"message": "The model `x` does not exist."}}', status=404)
    server = scripted({"/v1/models": MODELS, CHAT: wrong})
    assert failure(server, model="x") == (
        f'a first request for one token failed: URL{CHAT} answered 404 Not Found: "The model `x` does not exist." '
        "(it lists these models: m)"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(b"<html>It works!</html>", headers=b"Content-Type: text/html\r\n"), "with a web page (HTML) rather than JSON"),
        (http(b'{"detail": "Not Found"}', status=404), 'answered 404 Not Found: "Not Found"'),
        (http(b'{"error": "no key"}', status=401), 'answered 401 Unauthorized: "no key"; it wants a key: set the environment'),
        (http(b"slow down", status=429, headers=b"Retry-After: 9\r\n"), "its limit of requests is reached (it says to try again"),
        (http(b'{"error": {"message": "boom"}}', status=500), 'answered 500 Internal Server Error: "boom"'),
        (http(b"hello"), 'answered 200 OK with something that is not JSON: "hello"'),
        (http(b'{"object": "x"}'), '"{"object": "x"}"'),
        (MODELS[:-10], "broke off in the middle"),
        (b"", "does not speak HTTP or broke off in the middle"),
        (b"220 mail.example ESMTP\r\n", "does not speak HTTP"),
        (None, "gave no whole answer within 0.3 s"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", CHAT])
def test_whatever_else_answers_is_an_error_in_its_own_words(
    scripted: Any, monkeypatch: pytest.MonkeyPatch, path: str, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr(attached, "_ASK_LIMIT_S", 0.3 if answer is None else 5)
    monkeypatch.setattr(attached, "_FIRST_TOKEN_LIMIT_S", 0.3 if answer is None else 5)
    text = failure(scripted(GOOD | {path: answer}))
    assert words in text
    assert f"URL{path}" in text


def test_a_401_names_the_variable_that_holds_the_key(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "wrong-wrong")
    server = scripted({"/v1/models": http(b'{"error": {"message": "wrong-wrong is no key"}}', status=401)})
    assert "set the environment variable INFERBENCH_API_KEY to one that it accepts" in failure(server)
    assert "set the environment variable MY_KEY to one that it accepts" in failure(server, api_key_env="MY_KEY")
    assert "wrong-wrong" not in failure(server, api_key_env="MY_KEY")


def test_nobody_there_is_said() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError) as error:
        attach(url)
    assert str(error.value) == f"{url}/v1/models could not be reached: [Errno 111] Connection refused"


def test_it_is_never_stopped_and_its_end_is_noticed(scripted: Any) -> None:
    scripted_server = scripted(GOOD)
    server = attach(scripted_server.url)
    server.stop()
    asked = len(scripted_server.requests)
    assert server.died() is None
    assert server.log_tail() == ""
    assert len(scripted_server.requests) == asked, "looking must not be a request among those that are measured"
    scripted_server.close()
    assert server.died() == f"nothing listens at {server.endpoint.url} any more: the connection is refused"


def test_a_server_that_is_slow_to_accept_is_busy_rather_than_dead(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = attach(scripted(GOOD).url)

    def slow(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", slow)
    assert server.died() is None


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8000", "http://h:8000"),
        ("http://h:8000/", "http://h:8000"),
        (" http://h:8000/v1 ", "http://h:8000"),
        ("http://h:8000/v1/", "http://h:8000"),
        ("https://h/openai/v1/chat/completions", "https://h/openai"),
        ("h:8000", "http://h:8000"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_an_address_may_be_written_in_many_ways(url: str, base: str) -> None:
    assert base_url(url) == base
    assert base_url(base) == base


@pytest.mark.parametrize(
    "url", ["", "http://", "ftp://h", "http://h:port", "http://h:99999", "not an address", "file:///etc/passwd"]
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^endpoint: '.*' is not the address of a server"):
        base_url(url)


@pytest.mark.parametrize("url", ["http://me:s3cret@h", "http://h?api_key=s3cret", "http://h#x"])
def test_a_secret_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        base_url(url)
    assert "keys belong into the environment variable INFERBENCH_API_KEY" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_an_endpoint_of_another_api_is_asked_for_nothing(scripted: Any) -> None:
    server = scripted({})
    at = attach(server.url, wanted=Wanted(preferred=("/models/m", "m"), openai=False)).endpoint
    assert (at.model, at.engine) == ("/models/m", "openai")
    assert set(server.paths()) == {"/v1/models", "/version"}
    listed = scripted({"/v1/models": MODELS})
    assert attach(listed.url, wanted=Wanted(preferred=("x",), openai=False)).endpoint.model == "m"
    with pytest.raises(EngineError, match="could not be reached"):
        attach(f"http://127.0.0.1:{free_port()}", wanted=Wanted(preferred=("x",), openai=False))


def test_headers_of_a_case_go_along_with_every_question(scripted: Any) -> None:
    server = scripted(GOOD)
    headers = filled_headers([("X-Key", "${GATE}")], environ={"GATE": "open-sesame"})
    at = attach(server.url, wanted=Wanted(access=Access(headers=headers))).endpoint
    assert {headers["x-key"] for _, headers, _ in server.requests} == {"open-sesame"}
    assert "open-sesame" not in repr(at)
