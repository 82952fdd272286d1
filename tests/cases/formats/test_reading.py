from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.errors import ConfigError


def reading(data: dict[str, Any], *, lenient: bool = False) -> Reading:
    source = Source(path="x.json", text=json.dumps(data, indent=1))
    return Reading(source=source, document=source.document(), lenient=lenient)


def test_fields_of_the_right_kind_are_given_out() -> None:
    found = reading({"a": "x", "n": "12", "l": ["y"], "o": {"b": 1}})
    assert found.text(("a",)) == "x"
    assert found.text(("none",), "default") == "default"
    assert found.whole(("n",)) == 12
    assert found.whole(("none",), 3) == 3
    assert found.texts(("l",)) == ("y",)
    assert found.items(("none",)) == []
    assert found.fields(("o",), ("b",), otherwise="") == {"b": 1}
    assert (found.at(("l", 0)), found.at(("l", 5)), found.at(("a", "b"))) == ("y", None, None)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda one: one.text(("none",)), "x.json:1: none: is missing"),
        (lambda one: one.text(("n",)), "x.json:3: n: must be text, not 0"),
        (lambda one: one.text(("blank",)), "x.json:2: blank: must be text, not ' '"),
        (lambda one: one.whole(("none",)), "x.json:1: none: is missing"),
        (lambda one: one.whole(("n",)), "x.json:3: n: must be a whole number from 1, not 0"),
        (lambda one: one.whole(("t",)), "x.json:4: t: must be a whole number from 1, not true"),
        (lambda one: one.items(("n",)), "x.json:3: n: must be a list, not 0"),
        (lambda one: one.texts(("l",)), "x.json:5: l[1]: must be text, not null; put quotes round it"),
        (lambda one: one.fields(("l",), (), otherwise=""), "x.json:5: l: must hold fields, not a list"),
    ],
)
def test_what_is_of_another_kind_is_told_with_its_line(ask: Any, expected: str) -> None:
    data = {"blank": " ", "n": 0, "t": True, "l": ["a", None]}
    with pytest.raises(ConfigError) as caught:
        ask(reading(data))
    assert str(caught.value) == expected


def test_strict_refuses_what_lenient_notes_once() -> None:
    with pytest.raises(ConfigError) as caught:
        reading({"a": 1, "b": 2}).fields((), ("a",), otherwise="nobody reads it")
    assert str(caught.value) == "x.json:3: b: unknown field; known: a; nobody reads it"
    lenient = reading({"a": 1, "b": 2}, lenient=True)
    for _ in range(2):
        lenient.fields((), ("a",), otherwise="nobody reads it")
    assert lenient.taken_notes() == ("b unknown field; known: a; nobody reads it",)
    assert lenient.taken_notes() == ()


def test_what_may_be_a_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        reading({"a": "hf_secret"}).items(("a",))
    assert str(caught.value) == "x.json:2: a: must be a list, not text"
