from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, Container, EngineSpec, Volume
from pytest_inferbench.engines.custom import CommandEngine
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
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


def test_in_a_container_the_command_is_all_that_is_run(make_case: Make) -> None:
    engine = EngineSpec(
        name="command",
        image="mine:1",
        args=(("command", "serve --host {host} --port {port} {model}"),),
        extra_args=("--last",),
        container=Container(volumes=(Volume(source="~/w", target="/w"),)),
        offline=True,
    )
    spec = CommandEngine().server(make_case("command", model="{port}", hardware="h100", engine=engine))
    assert spec.argv == ("serve", "--host", HOST_IN_CONTAINER, "--port", "{port}", "{port}", "--last")
    assert (spec.launcher, spec.image, spec.gpus, spec.container.start_mode) == ("docker", "mine:1", 1, "command")
    assert spec.container.volumes == engine.container.volumes
    assert spec.env == (("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1"))


def test_the_images_entrypoint_gets_the_words_where_that_is_asked_for(make_case: Make) -> None:
    engine = EngineSpec(name="command", image="mine:1", extra_args=("--port", "{port}"), container=Container(start_mode="flags"))
    spec = CommandEngine().server(make_case("command", engine=engine))
    assert (spec.argv, spec.container.start_mode) == (("--port", "{port}"), "flags")


def test_the_port_may_stand_in_the_environment(make_case: Make) -> None:
    spec = CommandEngine().server(make_case("command", args={"command": "serve {host}"}, env={"PORT": "{port}"}))
    assert spec.argv == ("serve", "127.0.0.1")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"launcher": "docker"}, "engine.image: the engine 'command' has no image of its own; name one"),
        ({"revision": "x"}, "engine.revision: say it in the command"),
    ],
)
def test_what_only_the_user_knows_must_be_said(make_case: Make, fields: dict[str, Any], message: str) -> None:
    engine = EngineSpec(name="command", args=(("command", "x {port}"),), **fields)
    with pytest.raises(ConfigError) as error:
        CommandEngine().server(make_case("command", engine=engine))
    assert str(error.value) == message
