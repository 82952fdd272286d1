from __future__ import annotations

import pytest

from pytest_inferbench.cases.formats.secrets import is_placeholder, without_secrets


def test_a_secret_becomes_a_reference_and_its_value_is_nowhere() -> None:
    kept, notes = without_secrets({"HF_TOKEN": "hf_abcdefghijklmnopqrstuvwx", "LEVEL": "INFO", "URL": "http://me:pass@x"})
    assert kept == {"HF_TOKEN": "${HF_TOKEN}", "LEVEL": "INFO", "URL": "${URL}"}
    assert notes == (
        "the value of HF_TOKEN is a secret and is not taken over: it is read from the environment",
        "the value of URL is a secret and is not taken over: it is read from the environment",
    )


def test_a_value_to_fill_in_becomes_a_reference_and_a_reference_stays() -> None:
    kept, notes = without_secrets({"A": "<your-token>", "B": "${OTHER}"})
    assert kept == {"A": "${A}", "B": "${OTHER}"}
    assert notes == ("A is to be filled in: it is read from the environment",)


@pytest.mark.parametrize(("text", "expected"), [("<your-token>", True), ("your_api_key", True), ("hf_x", False), ("", False)])
def test_values_to_fill_in_are_known_by_their_looks(text: str, expected: bool) -> None:
    assert is_placeholder(text) is expected
