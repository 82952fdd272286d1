from dataclasses import fields, replace

import pytest

from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.scrape import Scrape
from pytest_inferbench.metrics.telemetry.summarise import increase, summarise
from pytest_inferbench.metrics.telemetry.telemetry import ServerUse, Telemetry

SECOND = 1_000_000_000
WINDOW = (10 * SECOND, 20 * SECOND)


def sample(tick: int, *, gpu: int = 0) -> GpuSample:
    """A reading each half second; it draws 100 W, and 200 W a GPU further on."""
    return GpuSample(
        timestamp_ns=tick * SECOND // 2,
        gpu=gpu,
        memory_used_bytes=1000 + tick,
        memory_total_bytes=5000,
        utilization_percent=float(tick),
        power_w=100.0 + 200.0 * gpu,
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=30.0 + tick,
        throttle_reasons="power_cap+idle" if tick % 2 else "",
    )


TWO_GPUS = tuple(sample(tick, gpu=gpu) for tick in range(60) for gpu in (0, 1))


def vllm(at_s: float, **values: float) -> Scrape:
    names = {"running": "num_requests_running", "waiting": "num_requests_waiting", "kv": "kv_cache_usage_perc"}
    names |= {"preempted": "num_preemptions_total", "hits": "prefix_cache_hits_total", "queries": "prefix_cache_queries_total"}
    text = "".join(f"vllm:{names[name]} {value}\n" for name, value in values.items())
    return Scrape(round(at_s * SECOND), text)


def server(*scrapes: Scrape) -> ServerUse:
    use = summarise(Readings(scrapes=scrapes), window_ns=WINDOW, output_tokens=None).server
    assert use is not None
    return use


def test_each_gpu_is_summed_up_over_the_window_alone() -> None:
    first, second = summarise(Readings(gpus=TWO_GPUS), window_ns=WINDOW, output_tokens=None).gpus
    assert (first.gpu, second.gpu) == (0, 1)
    assert first.samples == 21
    assert first.utilization_percent_mean == 30
    assert first.utilization_percent_max == 40
    assert first.memory_used_bytes_max == 1040
    assert first.memory_total_bytes == 5000
    assert first.temperature_c_max == 70
    assert first.sm_clock_mhz_mean == 1980
    assert first.energy_j == pytest.approx(1000)
    assert first.power_w_mean == pytest.approx(100)
    assert second.energy_j == pytest.approx(3000)


def test_joules_of_all_gpus_are_shared_out_among_the_output_tokens() -> None:
    found = summarise(Readings(gpus=TWO_GPUS), window_ns=WINDOW, output_tokens=8000)
    assert found.window_s == 10
    assert found.energy_j == pytest.approx(4000)
    assert found.joules_per_output_token == pytest.approx(0.5)


@pytest.mark.parametrize("output_tokens", [None, 0])
def test_without_tokens_there_are_no_joules_per_token(output_tokens: int | None) -> None:
    found = summarise(Readings(gpus=TWO_GPUS), window_ns=WINDOW, output_tokens=output_tokens)
    assert found.energy_j is not None
    assert found.joules_per_output_token is None


def test_one_gpu_without_power_leaves_the_sum_unknown() -> None:
    gpus = tuple(each if each.gpu == 0 else each._replace(power_w=None) for each in TWO_GPUS)
    found = summarise(Readings(gpus=gpus), window_ns=WINDOW, output_tokens=10)
    assert found.gpus[0].energy_j == pytest.approx(1000)
    assert (found.gpus[1].energy_j, found.gpus[1].power_w_mean) == (None, None)
    assert (found.energy_j, found.joules_per_output_token) == (None, None)


def test_readings_that_end_in_the_middle_of_the_window_have_no_energy() -> None:
    found = summarise(Readings(gpus=TWO_GPUS[:60]), window_ns=WINDOW, output_tokens=10)
    assert found.gpus[0].samples > 0
    assert found.energy_j is None


def test_being_held_back_counts_and_idling_does_not() -> None:
    (gpu,) = summarise(Readings(gpus=tuple(map(sample, range(60)))), window_ns=WINDOW, output_tokens=None).gpus
    assert gpu.throttled_share == pytest.approx(10 / 21)
    assert gpu.throttle_reasons == ("power_cap",)


