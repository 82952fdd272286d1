"""Where an endpoint's URL leads, and how requests that go there begin."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.address import bearer_key, head_of_requests, path_of, request_headers, resolve, url_parts
from pytest_inferbench.load.api import api_named

ENDPOINT = Endpoint(url="http://h:1", model="m", engine="openai", tokenizer=TokenizerRef(kind="none"))


@pytest.mark.parametrize("url", ["h:1", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://[::1", "unix:/x"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(LoadError, match=r"must look like http://host:8000 or https://host, with a port from 1 to 65535"):
        url_parts(url)


def test_an_address_is_one_that_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert resolve(url_parts(f"http://127.0.0.1:{port}/v1")) == (socket.AF_INET, ("127.0.0.1", port))


def test_a_host_that_nobody_knows_is_named() -> None:
    with pytest.raises(LoadError, match=r"cannot find the address of nowhere\.invalid: .*; check the endpoint's URL"):
        resolve(url_parts("http://nowhere.invalid:1"))


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bearer_key(ENDPOINT) is None
    keyed = replace(ENDPOINT, api_key_env="HOUSE_KEY")
    monkeypatch.setenv("HOUSE_KEY", "k-1")
    assert bearer_key(keyed) == "k-1"
    monkeypatch.delenv("HOUSE_KEY")
    with pytest.raises(LoadError, match="the environment variable HOUSE_KEY, which is to hold the server's key, is not set"):
        bearer_key(keyed)


@pytest.mark.parametrize(
    ("url", "path", "line"),
    [
        ("http://h:8000", "/v1/chat/completions", b"POST /v1/chat/completions HTTP/1.1\r\nHost: h:8000\r\n"),
        ("https://h/base/", "/rerank", b"POST /base/rerank HTTP/1.1\r\nHost: h\r\n"),
        ("http://u:p@h/a b", "/x?version=2 b", b"POST /a%20b/x?version=2%20b HTTP/1.1\r\nHost: h\r\n"),
    ],
)
def test_a_request_begins_with_its_path_below_the_urls_own(url: str, path: str, line: bytes) -> None:
    assert head_of_requests(url_parts(url), path, ()) == line


def test_the_cases_own_headers_replace_those_of_client_and_api() -> None:
    own = [("authorization", "Basic x"), ("X-Team", "speed"), ("anthropic-version", "2030-01-01")]
    headers = request_headers(api_named("anthropic"), "k-1", own)
    assert headers == (
        ("Content-Type", "application/json"),
        ("Accept", "text/event-stream"),
        ("User-Agent", "pytest-inferbench"),
        ("x-api-key", "k-1"),
        *own,
    )


def test_a_path_may_name_the_model() -> None:
    assert path_of(api_named("triton"), "org/a b") == "/v2/models/org%2Fa%20b/generate_stream"
    assert path_of(api_named("chat", ApiOptions(path="/{model}/chat?v=1")), "m") == "/m/chat?v=1"
