from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.presets import SHIPPED
from pytest_inferbench.cases.suite import suite_from_mapping

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "suites.md").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_makes_the_cases_that_the_documentation_lists(name: str) -> None:
    values = {"hardware": "cpu", "engine": "x", "model": "m", "preset": name}
    cases = suite_from_mapping(values, "suite", Origin(file="test_x.py")).cases()
    load, first = SHIPPED[name], cases[0]
    levels = [f"rate {one}" for one in load.get("rate", ())] or [f"concurrency {', '.join(map(str, load['concurrency']))}"]
    row = f"| `{name}` | `{first.traffic.text}` | {levels[0]} | {first.load.requests}, {first.load.warmup} |"
    assert row in DOCUMENTATION
    assert len(cases) == len(load.get("concurrency", load.get("rate")))
