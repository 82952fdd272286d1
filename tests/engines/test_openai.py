from collections.abc import Callable

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines.openai import OpenAIEngine
from pytest_inferbench.errors import EngineError


def test_there_is_nothing_to_start_and_the_option_is_named(make_case: Callable[..., Case]) -> None:
    with pytest.raises(EngineError) as error:
        OpenAIEngine().server(make_case("openai", id="cpu-openai-m-tp1-d1x1-c1"))
    assert str(error.value) == (
        "cpu-openai-m-tp1-d1x1-c1: the engine 'openai' measures an endpoint that is already there; say where it is: "
        "--inferbench-endpoint URL"
    )
