"""Records as JSON and back, exactly."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_inferbench.cases.case import EngineSpec
from pytest_inferbench.errors import RecordError
from pytest_inferbench.metrics.summary import Distribution, Summary
from pytest_inferbench.records.codec import encode, from_json, to_json
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.redact import redact_record
from tests.records.example import SECRET, broken_record, example_record, secretive_record

# An engine's option is of four types; NaN among them would come back as a text, and no engine has such an option.
_options = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
_engines = st.builds(EngineSpec, args=st.lists(st.tuples(st.text(), _options), max_size=3).map(tuple))
_distributions = st.dictionaries(st.text(), st.from_type(Distribution), max_size=2)
_summaries = st.builds(Summary, distributions=_distributions, scalars=st.dictionaries(st.text(), st.floats(), max_size=2))
st.register_type_strategy(EngineSpec, _engines)
st.register_type_strategy(Summary, _summaries)


def through_text(record: Record) -> Record:
    return from_json(json.loads(json.dumps(to_json(record), allow_nan=False)))


@pytest.mark.parametrize("record", [example_record(), broken_record()], ids=["measured", "broken"])
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    # Compared as texts: a NaN differs from itself.
    assert repr(through_text(record)) == repr(record)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.from_type(Record))
def test_any_record_comes_back_as_it_was_without_its_secrets(record: Record) -> None:
    assert repr(through_text(record)) == repr(redact_record(record))


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.from_type(Record))
def test_taking_secrets_out_twice_is_taking_them_out_once(record: Record) -> None:
    assert repr(redact_record(redact_record(record))) == repr(redact_record(record))


def test_no_secret_is_in_the_json() -> None:
    assert SECRET in repr(secretive_record())
    assert SECRET not in json.dumps(to_json(secretive_record()))


def test_numbers_that_json_has_no_word_for_are_texts() -> None:
    assert encode((float("nan"), float("inf"), float("-inf"), 1.5)) == ["NaN", "Infinity", "-Infinity", 1.5]


def test_the_json_says_its_version_and_the_units_of_its_figures() -> None:
    value = to_json(example_record())
    assert value["schema_version"] == 1
    assert value["units"]["ttft"] == "ms"
    assert value["summary"]["distributions"]["ttft"]["count"] == 2


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    value = to_json(example_record())
    part: Any = value
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = to
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (changed("schema_version", to=99), "has schema version 99, but this version of pytest-inferbench reads 1"),
        ([], "has schema version None"),
        (changed("case", to=3), "record.case is 3, where an object belongs"),
        (changed("case", "slo", to="x"), "record.case.slo is 'x', where a list belongs"),
        (changed("case", "engine", "args", 0, to=["ctx"]), "record.case.engine.args[0] is ['ctx'], where a list of 2 belongs"),
        (changed("case", "engine", "args", 0, 1, to={}), "args[0][1] is {}, where str or int or float or bool belongs"),
        (changed("case", "api", to="soap"), "record.case.api is 'soap', where one of chat, completions,"),
        (changed("verdict", "outlook", to="fine"), "record.verdict.outlook is 'fine', where one of pass, fail, inconclusive"),
        (changed("wall_s", to="soon"), "record.wall_s is 'soon', where float belongs"),
        (changed("wall_s", to=True), "record.wall_s is True, where float belongs"),
        (changed("summary", "counts", "failed", to=True), "record.summary.counts.failed is True, where int belongs"),
        (changed("summary", "scalars", to=[]), "record.summary.scalars is [], where an object belongs"),
        (changed("summary", "distributions", "ttft", to={}), "record.summary.distributions.ttft.count is missing"),
    ],
)
def test_what_is_no_record_is_refused_and_the_field_is_named(value: Any, problem: str) -> None:
    with pytest.raises(RecordError, match=re.escape(problem)):
        from_json(value)


def test_a_field_that_has_a_default_may_be_missing_and_an_unknown_one_is_ignored() -> None:
    value = to_json(example_record())
    del value["case"]["origin"]
    value["later"] = 1
    assert repr(from_json(value)) == repr(example_record())
