import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import Engine, ServerSpec
from pytest_inferbench.errors import ConfigError, EngineError


class Mine:
    name = "mine"

    def server(self, case: Case) -> ServerSpec:
        raise EngineError(case.id)


def test_every_shipped_engine_is_found_by_its_name() -> None:
    assert set(registry.names()) == {
        *("command", "llamacpp", "lmdeploy", "nim", "ollama", "openai"),
        *("sglang", "tgi", "transformers", "trtllm", "vllm"),
    }
    assert all(registry.engine(name).name == name for name in registry.names())


def test_an_unknown_engine_names_those_that_are_near() -> None:
    with pytest.raises(ConfigError) as error:
        registry.engine("lamacpp")
    assert str(error.value) == "engine: there is no engine 'lamacpp'; did you mean llamacpp or ollama?"


def test_an_engine_nothing_is_near_to_lists_all() -> None:
    with pytest.raises(ConfigError, match="did you mean command or llamacpp or "):
        registry.engine("zzz")


def test_a_registered_engine_is_found_and_its_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_engines", dict(registry._engines))
    mine: Engine = Mine()
    registry.register(mine)
    registry.register(mine)
    assert registry.engine("mine") is mine
    with pytest.raises(ConfigError, match="engine: the engine name 'mine' is taken by Mine"):
        registry.register(Mine())
