"""Secrets leave a record, and what says how to do the same again stays."""

from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.cases.case import ApiOptions, Container, EngineSpec
from pytest_inferbench.records.redact import redact_case, redact_record, without_secrets
from pytest_inferbench.redaction import MASK
from tests.records.example import CASE, SECRET, example_record, secretive_record


def test_a_record_without_secrets_is_unchanged() -> None:
    assert repr(redact_record(example_record())) == repr(example_record())


def test_no_secret_of_a_record_stays() -> None:
    assert SECRET not in repr(redact_record(secretive_record()))


def test_names_references_and_harmless_values_stay() -> None:
    engine = EngineSpec(
        name="vllm",
        args=(("api-key", SECRET), ("password", 123456), ("max-tokens", 5), ("trust", True), ("flag", None)),
        env=(("HF_TOKEN", "${HF_TOKEN}"), ("OTHER_KEY", SECRET)),
    )
    redacted = redact_case(replace(CASE, engine=engine)).engine
    assert redacted.args == (("api-key", MASK), ("password", MASK), ("max-tokens", 5), ("trust", True), ("flag", None))
    assert redacted.env == (("HF_TOKEN", "${HF_TOKEN}"), ("OTHER_KEY", MASK))


def test_json_keeps_its_shape_and_loses_only_its_secrets() -> None:
    value = {"a": [{"password": "x", "model": "m", "token": ""}], "pin_key": 1234, "max_tokens": 5, "seen": None, "keys": True}
    masked = {**value, "a": [{"password": MASK, "model": "m", "token": ""}], "pin_key": MASK}
    assert without_secrets(value) == masked


def test_an_extra_body_stays_json() -> None:
    def redacted(body: str) -> str:
        return redact_case(replace(CASE, extra_body=body)).extra_body

    assert redacted('{"seed":1}') == '{"seed":1}'
    assert redacted('{"api_key": 12345, "seed": 1}') == f'{{"api_key": "{MASK}", "seed": 1}}'
    assert redacted(f'{{"api_key": "{SECRET}"') == f'{{"api_key": "{MASK}"'
    assert redacted("") == ""


def test_options_of_a_container_stay_json() -> None:
    engine = EngineSpec(
        name="vllm", image="i", container=Container(options=f'{{"User": "1", "Domain": {{"token": "{SECRET}"}}}}')
    )
    redacted = redact_case(replace(CASE, engine=engine)).engine
    assert redacted.container.options == f'{{"User": "1", "Domain": {{"token": "{MASK}"}}}}'


def test_headers_keep_their_references_and_lose_their_secrets() -> None:
    headers = (("Authorization", "Bearer ${GATEWAY_KEY}"), ("X-Team", "speed"), ("X-Api-Key", SECRET))
    options = ApiOptions(path=f"/p?sig={SECRET}&v=2", body=f'{{"input": "{{prompt}}", "api_key": "{SECRET}"}}', headers=headers)
    redacted = redact_case(replace(CASE, api_options=options)).api_options
    assert redacted.headers == (*headers[:2], ("X-Api-Key", MASK))
    assert redacted.path == f"/p?sig={MASK}&v=2"
    assert redacted.body == f'{{"input": "{{prompt}}", "api_key": "{MASK}"}}'
