from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.engines.llamacpp import IN_CONTAINER
from pytest_inferbench.engines.recipe import Recipe
from pytest_inferbench.engines.registry import engine, names
from pytest_inferbench.launch.answer import Answer, model_names
from tests.simulator.server.deployments import MODEL, settings
from tests.simulator.server.serving import CHAT, Served, ask_once, chat, with_server

RECIPES = [found for name in names() if isinstance(found := engine(name), Recipe)]
SIMULATED = "inferbench-simulator 0, simulating"


@pytest.mark.parametrize("recipe", [*RECIPES, IN_CONTAINER], ids=lambda recipe: recipe.name)
def test_whatever_a_recipe_asks_of_its_engine_is_answered(recipe: Recipe) -> None:
    async def do(served: Served) -> None:
        for path in (recipe.ready_path, recipe.metrics_path, recipe.version_path):
            assert path is None or (await served.ask(path)).status == 200, path
        if recipe.cache_reset is not None:
            assert (await served.ask(recipe.cache_reset.path, recipe.cache_reset.body or {})).status == 200
        body = {**chat(max_tokens=4), **recipe.extra_body, **recipe.cache_body}
        answer = (await served.ask(CHAT, body)).json
        if recipe.extra_body.get("ignore_eos"):
            assert answer["usage"]["completion_tokens"] == 4

    with_server(settings(recipe.name), do)


@pytest.mark.parametrize(
    ("path", "name"), [("/version", "version"), ("/info", "version"), ("/get_server_info", "version"), ("/props", "build_info")]
)
def test_every_version_says_that_it_is_a_simulators(path: str, name: str) -> None:
    page = ask_once(settings("tgi"), path).json
    assert page[name] == f"{SIMULATED} tgi"
    assert page["simulated"] is True


def test_the_list_of_models_has_the_one_model() -> None:
    answer = ask_once(settings(), "/v1/models")
    assert model_names(Answer(url="", status=200, body=answer.body)) == (MODEL,)


def test_limits_are_the_deployments() -> None:
    info: Any = ask_once(settings("tgi", max_running=7), "/info").json
    assert (info["max_concurrent_requests"], info["max_total_tokens"]) == (7, 4096)
    props: Any = ask_once(settings("llamacpp", max_running=7), "/props").json
    assert (props["total_slots"], props["default_generation_settings"]["n_ctx"]) == (7, 4096)
