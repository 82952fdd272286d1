from math import inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pytest_inferbench.metrics.telemetry.exposition import Decoder, NoMetrics
from pytest_inferbench.metrics.telemetry.names import Sample
from tests.metrics.telemetry.answers import VLLM


def test_names_labels_and_values_are_as_the_server_wrote_them() -> None:
    samples = Decoder().samples(VLLM)
    assert samples[0] == Sample("vllm:num_requests_running", (("engine", "0"), ("model_name", "m")), 3.0)
    assert "vllm:num_preemptions_total" in [sample.name for sample in samples]
    assert len(samples) == sum(not line.startswith("#") for line in VLLM.splitlines())


def test_values_may_be_no_number_and_infinite() -> None:
    first, second = Decoder().samples("a NaN\nb +Inf\n")
    assert isnan(first.value)
    assert second.value == inf


def test_an_answer_without_samples_is_one() -> None:
    assert Decoder().samples("") == []
    assert Decoder().samples("# HELP a b\n\r\n") == []


@pytest.mark.parametrize("text", ["<!doctype html><html></html>", '{"error": "no"}', "hello world", "a{ 1", 'a{b="c} 1', "\x00"])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(NoMetrics, match=r"."):
        Decoder().samples(text)


def test_after_garbage_the_next_answer_is_read() -> None:
    decoder = Decoder()
    before = decoder.samples("a 1\n")
    with pytest.raises(NoMetrics):
        decoder.samples("a 1\nhello\n")
    assert decoder.samples("a 1\n") == before


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3)), max_size=20))
def test_a_line_that_comes_again_is_the_same_sample_as_one_that_is_new(changes: list[tuple[str, int]]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "A gauge.", ["label"], registry=registry)
    counter = Counter("c", "A counter.", registry=registry)
    histogram = Histogram("h", "A histogram.", buckets=[1, 2], registry=registry)
    decoder = Decoder()
    for label, value in changes:
        gauge.labels(label).set(value)
        counter.inc(value)
        histogram.observe(value)
        text = generate_latest(registry).decode()
        assert decoder.samples(text) == Decoder().samples(text)
        assert Sample("g", (("label", label),), value) in decoder.samples(text)
