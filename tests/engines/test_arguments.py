from typing import Any

import pytest

from pytest_inferbench.cases.case import EngineSpec
from pytest_inferbench.engines.arguments import (
    Spelling,
    count_argument,
    flags,
    reject_reserved,
    reject_unknown,
    seconds_argument,
    text_argument,
)
from pytest_inferbench.errors import ConfigError


def spec(**args: Any) -> EngineSpec:
    return EngineSpec(name="e", args=tuple(args.items()))


def test_arguments_become_flags() -> None:
    engine = EngineSpec(
        name="e", args=(("max_model_len", 2048), ("--dtype", "float32"), ("eager", True), ("x", None), ("y", False))
    )
    assert flags(engine) == ("--max-model-len", "2048", "--dtype", "float32", "--eager", "--x", "--no-y")


def test_an_unknown_argument_names_those_that_are_near() -> None:
    reject_unknown(spec(command="x"), ["command"])
    with pytest.raises(ConfigError) as error:
        reject_unknown(spec(comand="x"), ["command", "ready_path"])
    assert str(error.value) == "engine.args.comand: the engine 'e' has no such argument; did you mean command?"


def test_a_reserved_argument_says_where_it_is_decided() -> None:
    with pytest.raises(ConfigError) as error:
        reject_reserved(spec(tensor_parallel_size=2), {"tensor-parallel-size": "it is the case's tensor_parallel"})
    assert str(error.value) == "engine.args.tensor_parallel_size: cannot be given here: it is the case's tensor_parallel"


def test_text_is_text() -> None:
    assert text_argument(spec(a="x"), "a") == "x"
    assert text_argument(spec(), "a") is None
    with pytest.raises(ConfigError, match=r"engine\.args\.a: must be text, not 1"):
        text_argument(spec(a=1), "a")


@pytest.mark.parametrize("value", [0, -1, 1.5, "4", True, None])
def test_a_count_is_a_whole_number_above_0(value: Any) -> None:
    assert count_argument(spec(), "n", default=4) == 4
    with pytest.raises(ConfigError, match=r"engine\.args\.n: must be a whole number above 0, not "):
        count_argument(spec(n=value), "n", default=4)


@pytest.mark.parametrize("value", [0, -1, "4", True, None])
def test_seconds_are_a_number_above_0(value: Any) -> None:
    assert seconds_argument(spec(s=1.5), "s", default=4) == 1.5
    assert seconds_argument(spec(), "s", default=4) == 4.0
    with pytest.raises(ConfigError, match=r"engine\.args\.s: must be a number of seconds above 0, not "):
        seconds_argument(spec(s=value), "s", default=4)


def test_each_engine_spells_flags_in_its_own_way() -> None:
    engine = spec(max_batch_size=2, model_length=4096, eager=False, own=1)
    spelling = Spelling(joint="_", negates=False, names={"model_length": "max-seq-len"}, silent=("own",))
    assert flags(engine, spelling) == ("--max_batch_size", "2", "--max_seq_len", "4096")


@pytest.mark.parametrize("word", ["--port", "--port=80"])
def test_a_reserved_flag_is_found_among_words_that_are_taken_as_they_stand(word: str) -> None:
    with pytest.raises(ConfigError) as error:
        reject_reserved(EngineSpec(name="e", extra_args=("--seed", "port", word)), {"port": "the launcher picks a free port"})
    assert str(error.value) == "engine.extra_args: --port cannot be given here: the launcher picks a free port"
