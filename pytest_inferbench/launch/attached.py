"""
An endpoint that is already there: looked at closely once, and never started or stopped.

Whatever is wrong with it is said here, before any load is driven, in a sentence with the server's own words.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError, EngineError
from pytest_inferbench.launch.answer import Answer, NoAnswer, model_names, owner, printable, trouble
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access
from pytest_inferbench.launch.probe import ask, text_field
from pytest_inferbench.launch.wait import Target, first_token_trouble
from pytest_inferbench.redaction import Secret, redact_url

DEFAULT_API_KEY_ENV = "INFERBENCH_API_KEY"
SIMULATED = "inferbench-simulator/"
"""What stands before an engine's name where a simulated server says who owns its model."""
_ASK_LIMIT_S = 10.0
_CONNECT_LIMIT_S = 1.0
_FIRST_TOKEN_LIMIT_S = 120.0
_ENDINGS = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1")
_EXTRA_BODY: dict[str, dict[str, Any]] = {
    "llamacpp": {"cache_prompt": False, "ignore_eos": True},
    "sglang": {"ignore_eos": True},
    "vllm": {"ignore_eos": True},
}
_CACHE_BODY: dict[str, dict[str, Any]] = {"llamacpp": {"cache_prompt": True}}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedServer:
    """An endpoint that somebody else runs. It is a `Server`."""

    endpoint: Endpoint

    def died(self) -> str | None:
        """
        Why nothing listens there any more, or None while something does.

        Asked again and again while load is driven, so it only opens a connection: a request would be measured along with the
        others. A server that is slow to accept one is busy, not dead.
        """
        parts = urlsplit(self.endpoint.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_LIMIT_S).close()
        except ConnectionRefusedError:
            return f"nothing listens at {self.endpoint.url} any more: the connection is refused"
        except OSError:
            return None
        return None

    def log_tail(self, lines: int = 20) -> str:
        """Nothing: its log is elsewhere."""
        del lines
        return ""

    def stop(self) -> None:
        """Leave it running: it is somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What a case wants of an endpoint.

    Attributes:
        preferred: names to choose from the models it lists, where it lists several.
        access: what goes along with every request, beside the key.
        openai: False where it need not speak OpenAI's API: then it must answer, but may list no models (the first name that is
            preferred is taken), and is not asked for a token.
    """

    preferred: tuple[str, ...] = ()
    access: Access = PLAIN_ACCESS
    openai: bool = True


ANYTHING = Wanted()


def attach(
    url: str,
    *,
    model: str | None = None,
    wanted: Wanted = ANYTHING,
    api_key_env: str | None = None,
    tokenizer: TokenizerRef | None = None,
) -> AttachedServer:
    """
    Look at an endpoint: what it serves, what it is, and whether it makes a token.

    Args:
        url: its address, with or without ``/v1``; without a scheme it is ``http``.
        model: the name that requests carry; by default the one model that it lists.
        wanted: what a case wants of it.
        api_key_env: the environment variable that holds its key; by default ``INFERBENCH_API_KEY``, where that is set.
        tokenizer: where exact token counts come from; by default lengths are estimated.

    Raises:
        ConfigError: the address is none.
        EngineError: what is there cannot be measured; in its own words.
    """
    base, access = base_url(url), wanted.access
    key_name = api_key_env or DEFAULT_API_KEY_ENV
    key = _key(key_name)
    if api_key_env and key is None:
        raise EngineError(f"the environment variable {api_key_env}, which should hold the key for {base}, is not set")
    listing = ask(f"{base}/v1/models", timeout_s=_ASK_LIMIT_S, key=key, access=access)
    name = model or _chosen_model(listing, wanted, key_name=key_name)
    engine, version = _engine(base, listing, key=key, access=access)
    extra_body = _EXTRA_BODY.get(engine, {})
    target = Target(engine=engine, url=base, model=name, extra_body=extra_body, key=key, api_key_env=key_name, access=access)
    if wanted.openai:
        _check_first_token(target, listing)
    return AttachedServer(
        endpoint=Endpoint(
            url=base,
            model=name,
            engine=engine,
            engine_version=version,
            tokenizer=tokenizer or TokenizerRef(kind="none"),
            extra_body=extra_body,
            cache_body=_CACHE_BODY.get(engine, {}),
            api_key_env=key_name if key else None,
            ca_file=access.ca_file,
            metrics_url=f"{base}/metrics",
            health_url=_health_url(base, key=key, access=access) if wanted.openai else None,
            simulated=(owner(listing) or "").startswith(SIMULATED),
        ),
    )


