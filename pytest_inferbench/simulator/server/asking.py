"""
What requests ask for, read from their JSON.

Rule: pure; whatever cannot be answered as asked is a `Refused`, which `refusals` words as the engine would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from pytest_inferbench.simulator.server.tokens import Piece, pieces

TOKENS_MAX = 1_000_000
PROMPTS_MAX = 2048
STOPS_MAX = 16


class Refused(Exception):
    """
    A request that is not answered as asked.

    Args:
        status: of HTTP.
        why: for people.
        kind: ``invalid`` (a field), ``json`` (the body), ``context`` (too long), ``model`` (unknown), ``path``, ``method``,
            ``fault`` (on demand), ``loading``.
        param: the field, where one is to blame.
        retry_after_s: when to come again.
    """

    def __init__(
        self, status: int, why: str, *, kind: str = "invalid", param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.kind = kind
        self.param = param
        self.retry_after_s = retry_after_s
        super().__init__(why)


@dataclass(slots=True, kw_only=True)
class Ask:
    """
    What a request asks for; not frozen, since that costs a microsecond a request.

    Attributes:
        prompts: the tokens of each prompt; several only where no text is made, or where completions got a list.
        tokens_max: of an answer; None where the request does not say.
        usage: a stream is to end with the usage.
    """

    prompts: Sequence[Sequence[Piece]]
    stream: bool = False
    usage: bool = False
    tokens_max: int | None = None
    tokens_min: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    seed: int | None = None


def read_object(body: bytes) -> dict[str, Any]:
    """
    The JSON object of a body.

    Raises:
        Refused: it is none.
    """
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}", kind="json") from error
    if not isinstance(asked, dict):
        raise Refused(400, "the body is not a JSON object", kind="json")
    return asked


def chat(asked: Mapping[str, Any]) -> Ask:
    """
    Read a chat completion; images and the like cost nothing here.

    Raises:
        Refused: it has no messages, or a field cannot be understood.
    """
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages must be a list of at least one message", param="messages")
    prompt = [piece for message in messages for piece in pieces(_said(message, "messages"))]
    return _made(asked, [prompt], names=("max_completion_tokens", "max_tokens"))


def completions(asked: Mapping[str, Any]) -> Ask:
    """
    Read a completion of a text, of numbers of tokens, or of a list of one of them.

    Raises:
        Refused: there is no prompt, there are several, or a field cannot be understood.
    """
    found = prompts(asked.get("prompt"), name="prompt")
    if len(found) > 1:
        raise Refused(400, f"one prompt a request is simulated, not {len(found)}", param="prompt")
    return _made(asked, found, names=("max_tokens",))


def responses(asked: Mapping[str, Any]) -> Ask:
    """
    Read a request to the Responses API.

    Raises:
        Refused: there is no input, or a field cannot be understood.
    """
    given = asked.get("input")
    if isinstance(given, str):
        prompt = pieces(given)
    elif isinstance(given, list) and given:
        prompt = [piece for message in given for piece in pieces(_said(message, "input"))]
    else:
        raise Refused(400, "input must be a text or a list of messages", param="input")
    ask = _made(asked, [[*pieces(_text(asked, "instructions")), *prompt]], names=("max_output_tokens",))
    ask.usage = True
    return ask


def generate(asked: Mapping[str, Any], *, stream: bool) -> Ask:
    """
    Read a request to TGI's own API.

    Raises:
        Refused: it has no text, or a field cannot be understood.
    """
    inputs = asked.get("inputs")
    if not isinstance(inputs, str) or not inputs:
        raise Refused(422, "`inputs` cannot be empty", param="inputs")
    parameters = asked.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise Refused(422, "`parameters` must be an object", param="parameters")
    ask = _made(parameters, [pieces(inputs)], names=("max_new_tokens",))
    ask.stream = stream
    return ask


def embeddings(asked: Mapping[str, Any]) -> Ask:
    """
    Read texts to embed.

    Raises:
        Refused: there are none.
    """
    return Ask(prompts=prompts(asked.get("input"), name="input"))


def rerank(asked: Mapping[str, Any], *, name: str) -> Ask:
    """
    Read texts to hold against a query; each is read together with it, and ``name`` is the field they are in.

    Raises:
        Refused: the query or the texts are missing.
    """
    query, texts = asked.get("query"), asked.get(name)
    if not isinstance(query, str) or not query:
        raise Refused(400, "query must be a text", param="query")
    if not isinstance(texts, list) or not texts:
        raise Refused(400, f"{name} must be a list of at least one text", param=name)
    asking = pieces(query)
    return Ask(prompts=[[*asking, *pieces(_said(text, name))] for text in texts[:PROMPTS_MAX]])


def prompts(given: object, *, name: str) -> list[list[Piece]]:
    """
    The prompts of a field: a text, numbers of tokens, or a list of either.

    Raises:
        Refused: it is none of them, or there are too many.
    """
    if isinstance(given, str) or _are_numbers(given):
        given = [given]
    if not isinstance(given, list) or not given:
        raise Refused(400, f"{name} must be a text, a list of token ids, or a list of them", param=name)
    if len(given) > PROMPTS_MAX:
        raise Refused(400, f"{name} holds {len(given)} texts; at most {PROMPTS_MAX} are read", param=name)
    return [_prompt(each, name) for each in given]


def _prompt(given: object, name: str) -> list[Piece]:
    if isinstance(given, str):
        return list(pieces(given))
    if _are_numbers(given):
        return list(given)
    raise Refused(400, f"{name} must be a text, a list of token ids, or a list of them", param=name)


def _are_numbers(given: object) -> TypeGuard[list[int]]:
    return isinstance(given, list) and bool(given) and all(type(each) is int for each in given)


def _said(message: object, name: str) -> str:
    """The text of a message, a document or a part of one."""
    if isinstance(message, str):
        return message
    if not isinstance(message, dict):
        raise Refused(400, f"each entry of {name} must be an object or a text", param=name)
    content = message.get("content", message.get("text", ""))
    if isinstance(content, list):
        return " ".join(_said(part, name) for part in content)
    return content if isinstance(content, str) else ""


def _made(asked: Mapping[str, Any], found: Sequence[Sequence[Piece]], *, names: tuple[str, ...]) -> Ask:
    if asked.get("n") not in (None, 1):
        raise Refused(400, "one answer a request is simulated: n must be 1", param="n")
    options = asked.get("stream_options")
    return Ask(
        prompts=found,
        stream=asked.get("stream") is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        tokens_max=next((count for name in names if (count := _count(asked, name, least=1)) is not None), None),
        tokens_min=_count(asked, "min_tokens", least=0) or 0,
        ignore_eos=asked.get("ignore_eos") is True,
        stop=_stops(asked.get("stop")),
        seed=_seed(asked.get("seed")),
    )


def _count(asked: Mapping[str, Any], name: str, *, least: int) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= TOKENS_MAX:
        raise Refused(400, f"{name} must be a whole number from {least} to {TOKENS_MAX}, not {value!r}", param=name)
    return value


def _seed(value: object) -> int | None:
    if value is None or type(value) is int:
        return value
    raise Refused(400, f"seed must be a whole number, not {value!r}", param="seed")


def _stops(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    each = [value] if isinstance(value, str) else value
    if not isinstance(each, list) or len(each) > STOPS_MAX or not all(isinstance(text, str) and text for text in each):
        raise Refused(400, f"stop must be a text or a list of at most {STOPS_MAX} texts", param="stop")
    return tuple(each)


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    return value if isinstance(value, str) else ""
