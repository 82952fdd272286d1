import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.launch.answer import Answer, completion_trouble, list_trouble, model_names, owner, printable, trouble

URL = "http://h:1/v1/models"


def answer(body: object = b"", *, status: int = 200, content_type: str = "application/json", **more: Any) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(url=URL, status=status, content_type=content_type, body=data, **more)


@pytest.mark.parametrize(
    ("given_answer", "sentence"),
    [
        (answer({"a": 1}), None),
        (
            answer({"error": {"message": "Invalid API key"}}, status=401),
            (
                f'{URL} answered 401 Unauthorized: "Invalid API key"; it wants a key: set the environment variable MY_KEY to one '
                "that it accepts"
            ),
        ),
        (
            answer(b"", status=403),
            (
                f"{URL} answered 403 Forbidden and nothing more; it wants a key: set the environment variable MY_KEY to one "
                "that it accepts"
            ),
        ),
        (
            answer({"detail": "slow down"}, status=429, retry_after="7"),
            (
                f'{URL} answered 429 Too Many Requests: "slow down"; its limit of requests is reached '
                "(it says to try again after 7 s)"
            ),
        ),
        (answer(b"", status=429), f"{URL} answered 429 Too Many Requests and nothing more; its limit of requests is reached"),
        (
            answer(b"", status=307),
            f"{URL} answered 307 Temporary Redirect and nothing more; it is a redirection: give the address that it leads to",
        ),
        (
            answer(b" <!DOCTYPE html><title>Hi</title>", content_type=""),
            (
                f'{URL} answered 200 OK with a web page (HTML) rather than JSON: "<!DOCTYPE html><title>Hi</title>"; is this the '
                "address of an OpenAI-compatible API?"
            ),
        ),
        (
            answer(b"<html>nginx</html>", status=502, content_type="text/html"),
            (
                f'{URL} answered 502 Bad Gateway with a web page (HTML) rather than JSON: "<html>nginx</html>"; is this the '
                "address of an OpenAI-compatible API?"
            ),
        ),
        (answer({"error": "boom"}, status=500), f'{URL} answered 500 Internal Server Error: "boom"'),
        (answer({"message": "gone"}, status=404), f'{URL} answered 404 Not Found: "gone"'),
        (answer(b"x", status=599), f'{URL} answered 599: "x"'),
        (answer(b"hello"), f'{URL} answered 200 OK with something that is not JSON: "hello"'),
        (answer(b""), f"{URL} answered 200 OK with something that is not JSON and nothing more"),
    ],
)
def test_what_is_wrong_is_said_in_the_servers_own_words(given_answer: Answer, sentence: str | None) -> None:
    assert trouble(given_answer, api_key_env="MY_KEY") == sentence


def test_a_completion_has_choices() -> None:
    assert completion_trouble(answer({"choices": [{}]})) is None
    assert (
        completion_trouble(answer({"choices": []}))
        == f'{URL} answered JSON that is no completion (it has no choices): "{{"choices": []}}"'
    )
    assert (completion_trouble(answer([])) or "").endswith('(it has no choices): "[]"')
    assert (completion_trouble(answer(status=500)) or "").startswith(f"{URL} answered 500")


def test_models_are_listed_by_id() -> None:
    assert model_names(answer({"data": [{"id": "a"}, {"id": 5}, "x", {"id": "b"}]})) == ("a", "b")
    assert model_names(answer({"data": []})) == ()
    assert model_names(answer({"models": []})) is None
    assert model_names(answer({"data": [{"id": "a"}]}, status=500)) is None
    assert model_names(answer(b"x")) is None


def test_the_owner_of_the_first_model_is_the_engine() -> None:
    assert owner(answer({"data": [{"id": "a", "owned_by": "vllm"}]})) == "vllm"
    assert owner(answer({"data": [{"id": "a"}]})) is None
    assert owner(answer({"data": []})) is None


def test_the_words_of_a_server_hold_no_secret_and_no_terminal_codes() -> None:
    assert answer({"error": {"message": "\x1b[31mbad key sk-abcdefghijklmnopqrstuv\n"}}).words() == "[31mbad key REDACTED"


@given(st.binary(max_size=600))
def test_any_body_gives_printable_words_of_limited_length(body: bytes) -> None:
    words = answer(body).words()
    assert words.isprintable()
    assert len(words) <= 203


@given(st.text(max_size=400))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()


def test_an_answer_that_must_have_a_list_has_one() -> None:
    assert list_trouble(answer({"data": [{"embedding": [1.0]}]}), name="data") is None
    odd: Any
    for odd in ({"data": []}, {"data": 5}, {}, [1]):
        assert (list_trouble(answer(odd), name="data") or "").startswith(f"{URL} answered JSON without data: ")
    assert (list_trouble(answer(status=500), name="data") or "").startswith(f"{URL} answered 500")
