"""
Any server that a command starts, for engines that have no recipe here.

    engine:
      name: command
      args:
        command: "my-server --model ./weights --port {port}"
        ready_path: /healthz

The command is split as a shell would split it, but no shell runs it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Scalar
from pytest_inferbench.engines.arguments import reject_unknown, text_argument
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.errors import ConfigError

_ARGS = ("command", "ready_path", "metrics_path", "version_path", "served_name", "tokenizer", "ready_timeout_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEngine:
    """
    The command that the suite gives.

    In it ``{port}`` is the port to listen on (needed), ``{model}`` what the case calls its model, and ``{tensor_parallel}``
    its tensor-parallel size.
    """

    name: str = "command"

    def server(self, case: Case) -> ServerSpec:
        """
        The server that the command starts.

        Raises:
            ConfigError: there is no command, it has no ``{port}``, or an argument is unknown.
        """
        reject_unknown(case.engine, _ARGS)
        args = dict(case.engine.args)
        return ServerSpec(
            key=case.server_key,
            engine=self.name,
            argv=_argv(case, text_argument(case.engine, "command")),
            env=case.engine.env,
            model=ModelFiles(
                load_from=case.model,
                served_name=text_argument(case.engine, "served_name") or case.model,
                tokenizer=_tokenizer(case.engine),
            ),
            ready_path=text_argument(case.engine, "ready_path") or "/health",
            metrics_path=text_argument(case.engine, "metrics_path"),
            version_path=text_argument(case.engine, "version_path"),
            ready_timeout_s=_seconds(args.get("ready_timeout_s", 600)),
        )


def _argv(case: Case, command: str | None) -> tuple[str, ...]:
    field = "engine.args.command"
    if not command:
        raise ConfigError("the engine 'command' needs the command that starts it", field=field)
    if "{port}" not in command:
        raise ConfigError("the command must say {port} where the port to listen on belongs", field=field)
    try:
        parts = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the command cannot be split into words: {error}", field=field) from error
    filled = (part.replace("{model}", case.model) for part in parts)
    return tuple(part.replace("{tensor_parallel}", str(case.tensor_parallel)) for part in filled)


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


def _seconds(value: Scalar | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ConfigError(f"must be a number of seconds above 0, not {value!r}", field="engine.args.ready_timeout_s")
    return float(value)
