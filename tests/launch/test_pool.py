from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import ApiOptions, Case, EngineSpec, Lengths, Load, Simulation, Tool, Traffic
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.gpu_lease import GpusWanted, lease_gpus
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.errors import ConfigError, DeviceError, EngineError, EngineNotReady
from pytest_inferbench.launch import pool as pool_module
from pytest_inferbench.launch.attached import Wanted
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.fake import FakeServer, fake_endpoint
from pytest_inferbench.launch.pool import Attachment, ServerPool, Stay

ONE = Lengths(kind="fixed", first=1)
CASE = Case(
    id="a",
    suite="s",
    hardware="cpu",
    engine=EngineSpec(name="tiny"),
    model="m",
    tensor_parallel=1,
    traffic=Traffic(text="D(1,1)", input_tokens=ONE, output_tokens=ONE),
    load=Load(concurrency=1),
)
SAME = replace(CASE, id="b", load=Load(concurrency=2))
OTHER = replace(CASE, id="c", model="n")


class Tiny:
    name = "tiny"

    def server(self, case: Case) -> ServerSpec:
        model = ModelFiles(load_from=case.model, served_name=case.model, tokenizer=TokenizerRef(kind="none"))
        return ServerSpec(key=case.server_key, engine=self.name, argv=("x", "{port}"), model=model)


class Stage:
    """A starter that hands out what it was given, and remembers."""

    def __init__(self, *servers: FakeServer | Exception) -> None:
        self.servers = list(servers)
        self.specs: list[ServerSpec] = []
        self.logs: list[Path] = []
        self.told: list[tuple[tuple[Gpu, ...], str, bool]] = []

    def __call__(
        self,
        spec: ServerSpec,
        *,
        gpus: tuple[Gpu, ...],
        log_path: Path,
        progress: Callable[[str], None],
        run_id: str,
        kept: bool,
    ) -> Server:
        progress("x")
        self.told.append((gpus, run_id, kept))
        self.specs.append(spec)
        self.logs.append(log_path)
        server = self.servers.pop(0)
        if isinstance(server, Exception):
            raise server
        return server


def pool_of(stage: Stage, folder: Path, stay: Stay | None = None) -> ServerPool:
    return ServerPool(folder=folder, stay=stay or Stay(), starters={"process": stage}, engine_of=lambda _: Tiny())


def test_cases_of_one_key_share_one_start(tmp_path: Path) -> None:
    stage = Stage(FakeServer())
    pool = pool_of(stage, tmp_path)
    assert pool.server_for(CASE) is pool.server_for(SAME)
    assert len(stage.specs) == 1
    assert stage.logs[0] == tmp_path / f"tiny-{CASE.server_key}-1.log"


def test_another_key_gets_another_server_and_the_first_is_stopped_before(tmp_path: Path) -> None:
    first, second = FakeServer(), FakeServer()
    pool = pool_of(Stage(first, second), tmp_path)
    pool.server_for(CASE)
    assert pool.server_for(OTHER) is second
    assert (first.stops, second.stops) == (1, 0)


def test_a_server_that_died_is_replaced_with_a_log_of_its_own(tmp_path: Path) -> None:
    first, second = FakeServer(deaths=["it exited with code 1"]), FakeServer()
    stage = Stage(first, second)
    pool = pool_of(stage, tmp_path)
    assert pool.server_for(CASE) is first
    assert pool.server_for(CASE) is second
    assert first.stops == 1
    assert [path.name for path in stage.logs] == [f"tiny-{CASE.server_key}-1.log", f"tiny-{CASE.server_key}-2.log"]


def test_two_pools_in_one_folder_do_not_share_logs(tmp_path: Path) -> None:
    one, two = Stage(FakeServer()), Stage(FakeServer())
    pool_of(one, tmp_path).server_for(CASE)
    pool_of(two, tmp_path).server_for(CASE)
    assert one.logs != two.logs


def test_a_discarded_server_is_stopped_and_replaced(tmp_path: Path) -> None:
    first, second = FakeServer(), FakeServer()
    pool = pool_of(Stage(first, second), tmp_path)
    pool.discard(CASE)
    pool.server_for(CASE)
    pool.discard(SAME)
    assert first.stops == 1
    assert pool.server_for(CASE) is second


