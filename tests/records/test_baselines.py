from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.objectives.gates import Change, compare
from pytest_inferbench.objectives.tolerance import FIGURES, Tolerated, parse_fail_on
from pytest_inferbench.objectives.verdict import Outlook, Verdict
from pytest_inferbench.records.baselines import Baseline, Measured, baseline_of, broken, fingerprint, match
from pytest_inferbench.records.record import Imported, Record
from tests.records.example import CASE, SERVED, broken_record, example_record, secretive_record
from tests.traces import lost, streamed, traces_of

TPOT = Tolerated(usual=parse_fail_on("tpot_p50:5%"))
ENVIRONMENT = {"cpu_model": "A CPU", "cores_usable": 4}


def measured(itl_ms: float = 20.0, *, failed: int = 0, **changes: object) -> Measured:
    rows = [*(streamed(100 + i % 5, itl_ms + i % 3, sent_ns=i * 10**9) for i in range(30)), *(lost() for _ in range(failed))]
    traces = traces_of(rows)
    record = replace(example_record(traces), **changes)  # type: ignore[arg-type]  # any field of a record, by name
    return Measured(record=record, traces=traces, environment=ENVIRONMENT)


def baseline(*repeats: Measured, name: str = "main") -> Baseline:
    return baseline_of(repeats or (measured(), measured()), name=name)


def doubt_between(old: Baseline, new: Baseline) -> str:
    (found,) = compare(match(old, new, TPOT).pairs)
    assert found.change is Change.CANNOT_TELL
    return found.reason


def test_records_of_one_case_are_its_repeats_side_by_side() -> None:
    (case,) = baseline(measured(20), measured(30)).cases
    assert case.id == CASE.id
    assert [round(each) for each in case.figures["tpot_p50"].runs] == [21, 31]
    assert [each.attempted for each in case.counts] == [30, 30]
    assert all(each is not None for each in case.figures["tpot_mean"].within)


def test_every_figure_that_was_measured_is_there() -> None:
    (case,) = baseline().cases
    missing = set(FIGURES) - set(case.figures)
    assert {name.rpartition("_")[0] for name in missing} <= {"ttft_reasoning", "ttft_tool", "steady_output"}


def test_without_requests_there_are_figures_without_errors_from_within() -> None:
    (case,) = baseline_of([replace(measured(), traces=None)], name="main").cases
    assert case.figures["tpot_p50"].within == (None,)
    assert case.figures["error_rate"].within[0] is not None


def test_a_slower_run_is_found_by_its_case_id() -> None:
    (found,) = compare(match(baseline(), baseline(measured(30), measured(30.2)), TPOT).pairs)
    assert (found.change, found.case_id) == (Change.REGRESSION, CASE.id)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(measured(), environment={"cpu_model": "Other", "cores_usable": 8}), "machine A CPU, 4 cores -> Other, 8 cores"),
        (replace(measured(), environment={}), "machine A CPU, 4 cores -> unknown"),
        (measured(simulated=True), "simulated no -> yes"),
        (measured(case=replace(CASE, hardware="h100")), "hardware cpu -> h100"),
        (measured(case=replace(CASE, model="other")), "model smollm2-135m -> other"),
        (measured(case=replace(CASE, tensor_parallel=2)), "tensor parallel 1 -> 2"),
        (measured(case=replace(CASE, load=replace(CASE.load, requests=9))), "load c4, 3 requests, 0 warm-up -> c4, 9 requests"),
        (measured(case=replace(CASE, api="completions")), "api chat -> completions"),
        (measured(imported=Imported(tool="guidellm", version="0.3", file="f")), "client pytest-inferbench -> guidellm 0.3"),
    ],
)
def test_what_was_not_measured_alike_is_named_and_not_compared(changed: Measured, words: str) -> None:
    found = doubt_between(baseline(measured()), baseline(changed))
    assert words in found
    assert found.startswith("not measured alike: ")
    assert found.endswith("; save a baseline under these conditions")


def test_another_version_is_what_a_gate_is_for_and_is_named() -> None:
    newer = [measured(served=replace(SERVED, engine_version="b7011", image_digest="sha256:12")) for _ in range(2)]
    found = match(baseline(), baseline(*newer), TPOT)
    assert found.notes == (f"{CASE.id}: engine version b7010 -> b7011, image digest unknown -> sha256:12",)
    assert compare(found.pairs)[0].change is Change.NO_CHANGE


def test_runs_that_are_not_alike_are_no_repeats() -> None:
    new = baseline(measured(), measured(served=replace(SERVED, engine_version="b7011")))
    words = "its runs are not alike (engine version b7010 -> b7011), so they are no repeats of each other"
    assert doubt_between(baseline(), new) == f"in the new run: {words}"
    assert doubt_between(new, baseline()) == f"in the baseline: {words}"


def test_a_repeat_that_broke_is_not_left_out_in_silence() -> None:
    new = baseline(measured(), Measured(record=broken_record()))
    assert doubt_between(baseline(), new).startswith("in the new run: 1 of 2 runs cannot be used: it broke before")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (broken_record(), "it broke before it was measured: engine died: no memory"),
        (replace(broken_record(), error=None), "it was not measured"),
        (example_record(traces_of([lost(), lost()])), "none of its 2 requests completed"),
        (
            replace(example_record(), verdict=Verdict(outlook=Outlook.INVALID, judgements=(), reasons=("the client was late",))),
            "it is invalid: the client was late",
        ),
    ],
)
def test_what_has_no_figures_cannot_be_compared(record: Record, words: str) -> None:
    assert broken(record) == words
    assert doubt_between(baseline(), baseline(Measured(record=record))) == f"in the new run: {words}"


def test_where_more_requests_are_lost_the_others_only_look_fast() -> None:
    new = baseline(measured(10, failed=3), measured(10, failed=3))
    found = doubt_between(baseline(), new)
    assert found.startswith("up to 9.09% of its requests did not complete (0.00% before), and figures are of the others only")
    assert "error_rate:1%" in found


def test_lost_requests_are_a_regression_of_the_error_rate_and_so_many_may_be_lost_as_it_says() -> None:
    new = baseline(measured(failed=3), measured(failed=3))
    strict = compare(match(baseline(), new, Tolerated(usual=parse_fail_on("tpot_p50:5%,error_rate:1%"))).pairs)
    assert [each.change for each in strict] == [Change.CANNOT_TELL, Change.REGRESSION]
    lenient = compare(match(baseline(), new, Tolerated(usual=parse_fail_on("tpot_p50:5%,error_rate:50%"))).pairs)
    assert [each.change for each in lenient] == [Change.NO_CHANGE, Change.NO_CHANGE]


def test_a_case_without_a_partner_is_named_and_nothing_in_common_is_no_success() -> None:
    other = baseline(measured(case=replace(CASE, id="other")), name="new")
    found = match(baseline(), other, TPOT)
    assert found.pairs == ()
    assert found.notes == (
        "other is not in main; save it there to compare it next time",
        "no case of new is in main, so nothing was compared",
    )


def test_a_figure_that_a_case_does_not_have_is_said() -> None:
    (found,) = compare(match(baseline(), baseline(), Tolerated(usual=parse_fail_on("ttft_tool_p50:5%"))).pairs)
    assert (found.change, found.reason) == (Change.CANNOT_TELL, "the baseline has no ttft_tool_p50")


def test_a_fingerprint_holds_no_secret() -> None:
    assert "verySecret" not in repr(fingerprint(Measured(record=secretive_record())))
