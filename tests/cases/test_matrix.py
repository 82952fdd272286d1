from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import EngineSpec, Limits, Origin
from pytest_inferbench.cases.matrix import (
    AXES,
    Combination,
    EngineChoice,
    Entry,
    Level,
    Options,
    Row,
    excluded,
    included,
    spanned,
)
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError

HERE = Origin(file="x.bench.yaml", line=1)
POOL: dict[str, list[Any]] = {
    "hardware": ["cpu", "h100", "h200"],
    "engine": [EngineChoice(spec=EngineSpec(name=name)) for name in ("vllm", "sglang", "llamacpp")],
    "model": ["a", "b", "c"],
    "tensor_parallel": [1, 2, 4],
    "api": ["chat", "completions"],
    "traffic": [parse_traffic(text) for text in ("D(8,8)", "D(16,8)", "U(9,9)")],
    "cache": ["cold", "warm"],
    "level": [Level("concurrency", 1), Level("concurrency", 8), Level("rate", 2.5)],
}


def axes() -> st.SearchStrategy[dict[str, list[Any]]]:
    return st.fixed_dictionaries({axis: st.lists(st.sampled_from(POOL[axis]), min_size=1, unique=True) for axis in AXES})


def entry(**values: Any) -> Entry:
    return Entry(values=values, origin=Origin(file="x.bench.yaml", line=9), field="include[0]")


def rows_of(axes: dict[str, list[Any]]) -> list[Row]:
    return [Row(combination=one, options=Options(), origin=HERE) for one in spanned(axes)]


def points(rows: list[Row]) -> set[Combination]:
    return {row.combination for row in rows}


@given(axes())
def test_a_product_has_every_combination_once(axes: dict[str, list[Any]]) -> None:
    found = spanned(axes)
    size = 1
    for values in axes.values():
        size *= len(values)
    assert len(found) == len(set(found)) == size


@given(axes(), st.data())
def test_the_order_of_values_does_not_change_which_cases_there_are(axes: dict[str, list[Any]], data: st.DataObject) -> None:
    shuffled = {axis: data.draw(st.permutations(values)) for axis, values in axes.items()}
    assert set(spanned(shuffled)) == set(spanned(axes))


@given(axes(), st.data())
def test_size_is_product_minus_excludes_plus_includes(axes: dict[str, list[Any]], data: st.DataObject) -> None:
    rows = rows_of(axes)
    partial = {
        axis: (data.draw(st.sampled_from(axes[axis])),)
        for axis in data.draw(st.lists(st.sampled_from(AXES), min_size=1, unique=True))
    }
    extra = {axis: (data.draw(st.sampled_from(POOL[axis])),) for axis in AXES}
    left = excluded(rows, [entry(**partial)])
    gone = {one for one in points(rows) if all(getattr(one, axis) == value[0] for axis, value in partial.items())}
    assert points(left) == points(rows) - gone
    point = Combination(**{axis: value[0] for axis, value in extra.items()})
    assume(point not in points(left))
    assert len(included(left, [entry(**extra)], axes, Options())) == len(rows) - len(gone) + 1


def test_an_entry_with_options_changes_the_rows_it_matches_and_no_other() -> None:
    rows = rows_of({axis: values[:2] for axis, values in POOL.items()})
    changed = included(rows, [entry(tensor_parallel=(2,), slo=("x",), limits={"stall_s": 1.0})], {}, Options())
    assert points(changed) == points(rows)
    for before, after in zip(rows, changed, strict=True):
        hit = before.combination.tensor_parallel == 2
        assert after.options.slo == (("x",) if hit else ())
        assert after.options.limits == (Limits(stall_s=1.0) if hit else Limits())
        assert after.origin.line == (9 if hit else 1)


def test_an_entry_that_matches_nothing_adds_rows_over_the_axes_it_leaves_out() -> None:
    axes = {**{axis: values[:1] for axis, values in POOL.items()}, "model": ["a", "b"]}
    added = included(rows_of(axes), [entry(level=(Level("rate", 9.0),), requests=7)], axes, Options(warmup=3))[2:]
    assert [(row.combination.model, row.combination.level.value, row.options.requests, row.options.warmup) for row in added] == [
        ("a", 9.0, 7, 3),
        ("b", 9.0, 7, 3),
    ]


def test_an_entry_with_lists_changes_what_is_there_and_adds_what_is_not() -> None:
    axes = {axis: values[:1] for axis, values in POOL.items()}
    changed = included(rows_of(axes), [entry(tensor_parallel=(1, 8), requests=7)], axes, Options())
    assert [(row.combination.tensor_parallel, row.options.requests) for row in changed] == [(1, 7), (8, 7)]


def test_an_engine_is_matched_by_its_name_or_label() -> None:
    labelled = EngineChoice(spec=EngineSpec(name="vllm", image="x"), label="next")
    axes = {**{axis: values[:1] for axis, values in POOL.items()}, "engine": [labelled, POOL["engine"][1]]}
    by_label, by_name = (entry(engine=(EngineChoice(spec=EngineSpec(name=name)),)) for name in ("next", "vllm"))
    for one in (by_label, by_name):
        assert [row.combination.engine.called for row in excluded(rows_of(axes), [one])] == ["sglang"]


def test_too_many_cases_are_refused() -> None:
    axes = {**{axis: values[:1] for axis, values in POOL.items()}, "tensor_parallel": list(range(200_001))}
    with pytest.raises(ConfigError, match=r"^spans 200001 cases, more than 200000; split the suite$"):
        spanned(axes)
