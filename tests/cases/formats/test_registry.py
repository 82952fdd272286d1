from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_inferbench.cases.formats.registry import FORMATS, format_of, formats, read_foreign, suite_of, suites_of
from pytest_inferbench.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples"


def test_each_format_has_a_name_and_a_title_of_its_own() -> None:
    found = formats()
    assert len(found) == len(FORMATS)
    assert len({one.name for one in found}) == len({one.title for one in found}) == len(found)


def test_a_file_of_no_known_format_has_none_and_reading_it_says_which_there_are(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}', encoding="utf-8")
    assert format_of(path) is None
    with pytest.raises(ConfigError) as caught:
        read_foreign(path)
    titles = ", ".join(one.title for one in formats())
    assert str(caught.value) == f"{path}: is none of the formats that can be read: {titles}"


def test_this_projects_own_suites_other_endings_and_what_is_no_text_are_of_no_format(tmp_path: Path) -> None:
    text = (EXAMPLES / "benchflow_two.json").read_text("utf-8")
    for name in ("x.bench.json", "x.md"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert format_of(tmp_path / name) is None
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    assert format_of(tmp_path / "x.json") is None


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        read_foreign(tmp_path / "none.json")


def test_suites_come_with_their_names_and_point_into_the_file() -> None:
    found = suites_of(EXAMPLES / "benchflow_two.json", overrides={"requests": "5"})
    assert [name for name, _ in found] == ["benchflow_two", "benchflow_two"]
    cases = found[1][1].cases()
    assert cases[0].load.requests == 5
    assert cases[0].origin is not None
    assert (cases[0].origin.file, cases[0].origin.line) == (str(EXAMPLES / "benchflow_two.json"), 47)


def test_suites_that_overrides_make_alike_are_one_or_have_a_number(tmp_path: Path) -> None:
    path = tmp_path / "nm.json"
    arguments = {"nr-qps-pair_": ["5,1", "6,1", "5,2"], "num-input-tokens": [8], "num-output-tokens": [8]}
    config = {"description": "a", "models": ["m/a"], "max_model_lens": [64], "sparsity": []}
    path.write_text(
        json.dumps({"configs": [{**config, "script_name": "benchmark_serving", "script_args": arguments}]}), encoding="utf-8"
    )
    assert len(read_foreign(path)) == 3
    found = read_foreign(path, overrides={"rate": "3"})
    ids = [case.id for one in found for case in suite_of(one).cases()]
    assert [one.suite["load"]["requests"] for one in found] == [5, 6]
    assert ids[1] == ids[0].replace("a-", "a-2-", 1)
    assert "1 of the file's 3 suites are left out: with these overrides they are the same as others" in found[0].notes