def test_what_a_gpu_never_says_stays_unknown() -> None:
    gpus = tuple(GpuSample(timestamp_ns=second * SECOND, gpu=3) for second in range(30))
    (gpu,) = summarise(Readings(gpus=gpus), window_ns=WINDOW, output_tokens=None).gpus
    known = {"gpu", "samples", "throttle_reasons"}
    assert gpu.samples == 11
    assert all(getattr(gpu, field.name) is None for field in fields(gpu) if field.name not in known)


def test_the_largest_of_the_server_are_those_within_the_window() -> None:
    use = server(
        vllm(9, running=99, waiting=99, kv=0.99),
        vllm(12, running=3, waiting=0, kv=0.5),
        vllm(14, running=2, waiting=7, kv=0.25),
        vllm(21, running=98, waiting=98, kv=0.98),
    )
    assert (use.scrapes, use.running_max, use.waiting_max, use.kv_cache_usage_max) == (2, 3, 7, 0.5)


def test_counts_are_from_just_before_the_window_to_just_after_it() -> None:
    use = server(
        vllm(1, preempted=0, hits=0, queries=0),
        vllm(9.5, preempted=5, hits=100, queries=400),
        vllm(15, preempted=6, hits=100, queries=600),
        vllm(20.5, preempted=9, hits=160, queries=1000),
        vllm(30, preempted=50, hits=900, queries=9000),
    )
    assert use.preemptions == 4
    assert use.prefix_cache_hit_rate == pytest.approx(0.1)


@pytest.mark.parametrize("at_s", [(9, 15), (15, 21), (15,), (9,), (21,)])
def test_counts_that_are_not_known_on_both_sides_of_the_window_are_unknown(at_s: tuple[float, ...]) -> None:
    use = server(*(vllm(at, preempted=at, hits=at, queries=2 * at) for at in at_s))
    assert (use.preemptions, use.prefix_cache_hit_rate) == (None, None)


def test_a_count_that_went_down_is_unknown() -> None:
    assert server(vllm(9, preempted=5), vllm(21, preempted=2)).preemptions is None


def test_a_cache_that_nobody_asked_has_no_hit_rate() -> None:
    assert server(vllm(9, hits=5, queries=9), vllm(21, hits=5, queries=9)).prefix_cache_hit_rate is None


def test_a_count_that_appears_began_at_none() -> None:
    assert increase({}, {"preemptions": 3}, "preemptions") == 3
    assert increase({"preemptions": 3}, {}, "preemptions") is None


def test_the_servers_own_latencies_are_means_over_the_window() -> None:
    name = "vllm:time_to_first_token_seconds"
    texts = [f"{name}_sum {total}\n{name}_count {count}\n" for total, count in ((1.0, 10), (3.0, 14))]
    use = server(Scrape(9 * SECOND, texts[0]), Scrape(21 * SECOND, texts[1]))
    assert use.first_token_s_mean == pytest.approx(0.5)


def test_answers_that_are_no_metrics_are_said_once() -> None:
    readings = Readings(scrapes=(Scrape(1, "hello"), Scrape(2, "hello")), metrics_url="http://h/metrics")
    found = summarise(readings, window_ns=WINDOW, output_tokens=None)
    assert found.server is None
    assert found.troubles == ("what http://h/metrics answers is no Prometheus text: could not convert string to float: 'hello'",)


def test_some_answers_that_are_no_metrics_are_counted() -> None:
    readings = Readings(scrapes=(vllm(9, waiting=1), Scrape(11 * SECOND, "hello"), vllm(12, waiting=4)), metrics_url="http://h/m")
    found = summarise(replace(readings, troubles=("one before",)), window_ns=WINDOW, output_tokens=None)
    assert found.server is not None
    assert found.server.waiting_max == 4
    assert found.troubles == (
        "one before",
        "1 of 3 answers of http://h/m are no Prometheus text: could not convert string to float: 'hello'",
    )


def test_nothing_seen_is_nothing_said() -> None:
    assert summarise(Readings(), window_ns=WINDOW, output_tokens=5) == Telemetry(window_s=10)
