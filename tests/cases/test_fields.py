from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.fields import document_of_marker, fields_of
from pytest_inferbench.cases.matrix import Level
from pytest_inferbench.cases.readers import Document
from pytest_inferbench.errors import ConfigError

HERE = Origin(file="tests/test_x.py", line=3)


def fields_of_marker(**values: Any) -> dict[str, Any]:
    return {name: given.value for name, given in fields_of(document_of_marker(values, HERE)).items()}


def test_a_file_and_a_marker_give_the_same_fields() -> None:
    nested = {"hardware": "cpu", "matrix": {"model": "m", "traffic": ["D(8,8)"], "rate": [1, "inf"]}, "load": {"requests": 5}}
    file = fields_of(Document(file="x.bench.yaml", data=nested))
    flat = fields_of_marker(hardware="cpu", model="m", traffic=["D(8,8)"], rate=[1, "inf"], requests=5)
    assert {name: given.value for name, given in file.items()} == flat
    assert file["model"].field == "matrix.model"


def test_one_value_is_a_list_of_one() -> None:
    assert fields_of_marker(concurrency=4) == fields_of_marker(concurrency=[4]) == {"concurrency": (Level("concurrency", 4),)}


def test_a_marker_may_hold_what_python_code_has_at_hand(tmp_path: Path) -> None:
    found = fields_of_marker(
        model=tmp_path / "m.gguf", concurrency=range(1, 4), tensor_parallel={2, 1}, slo=(one for one in ("a", "b"))
    )
    assert found["model"] == (str(tmp_path / "m.gguf"),)
    assert [level.value for level in found["concurrency"]] == [1, 2, 3]
    assert found["tensor_parallel"] == (1, 2)
    assert found["slo"] == ("a", "b")


def test_none_in_a_marker_is_as_if_it_were_left_out() -> None:
    assert fields_of_marker(model="m", rate=None, slo=None) == {"model": ("m",)}


def test_entries_and_presets_hold_both_kinds_of_level_as_one_axis() -> None:
    found = fields_of_marker(include=[{"rate": 5, "requests": 7}], presets={"a": {"concurrency": [1, 2]}})
    assert found["include"][0].values == {"level": (Level("rate", 5.0),), "requests": 7}
    assert found["include"][0].field == "include[0]"
    assert found["presets"] == {"a": {"level": (Level("concurrency", 1), Level("concurrency", 2))}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda one: st.lists(one) | st.dictionaries(st.text(max_size=5), one),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["hardware", "engine", "matrix", "load", "slo", "limits", "include", "exclude", "presets", "preset", "base", "extra_body"]
)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_whatever_a_field_holds_it_is_read_or_an_error_for_people(data: dict[str, Any]) -> None:
    try:
        names = set(fields_of(Document(file="x.bench.yaml", data=data)))
    except ConfigError as exc:
        names = {exc.file or ""}
    assert names <= {"x.bench.yaml", *data}


@pytest.mark.parametrize("name", ["matrix", "load", "concurency"])
def test_a_marker_has_no_sections(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^tests/test_x\.py:3: {name}: unknown field"):
        document_of_marker({name: 1}, HERE)
