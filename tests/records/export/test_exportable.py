from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan

import numpy as np
import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.records.export.exportable import SIMULATED, iso, own_version, plain
from tests.records.example import CASE
from tests.records.export.measured import exportable


def test_a_simulated_case_says_so_in_its_name_and_hardware() -> None:
    assert exportable().name == CASE.id
    assert exportable().gpu == "cpu"
    assert exportable(simulated=True).name == f"{SIMULATED}{CASE.id}"
    assert exportable(simulated=True).gpu == "simulated-cpu"


def test_a_case_whose_id_says_simulated_says_it_once() -> None:
    case = exportable(simulated=True)
    named = replace(case, record=replace(case.record, folder=f"{SIMULATED}x"))
    assert named.name == f"{SIMULATED}x"


def test_facts_of_the_server_are_its_own_where_it_told_them() -> None:
    case = exportable()
    assert (case.model, case.engine, case.engine_version) == ("smollm2", "llamacpp", "b7010")
    unserved = replace(case, record=replace(case.record, served=None))
    assert (unserved.model, unserved.engine_version) == ("smollm2-135m", None)


def test_the_rate_is_the_one_asked_for_and_infinite_in_a_closed_loop() -> None:
    assert exportable().rate_per_s == inf
    open_loop = replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson"))
    assert exportable(case=open_loop).rate_per_s == 2.5
    trace = replace(CASE, load=Load(trace="t.jsonl", arrival="trace"))
    case = exportable(case=trace)
    assert case.record.audit is not None
    replayed = replace(case, record=replace(case.record, audit=replace(case.record.audit, rate_asked_per_s=3.0)))
    assert replayed.rate_per_s == 3.0


def test_times_are_those_of_the_record() -> None:
    case = exportable()
    assert case.stamp == "20261122-074501"
    assert iso(case.started) == "2026-11-22T07:45:01Z"
    assert (case.ended - case.started).total_seconds() == pytest.approx(case.record.wall_s)
    assert iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05Z"


def test_what_json_has_no_word_for_is_null() -> None:
    assert plain({"a": [nan, inf, 1.5], "b": (np.int64(3), np.float64(0.5), np.float64(nan)), "c": "x"}) == {
        "a": [None, None, 1.5],
        "b": [3, 0.5, None],
        "c": "x",
    }


def test_the_version_is_a_version() -> None:
    assert own_version()[0].isdigit()
