"""
Between two cases on one server: it must still be well, and forget what it was asked.

Rule: a server that is not well is an error, since the next case would measure its illness. A cache that cannot be reset is said
and no more: plans salt their prompts, so that one case's words are not another's.
"""

from __future__ import annotations

from pytest_inferbench.errors import EngineDied, EngineNotReady
from pytest_inferbench.launch.answer import Answer, NoAnswer, printable
from pytest_inferbench.launch.endpoint import Endpoint, Server
from pytest_inferbench.launch.environment import key_in
from pytest_inferbench.launch.headers import PLAIN_ACCESS, Access
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.launch.wait import Clock
from pytest_inferbench.redaction import redact_url

HEALTH_LIMIT_S = 15.0
RESET_LIMIT_S = 5.0
_ASK_LIMIT_S = 5.0
_PAUSE_S = 0.25
_CLOCK = Clock()
# What servers answer while requests that were given up are still being put away.
_BUSY = frozenset({400, 409, 423, 425, 429, 500, 502, 503, 504})


def clean(server: Server, *, access: Access = PLAIN_ACCESS, clock: Clock = _CLOCK) -> tuple[str, ...]:
    """
    Get a server that has answered a case before ready for the next one.

    Returns:
        What could not be done, in sentences; empty where all is well.

    Raises:
        EngineDied: it has ended; says how, with its last log lines.
        EngineNotReady: it does not say that it is well within `HEALTH_LIMIT_S`; with its last log lines.
    """
    why = server.died()
    if why is not None:
        raise EngineDied(why)
    ill = illness(server.endpoint, access=access, clock=clock)
    if ill is not None:
        tail = server.log_tail()
        raise EngineNotReady(f"{ill}; the last lines of its log:\n{tail}" if tail else ill)
    trouble = reset_cache(server.endpoint, access=access, clock=clock)
    return () if trouble is None else (trouble,)


def illness(endpoint: Endpoint, *, access: Access = PLAIN_ACCESS, clock: Clock = _CLOCK) -> str | None:
    """What a server says in place of being well, for `HEALTH_LIMIT_S`; None where it is well, or has no way to say so."""
    if endpoint.health_url is None:
        return None
    deadline_s = clock.now_s() + HEALTH_LIMIT_S
    while True:
        try:
            answer = ask(endpoint.health_url, timeout_s=_ASK_LIMIT_S, key=key_in(endpoint.api_key_env), access=access)
        except NoAnswer as error:
            last = printable(str(error))
        else:
            if answer.status == 200:
                return None
            last = _said(answer)
        if clock.now_s() >= deadline_s:
            return f"{endpoint.engine} was well before and is not after {HEALTH_LIMIT_S:g} s; it last said: {last}"
        clock.sleep_s(_PAUSE_S)


def reset_cache(endpoint: Endpoint, *, access: Access = PLAIN_ACCESS, clock: Clock = _CLOCK) -> str | None:
    """
    Make a server forget the prompts that it has seen.

    Returns:
        Why it may still know them; None where it does not, or never was asked to forget.
    """
    step = endpoint.cache_reset
    if step is None:
        return None
    url = f"{endpoint.url}{step.path}"
    body = None if step.method == "GET" else step.body or {}
    deadline_s = clock.now_s() + RESET_LIMIT_S
    while True:
        try:
            answer = ask(url, timeout_s=_ASK_LIMIT_S, body=body, key=key_in(endpoint.api_key_env), access=access)
        except NoAnswer as error:
            return _not_reset(endpoint, printable(str(error)))
        done = 200 <= answer.status < 300 and not _says_no(answer)
        if done:
            return None
        if not (answer.status in _BUSY or _says_no(answer)) or clock.now_s() >= deadline_s:
            return _not_reset(endpoint, f"{step.method} {redact_url(url)} answered {_said(answer)}")
        clock.sleep_s(_PAUSE_S)


def _says_no(answer: Answer) -> bool:
    """Whether it says in so many words that it did not, as vLLM does while blocks are in use: 200, ``{"success": false}``."""
    value = answer.json()
    return isinstance(value, dict) and value.get("success") is False


def _not_reset(endpoint: Endpoint, why: str) -> str:
    return f"the prompt cache of {endpoint.engine} was not reset, so it may still know prompts of earlier cases: {why}"


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.words()}".strip()
