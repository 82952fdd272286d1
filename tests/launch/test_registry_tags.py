"""Tags of an image, from registries that a test serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.registry_tags import Repository, repository_of, tags, without_tag

Answerer = Callable[[str, str | None], tuple[int, Any]]


@contextmanager
def serving(answer: Answerer) -> Iterator[tuple[str, list[str]]]:
    """A registry on the loopback: ``answer`` gets the path with its query and the Authorization header."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            asked.append(self.path)
            status, data = answer(self.path, self.headers.get("Authorization"))
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def pages(names: list[str], size: int) -> Answerer:
    """All tags, so many a page, whatever is asked for: registries may give fewer than that."""

    def answer(path: str, _: str | None) -> tuple[int, Any]:
        last = parse_qs(urlsplit(path).query).get("last", [""])[0]
        start = names.index(last) + 1 if last else 0
        return 200, {"name": "me/it", "tags": names[start : start + size]}

    return answer


def test_all_pages_are_read() -> None:
    names = [f"v{number}" for number in range(7)]
    with serving(pages(names, 3)) as (host, asked):
        assert tags(repository_of(f"{host}/me/it:v1")) == tuple(names)
    assert asked[0] == "/v2/me/it/tags/list?n=1000"
    assert asked[1] == "/v2/me/it/tags/list?n=1000&last=v2"


def test_a_registry_that_gives_everybody_a_token_is_asked_with_it() -> None:
    def answer(path: str, key: str | None) -> tuple[int, Any]:
        if path.startswith("/token"):
            return 200, {"token": "a-token-for-all"}
        return (200, pages(["a", "b"], 9)(path, None)[1]) if key == "Bearer a-token-for-all" else (401, {})

    with serving(answer) as (host, asked):
        assert tags(repository_of(f"{host}/me/it")) == ("a", "b")
    assert asked[1] == "/token?scope=repository:me/it:pull"


@pytest.mark.parametrize(
    ("status", "data"), [(404, {"errors": [{"message": "unknown"}]}), (200, {"tags": None}), (200, [1]), (401, {"errors": []})]
)
def test_a_registry_that_lists_nothing_is_quoted(status: int, data: Any) -> None:
    with serving(lambda *_: (status, data)) as (host, _), pytest.raises(EngineError) as error:
        tags(repository_of(f"{host}/me/it"))
    assert f"answered {status} and no list of tags" in str(error.value)
    assert str(error.value).endswith("; give the tags in their order with --tags")


def test_a_registry_that_never_ends_is_left_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_inferbench.launch.registry_tags.PAGES_MAX", 4)
    count = iter(range(10**6))
    with serving(lambda *_: (200, {"tags": [f"t{next(count)}"]})) as (host, asked):
        assert len(tags(repository_of(f"{host}/me/it"))) == len(asked) == 4


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            "vllm/vllm-openai:v0.10.0",
            Repository(
                url="https://registry-1.docker.io",
                name="vllm/vllm-openai",
                tokens="https://auth.docker.io/token?service=registry.docker.io&scope=repository:vllm/vllm-openai:pull",
            ),
        ),
        (
            "ghcr.io/ggml-org/llama.cpp@sha256:00",
            Repository(
                url="https://ghcr.io",
                name="ggml-org/llama.cpp",
                tokens="https://ghcr.io/token?scope=repository:ggml-org/llama.cpp:pull",
            ),
        ),
        (
            "localhost:5000/it",
            Repository(url="http://localhost:5000", name="it", tokens="http://localhost:5000/token?scope=repository:it:pull"),
        ),
    ],
)
def test_an_images_name_says_where_its_tags_are(image: str, expected: Repository) -> None:
    assert repository_of(image) == expected


def test_an_official_image_and_another_registry() -> None:
    assert repository_of("redis").name == "library/redis"
    assert repository_of("vllm/vllm-openai", registry="http://127.0.0.1:5000/").url == "http://127.0.0.1:5000"
    assert repository_of("docker.io/vllm/vllm-openai").url == "https://registry-1.docker.io"


@pytest.mark.parametrize(
    ("image", "name"), [("a/b:1", "a/b"), ("h:5000/a/b", "h:5000/a/b"), ("h:5000/a:1@sha256:0", "h:5000/a"), ("a", "a")]
)
def test_a_port_is_no_tag(image: str, name: str) -> None:
    assert without_tag(image) == name
