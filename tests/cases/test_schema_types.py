from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from pytest_inferbench.cases.schema_types import OneOrMany, Strict, Text, reads
from pytest_inferbench.errors import ConfigError

Names = Annotated[list[Text], OneOrMany()]


def test_an_error_of_ours_becomes_one_that_pydantic_collects() -> None:
    def refuse(value: str) -> str:
        raise ConfigError(f"not {value}", file="x")

    with pytest.raises(ValueError, match=r"^not this$"):
        reads(refuse)("this")


def test_text_is_not_blank_and_no_field_is_unknown() -> None:
    class One(Strict):
        name: Text

    assert One(name=" a ").name == "a"
    with pytest.raises(ValidationError, match="is blank"):
        One(name="  ")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        One.model_validate({"name": "a", "nam": "b"})


def test_one_is_a_list_of_one_there_and_in_the_json_schema() -> None:
    class Several(Strict):
        names: Names

    assert Several.model_validate({"names": "a"}).names == ["a"]
    assert Several.model_json_schema()["properties"]["names"]["anyOf"] == [
        {"type": "string"},
        {"items": {"type": "string"}, "type": "array"},
    ]
