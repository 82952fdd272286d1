from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.run_charts import CHARTS, write_charts
from tests.reporting.examples import HOSTILE, all_failed, broken_record, record, sweep


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [each for each, _ in sweep(levels=(1, 2))]


def test_every_chart_across_cases_is_a_picture_and_a_drawing(tmp_path: Path, records: list[Record]) -> None:
    files = write_charts(tmp_path, records)
    names = (
        "throughput_against_ttft",
        "throughput_against_tpot",
        "ttft_against_load_users_at_once",
        "tpot_against_load_users_at_once",
        "pareto",
        "heat_map",
    )
    assert files == [tmp_path / CHARTS / f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files if path.suffix == ".png")
    assert all(ET.parse(path).getroot().tag.endswith("svg") for path in files if path.suffix == ".svg")  # noqa: S314 - our own
    again = [path.read_bytes() for path in files]
    assert [path.read_bytes() for path in write_charts(tmp_path, records)] == again


@pytest.mark.parametrize(
    "alone",
    [[], [record()], [broken_record(), record()], [record(all_failed()), record()]],
    ids=["none", "one", "broken", "failed"],
)
def test_without_two_measured_cases_there_is_nothing_to_compare(tmp_path: Path, alone: list[Record]) -> None:
    assert write_charts(tmp_path, alone) == []
    assert list(tmp_path.iterdir()) == []


def test_simulated_charts_say_so_on_every_axis(tmp_path: Path, records: list[Record]) -> None:
    for path in write_charts(tmp_path, [replace(each, simulated=True) for each in records]):
        if path.suffix == ".svg":
            assert path.read_text(encoding="utf-8").count("SIMULATED") >= (2 if "heat" in path.name else 3)


def test_names_from_configs_are_only_words_in_a_drawing(tmp_path: Path, records: list[Record]) -> None:
    first, second = records
    hostile = replace(first, case=replace(first.case, model=f"{HOSTILE}$x^2$"))
    drawings = [path.read_text(encoding="utf-8") for path in write_charts(tmp_path, [hostile, second]) if path.suffix == ".svg"]
    assert any("&lt;img src=x" in text for text in drawings)
    assert not any("<script" in text or "<img" in text for text in drawings)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, records: list[Record]) -> None:
    (tmp_path / CHARTS).write_text("a file", encoding="utf-8")
    with pytest.raises(RecordError, match=r"the chart .*charts.* cannot be written: "):
        write_charts(tmp_path, records)
