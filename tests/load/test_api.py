"""APIs are found by name."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pytest_inferbench.cases.case import Api
from pytest_inferbench.cases.template import PLACEHOLDERS
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api import APIS, api_named

DOCS = Path(__file__).parents[2] / "docs" / "apis.md"


def test_every_api_that_a_case_may_name_is_there() -> None:
    assert set(APIS) == set(get_args(Api))
    assert all(api.name == name for name, api in APIS.items())


def test_an_unknown_api_is_an_error_that_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match="api: no API is named 'chatty'; there are chat, completions"):
        api_named("chatty")


@pytest.mark.parametrize("name", APIS)
def test_every_api_is_documented_with_its_path(name: str) -> None:
    row = next(line for line in DOCS.read_text().splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1])
    assert f"POST {APIS[name]().path}" in row if name != "template" else "as `body` says" in row


def test_every_placeholder_is_documented() -> None:
    text = DOCS.read_text()
    assert all(f"| `{{{name}}}` |" in text for name in PLACEHOLDERS)
