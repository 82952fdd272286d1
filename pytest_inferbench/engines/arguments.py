"""What people give an engine as ``args``: read with errors that name the field."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

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


def reject_reserved(engine: EngineSpec, reserved: dict[str, str]) -> None:
    """
    Refuse arguments that are decided elsewhere; ``reserved`` says where, by name without dashes.

    Raises:
        ConfigError: one of them was given.
    """
    for name, _ in engine.args:
        reason = reserved.get(name.lstrip("-").replace("_", "-"))
        if reason is not None:
            raise ConfigError(f"cannot be given here: {reason}", field=f"engine.args.{name}")


def flags(engine: EngineSpec) -> tuple[str, ...]:
    """
    The arguments as command-line flags: ``max_model_len: 2048`` is ``--max-model-len 2048``.

    True and nothing are the bare flag, False is ``--no-`` and the flag.
    """
    parts: list[str] = []
    for name, value in engine.args:
        flag = name.lstrip("-").replace("_", "-")
        if value is None or value is True:
            parts.append(f"--{flag}")
        elif value is False:
            parts.append(f"--no-{flag}")
        else:
            parts += [f"--{flag}", str(value)]
    return tuple(parts)
