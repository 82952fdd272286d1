from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import experiment as module
from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Simulation, Traffic
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.lease import hold
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError, DeviceError, EngineDied, EngineNotReady, LoadError, RecordError
from pytest_inferbench.experiment import Experiment, Settings
from pytest_inferbench.launch.endpoint import Endpoint, Server
from pytest_inferbench.launch.pool import Attachment, ServerPool
from pytest_inferbench.load.finding import Finding
from pytest_inferbench.load.floor import Floor
from pytest_inferbench.load.loopback import MODEL, Loopback
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.reader import read_record, read_traces
from pytest_inferbench.records.run_directory import open_run
from pytest_inferbench.replay import recorded_cases
from pytest_inferbench.reporting.progress import Progress
from pytest_inferbench.resume import Asked, Resume, plan
from tests.quiet_machine import quiet_machine
from tests.sessions import QUICK

__all__ = ["quiet_machine"]
pytestmark = pytest.mark.usefixtures("quiet_machine")


CASE = Case(
    id="cpu-openai-loopback-tp1-d8x4-c1",
    suite="s",
    hardware="cpu",
    engine=EngineSpec(name="openai"),
    model=MODEL,
    tensor_parallel=1,
    traffic=Traffic(text="D(8,4)", input_tokens=Lengths(kind="fixed", first=8), output_tokens=Lengths(kind="fixed", first=4)),
    load=Load(concurrency=1, requests=4, warmup=1),
    slo=("ttft_p99 <= 30s",),
    confidence=0.0,
)

# What these cases are measured on, as far as anybody else on this host is concerned.
ELSEWHERE = "http://experiment-test"


@dataclass
class PlainServer:
    """A server that somebody else started, and whose death a test decides."""

    endpoint: Endpoint
    death: str | None = None

    def died(self) -> str | None:
        return self.death

    def log_tail(self, lines: int = 20) -> str:
        del lines
        return ""

    def stop(self) -> None:
        return


@dataclass
class Pool:
    """Gives out one server, and remembers who asked."""

    server: Server
    asked: list[str] = field(default_factory=list)
    attachment: Attachment | None = field(default_factory=lambda: Attachment(url=ELSEWHERE))
    gpus: tuple[Gpu, ...] = ()
    fault: Exception | None = None

    def shared(self, case: Case) -> str | None:
        return None if case.gpus < 2 else "server 2"

    def server_for(self, case: Case) -> Server:
        self.asked.append(case.id)
        if self.fault is not None:
            raise self.fault
        return self.server

    def keep_log(self, case: Case, folder: Path) -> None:
        (folder / "server.log").write_text(f"of {case.id}\n")


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


@pytest.fixture
def server(loopback: Loopback) -> PlainServer:
    return PlainServer(Endpoint(url=loopback.url, model=MODEL, engine="loopback", tokenizer=TokenizerRef(kind="none"), pid=1))


@pytest.fixture
def pool(server: PlainServer) -> Pool:
    return Pool(server)


@pytest.fixture
def make(pool: Pool, tmp_path: Path) -> Callable[..., Experiment]:
    def make_experiment(on_progress: Callable[[Progress], None] = lambda _: None, **settings: Any) -> Experiment:
        run = open_run("r1", output=tmp_path / "run")
        servers: Any = pool
        uploader = settings.pop("uploader", None)
        made = Settings(seeds=Seeds(seed=1, salt=2), **{"calibration": False, **settings})
        return Experiment(run, servers, made, on_progress=on_progress, uploader=uploader)

    return make_experiment


def measured(experiment: Experiment, case: Case = CASE) -> Any:
    return experiment.measure(case, node_id="suite::case", again="pytest suite::case")


def test_a_case_is_measured_judged_and_kept(make: Callable[..., Experiment], tmp_path: Path) -> None:
    experiment = make()
    result = measured(experiment)
    assert result.meets_slo
    assert experiment.records == [result.record]
    folder = tmp_path / "run" / CASE.id
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "metrics.csv",
        "requests.parquet",
        "server.log",
        "summary.json",
        "throughput_latency.png",
    ]
    assert read_record(folder) == result.record
    assert len(read_traces(folder)) == result.summary.counts.attempted == 4
    assert result.record.again == "pytest suite::case"
    assert experiment.troubles == []


def test_a_case_is_driven_by_as_many_load_processes_as_were_asked_for(make: Callable[..., Experiment]) -> None:
    case = replace(CASE, load=replace(CASE.load, concurrency=2))
    assert measured(make(workers=2), case).record.audit.workers == 2


