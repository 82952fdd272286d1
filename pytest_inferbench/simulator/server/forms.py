"""
How the APIs spell an answer: the events of a stream, and the whole of one that does not stream.

Rule: pure bytes; no I/O and no time beside the label ``created``. Words come from the server's own vocabulary and need no
escaping, so the event of a token is three pieces of bytes put together: it is what the server does most often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import orjson

from pytest_inferbench.simulator.server.tokens import numbers, pieces
from pytest_inferbench.simulator.server.wording import Wording

Body = dict[str, Any]
DONE = b"data: [DONE]\n\n"
_MARK = "<word>"


@dataclass(slots=True, kw_only=True)
class Answer:
    """
    What is answered, before an API spells it.

    Attributes:
        name: what the API calls this answer, without its prefix.
        created_s: wall time, a label.
        usage: it was asked for, or is always said; None: nothing is said of tokens, not even in a whole answer.
        prompt_tokens, output_tokens: as usage counts them.
        cached_tokens: of the prompt, where it is known.
        finish_apart: the reason comes in an event of its own after the last token.
        engine: whose dialect it is.
    """

    name: str
    created_s: int
    model: str
    wording: Wording
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    usage: bool | None = False
    finish_apart: bool = False
    engine: str = "vllm"


class Form(Protocol):
    """One answer in the spelling of an API."""

    def opening(self) -> bytes:
        """Events before the first token."""
        ...

    def tokens(self, first: int, count: int) -> bytes:
        """One event with so many tokens of a stream."""
        ...

    def closing(self) -> bytes:
        """Events after the last token."""
        ...

    def whole(self) -> Body:
        """The JSON of an answer that does not stream."""
        ...


def event(body: Mapping[str, Any]) -> bytes:
    """One event of a stream, without a name."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def named_event(body: Mapping[str, Any]) -> bytes:
    """One event of a stream, named as its ``type`` says."""
    return b"event: " + str(body["type"]).encode() + b"\n" + event(body)


class _OpenAI:
    """What chat and plain completions have in common."""

    prefix: ClassVar[str]
    kind: ClassVar[str]
    chunk_kind: ClassVar[str]

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._words = answer.wording.words
        self._last = len(self._words)
        before, after = self._event([self._choice(_MARK, None)]).split(_MARK.encode())
        self._before, self._after = before, after

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def tokens(self, first: int, count: int) -> bytes:
        """One event; the last one has the reason, unless the engine says that apart."""
        end = first + count
        if end < self._last or self._answer.finish_apart:
            word = self._words[first] if count == 1 else "".join(self._words[first:end])
            return self._before + word.encode() + self._after
        return self._event([self._choice("".join(self._words[first:end]), self._answer.wording.finish)])

    def closing(self) -> bytes:
        """The reason where it comes apart, the usage where it was asked for, and ``[DONE]``."""
        finish = self._event([self._choice("", self._answer.wording.finish)]) if self._answer.finish_apart else b""
        usage = self._event([], usage=usage_of(self._answer)) if self._answer.usage else b""
        return finish + usage + DONE

    def whole(self) -> Body:
        """A completion with one choice."""
        answer = self._answer
        usage = {} if answer.usage is None else {"usage": usage_of(answer)}
        return self._envelope(self.kind, [self._whole_choice()], **usage)

    def _event(self, choices: list[Body], **more: Any) -> bytes:
        return event(self._envelope(self.chunk_kind, choices, **more))

    def _envelope(self, kind: str, choices: list[Body], **more: Any) -> Body:
        answer = self._answer
        envelope = {"id": f"{self.prefix}{answer.name}", "object": kind, "created": answer.created_s, "model": answer.model}
        return {**envelope, "choices": choices, **more}

    def _choice(self, text: str, finish: str | None) -> Body:
        raise NotImplementedError

    def _whole_choice(self) -> Body:
        raise NotImplementedError


class ChatForm(_OpenAI):
    """Chat completions."""

    prefix = "chatcmpl-"
    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def opening(self) -> bytes:
        """The role, and no text."""
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        return self._event([choice])

    def _choice(self, text: str, finish: str | None) -> Body:
        delta = {"content": text} if text else {}
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    def _whole_choice(self) -> Body:
        wording = self._answer.wording
        message = {"role": "assistant", "content": wording.text}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": wording.finish}


