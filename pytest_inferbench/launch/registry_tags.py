"""
The tags of an image, asked of its registry (OCI distribution specification, ``GET /v2/<name>/tags/list``).

Rule: only what anybody may read; no credentials are looked for or sent. A registry that wants a token even so gives one to
everybody, which is asked of the place where Docker Hub and GitHub have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.answer import Answer, NoAnswer
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.redaction import Secret, redact_url

LIMIT_S = 30.0
PAGE = 1000
PAGES_MAX = 100
_HUB, _HUB_REGISTRY = "docker.io", "registry-1.docker.io"
_HUB_TOKENS = "https://auth.docker.io/token?service=registry.docker.io"
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where tags are asked for: ``url`` of the registry, ``name`` of the image there, ``tokens`` where anybody gets one."""

    url: str
    name: str
    tokens: str


def repository_of(image: str, *, registry: str | None = None) -> Repository:
    """
    Where an image's tags are, by its name: ``vllm/vllm-openai`` is on Docker Hub, ``ghcr.io/ggml-org/llama.cpp`` at GitHub.

    A registry on this machine's loopback is spoken to in plain HTTP, as container engines do. ``registry`` is a URL to ask in
    place of the image's own.
    """
    name = without_tag(image)
    first, slash, rest = name.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else _HUB
    path = rest if host is first else name
    if host == _HUB:
        path = path if "/" in path else f"library/{path}"
        host = _HUB_REGISTRY
    scheme = "http" if host.partition(":")[0] in _LOOPBACK else "https"
    url = (registry or f"{scheme}://{host}").rstrip("/")
    scope = f"scope=repository:{quote(path)}:pull"
    tokens = f"{_HUB_TOKENS}&{scope}" if host == _HUB_REGISTRY and registry is None else f"{url}/token?{scope}"
    return Repository(url=url, name=path, tokens=tokens)


def without_tag(image: str) -> str:
    """The name of an image without its tag and digest; a port is no tag."""
    name = image.partition("@")[0]
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def tags(repository: Repository) -> tuple[str, ...]:
    """
    All tags of an image, as its registry lists them.

    Raises:
        EngineError: the registry could not be asked, or does not list them; in its own words.
    """
    found: dict[str, None] = {}
    key: Secret | None = None
    for _ in range(PAGES_MAX):
        last = next(reversed(found), None)
        after = "" if last is None else f"&last={quote(last)}"
        url = f"{repository.url}/v2/{quote(repository.name)}/tags/list?n={PAGE}{after}"
        answer = ask(url, timeout_s=LIMIT_S, key=key)
        if answer.status == 401 and key is None:
            key = _token(repository)
            answer = ask(url, timeout_s=LIMIT_S, key=key)
        page = [tag for tag in _listed(answer) if tag not in found]
        found |= dict.fromkeys(page)
        if not page:
            break
    return tuple(found)


def _token(repository: Repository) -> Secret | None:
    try:
        answer = ask(repository.tokens, timeout_s=LIMIT_S).json()
    except NoAnswer:
        return None
    token = answer.get("token") if isinstance(answer, dict) else None
    return Secret(token) if isinstance(token, str) and token else None


def _listed(answer: Answer) -> list[str]:
    data = answer.json()
    listed = data.get("tags") if isinstance(data, dict) else None
    if answer.status != 200 or not isinstance(listed, list):
        raise EngineError(
            f"{redact_url(answer.url)} answered {answer.status} and no list of tags: {answer.words() or 'nothing'};"
            " give the tags in their order with --tags"
        )
    return [tag for tag in listed if isinstance(tag, str)]
