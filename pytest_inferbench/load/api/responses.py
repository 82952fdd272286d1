"""OpenAI Responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_inferbench.load.api.api import (
    CONTENT,
    REASONING,
    TOOL,
    Api,
    Delta,
    Usage,
    count,
    mapping,
    merged,
    read_error,
    text_of,
)
from pytest_inferbench.load.content import Content

_DELTAS = {
    "response.output_text.delta": CONTENT,
    "response.refusal.delta": CONTENT,
    "response.reasoning_text.delta": REASONING,
    "response.reasoning_summary_text.delta": REASONING,
    "response.function_call_arguments.delta": TOOL,
    "response.mcp_call_arguments.delta": TOOL,
    "response.custom_tool_call_input.delta": TOOL,
}
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class Responses(Api):
    """``POST /v1/responses``; nothing is stored on the server."""

    name = "responses"

    def usual_path(self, *, stream: bool) -> str:
        """The same, streamed or not."""
        del stream
        return "/v1/responses"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request; a conversation of one text is that text."""
        body = {
            "model": model,
            "input": _input(content),
            "max_output_tokens": output_tokens,
            "temperature": 0,
            "store": False,
            "stream": self.stream,
        }
        return merged(body, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says, by its type."""
        if not isinstance(event, dict):
            return Delta()
        kind = text_of(event.get("type"))
        if kind in _DELTAS:
            return Delta(text_of(event.get("delta")), kinds=_DELTAS[kind])
        if kind in _ENDS:
            return self._end(mapping(event.get("response")))
        if kind == "response.output_item.added":
            return Delta(_call_name(mapping(event.get("item"))), kinds=TOOL)
        if kind == "error":
            return Delta(error=text_of(event.get("message")) or read_error(event) or str(event))
        return Delta(error=read_error(event))

    def whole(self, answer: Any) -> Delta:
        """What an answer says: the texts of its output, its usage, or its error."""
        if not isinstance(answer, dict):
            return Delta()
        said = list(_texts(answer))
        kinds = sum({kind for kind, text in said if text})
        return self._end(answer)._replace(text="".join(text for _, text in said), kinds=kinds)

    def _end(self, response: Mapping[str, Any]) -> Delta:
        """What a finished response says beside its text; its status ``failed`` or ``cancelled`` is an error."""
        status = response.get("status")
        error = read_error(response)
        if error is None and status in ("failed", "cancelled"):
            error = f"the response {status}" if status == "failed" else "the response was cancelled"
        reason = mapping(response.get("incomplete_details")).get("reason")
        return Delta(finish=text_of(reason) or text_of(status) or None, usage=_usage(response), error=error)


def _input(content: Content) -> str | list[dict[str, Any]]:
    if len(content.messages) == 1 and not content.images:
        return content.text
    messages: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in content.messages]
    if content.images and messages:
        parts = [{"type": "input_image", "image_url": url} for url in content.images]
        messages[-1]["content"] = [*parts, {"type": "input_text", "text": messages[-1]["content"]}]
    return messages


def _usage(response: Mapping[str, Any]) -> Usage | None:
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    cached = mapping(usage.get("input_tokens_details")).get("cached_tokens")
    return Usage(count(usage.get("input_tokens")), count(usage.get("output_tokens")), count(cached))


def _call_name(item: Mapping[str, Any]) -> str:
    return text_of(item.get("name")) if text_of(item.get("type")).endswith("_call") else ""


def _texts(answer: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Every text of an answer's output, and its kind."""
    output = answer.get("output")
    for item in output if isinstance(output, list) else ():
        item = mapping(item)  # noqa: PLW2901 - anything else says nothing
        if _call_name(item):
            yield TOOL, _call_name(item) + text_of(item.get("arguments")) + text_of(item.get("input"))
        kind = REASONING if item.get("type") == "reasoning" else CONTENT
        for name in ("content", "summary"):
            parts = item.get(name)
            for part in parts if isinstance(parts, list) else ():
                yield kind, text_of(mapping(part).get("text")) or text_of(mapping(part).get("refusal"))
