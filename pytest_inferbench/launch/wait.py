"""
Waiting for a server: first until it says that it is up, then for one real token.

Rule: every wait has a limit, and a server that ended is reported at once, not when the limit is reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineNotReady
from pytest_inferbench.launch.answer import Answer, NoAnswer, completion_trouble, list_trouble, printable
from pytest_inferbench.launch.environment import key_in
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.redaction import Secret

_POLL_FIRST_S = 0.05
_POLL_LONGEST_S = 1.0
_ASK_LIMIT_S = 5.0
_PROGRESS_EVERY_S = 5.0
_DYING_LIMIT_S = 2.0
# The first request compiles kernels and allocates memory: half a minute is nothing unusual, also after a long start.
FIRST_TOKEN_LEAST_S = 60.0
# Any of these to a chat request may mean that the server, or its model, can only complete text.
_NO_CHAT = {400, 404, 405, 422, 500, 501}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask, for what, and for how long; ``api_key_env`` only names the key in messages, ``access`` is what goes along."""

    engine: str
    url: str
    model: str
    ready_path: str = "/health"
    timeout_s: float = 600.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    key: Secret | None = None
    api_key_env: str | None = None
    access: Access = PLAIN_ACCESS


def target_of(spec: ServerSpec, *, url: str, timeout_s: float) -> Target:
    """A server of ours, at the address where it is to answer."""
    return Target(
        engine=spec.engine,
        url=url,
        model=spec.model.served_name,
        ready_path=spec.ready_path,
        timeout_s=timeout_s,
        extra_body=spec.extra_body,
        key=key_in(spec.api_key_env),
        api_key_env=spec.api_key_env,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time, as tests replace it."""

    now_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep


def until_ready(
    target: Target,
    *,
    died: Callable[[], str | None],
    progress: Callable[[str], None],
    clock: Clock = Clock(),
) -> None:
    """
    Wait until the server answers, then have it make one token.

    Args:
        target: whom to ask.
        died: why the server ended, or None while it runs.
        progress: told every few seconds how long it has been waiting.
        clock: time.

    Raises:
        EngineNotReady: it ended, was not up within its limit, or its answer to a real request was wrong.
    """
    start_s = clock.now_s()
    _until_up(target, died=died, progress=progress, clock=clock)
    progress(f"{target.engine} is up after {clock.now_s() - start_s:.1f} s; asking for one token")
    left_s = target.timeout_s - (clock.now_s() - start_s)
    try:
        reason = first_token_trouble(target, timeout_s=max(left_s, FIRST_TOKEN_LEAST_S))
        end = died()
    except NoAnswer as error:
        reason = str(error)
        end = _end_soon(died, clock=clock)
    if end is not None:
        raise EngineNotReady(f"{target.engine} ended during its first request: {end}")
    if reason is not None:
        raise EngineNotReady(f"{target.engine} is up, but its first request failed: {reason}")


def _end_soon(died: Callable[[], str | None], *, clock: Clock) -> str | None:
    """Why the server ended, where it does within a moment: a dying process closes its connections before it is gone."""
    deadline_s = clock.now_s() + _DYING_LIMIT_S
    while (end := died()) is None and clock.now_s() < deadline_s:
        clock.sleep_s(_POLL_FIRST_S)
    return end


def _until_up(target: Target, *, died: Callable[[], str | None], progress: Callable[[str], None], clock: Clock) -> None:
    start_s = clock.now_s()
    said_s, pause_s, last = start_s, _POLL_FIRST_S, "nothing"
    while True:
        end = died()
        if end is not None:
            raise EngineNotReady(f"{target.engine} ended before it was ready: {end}")
        # Patience grows with the wait: whatever else holds the port may say nothing, and the server's end must not wait for it.
        up, last = _look(target, timeout_s=min(_ASK_LIMIT_S, 0.5 + clock.now_s() - start_s))
        if up:
            return
        waited_s = clock.now_s() - start_s
        if waited_s >= target.timeout_s:
            raise EngineNotReady(
                f"{target.engine} was not ready within {target.timeout_s:g} s; {target.url}{target.ready_path} last said: {last}",
            )
        if clock.now_s() - said_s >= _PROGRESS_EVERY_S:
            said_s = clock.now_s()
            progress(f"{target.engine} is starting: {waited_s:.0f} s of at most {target.timeout_s:g} s ({last})")
        clock.sleep_s(min(pause_s, target.timeout_s - waited_s))
        pause_s = min(pause_s * 1.5, _POLL_LONGEST_S)


def _look(target: Target, *, timeout_s: float) -> tuple[bool, str]:
    try:
        answer = ask(f"{target.url}{target.ready_path}", timeout_s=timeout_s, key=target.key, access=target.access)
    except NoAnswer as error:
        return False, printable(str(error))
    return answer.status == 200, f"{answer.status} {answer.words()}".strip()


def first_token_trouble(target: Target, *, timeout_s: float) -> str | None:
    """
    Ask for one token: None where one came, else what is wrong.

    A chat request first. A server (or model) without chat gets a completion request, then one to embed, then one to rank, and is
    as good.

    Raises:
        NoAnswer: no whole HTTP answer came.
    """
    messages = [{"role": "user", "content": "Hello"}]
    chat = _one_token(target, "chat/completions", {"messages": messages, "max_tokens": 1}, timeout_s=timeout_s)
    reason = completion_trouble(chat, api_key_env=target.api_key_env)
    if reason is None or chat.status not in _NO_CHAT:
        return reason
    for path, content, judge in _WITHOUT_CHAT:
        if judge(_one_token(target, path, content, timeout_s=timeout_s)) is None:
            return None
    return reason


def _one_token(target: Target, path: str, content: Mapping[str, Any], *, timeout_s: float) -> Answer:
    body = {"model": target.model, **content, **target.extra_body}
    return ask(f"{target.url}/v1/{path}", body=body, key=target.key, timeout_s=timeout_s, access=target.access)


_WITHOUT_CHAT: tuple[tuple[str, Mapping[str, Any], Callable[[Answer], str | None]], ...] = (
    ("completions", {"prompt": "Hello", "max_tokens": 1}, completion_trouble),
    ("embeddings", {"input": "Hello"}, partial(list_trouble, name="data")),
    ("rerank", {"query": "Hello", "documents": ["Hello"]}, partial(list_trouble, name="results")),
)
