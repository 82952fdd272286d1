from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from pytest_inferbench.load.trace import MISSING
from pytest_inferbench.records.export.inferx import COLUMNS, FACTS, GPU_MEMORY, METRICS, files, metrics_csv
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import WALL_OFFSET_NS


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_a_request_has_the_columns_of_inferx() -> None:
    found = rows(metrics_csv(uneven_traces()))
    assert tuple(found[0]) == COLUMNS
    assert [row["status"] for row in found] == ["ok", "ok", "failed"]
    assert found[0]["send_time"] == f"{WALL_OFFSET_NS // 10**9}.000000000"
    assert float(found[1]["send_time"]) - float(found[1]["enqueue_time"]) == pytest.approx(0.05, abs=1e-6)
    assert (found[0]["prompt_tokens"], found[0]["resp_tokens"], found[0]["bytes_received"]) == ("10", "4", "300")
    assert found[2]["error"] == "HTTP 500: out of memory"


def test_what_never_came_is_an_empty_cell() -> None:
    found = rows(metrics_csv(replace(uneven_traces(), output_tokens=np.full(3, MISSING))))
    assert (found[2]["first_byte_time"], found[0]["resp_tokens"]) == ("", "")


def test_an_error_cannot_become_a_formula() -> None:
    traces = replace(uneven_traces(), errors={2: "=HYPERLINK(1)"})
    assert not rows(metrics_csv(traces))[2]["error"].startswith("=")


def test_readings_of_gpus_go_along_where_there_are_some() -> None:
    assert [file.path for file in files([exportable()]).files] == [f"{CASE.id}/{METRICS}", f"{CASE.id}/{FACTS}"]
    watched = replace(exportable(), gpu_csv="timestamp_ns,gpu\n1,0\n")
    assert files([watched]).files[-1].path == f"{CASE.id}/{GPU_MEMORY}"


def test_a_simulated_case_is_marked() -> None:
    facts = files([exportable(simulated=True)]).files[1]
    assert facts.path.startswith("simulated-")
    assert facts.content["simulated"] is True
