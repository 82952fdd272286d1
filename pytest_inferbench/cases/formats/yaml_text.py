"""
Plain data as YAML text that reads back as the same data.

Rule: every text that YAML could take for something else, or that holds anything but letters, digits and a few signs, is in
quotes, spelled as JSON spells it, which YAML reads alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isinf, isnan
from typing import Any

# Numbers, dates, true and null have other forms; a word that begins with a letter and is none of YAML's own is itself.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*")
_RESERVED = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def yaml_text(data: Mapping[str, Any], indent: int = 0) -> str:
    """A mapping as lines, each with a line end, mappings in it on lines of their own and lists of plain values on one."""
    lines = [f"{' ' * indent}{_scalar(str(key))}:{_after(value, indent)}" for key, value in data.items()]
    return "".join(lines)


def _after(value: Any, indent: int) -> str:
    if isinstance(value, Mapping) and value:
        return "\n" + yaml_text(value, indent + 2)
    if _has_mappings(value):
        return "\n" + "".join(_item(one, indent + 2) for one in value)
    return f" {_flow(value)}\n" if value is not None else "\n"


def _has_mappings(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value)


def _item(value: Any, indent: int) -> str:
    if isinstance(value, Mapping) and value:
        block = yaml_text(value, indent + 2)
        return f"{' ' * indent}- {block[indent + 2 :]}"
    return f"{' ' * indent}- {_flow(value)}\n"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(key))}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
        return value if plain else _quoted(value)
    if isinstance(value, float):
        return _float(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    # YAML refuses bare control characters, and knows more line ends than JSON does.
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _float(value: float) -> str:
    if isinf(value):
        return "-.inf" if value < 0 else ".inf"
    if isnan(value):
        return ".nan"
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    # Without a point YAML takes 1e-05 for text, and without a sign 1.0e5.
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"
