import pytest

from pytest_inferbench.load.finding import Finding
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.lateness import Lateness, lateness_findings, simulator_lateness
from pytest_inferbench.metrics.telemetry.scrape import Scrape

WINDOW = (100, 200)


def counts(at_ns: int, tokens: float, late: float) -> Scrape:
    text = (
        "# TYPE inferbench_simulator_tokens_total counter\n"
        f"inferbench_simulator_tokens_total {tokens}\n"
        f'inferbench_simulator_late_tokens_total{{model_name="m"}} {late}\n'
        "vllm:num_requests_running 3\nno metrics at all {\n"
    )
    return Scrape(at_ns, text)


def said(*scrapes: Scrape, simulated: bool = True) -> tuple[Finding, ...]:
    return lateness_findings(Readings(scrapes=scrapes, simulated=simulated), window_ns=WINDOW)


def test_counts_are_those_between_the_answers_around_the_window() -> None:
    scrapes = (
        counts(50, 1000, 900),
        counts(100, 2000, 900),
        counts(150, 2500, 901),
        counts(210, 4000, 910),
        counts(300, 9000, 9000),
    )
    found = simulator_lateness(Readings(scrapes=scrapes), window_ns=WINDOW)
    assert found == Lateness(tokens=2000, late_tokens=10)
    assert found.late_share == 0.005


@pytest.mark.parametrize(
    "scrapes",
    [
        (),
        (counts(50, 1, 0),),
        (counts(210, 1, 0),),
        (Scrape(50, "a 1\n"), Scrape(210, "a 1\n")),
        (counts(50, 100, 0), counts(210, 1, 0)),
        (counts(50, 1, 0), Scrape(210, "inferbench_simulator_tokens_total {\n")),
    ],
)
def test_without_counts_at_both_ends_nothing_is_known(scrapes: tuple[Scrape, ...]) -> None:
    assert simulator_lateness(Readings(scrapes=scrapes), window_ns=WINDOW) is None
    (finding,) = said(*scrapes)
    assert finding.what == "the simulated server did not say at both ends of the load how late its tokens were"
    assert finding.advice == "its figures may be those of a busy machine: run again"
    assert not finding.invalidates


def test_more_than_one_late_token_in_a_hundred_invalidates() -> None:
    (finding,) = said(counts(50, 0, 0), counts(210, 1000, 11))
    assert finding == Finding(
        what="the simulated server sent 11 of 1000 tokens (1.10%) more than 2 ms later than its model says",
        advice="give server and client more CPU (fewer cases at once, taskset), or lower the load",
        invalidates=True,
    )


def test_fewer_late_tokens_are_a_note_and_hardly_any_are_nothing() -> None:
    (note,) = said(counts(50, 0, 0), counts(210, 1000, 10))
    assert not note.invalidates
    assert said(counts(50, 0, 0), counts(210, 1000, 1)) == ()


def test_a_server_that_sent_no_tokens_was_not_late() -> None:
    assert said(counts(50, 5, 1), counts(210, 5, 1)) == ()


def test_nothing_is_said_of_a_real_server() -> None:
    assert said(simulated=False) == ()
