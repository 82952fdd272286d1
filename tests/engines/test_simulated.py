import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import Case, Simulation
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.engines.simulated import as_asked
from pytest_inferbench.errors import ConfigError

Make = Callable[..., Case]
_PLAIN = Simulation()


def server_of(case: Case, *, simulation: Simulation = _PLAIN) -> ServerSpec:
    simulated = replace(case, simulation=simulation)
    return as_asked(registry.engine(case.engine.name), simulated).server(simulated)


def own_words(spec: ServerSpec) -> tuple[str, ...]:
    return spec.argv[spec.argv.index("--") + 1 :] if "--" in spec.argv else ()


def test_a_case_that_asks_for_no_simulation_has_the_engine_itself(make_case: Make) -> None:
    engine = registry.engine("vllm")
    assert as_asked(engine, make_case("vllm")) is engine


def test_neither_engine_nor_model_need_be_here(make_case: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    case = replace(make_case("vllm", model="llama-3.1-8b", tensor_parallel=2), hardware="h100")
    spec = server_of(case, simulation=Simulation(startup_scale=0.5, faults=("crash-after-requests=3",)))
    assert spec.argv == (
        *(
            sys.executable,
            "-m",
            "pytest_inferbench.simulator",
            "--hardware",
            "h100",
            "--engine",
            "vllm",
            "--model",
            "llama-3.1-8b",
        ),
        *("--tp", "2", "--served-model-name", "llama-3.1-8b", "--port", "{port}"),
        *("--startup-scale", "0.5"),
        *("--fault", "crash-after-requests=3"),
    )
    assert spec.simulated
    assert (spec.launcher, spec.gpus, spec.metric_names) == ("process", 2, "vllm")


@pytest.mark.parametrize("name", [name for name in registry.names() if name not in ("command", "openai")])
def test_every_engine_is_spoken_to_in_its_own_manner(make_case: Make, name: str) -> None:
    spec = server_of(make_case(name, model="llama-3.1-8b"))
    assert spec.simulated
    assert (spec.engine, spec.model.tokenizer.kind, spec.model.served_name) == (name, "json", "llama-3.1-8b")
    assert spec.model.tokenizer.path is not None
    assert spec.model.tokenizer.path.is_file()
    assert spec.cache_reset is not None


def test_its_own_flags_go_along_and_its_secrets_stay_behind(make_case: Make) -> None:
    case = make_case("vllm", args={"max_model_len": 2048}, env={"VLLM_API_KEY": "${NOT_SET}"})
    spec = server_of(replace(case, engine=replace(case.engine, extra_args=("--enforce-eager",))))
    assert own_words(spec) == ("--max-model-len", "2048", "--enforce-eager")
    assert (spec.env, spec.api_key_env) == ((), None)


def test_what_the_engine_cannot_its_simulation_cannot_either(make_case: Make) -> None:
    with pytest.raises(ConfigError, match="tensor_parallel"):
        server_of(make_case("vllm", args={"tensor-parallel-size": 2}))


def test_a_command_says_nothing_of_how_it_batches(make_case: Make) -> None:
    assert own_words(server_of(make_case("command", args={"command": "my-server --port {port}"}))) == ()


def test_a_simulated_server_is_never_shared_with_a_real_case(make_case: Make) -> None:
    case = make_case("vllm")
    keys = {each.server_key for each in (case, replace(case, simulation=Simulation()))}
    assert len(keys) == 2


@pytest.mark.parametrize(("asked_s", "waited_s"), [(None, 120.0), (4, 4.0), (1800, 120.0)])
def test_nobody_waits_longer_for_a_simulated_start_than_the_suite_would(
    make_case: Make, asked_s: int | None, waited_s: float
) -> None:
    args = {} if asked_s is None else {"ready_timeout_s": asked_s}
    assert server_of(make_case("vllm", args=args)).ready_timeout_s == waited_s


def test_a_start_up_of_full_length_is_waited_for(make_case: Make) -> None:
    assert server_of(make_case("vllm"), simulation=Simulation(startup_scale=1.0)).ready_timeout_s == 3720.0
