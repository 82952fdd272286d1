import pytest

from pytest_inferbench.engines.references import referenced


@pytest.mark.parametrize(
    ("value", "name"),
    [("${HF_TOKEN}", "HF_TOKEN"), ("x${HF_TOKEN}", None), ("$HF_TOKEN", None), ("${A-B}", None), ("", None), (None, None)],
)
def test_a_reference_is_one_name_in_braces_and_nothing_else(value: str | None, name: str | None) -> None:
    assert referenced(value) == name
