from __future__ import annotations

import re
import socket
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator import command
from pytest_inferbench.simulator.command import FAILED, WRONG_USAGE, bound, pairs, simulate


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(simulate, arguments)


def test_help_says_that_nothing_is_measured() -> None:
    text = " ".join(invoked("--help").output.split())
    assert "NOTHING IT SAYS OR DOES IS MEASURED" in text
    assert "a step model of the hardware says when each token leaves" in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ()),
        (("--max-num-seqs", "64"), (("max-num-seqs", "64"),)),
        (("--max-model-len=4096", "--enforce-eager"), (("max-model-len", "4096"), ("enforce-eager", None))),
        (("--a", "-1", "--b=c=d"), (("a", "-1"), ("b", "c=d"))),
    ],
)
def test_an_engines_flags_are_names_and_values(words: tuple[str, ...], found: tuple[tuple[str, str | None], ...]) -> None:
    assert pairs(words) == found


def test_a_word_that_belongs_to_no_flag_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="'b' is no flag and no value of one; an engine's flags are --NAME VALUE or --NAME=VALUE"
    ):
        pairs(["--a", "x", "b"])


def test_a_model_that_does_not_fit_says_so_as_the_engine_would() -> None:
    result = invoked("--hardware", "l4", "--model", "llama-3.3-70b")
    assert result.exit_code == FAILED
    assert result.output.startswith("error: torch.OutOfMemoryError: CUDA out of memory.")
    assert "simulated" in result.output


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--hardware", "l5"), "'l5' cannot be simulated"),
        (("--engine", "vlm"), "the engine 'vlm' cannot be simulated"),
        (("--fault", "no-such"), "--fault: 'no-such' is no fault"),
        (("--step-time", "soon"), "soon"),
        (("--", "--max-num-seqs", "many"), "engine.args.max-num-seqs: must be a whole number above 0, not 'many'"),
    ],
)
def test_what_cannot_be_simulated_is_wrong_usage(flags: tuple[str, ...], words: str) -> None:
    result = invoked("--model", "llama-3.1-8b", *flags)
    assert result.exit_code == WRONG_USAGE
    assert words in result.output


def test_a_port_that_is_taken_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = invoked("--model", "llama-3.1-8b", "--port", str(port))
    assert result.exit_code == WRONG_USAGE
    assert re.search(rf"--port: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port", result.output)


def test_an_address_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="--host: 'no such host' is no address of this machine"):
        bound("no such host", 0)


def test_the_start_takes_the_share_of_its_simulated_time_that_was_asked_for() -> None:
    flags: dict[str, object] = dict.fromkeys(("engine_flags", "faults"), ())
    flags |= {"hardware": "h100", "model": "llama-3.1-8b", "engine": "vllm", "tp": 1}
    flags |= {"served_model_name": None, "seed": 0, "step_time": "2ms"}
    at_once, half, whole = (command._settings({**flags, "startup_scale": share}) for share in (0.0, 0.5, 1.0))
    assert at_once.start_s == 0
    assert whole.start_s == 2 * half.start_s > 30
    assert at_once == replace(whole, start_s=0.0)
    assert (at_once.step_s, at_once.model) == (0.002, "llama-3.1-8b")
