from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.identity import case_id, model_slug, model_slugs, server_part, slug


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct"),
        ("/models/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct.q4_1"),
        ("./models/tiny llama/", "tiny-llama"),
        ("../Llama-3.1-8B", "llama-3.1-8b"),
        ("owner/Name@rev+x", "name-rev-x"),
        (".gguf", "gguf"),
    ],
)
def test_a_model_reads_as_a_person_would_type_it(model: str, expected: str) -> None:
    assert model_slug(model) == expected


def test_a_model_without_latin_letters_still_has_a_name() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}", model_slug("模型"))
    assert model_slug("模型") != model_slug("型模")


@given(st.text())
def test_a_slug_is_never_empty_and_safe_everywhere(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9._][a-z0-9._-]*", slug(text))


def test_models_of_one_name_get_their_owner_too() -> None:
    assert model_slugs(["a/chat", "b/chat", "b/other"]) == {"a/chat": "a.chat", "b/chat": "b.chat", "b/other": "other"}
    assert model_slugs(["/x/one/m.gguf", "/x/two/m.gguf"]) == {"/x/one/m.gguf": "one.m", "/x/two/m.gguf": "two.m"}


def test_the_parts_stand_in_the_order_of_the_documentation() -> None:
    server = server_part("cpu", "llamacpp", model="smollm2-135m", tensor_parallel=1)
    assert case_id(server, "d128x64", "c4") == "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"
    assert case_id(server, "d128x64", "r5", api="completions") == "cpu-llamacpp-smollm2-135m-tp1-d128x64-r5-completions"
