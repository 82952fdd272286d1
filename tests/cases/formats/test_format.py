from __future__ import annotations

import pytest

from pytest_inferbench.cases.formats.format import SHAREGPT, Source
from pytest_inferbench.errors import ConfigError

TEXT = """{
 "list": [
  {"name": "a"},
  {
   "name": "b"
  }
 ],
 "words": ["--x",
  "--y"
 ]
}"""


def test_an_item_of_a_list_has_the_line_of_its_first_field_or_of_its_text() -> None:
    source = Source(path="some.file.json", text=TEXT)
    document = source.document()
    places: tuple[tuple[str | int, ...], ...] = (("list", 0), ("list", 1), ("words", 0), ("words", 1), ("words",), ("none",))
    assert [source.line_of(document, place) for place in places] == [3, 5, 8, 9, 8, 1]
    assert source.origin(document, ("list", 1)).line == 5
    assert str(source.error("is wrong", document, ("words", 1))) == "some.file.json:9: words[1]: is wrong"


def test_the_stem_is_the_name_without_any_ending() -> None:
    assert Source(path="/a/some.file.json", text="").stem == "some"
    assert Source(path="/a/.json", text="").stem == "suite"


def test_a_list_at_the_top_becomes_a_field_where_one_is_named() -> None:
    source = Source(path="x.json", text='[\n{"a": 1}]')
    document = source.document(top="tests")
    assert (document.data, document.line_of(("tests", 0, "a"))) == ({"tests": [{"a": 1}]}, 2)
    with pytest.raises(ConfigError, match=r"x.json:1: the top level must be fields"):
        source.document()


def test_a_field_that_stands_twice_is_an_error_and_lenient_takes_the_last_as_others_do() -> None:
    source = Source(path="x.json", text='{"a": 1,\n"a": 2}')
    with pytest.raises(ConfigError, match=r"^x.json:2: a: is given twice; keep one$"):
        source.document()
    assert source.document(lenient=True).data == {"a": 2}


def test_the_data_set_of_many_names_has_a_file() -> None:
    assert SHAREGPT == {"path": "ShareGPT_V3_unfiltered_cleaned_split.json", "format": "sharegpt"}
