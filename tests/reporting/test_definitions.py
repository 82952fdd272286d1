from __future__ import annotations

from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.reporting.definitions import anchor, definitions_html
from tests.reporting.examples import broken_record, record
from tests.reporting.test_case_page import Page


def test_every_metric_of_a_case_is_defined_with_its_formula() -> None:
    base = record()
    assert base.summary is not None
    page = Page(definitions_html([base]))
    anchors = {attrs.get("id") for _, attrs in page.tags}
    for name in (*base.summary.distributions, *base.summary.scalars):
        assert anchor(name) in anchors
        assert METRICS[name].formula in page.text


def test_verdicts_are_defined_also_where_nothing_was_measured() -> None:
    assert "too few requests to tell" in Page(definitions_html([broken_record()])).text
