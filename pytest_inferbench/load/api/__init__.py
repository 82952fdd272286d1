"""
APIs of model servers: how a request's body is spelled, and what an event of the answer says; no I/O.

A new API is one new module with an `Api`, and one line in `APIS`.
"""

from __future__ import annotations

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api.api import Api, Delta, Usage
from pytest_inferbench.load.api.chat import Chat
from pytest_inferbench.load.api.completions import Completions

APIS: dict[str, Api] = {api.name: api for api in (Chat(), Completions())}

__all__ = ["APIS", "Api", "Delta", "Usage", "api_named"]


def api_named(name: str) -> Api:
    """
    The API of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return APIS[name]
    except KeyError:
        raise ConfigError(f"no API is named {name!r}; there are {', '.join(APIS)}", field="api") from None