class Sender:
    """Stands for an uploader, and notes what it is told in order with the phases that are shown."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def offer(self, folder: Path) -> None:
        self.heard.append(f"offered {folder.name} with {', '.join(sorted(path.suffix for path in folder.iterdir()))}")

    @contextmanager
    def silent(self) -> Iterator[None]:
        self.heard.append("silent")
        yield
        self.heard.append("not silent")

    def shown(self, state: Progress) -> None:
        if state.phase not in self.heard[-1:]:
            self.heard.append(state.phase)


def test_nothing_is_sent_away_while_a_load_runs_and_a_case_is_when_all_its_files_are_there(
    make: Callable[..., Experiment],
) -> None:
    sender = Sender()
    measured(make(sender.shown, uploader=sender))
    begun, ended = sender.heard.index("silent"), sender.heard.index("not silent")
    assert {"measuring", "warm-up"} >= set(sender.heard[begun + 1 : ended])
    assert sender.heard[begun - 1] == "planning"
    assert sender.heard[ended + 1 :] == ["writing", f"offered {CASE.id} with .csv, .json, .json, .log, .parquet, .png"]


def test_a_case_that_broke_is_sent_away_too(make: Callable[..., Experiment], pool: Pool) -> None:
    sender = Sender()
    pool.fault = EngineNotReady("it did not start")
    with pytest.raises(EngineNotReady):
        measured(make(uploader=sender))
    assert sender.heard == [f"offered {CASE.id} with .json, .log"]


def test_progress_goes_through_all_phases(make: Callable[..., Experiment]) -> None:
    seen: list[Progress] = []
    measured(make(seen.append, cases=3))
    phases = list(dict.fromkeys(state.phase for state in seen))
    # A phase that is over within a quarter of a second may go unseen.
    assert phases[:3] == ["waiting", "starting server", "planning"]
    assert phases[-1] == "writing"
    assert {(state.index, state.total) for state in seen} == {(1, 3)}
    assert all(state.requests_total in (None, 1, 4) for state in seen)


def test_waiting_long_shows_again_where_the_case_is(make: Callable[..., Experiment]) -> None:
    seen: list[Progress] = []
    experiment = make(seen.append)
    experiment.still_here("vllm is starting")
    assert seen == []
    measured(experiment)
    before = len(seen)
    experiment.still_here("vllm is starting")
    assert [(state.phase, state.note) for state in seen[before:]] == [("writing", "vllm is starting")]


def test_objectives_of_the_run_hold_for_every_case(make: Callable[..., Experiment]) -> None:
    result = measured(make(slo=("e2e_p50 <= 30s",)))
    assert [each.objective.text for each in result.verdict.judgements][:2] == ["ttft_p99 <= 30000ms", "e2e_p50 <= 30000ms"]


def test_an_objective_that_cannot_be_read_starts_nothing(make: Callable[..., Experiment], pool: Pool) -> None:
    with pytest.raises(ConfigError, match=r"slo\[0\]: 'quickness <= 1s': 'quickness' is not a metric"):
        measured(make(), replace(CASE, slo=("quickness <= 1s",)))
    assert pool.asked == []


def test_the_same_seeds_give_the_same_plan(make: Callable[..., Experiment], tmp_path: Path) -> None:
    first, second = (measured(make()).record.planned for _ in range(2))
    assert first == second
    assert (tmp_path / "run" / f"{CASE.id}-2").is_dir()


def test_a_case_is_sent_again_as_its_record_says(make: Callable[..., Experiment], tmp_path: Path) -> None:
    first = measured(make()).record
    again = make(replay=recorded_cases(tmp_path / "run"))
    again.settings = replace(again.settings, seeds=Seeds(seed=7, salt=7))
    assert measured(again).record.planned == first.planned


def test_a_case_that_would_not_be_the_same_is_not_sent(
    make: Callable[..., Experiment], server: PlainServer, tmp_path: Path
) -> None:
    measured(make())
    server.endpoint = replace(server.endpoint, model="other")
    experiment = make(replay=recorded_cases(tmp_path / "run"))
    with pytest.raises(LoadError, match=rf"so nothing was sent; different since then: model {MODEL} then, other now"):
        measured(experiment)
    (record,) = experiment.records
    assert (record.verdict.outlook, record.summary) == (Outlook.INVALID, None)


def test_a_case_that_the_record_does_not_have_is_not_sent(make: Callable[..., Experiment], tmp_path: Path) -> None:
    measured(make())
    with pytest.raises(ConfigError, match=f"the record to replay has no case other; it has {CASE.id}"):
        measured(make(replay=recorded_cases(tmp_path / "run")), replace(CASE, id="other"))


def test_fields_of_a_case_go_over_those_of_the_engine(
    make: Callable[..., Experiment], server: PlainServer, tmp_path: Path
) -> None:
    server.endpoint = replace(server.endpoint, extra_body={"cache_prompt": False, "top_k": 1})
    measured(make(), replace(CASE, extra_body='{"top_k": 5, "min_p": null}'))
    manifest = json.loads((tmp_path / "run" / CASE.id / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["extra_body"] == {"cache_prompt": False, "top_k": 5, "min_p": None}


@pytest.mark.parametrize(
    ("changes", "kept"), [({}, False), ({"turns": 2}, True), ({"cache": "warm"}, True), ({"cache": "cold"}, False)]
)
def test_a_case_that_is_about_the_servers_cache_has_it_on(
    make: Callable[..., Experiment], server: PlainServer, tmp_path: Path, changes: dict[str, Any], *, kept: bool
) -> None:
    server.endpoint = replace(server.endpoint, extra_body={"cache_prompt": False}, cache_body={"cache_prompt": True})
    measured(make(), replace(CASE, traffic=replace(CASE.traffic, **changes)))
    manifest = json.loads((tmp_path / "run" / CASE.id / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["extra_body"] == {"cache_prompt": kept}


def test_a_server_that_does_not_start_fails_the_case_and_is_on_record(
    make: Callable[..., Experiment], pool: Pool, tmp_path: Path
) -> None:
    pool.fault = EngineNotReady("it exited with code 1; the last lines of its log:\nout of memory")
    experiment = make()
    with pytest.raises(EngineNotReady):
        measured(experiment)
    record = read_record(tmp_path / "run" / CASE.id)
    assert (record.verdict.outlook, record.error) == (Outlook.FAIL, str(pool.fault))
    assert experiment.records == [record]


def test_a_server_that_is_dead_when_the_load_is_over_fails_the_case(make: Callable[..., Experiment], server: PlainServer) -> None:
    server.death = "it was killed by SIGKILL (signal 9)"
    experiment = make()
    with pytest.raises(EngineDied, match="it was killed by SIGKILL"):
        measured(experiment)
    (record,) = experiment.records
    assert record.verdict.outlook is Outlook.FAIL
    assert record.verdict.reasons[0] == f"the server ended while it was measured: {server.death}"
    assert record.summary is not None
    assert record.summary.counts.completed == 4


def test_ctrl_c_keeps_what_was_measured(make: Callable[..., Experiment], tmp_path: Path) -> None:
    def press(state: Progress) -> None:
        if state.phase == "measuring" and state.requests_done >= 2:
            raise KeyboardInterrupt

    experiment = make(press)
    with pytest.raises(KeyboardInterrupt):
        measured(experiment, replace(CASE, load=replace(CASE.load, requests=5000)))
    record = read_record(tmp_path / "run" / CASE.id)
    assert record.verdict.outlook is Outlook.INVALID
    assert record.verdict.reasons[0] == "interrupted; what was measured until then is kept"
    assert record.error == "interrupted; what was measured until then is kept"
    assert 2 <= len(read_traces(tmp_path / "run" / CASE.id)) < 5000
    assert experiment.records == [record]


def test_a_record_that_cannot_be_written_is_an_error_and_counts_as_one(
    make: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RecordError("summary.json could not be written: the disk is full")

    monkeypatch.setattr(module, "write_case", full)
    experiment = make()
    with pytest.raises(RecordError, match="the disk is full"):
        measured(experiment)
    (record,) = experiment.records
    assert record.verdict.outlook is Outlook.INVALID
    assert record.error == "summary.json could not be written: the disk is full"


def test_a_full_disk_does_not_hide_what_broke_the_case(
    make: Callable[..., Experiment], pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RecordError("the disk is full")

    monkeypatch.setattr(module, "write_case", full)
    pool.fault = EngineNotReady("it exited with code 1")
    with pytest.raises(EngineNotReady, match="it exited with code 1") as caught:
        measured(make())
    assert caught.value.__notes__ == ["Besides, its record could not be kept: the disk is full"]


def test_a_picture_that_cannot_be_drawn_costs_the_case_nothing(
    make: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_case_png", full)
    experiment = make()
    assert measured(experiment).meets_slo
    (trouble,) = experiment.troubles
    assert trouble.endswith("throughput_latency.png could not be drawn: No space left on device")


def test_a_fault_of_ours_is_on_record_too(make: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LoadError("the load process ended unexpectedly")

    monkeypatch.setattr(module, "make_plan", broken)
    experiment = make()
    with pytest.raises(LoadError):
        measured(experiment)
    assert [record.verdict.outlook for record in experiment.records] == [Outlook.INVALID]


def test_what_somebody_else_measures_on_is_waited_for_and_named(make: Callable[..., Experiment], pool: Pool) -> None:
    experiment = make(lease_timeout_s=0.2)
    with (
        hold(ELSEWHERE, timeout_s=10, what="their benchmark"),
        pytest.raises(DeviceError, match=r"http://experiment-test was not free within 0.2 s: .*their benchmark"),
    ):
        measured(experiment)
    assert pool.asked == []
    assert [record.verdict.outlook for record in experiment.records] == [Outlook.INVALID]


def test_waiting_for_others_is_no_time_of_the_case(make: Callable[..., Experiment]) -> None:
    experiment = make()
    began = threading.Event()

    def hold_a_while() -> None:
        with hold(ELSEWHERE, timeout_s=10):
            began.set()
            time.sleep(1)

    other = threading.Thread(target=hold_a_while)
    other.start()
    began.wait()
    started_s = time.monotonic()
    wall_s = measured(experiment).record.wall_s
    other.join()
    assert time.monotonic() - started_s - wall_s > 0.5


def test_who_wants_the_host_alone_holds_it_as_well(make: Callable[..., Experiment], pool: Pool) -> None:
    pool.attachment = None
    on_gpu = replace(CASE, hardware="h100")
    shared, alone = make(), make(exclusive=True)
    assert (shared._resources(CASE), shared._resources(on_gpu)) == (("cpu",), ())
    assert (alone._resources(CASE), alone._resources(on_gpu)) == (("host", "cpu"), ("host",))
    assert alone._resources(replace(on_gpu, tensor_parallel=2)) == ("host", "server 2")


@pytest.mark.parametrize(
    ("simulation", "disturbed", "times"),
    [
        (Simulation(), 0, 1),
        (Simulation(), 1, 2),
        (Simulation(), 9, 3),
        (Simulation(faults=("wrong-usage=+5",)), 9, 1),
        (None, 9, 1),
    ],
)
def test_a_simulated_load_that_was_disturbed_is_driven_again_and_a_real_one_is_what_it_is(
    make: Callable[..., Experiment],
    monkeypatch: pytest.MonkeyPatch,
    simulation: Simulation | None,
    disturbed: int,
    times: int,
) -> None:
    loads: list[None] = []
    load = Experiment._load
    spoilt = Finding(what="answers were read late", advice="run again", invalidates=True)

    def counted(*arguments: Any) -> None:
        loads.append(None)
        load(*arguments)

    monkeypatch.setattr(Experiment, "_load", counted)
    monkeypatch.setattr(module, "spoiling", lambda *_: (spoilt,) if len(loads) <= disturbed else ())
    monkeypatch.setattr("pytest_inferbench.simulation.favoured", lambda _: nullcontext())
    result = make().measure(replace(CASE, simulation=simulation), node_id="n", again="a")
    assert len(loads) == times
    assert result.summary.counts.completed == CASE.load.requests


def test_a_run_calibrates_once_and_every_record_has_the_floor(
    make: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    floors = [Floor(first_p50_ms=0.01, first_p99_ms=0.02, lag_p50_ms=0.1, lag_p99_ms=0.2, requests=9, clock="kernel")]
    monkeypatch.setattr(module, "quick", floors.pop)
    experiment = make(calibration=True)
    audits = [measured(experiment).record.audit for _ in range(2)]
    assert [audit.floor.first_p99_ms for audit in audits] == [0.02, 0.02]


def test_a_calibration_that_fails_costs_a_sentence(make: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Floor:
        raise LoadError("a request did not complete")

    monkeypatch.setattr(module, "quick", broken)
    experiment = make(calibration=True)
    assert measured(experiment).record.audit.floor is None
    assert measured(experiment).meets_slo
    assert experiment.notices == ["how right times measured here are could not be found: a request did not complete"]


def test_a_run_that_goes_on_measures_only_what_has_no_result_that_counts(
    make: Callable[..., Experiment], pool: Pool, tmp_path: Path
) -> None:
    first = measured(make())
    asked = len(pool.asked)
    run = tmp_path / "run"
    going_on = make(resume=Resume(plan=plan(run), asked=Asked(endpoint=first.record.served.url)))
    again = measured(going_on)
    assert again.record == read_record(run / CASE.id)
    assert (going_on.resumed, len(pool.asked)) == (1, asked)
    assert going_on.records == [again.record]
    longer = replace(CASE, load=replace(CASE.load, requests=5))
    assert measured(going_on, longer).record.summary.counts.attempted == 5
    assert going_on.notices == [f"{CASE.id} is measured again: load.requests: 4 -> 5"]


def test_an_endpoint_is_one_resource_however_its_address_is_written(make: Callable[..., Experiment], loopback: Loopback) -> None:
    experiment = make()
    names: set[str] = set()
    for url in (loopback.url, f"{loopback.url}/", f"{loopback.url}/v1", loopback.url.removeprefix("http://")):
        experiment.pool = ServerPool(folder=Path(), attachment=Attachment(url=url))
        names.update(experiment._resources(CASE))
    assert names == {loopback.url}
