"""
The environment and command line of a server, with references filled in at the last moment.

Rule: what ``${NAME}`` stood for is known here, in the started process, and nowhere else; whatever is shown afterwards goes
through `Secrets.hidden_in`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_inferbench.engines.references import REFERENCE
from pytest_inferbench.errors import EngineError
from pytest_inferbench.redaction import MASK, Secret, redact_text

# A shorter one would blank out half of every log, and protects nothing.
SECRET_CHARACTERS_MIN = 6


@dataclass(frozen=True, slots=True)
class Secrets:
    """Values that came in by reference, to be taken out of everything that is shown."""

    values: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Secrets({len(self.values)} values)"

    def hidden_in(self, text: str) -> str:
        """The text without them, and without whatever else looks like a secret."""
        for value in self.values:
            text = text.replace(value, MASK)
        return redact_text(text)

    def hidden_in_bytes(self, data: bytes) -> bytes:
        """The bytes without them; everything else stays as it is."""
        for value in self.values:
            data = data.replace(value.encode(), MASK.encode())
        return data


def key_in(variable: str | None) -> Secret | None:
    """The bearer key in an environment variable of this process; None where none is named, or it is not set."""
    value = os.environ.get(variable) if variable else None
    return Secret(value) if value else None


def resolved(pairs: Iterable[tuple[str, str]], *, environ: Mapping[str, str], port: int) -> tuple[dict[str, str], Secrets]:
    """
    A server's environment: the parent's, with ``pairs`` on top, ``${NAME}`` read from it and ``{port}`` filled in.

    Raises:
        EngineError: a variable that is referred to is not set.
    """
    env, secrets = dict(environ), set[str]()
    for name, text in pairs:
        for variable in REFERENCE.findall(text):
            if variable not in environ:
                raise EngineError(
                    f"the engine's env.{name} refers to ${{{variable}}}, and the environment variable {variable} is not set"
                )
            secrets.add(environ[variable])
        env[name] = REFERENCE.sub(lambda found: environ[found[1]], text.replace("{port}", str(port)))
    worth_hiding = (value for value in secrets if len(value) >= SECRET_CHARACTERS_MIN)
    # The longest first: one may be a part of another.
    return env, Secrets(tuple(sorted(worth_hiding, key=len, reverse=True)))


def filled(argv: Iterable[str], *, port: int, env: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """
    A server's command line with ``{port}`` filled in; a server that is told its port in ``env`` may have none.

    Raises:
        EngineError: neither has a ``{port}``, or the command line refers to an environment variable.
    """
    argv = tuple(argv)
    if not any("{port}" in part for part in (*argv, *(value for _, value in env))):
        raise EngineError(
            f"the command line of the server has no {{port}}, nor has its env, so it cannot be told where to listen: {argv[0]}"
        )
    for part in argv:
        found = REFERENCE.search(part)
        if found:
            raise EngineError(
                f"the server's arguments refer to {found[0]}; every user of this machine can read a command line: give it as env",
            )
    return tuple(part.replace("{port}", str(port)) for part in argv)
