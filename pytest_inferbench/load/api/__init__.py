"""
APIs of model servers: how a request's body is spelled, and what the answer says; no I/O.

A new API is one new module with an `Api`, and one line in `APIS`.
"""

from __future__ import annotations

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api.anthropic import Anthropic
from pytest_inferbench.load.api.api import USUAL, Api, Delta, Usage
from pytest_inferbench.load.api.chat import Chat
from pytest_inferbench.load.api.completions import Completions, CompletionsOfTokens
from pytest_inferbench.load.api.embeddings import Embeddings
from pytest_inferbench.load.api.rerank import Rerank, RerankTei
from pytest_inferbench.load.api.responses import Responses
from pytest_inferbench.load.api.speech import Speech
from pytest_inferbench.load.api.template import Template
from pytest_inferbench.load.api.tgi import Tgi
from pytest_inferbench.load.api.triton import Triton

APIS: dict[str, type[Api]] = {
    api.name: api
    for api in (
        Chat,
        Completions,
        CompletionsOfTokens,
        Responses,
        Embeddings,
        Rerank,
        RerankTei,
        Anthropic,
        Tgi,
        Triton,
        Speech,
        Template,
    )
}

__all__ = ["APIS", "Api", "Delta", "Usage", "api_named"]


def api_named(name: str, options: ApiOptions = USUAL) -> Api:
    """
    The API of that name, spelled as the options want it.

    Raises:
        ConfigError: there is none, or it needs options that are not there.
    """
    try:
        api = APIS[name]
    except KeyError:
        raise ConfigError(f"no API is named {name!r}; there are {', '.join(APIS)}", field="api") from None
    return api(options)