class CompletionsForm(_OpenAI):
    """Plain completions."""

    prefix = "cmpl-"
    kind = "text_completion"
    chunk_kind = "text_completion"

    def _choice(self, text: str, finish: str | None) -> Body:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}

    def _whole_choice(self) -> Body:
        return self._choice(self._answer.wording.text, self._answer.wording.finish)


def usage_of(answer: Answer) -> Body:
    """The usage object of OpenAI's APIs."""
    total = answer.prompt_tokens + answer.output_tokens
    usage: Body = {"prompt_tokens": answer.prompt_tokens, "total_tokens": total, "completion_tokens": answer.output_tokens}
    if answer.cached_tokens is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": answer.cached_tokens}
    return usage


class ResponsesForm:
    """The Responses API; its events are named, numbered, and end without ``[DONE]``."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._item = {"id": f"msg_{answer.name}", "type": "message", "role": "assistant"}
        self._number = -1

    def opening(self) -> bytes:
        """A response and its one message have begun."""
        part = {"type": "output_text", "text": "", "annotations": []}
        return b"".join(
            (
                self._say("response.created", response=self._response("in_progress", [])),
                self._say(
                    "response.output_item.added", output_index=0, item={**self._item, "status": "in_progress", "content": []}
                ),
                self._say("response.content_part.added", **self._place, part=part),
            )
        )

    def tokens(self, first: int, count: int) -> bytes:
        """A delta of the text."""
        text = "".join(self._answer.wording.words[first : first + count])
        return self._say("response.output_text.delta", **self._place, delta=text)

    def closing(self) -> bytes:
        """The text, the message and the response are complete."""
        text = self._answer.wording.text
        done = self.whole()
        kind = "response.completed" if done["status"] == "completed" else "response.incomplete"
        return b"".join(
            (
                self._say("response.output_text.done", **self._place, text=text),
                self._say("response.output_item.done", output_index=0, item=done["output"][0]),
                self._say(kind, response=done),
            )
        )

    def whole(self) -> Body:
        """A response with one message."""
        answer = self._answer
        status = "completed" if answer.wording.finish == "stop" else "incomplete"
        part = {"type": "output_text", "text": answer.wording.text, "annotations": []}
        done = self._response(status, [{**self._item, "status": status, "content": [part]}])
        if status == "incomplete":
            done["incomplete_details"] = {"reason": "max_output_tokens"}
        if answer.usage is not None:
            done["usage"] = {
                "input_tokens": answer.prompt_tokens,
                "output_tokens": answer.output_tokens,
                "total_tokens": answer.prompt_tokens + answer.output_tokens,
                "input_tokens_details": {"cached_tokens": answer.cached_tokens or 0},
            }
        return done

    @property
    def _place(self) -> Body:
        return {"item_id": self._item["id"], "output_index": 0, "content_index": 0}

    def _response(self, status: str, output: list[Body]) -> Body:
        answer = self._answer
        envelope = {"id": f"resp_{answer.name}", "object": "response", "created_at": answer.created_s, "model": answer.model}
        return {**envelope, "status": status, "output": output, "error": None}

    def _say(self, kind: str, **more: Any) -> bytes:
        self._number += 1
        return named_event({"type": kind, "sequence_number": self._number, **more})


class TgiForm:
    """TGI's own API: an event a token, and in the last one all of it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._ids = numbers(piece for word in answer.wording.words for piece in (pieces(word) or [""]))

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def tokens(self, first: int, count: int) -> bytes:
        """An event a token, however many there are at once: this API has no other."""
        return b"".join(self._token(at) for at in range(first, first + count))

    def closing(self) -> bytes:
        """Nothing: the last token has it all."""
        return b""

    def whole(self) -> Body:
        """The text, and how many tokens that is."""
        return {
            "generated_text": self._answer.wording.text,
            **({} if self._answer.usage is None else {"details": self._details()}),
        }

    def _token(self, at: int) -> bytes:
        wording = self._answer.wording
        last = at == len(wording.words) - 1
        token = {"id": self._ids[at], "text": wording.words[at], "logprob": None, "special": False}
        details = self._details() if last and self._answer.usage is not None else None
        ending = {"generated_text": wording.text if last else None, "details": details}
        return event({"index": at + 1, "token": token, **ending})

    def _details(self) -> Body:
        answer = self._answer
        reason = "length" if answer.wording.finish == "length" else "eos_token"
        return {
            "finish_reason": reason,
            "generated_tokens": answer.output_tokens,
            "seed": None,
            "input_length": answer.prompt_tokens,
        }
