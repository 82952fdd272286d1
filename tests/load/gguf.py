"""GGUF files written by hand, a field at a time."""

from __future__ import annotations

import struct


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def text(key: str, value: str) -> bytes:
    """A field with a text."""
    return string(key) + struct.pack("<I", 8) + string(value)


def number(key: str, kind: int, code: str, value: float) -> bytes:
    """A field with a number of that type, packed as ``code`` says."""
    return string(key) + struct.pack(f"<I{code}", kind, value)


def texts(key: str, *values: str) -> bytes:
    """A field with a list of texts."""
    return string(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(string, values))


def numbers(key: str, kind: int, code: str, *values: float) -> bytes:
    """A field with a list of numbers."""
    return string(key) + struct.pack(f"<IIQ{len(values)}{code}", 9, kind, len(values), *values)


def gguf(*fields: bytes, version: int = 3) -> bytes:
    """A whole file without tensors."""
    return struct.pack("<4sIQQ", b"GGUF", version, 0, len(fields)) + b"".join(fields)