def test_closing_stops_what_runs_and_can_be_done_twice(tmp_path: Path) -> None:
    server = FakeServer()
    pool = pool_of(Stage(server), tmp_path)
    pool.server_for(CASE)
    pool.close()
    pool.close()
    assert server.stops == 1


def test_what_cannot_be_stopped_is_said(tmp_path: Path) -> None:
    class Stubborn(FakeServer):
        def stop(self) -> None:
            raise EngineError("these processes of a server are left: 5")

    pool = pool_of(Stage(Stubborn(), FakeServer()), tmp_path)
    pool.server_for(CASE)
    assert isinstance(pool.server_for(OTHER), FakeServer)
    assert pool.troubles == ["these processes of a server are left: 5"]
    pool.close()
    pool.close()
    assert pool.troubles == ["these processes of a server are left: 5"]


def test_after_two_failed_starts_the_rest_fails_at_once_in_the_same_words(tmp_path: Path) -> None:
    stage = Stage(EngineNotReady("one"), EngineNotReady("no such device"), FakeServer())
    pool = pool_of(stage, tmp_path)
    for words in ("one", "no such device"):
        with pytest.raises(EngineNotReady, match=f"^{words}$"):
            pool.server_for(CASE)
    with pytest.raises(EngineNotReady) as error:
        pool.server_for(SAME)
    assert str(error.value) == "not tried again, since it failed 2 times: no such device"
    assert len(stage.specs) == 2
    assert isinstance(pool.server_for(OTHER), FakeServer)


def test_a_start_that_works_forgives_the_failed_one(tmp_path: Path) -> None:
    stage = Stage(EngineNotReady("one"), FakeServer(deaths=["x"]), EngineNotReady("two"), FakeServer())
    pool = pool_of(stage, tmp_path)
    for works in (False, True, False, True):
        if works:
            pool.server_for(CASE)
        else:
            with pytest.raises(EngineNotReady):
                pool.server_for(CASE)


def test_an_attached_endpoint_serves_all_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def attach(url: str, **more: Any) -> Server:
        asked.append((url, more))
        return FakeServer()

    monkeypatch.setattr(pool_module, "attach", attach)
    stage = Stage()
    pool = ServerPool(folder=tmp_path, starters={"process": stage}, attachment=Attachment(url="http://h", api_key_env="K"))
    case = replace(CASE, model="/models/m.gguf")
    assert pool.server_for(case) is pool.server_for(replace(case, tensor_parallel=2))
    wanted = Wanted(preferred=("/models/m.gguf", "m"))
    assert asked == [("http://h", {"model": None, "wanted": wanted, "api_key_env": "K", "tokenizer": None})]
    assert stage.specs == []
    assert list(tmp_path.iterdir()) == []
    pool.server_for(replace(case, api="tgi", api_options=ApiOptions(headers=(("X-Team", "speed"),), ca_file="/house.pem")))
    again = asked[-1][1]["wanted"]
    assert (again.openai, again.access.headers.headers, again.access.ca_file) == (False, (("X-Team", "speed"),), "/house.pem")


@pytest.fixture
def two_gpus() -> Iterator[None]:
    inventory.use(inventory.declared("2xa10"))
    yield
    inventory.use(None)


def on_gpus(count: int, *, model: str = "m") -> Case:
    return replace(CASE, id=f"tp{count}-{model}", hardware="a10", tensor_parallel=count, model=model)


def can_be_leased(count: int) -> bool:
    try:
        lease_gpus(inventory.detected(), GpusWanted(hardware="a10", count=count), timeout_s=0).release()
    except DeviceError:
        return False
    return True


@pytest.mark.usefixtures("two_gpus")
def test_a_server_has_gpus_that_nobody_else_gets_until_it_has_stopped(tmp_path: Path) -> None:
    stage = Stage(FakeServer(), FakeServer())
    pool = pool_of(stage, tmp_path)
    pool.server_for(on_gpus(1))
    assert [gpu.name for gpu in pool.gpus] == ["a10"]
    assert (can_be_leased(1), can_be_leased(2)) == (True, False)
    pool.server_for(on_gpus(2))
    assert [len(gpus) for gpus, _, _ in stage.told] == [1, 2]
    assert not can_be_leased(1)
    pool.close()
    assert can_be_leased(2)


