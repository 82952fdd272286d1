from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.export.gie import textproto
from pytest_inferbench.records.imports.protobuf_text import parse


def test_fields_are_lists_of_what_stands_there() -> None:
    text = """
    # a comment
    benchmarks { name: "a\\"b" count: 3, rate: 1.5f; on: true }
    benchmarks: < name: 'c' values: [1, 2] all: inf kind: LPG >
    """
    first, second = parse(text, "a.pbtxt")["benchmarks"]
    assert first == {"name": ['a"b'], "count": [3.0], "rate": [1.5], "on": ["true"]}
    assert second == {"name": ["c"], "values": [1.0, 2.0], "all": [inf], "kind": ["LPG"]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a {\n b: 1\n", r"x.pbtxt:2: it ends where } belongs; is the file whole\?"),
        ("a:", r"x.pbtxt:1: it ends where a value for a belongs"),
        ("a: }", "} stands where a value for a belongs"),
        ("\n{ }", r"x.pbtxt:2: { stands where the name of a field belongs"),
        ("a: $", r"'\$' has no meaning in protobuf text"),
        ("a {" * 50, "it is nested too deeply"),
        ("a: [1", "it ends where a value for a belongs"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse(text, "x.pbtxt")


_values = st.one_of(st.text(st.characters(codec="ascii"), max_size=8), st.floats(allow_nan=False, allow_infinity=False))


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), _values, max_size=5))
def test_what_is_written_is_read_again(fields: dict[str, str | float]) -> None:
    assert parse(textproto({"m": fields}), "x")["m"] == [{name: [value] for name, value in fields.items()}]
