"""
Prompts made of the fields of a row: ``"{instruction} {input}"``, ``{{`` and ``}}`` for braces.

Rule: a name in braces is looked up among the row's fields as it stands and nothing else; there are no attributes, no indexes, no
formats, and what was filled in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_inferbench.errors import ConfigError

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|([{}])")


def fields_of_template(template: str) -> tuple[str, ...]:
    """
    The names of the fields that a template is made of, each once.

    Raises:
        ConfigError: it has none, or a brace that stands alone.
    """
    found = list(_PIECE.finditer(template))
    if any(piece[2] for piece in found):
        raise ConfigError(f"{template!r} has a brace that stands alone; write {{field}}, or {{{{ for a brace itself")
    names = tuple(dict.fromkeys(piece[1] for piece in found if piece[1]))
    if not names:
        raise ConfigError(f'{template!r} has no field of a row in it; write one in braces, such as "{{instruction}}"')
    return names


def filled(template: str, row: Mapping[str, Any]) -> str:
    """The template with the fields of a row in the place of their names; all of them must be there. Nothing stands for null."""
    return _PIECE.sub(lambda piece: _text(row[piece[1]]) if piece[1] else piece[0][0], template)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
