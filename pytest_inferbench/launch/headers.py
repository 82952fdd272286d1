"""What it takes to be let in by an endpoint beside its key: headers, with what they refer to in the environment; certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_inferbench.engines.references import REFERENCE
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.environment import SECRET_CHARACTERS_MIN, Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledHeaders:
    """Headers as they are sent; whatever is shown afterwards goes through ``secrets``."""

    headers: tuple[tuple[str, str], ...]
    secrets: Secrets

    def __repr__(self) -> str:
        return f"FilledHeaders({', '.join(name for name, _ in self.headers)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Headers for every request, and the PEM file of certificates to trust in place of the system's own."""

    headers: FilledHeaders
    ca_file: str | None = None


PLAIN_ACCESS = Access(headers=FilledHeaders(headers=(), secrets=Secrets()))


def filled_headers(headers: Iterable[tuple[str, str]], *, environ: Mapping[str, str]) -> FilledHeaders:
    """
    The headers with every ``${NAME}`` read from the environment.

    Raises:
        EngineError: a variable is not set.
    """
    filled, secrets = [], set[str]()
    for name, text in headers:
        for variable in REFERENCE.findall(text):
            if not environ.get(variable):
                raise EngineError(f"the header {name} refers to ${{{variable}}}, and no environment variable {variable} is set")
            secrets.add(environ[variable])
        filled.append((name, REFERENCE.sub(lambda found: environ[found[1]], text)))
    values = (value for value in secrets if len(value) >= SECRET_CHARACTERS_MIN)
    return FilledHeaders(headers=tuple(filled), secrets=Secrets(tuple(sorted(values, key=len, reverse=True))))
