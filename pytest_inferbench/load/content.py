"""
What one request says to a model, before an API spells it.

Rule: nothing here knows how any API is spelled, and no API draws a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """
    What one request says.

    Attributes:
        messages: the conversation so far; the last one is the user's, and is the query where documents are ranked.
        images: data URLs of the images that stand beside the last message.
        documents: texts to embed, or to rank against the query.
        token_ids: the text in the numbers of a vocabulary, for APIs that take those.
    """

    messages: tuple[Message, ...] = ()
    images: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    token_ids: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """All messages as one text, joined by blanks, for APIs that take a prompt."""
        return " ".join(message.text for message in self.messages)


def said(text: str) -> Content:
    """One message of the user's."""
    return Content(messages=(Message("user", text),))
