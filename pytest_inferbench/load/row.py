"""
A row of a plan's file: one request, as the one who plans writes it and the load process reads it.

``after`` is the number of the row that must have ended before this one is sent, or `FIRST`. A row that comes after none is due
at ``due_ns`` from the start of the load (0 in a closed loop: when a user is free). A row that comes after another is the next
turn of one user's conversation: it is due ``due_ns`` after that row's end (the user's think time), however that one ended, and
it is sent by the same user. The rows of a conversation stand one after the other, so ``after`` is the row before or `FIRST`;
all conversations of the measured requests have the same number of rows, but for the last one, which may be shorter. Warm-up
rows come after none.

``cached_tokens`` is how many of the prompt's tokens a server that caches prompts is expected to have seen before.
"""

from __future__ import annotations

import struct

FIRST = -1

ROW_FIELDS = (
    ("due_ns", "<i8"),
    ("offset", "<i8"),
    ("size", "<i4"),
    ("prompt_tokens", "<i4"),
    ("output_tokens", "<i4"),
    ("after", "<i4"),
    ("cached_tokens", "<i4"),
)
"""Names and types in the order of `ROW`, as NumPy wants them; ``offset`` and ``size`` say where the body lies in its file."""

ROW = struct.Struct("<qqiiiii")
