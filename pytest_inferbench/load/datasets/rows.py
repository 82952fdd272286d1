"""Rows of any format, and how a row of named fields becomes a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, get_args

from pytest_inferbench.cases.case import Dataset
from pytest_inferbench.cases.row_template import fields_of_template, filled
from pytest_inferbench.cases.traffic import TOKENS_MAX
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.content import Message, Role

Wrong = Callable[[str], ConfigError]
"""Makes the error that names where a row stands."""

_LENGTHS = ("output_tokens", "max_tokens")


class Sample(NamedTuple):
    """
    One request of a data set.

    The last of ``messages`` is the user's. ``answer`` is a text whose tokens are to be asked for, ``output_tokens`` how many;
    both are None where the row says neither.
    """

    messages: tuple[Message, ...]
    output_tokens: int | None = None
    answer: str | None = None


class Rows(Protocol):
    """The rows of one data set."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def sample(self, index: int) -> Sample:
        """
        One of them.

        Raises:
            ConfigError: it is no request; names file and line.
        """
        ...


def sample_of(row: Mapping[str, Any], dataset: Dataset, wrong: Wrong) -> Sample:
    """
    A row of named fields as a request.

    Raises:
        ConfigError: a field is missing or of a kind that makes no prompt.
    """
    answer = None
    if dataset.prompt is not None:
        messages = _from_template(dataset.prompt, row, wrong)
    elif "messages" in row:
        messages, answer = _from_messages(row["messages"], wrong)
    elif isinstance(row.get("prompt"), str):
        messages = (Message("user", row["prompt"]),)
    else:
        raise wrong(f'has neither prompt nor messages; say what makes it, such as prompt: "{{text}}"; there are {_names(row)}')
    if not messages[-1].text.strip():
        raise wrong("has an empty prompt")
    return _with_length(Sample(messages, answer=answer), row, dataset, wrong)


def _from_template(template: str, row: Mapping[str, Any], wrong: Wrong) -> tuple[Message, ...]:
    for name in fields_of_template(template):
        if name not in row:
            raise wrong(f"has no field {name!r}; there are {_names(row)}")
        if isinstance(row[name], dict | list):
            raise wrong(f"field {name!r} is no text")
    return (Message("user", filled(template, row)),)


def _from_messages(value: Any, wrong: Wrong) -> tuple[tuple[Message, ...], str | None]:
    """All messages up to the last one of the user's, and the answer to it where there is one."""
    if not isinstance(value, list) or not value:
        raise wrong("field 'messages' is no list of messages")
    messages = [_message(each, wrong) for each in value]
    answer = messages.pop().text if messages[-1].role == "assistant" else None
    if not messages or messages[-1].role != "user":
        raise wrong("field 'messages' does not end in a message of the user's and an answer to it")
    return tuple(messages), answer


def _message(value: Any, wrong: Wrong) -> Message:
    role, text = (value.get("role"), value.get("content")) if isinstance(value, dict) else (None, None)
    known: Role | None = next((each for each in get_args(Role) if each == role), None)
    if known is None or not isinstance(text, str):
        raise wrong("field 'messages' holds something that has no role (system, user or assistant) and content (text)")
    return Message(known, text)


def _with_length(sample: Sample, row: Mapping[str, Any], dataset: Dataset, wrong: Wrong) -> Sample:
    """The sample with as many tokens, or the answer, that the data set or the row itself says."""
    if dataset.output_tokens is not None:
        return sample._replace(output_tokens=dataset.output_tokens, answer=None)
    names = _LENGTHS if dataset.output_field is None else (dataset.output_field,)
    name = next((name for name in names if name in row), None)
    if name is None:
        if dataset.output_field is not None:
            raise wrong(f"has no field {dataset.output_field!r}; there are {_names(row)}")
        return sample
    value = row[name]
    if isinstance(value, str) and dataset.output_field is not None:
        return sample._replace(answer=value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= TOKENS_MAX:
        raise wrong(f"field {name!r} must be a number of tokens, from 1 to {TOKENS_MAX}, not {str(value)[:40]!r}")
    return sample._replace(output_tokens=value, answer=None)


def _names(row: Mapping[str, Any]) -> str:
    names = sorted(str(name) for name in row)
    return ", ".join(names[:10]) + (" and others" if len(names) > 10 else "") if names else "no fields"
