from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import ApiOptions, Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import pool as pool_module
from pytest_inferbench.launch.attached import Wanted
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.fake import FakeServer
from pytest_inferbench.launch.pool import Attachment, ServerPool

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

    def __call__(self, spec: ServerSpec, *, log_path: Path, progress: Callable[[str], None]) -> Server:
        progress("x")
        self.specs.append(spec)
        self.logs.append(log_path)
        server = self.servers.pop(0)
        if isinstance(server, Exception):
            raise server
        return server


def pool_of(stage: Stage, folder: Path) -> ServerPool:
    return ServerPool(folder=folder, starter=stage, engine_of=lambda _: Tiny())


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

    pool = pool_of(Stage(Stubborn()), tmp_path)
    pool.server_for(CASE)
    with pytest.raises(EngineError, match="these processes of a server are left: 5"):
        pool.close()
    pool.close()


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
    pool = ServerPool(folder=tmp_path, starter=stage, attachment=Attachment(url="http://h", api_key_env="K"))
    case = replace(CASE, model="/models/m.gguf")
    assert pool.server_for(case) is pool.server_for(replace(case, tensor_parallel=2))
    wanted = Wanted(preferred=("/models/m.gguf", "m"))
    assert asked == [("http://h", {"model": None, "wanted": wanted, "api_key_env": "K", "tokenizer": None})]
    assert stage.specs == []
    assert list(tmp_path.iterdir()) == []
    pool.server_for(replace(case, api="tgi", api_options=ApiOptions(headers=(("X-Team", "speed"),), ca_file="/house.pem")))
    again = asked[-1][1]["wanted"]
    assert (again.openai, again.access.headers.headers, again.access.ca_file) == (False, (("X-Team", "speed"),), "/house.pem")
