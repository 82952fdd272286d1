"""Secrets leave a record, and what says how to do the same again stays."""

from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.cases.case import EngineSpec
from pytest_inferbench.records.redact import redact_case, redact_record
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
