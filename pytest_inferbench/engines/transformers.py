"""Hugging Face transformers: ``transformers serve``."""

from __future__ import annotations

from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.recipe import Recipe, Serving


def _words(serving: Serving) -> tuple[str, ...]:
    return (serving.model.load_from, "--host", serving.host, "--port", "{port}")


TRANSFORMERS = Recipe(
    name="transformers",
    title="transformers serve",
    program=("transformers", "serve"),
    words=_words,
    reserved={
        "port": recipe.PORT,
        "host": recipe.HOST,
        "force-model": recipe.MODEL,
        "model-length": "transformers serve has no such flag: it follows from the model",
    },
    install="pip install 'transformers[serving]' torch",
    image_runs_program=False,
    metrics_path=None,
    spreads=False,
    named_as_loaded=True,
)
