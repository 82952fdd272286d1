from __future__ import annotations

import json
from math import inf, isnan
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports import source
from pytest_inferbench.records.imports.source import Fields, open_source


def fields(**data: Any) -> Fields:
    return Fields(file="a.json", data=data)


def test_json_and_yaml_are_data_and_others_are_text(tmp_path: Path) -> None:
    for name, text in (("a.json", '{"x": 1}'), ("a.yaml", '{"x": 1}'), ("b.yaml", "x: 1\n")):
        (tmp_path / name).write_text(text)
        assert open_source(tmp_path / name).data == {"x": 1}
    (tmp_path / "a.csv").write_text("x\n1\n")
    assert open_source(tmp_path / "a.csv").data is None


def test_a_file_beside_is_found_where_there_is_one(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    found = open_source(tmp_path / "a.json")
    assert found.sibling("c.json") is None
    beside = found.sibling("b.json")
    assert beside is not None
    assert beside.path.name == "b.json"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.json", b'{\n"x": \n', r"a.json:\d: it is not JSON: Expecting value"),
        ("a.json", b"\xff\xfe\x00", "it is not text in UTF-8: invalid start byte at byte 0"),
        ("a.json", b"[" * 100_000, "it is nested too deeply"),
        ("a.yaml", b"x: [1\n", "a.yaml"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        open_source(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it could not be read: No such file or directory"):
        open_source(tmp_path / "gone.json")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FILE_BYTES_MAX", 3)
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="it has 6 bytes, and 3 can be read"):
        open_source(tmp_path / "a.json")


def test_numbers_are_read_as_numbers() -> None:
    found = fields(a=1, b="inf", c=None, d=2.5)
    assert (found.number("a"), found.number("b"), found.number("d"), found.whole("a")) == (1.0, inf, 2.5, 1)
    assert isnan(found.number("c"))
    assert (found.number("c", 4.0), found.number("e", 5.0), found.whole("e", 6)) == (4.0, 5.0, 6)


@pytest.mark.parametrize("value", ["fast", True, [], {}])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"a.json: x: .* stands where a number belongs"):
        fields(x=value).number("x")


@pytest.mark.parametrize("value", [1.5, None, "nan", 1e300])
def test_what_is_no_whole_number_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"a.json: x: .* stands where a whole number belongs"):
        fields(x=value).whole("x")


def test_what_is_missing_is_named_with_its_place() -> None:
    found = fields(a={"b": [{"c": {}}]})
    with pytest.raises(ConfigError, match=r"a\.json: a\.x: it is missing; is the file whole\?"):
        found.within("a").number("x")
    (each,) = found.within("a").each("b")
    with pytest.raises(ConfigError, match=r"a\.json: a\.b\[0\]\.c\.y: it is missing"):
        each.within("c").text("y")


def test_other_types_are_named() -> None:
    with pytest.raises(ConfigError, match="a: 3 stands where a text belongs"):
        fields(a=3).text("a")
    with pytest.raises(ConfigError, match="a: 3 stands where a list belongs"):
        fields(a=3).items("a")
    with pytest.raises(ConfigError, match="a: 3 stands where an object belongs"):
        fields(a=3).within("a")
    with pytest.raises(ConfigError, match=r"a\.json: \[\] stands where an object belongs"):
        Fields(file="a.json", data=[])


def test_what_may_be_missing_is_empty() -> None:
    assert fields(a=None).maybe("a").data == {}
    assert fields().maybe("a").text("b", "c") == "c"


def test_statistics_are_those_that_are_there() -> None:
    found = fields(avg=2, p99=None).statistics({"mean": "avg", "p99": "p99", "max": "max"}, scale=10)
    assert found == {"mean": 20.0}
    assert json.dumps(found)


def test_a_path_is_followed_as_far_as_it_goes() -> None:
    found = fields(a=[{"b": 1}, {"b": 2}])
    assert found.found("a", -1, "b") == 2
    assert found.found("a", 5, "b") is None
    assert found.found("a", 0, "b", "c") is None
    assert found.found("x") is None
