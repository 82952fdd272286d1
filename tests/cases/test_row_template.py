"""Templates of prompts take fields by name, and do nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.row_template import fields_of_template, filled
from pytest_inferbench.errors import ConfigError


def test_a_template_is_filled_with_fields() -> None:
    template = "{a}: {two words}{a}{{x}}"
    assert fields_of_template(template) == ("a", "two words")
    assert filled(template, {"a": 1, "two words": None}) == "1: 1{x}"


@given(st.dictionaries(st.from_regex(r"[^{}]+", fullmatch=True), st.text(), min_size=1, max_size=5))
def test_every_field_stands_where_its_name_stood_whatever_is_in_it(row: dict[str, str]) -> None:
    template = "|".join(f"{{{name}}}" for name in row)
    assert set(fields_of_template(template)) == set(row)
    assert filled(template, row) == "|".join(row.values())


def test_a_name_is_a_name_and_no_expression() -> None:
    class Secret:
        key = "secret"

    template = "{x.key}{x[key]}{x!r}{x:>9}"
    assert fields_of_template(template) == ("x.key", "x[key]", "x!r", "x:>9")
    with pytest.raises(KeyError):
        filled(template, {"x": Secret()})


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("plain", """'plain' has no field of a row in it; write one in braces, such as "{instruction}\""""),
        ("{{a}}", """'{{a}}' has no field of a row in it; write one in braces, such as "{instruction}\""""),
        ("{a} {", "'{a} {' has a brace that stands alone; write {field}, or {{ for a brace itself"),
        ("{}", "'{}' has a brace that stands alone; write {field}, or {{ for a brace itself"),
        ("{a{b}}", "'{a{b}}' has a brace that stands alone; write {field}, or {{ for a brace itself"),
    ],
)
def test_a_template_without_fields_is_refused(template: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fields_of_template(template)
    assert str(caught.value) == problem
