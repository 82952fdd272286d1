from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.site.data import SiteData, Wording, _parts, _rounded, site_data
from pytest_inferbench.reporting.site.findings import find_changes
from pytest_inferbench.reporting.site.series import History, history_of
from tests.reporting.site.made_up import HOSTILE, commit_of, made_up_history, releases_of


@pytest.fixture(scope="module")
def history() -> History:
    return history_of(made_up_history(30))


@pytest.fixture(scope="module")
def data(history: History) -> SiteData:
    return site_data(history, find_changes(history), releases_of(30), Wording(title="A title"))


def value(data: SiteData, name: str) -> Any:
    script = data.files[name].decode()
    return json.loads(script[script.index(",") + 1 : script.rindex(");")])


def test_the_index_leads_to_every_case_and_run(data: SiteData, history: History) -> None:
    index = value(data, data.index)
    assert {data.index, *index["case_files"], *index["run_files"]} == set(data.files)
    details = [value(data, name) for name in index["case_files"]]
    for number, series in enumerate(index["series"]):
        assert details[series["file"]][str(number)]["runs"] == list(history.series[number].runs)
    runs = [value(data, name) for name in index["run_files"]]
    assert all(str(number) in runs[run["file"]] for number, run in enumerate(index["runs"]))


def test_a_case_has_each_figure_of_each_run_or_names_an_equal_one(data: SiteData, history: History) -> None:
    index = value(data, data.index)
    number = next(at for at, series in enumerate(history.series) if series.case.startswith("h100-vllm"))
    found = value(data, index["case_files"][index["series"][number]["file"]])[str(number)]
    assert found["figures"]["ttft_ms_p99"] == pytest.approx(list(history.series[number].figures["ttft_ms_p99"]), rel=1e-5)
    assert found["figures"]["ttft_content_ms_p99"] == "ttft_ms_p99"
    assert found["engines"] == [[0, "vllm 0.9.1"]]


def test_a_run_has_the_compared_figures_of_its_cases(data: SiteData, history: History) -> None:
    index = value(data, data.index)
    found = value(data, index["run_files"][index["runs"][7]["file"]])["7"]
    place = [index["figures"][at]["column"] for at in index["compared"]].index("tpot_ms_p50")
    for series, figure in zip(found["series"], found["figures"][place], strict=True):
        row = history.series[series].runs.index(7)
        assert figure == pytest.approx(history.series[series].figures["tpot_ms_p50"][row], rel=1e-5)


def test_runs_have_their_release(data: SiteData) -> None:
    runs = value(data, data.index)["runs"]
    assert [run["release"] for run in runs[18:22]] == ["", "", "v1.3.0", "v1.3.0"]
    assert runs[20]["commit"] == commit_of(20)


def test_the_same_history_makes_the_same_bytes_and_another_one_other_names(data: SiteData, history: History) -> None:
    again = site_data(history, find_changes(history), releases_of(30), Wording(title="A title"))
    assert again == data
    other = site_data(history, find_changes(history), {}, Wording(title="A title"))
    assert other.index != data.index
    assert set(other.files) - set(data.files) == {other.index}


def test_no_text_can_end_a_script(history: History) -> None:
    hostile = history_of(made_up_history(8, hostile=True))
    made = site_data(hostile, find_changes(hostile), dict.fromkeys(releases_of(30), HOSTILE), Wording(title=HOSTILE))
    assert not any(b"<" in content for content in made.files.values())
    assert value(made, made.index)["title"].startswith("<img src=x")


@given(st.lists(st.integers(0, 900), max_size=60))
def test_files_take_neighbours_until_they_are_full(sizes: list[int]) -> None:
    parts = _parts(sizes)
    assert [number for part in parts for number in part] == list(range(len(sizes)))
    assert all(len(part) == 1 or sum(sizes[number] for number in part) <= 400 for part in parts)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_figures_keep_six_digits(number: float) -> None:
    (rounded,) = _rounded(np.array([number]))
    assert rounded == pytest.approx(number, rel=1e-5, abs=1e-12)
    if 1e-6 < abs(number) < 1e6:
        assert len(repr(float(rounded)).replace("-", "").replace(".", "").split("e")[0].strip("0")) <= 6


def test_what_is_missing_stays_missing() -> None:
    assert np.isnan(_rounded(np.array([np.nan]))[0])