def base_url(url: str) -> str:
    """
    The address that paths such as ``/v1/models`` are added to: without ``/v1`` and without a final slash.

    Raises:
        ConfigError: it is no address of an HTTP server, or has a password or a query in it.
    """
    text = url.strip()
    text = text if "://" in text else f"http://{text}"
    shown = redact_url(text)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{shown!r} is not the address of a server: {error}", field="endpoint") from error
    if parts.scheme not in {"http", "https"} or not host or " " in text:
        raise ConfigError(f"{shown!r} is not the address of a server; write it as http://HOST:PORT", field="endpoint")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"{shown!r} has a user, a query or a fragment in it; keys belong into the environment variable {DEFAULT_API_KEY_ENV}",
            field="endpoint",
        )
    path = parts.path.rstrip("/")
    ending = next((ending for ending in _ENDINGS if path.endswith(ending)), "")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix(ending)}".rstrip("/")


def _key(name: str | None) -> Secret | None:
    value = os.environ.get(name) if name else None
    return Secret(value) if value else None


def _chosen_model(listing: Answer, wanted: Wanted, *, key_name: str) -> str:
    names, preferred = model_names(listing), wanted.preferred
    if not names and preferred and not wanted.openai:
        return preferred[0]
    if names is None:
        reason = (
            trouble(listing, api_key_env=key_name)
            or f'{listing.url} answered JSON that is no list of models: "{listing.words()}"'
        )
        # A server without a list may serve all the same; one that wants a key or is over its limit will not.
        hint = "" if listing.status in {401, 403, 429} else " (where a server lists no models, name one)"
        raise EngineError(f"{reason}{hint}")
    candidates = [*preferred, *names] if len(names) == 1 else [*preferred]
    for name in candidates:
        if name in names:
            return name
    if not names:
        raise EngineError(f"{listing.url} lists no model")
    shown = ", ".join(printable(name) for name in names[:20])
    raise EngineError(f"{listing.url} lists {len(names)} models; name one of them: {shown}")


def _engine(base: str, listing: Answer, *, key: Secret | None, access: Access) -> tuple[str, str | None]:
    """Which engine it is and its version, as far as it says so; plain ``openai`` where it does not."""
    said = (owner(listing) or "").removeprefix(SIMULATED)
    if said == "llamacpp":
        return "llamacpp", text_field(f"{base}/props", "build_info", key=key, access=access)
    if said in {"vllm", "sglang"}:
        return said, text_field(f"{base}/version", "version", key=key, access=access)
    return "openai", text_field(f"{base}/version", "version", key=key, access=access)


def _health_url(base: str, *, key: Secret | None, access: Access) -> str | None:
    """Where it says that it is well; None where it does not, as behind many a gateway: then nothing is known."""
    try:
        answer = ask(f"{base}/health", timeout_s=_ASK_LIMIT_S, key=key, access=access)
    except NoAnswer:
        return None
    return f"{base}/health" if answer.status == HTTPStatus.OK else None


def _check_first_token(target: Target, listing: Answer) -> None:
    reason = first_token_trouble(target, timeout_s=_FIRST_TOKEN_LIMIT_S)
    if reason is None:
        return
    names = model_names(listing)
    if names and target.model not in names:
        reason += f" (it lists these models: {', '.join(printable(name) for name in names[:20])})"
    raise EngineError(f"a first request for one token failed: {reason}")
