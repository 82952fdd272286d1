"""Real model servers, each started once a session and skipped where its program is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_inferbench.launch.endpoint import Endpoint
from tests.integration.servers import NotHere, running


def _endpoint(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    try:
        with running(name, tmp_path_factory.mktemp(name)) as endpoint:
            yield endpoint
    except NotHere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def llamacpp_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """llama.cpp with SmolLM2-135M."""
    yield from _endpoint("llamacpp", tmp_path_factory)


@pytest.fixture(scope="session")
def vllm_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The real vLLM with a tiny random Llama; tests that use it carry the marker ``vllm``."""
    yield from _endpoint("vllm", tmp_path_factory)


@pytest.fixture(scope="session")
def transformers_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """``transformers serve`` with a tiny random Llama."""
    yield from _endpoint("transformers", tmp_path_factory)


@pytest.fixture(scope="session")
def guidellm_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The mock server of guidellm."""
    yield from _endpoint("guidellm", tmp_path_factory)


@pytest.fixture(scope="session")
def aimock_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The mock server aimock."""
    yield from _endpoint("aimock", tmp_path_factory)
