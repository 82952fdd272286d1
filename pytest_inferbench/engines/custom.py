"""
Any server that a command starts, for engines that have no recipe here.

    engine:
      name: command
      args:
        command: "my-server --model ./weights --port {port}"
        ready_path: /healthz

or, in a container,

    engine:
      name: command
      image: my-registry/my-server:1.2
      args:
        command: "my-server --model /models/weights --host {host} --port {port}"
      volumes: ["~/weights:/models/weights:ro"]

The command is split as a shell would split it, but no shell runs it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec
from pytest_inferbench.engines.arguments import reject_unknown, seconds_argument, text_argument
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER, HOST_OF_PROCESS, OFFLINE, READY_TIMEOUT_S, over
from pytest_inferbench.errors import ConfigError

_ARGS = ("command", "ready_path", "metrics_path", "version_path", "served_name", "tokenizer", "ready_timeout_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEngine:
    """
    The command that the suite gives.

    In it ``{port}`` is the port to listen on (needed there or in ``env``), ``{host}`` the address to listen on, ``{model}`` what
    the case calls its model, and ``{tensor_parallel}`` its tensor-parallel size. In a container it takes the place of the image's
    entrypoint, unless ``start_mode: flags`` hands it to that.
    """

    name: str = "command"

    def server(self, case: Case) -> ServerSpec:
        """
        The server that the command starts.

        Raises:
            ConfigError: there is no command, it has no ``{port}``, or an argument is unknown.
        """
        engine = case.engine
        reject_unknown(engine, _ARGS)
        if engine.in_container and engine.image is None:
            raise ConfigError("the engine 'command' has no image of its own; name one", field="engine.image")
        if engine.revision is not None:
            raise ConfigError("say it in the command", field="engine.revision")
        return ServerSpec(
            key=case.server_key,
            engine=self.name,
            argv=_argv(case, text_argument(engine, "command")),
            env=over(OFFLINE if engine.offline else (), engine.env),
            model=ModelFiles(
                load_from=case.model,
                served_name=text_argument(engine, "served_name") or case.model,
                tokenizer=_tokenizer(engine),
            ),
            ready_path=text_argument(engine, "ready_path") or "/health",
            metrics_path=text_argument(engine, "metrics_path"),
            version_path=text_argument(engine, "version_path"),
            ready_timeout_s=seconds_argument(engine, "ready_timeout_s", default=READY_TIMEOUT_S),
            launcher="docker" if engine.in_container else "process",
            image=engine.image,
            container=replace(engine.container, start_mode=engine.container.start_mode or "command"),
            share=engine.share,
            gpus=case.gpus,
        )


def _argv(case: Case, command: str | None) -> tuple[str, ...]:
    field, engine = "engine.args.command", case.engine
    # Words alone are a command, too.
    if not command and not engine.extra_args:
        raise ConfigError("the engine 'command' needs the command that starts it", field=field)
    try:
        parts = (*shlex.split(command or ""), *engine.extra_args)
    except ValueError as error:
        raise ConfigError(f"the command cannot be split into words: {error}", field=field) from error
    if not any("{port}" in text for text in (*parts, *(value for _, value in engine.env))):
        raise ConfigError("the command must say {port} where the port to listen on belongs", field=field)
    known = {
        "{model}": case.model,
        "{tensor_parallel}": str(case.tensor_parallel),
        "{host}": HOST_IN_CONTAINER if engine.in_container else HOST_OF_PROCESS,
    }
    return tuple(_filled(part, known) for part in parts)


def _filled(part: str, known: Mapping[str, str]) -> str:
    # All at once: what is filled in is not looked through for more.
    return re.sub("|".join(map(re.escape, known)), lambda found: known[found[0]], part)


def _tokenizer(engine: EngineSpec) -> TokenizerRef:
    text = text_argument(engine, "tokenizer")
    if text is None:
        return TokenizerRef(kind="none")
    path = Path(text).expanduser()
    if path.is_dir():
        path /= "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"there is no tokenizer file {path}", field="engine.args.tokenizer")
    return TokenizerRef(kind="gguf" if path.suffix == ".gguf" else "json", path=path)