@pytest.mark.usefixtures("two_gpus")
def test_a_simulated_server_for_any_gpu_is_told_which_it_got(tmp_path: Path) -> None:
    stage = Stage(FakeServer(), FakeServer())
    pool = pool_of(stage, tmp_path)
    case = replace(on_gpus(1), hardware="gpu", simulation=Simulation())
    pool.server_for(case)
    (spec,) = stage.specs
    assert spec.argv[spec.argv.index("--hardware") + 1] == "a10"
    assert spec.key == case.server_key
    pool.server_for(replace(case, id="again"))
    assert len(stage.specs) == 1
    pool.close()


def test_a_tool_that_needs_no_server_is_refused_before_one_is_started(tmp_path: Path) -> None:
    stage = Stage(FakeServer())
    tool = Tool(name="vllm-throughput", image="vllm:1", results="/results")
    with pytest.raises(ConfigError) as caught:
        pool_of(stage, tmp_path).server_for(replace(CASE, tool=tool))
    assert str(caught.value) == (
        "vllm-throughput has its engine in itself and would need the GPUs for its own container, which is not done here;"
        " leave tool=container out, and all requests are sent at once to a server"
    )
    assert stage.specs == []


@pytest.mark.usefixtures("two_gpus")
def test_a_server_that_does_not_start_gives_its_gpus_back(tmp_path: Path) -> None:
    pool = pool_of(Stage(EngineNotReady("no such device")), tmp_path)
    with pytest.raises(EngineNotReady):
        pool.server_for(on_gpus(2))
    assert can_be_leased(2)
    assert pool.gpus == ()


@pytest.mark.usefixtures("two_gpus")
def test_gpus_that_others_hold_are_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    pool = pool_of(Stage(), tmp_path, Stay(lease_timeout_s=0.1))
    held = lease_gpus(inventory.detected(), GpusWanted(hardware="a10", count=1, what="theirs"), timeout_s=1)
    with held, pytest.raises(DeviceError, match=r"2 x a10 were not free within 0.1 s: .*theirs"):
        pool.server_for(on_gpus(2))


def test_a_case_that_asks_for_a_fresh_server_gets_one_unless_it_has_it_already(tmp_path: Path) -> None:
    first, second = FakeServer(), FakeServer()
    pool = pool_of(Stage(first, second), tmp_path)
    fresh = replace(SAME, fresh_server=True)
    pool.server_for(CASE)
    assert pool.server_for(fresh) is second
    assert pool.server_for(fresh) is second
    assert (first.stops, second.stops) == (1, 0)


def test_between_two_cases_a_server_is_cleaned_and_between_two_looks_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[Server] = []

    def clean(server: Server) -> tuple[str, ...]:
        cleaned.append(server)
        return ("the prompt cache was not reset",)

    monkeypatch.setattr(pool_module, "clean", clean)
    server = FakeServer()
    pool = pool_of(Stage(server), tmp_path)
    pool.server_for(CASE)
    pool.server_for(CASE)
    assert cleaned == []
    pool.server_for(SAME)
    assert cleaned == [server]
    assert pool.notices == ["the prompt cache was not reset"]


def test_a_server_that_is_not_well_is_replaced_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean(server: Server) -> tuple[str, ...]:
        del server
        raise EngineNotReady("it last said: 503\nthe last lines of its log")

    monkeypatch.setattr(pool_module, "clean", clean)
    first, second = FakeServer(), FakeServer()
    pool = pool_of(Stage(first, second), tmp_path)
    pool.server_for(CASE)
    assert pool.server_for(SAME) is second
    assert first.stops == 1
    assert pool.notices == ["a new server was started for b: it last said: 503"]


def test_servers_that_are_to_be_kept_are_not_stopped(tmp_path: Path) -> None:
    first, second = FakeServer(), FakeServer()
    stage = Stage(first, second)
    pool = pool_of(stage, tmp_path, Stay(run_id="r", keep=True))
    pool.server_for(CASE)
    pool.server_for(OTHER)
    pool.close()
    assert pool.kept == [first, second]
    assert (first.stops, second.stops) == (0, 0)
    assert stage.told == [((), "r", True), ((), "r", True)]


