from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.formats.yaml_text import yaml_text
from pytest_inferbench.cases.readers import document_of

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["no", "1e3", "0x1", "1:30", "~", "- a", "a: b", ".5"]
)
_PLAIN = _TEXTS | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False) | st.booleans() | st.none()
_KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda key: key != "<<")
_DATA: st.SearchStrategy[Any] = st.recursive(
    _PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(_KEYS, _DATA, min_size=1, max_size=4))
def test_what_is_written_reads_back_as_the_same_data(data: dict[str, Any]) -> None:
    assert document_of(yaml_text(data), "x.yaml", ".yaml").data == data


def test_mappings_stand_on_lines_of_their_own_and_plain_lists_on_one() -> None:
    data = {
        "engine": {"name": "vllm", "args": {"eager": None}},
        "levels": [1, 2.5, math.inf],
        "include": [{"a": 1, "b": {"c": "x y"}}],
    }
    assert yaml_text(data) == (
        'engine:\n  name: vllm\n  args:\n    eager:\nlevels: [1, 2.5, .inf]\ninclude:\n  - a: 1\n    b:\n      c: "x y"\n'
    )


def test_small_and_large_floats_stay_numbers() -> None:
    assert yaml_text({"a": 1e-05, "b": 1e22}) == "a: 1.0e-05\nb: 1.0e+22\n"
