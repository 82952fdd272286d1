"""
What a GGUF file says of itself: its key-value part, and nothing of the weights.

Layout, little-endian (ggml's docs/gguf.md): the letters GGUF, version (uint32), number of tensors and of pairs (uint64), then the
pairs: key (string), type (uint32), value. A string is its length (uint64) and its bytes; an array is the type of its elements
(uint32), their number (uint64), and the elements. The `gguf` package reads the same and takes seconds for a vocabulary.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pytest_inferbench.errors import LoadError

_HEAD = struct.Struct("<4sIQQ")
_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")
_STRING = 8
_ARRAY = 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_PAIRS_MAX = 1_000_000


def gguf_fields(path: Path, wanted: Collection[str]) -> dict[str, Any]:
    """
    The values of these keys, as far as the file has them: numbers, text, or lists of either.

    Raises:
        LoadError: it is no GGUF file of version 2 or 3, or ends too early.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _fields(data, wanted)
    except (struct.error, ValueError, OSError) as error:
        raise LoadError(f"{path} is not a GGUF file that can be read: {error}") from error


def _fields(data: mmap.mmap, wanted: Collection[str]) -> dict[str, Any]:
    magic, version, _, pairs = _HEAD.unpack_from(data)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"it begins with {magic!r}, version {version}")
    if pairs > _PAIRS_MAX:
        raise ValueError(f"it claims to have {pairs} fields")
    at = _HEAD.size
    found = {}
    for _ in range(pairs):
        key, at = _string(data, at)
        value, at = _value(data, at + 4, _UINT32.unpack_from(data, at)[0], keep=key in wanted)
        if key in wanted:
            found[key] = value
    return found


def _value(data: mmap.mmap, at: int, kind: int, *, keep: bool) -> tuple[Any, int]:
    """A value and where it ends; it may be left out where nobody wants to ``keep`` it."""
    if kind == _STRING:
        return _string(data, at)
    if kind == _ARRAY:
        return _array(data, at, keep=keep)
    if kind not in _NUMBERS:
        raise ValueError(f"it has a value of the unknown type {kind}")
    number = struct.Struct("<" + _NUMBERS[kind])
    return number.unpack_from(data, at)[0], at + number.size


def _array(data: mmap.mmap, at: int, *, keep: bool) -> tuple[list[Any], int]:
    (kind,) = _UINT32.unpack_from(data, at)
    (count,) = _UINT64.unpack_from(data, at + 4)
    at += 12
    if count > len(data):
        raise ValueError(f"it claims to have an array of {count} elements")
    if kind in _NUMBERS:
        numbers = struct.Struct(f"<{count}{_NUMBERS[kind]}")
        return list(numbers.unpack_from(data, at)) if keep else [], at + numbers.size
    values = []
    for _ in range(count):
        value, at = _value(data, at, kind, keep=keep)
        if keep:
            values.append(value)
    return values, at


def _string(data: mmap.mmap, at: int) -> tuple[str, int]:
    (size,) = _UINT64.unpack_from(data, at)
    end = at + 8 + size
    if end > len(data):
        raise ValueError("it ends in the middle of a text")
    return data[at + 8 : end].decode("utf-8", errors="replace"), end