def test_a_kept_server_is_used_only_when_asked_and_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, started = FakeServer(), FakeServer()
    monkeypatch.setattr(pool_module, "kept_server", lambda spec, *, progress: kept if progress(spec.engine) is None else None)
    assert pool_of(Stage(started), tmp_path).server_for(CASE) is started
    pool = pool_of(Stage(), tmp_path, Stay(reuse=True))
    assert pool.server_for(CASE) is kept
    pool.close()
    assert kept.stops == 0


class Loud(Stage):
    """A starter whose servers log that they start."""

    def __call__(self, spec: ServerSpec, *, log_path: Path, **more: Any) -> Server:
        log_path.write_text("starting\n")
        more["log_path"] = log_path
        super().__call__(spec, **more)
        return FakeServer(fake_endpoint(log_path=log_path))


def says(stage: Stage, text: str) -> None:
    with stage.logs[-1].open("a") as file:
        file.write(text)


def folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return tmp_path / "a", tmp_path / "b"


def test_each_case_has_what_its_server_logged_for_it_and_who_started_it_the_start_too(tmp_path: Path) -> None:
    a, b = folders(tmp_path)
    stage = Loud(FakeServer())
    pool = pool_of(stage, tmp_path / "servers")
    pool.server_for(CASE)
    says(stage, "for a\n")
    pool.keep_log(CASE, a)
    says(stage, "between\n")
    pool.server_for(SAME)
    says(stage, "for b\n")
    pool.keep_log(SAME, b)
    assert (a / "server.log").read_text() == "starting\nfor a\n"
    assert (b / "server.log").read_text() == "for b\n"
    pool.close()
    pool.keep_log(SAME, b)
    assert (b / "server.log").read_text() == "for b\n", "also once the server is gone"


def test_a_case_whose_server_did_not_start_has_the_log_of_the_try_and_no_other_one(tmp_path: Path) -> None:
    a, b = folders(tmp_path)
    stage = Loud(FakeServer(), EngineNotReady("no"))
    pool = pool_of(stage, tmp_path / "servers")
    pool.server_for(CASE)
    with pytest.raises(EngineNotReady):
        pool.server_for(OTHER)
    pool.keep_log(OTHER, b)
    pool.keep_log(CASE, a)
    assert (b / "server.log").read_text() == "starting\n"
    assert not (a / "server.log").exists(), "its turn is over"


def test_a_case_that_got_no_further_than_its_name_has_no_log(tmp_path: Path) -> None:
    a, _ = folders(tmp_path)
    pool = pool_of(Loud(FakeServer()), tmp_path / "servers")
    pool.keep_log(CASE, a)
    attached = ServerPool(folder=tmp_path, attachment=Attachment(url="http://127.0.0.1:9"))
    attached.keep_log(CASE, a)
    assert list(a.iterdir()) == []


def test_a_log_that_cannot_be_copied_is_a_trouble_and_no_failure(tmp_path: Path) -> None:
    stage = Loud(FakeServer())
    pool = pool_of(stage, tmp_path / "servers")
    pool.server_for(CASE)
    pool.keep_log(CASE, tmp_path / "gone")
    assert pool.troubles == [f"{tmp_path / 'gone' / 'server.log'} could not be written: No such file or directory"]


def test_an_attached_endpoint_that_is_not_well_is_looked_at_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["it last said: 503", None]
    attached = [FakeServer(), FakeServer()]
    looked = list(attached)
    monkeypatch.setattr(pool_module, "attach", lambda *_, **__: looked.pop(0))
    monkeypatch.setattr(pool_module, "illness", lambda *_, **__: answers.pop(0))
    pool = ServerPool(folder=tmp_path, attachment=Attachment(url="http://h"))
    first = pool.server_for(CASE)
    assert pool.server_for(CASE) is first
    assert pool.server_for(SAME) is attached[1]
    assert pool.server_for(CASE) is attached[1]
    assert pool.notices == ["http://127.0.0.1:9 was looked at anew for b: it last said: 503"]
    assert [server.stops for server in attached] == [0, 0]
