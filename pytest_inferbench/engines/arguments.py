"""What people give an engine as ``args``: read with errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from pytest_inferbench.cases.case import EngineSpec
from pytest_inferbench.errors import ConfigError


def reject_unknown(engine: EngineSpec, known: Collection[str]) -> None:
    """
    Hold every argument's name against those that the engine has.

    Raises:
        ConfigError: an argument is unknown; names those that are near.
    """
    for name, _ in engine.args:
        if name not in known:
            near = get_close_matches(name, known, n=3) or sorted(known)
            raise ConfigError(
                f"the engine {engine.name!r} has no such argument; did you mean {' or '.join(near)}?",
                field=f"engine.args.{name}",
            )


def text_argument(engine: EngineSpec, name: str) -> str | None:
    """
    An argument that is text, or None where it was not given.

    Raises:
        ConfigError: it is something else.
    """
    value = dict(engine.args).get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"must be text, not {value!r}", field=f"engine.args.{name}")
    return value


def count_argument(engine: EngineSpec, name: str, *, default: int) -> int:
    """
    An argument that counts something, from 1.

    Raises:
        ConfigError: it is no whole number above 0.
    """
    value = dict(engine.args).get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"must be a whole number above 0, not {value!r}", field=f"engine.args.{name}")
    return value


def seconds_argument(engine: EngineSpec, name: str, *, default: float) -> float:
    """
    An argument that is a length of time in seconds.

    Raises:
        ConfigError: it is no number above 0.
    """
    value = dict(engine.args).get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ConfigError(f"must be a number of seconds above 0, not {value!r}", field=f"engine.args.{name}")
    return float(value)


def reject_reserved(engine: EngineSpec, reserved: Mapping[str, str]) -> None:
    """
    Refuse arguments that are decided elsewhere; ``reserved`` says where, by name without dashes.

    Raises:
        ConfigError: one of them was given, as an option or among the words that are taken as they stand.
    """
    for name, _ in engine.args:
        reason = reserved.get(name.lstrip("-").replace("_", "-"))
        if reason is not None:
            raise ConfigError(f"cannot be given here: {reason}", field=f"engine.args.{name}")
    for word in engine.extra_args:
        name = word.partition("=")[0]
        reason = reserved.get(name.lstrip("-").replace("_", "-")) if name.startswith("--") else None
        if reason is not None:
            raise ConfigError(f"{name} cannot be given here: {reason}", field="engine.extra_args")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """
    How an engine spells its flags.

    Attributes:
        joint: what stands between the words of a flag.
        negates: a flag that is off is said with ``no`` in front; else it is left out, being off by default.
        names: flags for the names that are the same for every engine, such as ``model_length``.
        silent: arguments that are no flags of the server.
    """

    joint: Literal["-", "_"] = "-"
    negates: bool = True
    names: Mapping[str, str] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


def flags(engine: EngineSpec, spelling: Spelling = Spelling()) -> tuple[str, ...]:
    """
    The arguments as command-line flags: ``max_model_len: 2048`` is ``--max-model-len 2048``.

    True and nothing are the bare flag, False is ``--no-`` and the flag, or nothing where the engine has no such form.
    """
    parts: list[str] = []
    for name, value in engine.args:
        if name in spelling.silent:
            continue
        flag = re.sub("[-_]", spelling.joint, spelling.names.get(name, name).lstrip("-"))
        if value is None or value is True:
            parts.append(f"--{flag}")
        elif value is not False:
            parts += [f"--{flag}", str(value)]
        elif spelling.negates:
            parts.append(f"--no{spelling.joint}{flag}")
    return tuple(parts)
