"""
How requests are spelled and sent: what a person may say of it beside the API's name, checked.

Rule: no secret stands in a suite. A header that holds one refers to the environment, ``${NAME}``, and nothing else is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_inferbench.cases.case import Api, ApiOptions
from pytest_inferbench.cases.matrix import Options
from pytest_inferbench.cases.template import BodyTemplate, TextPath
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.redaction import is_secret_name, redact_text

OF_TEMPLATES = ("body", "text")
"""Options that no other API has a use for."""
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PATH = re.compile(r"/(?:[!-\"$-z|~]|\{model\})*")
_OURS = ("connection", "content-length", "expect", "host", "transfer-encoding", "upgrade", "x-request-id")


def checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """
    Headers for every request.

    Raises:
        ConfigError: one cannot be sent, is the client's own, or holds a secret; its value is never shown.
    """
    taken: set[str] = set()
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a header")
        if name.lower() in _OURS:
            raise ConfigError(f"{name} is the client's own and cannot be given")
        if name.lower() in taken:
            raise ConfigError(f"{name} is given twice")
        taken.add(name.lower())
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"the value of {name} is not one line of plain ASCII text")
        bare = _REFERENCE.sub("", value)
        if (is_secret_name(name, value) and bare == value) or redact_text(bare) != bare:
            raise ConfigError(f"the value of {name} is a secret: write it as ${{NAME}}, which is read from the environment")
    return tuple(headers.items())


def checked_path(path: str) -> str:
    """
    A path below the endpoint's URL.

    Raises:
        ConfigError: it is none.
    """
    if not _PATH.fullmatch(path):
        raise ConfigError("must begin with a slash and have no blanks, such as /v1/generate or /v2/models/{model}/generate")
    return path


def checked_body(text: str) -> str:
    """
    A template of a request's body, as JSON text.

    Raises:
        ConfigError: it is none.
    """
    BodyTemplate.parse(text)
    return text


def checked_text_path(text: str) -> str:
    """
    A path to the text of an answer.

    Raises:
        ConfigError: it is none.
    """
    TextPath.parse(text)
    return text


def api_options(api: Api, options: Options) -> ApiOptions:
    """
    What a case of this API gets of its options; a body and a path to its text are for templates alone.

    Raises:
        ConfigError: a template lacks one of its three parts.
    """
    is_template = api == "template"
    for name in ("path", *OF_TEMPLATES) if is_template else ():
        if not getattr(options, name):
            raise ConfigError("is missing; api 'template' needs path, body and text", field=name)
    return ApiOptions(
        stream=options.stream,
        path=options.path,
        body=options.body if is_template else "",
        text=options.text if is_template else "",
        headers=options.headers,
        ca_file=options.ca_file,
    )
