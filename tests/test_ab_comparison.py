"""What came of turns, held against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pytest_inferbench.ab import Side, Slot, Turns, plan, run
from pytest_inferbench.ab_comparison import Held, held_json, hold, known_so_far
from pytest_inferbench.objectives.gates import Change
from pytest_inferbench.objectives.tolerance import Tolerated, parse_fail_on
from pytest_inferbench.records.baselines import Measured
from tests.records.example import CASE, SERVED, broken_record, example_record
from tests.traces import streamed, traces_of

TPOT = Tolerated(usual=parse_fail_on("tpot_p50:5%"))


def measured(slot: Slot, *, slower: float = 1.0, **changes: Any) -> Measured:
    itl_ms = (20 + 0.1 * (slot.pair % 3)) * (slower if slot.side is Side.B else 1)
    traces = traces_of([streamed(100 + i % 5, itl_ms, sent_ns=i * 10**9) for i in range(30)])
    record = replace(example_record(traces), run_id=f"run-{slot.side}", **changes)
    return Measured(record=record, traces=traces, environment={"cpu_model": "A CPU", "cores_usable": 4})


def turns(blocks: int = 4, *, measure: Callable[[Slot, str], Measured] | None = None, slower: float = 1.0) -> Turns[Measured]:
    return run(plan(blocks), [CASE.id], measure=measure or (lambda slot, _: measured(slot, slower=slower)))


def held(found: Turns[Measured]) -> Held:
    return hold(found, [CASE.id], TPOT, names=("base", "args.x=1"))


def reason(found: Turns[Measured]) -> str:
    (comparison,) = held(found).compared.comparisons
    assert comparison.change is Change.CANNOT_TELL
    return comparison.reason


def test_a_slower_b_is_a_regression_against_a() -> None:
    found = held(turns(slower=1.1))
    (comparison,) = found.compared.comparisons
    assert (comparison.change, comparison.runs, found.compared.exit_code) == (Change.REGRESSION, (8, 8), 1)
    assert found.compared.baseline == "A (base)"
    assert found.compared.notes == ()


def test_the_same_on_both_sides_is_no_change() -> None:
    found = held(turns())
    assert found.compared.exit_code == 0
    assert found.paired[0].by_blocks


def test_only_whole_blocks_count_and_few_are_said() -> None:
    whole = turns(3)
    cut = replace(whole, taken=whole.taken[:-1])
    found = held(cut)
    assert found.compared.comparisons[0].runs == (4, 4)
    assert found.compared.notes == (
        "fewer than 3 whole blocks: decided by all runs of each side, among which drift counts as noise",
    )


def test_without_a_whole_block_nothing_can_be_told() -> None:
    whole = turns(1)
    assert reason(replace(whole, taken=whole.taken[:3])) == "no block of it was measured whole"
    assert held(replace(whole, taken=())).compared.exit_code == 3


def test_a_case_that_was_lost_says_why() -> None:
    assert reason(replace(turns(), lost={CASE.id: "B in block 2: it ended"})) == "B in block 2: it ended"


def test_a_run_that_broke_is_not_left_out_in_silence() -> None:
    def measure(slot: Slot, _: str) -> Measured:
        spoiled = slot.block == 1 and slot.side is Side.B
        return replace(measured(slot), record=replace(broken_record(), run_id="run-B")) if spoiled else measured(slot)

    assert "2 of 8 runs cannot be used" in reason(turns(measure=measure))


def test_other_gpus_are_not_averaged_over() -> None:
    def measure(slot: Slot, _: str) -> Measured:
        return measured(slot, served=replace(SERVED, gpus=(f"GPU-{slot.side}",)))

    assert reason(turns(measure=measure)) == "not all runs were on the same GPUs (GPU-A; GPU-B), which differ by themselves"


def test_a_model_that_was_changed_on_purpose_is_compared_and_named() -> None:
    def measure(slot: Slot, _: str) -> Measured:
        return measured(slot, case=replace(CASE, model="qwen") if slot.side is Side.B else CASE)

    found = held(turns(measure=measure))
    assert found.compared.exit_code == 0
    assert found.compared.notes[0].startswith(f"{CASE.id}: model {CASE.model} -> qwen, as asked")


def test_json_has_both_tests_and_who_decided() -> None:
    found = held_json(held(turns(slower=1.1)))
    (comparison,) = found["comparisons"]
    assert (comparison["change"], comparison["blocks"], comparison["decided_by"]) == ("regression", 4, "blocks")
    assert set(comparison["all_runs"]) == {"change", "effect", "effect_low", "effect_high", "p_adjusted"}
    assert found["exit_code"] == 1


def test_what_is_known_so_far_is_one_line() -> None:
    assert known_so_far(turns(1, slower=1.1), [CASE.id], TPOT).startswith("tpot_p50 +10.0 % (+")
    assert known_so_far(replace(turns(1), taken=()), [CASE.id], TPOT) == ""
