"""What is shown never holds a secret, and what is no secret stays readable."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.redaction import MASK, Secret, is_secret_name, redact_argv, redact_env, redact_text, redact_url

SECRET = "p4ssW0rd-of-nobody"
HF_TOKEN = "hf_" + "a" * 34


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(SECRET)),
        repr(Secret(SECRET)),
        f"{Secret(SECRET)}",
        f"{Secret(SECRET):>40}",
        repr([Secret(SECRET)]),
        repr({"key": Secret(SECRET)}),
        str(copy.deepcopy(Secret(SECRET))),
    ],
)
def test_a_secret_is_never_shown(shown: str) -> None:
    assert SECRET not in shown
    assert MASK in shown


def test_a_secret_is_neither_json_nor_pickled_and_says_what_to_do() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(SECRET))
    with pytest.raises(TypeError, match="pass the name of the environment variable"):
        pickle.dumps(Secret(SECRET))


def test_a_secret_compares_by_value_and_reveals_it_only_when_asked() -> None:
    assert Secret(SECRET) == Secret(SECRET)
    assert Secret(SECRET) != Secret("other")
    assert Secret(SECRET) != SECRET
    assert len({Secret(SECRET), Secret(SECRET)}) == 1
    assert Secret(SECRET).reveal() == SECRET
    assert not Secret("")


@pytest.mark.parametrize(
    "name",
    [
        "--api-key", "--hf-token", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "apiKey",
        "DB_PASSWORD", "MYTOKEN", "x-api-key", "Authorization", "AWS_ACCESS_KEY_ID", "X-Amz-Signature", "sig", "access_token",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name, SECRET)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--tokenizer", "path"), ("--max-tokens", "100"), ("--max-num-batched-tokens", "8192"), ("--tokens", "100"),
        ("TOKENIZERS_PARALLELISM", "false"), ("--skip-tokenizer-init", ""), ("--ssl-keyfile", "/etc/key.pem"),
        ("--api-key-file", "/etc/keys"), ("--model", "llama"), ("tokenizer.ggml.add_bos_token", "bool:false"), ("", "x"),
        ("--kv-cache-dtype", "fp8"), ("--override-pad-token-id", "0"), ("monkey", "x"), ("api_key_env", "OPENAI_API_KEY"),
    ],
)  # fmt: skip
def test_names_of_harmless_things_stay_readable(name: str, value: str) -> None:
    assert not is_secret_name(name, value)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["vllm", "--api-key", SECRET, "--port", "1"], ("vllm", "--api-key", MASK, "--port", "1")),
        (["vllm", f"--api-key={SECRET}"], ("vllm", f"--api-key={MASK}")),
        (["env", f"HF_TOKEN={SECRET}", "vllm"], ("env", f"HF_TOKEN={MASK}", "vllm")),
        (["docker", "-e", f"HF_TOKEN={SECRET}"], ("docker", "-e", f"HF_TOKEN={MASK}")),
        (["x", "--api-key", "${MY_KEY}"], ("x", "--api-key", "${MY_KEY}")),
        (["x", "--hf-token", "--port", "1"], ("x", "--hf-token", "--port", "1")),
        (["x", "--password", "-dash-first"], ("x", "--password", MASK)),
        (["x", "-H", f"Authorization: Bearer {SECRET}"], ("x", "-H", f"Authorization: Bearer {MASK}")),
        (["x", f"http://me:{SECRET}@host/v1"], ("x", f"http://{MASK}@host/v1")),
        (["x", "--config", f'{{"api_key": "{SECRET}", "n": 1}}'], ("x", "--config", f'{{"api_key": "{MASK}", "n": 1}}')),
        (["x", "positional", HF_TOKEN], ("x", "positional", MASK)),
        (["x", "--max-tokens", "64", "--tokenizer", "a/b"], ("x", "--max-tokens", "64", "--tokenizer", "a/b")),
        ([], ()),
    ],
)
def test_command_lines_lose_their_secrets_and_nothing_else(argv: list[str], expected: tuple[str, ...]) -> None:
    assert redact_argv(argv) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/v1?model=a", "http://127.0.0.1:8000/v1?model=a"),
        (f"https://me:{SECRET}@host:8000/v1", f"https://{MASK}@host:8000/v1"),
        (f"https://me:a@{SECRET}@host/", f"https://{MASK}@host/"),
        (f"https://host/?api_key={SECRET}&model=a", f"https://host/?api_key={MASK}&model=a"),
        (f"https://host/?a=1&token={SECRET}#x", f"https://host/?a=1&token={MASK}#x"),
        (f"https://host/?api%5Fkey={SECRET}", f"https://host/?api%5Fkey={MASK}"),
        (f"https://host/#access_token={SECRET}", f"https://host/#access_token={MASK}"),
        ("http://[::1", "http://[::1"),
        ("https://host/@scope/name", "https://host/@scope/name"),
    ],
)
def test_urls_lose_their_credentials_and_nothing_else(url: str, expected: str) -> None:
    assert redact_url(url) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the server said: no such model", "the server said: no such model"),
        ("no first token within 300 s", "no first token within 300 s"),
        (
            "401: Bearer authentication is needed, basic credentials too",
            "401: Bearer authentication is needed, basic credentials too",
        ),
        ("sent Bearer abcdef1, got 401", f"sent Bearer {MASK}, got 401"),
        ("Authorization: Token abcdefg", f"Authorization: Token {MASK}"),
        ("authorization: abcdefg x", f"authorization: {MASK} x"),
        (f"401: Incorrect API key provided: {HF_TOKEN}", f"401: Incorrect API key provided: {MASK}"),
        (f"sent Authorization: Bearer {SECRET}, got 401", f"sent Authorization: Bearer {MASK}, got 401"),
        (f"pytest suites/ --api-key {SECRET} -k a", f"pytest suites/ --api-key {MASK} -k a"),
        (f"{{'password': '{SECRET}'}}", f"{{'password': '{MASK}'}}"),
        ("max_tokens: 100 is too large, max_model_len=2048", "max_tokens: 100 is too large, max_model_len=2048"),
    ],
)
def test_free_text_loses_its_secrets_and_nothing_else(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_an_environment_keeps_names_and_references() -> None:
    pairs = (("HF_TOKEN", SECRET), ("OPENAI_API_KEY", "${OPENAI_API_KEY}"), ("OMP_NUM_THREADS", "2"))
    assert redact_env(pairs) == (("HF_TOKEN", MASK), ("OPENAI_API_KEY", "${OPENAI_API_KEY}"), ("OMP_NUM_THREADS", "2"))


@given(st.lists(st.sampled_from(["--api-key", f"HF_TOKEN={SECRET}", SECRET, "--port", "-x", "http://a:b@c/", "1"]) | st.text()))
def test_redacting_twice_is_redacting_once(argv: list[str]) -> None:
    once = redact_argv(argv)
    assert redact_argv(once) == once
    assert len(once) == len(argv)


@given(st.text())
def test_redacting_text_twice_is_redacting_once(text: str) -> None:
    assert redact_text(redact_text(text)) == redact_text(text)


@given(st.text(alphabet="abcdefXYZ0123456789", min_size=12, max_size=40))
def test_no_secret_survives_any_of_the_known_forms(secret: str) -> None:
    forms = ["--api-key", secret, f"--hf-token={secret}", f"HF_TOKEN={secret}", f"https://u:{secret}@h/?key={secret}"]
    secret_shown = " ".join(redact_argv(forms))
    assert secret not in secret_shown
