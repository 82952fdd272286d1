"""APIs are found by name."""

from __future__ import annotations

from typing import get_args

import pytest

from pytest_inferbench.cases.case import Api
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api import APIS, api_named


def test_every_api_that_a_case_may_name_is_there() -> None:
    assert set(APIS) == set(get_args(Api))
    assert all(api.name == name for name, api in APIS.items())


def test_an_unknown_api_is_an_error_that_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match="api: no API is named 'chatty'; there are chat, completions"):
        api_named("chatty")
