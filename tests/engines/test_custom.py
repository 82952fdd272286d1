from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines.custom import CommandEngine
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError

Make = Callable[..., Case]


def test_the_command_is_split_and_filled_without_a_shell(make_case: Make) -> None:
    command = "serve '{model}' --tp {tensor_parallel} --port={port} ; rm -rf $HOME"
    spec = CommandEngine().server(make_case("command", model="my model; ls", tensor_parallel=2, args={"command": command}))
    assert spec.argv == ("serve", "my model; ls", "--tp", "2", "--port={port}", ";", "rm", "-rf", "$HOME")
    assert (spec.ready_path, spec.metrics_path, spec.ready_timeout_s) == ("/health", None, 600.0)
    assert spec.model.served_name == "my model; ls"


def test_everything_about_it_can_be_said(make_case: Make, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    args = {
        "command": "serve {port}",
        "ready_path": "/ready",
        "metrics_path": "/m",
        "version_path": "/v",
        "served_name": "name",
        "tokenizer": str(tmp_path),
        "ready_timeout_s": 5,
    }
    spec = CommandEngine().server(make_case("command", args=args))
    assert (spec.ready_path, spec.metrics_path, spec.version_path, spec.ready_timeout_s) == ("/ready", "/m", "/v", 5.0)
    assert spec.model.served_name == "name"
    assert spec.model.tokenizer == TokenizerRef(kind="json", path=tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "engine.args.command: the engine 'command' needs the command that starts it"),
        ({"command": "serve"}, "engine.args.command: the command must say {port} where the port to listen on belongs"),
        ({"command": "serve '{port}"}, "engine.args.command: the command cannot be split into words: No closing quotation"),
        ({"command": 5}, "engine.args.command: must be text, not 5"),
        ({"cmd": "x"}, "engine.args.cmd: the engine 'command' has no such argument; did you mean command"),
        ({"command": "{port}", "ready_timeout_s": 0}, "engine.args.ready_timeout_s: must be a number of seconds above 0, not 0"),
        ({"command": "{port}", "tokenizer": "/no/such"}, "engine.args.tokenizer: there is no tokenizer file /no/such"),
    ],
)
def test_what_is_wrong_is_said(make_case: Make, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        CommandEngine().server(make_case("command", args=args))
    assert str(error.value).startswith(message)
